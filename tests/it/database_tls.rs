//! TLS to PostgreSQL for each `sslmode`.

use crate::support::{Backend, World, entry, in_time, setting, user};
use project_vault::store::{Error, Store};

/// The same database, with these options.
fn with(world: &World, options: &str) -> Store {
    Store::open(&format!("{}?{options}", world.url()), None).unwrap()
}

async fn encrypted(world: &World) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE datname = current_database() AND ssl AND version LIKE 'TLSv1.%'";
    world.number(sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_as_far_as_its_mode_asks() {
    in_time(Backend::Postgres, async |world| {
        let authority = setting("VAULT_TEST_POSTGRES_AUTHORITY");
        let before = encrypted(&world).await;
        assert!(before > 0, "it is preferred where nothing is said");
        let clear = with(&world, "sslmode=disable");
        let kept = clear.conn().await.unwrap();
        assert_eq!(encrypted(&world).await, before);
        drop(kept);
        for options in [
            "sslmode=prefer".to_owned(),
            format!("sslmode=require&sslrootcert={authority}"),
            format!("sslrootcert={}&sslmode=verify-full", authority.replace('/', "%2F")),
        ] {
            let store = with(&world, &options);
            let kept = store.conn().await.unwrap();
            assert_eq!(encrypted(&world).await, before + 1, "{options}");
            assert!(store.is_migrated().await.unwrap(), "{options}");
            drop((kept, store));
        }
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_nobody_vouches_for_is_refused_where_tls_is_required() {
    in_time(Backend::Postgres, async |world| {
        let authority = setting("VAULT_TEST_POSTGRES_AUTHORITY");
        let by_name = world.url().replace("127.0.0.1", "localhost");
        for (what, url) in [
            ("an authority that the system does not know", format!("{}?sslmode=require", world.url())),
            ("another name", format!("{by_name}?sslmode=require&sslrootcert={authority}")),
        ] {
            let store = Store::open(&url, None).unwrap();
            let refused = store.conn().await.err();
            assert!(
                matches!(&refused, Some(Error::Unavailable(why)) if why.contains("certificate")),
                "{what}: {refused:?}"
            );
            assert!(store.migrate().await.is_err(), "{what}");
        }
        let missing = Store::open(&format!("{}?sslmode=require&sslrootcert=/nowhere", world.url()), None);
        assert!(missing.is_err_and(|error| error.to_string().contains("/nowhere")));
    })
    .await;
}
