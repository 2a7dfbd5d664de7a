//! Servers that answer with more than the client asked for.

use crate::agent::faults::{answering, http, read_request};
use crate::agent::served::{Ran, program, run};
use crate::support::setting;
use project_vault::crypto::{RecipientKey, SealedCall, SealedPlace};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// What the hostile server answers each call with, whatever it asks: name and outcome.
const ANSWERS: &[(&str, &str)] = &[
    ("GOOD", "RESOLVED"),
    ("LD_PRELOAD", "RESOLVED"),
    ("PATH", "RESOLVED"),
    ("makeflags", "RESOLVED"),
    ("PROJECT_VAULT_URL", "RESOLVED"),
    ("MINE", "RESOLVED"),
    ("GOOD", "RESOLVED"),
    ("x\u{1b}]0;y\u{7}", "RESOLVED"),
    ("A=B", "RESOLVED"),
    ("", "RESOLVED"),
    ("PS4", "EXPIRED"),
];

/// A server that seals every value correctly for any caller, and answers far more than was asked.
async fn hostile() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = String::from_utf8(read_request(&mut stream).await).unwrap();
            let body = answer(request.split_once("\r\n\r\n").unwrap().1).to_string();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        }
    });
    url
}

fn answer(request: &str) -> Value {
    let request: Value = serde_json::from_str(request).unwrap();
    let input = &request["variables"]["input"];
    let call = SealedCall { project: "demo", agent: "builder", request: "r" };
    let seal = |name: &str| {
        let recipient = RecipientKey::parse(input["recipientKey"].as_str()?).unwrap();
        let place = SealedPlace { entry: "e", version: 1, name };
        Some(recipient.seal(&call, &place, &SecretString::from(format!("value of {name}"))).unwrap())
    };
    let secrets: Vec<Value> = ANSWERS
        .iter()
        .map(|(name, outcome)| {
            let sealed = if *outcome == "RESOLVED" { seal(name) } else { None };
            json!({ "name": name, "outcome": outcome, "sealedValue": sealed, "entryId": "e", "version": 1,
                "category": "SECRET", "scope": "PROJECT", "expiresAt": null })
        })
        .collect();
    let left_out =
        json!([{ "name": "TOLD", "reason": "NAME_NOT_SUFFIXED" }, { "name": "\u{1b}[2J", "reason": "RESERVED_NAME" }]);
    let field =
        if request["query"].as_str().unwrap().contains("previewSecrets") { "previewSecrets" } else { "resolveSecrets" };
    json!({ "data": { field: { "requestId": "r", "blockedBy": [], "secrets": secrets, "leftOut": left_out } } })
}

