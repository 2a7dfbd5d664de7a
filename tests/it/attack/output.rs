//! Secrets in a command's output, and escape sequences in what a server or a token says.

use crate::agent::faults::{answering, http};
use crate::agent::served::{Ran, Served, TOKEN_VALUE, program, run};
use crate::support::{Backend, World, entry, setting, user};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::process::Command;

/// A value with every character that some encoder escapes.
const SPECIAL: &str = "p<w>&'x'=\"y\"+/z";
const LONG: &str =
    "long-A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3x4Y5z6-A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v2W3";

/// A tool, a script for it, and what is shown of its output. Offsets are no secrets.
const DUMPS: &[(&str, &str, &str)] = &[
    ("od", "printf %s \"$TOKEN\" | od -A x -t x1", "000000 [TOKEN]\n000010 [TOKEN]\n000019\n"),
    ("od", "echo \"$TOKEN\" | od -t x1", "0000000 [TOKEN]\n0000020 [TOKEN]\n0000032\n"),
    ("od", "printf %s \"$TOKEN\" | od", "0000000 [TOKEN]\n0000020 [TOKEN]\n0000031\n"),
    ("od", "echo \"$TOKEN\" | od -x", "0000000 [TOKEN]\n0000020 [TOKEN]\n0000032\n"),
    ("od", "printf %s \"$TOKEN\" | od -b", "0000000 [TOKEN]\n0000020 [TOKEN]\n0000031\n"),
    ("od", "echo \"$TOKEN\" | od -c", "0000000   [TOKEN]\n0000020   [TOKEN]\n0000032\n"),
    ("od", "printf %s \"$TOKEN\" | od -An -tx1 | tr -d ' '", "[TOKEN]\n"),
    ("od", "printf %s \"$LONG\" | od -An -v -tx1 | tr -d ' \\n'; echo", "[LONG]\n"),
    ("xxd", "printf %s \"$LONG\" | xxd -p", "[LONG]\n"),
    ("xxd", "printf %s \"$LONG\" | xxd -p -c 17", "[LONG]\n"),
    ("xxd", "printf %s \"$LONG\" | xxd -u -p", "[LONG]\n"),
    ("xxd", "printf %s \"$TOKEN\" | xxd", "00000000: [TOKEN]\n00000010: [TOKEN]\n"),
    ("xxd", "printf %s \"$TOKEN\" | xxd -i", "  [TOKEN]\n  [TOKEN]\n"),
    ("hexdump", "printf %s \"$TOKEN\" | hexdump -C", "00000000  [TOKEN]\n00000010  [TOKEN]\n00000019\n"),
    ("hexdump", "echo \"$TOKEN\" | hexdump -C", "00000000  [TOKEN]\n00000010  [TOKEN]\n0000001a\n"),
    ("hexdump", "printf %s \"$TOKEN\" | hexdump", "0000000 [TOKEN]\n0000010 [TOKEN]\n0000019\n"),
    ("base64", "printf %s \"$LONG\" | base64", "[LONG]\n"),
    ("base64", "printf %s \"$LONG\" | base64 -w 31", "[LONG]\n"),
    ("base64", "printf 'tok%s' \"$LONG\" | base64 -w 40", "dG9r[LONG]\n"),
    ("node", "node -p 'Buffer.from(process.env.TOKEN)'", "<Buffer [TOKEN]>\n"),
    ("python3", "python3 -c 'import os; print(os.environb[b\"TOKEN\"].hex(\":\"))'", "[TOKEN]\n"),
];

