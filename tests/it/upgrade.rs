//! Data of an earlier release, in `tests/fixtures/`: brought up to date, it is used as before.
//! `scripts/fixture` makes such data with the program as it is.

mod make;

use crate::support::{Backend, Database, Installation, OpenFgaServer, Running};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The releases whose data is kept: each is brought up to date.
const RELEASES: [&str; 1] = ["2026-11-26"];

/// How the data of these releases is brought up to date: their projects carry no MACs.
const MIGRATE: [&str; 2] = ["migrate", "--sign-existing-rows"];
/// The name of the store at OpenFGA.
const STORE: &str = "project-vault";

/// What the agent is answered, in the milestone and outside of it: names, outcomes and values.
const IN_MILESTONE: [(&str, &str, Option<&str>); 4] = [
    ("API_KEY", "RESOLVED", Some("second value")),
    ("DEPLOY_TOKEN", "RESOLVED", Some("the milestone's")),
    ("EXPIRED_KEY", "EXPIRED", None),
    ("TLS_CERTIFICATE", "RESOLVED", None),
];
const OUTSIDE: [(&str, &str, Option<&str>); 4] = [
    ("API_KEY", "RESOLVED", Some("second value")),
    ("DEPLOY_TOKEN", "RESOLVED", Some("the project's")),
    ("EXPIRED_KEY", "EXPIRED", None),
    ("TLS_CERTIFICATE", "RESOLVED", None),
];

fn folder(release: &str, backend: Backend) -> PathBuf {
    let backend = if backend == Backend::Sqlite { "sqlite" } else { "postgres" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(release).join(backend)
}

fn certificate() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/certificate.pem")).unwrap()
}

/// An installation as a release left it.
struct Old {
    it: Installation,
    _openfga: Option<(OpenFgaServer, Database)>,
}

impl Old {
    async fn load(release: &str, backend: Backend) -> Self {
        let folder = folder(release, backend);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let database = Database::from_dump(backend, &read("vault.sql")).await;
        let (openfga, url) = match backend {
            Backend::Sqlite => (None, String::new()),
            Backend::Postgres => {
                let tuples = Database::from_dump(backend, &read("openfga.sql")).await;
                // The next release of OpenFGA may have tables of its own.
                let mut server = OpenFgaServer::set_up(&tuples.url);
                server.start(&[]).await;
                let url = server.config().url;
                (Some((server, tuples)), url)
            }
        };
        let it = Installation::of(database, backend, &read("keyring.toml"), &url, STORE);
        Self { it, _openfga: openfga }
    }

    async fn resolve(&self, server: &Running, milestone: Option<&str>) -> Vec<(String, String, Option<String>)> {
        let query = "query($milestone: ID) { resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", \
             milestoneId: $milestone, purpose: CODING_SESSION }) { secrets { name outcome value } } }";
        let answer =
            self.it.ask(server, "runtime:acme-runtime", query, json!({ "milestone": milestone })).await.unwrap();
        let secrets = answer["data"]["resolveSecrets"]["secrets"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let secret = |secret: &Value| {
            (text(&secret["name"]).unwrap(), text(&secret["outcome"]).unwrap(), text(&secret["value"]))
        };
        secrets.iter().map(secret).collect()
    }

    /// Asks as a person; the answer has no errors.
    async fn done(&self, server: &Running, who: &str, query: &str) -> Value {
        let answer = self.it.ask(server, who, query, json!({})).await.unwrap();
        assert!(answer["errors"].is_null(), "{query}: {answer}");
        answer["data"].clone()
    }
}

fn expected(secrets: &[(&str, &str, Option<&str>)]) -> Vec<(String, String, Option<String>)> {
    let value = |name: &str, value: Option<&str>| match name {
        "TLS_CERTIFICATE" => Some(certificate()),
        _ => value.map(str::to_owned),
    };
    secrets.iter().map(|(name, outcome, text)| (name.to_string(), outcome.to_string(), value(name, *text))).collect()
}

const ENTRIES: &str = "{ projectVault(projectId: \"demo\") { entries(first: 50) { edges { node { id name status version \
     maskedValue milestone { id } versions { nodes { version } } certificate { subject } } } } } }";

