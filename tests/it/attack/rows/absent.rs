//! A live entry that was made absent by hand is missed, and so is the phase of a milestone that was
//! put back: a resolve by name, a session and a preview release nothing, and the failure is
//! recorded.

use super::{broken_of, resolved, resolved_on_milestone, values};
use crate::support::{World, agent_asks, entry, runtime, service, tool_asks, user};
use project_vault::domain::{Category, Phase, ProjectStatus, Timestamp};
use project_vault::vault::{
    AgentQuestion, Change, EntryChanges, Import, NewEntry, NewMilestone, OnConflict, Rollback, Vault,
};
use std::time::Duration;

/// The demo with TOKEN in the project and in its milestone, and OTHER.
async fn scene(world: &World) {
    world.demo().await;
    let token = world.add("TOKEN", "the leaked value").await;
    world.rotate(token, "the project's").await.unwrap();
    world.add("OTHER", "another").await;
    let phased = NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("TOKEN", "the milestone's") };
    world.vault.entries().create(&user("bob"), phased).await.unwrap();
}

/// What `deployer` is answered for these names, with the milestone.
fn question(names: Option<&[&str]>) -> AgentQuestion {
    let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    AgentQuestion { names, milestone: Some("demo-launch".to_owned()), ..agent_asks("deployer", &[]) }
}

async fn by_name(vault: &Vault, names: &[&str]) -> Result<Vec<String>, &'static str> {
    values(vault.agents().resolve(&runtime("globex-runtime"), tool_asks(question(Some(names)))).await)
}

async fn previewed(vault: &Vault, caller: &project_vault::vault::Caller) -> Result<(), &'static str> {
    let answer = vault.agents().preview(caller, question(Some(&["TOKEN"]))).await;
    answer.map(drop).map_err(|error| error.code().as_str())
}

async fn failures(world: &World) -> i64 {
    world.number("SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED' AND reason = 'INTERNAL'").await
}

/// The milestone's TOKEN.
const OF_MILESTONE: &str = "milestone_id = 'demo-launch'";

impl World {
    /// Takes the rows of the entry with them, so that it is as if it had never been.
    async fn remove_with_events(&self, entries: &str) {
        let ids = format!("(SELECT id FROM entries WHERE {entries})");
        for table in ["versions", "ciphertexts", "entry_usage"] {
            self.by_hand(&format!("DELETE FROM {table} WHERE entry_id IN {ids}")).await;
        }
        self.by_hand(&format!("DELETE FROM audit_events WHERE entry_id IN {ids}")).await;
        self.by_hand(&format!("DELETE FROM entries WHERE {entries}")).await;
    }
}

