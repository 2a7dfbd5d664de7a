//! The program as its users run it.

use assert_cmd::Command;
use project_vault::crypto::Keyring;
use project_vault::domain::{SystemClock, TokenKind};
use project_vault::http::tokens::{IssuerConfig, KeySource, Signer, Verified, Verifier};
use secrecy::ExposeSecret as _;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// A password in the configuration of tests, to be found nowhere else.
const PASSWORD: &str = "hunter2-s3cret";

/// The program with these arguments and no setting.
fn vault(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("project-vault").unwrap();
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command
}

/// What a command wrote to standard output and standard error, and its status.
fn outcome(command: &mut Command) -> (String, String, i32) {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD), "a secret of the configuration is in {out}{err}");
    (out, err, output.status.code().unwrap())
}

fn done(command: &mut Command) -> String {
    let (out, err, status) = outcome(command);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    out
}

/// The settings that lines of errors name.
fn named(err: &str) -> Vec<&str> {
    err.lines().map(|line| line.strip_prefix("error: ").unwrap().split(':').next().unwrap()).collect()
}

/// A new keyring in a folder.
fn keyring(folder: &Path) -> PathBuf {
    let path = folder.join("keyring.toml");
    std::fs::write(&path, Keyring::generate().unwrap().to_text().expose_secret()).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// A `dev` vault in a folder, stopped when dropped.
struct Dev(Child);

impl Dev {
    /// Started, and ready or ended.
    fn start(data_dir: &Path) -> Self {
        let program = assert_cmd::cargo::cargo_bin("project-vault");
        let mut child = std::process::Command::new(program)
            .args(["dev", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()])
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, first_line) = channel();
        std::thread::spawn(move || {
            // Reads on, so that the server can go on writing.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let _ = first_line.recv_timeout(Duration::from_secs(30));
        Self(child)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn help_names_every_setting_with_its_variable() {
    let help = done(&mut vault(&["serve", "--help"]));
    for (variable, flag) in [
        ("VAULT_LISTEN", "--listen"),
        ("VAULT_RUNTIME_LISTEN", "--runtime-listen"),
        ("VAULT_METRICS_LISTEN", "--metrics-listen"),
        ("VAULT_KEYRING_FILE", "--keyring-file"),
        ("VAULT_KEYRING_COMMAND", "--keyring-command"),
        ("VAULT_KEY_PROVIDER", "--key-provider"),
        ("VAULT_TRANSIT_URL", "--transit-url"),
        ("VAULT_TRANSIT_KEY", "--transit-key"),
        ("VAULT_TRANSIT_TOKEN_FILE", "--transit-token-file"),
        ("VAULT_AUTHZ", "--authz"),
        ("OPENFGA_URL", "--openfga-url"),
        ("OPENFGA_STORE", "--openfga-store"),
        ("OPENFGA_TOKEN_FILE", "--openfga-token-file"),
        ("DATABASE_URL_FILE", "--database-url-file"),
        ("VAULT_JWT_ISSUER", "--jwt-issuer"),
        ("VAULT_JWKS_FILE", "--jwks-file"),
        ("VAULT_JWKS_URL", "--jwks-url"),
        ("VAULT_ISSUERS_FILE", "--issuers-file"),
        ("VAULT_JWKS_REFRESH_SECONDS", "--jwks-refresh-seconds"),
        ("VAULT_RESOLVES_PER_MINUTE", "--resolves-per-minute"),
        ("VAULT_AUTHZ_MAX_AGE_MS", "--authz-max-age-ms"),
        ("VAULT_INTROSPECTION", "--introspection"),
        ("VAULT_DELETED_RETENTION_DAYS", "--deleted-retention-days"),
        ("VAULT_NOTICES_URL", "--notices-url"),
        ("VAULT_NOTICES_SECRET_FILE", "--notices-secret-file"),
        ("VAULT_NOTICES_ALLOW_PRIVATE", "--notices-allow-private"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "--otlp-endpoint"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "--otlp-protocol"),
        ("OTEL_EXPORTER_OTLP_HEADERS_FILE", "--otlp-headers-file"),
        ("OTEL_SERVICE_NAME", "--otlp-service-name"),
        ("OTEL_RESOURCE_ATTRIBUTES", "--otlp-resource-attributes"),
        ("OTEL_TRACES_SAMPLER", "--otlp-sampler"),
        ("OTEL_TRACES_SAMPLER_ARG", "--otlp-sampler-arg"),
        ("VAULT_TLS_CERT_FILE", "--tls-cert-file"),
        ("VAULT_TLS_KEY_FILE", "--tls-key-file"),
        ("VAULT_DASHBOARD", "--dashboard"),
        ("VAULT_DASHBOARD_GRAPHQL_URL", "--dashboard-graphql-url"),
        ("VAULT_OIDC_CLIENT_ID", "--oidc-client-id"),
        ("VAULT_OIDC_ISSUER", "--oidc-issuer"),
        ("VAULT_OIDC_SCOPE", "--oidc-scope"),
        ("VAULT_OIDC_ORIGINS", "--oidc-origins"),
        ("VAULT_LOG_FORMAT", "--log-format"),
        ("RUST_LOG", "--log"),
    ] {
        assert!(help.contains(&format!("[env: {variable}]")), "{variable} in {help}");
        assert!(help.contains(&format!("{flag} ")), "{flag} in {help}");
    }
    for secret in ["DATABASE_URL ", "OPENFGA_TOKEN ", "VAULT_TRANSIT_TOKEN ", "VAULT_NOTICES_SECRET "] {
        assert!(help.contains(&format!("  {secret}")), "{secret} in {help}");
    }
    assert!(!help.contains("--database-url ") && !help.contains("--openfga-token "), "a secret is no argument");
    for default in ["127.0.0.1:4000", "[default: 300]", "[default: 30]", "[default: 0]", "[default: text]"] {
        assert!(help.contains(default), "{default} in {help}");
    }
}

#[test]
fn help_does_not_show_what_a_variable_holds() {
    let (out, _, _) = outcome(vault(&["serve", "--help"]).env("VAULT_KEYRING_COMMAND", PASSWORD));
    assert!(out.contains("VAULT_KEYRING_COMMAND"));
}

#[test]
fn a_bad_configuration_tells_every_problem_and_exits_with_2() {
    let mut serve = vault(&["serve", "--listen", "nowhere", "--introspection", "maybe"]);
    serve.env("DATABASE_URL", format!("mysql://vault:{PASSWORD}@db/vault")).env("VAULT_LOG_FORMAT", PASSWORD);
    serve.env("VAULT_KEYRING_COMMAND", format!("echo {PASSWORD}")).env("VAULT_KEYRING_FILE", "/nowhere");
    serve.env("OPENFGA_URL", format!("http://vault:{PASSWORD}@127.0.0.1:8081"));
    serve.env("VAULT_JWKS_URL", format!("https://vault:{PASSWORD}@id.example/jwks"));
    let (out, err, status) = outcome(&mut serve);
    assert_eq!((out.as_str(), status), ("", 2));
    let mut settings = named(&err);
    settings.sort_unstable();
    let expected = [
        "DATABASE_URL",
        "OPENFGA_URL",
        "VAULT_INTROSPECTION",
        "VAULT_JWKS_URL",
        "VAULT_JWT_ISSUER",
        "VAULT_KEYRING_FILE",
        "VAULT_LISTEN",
        "VAULT_LOG_FORMAT",
    ];
    assert_eq!(settings, expected, "{err}");
}

#[test]
fn a_secret_may_be_in_a_file_but_not_in_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("sqlite:{}\n", folder.path().join("vault.db").display())).unwrap();
    let ring = keyring(folder.path());
    let migrate = |args: &[&str]| {
        let mut command = vault(&[&["migrate"], args].concat());
        command.env("VAULT_KEYRING_FILE", &ring);
        command
    };
    done(migrate(&[]).env("DATABASE_URL_FILE", &file));
    assert_eq!(mode(&folder.path().join("vault.db")), 0o600);
    done(&mut migrate(&["--database-url-file", file.to_str().unwrap()]));
    let both = |name: &str| {
        let mut command = migrate(&[]);
        command.env(name, PASSWORD).env(format!("{name}_FILE"), &file);
        outcome(&mut command)
    };
    for name in ["DATABASE_URL", "OPENFGA_TOKEN"] {
        let (_, err, status) = both(name);
        assert!(named(&err).contains(&name) && status == 2, "{name}: {err}");
    }
    let (_, err, status) = outcome(migrate(&[]).env("DATABASE_URL_FILE", format!("postgres://{PASSWORD}@db")));
    assert_eq!((named(&err), status), (vec!["DATABASE_URL_FILE"], 2));
}

#[test]
fn a_database_that_cannot_be_reached_is_told_without_its_password() {
    let url = format!("postgres://vault:{PASSWORD}@127.0.0.1:1/vault");
    let folder = tempfile::tempdir().unwrap();
    let ring = keyring(folder.path());
    for args in [&["migrate", "--authz", "embedded"][..], &["registrar", "add", "platform", "--authz", "embedded"]] {
        let (_, err, status) =
            outcome(vault(args).env("DATABASE_URL", &url).env("VAULT_KEYRING_FILE", &ring).env("RUST_LOG", "trace"));
        assert!(err.contains("error: ") && err.contains("DATABASE_URL") && status == 1, "{err}");
    }
}

#[tokio::test]
async fn no_log_holds_what_is_sent_to_postgresql() {
    let database = crate::support::Database::new(crate::support::Backend::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let ring = keyring(folder.path());
    for args in [&["migrate", "--authz", "embedded"][..], &["registrar", "add", PASSWORD, "--authz", "embedded"]] {
        let mut command = vault(args);
        command
            .env("DATABASE_URL", &database.url)
            .env("VAULT_KEYRING_FILE", &ring)
            .env("RUST_LOG", "trace,tokio_postgres=trace,tokio_postgres::query=trace");
        let output = command.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !log.contains(PASSWORD) && !log.contains("parameters"), "{log}");
    }
}

#[test]
fn migrating_twice_changes_nothing_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("vault.db").display());
    let ring = keyring(folder.path());
    let migrate = || done(vault(&["migrate"]).env("DATABASE_URL", &url).env("VAULT_KEYRING_FILE", &ring));
    assert!(migrate().contains("brought up to date"));
    assert!(migrate().contains("up to date already"));
}

