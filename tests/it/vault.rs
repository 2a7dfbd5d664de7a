//! The vault from end to end, in a few steps each.

use crate::support::{World, agent_asks, entry, names, runtime, service, user};
use project_vault::domain::{Clock as _, EntryStatus, Error, Purpose, SecretOutcome};
use project_vault::permission::{CanAuditVault, CanManageMembers, CanViewAgents, CanViewMasked, Permission};
use project_vault::vault::{Caller, ProjectAccess, ResolveRequest, Resolved};
use secrecy::ExposeSecret as _;
use std::time::Duration;

const VALUE: &str = "sk-live-0123456789abc";

async fn access<P: project_vault::permission::ProjectPermission>(
    world: &World,
    caller: &Caller,
) -> Option<ProjectAccess> {
    let ask = (Some(World::project()), P::PERMISSION);
    world.vault.access().decide(caller, std::slice::from_ref(&ask)).await.unwrap().remove(&ask)
}

async fn resolve(world: &World, by: &str, agent: &str, wanted: &[&str]) -> Result<Vec<Resolved>, Error> {
    let request = ResolveRequest {
        question: agent_asks(agent, wanted),
        purpose: Purpose::ToolExecution,
        session: Some("s-1".to_owned()),
        tool: None,
        recipient: None,
    };
    Ok(world.vault.agents().resolve(&runtime(by), request).await?.secrets)
}

both! {
    async fn the_demo_is_there(world: World) {
        world.demo().await;
        let alice = access::<CanManageMembers>(&world, &user("alice")).await.unwrap();
        let members = world.vault.members().people(&alice.decision.authorize().unwrap()).await.unwrap();
        assert_eq!(members.len(), 4);
        let bob = access::<CanViewAgents>(&world, &user("bob")).await.unwrap();
        let agents = world.vault.members().agents(&bob.decision.authorize().unwrap()).await.unwrap();
        let agents: Vec<(&str, usize)> =
            agents.iter().map(|agent| (agent.agent.as_str(), agent.milestones.len())).collect();
        assert_eq!(agents, [("builder", 0), ("deployer", 1)]);
        let found = world.vault.milestones().by_id(&[World::milestone()]).await.unwrap();
        assert!(found[&World::milestone()].open);
        assert!(access::<CanViewMasked>(&world, &user("erin")).await.is_none());
        assert!(access::<CanViewMasked>(&world, &service("platform")).await.is_none());
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM outbox").await, 0);
    }

    async fn a_consulted_person_sees_masked_values_only(world: World) {
        world.demo().await;
        let created = world.vault.entries().create(&user("bob"), entry("API_KEY", VALUE)).await.unwrap();
        let carol = access::<CanViewMasked>(&world, &user("carol")).await.unwrap();
        let found = world.vault.entries().by_id(&[created.id]).await.unwrap().remove(&created.id).unwrap();
        let shown = world.vault.entries().masked(&carol.decision.authorize().unwrap(), found.hint(), found.category).await.unwrap();
        assert_eq!(shown, "sk-****abc");
        assert!(access::<CanViewMasked>(&world, &user("dave")).await.is_none());
    }

    async fn who_may_not_write_is_told_so_and_who_may_not_see_is_told_nothing(world: World) {
        world.demo().await;
        for person in ["carol", "dave", "audrey"] {
            let refused = world.vault.entries().create(&user(person), entry("API_KEY", VALUE)).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "FORBIDDEN", "{person}");
        }
        for caller in [user("erin"), runtime("acme-runtime")] {
            let refused = world.vault.entries().create(&caller, entry("API_KEY", VALUE)).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "NOT_FOUND", "{}", caller.principal);
        }
        assert_eq!(world.number("SELECT COUNT(*) AS n FROM entries").await, 0);
    }

    async fn an_agents_runtime_receives_the_value_until_the_entry_is_disabled(world: World) {
        world.demo().await;
        let created = world.vault.entries().create(&user("bob"), entry("API_KEY", VALUE)).await.unwrap();
        let resolved = resolve(&world, "acme-runtime", "builder", &["API_KEY", "OTHER"]).await.unwrap();
        assert_eq!(names(&resolved), [("API_KEY", SecretOutcome::Resolved), ("OTHER", SecretOutcome::NotFound)]);
        assert_eq!(resolved[0].value.as_ref().unwrap().expose_secret(), VALUE);
        assert!(resolved[1].value.is_none());

        let disabled = world.vault.entries().disable(&user("bob"), created.id.to_string()).await.unwrap();
        assert_eq!(disabled.status, EntryStatus::Disabled);
        let resolved = resolve(&world, "acme-runtime", "builder", &["API_KEY"]).await.unwrap();
        assert_eq!(names(&resolved), [("API_KEY", SecretOutcome::NotFound)]);
        assert!(resolved[0].value.is_none() && resolved[0].entry.is_none());
    }

    async fn an_entry_expires_by_the_clock_of_the_vault(world: World) {
        world.demo().await;
        let mut new = entry("API_KEY", VALUE);
        new.expires_at = Some(world.clock.now().plus(Duration::from_secs(60)));
        world.vault.entries().create(&user("bob"), new).await.unwrap();
        for (later, outcome) in [(59, SecretOutcome::Resolved), (1, SecretOutcome::Expired)] {
            world.clock.advance(Duration::from_secs(later));
            let resolved = resolve(&world, "acme-runtime", "builder", &["API_KEY"]).await.unwrap();
            assert_eq!(names(&resolved), [("API_KEY", outcome)]);
        }
    }

    async fn a_runtime_receives_nothing_for_another_organizations_agent(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("API_KEY", VALUE)).await.unwrap();
        for (by, agent) in [("globex-runtime", "builder"), ("acme-runtime", "deployer"), ("nobody", "builder")] {
            let refused = resolve(&world, by, agent, &["API_KEY"]).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "FORBIDDEN", "{by} {agent}");
        }
    }

    async fn a_resolve_takes_three_statements_and_one_batch(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("API_KEY", VALUE)).await.unwrap();
        world.vault.entries().create(&user("bob"), entry("TOKEN", VALUE)).await.unwrap();
        for wanted in [&["API_KEY"][..], &["API_KEY", "TOKEN", "OTHER"][..]] {
            let before = (world.statements(), world.batches());
            resolve(&world, "acme-runtime", "builder", wanted).await.unwrap();
            assert_eq!((world.statements() - before.0, world.batches() - before.1), (3, 1));
        }
    }

    async fn a_yes_about_one_project_opens_no_audit_log_of_the_vault(world: World) {
        world.demo().await;
        // The relation has one name on projects and on the vault, and alice holds it on her
        // project.
        let ask = (Some(World::project()), Permission::CanAuditVault);
        let held = world.vault.access().decide(&user("alice"), std::slice::from_ref(&ask)).await.unwrap();
        let proof = held.get(&ask).and_then(|access| access.decision.authorize::<CanAuditVault>());
        assert!(proof.is_none());
    }
}
