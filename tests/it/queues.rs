//! Waiting: many who want the same thing leave room for everybody else.

use crate::support::{Backend, World, entry, in_time, service, user};
use project_vault::domain::{ProjectStatus, Role};
use project_vault::store::Store;
use project_vault::vault::{NewProject, RoleChange};
use serde_json::json;
use std::time::{Duration, Instant};

fn role(project: &str, user: &str) -> RoleChange {
    RoleChange { project: project.to_owned(), user: user.to_owned(), role: Role::Informed }
}

both! {
    async fn who_waits_for_a_project_holds_up_nobody_else(world: World) {
        world.demo().await;
        let other = NewProject {
            project: "other".to_owned(),
            participants: vec!["acme".to_owned()],
            accountable: vec!["zoe".to_owned()],
            status: ProjectStatus::Active,
        };
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
            assert_eq!(refused.code(), "CONFLICT");
        }
        // One may still end its transaction while the next begins.
        assert!(world.connections() <= opened + 1, "{} more connections", world.connections() - opened);
    })
    .await;
}