/// The same for encodings that leave most characters as they are. Encoders that are not on every
/// machine are quoted.
const ESCAPES: &[(&str, &str, &str)] = &[
    ("Go", "\"p\\u003cw\\u003e\\u0026'x'=\\\"y\\\"+/z\"", "\"[SPECIAL]\""),
    ("Gson", "\"p\\u003cw\\u003e\\u0026\\u0027x\\u0027\\u003d\\\"y\\\"+/z\"", "\"[SPECIAL]\""),
    (".NET", "\"p\\u003Cw\\u003E\\u0026\\u0027x\\u0027=\\u0022y\\u0022\\u002B/z\"", "\"[SPECIAL]\""),
    ("PHP", "\"p<w>&'x'=\\\"y\\\"+\\/z\"", "\"[SPECIAL]\""),
    ("Jinja", "\"p\\u003cw\\u003e\\u0026\\u0027x\\u0027=\\\"y\\\"+/z\"", "\"[SPECIAL]\""),
    (
        "a log line in JSON",
        "{\"line\":\"{\\\"v\\\":\\\"p\\\\u003cw\\\\u003e\\\\u0026'x'=\\\\\\\"y\\\\\\\"+/z\\\"}\"}",
        "{\"line\":\"{\\\"v\\\":\\\"[SPECIAL]\\\"}\"}",
    ),
    ("XML", "<v>p&lt;w&gt;&amp;'x'=\"y\"+/z</v>", "<v>[SPECIAL]</v>"),
];
const ENCODERS: &[(&str, &str, &str)] = &[
    ("python3", "python3 -c 'import json, os; print(json.dumps(os.environ[\"SPECIAL\"]))'", "\"[SPECIAL]\"\n"),
    (
        "python3",
        "python3 -c 'import os, urllib.parse as u; print(u.quote_plus(os.environ[\"SPECIAL\"]))'",
        "[SPECIAL]\n",
    ),
    ("python3", "python3 -c 'import html, os; print(html.escape(os.environ[\"SPECIAL\"]))'", "[SPECIAL]\n"),
    ("python3", "python3 -c 'import os, shlex; print(shlex.quote(os.environ[\"SPECIAL\"]))'", "'[SPECIAL]'\n"),
    ("python3", "python3 -c 'import os; print(repr(os.environ[\"SPECIAL\"]))'", "'[SPECIAL]'\n"),
    ("node", "node -p 'JSON.stringify(process.env.SPECIAL)'", "\"[SPECIAL]\"\n"),
    ("node", "node -p 'encodeURIComponent(process.env.SPECIAL)'", "[SPECIAL]\n"),
    ("node", "node -p 'encodeURI(process.env.SPECIAL)'", "[SPECIAL]\n"),
    ("sh", "export -p | grep -a SPECIAL= | sed 's/^declare -x/export/'", "export SPECIAL='[SPECIAL]'\n"),
    ("bash", "bash -c 'declare -p SPECIAL'", "declare -x SPECIAL=\"[SPECIAL]\"\n"),
    ("bash", "bash -c 'printf \"%q\\n\" \"$SPECIAL\"'", "[SPECIAL]\n"),
    ("bash", "bash -xc ': \"$SPECIAL\"' 2>&1", "+ : '[SPECIAL]'\n"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tool_shows_a_value_in_another_encoding() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    for (name, value) in [("SPECIAL", SPECIAL), ("LONG", LONG)] {
        world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
    }
    let is_there =
        |tool: &str| Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap().status.success();
    assert!(is_there("xxd"), "scripts/test installs xxd");
    let tools = DUMPS.iter().chain(ENCODERS).filter(|(tool, ..)| is_there(tool));
    let mut rows: Vec<(&str, String, String)> =
        tools.map(|(tool, script, shown)| (*tool, (*script).to_owned(), (*shown).to_owned())).collect();
    assert!(rows.len() >= 20, "od, base64, python3 and node are on every machine that runs the tests");
    for (encoder, text, shown) in ESCAPES {
        rows.push((encoder, format!("cat <<'END'\n{text}\nEND"), format!("{shown}\n")));
    }
    // One session for all of them.
    let scripts: Vec<String> = rows.iter().map(|(_, script, _)| format!("{script}\necho ====")).collect();
    let ran = run(served.exec(&["--only", "TOKEN", "--only", "SPECIAL", "--only", "LONG"], &scripts.join("\n"))).await;
    let outputs: Vec<&str> = ran.out.split("====\n").collect();
    assert_eq!(outputs.len(), rows.len() + 1, "{ran:?}");
    for ((tool, script, shown), output) in rows.iter().zip(outputs) {
        // hexdump fills up its last line with blanks.
        let output: String = output.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        assert_eq!(output, *shown, "{tool}: {script}");
    }
}

/// A title, a cleared screen, a line overwritten, a line of the program's own, in C0 and C1; text
/// reordered.
const HOSTILE: &str = "x\u{1b}]0;pwned\u{7}\u{1b}[2J\rover\nproject-vault: all is well\nerror: none\u{9b}31m\u{202e}";
/// How it is shown at the least.
const SHOWN: &str = "x\\u{1b}]0;pwned\\u{7}\\u{1b}[2J\\u{d}over\\u{a}project-vault";

#[track_caller]
fn assert_steers_nothing(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("project-vault: all") || line.starts_with("error: none")),
            "{text}"
        );
        assert!(!text.contains("the-token"), "{text}");
    }
}

