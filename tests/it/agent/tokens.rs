//! Tokens as they come out of mounted secrets, editors and pipes: the program and the clients read
//! them alike, and no error of theirs holds one.

use super::faults::{http, read_request};
use super::served::{Ran, Served, TOKEN_VALUE, program, run};
use crate::support::setting;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// Part of every token and value here, to be found in no output.
const SECRET: &str = "s3cr3t";

/// Reads one secret, named as its argument, with the settings of the environment.
const PYTHON: &str = "import sys, project_vault; sys.stdout.write(project_vault.resolve(sys.argv[1]))";
const TYPESCRIPT: &str = "import { resolve } from './clients/typescript/dist/index.js';
process.stdout.write(await resolve(process.argv[1]));";

fn in_repository(mut command: Command) -> Command {
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

fn python(script: &str) -> Command {
    let mut command = Command::new(setting("VAULT_TEST_PYTHON"));
    command.args(["-c", script]);
    in_repository(command)
}

fn typescript(script: &str) -> Command {
    let mut command = Command::new(setting("VAULT_TEST_NODE"));
    command.args(["--input-type=module", "-e", script, "--"]);
    in_repository(command)
}

/// `get NAME` and its counterparts in the clients.
fn readers(name: &str) -> [Command; 3] {
    let [mut python, mut typescript] = [python(PYTHON), typescript(TYPESCRIPT)];
    python.arg(name);
    typescript.arg(name);
    [program(&["get", name]), python, typescript]
}

/// The same command as words of a shell.
fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
}

both! {
    async fn a_token_is_read_however_it_is_handed_over(world: World) {
        let served = Served::start(&world).await;
        let token = served.runtime();
        let folder = tempfile::tempdir().unwrap();
        let spellings = ["{}", "{}\n", "{}\r\n", "\u{feff}{}", "\u{feff}{}\r\n", " \t{} \n\n"];
        let with_settings = |mut command: Command| {
            command.env("PROJECT_VAULT_URL", &served.url).current_dir(env!("CARGO_MANIFEST_DIR"));
            command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
            command
        };
        for (index, spelling) in spellings.iter().enumerate() {
            let text = spelling.replace("{}", &token);
            let file = folder.path().join(format!("token-{index}"));
            std::fs::write(&file, &text).unwrap();
            for command in readers("TOKEN") {
                let mut command = with_settings(command);
                command.env("PROJECT_VAULT_TOKEN", &text);
                let ran = run(command).await;
                assert_eq!((ran.out.as_str(), ran.err.as_str()), (TOKEN_VALUE, ""), "variable {spelling:?}");
            }
            for command in readers("TOKEN") {
                let mut command = with_settings(command);
                command.env("PROJECT_VAULT_TOKEN_FILE", &file);
                let ran = run(command).await;
                assert_eq!((ran.out.as_str(), ran.err.as_str()), (TOKEN_VALUE, ""), "file {spelling:?}");
            }
        }
        let file = folder.path().join("token-2");
        let file = file.display();
        for command in readers("TOKEN") {
            let reader = words(&command);
            for script in [
                format!("env PROJECT_VAULT_TOKEN_FILE=<(cat {file}) {reader}"),
                format!("cat {file} | env PROJECT_VAULT_TOKEN_FILE=/dev/stdin {reader}"),
                format!("env PROJECT_VAULT_TOKEN_FILE=/dev/stdin {reader} < {file}"),
            ] {
                let mut bash = Command::new("bash");
                bash.args(["-c", &script]);
                let ran = run(with_settings(in_repository(bash))).await;
                assert_eq!((ran.out.as_str(), ran.err.as_str()), (TOKEN_VALUE, ""), "{script}");
            }
        }
    }
}

/// Tokens that are none, or that a server refuses.
fn malformed() -> Vec<String> {
    let long = SECRET.repeat(15_000);
    [
        "{}\n{}",
        "{}\r{}",
        "{}\r\n{}",
        "{}\0{}",
        "{}\u{e4}{}",
        "{} {}",
        "Bearer {}",
        "\"{}\"",
        "'{}'",
        "{}\t{}",
        "{}\u{1b}[2J",
        "\u{feff}\u{feff}{}",
        "{}",
    ]
    .iter()
    .map(|form| form.replace("{}", SECRET))
    .chain([long, String::new(), " \r\n".to_owned(), "\u{feff}".to_owned()])
    .collect()
}

