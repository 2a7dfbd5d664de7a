//! Values that exist nowhere else go through every operation as everybody; then everything that is
//! written anywhere is searched for them, for their parts and for their encodings.

use crate::support::{Backend, Collector, CollectorFault, Database, Installation};
use data_encoding::{BASE64, BASE64URL, HEXLOWER};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Random in every character, so that no part of it occurs by chance.
fn sentinel() -> String {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).unwrap();
    data_encoding::BASE32_NOPAD.encode(&bytes)
}

/// What must not be found: the value, its halves, and their encodings.
fn needles(value: &str) -> Vec<Vec<u8>> {
    let half = value.len() / 2;
    let mut needles = Vec::new();
    for part in [value, &value[..half], &value[half..]] {
        // Bytes at the ends of Base64 depend on what stands around: three offsets, without their
        // first and last characters.
        for offset in 0..3 {
            let padded = [&b"\0\0"[..offset], part.as_bytes()].concat();
            for encoding in [&BASE64, &BASE64URL] {
                let text = encoding.encode(&padded);
                needles.push(text.as_bytes()[4..text.len() - 4].to_vec());
            }
        }
        needles.push(HEXLOWER.encode(part.as_bytes()).into_bytes());
        needles.push(HEXLOWER.encode(part.as_bytes()).to_uppercase().into_bytes());
        // As Rust prints bytes.
        let list: Vec<String> = part.bytes().map(|byte| byte.to_string()).collect();
        needles.push(list.join(", ").into_bytes());
        needles.push(part.as_bytes().to_vec());
    }
    needles
}

const CALLERS: [&str; 9] = [
    "user:mallory",
    "user:dave",
    "user:carol",
    "user:bob",
    "user:alice",
    "user:audrey",
    "service:platform",
    "runtime:acme-runtime",
    "runtime:other-runtime",
];

/// Every operation that takes a value, or comes near one.
const OPERATIONS: &[&str] = &[
    "mutation($e: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", name: $n, value: $v, category: SECRET }) { entry { maskedValue } userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { a: rotateVaultEntry(input: { id: $e, value: $v }) { entry { maskedValue } userErrors { message } } b: importVaultEntries(input: { projectId: \"demo\", dotenv: $v, onConflict: ROTATE }) { userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", name: $n, value: $v, category: CERTIFICATE }) { userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: $v, name: $v, value: $v, category: SECRET, milestoneId: $v }) { userErrors { message } } rotateVaultEntry(input: { id: $v, value: $v, expectedRevision: 7 }) { userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { rollbackVaultEntry(input: { id: $e, version: 1 }) { entry { maskedValue versions { nodes { maskedValue } } } userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", name: $n, value: $v, category: $v }) { userErrors { message } } }",
    "mutation($e: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", nope: $v, value: \"VALUE\" }) { userErrors { message } } }",
    "query { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", names: [\"TOKEN\", \"NONE\"], purpose: CODING_SESSION }) { secrets { name outcome } } }",
    "{ previewSecrets(input: { projectId: \"demo\", agentId: \"builder\" }) { secrets { name outcome entry { maskedValue } } } }",
    "{ projectVault(projectId: \"demo\") { entries { nodes { name description maskedValue versions { nodes { maskedValue } } certificate { subject } } } auditEvents { nodes { id entryName reason } } } }",
    "{ vaultAuditEvents { nodes { id entryName reason } } }",
    "{ broken(value: \"VALUE\") { ",
    "query($c: VaultCategory = VALUE) { projectVault(projectId: \"demo\") { entries(filter: { categories: [$c] }) { totalCount } } }",
];

async fn a_value_is_found_nowhere_but_where_it_is_released(backend: Backend) {
    let collector = Collector::start(CollectorFault::None).await;
    let traces = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone())];
    let it = Installation::with(backend, Database::new(backend).await, &traces).await;
    let log = it.file("log");
    let mut server = it.serve("trace", &log).await;
    it.add_demo(&server).await;
    for (person, role) in [("bob", "RESPONSIBLE"), ("carol", "CONSULTED"), ("dave", "INFORMED")] {
        let assign = format!(
            "mutation {{ assignVaultRole(input: {{ projectId: \"demo\", userId: \"{person}\", role: {role} }}) {{ userErrors {{ code }} }} }}"
        );
        it.ask(&server, "user:alice", &assign, json!({})).await.unwrap();
    }
    let mut values = Vec::new();
    let mut new = || {
        values.push(sentinel());
        values.last().unwrap().clone()
    };
    let create = "mutation($v: String!) { createVaultEntry(input: { projectId: \"demo\", name: \"TOKEN\", value: $v, category: SECRET }) { entry { id } } }";
    let first = new();
    let made = it.ask(&server, "user:alice", create, json!({ "v": first })).await.unwrap();
    let entry = made["data"]["createVaultEntry"]["entry"]["id"].as_str().unwrap().to_owned();
    let mut seen = BTreeMap::<String, String>::new();
    for caller in CALLERS {
        for (number, operation) in OPERATIONS.iter().enumerate() {
            let value = new();
            let operation = operation.replace("VALUE", &value);
            let variables = json!({ "e": entry, "n": format!("N{number}_{}", seen.len()), "v": value });
            let answer = it.ask(&server, caller, &operation, variables).await.unwrap();
            seen.insert(format!("{caller} {number}"), answer.to_string());
        }
    }
    // One name at a time, it does come out for whom it is meant.
    let resolve = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION }) { secrets { name value } } }";
    let released = it.ask(&server, "runtime:acme-runtime", resolve, json!({})).await.unwrap();
    let released: Vec<&Value> = released["data"]["resolveSecrets"]["secrets"].as_array().unwrap().iter().collect();
    assert!(released.iter().any(|secret| values.iter().any(|value| secret["value"] == **value)));

    let mut places = vec![
        ("the metrics".to_owned(), server.metrics().await.into_bytes()),
        ("the database".to_owned(), it.database.stored_bytes().await),
        ("the export".to_owned(), it.done(&["audit", "export", "--chains"]).await.into_bytes()),
        ("the verification".to_owned(), it.done(&["audit", "verify"]).await.into_bytes()),
    ];
    server.stop().await;
    places.push(("the traces".to_owned(), collector.bytes()));
    places.push(("the log".to_owned(), std::fs::read(&log).unwrap()));
    places.extend(seen.into_iter().map(|(what, answer)| (format!("the answer of {what}"), answer.into_bytes())));
    assert!(places.iter().all(|(_, bytes)| !bytes.is_empty()));
    let (needles, of): (Vec<Vec<u8>>, Vec<&String>) =
        values.iter().flat_map(|value| needles(value).into_iter().map(move |needle| (needle, value))).unzip();
    let search = aho_corasick::AhoCorasick::new(&needles).unwrap();
    for (place, bytes) in &places {
        if let Some(found) = search.find(bytes) {
            let around =
                String::from_utf8_lossy(&bytes[found.start().saturating_sub(200)..(found.end() + 40).min(bytes.len())]);
            panic!("{place} holds a part of {}: ...{around}", of[found.pattern().as_usize()]);
        }
    }
}

on_both! { a_value_is_found_nowhere_but_where_it_is_released }