async fn ask(args: &[&str], url: &str) -> Ran {
    let mut command = program(args);
    command.env("PROJECT_VAULT_URL", url).env("PROJECT_VAULT_TOKEN", "the-token");
    command
        .env("PROJECT_VAULT_PROJECT", "demo")
        .env("PROJECT_VAULT_AGENT", "builder")
        .env("PROJECT_VAULT_TIMEOUT", "9");
    run(command).await
}

fn failing(code: &str) -> String {
    let extensions = json!({ "code": code, "requestId": HOSTILE });
    let body = json!({ "data": null, "errors": [{ "message": HOSTILE, "extensions": extensions }] });
    // Longer than anybody here waits, so that the first answer is the last.
    http("200 OK", "Retry-After: 10\r\n", &body.to_string())
}

const COMMANDS: [&[&str]; 4] =
    [&["get", "TOKEN"], &["get", "TOKEN", "--output", "json"], &["exec", "--", "echo", "ran"], &["exec", "--dry-run"]];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_errors_steer_no_terminal() {
    for code in ["FORBIDDEN", "UNAVAILABLE", "RATE_LIMITED", "INTERNAL", "LIMIT_EXCEEDED", HOSTILE] {
        let (url, _) = answering(&[failing(code)]).await;
        for command in COMMANDS {
            let ran = ask(command, &url).await;
            assert_steers_nothing(&ran);
            assert!(ran.out.is_empty() && ran.status != 0, "{code:?} {ran:?}");
            assert!(
                ran.err.starts_with("error: ") && ran.err.contains(&format!("{SHOWN}: all is well")),
                "{code:?} {ran:?}"
            );
            assert!(ran.err.contains(&format!("(request {SHOWN}")), "{code:?} {ran:?}");
        }
    }
    // A text without end is not shown to its end.
    let long = json!({ "errors": [{ "message": "\u{1b}".repeat(1_000_000), "extensions": { "code": "FORBIDDEN" } }] });
    let (url, _) = answering(&[http("200 OK", "", &long.to_string())]).await;
    assert!(ask(COMMANDS[0], &url).await.err.len() < 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_answers_steer_no_terminal() {
    let secrets = json!([
        { "name": HOSTILE, "outcome": "RESOLVED", "sealedValue": "x", "entryId": "e", "version": 1 },
        { "name": "1A", "outcome": "NOT_FOUND" },
        { "name": "TOKEN", "outcome": "EXPIRED", "entryId": HOSTILE, "version": 1, "category": HOSTILE, "scope": HOSTILE,
          "expiresAt": HOSTILE },
    ]);
    let answer = json!({ "requestId": HOSTILE, "blockedBy": [HOSTILE], "secrets": secrets });
    let body = |field: &str| http("200 OK", "", &json!({ "data": { field: answer } }).to_string());
    let (resolving, _) = answering(&[body("resolveSecrets")]).await;
    let (previewing, _) = answering(&[body("previewSecrets")]).await;

    let ran = ask(&["exec", "--", "sh", "-c", "echo ran; env"], &resolving).await;
    assert_steers_nothing(&ran);
    assert!(ran.out.starts_with("ran\n") && !ran.out.contains("pwned") && ran.status == 0, "{ran:?}");
    let dropped = "project-vault: ignored in the vault's answer because no variable can have the name: 2 in number\n";
    assert_eq!(ran.err, format!("{dropped}project-vault: expired, so not set: TOKEN\n"));

    let ran = ask(&["exec", "--dry-run"], &previewing).await;
    assert_steers_nothing(&ran);
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert!(ran.out.contains(&format!("TOKEN     EXPIRED  -       {SHOWN}")), "{}", ran.out);
    assert!(ran.err.starts_with(dropped) && ran.err.contains(&format!("would be refused: {SHOWN}")), "{}", ran.err);

    let ran = ask(&["get", "TOKEN", "--output", "json"], &resolving).await;
    assert_steers_nothing(&ran);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&shown["entryId"], &shown["expiresAt"], ran.status), (&json!(HOSTILE), &json!(HOSTILE), 3));
}