/// Answers of what is no vault, or of one that repeats what it was sent.
fn answers(token: &str) -> Vec<String> {
    let json_type = "Content-Type: application/json\r\n";
    let error = |code: &str| {
        let extensions = json!({ "code": code, "requestId": format!("r {token}"), "retryAfterSeconds": 0 });
        json!({ "errors": [{ "message": format!("no {token}: Bearer {token}"), "extensions": extensions }] })
            .to_string()
    };
    let resolved = |name: &str, request: &str| {
        let secret = json!({ "name": name, "outcome": "RESOLVED", "sealedValue": format!("{SECRET}AAAA"), "entryId": "e",
            "version": 1, "category": "SECRET", "scope": "PROJECT", "expiresAt": null });
        json!({ "data": { "resolveSecrets": { "requestId": request, "secrets": [secret] } } }).to_string()
    };
    let of = |body: &str| http("200 OK", json_type, body);
    let mut answers: Vec<String> =
        ["UNAUTHENTICATED", "FORBIDDEN", "INVALID_INPUT", "UNAVAILABLE", "INTERNAL", "OTHER"]
            .iter()
            .map(|code| of(&error(code)))
            .collect();
    answers.extend([
        http("401 Unauthorized", json_type, &error("UNAUTHENTICATED")),
        http("403 Forbidden", "", &format!("<html>{token}")),
        http("400 Bad Request", "", &format!("no {token}")),
        http("431 Request Header Fields Too Large", &format!("X-Sent: {token}\r\n"), token),
        http("302 Found", &format!("Location: http://127.0.0.1:1/{token}\r\n"), ""),
        http("503 Service Unavailable", "Retry-After: \u{b2}\r\n", token),
        format!("{token}\r\n\r\n"),
        format!("HTTP/1.1 200 {token}\r\nContent-Length: x{token}\r\n\r\n"),
        of(""),
        of(&format!("{{\"data\": {token}")),
        of(&format!("[\"{token}\"]")),
        of(&format!("{{\"errors\": [\"{token}\", null], \"data\": \"{token}\"}}")),
        of(&resolved("NAME", "r")),
        of(&resolved("NAME", token)),
        of(&resolved("NAME", "\u{e4}")),
        of(&resolved("NAME", "r").replace("\"r\"", "\"\\ud800\"")),
        of(&resolved(token, "r")),
    ]);
    answers
}

/// A server that gives the Nth answer at the path `/N`.
async fn serving(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let request = String::from_utf8_lossy(&read_request(&mut stream).await).into_owned();
            let index = request.split(' ').nth(1).and_then(|path| path.trim_matches('/').parse::<usize>().ok());
            let answer = index.map_or("", |index| answers[index].as_str());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

/// Every case in one process: each sets the token's variable or file, and the address. All that an
/// error holds is printed, and the number of errors at the end. Before a server has answered, that
/// includes the local variables of the traceback; afterwards they hold the answer.
const FAILING_PYTHON: &str = r##"
import json, os, sys, traceback, project_vault
def shown(error, seen):
    if error is None or error in seen:
        return
    seen.append(error)
    print(str(error), repr(error), vars(error), error.args)
    locals = "SHOWS_LOCALS" in os.environ
    print("".join(traceback.TracebackException.from_exception(error, capture_locals=locals).format()))
    for other in (error.__cause__, error.__context__, getattr(error, "object", None), getattr(error, "doc", None)):
        if isinstance(other, BaseException):
            shown(other, seen)
        elif other is not None:
            print(other)
def fails(given):
    os.environ.update(given)
    try:
        project_vault.Vault(timeout=0.5).resolve("NAME")
    except Exception as error:
        del given
        shown(error, [])
        traceback.print_exc()
        return True
    return False
def of(place, index):
    for name in ("PROJECT_VAULT_TOKEN", "PROJECT_VAULT_TOKEN_FILE"):
        os.environ.pop(name, None)
    with open(sys.argv[1], encoding="utf-8") as file:
        return json.load(file)[index]
print("failed", sum(fails(of(sys.argv[1], index)) for index in range(int(sys.argv[2]))))
"##;
const FAILING_TYPESCRIPT: &str = r##"
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { Vault } from './clients/typescript/dist/index.js';
let failed = 0;
for (const given of JSON.parse(readFileSync(process.argv[1], 'utf8'))) {
  delete process.env.PROJECT_VAULT_TOKEN;
  delete process.env.PROJECT_VAULT_TOKEN_FILE;
  Object.assign(process.env, given);
  let vault;
  try {
    vault = new Vault({ timeout: 500 });
    await vault.resolve('NAME');
  } catch (error) {
    failed += 1;
    console.log(String(error), error.stack, inspect(error, { showHidden: true, depth: 10 }), JSON.stringify(error), error.cause);
    console.error(error);
  }
  console.log(inspect(vault, { showHidden: true, depth: 10 }));
}
console.log('failed', failed);
"##;

fn holds_no_secret(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let at = text.find(SECRET).or_else(|| text.find("s3c"));
        assert_eq!(at.map(|at| &text[at.saturating_sub(300)..text.len().min(at + 100)]), None);
    }
}

