//! A change of tuples that can never be applied is set aside and repaired by an operator. It delays
//! nothing but what would grant again what it takes away.

use super::tuples;
use crate::support::{Backend, Installation, World, service, user};
use project_vault::authz::{Tuple, TupleChange, TupleFilter};
use project_vault::domain::{AgentId, Error, OrganizationId, Role, UserId};
use project_vault::vault::{AgentChange, RoleChange};
use std::time::Duration;

/// A tuple that neither authorizer accepts.
fn invalid() -> Tuple {
    Tuple::new("user:x", "no_relation", "project:demo")
}

fn informed(person: &str) -> Tuple {
    Tuple::role(&World::project(), Role::Informed, &UserId::parse(person).unwrap())
}

fn informs(person: &str) -> RoleChange {
    RoleChange { project: "demo".to_owned(), user: person.to_owned(), role: Role::Informed }
}

/// SQL that puts a row into the outbox as somebody does who can write to the database.
fn forgery(backend: Backend, partition: &str, subject: &str) -> String {
    let mac = match backend {
        Backend::Sqlite => "zeroblob(32)",
        Backend::Postgres => "decode(repeat('00', 32), 'hex')",
    };
    let change = format!(
        r#"{{"change":{{"write":[{{"user":"{subject}","relation":"informed","object":"{partition}"}}],"delete":[]}}}}"#
    );
    format!("INSERT INTO outbox (lane, change, mac, created_at) VALUES ('{partition}', '{change}', {mac}, 1)")
}

impl World {
    /// A server saved this change of the demo, and died before it was applied.
    async fn saved_in_demo(&self, write: &[Tuple], delete: &[Tuple]) {
        let change = TupleChange { write: write.to_vec(), delete: delete.to_vec() };
        self.vault.tuples().save_only("project:demo", change).await.unwrap();
    }

    async fn holds(&self, tuple: &Tuple) -> bool {
        tuples(self, TupleFilter::of_object(tuple.object())).await.contains(tuple)
    }

    async fn set_aside(&self) -> i64 {
        self.vault.tuples().count_set_aside().await.unwrap()
    }

    async fn the_one_set_aside(&self) -> i64 {
        let rows = self.vault.tuples().list_set_aside().await.unwrap();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].seq
    }
}

fn waits(done: &Result<impl Sized, Error>) -> bool {
    matches!(done, Err(Error::Unavailable { will_take_effect: true, .. }))
}

