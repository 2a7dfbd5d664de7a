//! Queues: many requests for the same thing do not block the others.

use crate::support::{
    Backend, Gate, World, agent_asks, entry, in_time, new_project, openfga_url, runtime, service, tool_asks, user,
};
use project_vault::authz::OpenFgaConfig;
use project_vault::domain::Role;
use project_vault::store::Store;
use project_vault::vault::{NewEntry, RoleChange, Vault};
use serde_json::json;
use std::time::{Duration, Instant};

fn role(project: &str, user: &str) -> RoleChange {
    RoleChange { project: project.to_owned(), user: user.to_owned(), role: Role::Informed }
}

both! {
    async fn who_waits_for_a_project_holds_up_nobody_else(world: World) {
        world.demo().await;
        let other = new_project("other", "zoe");
        world.vault.projects().register(&service("platform"), other).await.unwrap();
        let another_server = Store::open(world.url(), None).unwrap();
        let mut held = another_server.begin().await.unwrap();
        held.lock_project(&World::project()).await.unwrap();
        held.lock_name("project:demo").await.unwrap();
        let entries: Vec<_> = (0..30)
            .map(|n| {
                let vault = world.vault.clone();
                tokio::spawn(async move { vault.entries().create(&user("bob"), entry(&format!("N_{n}"), "v")).await.map(drop) })
            })
            .collect();
        let roles: Vec<_> = (0..10)
            .map(|n| {
                let vault = world.vault.clone();
                tokio::spawn(async move {
                    vault.members().assign_role(&user("alice"), role("demo", &format!("friend-{n}"))).await.map(drop)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let started = Instant::now();
        let query = "{ projectVault(projectId: \"demo\") { entries { totalCount } } }";
        assert_eq!(*world.ask(&user("bob"), query, json!({})).await.ok("/projectVault/entries/totalCount"), json!(0));
        // SQLite has one lock for all that write.
        if world.backend == Backend::Postgres {
            world.vault.members().assign_role(&user("zoe"), role("other", "friend")).await.unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        held.rollback().await.unwrap();
        for change in entries.into_iter().chain(roles) {
            change.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_change_costs_no_connection() {
    in_time(Backend::Postgres, async |world| {
        world.demo().await;
        let bob = user("bob");
        world.vault.entries().create(&bob, entry("TOKEN", "v")).await.unwrap();
        let opened = world.connections();
        for _ in 0..20 {
            let refused = world.vault.entries().create(&bob, entry("TOKEN", "v")).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "CONFLICT");
        }
        // One may still end its transaction while the next begins.
        assert!(world.connections() <= opened + 1, "{} more connections", world.connections() - opened);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_wait_for_the_authorizer_leave_connections_for_resolves() {
    let gate = Gate::to(&openfga_url()).await;
    let store = format!("t-{}", uuid::Uuid::now_v7().simple());
    let world = World::with_openfga(&OpenFgaConfig { url: gate.url.clone(), store, token: None }).await;
    world.demo().await;
    let age = Duration::from_secs(600);
    let authorizer = world.authorizer.clone().with_max_age(age, world.clock.clone());
    let vault = Vault::of(world.installation(), authorizer, Duration::ZERO);
    vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
    // As many changes as there are connections, each in a project of its own, so that none waits
    // for another one's lock.
    let projects: Vec<String> = (0..16).map(|n| format!("p-{n}")).collect();
    let one_more = |project: &str, name: &str| NewEntry { project: project.to_owned(), ..entry(name, "v") };
    for project in &projects {
        let new = new_project(project, "zoe");
        vault.projects().register(&service("platform"), new).await.unwrap();
    }
    // Now the decisions are remembered that a change asks for before its transaction, and a
    // resolve.
    let asked = || tool_asks(agent_asks("builder", &["TOKEN"]));
    vault.agents().resolve(&runtime("acme-runtime"), asked()).await.unwrap();
    for project in &projects {
        vault.entries().create(&user("zoe"), one_more(project, "FIRST")).await.unwrap();
    }

    gate.shut();
    let changes: Vec<_> = projects
        .iter()
        .map(|project| {
            let (vault, new) = (vault.clone(), one_more(project, "SECOND"));
            tokio::spawn(async move { vault.entries().create(&user("zoe"), new).await.map(drop) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..5 {
        let started = Instant::now();
        vault.agents().resolve(&runtime("acme-runtime"), asked()).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
    assert!(changes.iter().all(|change| !change.is_finished()), "the changes still wait for the authorizer");
    gate.open();
    let mut done = 0;
    for change in changes {
        match change.await.unwrap() {
            Ok(()) => done += 1,
            Err(error) => assert_eq!(error.code().as_str(), "UNAVAILABLE"),
        }
    }
    assert!(done >= 4, "those that held a permit are done: {done}");
}
