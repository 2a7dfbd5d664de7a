//! How PostgreSQL is reached: with TLS for each `sslmode`, and over a Unix socket.

use crate::support::{Backend, World, entry, in_time, setting, user};
use project_vault::store::{Error, Store, Tables};

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
            "sslmode=allow".to_owned(),
            format!("sslmode=require&sslrootcert={authority}"),
            format!("sslrootcert={}&sslmode=verify-full", authority.replace('/', "%2F")),
        ] {
            let store = with(&world, &options);
            let kept = store.conn().await.unwrap();
            assert_eq!(encrypted(&world).await, before + 1, "{options}");
            assert_eq!(store.tables().await.unwrap(), Tables::Current, "{options}");
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

/// The address of the same database with its parts: port and name.
fn parts(world: &World) -> (String, String) {
    let (port, name) = world.url().rsplit_once(':').unwrap().1.split_once('/').unwrap();
    (port.to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_needs_no_tls_whatever_is_asked() {
    in_time(Backend::Postgres, async |world| {
        let folder = setting("VAULT_TEST_POSTGRES_SOCKETS");
        let (port, name) = parts(&world);
        let encoded = folder.replace('/', "%2F");
        let sockets =
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND client_port = -1";
        for url in [
            format!("postgres://postgres@/{name}?host={folder}&port={port}"),
            format!("postgres://postgres@/{name}?host={encoded}&port={port}"),
            format!("postgresql:///{name}?port={port}&user=postgres&host={folder}"),
            format!("postgres://postgres@{encoded}:{port}/{name}"),
            format!("postgres://postgres@{encoded}/{name}?port={port}"),
            // An option wins over what stands before the path.
            format!("postgres://postgres@db.example/{name}?host={folder}&port={port}"),
            format!("postgres://postgres@db.example:{port}/{name}?host={folder}"),
        ] {
            for mode in ["", "disable", "allow", "prefer", "require", "verify-full"] {
                let mode = if mode.is_empty() { String::new() } else { format!("sslmode={mode}") };
                let joint = if url.contains('?') { '&' } else { '?' };
                let store = Store::open(&format!("{url}{joint}{mode}"), None).unwrap();
                let kept = store.conn().await.unwrap();
                assert_eq!(world.number(sockets).await, 1, "{url} {mode}");
                assert_eq!(store.tables().await.unwrap(), Tables::Current, "{url} {mode}");
                drop((kept, store));
                wait_for(&world, sockets, 0).await;
            }
        }
    })
    .await;
}

async fn wait_for(world: &World, sql: &str, count: i64) {
    for _ in 0..200 {
        if world.number(sql).await == count {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the connections stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_may_be_given_in_options_too() {
    in_time(Backend::Postgres, async |world| {
        let authority = setting("VAULT_TEST_POSTGRES_AUTHORITY");
        let (port, name) = parts(&world);
        for url in [
            format!("postgres://postgres@/{name}?host=127.0.0.1&port={port}"),
            format!("postgres://postgres@127.0.0.1/{name}?port={port}"),
            format!("postgres://postgres@db.example:1/{name}?host=127.0.0.1&port={port}"),
        ] {
            let before = encrypted(&world).await;
            let store = Store::open(&format!("{url}&sslmode=require&sslrootcert={authority}"), None).unwrap();
            let kept = store.conn().await.unwrap();
            assert_eq!(encrypted(&world).await, before + 1, "{url}");
            drop(kept);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_are_read_from_any_pem() {
    in_time(Backend::Postgres, async |world| {
        let authority = std::fs::read_to_string(setting("VAULT_TEST_POSTGRES_AUTHORITY")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        for text in [
            format!("\u{feff}{}", authority.replace('\n', "\r\n")),
            format!("Bag Attributes\n    localKeyID: 01\n{}", authority.replace("CERTIFICATE", "X509 CERTIFICATE")),
        ] {
            std::fs::write(&file, &text).unwrap();
            let store = with(&world, &format!("sslmode=require&sslrootcert={}", file.display()));
            assert_eq!(store.tables().await.unwrap(), Tables::Current, "{text}");
        }
        let trusted = authority.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        for (text, problem) in [("no certificate", "holds no certificate"), (&trusted, "TRUSTED CERTIFICATE")] {
            std::fs::write(&file, text).unwrap();
            let none = Store::open(&format!("{}?sslmode=require&sslrootcert={}", world.url(), file.display()), None);
            assert!(none.is_err_and(|error| error.to_string().contains(problem)), "{problem}");
        }
    })
    .await;
}
