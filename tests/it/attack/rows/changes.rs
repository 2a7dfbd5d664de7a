//! Old rows that are put back, events that are removed or changed to let them pass, and entries
//! that are removed by hand.

use super::resolved;
use crate::support::{Backend, World, entry, service, user};
use futures::future::join_all;
use project_vault::permission::Operator;
use project_vault::store::Store;
use project_vault::store::records::Values;
use project_vault::vault::{Break, NewEntry};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The demo with TOKEN, whose leaked value was rotated away, and what there was before that under
/// the name `old`.
async fn rotated(world: &World) -> project_vault::domain::EntryId {
    world.demo().await;
    let id = world.add("TOKEN", "the leaked value").await;
    world.add("OTHER", "another").await;
    world.keep("old").await;
    world.rotate(id, "the new value").await.unwrap();
    id
}

const ENTRY_TABLES: [&str; 3] = ["entries", "versions", "ciphertexts"];

/// Columns of an event, with another value each.
const EVENT_CHANGES: &[&str] = &[
    "occurred_at = occurred_at + 1",
    "project_id = 'other'",
    "project_id = NULL",
    "action = 'ENTRY_UPDATED'",
    "outcome = 'FAILED'",
    "reason = 'EXPIRED'",
    "count = 2",
    "actor = 'user:mallory'",
    "subject = NULL",
    "subject = 'data-key:00000000-0000-0000-0000-000000000000'",
    "role = 'INFORMED'",
    "agent_id = 'deployer'",
    "entry_id = NULL",
    "entry_name = 'OTHER'",
    "entry_version = 7",
    "entry_revision = 7",
    "milestone_id = 'demo-launch'",
    "purpose = 'CODING_SESSION'",
    "session_id = 's'",
    "tool = 't'",
    "request_id = 'r'",
    "seq = seq + 1000",
    "prev = mac",
    "mac = prev",
];

