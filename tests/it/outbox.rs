//! Changes of tuples survive the death of the process at every step: they happened with their event, or not at all.

use crate::support::{World, entry, service, user};
use project_vault::authz::{Tuple, TupleFilter};
use project_vault::domain::{ProjectId, ProjectStatus, Role, UserId};
use project_vault::vault::{NewEntry, NewProject, RoleChange};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

/// Runs a future for so many polls at most, and drops it where it stands then.
async fn cut<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Where a future stands after so many polls differs from run to run, so every number is tried until each way to die was seen.
fn deaths() -> impl Iterator<Item = (usize, usize)> {
    (0..600).map(|round| (round, 1 + round % 60))
}

/// Waits until a transaction that was cut off has ended: a commit that was under way is still carried out by the database.
async fn ended(world: &World, lane: &str) {
    let mut tx = world.store.begin().await.unwrap();
    tx.lock_name(lane).await.unwrap();
    tx.rollback().await.unwrap();
}

fn project(id: &str) -> NewProject {
    NewProject {
        project: id.to_owned(),
        participants: vec!["acme".to_owned()],
        accountable: vec!["zoe".to_owned()],
        status: ProjectStatus::Active,
    }
}

async fn tuples(world: &World, filter: TupleFilter) -> Vec<Tuple> {
    world.authorizer.read(&mut world.store.conn().await.unwrap(), &filter).await.unwrap()
}

async fn events(world: &World, action: &str, project: &str) -> i64 {
    let sql = format!("SELECT count(*) AS n FROM audit_events WHERE action = '{action}' AND project_id = '{project}'");
    world.number(&sql).await
}

both! {
    async fn a_role_is_there_exactly_when_its_event_is_wherever_the_process_died(world: World) {
        world.demo().await;
        let demo = World::project();
        let (mut before, mut waited, mut finished) = (0, 0, 0);
        for (round, polls) in deaths() {
            let person = format!("person-{round}");
            let change = RoleChange { project: "demo".to_owned(), user: person.clone(), role: Role::Informed };
            let alice = user("alice");
            let done = cut(world.vault.assign_role(&alice, change), polls).await;
            ended(&world, "project:demo").await;
            let recorded = world.number(&format!("SELECT count(*) AS n FROM audit_events WHERE subject = 'user:{person}'")).await;
            let tuple = Tuple::role(&demo, Role::Informed, &UserId::parse(person).unwrap());
            let waits = world.number("SELECT count(*) AS n FROM outbox").await > 0;
            let there = tuples(&world, TupleFilter::role(&demo, Role::Informed)).await.contains(&tuple);
            assert!(!there || recorded == 1, "a tuple without its event after {polls} polls");
            if waits && !there {
                waited += 1;
            }
            world.vault.apply_outbox().await.unwrap();
            let there = tuples(&world, TupleFilter::role(&demo, Role::Informed)).await.contains(&tuple);
            assert_eq!(i64::from(there), recorded, "after {polls} polls");
            assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
            before += 1 - recorded;
            if done.is_some() {
                assert!(there);
                finished += 1;
            }
            if before > 0 && waited > 0 && finished > 0 {
                return;
            }
        }
        panic!("not every way to die was seen: {before} before the commit, {waited} after it, {finished} came to the end");
    }

    async fn a_project_is_deleted_whole_or_not_at_all_wherever_the_process_died(world: World) {
        world.demo().await;
        let platform = service("platform");
        let (mut cut_off, mut kept, mut finished) = (0, 0, 0);
        for (round, polls) in deaths() {
            let id = format!("p-{round}");
            world.vault.register_project(&platform, project(&id)).await.unwrap();
            let new = NewEntry { project: id.clone(), ..entry("TOKEN", "v") };
            world.vault.create_entry(&user("zoe"), new).await.unwrap();
            let done = cut(world.vault.delete_project(&platform, id.clone()), polls).await;
            ended(&world, &format!("project:{id}")).await;
            let erased = events(&world, "PROJECT_DELETED", &id).await == 1;
            world.vault.apply_outbox().await.unwrap();
            let rows = world.number(&format!("SELECT count(*) AS n FROM entries WHERE project_id = '{id}'")).await;
            let keys = world.number(&format!("SELECT count(*) AS n FROM data_keys WHERE project_id = '{id}'")).await;
            let tuples = tuples(&world, TupleFilter::of_project(&ProjectId::parse(id).unwrap())).await.len();
            assert_eq!((rows, keys, tuples), if erased { (0, 0, 0) } else { (1, 1, 3) }, "after {polls} polls");
            match (erased, done.is_some()) {
                (true, true) => finished += 1,
                (true, false) => cut_off += 1,
                (false, false) => kept += 1,
                (false, true) => panic!("a deletion that was answered did not happen"),
            }
            if kept > 0 && cut_off > 0 && finished > 0 {
                return;
            }
        }
        panic!("not every way to die was seen: {kept} before the commit, {cut_off} after it, {finished} came to the end");
    }

    async fn two_servers_apply_one_outbox_side_by_side(world: World) {
        world.demo().await;
        let alice = user("alice");
        let mut people = Vec::new();
        for n in 0..20 {
            // Each dies at another step; most leave something behind.
            let person = format!("person-{n}");
            let change = RoleChange { project: "demo".to_owned(), user: person.clone(), role: Role::Consulted };
            cut(world.vault.assign_role(&alice, change), 5 + n).await;
            people.push(person);
        }
        let (one, other) = (world.vault.clone(), world.vault.clone());
        let both = futures::join!(one.apply_outbox(), other.apply_outbox());
        both.0.unwrap();
        both.1.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
        let held = tuples(&world, TupleFilter::role(&World::project(), Role::Consulted)).await.len();
        let sql = "SELECT count(*) AS n FROM audit_events WHERE action = 'ROLE_ASSIGNED' AND role = 'CONSULTED'";
        assert_eq!(i64::try_from(held).unwrap(), world.number(sql).await);
    }
}
