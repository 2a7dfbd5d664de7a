//! An old row that is put back whole has a valid MAC, but its newest change event names another
//! revision.

use crate::support::{World, agent_asks, entry, runtime, tool_asks, user};
use project_vault::vault::{Break, Change, Rotation};

async fn rotate(world: &World, id: &str, value: &str) -> Result<(), project_vault::domain::Error> {
    let rotation =
        Rotation { id: id.to_owned(), value: value.into(), expires_at: Change::Keep, expected_revision: None };
    world.vault.entries().rotate(&user("bob"), rotation).await.map(drop)
}

both! {
    async fn an_old_row_put_back_is_refused_and_recorded(world: World) {
        world.demo().await;
        let id = world.vault.entries().create(&user("bob"), entry("TOKEN", "the leaked value")).await.unwrap().id.to_string();
        world.sql("CREATE TABLE kept AS SELECT * FROM entries").await.unwrap();
        rotate(&world, &id, "the new value").await.unwrap();
        let columns = "current_version = kept.current_version, revision = kept.revision, updated_at = kept.updated_at, mac = kept.mac";
        world.sql(&format!("UPDATE entries SET {columns} FROM kept WHERE kept.id = entries.id")).await.unwrap();

        let acme = runtime("acme-runtime");
        let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
        assert_eq!(world.vault.agents().resolve(&acme, asked).await.err().unwrap().code().as_str(), "INTERNAL");
        let failed = "SELECT count(*) AS n FROM audit_events WHERE outcome = 'FAILED' AND reason = 'INTERNAL' AND entry_name = 'TOKEN'";
        assert_eq!(world.number(failed).await, 1);
        assert_eq!(rotate(&world, &id, "laundered").await.unwrap_err().code().as_str(), "INTERNAL", "a change would sign it anew");
        assert!(matches!(world.breaks().await[..], [Break::Entry { row: 1, event: Some(2), .. }]));
    }
}