both! {
    async fn a_phase_put_back_while_the_milestone_has_no_entry_is_refused_when_one_is_added(world: World) {
        world.demo().await;
        let phased = || NewEntry { milestone: Some("demo-launch".to_owned()), ..entry("PHASED", "v") };
        let id = world.vault.entries().create(&user("bob"), phased()).await.unwrap().id.to_string();
        world.vault.entries().delete(&user("alice"), id.clone()).await.unwrap();
        world.by_hand("CREATE TABLE kept AS SELECT * FROM milestones").await;
        world.vault.milestones().close(&user("alice"), "demo-launch".to_owned()).await.unwrap();
        world.by_hand("DELETE FROM milestones; INSERT INTO milestones SELECT * FROM kept").await;
        let created = world.vault.entries().create(&user("bob"), phased()).await;
        assert_eq!(created.err().unwrap().code().as_str(), "INTERNAL");
        let restored = world.vault.entries().restore(&user("alice"), id).await;
        assert_eq!(restored.err().unwrap().code().as_str(), "INTERNAL");
        assert_eq!(resolved_on_milestone(&world.another_server()).await, Err("INTERNAL"));
        assert_eq!(broken_of(&world).await.len(), 1);
    }

    async fn an_entry_made_absent_by_hand_is_missed_by_whoever_asks_for_it(world: World) {
        scene(&world).await;
        assert_eq!(by_name(&world.vault, &["TOKEN"]).await, Ok(vec!["TOKEN=the milestone's".to_owned()]));
        world.keep("whole").await;
        for change in [
            format!("UPDATE entries SET name = 'RENAMED' WHERE {OF_MILESTONE}"),
            format!("UPDATE entries SET deleted_at = 5 WHERE {OF_MILESTONE}"),
            format!("DELETE FROM entries WHERE {OF_MILESTONE}"),
            format!("UPDATE entries SET milestone_id = 'elsewhere' WHERE {OF_MILESTONE}"),
            format!("UPDATE entries SET project_id = 'elsewhere' WHERE {OF_MILESTONE}"),
        ] {
            world.by_hand(&change).await;
            let failed = failures(&world).await;
            // One that has answered already, and one that starts now.
            for vault in [&world.vault, &world.another_server()] {
                assert_eq!(by_name(vault, &["TOKEN"]).await, Err("INTERNAL"), "{change}: the project's is not let through");
                assert_eq!(resolved_on_milestone(vault).await, Err("INTERNAL"), "{change}");
                assert_eq!(previewed(vault, &runtime("globex-runtime")).await, Err("INTERNAL"), "{change}");
                assert_eq!(previewed(vault, &user("bob")).await, Err("INTERNAL"), "{change}");
                assert_eq!(by_name(vault, &["OTHER"]).await, Ok(vec!["OTHER=another".to_owned()]), "{change}");
            }
            assert_eq!(failures(&world).await, failed + 8, "{change}");
            assert_eq!(broken_of(&world).await.len(), 1, "{change}: {:?}", broken_of(&world).await);
            world.put_back("whole", &["entries"]).await;
            assert_eq!(broken_of(&world).await, [] as [String; 0], "{change} taken back");
        }
    }

    async fn an_entry_removed_with_everything_that_tells_of_it_is_missed(world: World) {
        scene(&world).await;
        world.vault.audit().sign_head().await.unwrap();
        world.remove_with_events(OF_MILESTONE).await;
        let server = world.another_server();
        assert_eq!(by_name(&server, &["TOKEN"]).await, Err("INTERNAL"));
        assert_eq!(resolved_on_milestone(&server).await, Err("INTERNAL"));
        // What the milestone does not decide is answered.
        assert_eq!(resolved(&server).await, Ok(vec!["OTHER=another".to_owned(), "TOKEN=the project's".to_owned()]));
        let broken = broken_of(&world).await;
        assert!(broken.iter().any(|one| one.contains("\"TOKEN\" of project demo) is listed")), "{broken:?}");
    }

    async fn a_name_whose_entry_was_removed_by_hand_is_not_given_to_another_one(world: World) {
        scene(&world).await;
        world.remove_with_events("name = 'OTHER'").await;
        let created = world.vault.entries().create(&user("bob"), entry("OTHER", "laundered")).await;
        assert_eq!(created.err().map(|error| error.code().as_str()), Some("INTERNAL"));
        world.add("NEW", "v").await;
        assert_eq!(by_name(&world.vault, &["OTHER"]).await, Err("INTERNAL"), "a change of another entry signs nothing away");
    }

    async fn an_old_row_of_an_entry_without_its_newer_events_is_not_listed(world: World) {
        world.demo().await;
        let token = world.add("TOKEN", "the leaked value").await;
        world.keep("old").await;
        world.rotate(token, "the new value").await.unwrap();
        world.by_hand("DELETE FROM audit_events WHERE action = 'ENTRY_ROTATED'").await;
        world.put_back("old", &["entries", "versions", "ciphertexts"]).await;
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"), "a server that has seen nothing");
    }

    async fn a_project_and_a_phase_put_back_as_they_were_are_refused(world: World) {
        scene(&world).await;
        let platform = service("platform");
        let put = async |closes_at: Option<Timestamp>| {
            let (id, project) = ("demo-launch".to_owned(), "demo".to_owned());
            let phase = Phase { opens_at: None, closes_at };
            world.vault.milestones().put(&platform, NewMilestone { id, project, phase }).await.unwrap();
        };
        world.keep("open").await;
        put(Some(Timestamp::from_millis(5))).await;
        let closed = Ok(vec!["OTHER=another".to_owned(), "TOKEN=the project's".to_owned()]);
        assert_eq!(resolved_on_milestone(&world.vault).await, closed);
        world.keep("closed").await;
        // The milestone alone.
        world.put_back("open", &["milestones"]).await;
        assert_eq!(resolved_on_milestone(&world.another_server()).await, Err("INTERNAL"));
        assert_eq!(broken_of(&world).await.len(), 1, "{:?}", broken_of(&world).await);
        // With the project's row, which a server that has seen a newer one refuses.
        world.put_back("open", &["projects"]).await;
        assert_eq!(resolved_on_milestone(&world.vault).await, Err("INTERNAL"));
        world.put_back("closed", &["milestones", "projects"]).await;
        assert_eq!(resolved_on_milestone(&world.another_server()).await, closed);

        // A project that was active.
        world.keep("active").await;
        world.vault.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Paused).await.unwrap();
        assert_eq!(resolved(&world.vault).await, Err("FORBIDDEN"));
        world.put_back("active", &["projects"]).await;
        assert_eq!(resolved(&world.vault).await, Err("INTERNAL"));
    }

    async fn a_row_of_a_project_that_was_changed_by_hand_is_not_signed_anew(world: World) {
        scene(&world).await;
        for change in [
            "UPDATE projects SET status = 'PAUSED'",
            "UPDATE projects SET environment_names = 'SUFFIXED'",
            "UPDATE projects SET listing = NULL",
        ] {
            world.keep("whole").await;
            world.by_hand(change).await;
            let vault = &world.vault;
            let platform = service("platform");
            let status = vault.projects().set_status(&platform, "demo".to_owned(), ProjectStatus::Completed).await;
            assert_eq!(status.err().map(|error| error.code().as_str()), Some("INTERNAL"), "{change}");
            let created = vault.entries().create(&user("bob"), entry("NEW", "v")).await;
            assert_eq!(created.err().map(|error| error.code().as_str()), Some("INTERNAL"), "{change}");
            let closed = vault.milestones().close(&user("alice"), "demo-launch".to_owned()).await;
            assert_eq!(closed.err().map(|error| error.code().as_str()), Some("INTERNAL"), "{change}");
            world.put_back("whole", &["projects"]).await;
            for table in super::TABLES {
                world.by_hand(&format!("DROP TABLE whole_{table}")).await;
            }
        }
        // A deletion needs none of it.
        world.by_hand("UPDATE projects SET status = 'PAUSED'").await;
        world.vault.projects().delete(&service("platform"), "demo".to_owned()).await.unwrap();
        assert_eq!(broken_of(&world).await, [] as [String; 0]);
    }

    async fn a_project_whose_row_is_gone_is_named(world: World) {
        scene(&world).await;
        world.by_hand("DELETE FROM projects").await;
        assert!(resolved(&world.another_server()).await.is_err());
        let broken = broken_of(&world).await;
        assert!(broken.iter().any(|one| one.contains("its row is gone")), "{broken:?}");
    }

    async fn changes_of_two_servers_at_once_are_all_listed(world: World) {
        world.demo().await;
        let other = world.another_server();
        let bob = user("bob");
        let create = async |vault: &Vault, name: String| vault.entries().create(&bob, entry(&name, "v")).await.unwrap();
        let creations = (0..12).map(|n| create(if n % 2 == 0 { &world.vault } else { &other }, format!("N_{n}")));
        futures::future::join_all(creations).await;
        assert_eq!(broken_of(&world).await, [] as [String; 0]);
        assert_eq!(resolved(&world.another_server()).await.map(|values| values.len()), Ok(12));
    }

    async fn everything_that_changes_entries_keeps_the_listing(world: World) {
        scene(&world).await;
        let vault = &world.vault;
        let (alice, platform) = (user("alice"), service("platform"));
        let id = world.add("LIFE", "v").await.to_string();
        let check = async |what: &str| {
            assert_eq!(broken_of(&world).await, [] as [String; 0], "{what}");
            assert!(resolved_on_milestone(&world.another_server()).await.is_ok(), "{what}");
        };
        let import = |dotenv: &str, milestone: Option<&str>| Import {
            project: "demo".to_owned(),
            milestone: milestone.map(str::to_owned),
            dotenv: dotenv.into(),
            category: Category::Secret,
            on_conflict: OnConflict::Rotate,
        };
        vault.entries().import(&alice, import("LIFE=w\nB=2\nC=3", None)).await.unwrap();
        vault.entries().import(&alice, import("TOKEN=the milestone's\nD=4", Some("demo-launch"))).await.unwrap();
        check("imported").await;
        let rename = EntryChanges {
            id: id.clone(),
            name: Change::Set("RENAMED".to_owned()),
            description: Change::Keep,
            category: Change::Keep,
            expires_at: Change::Keep,
            rotation_interval_days: Change::Keep,
            expected_revision: None,
        };
        vault.entries().update(&alice, rename).await.unwrap();
        let rollback = Rollback { id: id.clone(), version: 1, expected_revision: None };
        vault.entries().roll_back(&alice, rollback).await.unwrap();
        check("renamed and rolled back").await;
        vault.entries().disable(&alice, id.clone()).await.unwrap();
        check("disabled").await;
        vault.entries().delete(&alice, id.clone()).await.unwrap();
        check("deleted").await;
        vault.entries().restore(&alice, id.clone()).await.unwrap();
        check("restored").await;
        vault.entries().delete(&alice, id.clone()).await.unwrap();
        world.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
        world.vault.sweeper().sweep().await.unwrap();
        vault.audit().sign_head().await.unwrap();
        check("erased").await;
        vault.milestones().close(&alice, "demo-launch".to_owned()).await.unwrap();
        check("closed").await;
        let operator = project_vault::permission::Operator::at_the_shell();
        vault.rotation().replace_data_keys(&operator, &World::project(), &|_, _| {}).await.unwrap();
        check("under another data key").await;
        vault.milestones().delete(&platform, "demo-launch".to_owned()).await.unwrap();
        assert_eq!(broken_of(&world).await, [] as [String; 0], "without the milestone");
        assert!(resolved(&world.another_server()).await.is_ok());
    }
}
