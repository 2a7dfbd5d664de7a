//! The commands with a vault that misbehaves. The servers here are fakes, used for faults only.

use super::served::{Ran, Served, TOKEN_VALUE, program, run};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub type Seen = Arc<Mutex<Vec<u8>>>;

/// Reads one request: its head and body.
pub async fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece).await.unwrap_or(0);
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let wanted = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            if body.len() >= wanted.unwrap_or(0) {
                return request;
            }
        }
        if length == 0 {
            return request;
        }
    }
}

/// A server that answers each request with the next of these texts, the last one for ever; it keeps
/// what it was sent.
pub async fn answering(answers: &[String]) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    let seen = Seen::default();
    let (kept, answers) = (seen.clone(), answers.to_vec());
    tokio::spawn(async move {
        for turn in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { break };
            let request = read_request(&mut stream).await;
            kept.lock().unwrap().extend(request);
            let _ = stream.write_all(answers[turn.min(answers.len() - 1)].as_bytes()).await;
        }
    });
    (url, seen)
}

/// Passes requests on to a server, and keeps what goes either way.
pub async fn eavesdropper(to: &str) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    let to = to.trim_start_matches("http://").trim_end_matches("/graphql").to_owned();
    let seen = Seen::default();
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&to).await.unwrap();
            let request = read_request(&mut client).await;
            let plain = String::from_utf8_lossy(&request).replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(plain.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).await.unwrap();
            client.write_all(&answer).await.unwrap();
            kept.lock().unwrap().extend([request, answer].concat());
        }
    });
    (url, seen)
}

/// An answer over HTTP, after which the connection is closed.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn error(code: &str, more: &str) -> String {
    let body = format!(r#"{{"data":null,"errors":[{{"message":"why","extensions":{{"code":"{code}"{more}}}}}]}}"#);
    http("200 OK", "Content-Type: application/json\r\n", &body)
}

const EMPTY: &str = r#"{"data":{"resolveSecrets":{"requestId":"r","secrets":[]}}}"#;

async fn exec(url: &str, mark: &std::path::Path, options: &[&str]) -> Ran {
    let args = ["exec", "--url", url, "--project", "demo", "--agent", "builder"];
    let script = format!("touch {}", mark.display());
    let mut command = program(&[&args[..], options, &["--", "sh", "-c", &script]].concat());
    command.env("PROJECT_VAULT_TOKEN", "the-token");
    run(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let good = http("200 OK", "Content-Type: application/json\r\n", EMPTY);
    let cut = good[..good.len() - 10].to_owned();
    let unavailable = error("UNAVAILABLE", "");
    let limited = error("RATE_LIMITED", r#","retryAfterSeconds":1"#);
    let busy = http("503 Service Unavailable", "Retry-After: 1\r\n", "<html>");
    for (turn, (answers, status, tries)) in [
        (vec![unavailable.clone(), limited, good.clone()], 0, 3),
        (vec![busy, cut.clone(), good.clone()], 0, 3),
        (vec![String::new(), good.clone()], 0, 2),
        (vec![unavailable], 6, 5),
        (vec![cut], 6, 5),
        (vec![error("INTERNAL", ""), good.clone()], 6, 1),
        (vec![error("FORBIDDEN", ""), good.clone()], 5, 1),
        (vec![error("LIMIT_EXCEEDED", ""), good.clone()], 2, 1),
        (vec![error("GRAPHQL_VALIDATION_FAILED", ""), good.clone()], 6, 1),
        (vec![http("401 Unauthorized", "", ""), good.clone()], 5, 1),
        (vec![http("404 Not Found", "", "nothing"), good.clone()], 6, 1),
        (vec![http("200 OK", "", "<html>"), good.clone()], 6, 1),
        (vec![http("200 OK", "", "{\"data\":{}}"), good.clone()], 6, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let (url, seen) = answering(&answers).await;
        let mark = folder.path().join(turn.to_string());
        let ran = exec(&url, &mark, &[]).await;
        assert_eq!(ran.status, status, "{turn}: {}", ran.err);
        assert_eq!(mark.exists(), status == 0, "{turn}: nothing starts without what it was to get");
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        assert_eq!(seen.matches("POST /graphql").count(), tries, "{turn}: {}", ran.err);
        assert!(!ran.err.contains("the-token"), "{}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_does_not_follow_a_redirect() {
    let folder = tempfile::tempdir().unwrap();
    let (elsewhere, seen) = answering(&[http("200 OK", "", EMPTY)]).await;
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let (url, _) = answering(&[http(status, &format!("Location: {elsewhere}\r\n"), "")]).await;
        let ran = exec(&url, &folder.path().join("mark"), &[]).await;
        assert!(ran.status == 6 && ran.err.contains("redirects"), "{ran:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
    assert!(!folder.path().join("mark").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let ran = exec(&url, &folder.path().join("mark"), &["--timeout", "1"]).await;
    assert!(ran.status == 6 && ran.err.contains("in time"), "{ran:?}");
    assert!(began.elapsed().as_secs() < 10);
}

both! {
    async fn what_was_changed_on_the_way_is_not_taken(world: World) {
        let served = Served::start(&world).await;
        let (proxy, seen) = eavesdropper(&served.url).await;
        assert_eq!(run(served.program(&["get", "TOKEN", "--url", &proxy])).await.out, TOKEN_VALUE);
        // The answer to another call, as a cache would give it.
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
        let answer = seen[seen.find("HTTP/1.1 200").unwrap()..].to_owned();
        let (replayed, _) = answering(&[answer]).await;
        let ran = run(served.program(&["get", "TOKEN", "--url", &replayed])).await;
        assert!(ran.out.is_empty() && ran.status == 6 && ran.err.contains("changed"), "{ran:?}");
        // A value that nobody sealed.
        let plain = r#"{"data":{"resolveSecrets":{"requestId":"r","secrets":[{"name":"TOKEN","outcome":"RESOLVED",
            "value":"forged","sealedValue":null,"entryId":"e","version":1}]}}}"#;
        let (forged, _) = answering(&[http("200 OK", "", plain)]).await;
        let ran = run(served.program(&["get", "TOKEN", "--url", &forged])).await;
        assert!(ran.out.is_empty() && ran.status == 6, "{ran:?}");
    }
}
