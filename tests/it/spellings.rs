//! Key sets as identity providers publish them, and output that nobody reads to its end.

use crate::agent::faults::{http, read_request};
use crate::agent::served::{Dev, program, run as run_program};
use crate::support::{Backend, Installation, run};
use project_vault::http::tokens::Signer;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// A key as common .NET stacks publish it: every member that a key may have, most of them empty.
fn published() -> Value {
    let set: Value = serde_json::from_str(&Signer::generate().unwrap().jwks()).unwrap();
    let mut key = set["keys"][0].clone();
    for (member, value) in [
        ("key_ops", json!([])),
        ("oth", json!([])),
        ("x5c", json!([])),
        ("alg", json!(null)),
        ("use", json!(null)),
        ("d", json!(null)),
    ] {
        key[member] = value;
    }
    key["x"] = json!(format!("{}=", key["x"].as_str().unwrap()));
    key
}

/// Serves a key set over HTTP.
async fn publishing(set: Value) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let answer = http("200 OK", "Content-Type: application/json\r\n", &set.to_string());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

async fn a_server_starts_on_a_set_of_empty_members_only_if_a_key_is_usable(backend: Backend) {
    let installation = Installation::new(backend).await;
    let refused = async |set: Option<String>| {
        let mut serve = installation.command(&["serve", "--listen", "nowhere"]);
        let file = installation.file("other-jwks.json");
        let _ = std::fs::remove_file(&file);
        if let Some(set) = set {
            std::fs::write(&file, set).unwrap();
        }
        serve.env("VAULT_JWKS_FILE", &file);
        let ran = run(serve).await;
        assert_eq!(ran.status, 2, "{}", ran.err);
        let settings: Vec<_> = ran.err.lines().map(|line| line.split(": ").nth(1).unwrap().to_owned()).collect();
        (settings, ran.err)
    };
    let unusable = json!({ "keys": [{ "kid": "\u{1b}[2J\n", "kty": "oct", "k": "AAAA" }] }).to_string();
    for (set, says) in [
        (None, "No such file"),
        (Some("no JSON".to_owned()), "is not JSON"),
        (Some(r#"{"keys":[]}"#.to_owned()), "no usable key"),
        (Some(unusable), "key 1 (\"\\u{1b}[2J\\u{a}\"): is private or symmetric"),
    ] {
        let (settings, err) = refused(set).await;
        assert_eq!(settings, ["VAULT_LISTEN", "VAULT_JWKS_FILE"], "{err}");
        assert!(err.contains(says), "{err}");
    }
    let set = json!({ "keys": [published()] });
    std::fs::write(installation.file("jwks.json"), format!("\u{feff}{set}")).unwrap();
    let running = installation.serve("warn", &installation.file("log")).await;
    assert_eq!(std::fs::read_to_string(installation.file("log")).unwrap(), "");
    drop(running);
}

async fn an_address_without_a_usable_key_is_told_of_and_the_server_starts(backend: Backend) {
    let installation = Installation::new(backend).await;
    let mut encrypting = published();
    encrypting["use"] = json!("enc");
    encrypting["kid"] = json!("for-encryption");
    let url = publishing(json!({ "keys": [encrypting] })).await;
    let log = installation.file("log");
    let mut serve = installation.command(&["serve", "--listen", "127.0.0.1:0"]);
    serve.env_remove("VAULT_JWKS_FILE").env("VAULT_JWKS_URL", url).env("RUST_LOG", "info");
    let mut child = serve.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let mut text = String::new();
    for _ in 0..500 {
        text = std::fs::read_to_string(&log).unwrap();
        if text.contains("listening") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text.contains("listening"), "{text}");
    let warned = text
        .lines()
        .any(|line| line.contains("WARN") && line.contains("for-encryption") && line.contains("is not for signatures"));
    assert!(warned, "{text}");
}

async fn a_command_ends_quietly_when_nobody_reads_on(backend: Backend) {
    let installation = Installation::new(backend).await;
    for args in [
        &["schema"][..],
        &["keys", "status"],
        &["keys", "status", "--output", "json"],
        &["keys", "generate"],
        &["audit", "export"],
        &["audit", "export", "--chains"],
        &["audit", "head"],
        &["audit", "verify"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut child = installation.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads anything.
        drop(child.stdout.take());
        let status = tokio::task::spawn_blocking(move || {
            let mut err = String::new();
            child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
            (child.wait().unwrap().code().unwrap(), err)
        });
        let (status, err) = status.await.unwrap();
        let expected = if args == ["--help"] { 0 } else { 141 };
        assert_eq!((status, err.as_str()), (expected, ""), "{args:?}");
    }
    let schema = installation.command(&["schema"]).get_program().to_owned();
    let mut piped = Command::new("sh");
    piped.args(["-c", "\"$0\" schema | head -n 1"]).arg(schema);
    let ran = run(piped).await;
    assert!(ran.status == 0 && ran.err.is_empty() && ran.out.lines().count() == 1, "{ran:?}");
}

on_both!(
    a_server_starts_on_a_set_of_empty_members_only_if_a_key_is_usable,
    an_address_without_a_usable_key_is_told_of_and_the_server_starts,
    a_command_ends_quietly_when_nobody_reads_on,
);

#[tokio::test]
async fn every_command_on_data_takes_a_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let dir = dir.to_str().unwrap();
    drop(Dev::start(dir).await);
    for args in [
        &["migrate"][..],
        &["keys", "status"],
        &["keys", "rotate"],
        &["audit", "verify"],
        &["audit", "head"],
        &["audit", "export"],
        &["registrar", "add", "other"],
        &["auditor", "add", "user:other"],
        &["token", "user:alice"],
    ] {
        let ran = run_program(program(&[args, &["--data-dir", dir]].concat())).await;
        assert_eq!(ran.status, 0, "{args:?}: {}", ran.err);
    }
    let nowhere = folder.path().join("nowhere");
    let ran = run_program(program(&["migrate", "--data-dir", nowhere.to_str().unwrap()])).await;
    assert!(ran.status == 1 && ran.err.contains("no dev vault"), "{ran:?}");
    assert!(!nowhere.exists());
}
