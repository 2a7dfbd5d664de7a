//! Sealed delivery and previews through the API.

use super::served::{Served, TOKEN_VALUE, run};
use crate::support::{agent_asks, entry, runtime, tool_asks, user};
use project_vault::crypto::{Recipient, SealedCall, SealedPlace};
use project_vault::domain::SecretOutcome;
use project_vault::vault::ResolveRequest;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const RESOLVE: &str = "query($input: ResolveSecretsInput!) { resolveSecrets(input: $input) \
    { requestId secrets { name outcome value sealedValue entryId version } } }";

fn input(names: &[&str], key: Option<&str>) -> Value {
    json!({ "input": { "projectId": "demo", "agentId": "builder", "names": names, "purpose": "TOOL_EXECUTION",
        "recipientKey": key } })
}

both! {
    async fn a_sealed_value_opens_for_its_recipient_alone(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", TOKEN_VALUE)).await.unwrap();
        world.vault.entries().create(&user("bob"), entry("OTHER", "other-value")).await.unwrap();
        let caller = runtime("acme-runtime");
        let recipient = Recipient::generate().unwrap();
        let variables = input(&["TOKEN", "OTHER", "NOWHERE"], Some(recipient.public_key()));
        let answer = world.ask(&caller, RESOLVE, variables).await;
        assert!(!answer.0.to_string().contains(TOKEN_VALUE));
        let request = answer.ok("/resolveSecrets/requestId").as_str().unwrap();
        assert_eq!(request, caller.request_id.as_str());
        let call = SealedCall { project: "demo", agent: "builder", request };
        let secrets = answer.ok("/resolveSecrets/secrets").as_array().unwrap();
        assert!(secrets.iter().all(|secret| secret["value"].is_null()));
        for (secret, value) in secrets.iter().zip([TOKEN_VALUE, "other-value"]) {
            let place = SealedPlace {
                entry: secret["entryId"].as_str().unwrap(),
                version: 1,
                name: secret["name"].as_str().unwrap(),
            };
            let sealed = secret["sealedValue"].as_str().unwrap();
            assert_eq!(recipient.open(&call, &place, sealed).unwrap().expose_secret(), value);
            let elsewhere = SealedCall { request: "another", ..call };
            assert!(recipient.open(&elsewhere, &place, sealed).is_err());
        }
        assert_eq!((&secrets[2]["outcome"], &secrets[2]["sealedValue"]), (&json!("NOT_FOUND"), &Value::Null));
        let recorded = "SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'";
        assert_eq!(world.number(recorded).await, 2);
        let plain = world.ask(&caller, RESOLVE, input(&["TOKEN"], None)).await;
        assert_eq!(plain.ok("/resolveSecrets/secrets/0/value"), TOKEN_VALUE);
        assert_eq!(plain.ok("/resolveSecrets/secrets/0/sealedValue"), &Value::Null);
    }

    async fn a_key_that_is_none_is_refused_after_the_permission_and_releases_nothing(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", TOKEN_VALUE)).await.unwrap();
        let low_order = "A".repeat(43);
        for key in ["", "short", &"A".repeat(44), &format!("{low_order}="), &low_order] {
            let request = || ResolveRequest {
                recipient: Some(key.to_owned()),
                ..tool_asks(agent_asks("builder", &["TOKEN"]))
            };
            let error = world.vault.agents().resolve(&runtime("acme-runtime"), request()).await.err().unwrap();
            assert_eq!(error.code().as_str(), "INVALID_INPUT", "{key}");
            let error = world.vault.agents().resolve(&runtime("globex-runtime"), request()).await.err().unwrap();
            assert_eq!(error.code().as_str(), "FORBIDDEN", "{key}");
        }
        let answer = world.ask(&runtime("acme-runtime"), RESOLVE, input(&["TOKEN"], Some("x"))).await;
        assert_eq!(answer.errors()[0]["extensions"]["field"], json!(["input", "recipientKey"]));
        let released = "SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'";
        assert_eq!(world.number(released).await, 0);
    }

    async fn the_commands_ask_for_sealed_values_only(world: World) {
        let served = Served::start(&world).await;
        // A bystander that keeps what it passes on.
        let (proxy, seen) = super::faults::eavesdropper(&served.url).await;
        for args in [&["get", "TOKEN"][..], &["exec", "--no-redact", "--only", "TOKEN", "--", "sh", "-c", "printf %s $TOKEN"]] {
            let ran = run(served.program(&[&args[..1], &["--url", &proxy], &args[1..]].concat())).await;
            assert_eq!(ran.out, TOKEN_VALUE, "{}", ran.err);
        }
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert!(seen.contains("sealedValue") && seen.contains("recipientKey"));
        assert!(!seen.contains(TOKEN_VALUE) && !seen.contains("\"value\""), "{seen}");
    }

    async fn a_preview_opens_nothing_and_says_why_not(world: World) {
        let served = Served::start(&world).await;
        let vault = &world.vault;
        let before = vault.agents().decryptions();
        let bob = user("bob");
        let question = || project_vault::vault::AgentQuestion {
            names: None,
            provided: vec!["TOKEN".to_owned()],
            ..agent_asks("builder", &[])
        };
        let preview = vault.agents().preview(&bob, question()).await.unwrap();
        let told: Vec<(&str, SecretOutcome)> =
            preview.secrets.iter().map(|secret| (secret.name.as_str(), secret.outcome)).collect();
        use SecretOutcome::{Expired, ProvidedByWorkspace, Resolved};
        assert_eq!(told, [
            ("KEY", Resolved),
            ("OLD", Expired),
            ("PASSWORD", Resolved),
            ("SHORT", Resolved),
            ("TOKEN", ProvidedByWorkspace),
        ]);
        vault.agents().preview(&runtime("acme-runtime"), question()).await.unwrap();
        assert_eq!(vault.agents().decryptions(), before);
        vault.agents().resolve(&runtime("acme-runtime"), tool_asks(agent_asks("builder", &["TOKEN"]))).await.ok();
        assert_eq!(vault.agents().decryptions(), before + 1);
        drop(served);
    }
}
