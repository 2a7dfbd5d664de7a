//! A hostile or broken server at the address that `exec`, `get` and the clients ask: what it can
//! make them spend, take or believe.

use crate::agent::faults::{Seen, answering, http, read_request};
use crate::agent::served::{Ran, Served, program, run};
use crate::support::{Backend, World, entry, setting, user};
use project_vault::crypto::{RecipientKey, SealedCall, SealedPlace};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The memory that a command may write to while it is attacked, in KiB. Untouched, it takes a fifth
/// of that.
const MEMORY: u32 = 256 * 1024;

/// A server that does the same with each connection.
async fn serving<F: Future<Output = ()> + Send>(behave: impl Fn(TcpStream) -> F + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let behave = behave.clone();
            tokio::spawn(async move { behave(stream).await });
        }
    });
    url
}

fn as_builder(mut command: Command, url: &str) -> Command {
    command.env("PROJECT_VAULT_URL", url).env("PROJECT_VAULT_TOKEN", "the-token");
    command.env("PROJECT_VAULT_PROJECT", "demo").env("PROJECT_VAULT_AGENT", "builder");
    command
}

/// The program with little memory.
fn bounded(args: &[&str], url: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c 0; ulimit -d {MEMORY}; exec \"$0\" \"$@\"")]);
    let inner = program(args);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    as_builder(command, url)
}

