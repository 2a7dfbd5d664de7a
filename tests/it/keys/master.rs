//! Master keys: wrapping everything with the current one, and those that are missing, wrong or
//! retired.

use super::{EVENTS, Ringed, add_projects, operator, value, write};
use project_vault::crypto::Keyring;
use project_vault::domain::KeyPurpose;
use std::error::Error as _;

/// What `check_keyring` says is wrong.
async fn told(ringed: &Ringed) -> String {
    let error = ringed.server().installation().check_keyring().await.unwrap_err();
    error.source().unwrap().to_string()
}

both! {
    async fn everything_is_wrapped_with_the_current_key_and_no_value_changes(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        ringed.world.vault.installation().signing_key().await.unwrap();
        let old = Keyring::read_file(&ringed.path).unwrap();
        add_projects(&ringed.world, 250).await;
        let sealed = ringed.world.text("SELECT CAST(count(*) AS TEXT) AS t FROM ciphertexts").await;
        let new = ringed.add_key();
        let before = ringed.status().await;
        assert_eq!((before.data_keys.count, before.master_keys.len()), (251, 2));
        let (was, is) = (ringed.of_key(old.current_id()).await, ringed.of_key(&new).await);
        assert_eq!((was.data_keys, was.current, is.data_keys, is.current, is.is_used()), (251, false, 0, true, false));
        assert_eq!(was.installation_keys, [KeyPurpose::Audit, KeyPurpose::Signing]);

        let rewrapped = ringed.server().rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!((rewrapped.data_keys, rewrapped.installation_keys, rewrapped.left), (251, 2, 0));
        assert_eq!(rewrapped.master_key, new);
        assert_eq!((ringed.of_key(&new).await.data_keys, ringed.of_key(old.current_id()).await.is_used()), (251, false));
        assert_eq!(ringed.world.number(EVENTS).await, 1);
        assert_eq!(ringed.world.text("SELECT CAST(count(*) AS TEXT) AS t FROM ciphertexts").await, sealed);
        // A server that has not heard of the new key reads it when it meets it.
        assert_eq!(value(&ringed.world.vault, "TOKEN").await, "a value");
        ringed.server().installation().check_keyring().await.unwrap();
        let again = ringed.server().rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        assert_eq!((again.data_keys, again.installation_keys), (0, 0));
        assert_eq!(ringed.world.number(EVENTS).await, 1, "nothing was done");
    }

    async fn several_rotations_at_once_end_with_everything_under_the_current_key(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        add_projects(&ringed.world, 300).await;
        let new = ringed.add_key();
        let servers = [ringed.server(), ringed.server(), ringed.server()];
        let by = operator();
        let runs = servers.iter().map(|server| server.rotation().rewrap(&by, &|_, _| {}));
        let reading = async {
            for _ in 0..30 {
                assert_eq!(value(&ringed.world.vault, "TOKEN").await, "a value");
            }
        };
        let (runs, ()) = futures::join!(futures::future::join_all(runs), reading);
        let done: u64 = runs.into_iter().map(|run| run.unwrap().data_keys).sum();
        assert_eq!(done, 301, "each was wrapped anew once");
        assert_eq!(ringed.of_key(&new).await.data_keys, 301);
        ringed.server().installation().check_keyring().await.unwrap();
    }

    async fn a_missing_a_wrong_and_a_retired_key_are_named(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        let old = Keyring::read_file(&ringed.path).unwrap();
        let id = old.current_id().to_owned();
        let is_ready = async |vault: &project_vault::vault::Vault| {
            vault.health().ready().await.into_iter().find(|(part, _)| *part == "keyring").unwrap().1
        };
        assert!(is_ready(&ringed.server()).await);

        write(&ringed.path, &Keyring::generate().unwrap());
        let said = told(&ringed).await;
        assert!(said.contains("lacks") && said.contains(&id), "{said}");
        assert!(!is_ready(&ringed.server()).await);

        let other = Keyring::generate().unwrap();
        let text = secrecy::ExposeSecret::expose_secret(&other.to_text()).replace(other.current_id(), &id);
        write(&ringed.path, &Keyring::parse(&text).unwrap());
        let said = told(&ringed).await;
        assert!(said.contains("does not open") && said.contains(&id), "{said}");

        write(&ringed.path, &old);
        let sql = "SELECT CAST(count(*) AS TEXT) AS t FROM data_keys";
        assert_eq!(ringed.world.text(sql).await, "1");
        let refused = ringed.server().rotation().retire_master_key(&operator(), &id).await.err().unwrap();
        assert_eq!(refused.code().as_str(), "CONFLICT");
        ringed.world.sql("CREATE TABLE kept AS SELECT * FROM data_keys").await.unwrap();
        ringed.add_key();
        ringed.server().rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        ringed.server().rotation().retire_master_key(&operator(), &id).await.unwrap();
        let mut ring = Keyring::read_file(&ringed.path).unwrap();
        ring.remove_key(&id).unwrap();
        write(&ringed.path, &ring);
        ringed.server().installation().check_keyring().await.unwrap();
        // A row from before is put back.
        let sql = "UPDATE data_keys SET (master_key, wrapped) = (SELECT master_key, wrapped FROM kept)";
        ringed.world.sql(sql).await.unwrap();
        let said = told(&ringed).await;
        assert!(said.contains("it was retired at") && said.contains(&id), "{said}");
        ringed.world.sql("DROP TABLE kept").await.unwrap();
    }

    async fn the_installations_keys_are_checked_as_well(world: World) {
        let ringed = Ringed::with(world, &[]).await;
        let id = Keyring::read_file(&ringed.path).unwrap().current_id().to_owned();
        ringed.world.sql("DELETE FROM data_keys").await.unwrap();
        ringed.server().installation().check_keyring().await.unwrap();
        write(&ringed.path, &Keyring::generate().unwrap());
        assert!(told(&ringed).await.contains(&id));
        let status = ringed.status().await;
        let missing = status.master_keys.iter().find(|key| key.id == id).unwrap();
        assert!(!missing.present && missing.is_used());
        let rewrapped = ringed.server().rotation().rewrap(&operator(), &|_, _| {}).await.unwrap();
        assert!(rewrapped.problems.iter().any(|problem| problem.contains(&id)), "{rewrapped:?}");
    }
}