/// Runs the cases with each client, and the program once for each.
async fn all_fail(folder: &Path, cases: &[Value]) {
    let file = folder.join("cases.json");
    std::fs::write(&file, serde_json::to_string(cases).unwrap()).unwrap();
    for mut command in [python(FAILING_PYTHON), typescript(FAILING_TYPESCRIPT)] {
        command.arg(&file).arg(cases.len().to_string());
        command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
        let ran = run(command).await;
        holds_no_secret(&ran);
        assert_eq!(ran.out.lines().last(), Some(format!("failed {}", cases.len()).as_str()), "{}", ran.err);
    }
    let runs = cases.iter().flat_map(|case| {
        [&["get", "NAME"][..], &["whoami"], &["exec", "--only", "NAME", "--", "true"]].map(|args| {
            let mut command = program(args);
            command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
            command.env("PROJECT_VAULT_TIMEOUT", "1").env("RUST_BACKTRACE", "1");
            for (name, value) in case.as_object().unwrap() {
                command.env(name, value.as_str().unwrap());
            }
            run(command)
        })
    });
    for ran in futures::future::join_all(runs).await {
        holds_no_secret(&ran);
        assert!((1..=6).contains(&ran.status) && !ran.err.is_empty(), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_holds_a_malformed_token() {
    let folder = tempfile::tempdir().unwrap();
    let refusing = http("401 Unauthorized", "", "");
    let url = format!("{}/0", serving(vec![refusing]).await);
    let mut cases = Vec::new();
    for (index, token) in malformed().iter().enumerate() {
        let file = folder.path().join(index.to_string());
        std::fs::write(&file, token).unwrap();
        cases.push(json!({ "PROJECT_VAULT_TOKEN_FILE": file, "PROJECT_VAULT_URL": url, "SHOWS_LOCALS": "1" }));
        if !token.contains('\0') && !token.is_empty() {
            cases.push(json!({ "PROJECT_VAULT_TOKEN": token, "PROJECT_VAULT_URL": url, "SHOWS_LOCALS": "1" }));
        }
    }
    // A file of another encoding, as a Windows shell writes it, and one without end.
    let wide: Vec<u8> = format!("\u{feff}{SECRET}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("wide"), wide).unwrap();
    std::fs::write(folder.path().join("large"), SECRET.repeat(200_000)).unwrap();
    for name in ["wide", "large", "s3cr3t-in-the-wrong-variable"] {
        let file = if name.starts_with("s3") { name.into() } else { folder.path().join(name) };
        cases.push(json!({ "PROJECT_VAULT_TOKEN_FILE": file, "PROJECT_VAULT_URL": url, "SHOWS_LOCALS": "1" }));
    }
    all_fail(folder.path(), &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_holds_what_a_server_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let token = format!("{SECRET}.{SECRET}.{SECRET}");
    let answers = answers(&token);
    let count = answers.len();
    let url = serving(answers).await;
    let cases: Vec<Value> = (0..count)
        .map(|index| json!({ "PROJECT_VAULT_TOKEN": token, "PROJECT_VAULT_URL": format!("{url}/{index}") }))
        .collect();
    all_fail(folder.path(), &cases).await;
}

#[tokio::test]
async fn an_argument_that_is_a_token_is_not_repeated() {
    let token = format!("eyJhbGciOiJFZERTQSJ9.{SECRET}.{SECRET}");
    for args in [
        &["get", "NAME", &token][..],
        &["get", &format!("--token={token}"), "NAME"],
        &["get", "--token", &token, "NAME"],
        &["get", "NAME", "--timeout", &token],
        &["get", "NAME", "--output", &token],
        &["exec", &format!("--project={token}"), "--", "true"],
        &[&token],
    ] {
        let ran = run(program(args)).await;
        holds_no_secret(&ran);
        assert!(ran.status == 2 && !ran.err.is_empty(), "{ran:?}");
    }
}