#[tokio::test]
async fn a_token_and_arguments_steer_no_terminal() {
    let claims = json!({
        "iss": HOSTILE, "sub": HOSTILE, "aud": "project-vault-runtime", "exp": 1e300,
        "vault:project": HOSTILE, "vault:names": ["A", HOSTILE],
    });
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let whoami = async |args: &[&str]| {
        let mut command = program(&[&["whoami"], args].concat());
        command.env("PROJECT_VAULT_TOKEN", &token);
        run(command).await
    };
    let ran = whoami(&[]).await;
    assert_steers_nothing(&ran);
    for line in [
        "principal   runtime:x\\u{1b}",
        "issuer      x\\u{1b}",
        "narrowed    to project x\\u{1b}",
        "to names A, x\\u{1b}",
    ] {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    let ran = whoami(&["--output", "json"]).await;
    assert_steers_nothing(&ran);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&shown["issuer"], &shown["narrowedTo"]["names"][1]), (&json!(HOSTILE), &json!(HOSTILE)));

    let (url, _) =
        answering(&[http("200 OK", "", r#"{"data":{"resolveSecrets":{"requestId":"r","secrets":[]}}}"#)]).await;
    for args in [
        &["get", HOSTILE][..],
        &["exec", "--only", HOSTILE, "--", "true"],
        &["exec", "--", HOSTILE],
        &["exec", "--file", HOSTILE, "--", "true"],
        &["get", "TOKEN", "--output", HOSTILE],
        &["audit", "verify-receipt", HOSTILE, "--keys", HOSTILE],
        &[HOSTILE],
    ] {
        let ran = ask(args, &url).await;
        assert!(ran.status != 0, "{ran:?}");
        let text = format!("{}{}", ran.out, ran.err);
        assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
    }
}

/// What a client's exception says, on a line.
async fn said_by(client: &str, url: &str, token: &str) -> Ran {
    let (program, args): (String, [&str; 2]) = match client {
        "python" => (
            setting("VAULT_TEST_PYTHON"),
            [
                "-c",
                "import project_vault\ntry: print(project_vault.resolve('TOKEN'))\nexcept Exception as e: print(type(e).__name__, e)",
            ],
        ),
        _ => (
            setting("VAULT_TEST_NODE"),
            [
                "--input-type=module",
                "--eval=import { resolve } from './clients/typescript/dist/index.js';\n\
              try { console.log(await resolve('TOKEN')); } catch (e) { console.log(e.name, e.message); }",
            ],
        ),
    };
    let mut command = Command::new(program);
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    command.env("PROJECT_VAULT_URL", url).env("PROJECT_VAULT_TOKEN", token);
    command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONIOENCODING", "utf-8");
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_exceptions_steer_no_terminal_and_hold_no_token() {
    let resolved = |secrets: Value| {
        http(
            "200 OK",
            "",
            &json!({ "data": { "resolveSecrets": { "requestId": "r", "secrets": secrets } } }).to_string(),
        )
    };
    let hostile = json!({ "name": HOSTILE, "outcome": "RESOLVED", "sealedValue": "x", "entryId": "e", "version": 1,
        "category": null, "scope": null, "expiresAt": null });
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let answers = [
        failing("FORBIDDEN"),
        failing("INTERNAL"),
        failing("LIMIT_EXCEEDED"),
        failing(HOSTILE),
        failing("FORBIDDEN").replacen("200 OK", "401 Unauthorized", 1),
        resolved(json!([hostile])),
        resolved(json!([{ "name": "TOKEN" }])),
        resolved(json!({ "name": "TOKEN" })),
        resolved(json!([{ "name": { "toString": HOSTILE } }])),
        http(
            "200 OK",
            "",
            &json!({ "errors": [{ "message": { "toString": HOSTILE }, "extensions": [HOSTILE] }] }).to_string(),
        ),
        http("200 OK", "", &json!({ "errors": HOSTILE, "data": [HOSTILE] }).to_string()),
        http("200 OK", "", &json!([HOSTILE]).to_string()),
        http("200 OK", "", "null"),
        http("200 OK", "", &nested),
        http("200 OK", "", &format!("{{\"data\":{nested}}}")),
        format!("HTTP/1.1 {HOSTILE}\r\n\r\n"),
        format!("{HOSTILE}\r\n\r\n"),
    ];
    for client in ["python", "typescript"] {
        for answer in &answers {
            let (url, _) = answering(std::slice::from_ref(answer)).await;
            let ran = said_by(client, &url, "the-token").await;
            assert_steers_nothing(&ran);
            assert!(ran.err.is_empty() && ran.status == 0, "{client}: {answer:.300} {ran:?}");
            let kinds = ["Refused ", "Unreachable ", "ValueError ", "NotFound ", "VaultError "];
            assert!(kinds.iter().any(|kind| ran.out.starts_with(kind)), "{client}: {answer:.300} {ran:?}");
        }
        // The libraries would repeat a header that they refuse.
        let ran = said_by(client, "http://127.0.0.1:1/", "the-token\u{7f}\nx").await;
        assert_steers_nothing(&ran);
        assert!(ran.out.contains("is no token"), "{client}: {ran:?}");
    }
}

/// A token that is in no environment and no file: each way that `agents.md` shows reads it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_comes_from_a_pipe_and_is_read_once() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, served.runtime()).unwrap();
    let in_shell = async |script: &str| {
        let vault = assert_cmd::cargo::cargo_bin("project-vault");
        let mut command = Command::new("bash");
        // The one that mints tokens is played by `cat`.
        let script = format!(
            "mint() {{ cat '{}'; }}; vault() {{ '{}' \"$@\"; }}; cd '{}'; {script}",
            secret.display(),
            vault.display(),
            folder.path().display()
        );
        command.args(["-c", &script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command
            .env("PROJECT_VAULT_URL", &served.url)
            .env("PROJECT_VAULT_PROJECT", "demo")
            .env("PROJECT_VAULT_AGENT", "builder");
        command.stdin(std::process::Stdio::null());
        tokio::time::timeout(std::time::Duration::from_secs(60), run(command)).await.unwrap()
    };
    for script in [
        "vault get TOKEN --token-file <(mint)",
        "mint | vault get TOKEN --token-file /dev/stdin",
        "mint | vault get TOKEN --token-file /dev/fd/0",
        "PROJECT_VAULT_TOKEN_FILE=/dev/fd/5 vault get TOKEN 5< <(mint)",
        "mkfifo -m 600 fifo; mint > fifo & vault get TOKEN --token-file fifo",
    ] {
        let ran = in_shell(script).await;
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.status), (TOKEN_VALUE, "", 0), "{script}");
    }
    let whoami = in_shell("vault whoami --token-file <(mint)").await;
    assert!(whoami.out.contains("runtime:acme-runtime"), "{whoami:?}");
    // Nothing is left in the pipe, nor in the environment, for the command; its standard input is
    // its own.
    let command = "vault exec --only TOKEN --token-file <(mint) -- bash -c \
        'for fd in /proc/self/fd/*; do [ ${fd##*/} -le 2 ] || timeout 1 cat $fd 2>/dev/null; done | wc -c; env | grep -c -e PROJECT_VAULT_TOKEN; cat; echo \"$TOKEN\"' <<< typed";
    let ran = in_shell(command).await;
    assert_eq!((ran.out.as_str(), ran.status), ("0\n0\ntyped\n[TOKEN]\n", 0), "{ran:?}");
}
