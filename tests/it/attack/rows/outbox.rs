//! Changes of tuples that are lost between their commit and their application are not answered as
//! done.

use super::resolved;
use crate::support::{Backend, World, user};
use project_vault::vault::AgentChange;
use std::sync::atomic::{AtomicBool, Ordering};

fn builder() -> AgentChange {
    AgentChange { project: "demo".to_owned(), agent: "builder".to_owned(), milestone: None }
}

impl World {
    /// Has the database lose every row of the outbox: before it is there, or right after.
    async fn lose_outbox(&self, when: &str) {
        let trigger = match (self.backend, when) {
            (Backend::Sqlite, "BEFORE") => {
                "CREATE TRIGGER lose BEFORE INSERT ON outbox BEGIN SELECT RAISE(IGNORE); END".to_owned()
            }
            (Backend::Sqlite, _) => {
                "CREATE TRIGGER lose AFTER INSERT ON outbox BEGIN DELETE FROM outbox WHERE seq = NEW.seq; END"
                    .to_owned()
            }
            (Backend::Postgres, _) => format!(
                "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN DELETE FROM outbox WHERE seq = NEW.seq; RETURN NULL; END $$; \
                 CREATE TRIGGER lose {when} INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION lose()"
            ),
        };
        self.by_hand(&trigger).await;
    }

    async fn keep_outbox(&self) {
        self.by_hand(match self.backend {
            Backend::Sqlite => "DROP TRIGGER lose",
            Backend::Postgres => "DROP TRIGGER lose ON outbox; DROP FUNCTION lose()",
        })
        .await;
    }
}

both! {
    async fn a_revocation_whose_row_is_lost_is_not_answered_as_done(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        let alice = user("alice");
        let unassigned = "SELECT count(*) AS n FROM audit_events WHERE action = 'AGENT_UNASSIGNED'";
        for (when, events) in [("BEFORE", 0), ("AFTER", 1)] {
            world.lose_outbox(when).await;
            let refused = world.vault.members().unassign_agent(&alice, builder()).await.err();
            assert_eq!(refused.map(|error| error.code().as_str()), Some("INTERNAL"), "{when}");
            assert_eq!(world.number(unassigned).await, events, "{when}: a row that is not there fails the transaction");
            world.keep_outbox().await;
            assert!(resolved(&world.vault).await.is_ok(), "{when}: it is still assigned");
        }
        // Made again, it is done.
        world.vault.members().unassign_agent(&alice, builder()).await.unwrap();
        assert!(resolved(&world.vault).await.is_err());
        assert_eq!(world.found_broken().await, []);
    }

    async fn a_change_that_another_server_applies_in_between_is_answered_as_done(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        let (alice, other) = (user("alice"), world.another_server());
        let is_over = AtomicBool::new(false);
        let changes = async {
            for _ in 0..10 {
                world.vault.members().unassign_agent(&alice, builder()).await.unwrap();
                world.vault.members().assign_agent(&alice, builder()).await.unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        };
        let applies = async {
            while !is_over.load(Ordering::Relaxed) {
                // It may find nothing, or wait for the partition in vain.
                let _ = other.tuples().apply_outbox().await;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        futures::join!(changes, applies);
        assert!(resolved(&world.vault).await.is_ok());
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
    }

    async fn a_deletion_of_a_project_whose_rows_are_lost_takes_its_tuples_along(world: World) {
        world.demo().await;
        world.lose_outbox("AFTER").await;
        // Its milestone's tuples are left, so it is no success.
        let refused = world.vault.projects().delete(&crate::support::service("platform"), "demo".to_owned()).await.err();
        assert_eq!(refused.map(|error| error.code().as_str()), Some("INTERNAL"));
        let filter = project_vault::authz::TupleFilter::of_project(&World::project());
        let left = world.authorizer.read(&mut world.store.conn().await.unwrap(), &filter).await.unwrap();
        assert_eq!(left, []);
    }
}
