//! The commands, as operators run them; the tests kill some of them while they work.

use super::{EVENTS, Ringed, add_projects, rotate, value};
use crate::support::{Backend, World, entry, user};
use assert_cmd::Command;
use project_vault::crypto::Keyring;
use project_vault::domain::Category;
use project_vault::vault::{Import, OnConflict};
use secrecy::SecretString;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

const UNDER_NEW: &str =
    "SELECT count(*) AS n FROM entries JOIN data_keys ON data_keys.id = data_key_id WHERE encrypting";

impl Ringed {
    /// The program on this database and keyring, with an authorizer that keys do not ask.
    async fn program(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("DATABASE_URL", self.world.url()).env("VAULT_AUTHZ", "embedded");
        command.env("VAULT_KEYRING_FILE", &self.path);
        command
    }

    /// What a command prints, which does its work.
    async fn done(&self, args: &[&str]) -> String {
        let output = Command::from_std(self.program(args).await).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{err}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that does not.
    async fn refused(&self, args: &[&str]) -> (String, i32) {
        let output = Command::from_std(self.program(args).await).output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    }

    /// Kills a command as soon as it tells of progress.
    async fn killed(&self, args: &[&str]) {
        let mut child = self.program(args).await.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "{line}");
        assert!(line.contains(" of "), "{line}");
    }
}