async fn data_of_an_earlier_release_is_used_as_before(backend: Backend) {
    for release in RELEASES {
        let old = Old::load(release, backend).await;
        let events = old.it.database.number("SELECT count(*) AS n FROM audit_events").await;
        old.it.done(&MIGRATE).await;
        let verified = old.it.done(&["audit", "verify"]).await;
        assert!(verified.contains("as they were recorded"), "{release}: {verified}");

        let log = old.it.file("log");
        let server = old.it.serve("warn", &log).await;
        assert_eq!(old.resolve(&server, Some("demo-launch")).await, expected(&IN_MILESTONE), "{release}");
        assert_eq!(old.resolve(&server, None).await, expected(&OUTSIDE), "{release}");

        let listed = old.done(&server, "user:carol", ENTRIES).await;
        let nodes = listed["projectVault"]["entries"]["edges"].as_array().unwrap();
        let node = |name: &str| {
            let found = nodes.iter().find(|edge| edge["node"]["name"] == name && edge["node"]["milestone"].is_null());
            found.unwrap_or_else(|| panic!("{name} in {listed}"))["node"].clone()
        };
        assert_eq!(nodes.len(), 6, "a deleted entry is not listed: {listed}");
        let key = node("API_KEY");
        assert_eq!(
            (&key["status"], &key["version"], &key["maskedValue"]),
            (&json!("ACTIVE"), &json!(4), &json!("****"))
        );
        assert_eq!(key["versions"]["nodes"].as_array().unwrap().len(), 4);
        assert_eq!(
            (&node("DISABLED_KEY")["status"], &node("EXPIRED_KEY")["status"]),
            (&json!("DISABLED"), &json!("EXPIRED"))
        );
        assert!(node("TLS_CERTIFICATE")["certificate"]["subject"].is_string());
        let gone = old.done(&server, "user:alice", "{ projectVault(projectId: \"gone\") { status } }").await;
        assert!(gone["projectVault"].is_null());

        // It can be changed, and its keys replaced, beside the server.
        let id = &key["id"];
        let rotate = format!(
            "mutation {{ rotateVaultEntry(input: {{ id: {id}, value: \"fifth value\" }}) {{ userErrors {{ message }} }} }}"
        );
        let changed = old.done(&server, "user:bob", &rotate).await;
        assert_eq!(changed["rotateVaultEntry"]["userErrors"], json!([]));
        let keyring = old.it.keyring();
        old.it.done(&["keys", "generate", "--add", keyring.to_str().unwrap()]).await;
        old.it.done(&["keys", "rotate"]).await;
        old.it.done(&["keys", "rotate", "--data-all"]).await;
        let mut now = expected(&IN_MILESTONE);
        now[0].2 = Some("fifth value".to_owned());
        assert_eq!(old.resolve(&server, Some("demo-launch")).await, now, "{release}");
        let verified = old.it.done(&["audit", "verify"]).await;
        assert!(verified.contains("as they were recorded"), "{release}: {verified}");
        assert!(old.it.database.number("SELECT count(*) AS n FROM audit_events").await > events, "events were kept");
    }
}

async fn two_programs_bring_old_data_up_to_date_at_once(backend: Backend) {
    for release in RELEASES {
        let old = Old::load(release, backend).await;
        let migrated = tokio::join!(old.it.run(&MIGRATE), old.it.run(&MIGRATE));
        assert_eq!((migrated.0.status, migrated.1.status), (0, 0), "{migrated:?}");
        let before = old.it.database.stored_bytes().await;
        old.it.done(&["migrate"]).await;
        assert!(
            backend == Backend::Sqlite || old.it.database.stored_bytes().await == before,
            "a third changes nothing"
        );
        old.it.done(&["audit", "verify"]).await;
        let server = old.it.serve("warn", &old.it.file("log")).await;
        assert_eq!(old.resolve(&server, Some("demo-launch")).await, expected(&IN_MILESTONE), "{release}");
    }
}

on_both! { data_of_an_earlier_release_is_used_as_before, two_programs_bring_old_data_up_to_date_at_once }
