//! The installation's own keys: if they are removed by hand, the vault makes no new ones.

use crate::support::{agent_asks, entry, runtime, tool_asks, user};
use std::error::Error as _;

fn told(error: &project_vault::domain::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

both! {
    async fn a_missing_audit_key_is_refused_and_never_made_anew(world: World) {
        world.demo().await;
        world.add("TOKEN", "v").await;
        world.sql("CREATE TABLE kept AS SELECT * FROM installation_keys").await.unwrap();
        let removals = [
            "",
            "; DELETE FROM audit_events",
            "; DELETE FROM audit_events; DELETE FROM audit_chains; DELETE FROM audit_heads",
        ];
        for more in removals {
            world.by_hand(&format!("DELETE FROM installation_keys WHERE purpose = 'AUDIT'{more}")).await;
            // At the start,
            let error = world.installation().check_keyring().await.unwrap_err();
            assert!(told(&error).contains("AUDIT key is missing") && told(&error).contains("backup"), "{}", told(&error));
            // when a server needs it,
            let server = world.another_server();
            let asked = tool_asks(agent_asks("builder", &["TOKEN"]));
            let refused = server.agents().resolve(&runtime("acme-runtime"), asked).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "INTERNAL", "{more}");
            let refused = server.entries().create(&user("bob"), entry("OTHER", "v")).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "INTERNAL", "{more}");
            assert!(!server.health().ready().await.into_iter().find(|(part, _)| *part == "keyring").unwrap().1);
            // and when it is set up again.
            let refused = match world.openfga() {
                None => world.installation().set_up_embedded(project_vault::vault::ExistingRows::Refuse).await,
                Some(config) => world.installation().set_up_openfga(&config, project_vault::vault::ExistingRows::Refuse).await,
            };
            assert!(refused.is_err(), "{more}");
            assert_eq!(world.number("SELECT count(*) AS n FROM installation_keys WHERE purpose = 'AUDIT'").await, 0);
        }
    }

    async fn a_missing_signing_key_is_refused_while_there_are_heads(world: World) {
        world.demo().await;
        world.vault.audit().sign_head().await.unwrap();
        world.sql("CREATE TABLE kept AS SELECT * FROM installation_keys").await.unwrap();
        world.sql("DELETE FROM installation_keys WHERE purpose = 'SIGNING'").await.unwrap();
        let error = world.installation().check_keyring().await.unwrap_err();
        assert!(told(&error).contains("SIGNING key is missing"), "{}", told(&error));
        let server = world.another_server();
        assert_eq!(server.audit().sign_head().await.unwrap_err().code().as_str(), "INTERNAL");
        assert!(server.verifier().verify(&[], |_| {}).await.is_err(), "nothing can be verified without it");
        assert_eq!(world.number("SELECT count(*) AS n FROM installation_keys").await, 1);
        world.by_hand("INSERT INTO installation_keys SELECT * FROM kept WHERE purpose = 'SIGNING'").await;
        assert_eq!(world.found_broken().await, []);
    }
}