both! {
    async fn a_rotation_that_is_killed_is_gone_on_with(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        add_projects(&ringed.world, 3_000).await;
        let new = ringed.add_key();
        ringed.killed(&["keys", "rotate"]).await;
        let done = ringed.of_key(&new).await.data_keys;
        assert!((1..3_001).contains(&done), "{done}");
        assert_eq!(value(&ringed.server(), "TOKEN").await, "a value");
        ringed.server().installation().check_keyring().await.unwrap();
        assert_eq!(ringed.world.number(EVENTS).await, 0);

        let said = ringed.done(&["keys", "rotate"]).await;
        assert!(said.contains(&new) && said.contains(&format!("{} data keys", 3_001 - done)), "{said}");
        assert_eq!((ringed.of_key(&new).await.data_keys, ringed.world.number(EVENTS).await), (3_001, 1));
        assert_eq!(value(&ringed.world.vault, "TOKEN").await, "a value");
    }

    async fn a_replacement_of_data_keys_that_is_killed_is_gone_on_with(world: World) {
        let ringed = Ringed::with(world, &[]).await;
        let dotenv = (0..400).map(|n| format!("N{n}=value {n}\n")).collect::<String>();
        let import = Import {
            project: "demo".to_owned(),
            milestone: None,
            dotenv: SecretString::from(dotenv),
            category: Category::Secret,
            on_conflict: OnConflict::Fail,
        };
        ringed.world.vault.entries().import(&user("bob"), import).await.unwrap();
        ringed.killed(&["keys", "rotate", "--data", "demo"]).await;
        let done = ringed.world.number(UNDER_NEW).await;
        assert!((1..400).contains(&done), "{done}");
        assert_eq!(ringed.world.number(EVENTS).await, 0);
        let server = ringed.server();
        for number in [0, 199, 399] {
            assert_eq!(value(&server, &format!("N{number}")).await, format!("value {number}"));
        }
        let said = ringed.done(&["keys", "rotate", "--data", "demo"]).await;
        assert!(said.contains(&format!("{} entries of 1 projects", 400 - done)), "{said}");
        assert_eq!((ringed.world.number(UNDER_NEW).await, ringed.world.number(EVENTS).await), (400, 1));
        assert_eq!(ringed.world.number("SELECT count(*) AS n FROM data_keys").await, 1);
        assert_eq!(value(&server, "N399").await, "value 399");
        let said = ringed.done(&["keys", "rotate", "--data-all"]).await;
        assert!(said.contains("400 entries of 1 projects") && said.contains("1 old data keys"), "{said}");
    }

    async fn status_tells_what_each_key_wraps(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        let old = Keyring::read_file(&ringed.path).unwrap().current_id().to_owned();
        let new = ringed.done(&["keys", "generate", "--add", ringed.path.to_str().unwrap()]).await.trim().to_owned();
        let text = ringed.done(&["keys", "status"]).await;
        let line = |id: &str| text.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
        assert!(line(&new).contains("current") && line(&old).contains("rotate") && line(&old).contains(" 1 "), "{text}");
        let json: Value = serde_json::from_str(&ringed.done(&["keys", "status", "--output", "json"]).await).unwrap();
        let key = |id: &str| json["masterKeys"].as_array().unwrap().iter().find(|key| key["id"] == id).unwrap().clone();
        assert_eq!((key(&old)["dataKeys"].clone(), key(&old)["current"].clone()), (1.into(), false.into()));
        assert_eq!((key(&new)["dataKeys"].clone(), key(&new)["current"].clone()), (0.into(), true.into()));
        assert_eq!(key(&old)["installationKeys"], serde_json::json!(["AUDIT"]));
        assert_eq!(json["dataKeys"]["mostSealed"], 1);
        assert_eq!(json["dataKeys"]["bound"], 2_147_483_648_i64);
    }

    async fn a_key_is_retired_once_nothing_needs_it(world: World) {
        let ringed = Ringed::with(world, &[("TOKEN", "a value")]).await;
        let old = Keyring::read_file(&ringed.path).unwrap().current_id().to_owned();
        let (said, status) = ringed.refused(&["keys", "retire", &old]).await;
        assert!(said.contains("encrypts") && status == 1, "{said}");
        ringed.add_key();
        let (said, status) = ringed.refused(&["keys", "retire", &old]).await;
        assert!(said.contains("still wraps 1 data keys and 1 keys") && said.contains("rotate") && status == 1, "{said}");
        let (said, _) = ringed.refused(&["keys", "retire", "k-nowhere"]).await;
        assert!(said.contains("k-nowhere"), "{said}");
        assert_eq!(Keyring::read_file(&ringed.path).unwrap().ids().count(), 2);

        ringed.done(&["keys", "rotate"]).await;
        let other = ringed.path.with_file_name("other.toml");
        std::fs::copy(&ringed.path, &other).unwrap();
        ringed.done(&["keys", "retire", &old]).await;
        ringed.done(&["keys", "retire", &old, "--keyring", other.to_str().unwrap()]).await;
        for path in [&ringed.path, &other] {
            let ring = Keyring::read_file(path).unwrap();
            assert!(ring.ids().all(|id| id != old) && ring.ids().count() == 1);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640, "the mode is kept");
        }
        assert_eq!(std::fs::read_dir(ringed.path.parent().unwrap()).unwrap().count(), 2, "nothing is left beside them");
        assert_eq!(value(&ringed.server(), "TOKEN").await, "a value");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_without_its_keys_and_says_which() {
    let ringed = Ringed::with(World::new(Backend::Sqlite).await, &[("TOKEN", "a value")]).await;
    let made = ringed.world.vault.entries().create(&user("bob"), entry("OTHER", "v")).await.unwrap();
    rotate(&ringed.world.vault, &made.id.to_string(), "w").await.unwrap();
    let old = Keyring::read_file(&ringed.path).unwrap();
    let folder = ringed.path.parent().unwrap();
    let jwks = folder.join("jwks.json");
    std::fs::write(&jwks, project_vault::http::tokens::Signer::generate().unwrap().jwks()).unwrap();
    let start = async |command: Option<String>| {
        let mut serve = ringed.program(&["serve", "--listen", "127.0.0.1:0"]).await;
        serve.env("VAULT_JWT_ISSUER", "https://id.example").env("VAULT_JWKS_FILE", &jwks);
        if let Some(command) = command {
            serve.env_remove("VAULT_KEYRING_FILE").env("VAULT_KEYRING_COMMAND", command);
        }
        let output = Command::from_std(serve).timeout(Duration::from_secs(20)).output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    super::write(&ringed.path, &Keyring::generate().unwrap());
    let (said, status) = start(None).await;
    assert!(said.contains(old.current_id()) && said.contains("lacks") && status == Some(1), "{said}");

    let (said, status) = start(Some("sh -c 'echo s3cret; echo s3cret >&2; exit 4'".to_owned())).await;
    assert!(said.contains("VAULT_KEYRING_COMMAND") && said.contains("exit status: 4") && status == Some(1), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let (said, status) = start(Some("cat 's3cret".to_owned())).await;
    assert!(said.contains("error: VAULT_KEYRING_COMMAND: ") && status == Some(2) && !said.contains("s3cret"), "{said}");
    let began = Instant::now();
    let (said, status) = start(Some("sleep 60".to_owned())).await;
    assert!(said.contains("did not end within 10 seconds") && status == Some(1), "{said}");
    assert!(began.elapsed() < Duration::from_secs(18));
}