both! {
    async fn a_resolve_checks_every_column_of_the_newest_change(world: World) {
        rotated(&world).await;
        let whole = Ok(vec!["OTHER=another".to_owned(), "TOKEN=the new value".to_owned()]);
        assert_eq!(resolved(&world.vault).await, whole);
        let of = "WHERE action = 'ENTRY_ROTATED'";
        let changes: Vec<String> =
            EVENT_CHANGES.iter().map(|change| format!("UPDATE audit_events SET {change} {of}")).collect();
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        world.each_change(&changes, async |change| {
            // A server that has seen nothing yet.
            assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "{change}");
        }).await;
        assert_eq!(resolved(&world.vault).await, whole);
    }

    async fn an_entry_without_its_newest_change_is_refused(world: World) {
        rotated(&world).await;
        let changes = ["UPDATE audit_events SET entry_revision = NULL", "DELETE FROM audit_events"];
        let of = "WHERE entry_revision IS NOT NULL AND entry_name = 'TOKEN'";
        let changes = changes.map(|change| format!("{change} {of}"));
        world.each_change(&[changes[0].as_str(), changes[1].as_str()], async |change| {
            assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "{change}");
            assert_ne!(world.found_broken().await, [], "{change}");
        }).await;
    }

    async fn an_entry_of_which_a_part_is_removed_is_refused_and_not_absent(world: World) {
        rotated(&world).await;
        let token = "(SELECT id FROM entries WHERE name = 'TOKEN')";
        world.keep("whole").await;
        for removal in [
            format!("DELETE FROM versions WHERE version = 2 AND entry_id = {token}"),
            format!("DELETE FROM ciphertexts WHERE version = 2 AND entry_id = {token}"),
            "DELETE FROM data_keys".to_owned(),
            "DELETE FROM audit_events WHERE action = 'ENTRY_ROTATED'".to_owned(),
        ] {
            world.by_hand(&removal).await;
            assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "{removal}");
            world.put_back("whole", &["data_keys", "versions", "ciphertexts", "audit_events"]).await;
        }
        assert!(resolved(&world.another_server()).await.is_ok());
    }

    async fn old_rows_are_refused_by_a_server_that_knows_better_even_without_the_newer_event(world: World) {
        let id = rotated(&world).await;
        for forget in [
            "UPDATE audit_events SET entry_revision = NULL WHERE action = 'ENTRY_ROTATED'",
            "DELETE FROM audit_events WHERE action = 'ENTRY_ROTATED'",
        ] {
            world.keep("now").await;
            world.by_hand(forget).await;
            world.put_back("old", &ENTRY_TABLES).await;
            // It rotated the value itself, and answered nobody since.
            assert_eq!(resolved(&world.vault).await, Err("INTERNAL"), "{forget}");
            assert_eq!(world.rotate(id, "laundered").await.unwrap_err().code().as_str(), "INTERNAL", "{forget}");
            assert_ne!(world.found_broken().await, [], "{forget}");
            world.put_back("now", &ENTRY_TABLES).await;
            // The refused resolve left an event, which stays.
            world.by_hand("DELETE FROM audit_events WHERE action = 'ENTRY_ROTATED'").await;
            world.by_hand("INSERT INTO audit_events SELECT * FROM now_audit_events WHERE action = 'ENTRY_ROTATED'").await;
            for table in super::TABLES {
                world.by_hand(&format!("DROP TABLE now_{table}")).await;
            }
            assert_eq!(world.found_broken().await, [], "{forget} taken back");
        }
        let other = world.another_server();
        assert!(resolved(&other).await.is_ok(), "another one has seen it when it was asked");
        world.by_hand("DELETE FROM audit_events WHERE action = 'ENTRY_ROTATED'").await;
        world.put_back("old", &ENTRY_TABLES).await;
        assert_eq!(resolved(&other).await, Err("INTERNAL"));
    }

    async fn everything_of_a_project_put_back_shows_and_is_refused_by_a_server_that_knows_better(world: World) {
        rotated(&world).await;
        world.vault.audit().sign_head().await.unwrap();
        // Entries, versions, ciphertexts and data keys, and no event of the project that is newer.
        world.by_hand(
            "DELETE FROM audit_events WHERE project_id = 'demo' AND id NOT IN (SELECT id FROM old_audit_events)"
        ).await;
        world.put_back("old", &["data_keys", "replaced_data_keys", "entries", "versions", "ciphertexts"]).await;
        assert_eq!(resolved(&world.vault).await, Err("INTERNAL"));
        let broken = world.found_broken().await;
        let shows = |one: &Break| matches!(one, Break::Removed { .. } | Break::Truncated { .. } | Break::Replaced { .. });
        assert!(broken.iter().any(shows), "{broken:?}");
    }

    async fn a_change_that_commits_while_rows_are_read_is_no_failure(world: World) {
        let id = rotated(&world).await;
        let vault = &world.vault;
        let changes = async {
            for n in 0..20 {
                world.rotate(id, &format!("value {n}")).await.unwrap();
            }
        };
        let reads = join_all((0..8).map(|_| async {
            for _ in 0..15 {
                assert!(resolved(vault).await.is_ok());
            }
        }));
        futures::join!(changes, reads);
        assert_eq!(world.found_broken().await, []);
    }

    async fn a_row_that_was_put_back_is_not_signed_anew_by_a_rotation_of_data_keys(world: World) {
        let id = rotated(&world).await;
        world.put_back("old", &ENTRY_TABLES).await;
        let operator = Operator::at_the_shell();
        // A command that has seen nothing.
        let replaced =
            world.another_server().rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
        assert_eq!((replaced.entries, replaced.left), (1, vec![id]));
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
    }

    async fn retention_keeps_the_newest_change_whatever_row_is_put_back(world: World) {
        rotated(&world).await;
        world.put_back("old", &ENTRY_TABLES).await;
        world.clock.advance(DAY * 40);
        world.vault.audit().sweep(DAY * 30).await.unwrap();
        let left = "SELECT count(*) AS n FROM audit_events WHERE action = 'ENTRY_ROTATED'";
        assert_eq!(world.number(left).await, 1, "it is not erased because an old row does not name it");
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
        let broken = world.found_broken().await;
        assert!(matches!(broken[..], [Break::Entry { row: 1, event: Some(2), .. }]), "{broken:?}");
    }

    async fn an_entry_that_is_removed_renamed_moved_or_revived_by_hand_shows(world: World) {
        let id = rotated(&world).await;
        let new = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "m") };
        world.vault.entries().create(&user("bob"), new).await.unwrap();
        let gone = world.add("GONE", "of a deleted one").await;
        world.vault.entries().delete(&user("alice"), gone.to_string()).await.unwrap();
        assert_eq!(world.found_broken().await, []);
        world.keep("whole").await;
        for (change, expected) in [
            ("DELETE FROM entries WHERE name = 'TOKEN'", "its row is gone"),
            ("UPDATE entries SET name = 'RENAMED' WHERE name = 'TOKEN'", "another name"),
            ("UPDATE entries SET milestone_id = 'demo-launch' WHERE name = 'TOKEN'", "another milestone"),
            ("UPDATE entries SET milestone_id = NULL WHERE name = 'PHASED'", "another milestone"),
            ("UPDATE entries SET project_id = 'elsewhere' WHERE name = 'TOKEN'", "another project"),
            ("UPDATE entries SET current_version = 1 WHERE name = 'TOKEN'", "another version"),
            ("UPDATE entries SET deleted_at = 1 WHERE name = 'TOKEN'", "another state"),
            ("UPDATE entries SET deleted_at = NULL WHERE name = 'GONE'", "another state"),
            ("UPDATE entries SET disabled = NOT disabled WHERE name = 'TOKEN'", "not authentic"),
            ("UPDATE entries SET expires_at = 1 WHERE name = 'TOKEN'", "not authentic"),
            ("UPDATE entries SET category = 'PASSWORD' WHERE name = 'TOKEN'", "not authentic"),
            ("UPDATE entries SET revision = 1 WHERE name = 'TOKEN'", "revision 1, its newest change event revision 2"),
        ] {
            world.by_hand(change).await;
            let broken: Vec<String> = world.found_broken().await.iter().map(ToString::to_string).collect();
            assert!(broken.len() == 1 && broken[0].contains(expected), "{change}: {broken:?}");
            world.put_back("whole", &["entries"]).await;
        }
        // A row that nobody made.
        let copy = world.id(uuid::Uuid::now_v7());
        let columns = "project_id, milestone_id, description, category, expires_at, disabled, deleted_at, current_version, revision, \
                       rotation_interval_days, created_at, created_by, updated_at, updated_by, data_key_id, mac";
        world.by_hand(&format!("INSERT INTO entries (id, name, {columns}) SELECT {copy}, 'COPY', {columns} FROM entries WHERE name = 'TOKEN'")).await;
        let broken = world.found_broken().await;
        assert!(matches!(broken[..], [Break::Entry { row: 2, event: None, entry }] if entry != id), "{broken:?}");
    }

    async fn what_was_deleted_as_it_should_be_is_no_break_and_does_not_come_back(world: World) {
        let id = rotated(&world).await;
        let new = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "m") };
        world.vault.entries().create(&user("bob"), new).await.unwrap();
        let platform = service("platform");
        world.keep("before").await;
        world.vault.milestones().delete(&platform, "demo-launch".to_owned()).await.unwrap();
        world.vault.entries().delete(&user("alice"), id.to_string()).await.unwrap();
        world.vault.entries().purge(&user("alice"), id.to_string()).await.unwrap();
        assert_eq!(world.found_broken().await, []);
        world.keep("after").await;
        // The purged entry, as it was while it lived.
        world.by_hand(
            "INSERT INTO entries SELECT * FROM before_entries WHERE name = 'TOKEN'; \
             INSERT INTO versions SELECT * FROM before_versions WHERE entry_id IN (SELECT id FROM entries WHERE name = 'TOKEN'); \
             INSERT INTO ciphertexts SELECT * FROM before_ciphertexts WHERE entry_id IN (SELECT id FROM entries WHERE name = 'TOKEN')"
        ).await;
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
        assert!(matches!(world.found_broken().await[..], [Break::Entry { row: 2, event: Some(4), .. }]));
        world.put_back("after", &ENTRY_TABLES).await;
        world.vault.projects().delete(&platform, "demo".to_owned()).await.unwrap();
        assert_eq!(world.found_broken().await, []);
    }
}

