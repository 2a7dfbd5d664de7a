//! Makes the data of this release, to be brought up to date by later ones.

use super::{STORE, certificate};
use crate::support::{Backend, Database, Installation, OpenFgaServer, Running, setting};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Does a mutation; gives the id of the entry that it made or changed.
async fn done(it: &Installation, server: &Running, who: &str, mutation: &str, variables: Value) -> String {
    let answer = it.ask(server, who, mutation, variables).await.unwrap();
    let payload = &answer["data"]["done"];
    assert!(answer["errors"].is_null() && payload["userErrors"] == json!([]), "{mutation}: {answer}");
    payload["entry"]["id"].as_str().unwrap_or_default().to_owned()
}

async fn create(it: &Installation, server: &Running, name: &str, value: &str, category: &str, more: &str) -> String {
    let mutation = format!(
        "mutation($value: String!) {{ done: createVaultEntry(input: {{ projectId: \"demo\", name: \"{name}\", value: $value, \
         category: {category}{more} }}) {{ entry {{ id }} userErrors {{ message }} }} }}"
    );
    done(it, server, "user:bob", &mutation, json!({ "value": value })).await
}

/// Calls one mutation of the platform, an Accountable person or a Responsible one.
async fn call(it: &Installation, server: &Running, who: &str, call: &str) {
    let mutation = format!("mutation {{ done: {call} {{ userErrors {{ message }} }} }}");
    done(it, server, who, &mutation, json!({})).await;
}

/// Two projects and one that was deleted; entries of both scopes, in every state, with versions.
async fn fill(it: &Installation, server: &Running) {
    it.add_demo(server).await;
    for (who, mutation) in [
        ("service:platform", "putVaultMilestone(input: { id: \"demo-launch\", projectId: \"demo\" })"),
        (
            "user:alice",
            "assignVaultAgent(input: { projectId: \"demo\", agentId: \"builder\", milestoneId: \"demo-launch\" })",
        ),
        ("user:alice", "assignVaultRole(input: { projectId: \"demo\", userId: \"bob\", role: RESPONSIBLE })"),
        ("user:alice", "assignVaultRole(input: { projectId: \"demo\", userId: \"carol\", role: CONSULTED })"),
        (
            "service:platform",
            "registerProjectVault(input: { projectId: \"gone\", participantIds: [\"acme\"], accountableUserIds: [\"alice\"] })",
        ),
    ] {
        call(it, server, who, mutation).await;
    }
    let key = create(it, server, "API_KEY", "first value", "API_KEY", ", description: \"The provider's.\"").await;
    for value in ["second value", "third value"] {
        call(it, server, "user:bob", &format!("rotateVaultEntry(input: {{ id: \"{key}\", value: \"{value}\" }})"))
            .await;
    }
    call(it, server, "user:bob", &format!("rollbackVaultEntry(input: {{ id: \"{key}\", version: 2 }})")).await;
    create(it, server, "DEPLOY_TOKEN", "the project's", "ACCESS_TOKEN", "").await;
    create(it, server, "DEPLOY_TOKEN", "the milestone's", "ACCESS_TOKEN", ", milestoneId: \"demo-launch\"").await;
    create(it, server, "TLS_CERTIFICATE", &certificate(), "CERTIFICATE", ", rotationIntervalDays: 90").await;
    let disabled = create(it, server, "DISABLED_KEY", "a disabled value", "SECRET", "").await;
    call(it, server, "user:bob", &format!("disableVaultEntry(id: \"{disabled}\")")).await;
    let deleted = create(it, server, "DELETED_KEY", "a deleted value", "PASSWORD", "").await;
    call(it, server, "user:alice", &format!("deleteVaultEntry(id: \"{deleted}\")")).await;
    let expired = create(it, server, "EXPIRED_KEY", "an expired value", "SECRET", "").await;
    let past = "2020-01-01T00:00:00Z";
    call(it, server, "user:bob", &format!("updateVaultEntry(input: {{ id: \"{expired}\", expiresAt: \"{past}\" }})"))
        .await;
    let delete = "mutation { done: deleteProjectVault(projectId: \"gone\") { userErrors { message } } }";
    done(it, server, "service:platform", delete, json!({})).await;
    // Records of releases, and of a denial.
    for milestone in [Value::Null, json!("demo-launch")] {
        let resolve = "query($milestone: ID) { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", \
             milestoneId: $milestone, purpose: CODING_SESSION, sessionId: \"s-1\" }) { secrets { value } receipt } }";
        let answer = it.ask(server, "runtime:acme-runtime", resolve, json!({ "milestone": milestone })).await.unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
    }
    let disable = format!("mutation {{ disableVaultEntry(id: \"{key}\") {{ userErrors {{ message }} }} }}");
    let denied = it.ask(server, "user:carol", &disable, json!({})).await.unwrap();
    assert_eq!(denied["errors"][0]["extensions"]["code"], "FORBIDDEN");
}

/// What a program prints, without lines that only the same release of it reads.
fn dump(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let is_kept = |line: &&str| {
        !["\\restrict", "\\unrestrict", "SET transaction_timeout"].iter().any(|start| line.starts_with(start))
    };
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

async fn make(backend: Backend) {
    let folder =
        Path::new(&setting("VAULT_FIXTURE")).join(if backend == Backend::Sqlite { "sqlite" } else { "postgres" });
    std::fs::create_dir_all(&folder).unwrap();
    let openfga = match backend {
        Backend::Sqlite => None,
        Backend::Postgres => {
            let tuples = Database::new(backend).await;
            let mut server = OpenFgaServer::set_up(&tuples.url);
            server.start(&[]).await;
            Some((server, tuples))
        }
    };
    let url = openfga.as_ref().map(|(server, _)| server.config().url).unwrap_or_default();
    let it = Installation::with_openfga(backend, &url, STORE).await;
    let server = it.serve("warn", &it.file("log")).await;
    fill(&it, &server).await;
    it.done(&["keys", "rotate", "--data", "demo"]).await;
    drop(server);
    it.done(&["audit", "verify"]).await;
    let sql = match it.database.url.strip_prefix("sqlite:") {
        Some(path) => dump("sqlite3", &[path, ".dump"]),
        None => dump("pg_dump", &["--no-owner", "--no-privileges", &it.database.url]),
    };
    std::fs::write(folder.join("vault.sql"), sql).unwrap();
    if let Some((_, tuples)) = &openfga {
        let sql = dump("pg_dump", &["--no-owner", "--no-privileges", &tuples.url]);
        std::fs::write(folder.join("openfga.sql"), sql).unwrap();
    }
    let keyring = std::fs::read_to_string(it.keyring()).unwrap();
    let note = "# A keyring of tests: it opens the made-up data beside it, and is published with it.\n";
    std::fs::write(folder.join("keyring.toml"), format!("{note}{keyring}")).unwrap();
}

mod makes_a_fixture {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "scripts/fixture runs it"]
    async fn sqlite() {
        super::make(crate::support::Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "scripts/fixture runs it"]
    async fn postgres() {
        super::make(crate::support::Backend::Postgres).await;
    }
}