/// Either client with little memory, resolving one name; says what came of it.
fn client(name: &str, url: &str) -> Command {
    let mut command = Command::new("sh");
    let (program, script) = match name {
        "python" => (
            format!("ulimit -d {MEMORY}; exec \"{}\" -c", setting("VAULT_TEST_PYTHON")),
            "import project_vault\ntry: print(project_vault.Vault(timeout=4).resolve('TOKEN'))\n\
             except Exception as e: print(type(e).__name__, e)",
        ),
        // Node.js reserves far more than it uses.
        _ => (
            format!("exec \"{}\" --max-old-space-size=192 --input-type=module -e", setting("VAULT_TEST_NODE")),
            "import { Vault } from './clients/typescript/dist/index.js';\n\
             try { console.log(await new Vault({ timeout: 4000 }).resolve('TOKEN')); } catch (e) { console.log(e.name, e.message); }",
        ),
    };
    command.args(["-c", &format!("{program} \"$0\""), script]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PYTHONPATH", "clients/python").env("PYTHONDONTWRITEBYTECODE", "1");
    as_builder(command, url)
}

#[track_caller]
fn assert_refused(what: &str, ran: &Ran, began: Instant) {
    assert_eq!((ran.out.as_str(), ran.status), ("", 6), "{what}: {:.500}", ran.err);
    assert!(ran.err.starts_with("error: ") && ran.err.len() < 3_000, "{what}: {:.500}", ran.err);
    assert!(began.elapsed() < Duration::from_secs(60), "{what}");
}

/// Bodies of nearly the largest size that is read, which become many times as much where a tree is
/// built of them.
fn costly_bodies() -> Vec<(&'static str, String)> {
    const SIZE: usize = 15 * 1024 * 1024;
    let many = |element: &str| vec![element; SIZE / (element.len() + 1)].join(",");
    vec![
        ("a tree in data", format!("{{\"data\":{{\"other\":[{}]}}}}", many("{\"\":0}"))),
        ("a tree beside data", format!("{{\"data\":null,\"x\":[{}]}}", many("{\"\":0}"))),
        ("a tree in extensions", format!("{{\"errors\":[{{\"extensions\":{{\"x\":[{}]}}}}]}}", many("[]"))),
        ("errors", format!("{{\"errors\":[{}]}}", many("{}"))),
        (
            "secrets",
            format!(
                "{{\"data\":{{\"resolveSecrets\":{{\"requestId\":\"r\",\"secrets\":[{}]}}}}}}",
                many("{\"name\":\"A\",\"outcome\":\"NOT_FOUND\"}")
            ),
        ),
        ("nesting", format!("{{\"data\":{}", "[".repeat(SIZE))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_costs_little_more_memory_than_its_bytes() {
    for (what, body) in costly_bodies() {
        let (url, _) = answering(&[http("200 OK", "", &body)]).await;
        for command in [&["get", "TOKEN"][..], &["exec", "--", "true"]] {
            let began = Instant::now();
            assert_refused(what, &run(bounded(command, &url)).await, began);
        }
    }
}

/// Sends a head, and then pieces for as long as anybody reads.
async fn endless(mut stream: TcpStream, head: &'static str, piece: &'static [u8], pause: Duration) {
    read_request(&mut stream).await;
    let _ = stream.write_all(head.as_bytes()).await;
    while stream.write_all(piece).await.is_ok() {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_is_not_read_to_its_end() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let body = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\":[";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let flood = serving(move |stream| endless(stream, body, &[b' '; 65_536], Duration::ZERO)).await;
    let chunks = serving(move |stream| endless(stream, chunked, b"10\r\n0123456789abcdef\r\n", Duration::ZERO)).await;
    let headers = serving(move |stream| endless(stream, OK, b"X-Header: 0123456789abcdef\r\n", Duration::ZERO)).await;
    let drip = serving(move |stream| endless(stream, body, b" ", Duration::from_millis(200))).await;
    let header_drip = serving(move |stream| endless(stream, OK, b"X: 0\r\n", Duration::from_millis(200))).await;
    for (what, url) in [
        ("a flood", &flood),
        ("chunks", &chunks),
        ("headers", &headers),
        ("a drip", &drip),
        ("a drip of headers", &header_drip),
    ] {
        let began = Instant::now();
        assert_refused(what, &run(bounded(&["get", "TOKEN", "--timeout", "4"], url)).await, began);
        for name in ["python", "typescript"] {
            let began = Instant::now();
            let ran = run(client(name, url)).await;
            assert!(ran.out.contains("Unreachable") || ran.out.contains("VaultError"), "{name}: {what}: {ran:?}");
            assert!(!ran.out.contains("the-token") && began.elapsed() < Duration::from_secs(60), "{name}: {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_answer_is_not_unpacked_beyond_bounds() {
    // A gigabyte of blanks.
    let packed = Command::new("sh")
        .args(["-c", "head -c 1000000000 /dev/zero | tr '\\0' ' ' | gzip -1"])
        .output()
        .unwrap()
        .stdout;
    assert!(packed.len() < 8_000_000);
    let url = serving(move |mut stream| {
        let packed = packed.clone();
        async move {
            read_request(&mut stream).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                packed.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&packed).await;
        }
    })
    .await;
    let began = Instant::now();
    assert_refused("gzip", &run(bounded(&["get", "TOKEN"], &url)).await, began);
    for name in ["python", "typescript"] {
        let ran = run(client(name, &url)).await;
        assert!(ran.out.contains("Unreachable") || ran.out.contains("larger than 16 MiB"), "{name}: {ran:?}");
    }
}

/// A server that seals values for any caller, as somebody who intercepts the connection could.
async fn sealing(values: Vec<(&'static str, String)>) -> String {
    serving(move |mut stream| {
        let values = values.clone();
        async move {
            let request = read_request(&mut stream).await;
            let request = String::from_utf8_lossy(&request).into_owned();
            let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
            let key = RecipientKey::parse(body["variables"]["input"]["recipientKey"].as_str().unwrap()).unwrap();
            let call = SealedCall { project: "demo", agent: "builder", request: "r" };
            let secret = |(name, value): &(&str, String)| {
                let place = SealedPlace { entry: "e", version: 1, name };
                let sealed = key.seal(&call, &place, &SecretString::from(value.as_str())).unwrap();
                json!({ "name": name, "outcome": "RESOLVED", "sealedValue": sealed, "entryId": "e", "version": 1 })
            };
            let secrets: Vec<Value> = values.iter().map(secret).collect();
            let answer = json!({ "data": { "resolveSecrets": { "requestId": "r", "secrets": secrets } } });
            let _ = stream.write_all(http("200 OK", "", &answer.to_string()).as_bytes()).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_no_vault_holds_is_refused_and_a_name_is_taken_once() {
    let exec = async |values: Vec<(&'static str, String)>| {
        let url = sealing(values).await;
        let script = "env -0 | grep -z -e ^A= -e ^B= | tr '\\0' ';'";
        run(as_builder(program(&["exec", "--no-redact", "--", "sh", "-c", script]), &url)).await
    };
    // What a vault may hold arrives whole.
    let ran = exec(vec![("A", "two\nlines\r\n=;".to_owned()), ("B", "b".to_owned())]).await;
    assert_eq!((ran.out.as_str(), ran.status), ("A=two\nlines\r\n=;;B=b;", 0), "{ran:?}");
    for (value, what) in [("a\0b".to_owned(), "NUL"), (String::new(), "empty"), ("x".repeat(65_537), "too long")] {
        let began = Instant::now();
        let ran = exec(vec![("A", "fine".to_owned()), ("B", value)]).await;
        assert_refused(what, &ran, began);
        assert!(ran.err.contains("B: what arrived is not what the vault sealed"), "{what}: {ran:?}");
    }
    let ran = exec(vec![("A", "one".to_owned()), ("B", "b".to_owned()), ("A", "two".to_owned())]).await;
    assert_eq!((ran.out.as_str(), ran.status), ("A=one;B=b;", 0), "{ran:?}");
    assert!(ran.err.contains("nobody asked for them: A"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_that_is_too_large_says_what_to_do() {
    let world = World::new(Backend::Sqlite).await;
    let served = Served::start(&world).await;
    for n in 0..40 {
        world.vault.entries().create(&user("bob"), entry(&format!("BIG_{n}"), &"x".repeat(65_536))).await.unwrap();
    }
    for options in [&[][..], &["--no-redact"]] {
        let ran = run(served.exec(options, "true")).await;
        assert_eq!((ran.out.as_str(), ran.status), ("", 126), "{:.500}", ran.err);
        assert!(ran.err.contains("use --only, or --file for large values"), "{:.500}", ran.err);
    }
    let ran = run(served.exec(&["--only", "BIG_1"], "printf %s \"$BIG_1\" | wc -c; echo \"$BIG_1\"")).await;
    assert_eq!((ran.out.as_str(), ran.status), ("65536\n[BIG_1]\n", 0), "{:.500}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_peer_that_nobody_vouches_for_gets_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj '/CN=localhost' \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout key.pem -out cert.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let identity = || {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let chain = vec![CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap()];
        (chain, PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap())
    };
    let (chain, key) = identity();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let seen = Seen::default();
    let kept = seen.clone();
    let url = serving(move |stream| {
        let (acceptor, kept) = (acceptor.clone(), kept.clone());
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut bytes = Vec::new();
                let _ = stream.read_to_end(&mut bytes).await;
                kept.lock().unwrap().extend(bytes);
            }
        }
    })
    .await;
    let began = Instant::now();
    let ran = run(as_builder(program(&["get", "TOKEN", "--timeout", "2"]), &url.replace("http:", "https:"))).await;
    assert_refused("TLS", &ran, began);
    assert!(ran.err.contains("cannot be reached"), "{ran:?}");
    assert!(seen.lock().unwrap().is_empty());
}
