//! Many questions, many tuples, and an authorizer that cannot answer.

use super::{apply, ask};
use crate::support::{Backend, World};
use futures::future::join_all;
use project_vault::authz::{Authorizer, OpenFgaConfig, Question, Tuple, TupleFilter};
use project_vault::domain::Error;
use project_vault::permission::Permission;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

fn may_list(person: usize) -> Question {
    Question::of_relation(&format!("user:p{person}"), Permission::CanList, "project:demo")
}

fn informed(person: usize) -> Tuple {
    Tuple::new(format!("user:p{person}"), "informed", "project:demo")
}

async fn tuples_of_demo(world: &World) -> usize {
    let mut conn = world.store.conn().await.unwrap();
    world.authorizer.read(&mut conn, &TupleFilter::of_object("project:demo")).await.unwrap().len()
}

both! {
    async fn many_questions_are_answered_in_their_order_fifty_a_batch(world: World) {
        let even: Vec<Tuple> = (0..130).step_by(2).map(informed).collect();
        world.write(&even).await;
        let before = world.batches();
        let answers = ask(&world.authorizer, &(0..130).map(may_list).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(answers, (0..130).map(|person| person % 2 == 0).collect::<Vec<_>>());
        assert_eq!(world.batches() - before, 3);
    }

    async fn a_question_that_is_asked_twice_is_answered_twice(world: World) {
        world.write(&[informed(1)]).await;
        let questions = [may_list(1), may_list(2), may_list(1), may_list(2), may_list(1)];
        assert_eq!(ask(&world.authorizer, &questions).await.unwrap(), [true, false, true, false, true]);
    }

    async fn a_change_of_many_tuples_is_applied_as_a_whole(world: World) {
        let first: Vec<Tuple> = (0..250).map(informed).collect();
        world.write(&first).await;
        assert_eq!(tuples_of_demo(&world).await, 250);
        let second: Vec<Tuple> = (250..410).map(informed).collect();
        apply(&world.authorizer, &world.store, &second, &first).await.unwrap();
        assert_eq!(tuples_of_demo(&world).await, 160);
        assert_eq!(ask(&world.authorizer, &[may_list(0), may_list(409)]).await.unwrap(), [false, true]);
    }

    async fn the_same_change_twice_is_fine(world: World) {
        let (kept, removed) = ([informed(1), informed(2)], [informed(3)]);
        world.write(&removed).await;
        for _ in 0..2 {
            apply(&world.authorizer, &world.store, &kept, &removed).await.unwrap();
        }
        assert_eq!(tuples_of_demo(&world).await, 2);
        assert_eq!(ask(&world.authorizer, &[may_list(1), may_list(3)]).await.unwrap(), [true, false]);
    }

    async fn the_same_change_by_many_at_once_is_fine(world: World) {
        let tuples = [informed(1), informed(2)];
        let results = join_all((0..8).map(|_| apply(&world.authorizer, &world.store, &tuples, &[]))).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(tuples_of_demo(&world).await, 2);
    }

    async fn setting_up_again_changes_nothing(world: World) {
        world.write(&[informed(1)]).await;
        match world.backend {
            Backend::Sqlite => world.installation().set_up_embedded(project_vault::vault::ExistingRows::Refuse).await.unwrap(),
            Backend::Postgres => world.installation().set_up_openfga(&world.openfga().unwrap(), project_vault::vault::ExistingRows::Refuse).await.unwrap(),
        }
        world.authorizer.ready().await.unwrap();
        assert_eq!(ask(&world.authorizer, &[may_list(1)]).await.unwrap(), [true]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_batch_costs_at_most_three_statements() {
    let world = World::new(Backend::Sqlite).await;
    let (mut of_milestones, mut of_all) = (Vec::new(), Vec::new());
    for n in 0..25 {
        let (project, milestone, organization) =
            (format!("project:{n}"), format!("milestone:{n}"), format!("organization:{n}"));
        world
            .write(&[
                Tuple::new("vault:main", "vault", &project),
                Tuple::new(&organization, "participant", &project),
                Tuple::new("agent:a", "agent", &organization),
                Tuple::new("agent:a", "assigned_agent", &project),
                Tuple::new("agent:a", "assigned_agent", &milestone),
                Tuple::new(&project, "project", &milestone),
                Tuple::new(format!("team:{n}#member"), "consulted", &project),
                Tuple::new("user:grace", "member", format!("team:{n}")),
            ])
            .await;
        of_milestones.push(Question::of_relation("agent:a", Permission::CanResolve, &milestone));
        of_all.push(Question::of_relation("user:grace", Permission::CanViewMasked, &project));
    }
    of_all.extend(of_milestones.iter().cloned());
    let others = world.statements();
    // A milestone's answer rests on its project, which rests on the organizations: the longest way
    // there is.
    for (questions, statements) in [(of_milestones, 3), (of_all, 2)] {
        let before = world.statements_of_authorizer();
        assert!(ask(&world.authorizer, &questions).await.unwrap().iter().all(|allowed| *allowed));
        assert_eq!(world.statements_of_authorizer() - before, statements);
    }
    assert_eq!(world.statements(), others);
}

/// An authorizer that was set up, and then finds another server where OpenFGA was.
async fn with_openfga_at(world: &World, address: std::net::SocketAddr) -> Authorizer {
    let config = OpenFgaConfig { url: format!("http://{address}"), ..world.openfga().unwrap() };
    world.installation().openfga(&config).await.unwrap()
}

async fn refuses_everything_in_time(world: &World, authorizer: &Authorizer) {
    let started = Instant::now();
    let decided = ask(authorizer, &[may_list(1)]).await;
    assert!(matches!(decided, Err(Error::Unavailable { will_take_effect: false, .. })), "{decided:?}");
    let applied = apply(authorizer, &world.store, &[informed(2)], &[]).await;
    assert!(matches!(applied, Err(Error::Unavailable { .. })), "{applied:?}");
    assert!(matches!(authorizer.ready().await, Err(Error::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openfga_that_is_down_lets_nobody_do_anything() {
    let world = World::new(Backend::Postgres).await;
    world.write(&[informed(1)]).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    refuses_everything_in_time(&world, &with_openfga_at(&world, unused).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_openfga_that_never_answers_lets_nobody_do_anything() {
    let world = World::new(Backend::Postgres).await;
    world.write(&[informed(1)]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    refuses_everything_in_time(&world, &with_openfga_at(&world, address).await).await;
    silent.abort();
}
