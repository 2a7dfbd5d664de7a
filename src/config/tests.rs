//! Valid configurations, and the problems that invalid ones report.
#![allow(clippy::unnecessary_wraps, reason = "settings are given or not")]

mod dashboard;
#[cfg(feature = "otlp")]
mod traces;

use super::*;
use crate::crypto::Keyring;
use crate::http::tokens::{KeySource, Signer};
use secrecy::ExposeSecret as _;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// Settings to be changed by a test.
struct Given {
    folder: tempfile::TempDir,
    backend: BackendSettings,
    keys: KeySettings,
    server: ServerSettings,
    log: LogSettings,
    secrets: Secrets,
}

fn os(text: &str) -> Option<OsString> {
    Some(text.into())
}

impl Given {
    /// The least that a server needs.
    fn good() -> Self {
        let mut given = Self {
            folder: tempfile::tempdir().unwrap(),
            backend: BackendSettings::default(),
            keys: KeySettings::default(),
            server: ServerSettings::default(),
            log: LogSettings::default(),
            secrets: Secrets {
                database_url: os("sqlite:vault.db"),
                openfga_token: None,
                transit_token: None,
                notices_secret: None,
                otlp_headers: None,
            },
        };
        let ring = Keyring::generate().unwrap().to_text();
        given.keys.keyring_file = given.file("keyring.toml", ring.expose_secret());
        given.server.jwt_issuer = os("https://id.example");
        given.server.jwks_url = os("https://id.example/jwks");
        given
    }

    /// A file of mode 0600.
    fn file(&self, name: &str, text: &str) -> Option<OsString> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Some(path.into())
    }

    fn read(&self) -> Result<Config, Problems> {
        Parts::of_server(&self.backend, &self.keys, &self.server, &self.log, &self.secrets).complete()
    }

    /// All problems; each begins with the name of its setting.
    fn problems(&self) -> Vec<String> {
        let Err(Problems(problems)) = self.read() else { return Vec::new() };
        problems
    }

    fn settings(&self) -> Vec<String> {
        self.problems().iter().map(|problem| problem.split(':').next().unwrap_or_default().to_owned()).collect()
    }
}