both! {
    async fn rows_that_cannot_be_applied_block_no_revocation(world: World) {
        world.demo().await;
        let builder = AgentId::parse("builder").unwrap();
        world.saved_in_demo(&[invalid()], &[]).await;
        for partition in ["project:demo", "project:other", "agent:builder"] {
            world.sql(&forgery(world.backend, partition, "agent:builder")).await.unwrap();
        }
        world.vault.members().unregister_agent(&service("platform"), "builder".to_owned()).await.unwrap();
        for filter in [TupleFilter::organizations_of_agent(&builder), TupleFilter::projects_of_agent(&builder), TupleFilter::milestones_of_agent(&builder)] {
            assert_eq!(tuples(&world, filter).await, []);
        }
        world.vault.members().assign_role(&user("alice"), informs("erin")).await.err().unwrap();
        world.vault.members().revoke_role(&user("alice"), informs("dave")).await.unwrap();
        assert!(!world.holds(&informed("dave")).await);
        world.vault.tuples().apply_outbox().await.unwrap();
        assert_eq!(world.set_aside().await, 4);
    }

    async fn what_takes_access_away_holds_back_what_grants_it_again(world: World) {
        world.demo().await;
        let (vault, alice) = (&world.vault, user("alice"));
        world.saved_in_demo(&[invalid()], &[informed("erin")]).await;
        let granted = vault.members().assign_role(&alice, informs("erin")).await;
        assert!(waits(&granted), "{granted:?}");
        vault.tuples().apply_outbox().await.unwrap();
        assert!(!world.holds(&informed("erin")).await);
        // Nobody else waits.
        vault.members().assign_role(&alice, informs("frank")).await.unwrap();
        let row = world.the_one_set_aside().await;
        assert!(!vault.tuples().retry(row).await.unwrap(), "it is as invalid as before");
        assert!(!world.holds(&informed("erin")).await);
        vault.tuples().discard(row).await.unwrap();
        vault.tuples().apply_outbox().await.unwrap();
        assert!(world.holds(&informed("erin")).await);
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
        assert_eq!(vault.tuples().discard(row).await.unwrap_err().code().as_str(), "NOT_FOUND");
        for (action, count) in [("ACCESS_CHANGE_RETRIED", 1), ("ACCESS_CHANGE_DISCARDED", 1)] {
            let sql = format!("SELECT count(*) AS n FROM audit_events WHERE action = '{action}' AND project_id = 'demo'");
            assert_eq!(world.number(&sql).await, count, "{action}");
        }
    }

    async fn a_move_takes_away_at_once_and_grants_when_it_may(world: World) {
        world.demo().await;
        let (vault, platform) = (&world.vault, service("platform"));
        let builder = AgentId::parse("builder").unwrap();
        let organizations = async || tuples(&world, TupleFilter::organizations_of_agent(&builder)).await;
        assert_eq!(organizations().await.len(), 1);
        world.sql(&forgery(world.backend, "agent:builder", "agent:builder")).await.unwrap();
        let moved = vault.members().register_agent(&platform, "builder".to_owned(), "globex".to_owned()).await;
        assert!(waits(&moved), "{moved:?}");
        assert_eq!(organizations().await, []);
        vault.tuples().apply_outbox().await.unwrap();
        assert_eq!(organizations().await, []);
        vault.tuples().discard(world.the_one_set_aside().await).await.unwrap();
        vault.tuples().apply_outbox().await.unwrap();
        let globex = OrganizationId::parse("globex").unwrap();
        assert_eq!(organizations().await, [Tuple::agent_of(&globex, &builder)]);
        assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
    }

    async fn who_may_soon_be_accountable_no_longer_does_not_count(world: World) {
        world.demo().await;
        let (vault, alice) = (&world.vault, user("alice"));
        let accountable = |person: &str| RoleChange {
            project: "demo".to_owned(),
            user: person.to_owned(),
            role: Role::Accountable,
        };
        vault.members().assign_role(&alice, accountable("erin")).await.unwrap();
        let own = Tuple::role(&World::project(), Role::Accountable, &UserId::parse("alice").unwrap());
        world.saved_in_demo(&[invalid()], &[own]).await;
        let last = vault.members().revoke_role(&alice, accountable("erin")).await.unwrap_err();
        assert_eq!(last.code().as_str(), "CONFLICT");
        vault.tuples().apply_outbox().await.unwrap();
        assert_eq!(world.set_aside().await, 1);
        vault.members().assign_role(&alice, accountable("frank")).await.unwrap();
        vault.members().revoke_role(&alice, accountable("erin")).await.unwrap();
    }

    async fn what_was_taken_away_meanwhile_is_granted_by_no_retry(world: World) {
        world.demo().await;
        let (vault, alice) = (&world.vault, user("alice"));
        let builder = AgentId::parse("builder").unwrap();
        let assigned = Tuple::agent_on_project(&World::project(), &builder);
        let unassign = AgentChange { project: "demo".to_owned(), agent: "builder".to_owned(), milestone: None };
        vault.members().unassign_agent(&alice, unassign.clone()).await.unwrap();
        world.saved_in_demo(&[invalid(), informed("erin"), informed("frank"), assigned.clone()], &[]).await;
        vault.tuples().apply_outbox().await.unwrap();
        assert_eq!(world.set_aside().await, 1);
        vault.members().revoke_role(&alice, informs("erin")).await.unwrap();
        vault.members().unregister_agent(&service("platform"), "builder".to_owned()).await.unwrap();
        let left = vault.tuples().list_set_aside().await.unwrap().remove(0).change;
        assert!(left.contains("user:frank") && !left.contains("user:erin") && !left.contains("builder"), "{left}");
        let revoked = "SELECT count(*) AS n FROM audit_events WHERE action = 'ROLE_REVOKED' AND subject = 'user:erin'";
        assert_eq!(world.number(revoked).await, 1);
        // The row is one of the vault's still.
        assert_eq!(vault.tuples().list_set_aside().await.unwrap()[0].reason, "the authorizer refuses it as invalid");
        vault.tuples().retry(world.the_one_set_aside().await).await.unwrap();
        assert!(!world.holds(&informed("erin")).await && !world.holds(&assigned).await);
    }
}

async fn an_operator_is_told_and_repairs_it(backend: Backend) {
    let it = Installation::new(backend).await;
    let server = it.serve("off", &it.file("log")).await;
    it.add_demo(&server).await;
    assert_eq!(it.done(&["outbox", "list"]).await, "no change is set aside\n");
    it.database.sql(&forgery(backend, "project:demo", "user:mallory")).await.unwrap();
    while !server.metrics().await.contains("\nvault_outbox_set_aside 1") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ready = async || server.page("/readyz").await;
    while !ready().await.contains("1 changes of permissions cannot be applied") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(ready().await.contains("\"status\":\"ready\""));
    let listed = it.done(&["outbox", "list"]).await;
    assert!(listed.contains("project:demo") && listed.contains("its MAC is wrong"), "{listed}");
    let rows: serde_json::Value =
        serde_json::from_str(&it.done(&["outbox", "list", "--output", "json"]).await).unwrap();
    let number = rows[0]["number"].to_string();
    let retried = it.run(&["outbox", "retry", &number]).await;
    assert!(retried.status == 1 && retried.err.contains("still cannot be applied"), "{}", retried.err);
    assert!(it.done(&["outbox", "discard", &number]).await.contains("is gone"));
    assert_eq!(it.run(&["outbox", "discard", &number]).await.status, 1);
    while ready().await.contains("set aside") || !server.metrics().await.contains("\nvault_outbox_set_aside 0") {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
}

on_both! { an_operator_is_told_and_repairs_it }