#[test]
fn what_is_not_migrated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("vault.db").display());
    let ring = keyring(folder.path());
    let mut add = vault(&["registrar", "add", "platform"]);
    let (_, err, status) = outcome(add.env("DATABASE_URL", url).env("VAULT_KEYRING_FILE", ring));
    assert!(err.contains("run `project-vault migrate`") && status == 1, "{err}");
}

#[test]
fn registrars_and_auditors_are_added_and_removed_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("vault.db").display());
    let ring = keyring(folder.path());
    done(vault(&["migrate"]).env("DATABASE_URL", &url).env("VAULT_KEYRING_FILE", &ring));
    let run = |args: &[&str]| done(vault(args).env("DATABASE_URL", &url).env("VAULT_KEYRING_FILE", &ring));
    for (command, id, who) in [("registrar", "platform", "service:platform"), ("auditor", "user:audrey", "user:audrey")]
    {
        assert!(run(&[command, "remove", id]).contains("nothing was changed"));
        let added = run(&[command, "add", id]);
        assert!(added.starts_with(who) && !added.contains("nothing"), "{added}");
        assert!(run(&[command, "add", id]).contains("nothing was changed"));
        assert!(run(&[command, "remove", id]).contains("no longer"));
        assert!(run(&[command, "remove", id]).contains("nothing was changed"));
    }
    let (_, _, status) = outcome(vault(&["auditor", "add", "runtime:x"]).env("DATABASE_URL", &url));
    assert_eq!(status, 2);
    // What is done is recorded under the installation's key.
    let (_, err, status) = outcome(vault(&["registrar", "add", "platform"]).env("DATABASE_URL", &url));
    assert_eq!((named(&err), status), (vec!["VAULT_KEYRING_FILE"], 2));
}

