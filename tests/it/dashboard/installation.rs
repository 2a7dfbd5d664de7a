//! `vaultInstallation`: what operators see.

use crate::support::{Backend, Installation, entry, user};
use serde_json::{Value, json};

const INSTALLATION: &str = "{ vaultInstallation { version accessChangesSetAside lastVerifiedAt lastVerifiedIntact \
    parts { name ready } keys { kind state count } heads { chainId seq signedAt } } }";

both! {
    async fn an_auditor_sees_what_answers_which_keys_there_are_and_what_is_signed(world: World) {
        world.demo().await;
        let answer = world.ask(&user("audrey"), INSTALLATION, json!({})).await;
        let installation = answer.ok("/vaultInstallation");
        assert_eq!(installation["version"], env!("CARGO_PKG_VERSION"));
        let ready = |name: &str| json!({ "name": name, "ready": true });
        assert_eq!(installation["parts"], json!([ready("database"), ready("authorizer"), ready("keyring")]));
        assert_eq!((&installation["accessChangesSetAside"], &installation["lastVerifiedAt"]), (&json!(0), &Value::Null));
        assert_eq!(installation["lastVerifiedIntact"], Value::Null);
        let key = |kind: &str, state: &str| json!({ "kind": kind, "state": state, "count": 1 });
        let before = [key("MASTER", "encrypting"), key("DATA", "encrypting"), key("SIGNING", "signing")];
        assert_eq!(installation["keys"], json!(before));

        world.vault.audit().sign_head().await.unwrap();
        world.clock.advance(std::time::Duration::from_secs(60));
        world.vault.entries().create(&user("alice"), entry("A", "v")).await.unwrap();
        world.vault.audit().sign_head().await.unwrap();
        let answer = world.ask(&user("audrey"), INSTALLATION, json!({})).await;
        let heads = answer.ok("/vaultInstallation/heads").as_array().unwrap();
        assert!(heads.len() >= 2, "{heads:?}");
        let instants: Vec<&str> = heads.iter().map(|head| head["signedAt"].as_str().unwrap()).collect();
        assert!(instants.is_sorted_by(|newer, older| newer >= older), "{instants:?}");
        assert_eq!(instants[0], "2030-01-01T00:01:00.000Z");
        assert!(heads.iter().all(|head| head["seq"].as_str().unwrap().parse::<i64>().unwrap() > 0));
    }

    async fn a_stored_verification_is_shown_and_a_forged_one_is_not(world: World) {
        world.demo().await;
        let verifier = world.vault.verifier();
        let found = verifier.verify(&[], |_| {}).await.unwrap();
        verifier.store_result(&found).await.unwrap();
        let shown = async || world.ask(&user("audrey"), INSTALLATION, json!({})).await;
        let answer = shown().await;
        assert_eq!(answer.ok("/vaultInstallation/lastVerifiedAt"), "2030-01-01T00:00:00.000Z");
        assert_eq!(answer.ok("/vaultInstallation/lastVerifiedIntact"), &json!(found.breaks.is_empty()));
        world.sql("UPDATE installation SET value = '2031-01-01T00:00:00.000Z intact' WHERE name = 'audit_verified'").await.unwrap();
        let answer = shown().await;
        assert_eq!((answer.codes(), answer.at("/vaultInstallation")), (vec!["INTERNAL"], &Value::Null));
    }
}

/// `audit verify` stores its result, whether the log is intact or not.
async fn the_command_stores_what_it_found(backend: Backend) {
    let it = Installation::new(backend).await;
    let log = it.file("log");
    let server = it.serve("warn", &log).await;
    it.add_demo(&server).await;
    let last = async || {
        let query = "{ vaultInstallation { lastVerifiedAt lastVerifiedIntact } }";
        let answer = it.ask(&server, "user:audrey", query, json!({})).await.unwrap();
        answer["data"]["vaultInstallation"].clone()
    };
    assert_eq!(last().await["lastVerifiedIntact"], Value::Null);
    it.done(&["audit", "verify"]).await;
    let intact = last().await;
    assert_eq!(intact["lastVerifiedIntact"], true);
    it.database.sql("UPDATE audit_events SET actor = 'user:mallory' WHERE action = 'AGENT_ASSIGNED'").await.unwrap();
    assert_eq!(it.run(&["audit", "verify"]).await.status, 1);
    let broken = last().await;
    assert_eq!(broken["lastVerifiedIntact"], false);
    assert!(broken["lastVerifiedAt"].as_str() > intact["lastVerifiedAt"].as_str());
}

on_both!(the_command_stores_what_it_found);
