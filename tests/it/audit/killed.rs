//! A server that is killed while it works loses nothing that it acknowledged, and leaves
//! chains that verify.

use crate::support::{Backend, Installation};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const CREATE: &str = "mutation($n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", name: $n, value: $v, category: SECRET }) \
    { entry { id } userErrors { code } } }";
const RESOLVE: &str = "query($n: [String!]) { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: $n, purpose: TOOL_EXECUTION }) \
    { secrets { name value } } }";
/// How often it is killed.
const DEATHS: usize = 3;
const WRITERS: usize = 6;

async fn a_killed_server_keeps_what_it_acknowledged(backend: Backend) {
    let it = Arc::new(Installation::new(backend).await);
    let acknowledged = Arc::new(Mutex::new(BTreeMap::<String, String>::new()));
    let released = Arc::new(Mutex::new(0_i64));
    for death in 0..DEATHS {
        let mut server = it.serve("warn", &it.file("log")).await;
        if death == 0 {
            it.add_demo(&server).await;
        }
        let address = Arc::new(server.url.clone());
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (it, acknowledged, released) = (it.clone(), acknowledged.clone(), released.clone());
                let url = address.clone();
                tokio::spawn(async move {
                    for n in 0.. {
                        let (name, value) = (format!("E_{death}_{writer}_{n}"), format!("value {death} {writer} {n}"));
                        let create = json!({ "n": name, "v": value });
                        match it.ask_at(&url, "user:alice", CREATE, create).await {
                            Some(answer) if answer["data"]["createVaultEntry"]["entry"]["id"].is_string() => {
                                acknowledged.lock().await.insert(name.clone(), value);
                            }
                            Some(_) => {}
                            None => return,
                        }
                        match it.ask_at(&url, "runtime:acme-runtime", RESOLVE, json!({ "n": [name] })).await {
                            Some(answer) if answer["data"]["resolveSecrets"]["secrets"][0]["value"].is_string() => {
                                *released.lock().await += 1;
                            }
                            Some(_) => {}
                            None => return,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(400 + 350 * death as u64)).await;
        server.kill();
        for writer in writers {
            writer.await.unwrap();
        }
    }
    let acknowledged = acknowledged.lock().await;
    assert!(acknowledged.len() > DEATHS, "{} entries", acknowledged.len());
    let server = it.serve("warn", &it.file("log")).await;
    let names: Vec<&String> = acknowledged.keys().collect();
    for names in names.chunks(400) {
        let answer = it.ask(&server, "runtime:acme-runtime", RESOLVE, json!({ "n": names })).await.unwrap();
        for secret in answer["data"]["resolveSecrets"]["secrets"].as_array().unwrap() {
            assert_eq!(
                secret["value"].as_str(),
                acknowledged.get(secret["name"].as_str().unwrap()).map(String::as_str)
            );
        }
    }
    let records = "SELECT count(*) AS n FROM audit_events WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED'";
    let released = *released.lock().await + i64::try_from(acknowledged.len()).unwrap();
    assert!(it.database.number(records).await >= released, "a value left without its record");
    let halves =
        "SELECT count(*) AS n FROM entries WHERE NOT EXISTS (SELECT 1 FROM versions WHERE entry_id = entries.id)";
    assert_eq!(it.database.number(halves).await, 0);
    assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
}

on_both! { a_killed_server_keeps_what_it_acknowledged }
