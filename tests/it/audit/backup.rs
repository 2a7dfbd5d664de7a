//! A backup from before a deletion can be read with the master key of its time, and no longer once
//! that key is destroyed.

use crate::support::{Backend, Installation};
use serde_json::json;

const RESOLVE: &str = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION }) { secrets { value } } }";

async fn a_backup_is_unreadable_once_the_master_key_of_its_time_is_gone(backend: Backend) {
    let mut it = Installation::new(backend).await;
    let log = it.file("log");
    let server = it.serve("warn", &log).await;
    it.add_demo(&server).await;
    let create = "mutation { createVaultEntry(input: { projectId: \"demo\", name: \"TOKEN\", value: \"the value\", category: SECRET }) { userErrors { code } } }";
    it.ask(&server, "user:alice", create, json!({})).await.unwrap();
    let backup = it.database.restored_backup().await;
    let delete = "mutation { deleteProjectVault(projectId: \"demo\") { entriesErased receipt } }";
    let deleted = it.ask(&server, "service:platform", delete, json!({})).await.unwrap();
    assert_eq!(deleted["data"]["deleteProjectVault"]["entriesErased"], 1);
    drop(server);

    // The operator rotates, and retires the key.
    let file = it.keyring();
    let keyring = file.to_str().unwrap();
    let old = project_vault::crypto::Keyring::read_file(&file).unwrap().current_id().to_owned();
    std::fs::copy(&file, it.file("old.toml")).unwrap();
    it.done(&["keys", "generate", "--add", keyring]).await;
    it.done(&["keys", "rotate"]).await;
    it.done(&["keys", "retire", &old, "--keyring", keyring]).await;

    // The backup, with the key of its time: the data keys still open.
    let live = std::mem::replace(&mut it.database, backup);
    let with = async |ring: &str| {
        let mut command = it.command(&["keys", "rotate", "--data-all"]);
        command.env("VAULT_KEYRING_FILE", it.file(ring));
        crate::support::run(command).await
    };
    if backend == Backend::Sqlite {
        // Its tuples came back with it.
        let mut with_old = it.serve_with(&it.file("old.toml"), &log).await;
        let answer = it.ask(&with_old, "runtime:acme-runtime", RESOLVE, json!({})).await.unwrap();
        assert_eq!(answer["data"]["resolveSecrets"]["secrets"][0]["value"], "the value");
        with_old.kill();
    } else {
        let with_old = with("old.toml").await;
        assert_eq!(with_old.status, 0, "{with_old:?}");
    }
    // And with the keyring as it is now: nothing does.
    let without = with("keyring.toml").await;
    assert!(without.err.contains(&old) && without.status == 1, "{without:?}");
    it.database = live;
    assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
}

on_both! { a_backup_is_unreadable_once_the_master_key_of_its_time_is_gone }
