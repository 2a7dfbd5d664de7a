//! The rules that the database enforces itself, whatever the code above it does.

use crate::support::{Backend, Database, World, entry, new_project, service, user};
use diesel::connection::SimpleConnection as _;
use diesel::result::{DatabaseErrorKind, Error, QueryResult};
use diesel::{Connection as _, SqliteConnection};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection};
use project_vault::domain::{Phase, Timestamp};
use project_vault::store::{self, Store, Tables};
use project_vault::vault::NewMilestone;
use std::any::Any;
use std::time::{Duration, Instant};
use uuid::Uuid;

#[track_caller]
fn refused(result: QueryResult<usize>, kind: &DatabaseErrorKind) {
    match result {
        Err(Error::DatabaseError(found, info)) => {
            // PostgreSQL tells them apart; SQLite's foreign keys may have a kind of their own or
            // none.
            assert_eq!(format!("{found:?}"), format!("{kind:?}"), "{}", info.message());
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Copies the only entry there is, under another id.
async fn copy_entry(world: &World, name: &str, deleted_at: &str) -> QueryResult<usize> {
    let columns = "project_id, milestone_id, description, category, expires_at, disabled, current_version, revision, \
                   rotation_interval_days, created_at, created_by, updated_at, updated_by, data_key_id, mac";
    let id = world.id(Uuid::now_v7());
    world
        .sql(&format!(
            "INSERT INTO entries (id, name, deleted_at, {columns}) \
             SELECT {id}, {name}, {deleted_at}, {columns} FROM entries WHERE deleted_at IS NULL LIMIT 1"
        ))
        .await
}

/// Another process that migrates, until it is dropped.
async fn migrating(url: &str) -> Box<dyn Any> {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let mut conn = SqliteConnection::establish(path).unwrap();
            conn.batch_execute("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE").unwrap();
            Box::new(conn)
        }
        None => {
            let mut conn = AsyncPgConnection::establish(url).await.unwrap();
            let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({})", 0x7076_6d69_6772_6174_i64);
            SimpleAsyncConnection::batch_execute(&mut conn, &lock).await.unwrap();
            Box::new(conn)
        }
    }
}

both! {
    async fn two_live_entries_of_one_name_in_a_scope_are_refused(world: World) {
        world.demo().await;
        for milestone in [None, Some("demo-launch".to_owned())] {
            let mut new = entry("TOKEN", "a-value");
            new.milestone = milestone;
            let id = world.vault.entries().create(&user("bob"), new).await.unwrap().id;
            refused(copy_entry(&world, "name", "NULL").await, &DatabaseErrorKind::UniqueViolation);
            assert_eq!(copy_entry(&world, "name", "1").await, Ok(1));
            assert_eq!(copy_entry(&world, "'OTHER'", "2").await, Ok(1));
            world.vault.entries().delete(&user("alice"), id.to_string()).await.unwrap();
        }
    }

    async fn a_version_twice_is_refused(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a-value")).await.unwrap();
        let again = world.sql("INSERT INTO versions SELECT * FROM versions").await;
        refused(again, &DatabaseErrorKind::UniqueViolation);
    }

    async fn an_entry_of_another_projects_milestone_is_refused(world: World) {
        world.demo().await;
        let platform = service("platform");
        let other = new_project("other", "alice");
        world.vault.projects().register(&platform, other).await.unwrap();
        let milestone = NewMilestone { id: "theirs".to_owned(), project: "other".to_owned(), phase: Phase::default() };
        world.vault.milestones().put(&platform, milestone).await.unwrap();
        world.vault.entries().create(&user("bob"), entry("TOKEN", "a-value")).await.unwrap();
        refused(
            world.sql("UPDATE entries SET milestone_id = 'theirs'").await,
            &DatabaseErrorKind::ForeignKeyViolation,
        );
        assert_eq!(world.sql("UPDATE entries SET milestone_id = 'demo-launch'").await, Ok(1));
    }

    async fn a_fresh_database_is_migrated_by_two_at_once(world: World) {
        let database = Database::new(world.backend).await;
        let (one, other) = (Store::open(&database.url, None).unwrap(), Store::open(&database.url, None).unwrap());
        assert_eq!(one.tables().await.unwrap(), Tables::Behind);
        let results = tokio::join!(one.migrate(), other.migrate());
        assert!(matches!(results, (Ok(()), Ok(()))), "{results:?}");
        assert_eq!(one.tables().await.unwrap(), Tables::Current);
        one.migrate().await.unwrap();
        assert!(one.conn().await.unwrap().outbox_partitions().await.unwrap().is_empty());
    }

    async fn a_set_up_waits_for_another_however_long_it_takes(world: World) {
        let database = Database::new(world.backend).await;
        let (fresh, url) = (Store::open(&database.url, None).unwrap(), database.url.clone());
        let another_server = Store::open(world.url(), None).unwrap();
        let longer_than_a_request_waits = Duration::from_secs(6);
        let others = async {
            let migrating = migrating(&url).await;
            let mut set_up = another_server.begin().await.unwrap();
            set_up.lock_name("setup:openfga").await.unwrap();
            tokio::time::sleep(longer_than_a_request_waits).await;
            drop((migrating, set_up));
        };
        let ours = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let set_up = async {
                match world.backend {
                    Backend::Sqlite => world.installation().set_up_embedded(project_vault::vault::ExistingRows::Refuse).await.unwrap(),
                    Backend::Postgres => {
                        world.installation().set_up_openfga(&world.openfga().unwrap(), project_vault::vault::ExistingRows::Refuse).await.unwrap();
                    }
                }
            };
            tokio::join!(async { fresh.migrate().await.unwrap() }, set_up);
        };
        let started = Instant::now();
        tokio::join!(others, ours);
        assert!(started.elapsed() >= longer_than_a_request_waits);
    }

    async fn an_installation_that_keeps_what_it_answered_is_taken(world: World) {
        world.store.require_durable().await.unwrap();
    }

    async fn one_that_would_lose_what_it_answered_is_refused_also_later(world: World) {
        if world.backend == Backend::Sqlite {
            return;
        }
        world.demo().await;
        let database = world.url().rsplit('/').next().unwrap();
        world.sql(&format!("ALTER DATABASE {database} SET synchronous_commit = off")).await.unwrap();
        let refused = Store::open(world.url(), None).unwrap().require_durable().await;
        assert!(matches!(refused, Err(store::Error::Refused(_))), "{refused:?}");
        let refused = world.another_server().entries().create(&user("bob"), entry("TOKEN", "v")).await.err().unwrap();
        assert_eq!(refused.code().as_str(), "UNAVAILABLE");
        world.sql(&format!("ALTER DATABASE {database} SET synchronous_commit = remote_apply")).await.unwrap();
        world.another_server().entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
    }

    async fn a_transaction_that_is_dropped_leaves_nothing_and_holds_nobody_up(world: World) {
        let now = Timestamp::from_millis(1);
        // So many connections that the one with the open transaction would not be the next to be
        // used again.
        let idle = futures::future::join_all((0..4).map(|_| world.store.conn())).await;
        drop(idle);
        let other_server = Store::open(world.url(), None).unwrap();
        for _ in 0..4 {
            let started = Instant::now();
            let mut tx = world.store.begin().await.unwrap();
            tx.lock_name("lane").await.unwrap();
            tx.push_outbox("lane", "{}", b"mac", now).await.unwrap();
            drop(tx);
            let mut tx = other_server.begin().await.unwrap();
            tx.lock_name("lane").await.unwrap();
            assert!(tx.outbox_of("lane").await.unwrap().is_empty());
            tx.rollback().await.unwrap();
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
        let mut tx = world.store.begin().await.unwrap();
        tx.push_outbox("lane", "{}", b"mac", now).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM outbox").await, 1);
    }
}