/// The texts of the statements that a store sends.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl diesel::connection::Instrumentation for Statements {
    fn on_connection_event(&mut self, event: diesel::connection::InstrumentationEvent<'_>) {
        if let diesel::connection::InstrumentationEvent::StartQuery { query, .. } = event {
            self.0.lock().unwrap().push(query.to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolve_finds_every_row_by_an_index() {
    let world = World::new(Backend::Sqlite).await;
    rotated(&world).await;
    let seen = Statements::default();
    let tap = seen.clone();
    let store = Store::open(world.url(), Some(Arc::new(move || Box::new(tap.clone())))).unwrap();
    let names = ["TOKEN".to_owned(), "OTHER".to_owned()];
    let mut conn = store.conn().await.unwrap();
    let found =
        conn.candidates(&World::project(), Some(&World::milestone()), Some(&names), Values::None).await.unwrap();
    assert_eq!((found.entries.len(), found.incomplete.len()), (2, 0));
    let statements = seen.0.lock().unwrap().clone();
    let statement = statements.iter().find(|sql| sql.contains("audit_events")).unwrap();
    let statement = statement.split(" -- binds").next().unwrap();
    #[derive(diesel::QueryableByName)]
    struct Step {
        #[diesel(sql_type = diesel::sql_types::Text)]
        detail: String,
    }
    let mut conn =
        <diesel::SqliteConnection as diesel::Connection>::establish(world.url().strip_prefix("sqlite:").unwrap())
            .unwrap();
    let plan: Vec<Step> =
        diesel::RunQueryDsl::load(diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}")), &mut conn).unwrap();
    let plan: Vec<&str> = plan.iter().map(|step| step.detail.as_str()).collect();
    // The rows of the statement itself are numbered, so that the listing is in one of them.
    let scan =
        |step: &str| step.starts_with("SCAN") && !step.contains("json_each") && !step.starts_with("SCAN (subquery");
    let bad = |step: &&&str| scan(step) || step.contains("MATERIALIZE") || step.contains("AUTOMATIC");
    assert_eq!(plan.iter().filter(bad).count(), 0, "{plan:#?}");
    let change = plan.iter().filter(|step| step.contains("audit_events_change")).count();
    assert_eq!(change, 2, "the event of the row's revision, and the newest one: {plan:#?}");
}
