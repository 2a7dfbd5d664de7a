//! Permission is checked before input (`product.md`, section 7).

use crate::support::{agent_asks, entry, runtime, service, tool_asks, user};
use project_vault::domain::ProjectStatus;
use project_vault::vault::ResolveRequest;

both! {
    async fn a_runtime_that_may_not_resolve_is_refused_before_its_input_is_checked(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let acme = runtime("acme-runtime");
        let too_many: Vec<String> = (0..501).map(|n| format!("NAME_{n}")).collect();
        let requests = || {
            let plain = || tool_asks(agent_asks("builder", &["TOKEN"]));
            let mut names = plain();
            names.question.names = Some(too_many.clone());
            [
                ("LIMIT_EXCEEDED", names),
                ("INVALID_INPUT", ResolveRequest { session: Some("ü".to_owned()), ..plain() }),
                ("INVALID_INPUT", ResolveRequest { recipient: Some("no key".to_owned()), ..plain() }),
            ]
        };
        for (fault, request) in requests() {
            assert_eq!(world.vault.agents().resolve(&acme, request).await.err().unwrap().code().as_str(), fault);
        }
        // The status of the project and the milestone of the question are part of the permission.
        for (_, mut request) in requests() {
            request.question.milestone = Some("elsewhere".to_owned());
            let refused = world.vault.agents().resolve(&acme, request).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "FORBIDDEN");
        }
        let paused = ProjectStatus::Paused;
        world.vault.projects().set_status(&service("platform"), "demo".to_owned(), paused).await.unwrap();
        for (_, request) in requests() {
            let refused = world.vault.agents().resolve(&acme, request).await.err().unwrap();
            assert_eq!(refused.code().as_str(), "FORBIDDEN");
        }
    }
}