#[test]
fn a_generated_keyring_can_be_read_and_is_another_each_time() {
    let generate = || done(&mut vault(&["keys", "generate"]));
    let (one, other) = (generate(), generate());
    assert_eq!(Keyring::parse(&one).ok().unwrap().ids().count(), 1);
    assert_ne!(one, other);
}

#[test]
fn a_key_is_added_to_a_keyring_whose_mode_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring.toml");
    std::fs::write(&path, done(&mut vault(&["keys", "generate"]))).unwrap();
    for (keys, bits) in [(2, 0o640), (3, 0o600), (4, 0o400)] {
        std::fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let id = done(&mut vault(&["keys", "generate", "--add", path.to_str().unwrap()]));
        let ring = Keyring::read_file(&path).ok().unwrap();
        assert_eq!((ring.current_id(), ring.ids().count()), (id.trim_end(), keys));
        assert_eq!(mode(&path), bits);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left beside the keyring");
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let (_, err, status) = outcome(&mut vault(&["keys", "generate", "--add", path.to_str().unwrap()]));
    assert!(err.contains("chmod 640") && status == 1, "{err}");
}

#[test]
fn a_data_directory_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let _dev = Dev::start(&dir);
    assert_eq!(mode(&dir), 0o700);
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
        files.push(entry.file_name().into_string().unwrap());
    }
    for file in ["vault.db", "keyring.toml", "issuer.pem"] {
        assert!(files.iter().any(|name| name == file), "{files:?}");
    }
}

