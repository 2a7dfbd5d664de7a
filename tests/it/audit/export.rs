//! The commands `audit ...` beside a server, and another verifier on what they write.

use crate::support::{Backend, Installation, Ran, run};
use serde_json::{Value, json};
use std::path::Path;

const RESOLVE: &str = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: [\"TOKEN\"], purpose: CODING_SESSION }) { receipt } }";

/// A server that was used a little: a value released, another call refused. Its receipt and public
/// keys are in files.
async fn used(backend: Backend) -> Installation {
    let it = Installation::new(backend).await;
    let server = it.serve("warn", &it.file("log")).await;
    it.add_demo(&server).await;
    let create = "mutation { createVaultEntry(input: { projectId: \"demo\", name: \"TOKEN\", value: \"v\", category: SECRET }) { userErrors { message } } }";
    it.ask(&server, "user:alice", create, json!({})).await.unwrap();
    let answer = it.ask(&server, "runtime:acme-runtime", RESOLVE, json!({})).await.unwrap();
    std::fs::write(it.file("receipt"), answer["data"]["resolveSecrets"]["receipt"].as_str().unwrap()).unwrap();
    let refused = it.ask(&server, "runtime:other", RESOLVE, json!({})).await.unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    std::fs::write(it.file("keys.json"), server.page("/.well-known/project-vault/jwks.json").await).unwrap();
    it
}

/// What the other verifier says of an export.
async fn other_verifier(it: &Installation, export: &str) -> Ran {
    let file = it.file("export.jsonl");
    std::fs::write(&file, export).unwrap();
    let python = std::env::var_os("VAULT_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut command = std::process::Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit_verify.py")).arg(it.keyring()).arg(file);
    run(command).await
}

async fn another_verifier_finds_an_export_whole_and_a_changed_one_not(backend: Backend) {
    let it = used(backend).await;
    let export = it.done(&["audit", "export", "--chains"]).await;
    let ran = other_verifier(&it, &export).await;
    assert!(ran.out.contains("are whole") && ran.status == 0, "{ran:?}");
    let ran = other_verifier(&it, &export.replace("user:alice", "user:mallory")).await;
    assert!(ran.out.contains("changed") && ran.status == 1, "{ran:?}");
    let without: Vec<&str> = export.lines().filter(|line| !line.contains("\"seq\":\"2\"")).collect();
    let ran = other_verifier(&it, &without.join("\n")).await;
    assert!(ran.out.contains("events 2 to 2 are missing") && ran.status == 1, "{ran:?}");
}

async fn an_export_is_filtered_by_project_and_time(backend: Backend) {
    let it = used(backend).await;
    let events = async |args: &[&str]| -> Vec<Value> {
        let out = it.done(&[&["audit", "export"], args].concat()).await;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (all, demo) = (events(&[]).await, events(&["--project", "demo"]).await);
    assert!(demo.len() < all.len() && demo.iter().all(|event| event["projectId"] == "demo"));
    assert!(all.is_sorted_by_key(|event| event["occurredAt"].as_str().unwrap().to_owned()));
    assert_eq!(events(&["--since", "2999-01-01T00:00:00Z"]).await, Vec::<Value>::new());
    assert_eq!(events(&["--until", "2999-01-01T00:00:00Z"]).await.len(), all.len());
    assert!(all.iter().any(|event| event["outcome"] == "DENIED"));
}

async fn verify_says_what_is_wrong_and_exits_by_it(backend: Backend) {
    let it = used(backend).await;
    assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
    let heads = it.file("heads");
    std::fs::write(&heads, it.done(&["audit", "head"]).await).unwrap();
    let heads = heads.to_str().unwrap();
    assert!(it.done(&["audit", "verify", "--head", heads]).await.contains("signed heads agree"));
    it.database.sql("DELETE FROM audit_events WHERE action = 'SECRET_RESOLVED'").await.unwrap();
    it.database.sql("DELETE FROM audit_heads").await.unwrap();
    let ran = it.run(&["audit", "verify", "--head", heads]).await;
    assert!(ran.out.contains("cut off") && ran.err.contains("breaks in") && ran.status == 1, "{ran:?}");
    let mut elsewhere = it.command(&["audit", "verify"]);
    elsewhere.env("DATABASE_URL", "sqlite:/nowhere/vault.db").env_remove("OPENFGA_URL");
    let ran = run(elsewhere).await;
    assert_eq!(ran.status, 6, "{ran:?}");
}

async fn a_receipt_is_verified_offline_with_the_saved_keys(backend: Backend) {
    let it = used(backend).await;
    let (receipt, keys) = (it.file("receipt"), it.file("keys.json"));
    let args = ["audit", "verify-receipt", receipt.to_str().unwrap(), "--keys", keys.to_str().unwrap()];
    let verify = async || {
        let mut command = it.command(&args);
        command.env_remove("DATABASE_URL");
        run(command).await
    };
    let ran = verify().await;
    assert!(ran.out.contains("a resolve receipt") && ran.out.contains("TOKEN") && ran.status == 0, "{ran:?}");
    let text = std::fs::read_to_string(&receipt).unwrap();
    let (head, rest) = text.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    std::fs::write(&receipt, format!("{head}.e30.{signature}")).unwrap();
    let ran = verify().await;
    assert!(ran.err.contains("does not verify") && ran.status == 1, "{ran:?}");
}

on_both! {
    another_verifier_finds_an_export_whole_and_a_changed_one_not,
    an_export_is_filtered_by_project_and_time,
    verify_says_what_is_wrong_and_exits_by_it,
    a_receipt_is_verified_offline_with_the_saved_keys,
}
