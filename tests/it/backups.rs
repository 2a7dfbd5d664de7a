//! Backups that are taken while the vault is in use, restored into a new installation: the database
//! first, and OpenFGA's after it, as docs/operators.md says.

use crate::support::{Backend, Database, Installation, OpenFgaServer, Running};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const STORE: &str = "project-vault";
/// What has to be done before the backup begins, and again after it ended.
const DONE: usize = 8;

/// An installation in use, and how far its users have come: the number of the last change that was
/// confirmed, and how often secrets were resolved.
struct Used {
    it: Installation,
    server: Running,
    created: AtomicUsize,
    members: AtomicUsize,
    resolved: AtomicUsize,
    stop: AtomicBool,
}

fn value(number: usize) -> String {
    format!("value {number} of the load")
}

impl Used {
    async fn change(&self, who: &str, call: &str) {
        let mutation = format!("mutation {{ done: {call} {{ userErrors {{ message }} }} }}");
        let answer = self.it.ask(&self.server, who, &mutation, json!({})).await.unwrap();
        assert_eq!(answer, json!({ "data": { "done": { "userErrors": [] } } }), "{call}");
    }

    /// Creates entries until it is stopped.
    async fn create(&self) {
        for number in 1.. {
            let call = format!(
                "createVaultEntry(input: {{ projectId: \"demo\", name: \"N{number}\", value: \"{}\", category: SECRET }})",
                value(number)
            );
            self.change("user:alice", &call).await;
            self.created.store(number, Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
        }
    }

    /// Gives a role to two people and takes it from one of them, until it is stopped.
    async fn appoint(&self) {
        for number in 1.. {
            let input =
                |who: &str| format!("(input: {{ projectId: \"demo\", userId: \"{who}-{number}\", role: INFORMED }})");
            self.change("user:alice", &format!("assignVaultRole{}", input("stays"))).await;
            self.change("user:alice", &format!("assignVaultRole{}", input("goes"))).await;
            self.change("user:alice", &format!("revokeVaultRole{}", input("goes"))).await;
            self.members.store(number, Ordering::SeqCst);
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
        }
    }

    async fn resolve(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            assert!(!resolve(&self.it, &self.server).await.is_empty());
            self.resolved.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits until more of everything was done.
    async fn go_on(&self) {
        let counts = || [&self.created, &self.members, &self.resolved].map(|count| count.load(Ordering::SeqCst));
        let (before, began) = (counts(), Instant::now());
        while counts().iter().zip(before).any(|(now, before)| *now < before + DONE) {
            assert!(began.elapsed() < Duration::from_secs(120), "{:?}", counts());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The numbers and values that the agent is answered.
async fn resolve(it: &Installation, server: &Running) -> Vec<(usize, String)> {
    let query = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION }) { secrets { name value } } }";
    let answer = it.ask(server, "runtime:acme-runtime", query, json!({})).await.unwrap();
    let secrets = answer["data"]["resolveSecrets"]["secrets"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let number = |secret: &Value| secret["name"].as_str().unwrap()[1..].parse().unwrap();
    secrets.iter().map(|secret| (number(secret), secret["value"].as_str().unwrap().to_owned())).collect()
}

/// An OpenFGA whose tuples are in this database.
async fn openfga(tuples: &Database, is_new: bool) -> OpenFgaServer {
    let mut server = if is_new { OpenFgaServer::set_up(&tuples.url) } else { OpenFgaServer::on(&tuples.url) };
    server.start(&[]).await;
    server
}

async fn a_backup_under_load_is_restored_to_a_whole_vault(backend: Backend) {
    let tuples = match backend {
        Backend::Sqlite => None,
        Backend::Postgres => Some(Database::new(backend).await),
    };
    let first = match &tuples {
        Some(tuples) => Some(openfga(tuples, true).await),
        None => None,
    };
    let url = first.as_ref().map(|server| server.config().url).unwrap_or_default();
    let it = Installation::with_openfga(backend, &url, STORE).await;
    let server = it.serve("warn", &it.file("log")).await;
    it.add_demo(&server).await;
    let keys = std::fs::read_to_string(it.keyring()).unwrap();
    let [created, members, resolved] = [(); 3].map(|()| AtomicUsize::new(0));
    let used = Arc::new(Used { it, server, created, members, resolved, stop: AtomicBool::new(false) });
    used.change("user:alice", "createVaultEntry(input: { projectId: \"demo\", name: \"N0\", value: \"value 0 of the load\", category: SECRET })").await;
    let users = [
        tokio::spawn({
            let used = used.clone();
            async move { used.create().await }
        }),
        tokio::spawn({
            let used = used.clone();
            async move { used.appoint().await }
        }),
        tokio::spawn({
            let used = used.clone();
            async move { used.resolve().await }
        }),
        tokio::spawn({
            let used = used.clone();
            async move { used.resolve().await }
        }),
    ];

    used.go_on().await;
    let confirmed = (used.created.load(Ordering::SeqCst), used.members.load(Ordering::SeqCst));
    let copy = used.it.database.restored_backup().await;
    let copied_tuples = match &tuples {
        Some(tuples) => Some(tuples.restored_backup().await),
        None => None,
    };
    used.go_on().await;
    used.stop.store(true, Ordering::SeqCst);
    for user in users {
        user.await.unwrap();
    }
    let last = used.created.load(Ordering::SeqCst);

    // The machine is lost.
    drop(used);
    drop(first);
    let second = match &copied_tuples {
        Some(tuples) => Some(openfga(tuples, false).await),
        None => None,
    };
    let url = second.as_ref().map(|server| server.config().url).unwrap_or_default();
    let it = Installation::of(copy, backend, &keys, &url, STORE);
    it.done(&["migrate"]).await;
    let verified = it.done(&["audit", "verify"]).await;
    assert!(verified.contains("as they were recorded"), "{verified}");
    let server = it.serve("warn", &it.file("log")).await;
    let secrets = resolve(&it, &server).await;
    assert!(secrets.iter().all(|(number, text)| *text == value(*number)), "{secrets:?}");
    let mut numbers: Vec<usize> = secrets.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "a state that there was");
    assert!((confirmed.0 + 1..=last + 1).contains(&numbers.len()), "{confirmed:?}, {last}: {}", numbers.len());

    // People with a role still have it, and those who lost it before the backup do not.
    for (who, sees) in [("stays", true), ("goes", false)] {
        for number in [1, confirmed.1] {
            let query = "{ projectVault(projectId: \"demo\") { status } }";
            let answer = it.ask(&server, &format!("user:{who}-{number}"), query, json!({})).await.unwrap();
            assert_eq!(answer["data"]["projectVault"].is_object(), sees, "{who}-{number}: {answer}");
        }
    }
    // It goes on as a whole vault.
    let create = "mutation { createVaultEntry(input: { projectId: \"demo\", name: \"M9999\", value: \"value 9999 of the load\", category: SECRET }) { userErrors { message } } }";
    let answer = it.ask(&server, "user:alice", create, json!({})).await.unwrap();
    assert_eq!(answer["data"]["createVaultEntry"]["userErrors"], json!([]), "{answer}");
    assert_eq!(resolve(&it, &server).await.len(), numbers.len() + 1);
    drop(server);
    it.done(&["keys", "rotate", "--data", "demo"]).await;
    it.done(&["audit", "verify"]).await;
}

on_both! { a_backup_under_load_is_restored_to_a_whole_vault }