/// A command as `builder`'s, with a variable of its own.
fn asking(mut command: Command, url: &str) -> Command {
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("MINE", "own");
    command.env("PROJECT_VAULT_URL", url).env("PROJECT_VAULT_TOKEN", "the-token");
    command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn holds_no_control_character(ran: &Ran) {
    let shown = format!("{}{}", ran.out, ran.err);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exec_takes_nothing_reserved_provided_or_impossible_from_a_hostile_server() {
    let url = hostile().await;
    let script = "env | grep -iE '^(GOOD=|LD_|MINE=|MAKEFLAGS|A=|PROJECT_VAULT_URL)'";
    let exec = |args: &[&str]| asking(program(&[args, &["--", "sh", "-c", script]].concat()), &url);
    let ran = run(exec(&["exec", "--no-redact"])).await;
    let mut lines: Vec<&str> = ran.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GOOD=value of GOOD", "MINE=own", &format!("PROJECT_VAULT_URL={url}")], "{}", ran.err);
    for part in [
        "names are reserved (see `project-vault exec --help`): LD_PRELOAD, PATH, makeflags, PROJECT_VAULT_URL, PS4, and 1 more",
        "use --only: TOLD",
        "nobody asked for them: GOOD",
        "set already: MINE",
        "no variable can have the name: 3 in number",
    ] {
        assert_eq!(ran.err.matches(part).count(), 1, "{part} in {}", ran.err);
    }
    holds_no_control_character(&ran);
    let dry = run(asking(program(&["exec", "--dry-run"]), &url)).await;
    assert!(dry.out.lines().count() == 2 && dry.out.contains("GOOD") && dry.err.contains("LD_PRELOAD"), "{dry:?}");
    holds_no_control_character(&dry);

    let ran = run(exec(&["exec", "--no-redact", "--only", "GOOD"])).await;
    assert!(
        ran.out.contains("GOOD=") && ran.err.contains("nobody asked for them: ") && !ran.out.contains("LD_"),
        "{ran:?}"
    );
    holds_no_control_character(&ran);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn get_takes_the_answer_for_its_name_alone() {
    let url = hostile().await;
    let ran = run(asking(program(&["get", "GOOD"]), &url)).await;
    assert_eq!((ran.out.as_str(), ran.status), ("value of GOOD", 0), "{}", ran.err);
    assert!(ran.err.contains("nobody asked for them: LD_PRELOAD"), "{}", ran.err);
    holds_no_control_character(&ran);
    assert_eq!(run(asking(program(&["get", "OTHER"]), &url)).await.status, 4);
}

/// What both clients print of a session: its variables, and what was left out, in order.
const SESSION: &str = r#"{"env":{"GOOD":"value of GOOD"},"leftOut":[["TOLD","NAME_NOT_SUFFIXED"],[null,"RESERVED_NAME"],["LD_PRELOAD","RESERVED_NAME"],["PATH","RESERVED_NAME"],["makeflags","RESERVED_NAME"],["PROJECT_VAULT_URL","RESERVED_NAME"],["MINE","PROVIDED"],["GOOD","NOT_ASKED_FOR"],[null,"NOT_A_NAME"],[null,"NOT_A_NAME"],[null,"NOT_A_NAME"],["PS4","RESERVED_NAME"]]}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_takes_nothing_reserved_provided_or_impossible_from_a_hostile_server() {
    let script = r##"
import json, warnings, project_vault
vault = project_vault.Vault()
session = vault.session()
print(json.dumps({"env": session.env, "leftOut": [[left.name, left.reason] for left in session.left_out]}, separators=(",", ":")))
assert "value of" not in repr(session)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert project_vault.session_env() == session.env
    assert vault.session_env({"GOOD": "own"}) == {"MINE": "value of MINE"}
assert [type(warning.message) for warning in caught] == [project_vault.LeftOutWarning] * 2
assert caught[0].message.left_out == session.left_out and "LD_PRELOAD (RESERVED_NAME)" in str(caught[0].message)
assert str(caught[0].message).isprintable() and caught[0].filename == "<string>"
assert vault.resolve("GOOD") == "value of GOOD"
assert [secret.name for secret in vault.answers(["GOOD"], purpose="TOOL_EXECUTION")] == ["GOOD"]
assert [secret.name for secret in vault.answers(["PATH"], purpose="TOOL_EXECUTION")] == ["PATH"]
try:
    vault.resolve("OTHER")
    raise SystemExit("OTHER was found")
except project_vault.NotFound:
    pass
"##;
    let mut command = Command::new(setting("VAULT_TEST_PYTHON"));
    command.args(["-c", script]);
    let ran = run(asking(command, &hostile().await)).await;
    assert_eq!((ran.out.trim_end(), ran.err.as_str(), ran.status), (SESSION, "", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_takes_nothing_reserved_provided_or_impossible_from_a_hostile_server() {
    let script = r##"
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { Vault, VaultError, sessionEnv } from './clients/typescript/dist/index.js';
const warned = [];
process.on('warning', (warning) => warned.push(warning));
const vault = new Vault();
const { env, leftOut } = await vault.session();
console.log(JSON.stringify({ env, leftOut: leftOut.map(({ name, reason }) => [name, reason]) }));
assert.ok(!inspect(await vault.session()).includes('value of'));
assert.deepEqual(await sessionEnv(), env);
assert.deepEqual(await vault.sessionEnv({ GOOD: 'own' }), { MINE: 'value of MINE' });
assert.equal(await vault.resolve('GOOD'), 'value of GOOD');
assert.deepEqual((await vault.answers(['GOOD'], 'TOOL_EXECUTION')).map(({ name }) => name), ['GOOD']);
assert.deepEqual((await vault.answers(['PATH'], 'TOOL_EXECUTION')).map(({ name }) => name), ['PATH']);
await assert.rejects(vault.resolve('OTHER'), (error) => error instanceof VaultError && error.reason === 'NOT_FOUND');
await new Promise(setImmediate);
assert.deepEqual(warned.map(({ code }) => code), ['PROJECT_VAULT_LEFT_OUT', 'PROJECT_VAULT_LEFT_OUT']);
assert.ok(warned[0].message.includes('LD_PRELOAD (RESERVED_NAME)') && !/[\u0000-\u001f]/.test(warned[0].message));
"##;
    let mut command = Command::new(setting("VAULT_TEST_NODE"));
    command.args(["--no-warnings", "--input-type=module", "-e", script]);
    let ran = run(asking(command, &hostile().await)).await;
    assert_eq!((ran.out.trim_end(), ran.err.as_str(), ran.status), (SESSION, "", 0));
}

/// What each client prints of what it was told is left out, or of its error; it waits three seconds
/// at most.
const TOLD_PYTHON: &str = r##"
import json, project_vault
vault = project_vault.Vault(timeout=3)
try:
    left_out = vault.session().left_out
    print(json.dumps([[left.name, left.reason] for left in left_out], separators=(",", ":")))
    vault.session_env()
except project_vault.VaultError as error:
    print("VaultError:", error)
"##;
const TOLD_TYPESCRIPT: &str = r##"
import { Vault, VaultError } from './clients/typescript/dist/index.js';
const vault = new Vault({ timeout: 3000 });
try {
  const { leftOut } = await vault.session();
  console.log(JSON.stringify(leftOut.map(({ name, reason }) => [name, reason])));
  await vault.sessionEnv();
} catch (error) {
  if (!(error instanceof VaultError)) throw error;
  console.log('VaultError:', error.message);
}
"##;

/// Both clients, at a server.
fn told(url: &str) -> [Command; 2] {
    let mut python = Command::new(setting("VAULT_TEST_PYTHON"));
    python.args(["-c", TOLD_PYTHON]);
    let mut typescript = Command::new(setting("VAULT_TEST_NODE"));
    typescript.args(["--input-type=module", "-e", TOLD_TYPESCRIPT]);
    [asking(python, url), asking(typescript, url)]
}

/// A server that answers each call with no secrets, and with this as what is left out.
async fn telling(left_out: &Value) -> String {
    let body = json!({ "data": { "resolveSecrets": { "requestId": "r", "secrets": [], "leftOut": left_out } } });
    answering(&[http("200 OK", "Content-Type: application/json\r\n", &body.to_string())]).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_repeats_a_reason_that_it_does_not_know() {
    let reasons = [("A", "\u{1b}]0;pwned\u{7}\u{1b}[2J"), ("B", "PROVIDED"), ("C", "RESERVED_NAME"), ("D", "")];
    let left_out: Vec<Value> = reasons.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect();
    for command in told(&telling(&json!(left_out)).await) {
        let ran = run(command).await;
        let expected = r#"[["A","UNKNOWN"],["B","UNKNOWN"],["C","RESERVED_NAME"],["D","UNKNOWN"]]"#;
        assert_eq!((ran.out.trim_end(), ran.status), (expected, 0), "{ran:?}");
        let warning = "left out of the session: A (UNKNOWN), B (UNKNOWN), C (RESERVED_NAME), D (UNKNOWN)";
        assert!(ran.err.contains(warning), "{ran:?}");
        holds_no_control_character(&ran);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_refuse_an_answer_whose_left_out_names_are_none() {
    for left_out in [
        json!(1),
        json!(0),
        json!(false),
        json!(""),
        json!("A"),
        json!({ "name": "A", "reason": "RESERVED_NAME" }),
        json!([null]),
        json!([1]),
        json!([[]]),
        json!([{ "name": "A" }]),
        json!([{ "reason": "RESERVED_NAME" }]),
        json!([{ "name": 1, "reason": "RESERVED_NAME" }]),
        json!([{ "name": "A", "reason": null }]),
        json!([{ "name": "A", "reason": ["\u{1b}[2J"] }]),
    ] {
        for command in told(&telling(&left_out).await) {
            let ran = run(command).await;
            let expected = "VaultError: the answer is none of a vault's\n";
            assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.status), (expected, "", 0), "{left_out}");
        }
    }
    for none in [json!(null), json!([])] {
        for command in told(&telling(&none).await) {
            assert_eq!(run(command).await.out, "[]\n", "{none}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_waits_for_the_end_of_a_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 65536\r\n\r\n").await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            });
        }
    });
    for command in told(&url) {
        let began = Instant::now();
        let ran = tokio::time::timeout(Duration::from_secs(60), run(command)).await.expect("a client hangs");
        assert!(ran.status == 0 && ran.out.starts_with("VaultError: the vault cannot be asked"), "{ran:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    // A refusal that ends is told with the server's message, which steers nothing.
    let body = json!({ "errors": [{ "message": "no \u{1b}[2J", "extensions": { "code": "UNAUTHENTICATED" } }] });
    let (url, _) = answering(&[http("401 Unauthorized", "", &body.to_string())]).await;
    for command in told(&url) {
        let ran = run(command).await;
        assert!(ran.status == 0 && ran.out.starts_with("VaultError: no \\"), "{ran:?}");
        holds_no_control_character(&ran);
    }
}

/// Names of a corpus that a client judges otherwise than it should.
const JUDGED: &str = "dangerous accepted: [], credentials refused: []";

#[tokio::test]
async fn the_python_client_knows_the_reserved_names() {
    let script = r##"
from project_vault import is_reserved
def names(corpus):
    with open(f"tests/corpus/{corpus}-names.txt", encoding="ascii") as file:
        return [line.split()[0] for line in file if line.strip() and not line.startswith("#")]
dangerous, credentials = names("dangerous"), names("credential")
assert len(dangerous) >= 300 and len(credentials) >= 200
accepted = [name for name in dangerous if not is_reserved(name) or not is_reserved(name.lower())]
print(f"dangerous accepted: {accepted}, credentials refused: {[name for name in credentials if is_reserved(name)]}")
"##;
    let mut command = Command::new(setting("VAULT_TEST_PYTHON"));
    command.args(["-c", script]);
    let ran = run(asking(command, "http://127.0.0.1:1/")).await;
    assert_eq!((ran.out.trim_end(), ran.status), (JUDGED, 0), "{}", ran.err);
}

#[tokio::test]
async fn the_typescript_client_knows_the_reserved_names() {
    let script = r##"
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isReserved } from './clients/typescript/dist/index.js';
const names = (corpus) => readFileSync(`tests/corpus/${corpus}-names.txt`, 'ascii')
  .split('\n').filter((line) => line.trim() && !line.startsWith('#')).map((line) => line.split(' ')[0]);
const [dangerous, credentials] = [names('dangerous'), names('credential')];
assert.ok(dangerous.length >= 300 && credentials.length >= 200);
const accepted = dangerous.filter((name) => !isReserved(name) || !isReserved(name.toLowerCase()));
console.log(`dangerous accepted: [${accepted}], credentials refused: [${credentials.filter(isReserved)}]`);
"##;
    let mut command = Command::new(setting("VAULT_TEST_NODE"));
    command.args(["--input-type=module", "-e", script]);
    let ran = run(asking(command, "http://127.0.0.1:1/")).await;
    assert_eq!((ran.out.trim_end(), ran.status), (JUDGED, 0), "{}", ran.err);
}