#[test]
fn commands_work_on_a_data_directory_beside_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let _dev = Dev::start(&dir);
    let run = |args: &[&str]| done(vault(args).args(["--data-dir", dir.to_str().unwrap()]));
    assert!(run(&["registrar", "add", "platform"]).contains("nothing was changed"), "the demo has it");
    assert!(run(&["auditor", "add", "user:audrey"]).contains("nothing was changed"), "the demo has her");
    assert!(!run(&["registrar", "add", "other"]).contains("nothing was changed"));
    assert_eq!(run(&["token", "user:alice"]).lines().count(), 1);
}

/// What the verifier of a `dev` vault says of a token.
async fn verify(dir: &Path, token: &str) -> Verified {
    let pem = std::fs::read_to_string(dir.join("issuer.pem")).unwrap();
    let keys = KeySource::Set(Signer::from_pem(&pem.into()).unwrap().jwks());
    let kinds = TokenKind::ALL.iter().copied().collect();
    let issuer = IssuerConfig { iss: "project-vault-dev".to_owned(), keys, kinds, subject_prefix: None };
    let verifier = Verifier::new(vec![issuer], Arc::new(SystemClock), Duration::from_secs(300)).unwrap();
    assert_eq!(verifier.load().await, Vec::<String>::new());
    verifier.verify(token.trim_end()).await.unwrap()
}

#[tokio::test]
async fn a_token_says_who_it_is_for_and_what_it_is_narrowed_to() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    drop(Dev::start(&dir));
    let token = |args: &[&str]| done(vault(&["token", "--data-dir", dir.to_str().unwrap()]).args(args));
    for who in ["user:alice", "service:platform", "runtime:acme-runtime", "user:auth0|5:7"] {
        assert_eq!(verify(&dir, &token(&[who])).await.principal.to_string(), who);
    }
    let narrow = ["--project", "demo", "--agent", "builder", "--milestone", "demo-launch", "--names", "A,B"];
    let narrowed = verify(&dir, &token(&[&["runtime:r", "--ttl", "24h"], &narrow[..]].concat())).await.principal;
    let shown = format!("{narrowed:?}");
    for part in ["demo", "builder", "demo-launch", "\"A\"", "\"B\""] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let refused = |args: &[&str]| outcome(vault(&["token", "--data-dir", dir.to_str().unwrap()]).args(args));
    for args in [
        &["runtime:r", "--ttl", "25h"][..],
        &["runtime:r", "--ttl", "86401s"],
        &["user:alice", "--project", "demo"],
        &["service:platform", "--names", "A"],
        &["alice"],
        &["group:alice"],
        &["user:"],
        &["user:alice", "--ttl", "soon"],
        &["runtime:r", "--names", "not a name"],
    ] {
        let (out, err, status) = refused(args);
        assert!(out.is_empty() && err.starts_with("error: ") && status == 2, "{args:?}: {err}");
    }
}

#[test]
fn there_is_no_token_without_a_dev_vault() {
    let folder = tempfile::tempdir().unwrap();
    let (out, err, status) = outcome(vault(&["token", "user:alice"]).current_dir(folder.path()));
    assert!(out.is_empty() && err.contains("project-vault dev") && status == 1, "{err}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_schema_is_printed_and_nothing_else() {
    assert_eq!(done(&mut vault(&["schema"])), format!("{}\n", project_vault::graphql::sdl().trim_end()));
}