#[test]
fn what_is_not_set_has_its_default() {
    let given = Given::good();
    let Config { backend, server, log, .. } = given.read().ok().unwrap();
    assert_eq!(backend.database_url.expose_secret(), "sqlite:vault.db");
    assert!(matches!(backend.authz, Authz::Embedded));
    assert_eq!(server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(server.metrics_listen.to_string(), "127.0.0.1:0");
    assert_eq!((server.runtime_listen, server.tls, server.introspection), (None, None, false));
    assert_eq!(server.retention, Duration::from_secs(30 * 86_400));
    assert_eq!((server.jwks_refresh, server.authz_max_age), (Duration::from_secs(300), Duration::ZERO));
    assert_eq!(server.issuers.len(), 1);
    assert_eq!(server.issuers[0].kinds.len(), 3);
    assert_eq!((log.filter.to_string(), log.format), ("info".to_owned(), LogFormat::Text));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let mut given = Given::good();
    let empty = || os("");
    given.backend.openfga_token_file = empty();
    given.backend.database_url_file = empty();
    given.backend.authz = empty();
    given.secrets.openfga_token = empty();
    given.log = LogSettings { log: empty(), log_format: empty() };
    given.keys = KeySettings {
        key_provider: empty(),
        keyring_command: empty(),
        transit_url: empty(),
        transit_key: empty(),
        transit_token_file: empty(),
        ..given.keys
    };
    given.server = ServerSettings {
        listen: empty(),
        runtime_listen: empty(),
        metrics_listen: empty(),
        tls_cert_file: empty(),
        tls_key_file: empty(),
        introspection: empty(),
        deleted_retention_days: empty(),
        authz_max_age_ms: empty(),
        jwks_file: empty(),
        issuers_file: empty(),
        jwks_refresh_seconds: empty(),
        resolves_per_minute: empty(),
        dashboard: DashboardSettings { dashboard: empty(), dashboard_graphql_url: empty() },
        oidc: OidcSettings {
            oidc_client_id: empty(),
            oidc_issuer: empty(),
            oidc_scope: empty(),
            oidc_origins: empty(),
        },
        ..given.server
    };
    assert_eq!(given.problems(), Vec::<String>::new());
}

#[test]
fn every_problem_is_told_at_once() {
    let given = Given {
        backend: BackendSettings { authz: os("opa"), openfga_url: os("localhost"), ..BackendSettings::default() },
        keys: KeySettings { key_provider: os("vault"), ..KeySettings::default() },
        server: ServerSettings {
            listen: os("4000"),
            runtime_listen: os("somewhere"),
            metrics_listen: os("9464"),
            tls_cert_file: os("/nowhere/chain.pem"),
            introspection: os("yes"),
            deleted_retention_days: os("-1"),
            authz_max_age_ms: os("1s"),
            jwks_url: os("http://id.example"),
            jwks_refresh_seconds: os("0"),
            resolves_per_minute: os("many"),
            dashboard: DashboardSettings::default(),
            oidc: OidcSettings::default(),
            ..ServerSettings::default()
        },
        log: LogSettings { log: os("="), log_format: os("xml") },
        secrets: Secrets::default(),
        ..Given::good()
    };
    let mut settings = given.settings();
    settings.sort();
    let mut expected = [
        "DATABASE_URL",
        "VAULT_AUTHZ",
        "OPENFGA_URL",
        "VAULT_LISTEN",
        "VAULT_RUNTIME_LISTEN",
        "VAULT_METRICS_LISTEN",
        "VAULT_TLS_CERT_FILE",
        "VAULT_TLS_KEY_FILE",
        "VAULT_INTROSPECTION",
        "VAULT_DELETED_RETENTION_DAYS",
        "VAULT_AUTHZ_MAX_AGE_MS",
        "VAULT_KEY_PROVIDER",
        "VAULT_KEYRING_FILE",
        "VAULT_JWKS_URL",
        "VAULT_JWT_ISSUER",
        "VAULT_JWKS_REFRESH_SECONDS",
        "VAULT_RESOLVES_PER_MINUTE",
        "RUST_LOG",
        "VAULT_LOG_FORMAT",
    ];
    expected.sort_unstable();
    assert_eq!(settings, expected, "{:#?}", given.problems());
}

#[test]
fn the_database_is_postgresql_or_a_file_of_sqlite() {
    for (url, authz) in [
        ("postgres://vault:pw@db/vault?sslmode=require", "embedded"),
        ("postgresql:///vault?host=/run/postgresql&application_name=vault", "embedded"),
        ("postgres://vault@%2Frun%2Fpostgresql/vault", "embedded"),
        ("postgres:///vault?hostaddr=127.0.0.1", "embedded"),
        ("sqlite:/var/lib/vault.db", ""),
    ] {
        let mut given = Given::good();
        given.secrets.database_url = os(url);
        given.backend.authz = os(authz);
        assert_eq!(given.problems(), Vec::<String>::new(), "{url}");
    }
    for url in [
        "mysql://hunter2@db",
        "hunter2",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:file:hunter2?mode=memory",
        "postgres://vault:hun?ter2=hunter2@db/vault",
        "postgres://vault:hunter2@/vault",
        "postgres:///vault?port=5432&user=hunter2",
    ] {
        let mut given = Given::good();
        given.secrets.database_url = os(url);
        given.backend.authz = os("embedded");
        assert_eq!(given.settings(), ["DATABASE_URL"], "{url}");
        assert!(!given.problems()[0].contains("ter2"), "{:?}", given.problems());
    }
}

#[test]
fn openfga_decides_beside_postgresql_unless_said_otherwise() {
    let mut given = Given::good();
    given.secrets.database_url = os("postgres://db/vault");
    assert_eq!(given.settings(), ["OPENFGA_URL"]);
    given.backend.openfga_url = os("http://127.0.0.1:8081");
    let Authz::OpenFga(openfga) = given.read().ok().unwrap().backend.authz else { panic!("not OpenFGA") };
    assert_eq!((openfga.url.as_str(), openfga.store.as_str()), ("http://127.0.0.1:8081", "project-vault"));
    assert!(openfga.token.is_none());
    given.secrets.openfga_token = os("hunter2 hunter2");
    assert_eq!(given.settings(), ["OPENFGA_TOKEN"]);
    assert!(!given.problems()[0].contains("hunter2"));
    given.secrets = Secrets {
        database_url: Given::good().secrets.database_url.clone(),
        openfga_token: os("t"),
        transit_token: None,
        notices_secret: None,
        otlp_headers: None,
    };
    given.backend.authz = os("openfga");
    assert_eq!(given.problems(), Vec::<String>::new());
}

#[test]
fn a_secret_is_given_itself_or_as_a_file_but_not_both() {
    let mut given = Given::good();
    given.backend.database_url_file = given.file("url", "sqlite:other.db\n");
    assert_eq!(given.settings(), ["DATABASE_URL"]);
    given.secrets.database_url = None;
    assert_eq!(given.read().ok().unwrap().backend.database_url.expose_secret(), "sqlite:other.db");
    for (name, text) in [("empty", "\n"), ("text", "\u{0}")] {
        given.backend.database_url_file = given.file(name, text);
        assert_eq!(given.settings().len(), 1, "{name}");
    }
    given.backend.database_url_file = given.file("marked", "\u{feff}sqlite:other.db\r\n\n");
    assert_eq!(given.read().ok().unwrap().backend.database_url.expose_secret(), "sqlite:other.db");
    given.backend.database_url_file = os("postgres://vault:hunter2@db");
    assert_eq!(given.settings(), ["DATABASE_URL_FILE"]);
    assert!(!given.problems()[0].contains("hunter2"), "a secret in the wrong variable is told");
}

#[test]
fn the_keyring_is_a_file_or_a_command_but_not_both() {
    let mut given = Given::good();
    given.keys.keyring_command = os("cat hunter2");
    assert_eq!(given.settings(), ["VAULT_KEYRING_FILE"]);
    given.keys.keyring_file = None;
    let source = |given: &Given| given.read().ok().unwrap().keys.keyring;
    let words = |words: &[&str]| Some(KeyringSource::Command(words.iter().map(ToString::to_string).collect()));
    assert_eq!(source(&given), words(&["cat", "hunter2"]));
    given.keys.keyring_command = os(r#"gpg --decrypt "/etc/my ring.gpg" '$HOME;' a\ b"#);
    assert_eq!(source(&given), words(&["gpg", "--decrypt", "/etc/my ring.gpg", "$HOME;", "a b"]));
    for bad in ["cat 'hunter2", "cat \"hunter2", "cat hunter2\\", "''", "  ", "# hunter2"] {
        given.keys.keyring_command = os(bad);
        assert_eq!(given.settings(), ["VAULT_KEYRING_COMMAND"], "{bad}");
        assert!(!given.problems()[0].contains("hunter2"), "{bad}");
    }
    given.keys.keyring_command = None;
    assert_eq!(given.settings(), ["VAULT_KEYRING_FILE"]);
}

#[test]
fn the_transit_engine_needs_its_address_key_and_token() {
    let mut given = Given::good();
    given.keys.keyring_file = None;
    given.keys.key_provider = os("transit");
    assert_eq!(given.settings(), ["VAULT_TRANSIT_URL", "VAULT_TRANSIT_KEY", "VAULT_TRANSIT_TOKEN"]);
    given.keys.transit_url = os("https://bao.example:8200");
    given.keys.transit_key = os("project-vault");
    given.secrets.transit_token = os("hunter2");
    let keys = given.read().ok().unwrap().keys;
    assert!(keys.provider == Provider::Transit && keys.keyring.is_none());
    assert_eq!(keys.transit.unwrap().token.expose_secret(), "hunter2");
    given.keys.transit_token_file = given.file("token", "other\n");
    assert_eq!(given.settings(), ["VAULT_TRANSIT_TOKEN"]);
    given.secrets.transit_token = None;
    assert_eq!(given.read().ok().unwrap().keys.transit.unwrap().token.expose_secret(), "other");
    for (url, key) in [("http://bao.example", "k"), ("https://hunter2:x@bao", "k"), ("https://bao", "../hunter2")] {
        given.keys.transit_url = os(url);
        given.keys.transit_key = os(key);
        assert_eq!(given.settings().len(), 1, "{url} {key}");
        assert!(!given.problems()[0].contains("hunter2"), "{:?}", given.problems());
    }
}

#[test]
fn the_other_provider_may_be_given_for_what_it_wrapped() {
    let mut given = Given::good();
    given.keys.transit_url = os("http://127.0.0.1:8200");
    assert_eq!(given.settings(), ["VAULT_TRANSIT_KEY", "VAULT_TRANSIT_TOKEN"]);
    given.keys.transit_key = os("k");
    given.secrets.transit_token = os("t");
    for (word, provider) in [("", Provider::Keyring), ("transit", Provider::Transit)] {
        given.keys.key_provider = os(word);
        let keys = given.read().ok().unwrap().keys;
        assert!(keys.provider == provider && keys.keyring.is_some() && keys.transit.is_some());
    }
}

#[test]
fn a_keyring_that_is_open_to_others_or_none_is_a_problem() {
    let mut given = Given::good();
    let path = PathBuf::from(given.keys.keyring_file.clone().unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(given.problems()[0].starts_with("VAULT_KEYRING_FILE: ") && given.problems()[0].contains("chmod 640"));
    given.keys.keyring_file = given.file("bad.toml", "current = 'hunter2");
    assert!(!given.problems()[0].contains("hunter2"), "{:?}", given.problems());
    given.keys.keyring_file = os("/nowhere/keyring.toml");
    assert!(given.problems()[0].contains("keys generate"), "{:?}", given.problems());
}

#[test]
fn one_issuer_or_a_file_of_several_is_trusted() {
    let mut given = Given::good();
    given.server.jwks_file = given.file("jwks.json", &Signer::generate().unwrap().jwks());
    let key_set = given.server.jwks_file.clone().unwrap();
    assert_eq!(given.settings(), ["VAULT_JWKS_FILE"]);
    given.server.jwks_url = None;
    let issuers = given.read().ok().unwrap().server.issuers;
    assert_eq!(issuers[0].keys, KeySource::File(key_set.clone().into()));
    given.server.jwks_file = None;
    assert_eq!(given.settings(), ["VAULT_JWKS_FILE"]);
    given.server.jwt_issuer = None;
    assert_eq!(given.settings(), ["VAULT_JWT_ISSUER"]);
    let issuer = format!("[[issuer]]\niss = 'https://a'\njwks_file = {key_set:?}\nkinds = ['user']\n");
    given.server.issuers_file = given.file("issuers.toml", &issuer);
    assert_eq!(given.problems(), Vec::<String>::new());
    given.server.issuers_file = given.file("bad.toml", "[[issuer]]\niss = 'https://a'\n[other]");
    assert!(given.settings().len() > 1 && given.settings().iter().all(|setting| setting == "VAULT_ISSUERS_FILE"));
    given.server.issuers_file = given.file("issuers.toml", &issuer);
    given.server.jwt_issuer = os("https://b");
    given.server.jwks_url = os("https://b/jwks");
    assert_eq!(given.settings(), ["VAULT_JWT_ISSUER", "VAULT_JWKS_URL"]);
}

#[test]
fn a_file_of_keys_has_to_hold_one_that_can_be_used() {
    let mut given = Given::good();
    given.server.jwks_url = None;
    for (text, says) in [
        ("hunter2", "is not JSON"),
        ("{}", "no list `keys`"),
        (r#"{"keys":[]}"#, "no usable key"),
        (r#"{"keys":[{"kid":"\u001b[2J","kty":"RSA","use":"enc"}]}"#, "key 1 (\"\\u{1b}[2J\"): is not for signatures"),
    ] {
        given.server.jwks_file = given.file("jwks.json", text);
        assert_eq!(given.settings(), ["VAULT_JWKS_FILE"], "{text}");
        assert!(
            given.problems()[0].contains(says) && !given.problems()[0].contains("hunter2"),
            "{:?}",
            given.problems()
        );
    }
    given.server.jwks_file = os("/nowhere/jwks.json");
    given.server.listen = os("nowhere");
    assert_eq!(given.settings(), ["VAULT_LISTEN", "VAULT_JWKS_FILE"]);
    assert!(given.problems()[1].contains("/nowhere/jwks.json"), "{:?}", given.problems());

    given.server.listen = None;
    (given.server.jwks_file, given.server.jwt_issuer) = (None, None);
    let issuers = "[[issuer]]\niss = 'a'\njwks_file = '/nowhere/a'\nkinds = ['user']\n\
        [[issuer]]\niss = 'b'\njwks_file = '/nowhere/b'\nkinds = []\nsubject_prefix = 'b:'\n";
    given.server.issuers_file = given.file("issuers.toml", issuers);
    assert_eq!(given.settings(), ["VAULT_ISSUERS_FILE"; 3], "{:?}", given.problems());
    for (problem, file) in given.problems().iter().zip(["/nowhere/a", "/nowhere/b"]) {
        assert!(problem.contains(file), "{problem}");
    }
}

#[test]
fn https_needs_a_certificate_and_its_key() {
    const CERTIFICATE: &str = include_str!("../../tests/it/http/localhost.pem");
    const PRIVATE_KEY: &str = include_str!("../../tests/it/http/localhost.key");
    let mut given = Given::good();
    given.server.tls_key_file = given.file("key.pem", PRIVATE_KEY);
    assert_eq!(given.settings(), ["VAULT_TLS_CERT_FILE"]);
    for bad in ["hunter2", PRIVATE_KEY, "-----BEGIN CERTIFICATE-----\nhunter2"] {
        given.server.tls_cert_file = given.file("chain.pem", bad);
        assert_eq!(given.settings(), ["VAULT_TLS_CERT_FILE"]);
        assert!(!given.problems()[0].contains("hunter2"));
    }
    for good in [CERTIFICATE.to_owned(), CERTIFICATE.replace("CERTIFICATE-", "X509 CERTIFICATE-")] {
        given.server.tls_cert_file = given.file("chain.pem", &format!("\u{feff}Bag Attributes\r\n{good}"));
        assert!(given.read().ok().unwrap().server.tls.is_some());
    }
    given.server.tls_key_file = given.file("key.pem", &PRIVATE_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"));
    assert_eq!(given.settings(), ["VAULT_TLS_KEY_FILE"]);
    assert!(given.problems()[0].contains("passphrase"), "{:?}", given.problems());
}

#[test]
fn runtimes_have_an_address_of_their_own_or_none() {
    let mut given = Given::good();
    given.server.listen = os("[::1]:4000");
    given.server.runtime_listen = os("[::1]:4000");
    assert_eq!(given.settings(), ["VAULT_RUNTIME_LISTEN"]);
    given.server.runtime_listen = os("[::1]:4001");
    assert_eq!(given.problems(), Vec::<String>::new());
    for (metrics, settings) in [
        ("[::1]:4000", vec!["VAULT_METRICS_LISTEN"]),
        ("[::1]:4001", vec!["VAULT_METRICS_LISTEN"]),
        ("[::1]:4002", vec![]),
        ("0.0.0.0:0", vec![]),
    ] {
        given.server.metrics_listen = os(metrics);
        assert_eq!(given.settings(), settings, "{metrics}");
    }
}

#[test]
fn a_vault_for_trying_out_serves_metrics_where_it_is_told_to() {
    let of = |listen: &str, metrics: &str| listen_addresses(os(listen).as_ref(), os(metrics).as_ref());
    assert_eq!(of("", "").ok().unwrap(), ("127.0.0.1:4000".parse().unwrap(), None));
    let given = of("127.0.0.1:0", "127.0.0.1:9464").ok().unwrap();
    assert_eq!(given.1, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(of("x", "y").err().unwrap().0.len(), 2);
    assert_eq!(of("", "127.0.0.1:4000").err().unwrap().0.len(), 1);
}

#[test]
fn notices_need_an_address_and_a_secret() {
    let mut given = Given::good();
    assert!(given.read().ok().unwrap().server.notices.is_none());
    given.server.notices_url = os("https://hooks.example/vault");
    assert_eq!(given.settings(), ["VAULT_NOTICES_SECRET"]);
    given.secrets.notices_secret = os("hunter2");
    assert_eq!(given.settings(), ["VAULT_NOTICES_SECRET"]);
    assert!(!given.problems()[0].contains("hunter2"));
    given.secrets.notices_secret = os("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert!(given.read().ok().unwrap().server.notices.is_some());
    for refused in ["http://hooks.example", "https://10.0.0.1/", "hooks"] {
        given.server.notices_url = os(refused);
        assert_eq!(given.settings(), ["VAULT_NOTICES_URL"], "{refused}");
    }
    given.server.notices_allow_private = os("true");
    given.server.notices_url = os("https://10.0.0.1/");
    assert!(given.read().ok().unwrap().server.notices.is_some());
    given.server.notices_url = None;
    assert_eq!(given.settings(), ["VAULT_NOTICES_URL"]);
}
