//! `serve --check`: what it finds in each part, all at once, and that it writes nothing.

use crate::support::{Backend, Collector, CollectorFault, Database, Installation, Ran, run};
use project_vault::crypto::Keyring;
use secrecy::ExposeSecret as _;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A port that nobody listens on.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks with settings changed.
async fn check(it: &Installation, changed: &[(&str, &str)]) -> Ran {
    let mut command = it.command(&["serve", "--check"]);
    command.env("VAULT_LISTEN", "127.0.0.1:0").envs(changed.iter().copied());
    run(command).await
}

/// The parts that the problems are of: every line names one.
fn parts(ran: &Ran) -> BTreeSet<&str> {
    let part = |line: &'_ str| line.find(": ").map(|end| line[..end].len());
    ran.err
        .lines()
        .map(|line| {
            let problem = line.strip_prefix("error: ").unwrap_or_else(|| panic!("{line:?} is no problem: {ran:?}"));
            &problem[..part(problem).unwrap_or_else(|| panic!("{line:?} names no part"))]
        })
        .collect()
}

/// One part is broken, and nothing else is said to be.
#[track_caller]
fn only(ran: &Ran, part: &str, what: &str) {
    assert_eq!((parts(ran), ran.status), (BTreeSet::from([part]), 1), "{ran:?}");
    assert!(ran.err.contains(what), "{what:?} is not in {ran:?}");
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A database that is not there.
fn nowhere(backend: Backend, it: &Installation) -> String {
    match backend {
        Backend::Sqlite => format!("sqlite:{}", it.file("none.db").display()),
        Backend::Postgres => format!("postgres://postgres@127.0.0.1:{}/vault", closed_port()),
    }
}

async fn a_good_installation_passes_and_nothing_is_written(backend: Backend) {
    let it = Installation::new(backend).await;
    let before = it.database.stored_bytes().await;
    let ran = check(&it, &[]).await;
    let ready = ["database: ready", "keys: ready", "authorizer: ready", "issuers: ready", "addresses: ready"];
    assert_eq!((ran.out.lines().collect::<Vec<_>>(), ran.err.as_str(), ran.status), (ready.to_vec(), "", 0));
    assert!(it.database.stored_bytes().await == before, "the database is as it was");
    let ran = it.run(&["serve", "--check", "--migrate"]).await;
    assert_eq!(ran.status, 2, "a check does not migrate: {ran:?}");
}

async fn each_part_that_is_broken_is_named_alone(backend: Backend) {
    let it = Installation::new(backend).await;

    // A database that is not there cannot tell what the embedded authorizer needs; OpenFGA answers.
    let ran = check(&it, &[("DATABASE_URL", &nowhere(backend, &it))]).await;
    only(&ran, "database", "DATABASE_URL");
    assert!(!it.file("none.db").exists(), "no database is made");
    assert!(ran.out.contains("keys: ready") && ran.out.contains("issuers: ready"), "{ran:?}");
    assert_eq!(ran.out.contains("authorizer: ready"), backend == Backend::Postgres, "{ran:?}");

    let other = it.file("other.toml");
    write(&other, Keyring::generate().unwrap().to_text().expose_secret());
    let ran = check(&it, &[("VAULT_KEYRING_FILE", other.to_str().unwrap())]).await;
    only(&ran, "keys", Keyring::read_file(&it.keyring()).unwrap().current_id());
    let transit = format!("http://127.0.0.1:{}", closed_port());
    let ran = check(
        &it,
        &[
            ("VAULT_KEY_PROVIDER", "transit"),
            ("VAULT_TRANSIT_URL", &transit),
            ("VAULT_TRANSIT_KEY", "vault"),
            ("VAULT_TRANSIT_TOKEN", "t"),
        ],
    )
    .await;
    only(&ran, "keys", "VAULT_TRANSIT_URL");

    let jwks = format!("http://127.0.0.1:{}/jwks", closed_port());
    let ran = check(&it, &[("VAULT_JWKS_FILE", ""), ("VAULT_JWKS_URL", &jwks)]).await;
    only(&ran, "issuers", "https://id.example");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = check(&it, &[("VAULT_METRICS_LISTEN", &address)]).await;
    only(&ran, "addresses", &address);
    drop(taken);

    // Each is a file of PEM, but the key is another certificate's.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let (certificate, key) = (folder.join("it/http/localhost.pem"), folder.join("vectors/jwt/ec-p384.pem"));
    let tls = [("VAULT_TLS_CERT_FILE", certificate.to_str().unwrap()), ("VAULT_TLS_KEY_FILE", key.to_str().unwrap())];
    only(&check(&it, &tls).await, "addresses", "localhost.pem");
    let own = folder.join("it/http/localhost.key");
    let tls = [("VAULT_TLS_CERT_FILE", certificate.to_str().unwrap()), ("VAULT_TLS_KEY_FILE", own.to_str().unwrap())];
    assert_eq!(check(&it, &tls).await.status, 0);

    match backend {
        Backend::Sqlite => {
            it.database.sql("DELETE FROM tuples WHERE object LIKE 'project:%'").await.unwrap();
            only(&check(&it, &[]).await, "authorizer", "project-vault migrate");
        }
        Backend::Postgres => {
            let openfga = format!("http://127.0.0.1:{}", closed_port());
            only(&check(&it, &[("OPENFGA_URL", &openfga)]).await, "authorizer", "OPENFGA_URL");
            only(&check(&it, &[("OPENFGA_STORE", "another")]).await, "authorizer", "OPENFGA_STORE");
            let name = it.database.url.rsplit('/').next().unwrap();
            it.database.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await.unwrap();
            only(&check(&it, &[]).await, "database", "takes no writes");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_of_traces_is_asked() {
    let it = Installation::new(Backend::Sqlite).await;
    let collector = Collector::start(CollectorFault::None).await;
    let asked = async |url: &str| {
        let token = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2");
        check(&it, &[("OTEL_EXPORTER_OTLP_ENDPOINT", url), token]).await
    };
    let ran = asked(&collector.url).await;
    assert!(ran.status == 0 && ran.out.contains("traces: ready"), "{ran:?}");
    assert!(collector.spans().is_empty() && collector.heads()[0].1.contains("Bearer hunter2"));
    collector.set(CollectorFault::Status(401));
    only(&asked(&collector.url).await, "traces", "the collector answers 401");
    only(&asked(&format!("http://127.0.0.1:{}", closed_port())).await, "traces", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let ran = asked("http://collector:4318").await;
    assert_eq!((parts(&ran), ran.status), (BTreeSet::from(["OTEL_EXPORTER_OTLP_ENDPOINT"]), 2), "{ran:?}");
    assert!(!format!("{ran:?}").contains("hunter2"));
}

async fn tables_of_another_version_are_named(backend: Backend) {
    let mut it = Installation::new(backend).await;
    let migrated = std::mem::replace(&mut it.database, Database::new(backend).await);
    if let Some(path) = it.database.url.strip_prefix("sqlite:") {
        std::fs::write(path, "").unwrap();
    }
    only(&check(&it, &[]).await, "database", "project-vault migrate");
    match backend {
        Backend::Sqlite => {
            assert!(it.database.stored_bytes().await.is_empty(), "nothing is made");
        }
        Backend::Postgres => {
            let tables = "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'";
            assert_eq!(it.database.number(tables).await, 0, "nothing is made");
        }
    }

    it.database = migrated;
    it.database.sql("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000001')").await.unwrap();
    only(&check(&it, &[]).await, "database", "29990101000001");
    let before = it.database.stored_bytes().await;
    for args in [&["serve"][..], &["serve", "--migrate"], &["migrate"], &["keys", "status"], &["audit", "verify"]] {
        let ran = it.run(args).await;
        assert!(ran.status == 1 || args[0] == "audit" && ran.status == 6, "{args:?}: {ran:?}");
        assert!(ran.err.contains("newer program") && ran.err.contains("29990101000001"), "{args:?}: {ran:?}");
    }
    assert!(it.database.stored_bytes().await == before, "an older program changes nothing");
}

async fn all_problems_are_told_at_once(backend: Backend) {
    let it = Installation::new(backend).await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let closed = format!("http://127.0.0.1:{}", closed_port());
    let broken = [
        ("DATABASE_URL", nowhere(backend, &it)),
        ("OPENFGA_URL", closed.clone()),
        ("VAULT_AUTHZ", "openfga".to_owned()),
        ("VAULT_KEYRING_FILE", String::new()),
        ("VAULT_KEYRING_COMMAND", "false".to_owned()),
        ("VAULT_JWKS_FILE", String::new()),
        ("VAULT_JWKS_URL", closed),
        ("VAULT_LISTEN", address),
    ];
    let mut broken: Vec<(&str, &str)> = broken.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ran = check(&it, &broken).await;
    let every = BTreeSet::from(["addresses", "authorizer", "database", "issuers", "keys"]);
    assert_eq!((parts(&ran), ran.out.as_str(), ran.status), (every, "", 1), "{ran:?}");

    // A setting that is wrong keeps its own part from being tried, and no other.
    broken.push(("VAULT_LOG_FORMAT", "yaml"));
    broken.push(("VAULT_KEY_PROVIDER", "paper"));
    let ran = check(&it, &broken).await;
    let every =
        BTreeSet::from(["addresses", "authorizer", "database", "issuers", "VAULT_LOG_FORMAT", "VAULT_KEY_PROVIDER"]);
    assert_eq!((parts(&ran), ran.status), (every, 2), "{ran:?}");
}

on_both! {
    a_good_installation_passes_and_nothing_is_written,
    each_part_that_is_broken_is_named_alone,
    tables_of_another_version_are_named,
    all_problems_are_told_at_once,
}
