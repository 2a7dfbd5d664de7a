//! Changes of tuples survive the death of the process at every step: they happened with their
//! event, or not at all.

mod set_aside;

use crate::support::{World, entry, new_project, service, user};
use project_vault::authz::{Tuple, TupleChange, TupleFilter};
use project_vault::domain::{AgentId, OrganizationId, Phase, ProjectId, Role, RuntimeId, UserId};
use project_vault::vault::{AgentChange, Auditor, NewEntry, NewMilestone, RoleChange};
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

/// Where a future stands after so many polls differs from run to run, so every number is tried
/// until each way to die was seen.
fn deaths() -> impl Iterator<Item = (usize, usize)> {
    (0..600).map(|round| (round, 1 + round % 60))
}

/// Waits until a transaction that was cut off has ended: a commit that was under way is still
/// carried out by the database.
async fn ended(world: &World, lane: &str) {
    let mut tx = world.store.begin().await.unwrap();
    tx.lock_name(lane).await.unwrap();
    tx.rollback().await.unwrap();
}

async fn tuples(world: &World, filter: TupleFilter) -> Vec<Tuple> {
    world.authorizer.read(&mut world.store.conn().await.unwrap(), &filter).await.unwrap()
}

async fn events(world: &World, action: &str, project: &str) -> i64 {
    let sql = format!("SELECT count(*) AS n FROM audit_events WHERE action = '{action}' AND project_id = '{project}'");
    world.number(&sql).await
}

/// A server saved that this tuple goes, and died before it was gone.
async fn saved(world: &World, lane: &str, delete: Tuple) {
    world.vault.tuples().save_only(lane, TupleChange { write: vec![], delete: vec![delete] }).await.unwrap();
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
            let done = cut(world.vault.members().assign_role(&alice, change), polls).await;
            ended(&world, "project:demo").await;
            let recorded = world.number(&format!("SELECT count(*) AS n FROM audit_events WHERE subject = 'user:{person}'")).await;
            let tuple = Tuple::role(&demo, Role::Informed, &UserId::parse(person).unwrap());
            let waits = world.number("SELECT count(*) AS n FROM outbox").await > 0;
            let there = tuples(&world, TupleFilter::role(&demo, Role::Informed)).await.contains(&tuple);
            assert!(!there || recorded == 1, "a tuple without its event after {polls} polls");
            if waits && !there {
                waited += 1;
            }
            world.vault.tuples().apply_outbox().await.unwrap();
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
            world.vault.projects().register(&platform, new_project(&id, "zoe")).await.unwrap();
            let new = NewEntry { project: id.clone(), ..entry("TOKEN", "v") };
            world.vault.entries().create(&user("zoe"), new).await.unwrap();
            let done = cut(world.vault.projects().delete(&platform, id.clone()), polls).await;
            ended(&world, &format!("project:{id}")).await;
            let erased = events(&world, "PROJECT_DELETED", &id).await == 1;
            world.vault.tuples().apply_outbox().await.unwrap();
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
            cut(world.vault.members().assign_role(&alice, change), 5 + n).await;
            people.push(person);
        }
        let (one, other) = (world.vault.clone(), world.vault.clone());
        let both = futures::join!(one.tuples().apply_outbox(), other.tuples().apply_outbox());
        both.0.unwrap();
        both.1.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
        let held = tuples(&world, TupleFilter::role(&World::project(), Role::Consulted)).await.len();
        let sql = "SELECT count(*) AS n FROM audit_events WHERE action = 'ROLE_ASSIGNED' AND role = 'CONSULTED'";
        assert_eq!(i64::try_from(held).unwrap(), world.number(sql).await);
    }

    async fn what_is_answered_as_done_already_is_done(world: World) {
        world.demo().await;
        let (vault, alice, platform) = (&world.vault, user("alice"), service("platform"));
        let (demo, nowhere) = (World::project(), ProjectId::parse("nowhere").unwrap());
        let person = |id: &str| UserId::parse(id).unwrap();
        let (builder, acme) = (AgentId::parse("builder").unwrap(), OrganizationId::parse("acme").unwrap());
        let there = async |tuple: &Tuple| tuples(&world, TupleFilter::of_object(tuple.object())).await.contains(tuple);

        let carol = Tuple::role(&demo, Role::Consulted, &person("carol"));
        saved(&world, "project:demo", carol.clone()).await;
        let change = RoleChange { project: "demo".to_owned(), user: "carol".to_owned(), role: Role::Consulted };
        vault.members().revoke_role(&alice, change).await.unwrap();
        assert!(!there(&carol).await, "a role");

        let assigned = Tuple::agent_on_project(&demo, &builder);
        saved(&world, "project:demo", assigned.clone()).await;
        let change = AgentChange { project: "demo".to_owned(), agent: "builder".to_owned(), milestone: None };
        vault.members().unassign_agent(&alice, change).await.unwrap();
        assert!(!there(&assigned).await, "an assignment");

        let globex = Tuple::participant(&demo, &OrganizationId::parse("globex").unwrap());
        saved(&world, "project:demo", globex.clone()).await;
        vault.projects().remove_participant(&platform, "demo".to_owned(), "globex".to_owned()).await.unwrap();
        assert!(!there(&globex).await, "a participant");

        let dave = Tuple::role(&demo, Role::Informed, &person("dave"));
        saved(&world, "project:demo", dave.clone()).await;
        let same = NewMilestone { id: "demo-launch".to_owned(), project: "demo".to_owned(), phase: Phase::default() };
        vault.milestones().put(&platform, same).await.unwrap();
        assert!(!there(&dave).await, "what waited before a milestone");

        let left = Tuple::role(&nowhere, Role::Accountable, &person("zoe"));
        let mut tx = world.store.begin().await.unwrap();
        let write = TupleChange { write: vec![left.clone()], delete: vec![] };
        world.authorizer.apply(&mut tx, &write).await.unwrap();
        tx.commit().await.unwrap();
        saved(&world, "project:nowhere", left.clone()).await;
        vault.projects().delete(&platform, "nowhere".to_owned()).await.unwrap();
        assert!(!there(&left).await, "what a deleted project left");

        let of_acme = Tuple::agent_of(&acme, &builder);
        saved(&world, "agent:builder", of_acme.clone()).await;
        vault.members().unregister_agent(&platform, "builder".to_owned()).await.unwrap();
        assert!(!there(&of_acme).await, "an agent");

        let served = Tuple::runtime_of(&acme, &RuntimeId::parse("acme-runtime").unwrap());
        saved(&world, "runtime:acme-runtime", served.clone()).await;
        vault.members().unregister_runtime(&platform, "acme-runtime".to_owned()).await.unwrap();
        assert!(!there(&served).await, "a runtime");

        let audrey = Tuple::auditor_user(&person("audrey"));
        saved(&world, "vault", audrey.clone()).await;
        assert!(!vault.members().set_auditor(&Auditor::User(person("audrey")), false).await.unwrap());
        assert!(!there(&audrey).await, "an auditor");
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
    }
}
