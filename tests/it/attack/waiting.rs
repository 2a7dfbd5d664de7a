//! Requests whose bodies never arrive must not slow down other requests.

use crate::support::{Backend, Installation, Running};
use bytes::Bytes;
use futures::future::join_all;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderValue, Request, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::sleep;

const MIB: u64 = 1024 * 1024;

/// Held by each of these tests, so that the floods of one do not slow the answers that another
/// times.
static ONE_FLOOD: Mutex<()> = Mutex::const_new(());

/// A request that is open: its answer, and where its body would go.
type Open = (ResponseFuture, SendStream<Bytes>);

async fn connect(running: &Running) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(running.url.trim_start_matches("http://")).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn post(token: Option<&str>) -> Request<()> {
    let mut request = Request::post("http://x/graphql").header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).unwrap()
}

/// Opens so many requests on so many connections, and sends of each body what there is.
async fn open(running: &Running, connections: usize, streams: usize, request: &Request<()>, sent: &str) -> Vec<Open> {
    let one = async || {
        let (mut client, mut opened) = (connect(running).await, Vec::new());
        for _ in 0..streams {
            client = client.ready().await.unwrap();
            let (answer, mut body) = client.send_request(request.clone(), false).unwrap();
            body.send_data(Bytes::from(sent.to_owned()), false).unwrap();
            opened.push((answer, body));
        }
        opened
    };
    join_all((0..connections).map(|_| one())).await.into_iter().flatten().collect()
}

/// Waits until the server has taken in what was sent to it: what is timed is how long waiting
/// bodies keep others out, not how long they take to arrive.
async fn settled(running: &Running) {
    let quick = Duration::from_millis(100);
    for _ in 0..100 {
        let begin = Instant::now();
        running.page("/healthz").await;
        if begin.elapsed() < quick {
            return;
        }
    }
    panic!("the server is busy with requests whose bodies do not come");
}

/// Sends the same body so many times at once over one connection, as a gateway does.
async fn gateway(running: &Running, token: &str, body: &str, times: usize) -> Vec<StatusCode> {
    let (mut client, mut answers) = (connect(running).await, Vec::new());
    for _ in 0..times {
        client = client.ready().await.unwrap();
        let (answer, mut stream) = client.send_request(post(Some(token)), false).unwrap();
        stream.send_data(Bytes::from(body.to_owned()), true).unwrap();
        answers.push(answer);
    }
    join_all(answers).await.into_iter().map(|answer| answer.unwrap().status()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_without_a_token_leave_requests_to_a_gateway() {
    let _flood = ONE_FLOOD.lock().await;
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    let body = json!({ "query": "{ __typename }" }).to_string();
    let ada = installation.token("user:ada");
    let _waiting = open(&running, 90, 100, &post(None), "").await;
    settled(&running).await;
    assert_eq!(gateway(&running, &ada, &body, 20).await, [StatusCode::OK; 20]);
    // Nor does one caller with a token keep the others out.
    let mallory = post(Some(&installation.token("user:mallory")));
    let _verified = open(&running, 90, 100, &mallory, "").await;
    settled(&running).await;
    assert_eq!(gateway(&running, &ada, &body, 20).await, [StatusCode::OK; 20]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_announce_much_and_send_little_keep_nobody_out() {
    let _flood = ONE_FLOOD.lock().await;
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    installation.add_demo(&running).await;
    let announcing = |token: Option<&str>, length: u64| {
        let mut request = post(token);
        request.headers_mut().insert("content-length", HeaderValue::from(length));
        request
    };
    let mut waiting = Vec::new();
    for who in ["user:m", "user:n", "user:o", "runtime:acme-runtime"] {
        waiting.extend(open(&running, 13, 40, &announcing(Some(&installation.token(who)), 2 * MIB), "{").await);
    }
    waiting.extend(open(&running, 21, 100, &announcing(None, 16 * 1024), "{").await);
    let query = "query($i: ResolveSecretsInput!) { resolveSecrets(input: $i) { receipt } }";
    let input = json!({ "projectId": "demo", "agentId": "builder", "purpose": "CODING_SESSION" });
    settled(&running).await;
    let begin = Instant::now();
    let answer = installation.ask(&running, "runtime:acme-runtime", query, json!({ "i": input })).await.unwrap();
    assert!(answer["data"]["resolveSecrets"]["receipt"].is_string(), "{answer}");
    let answer = installation.ask(&running, "user:alice", "{ __typename }", json!({})).await.unwrap();
    assert_eq!(answer, json!({ "data": { "__typename": "Query" } }));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_fields_of_one_byte_take_no_memory() {
    let _flood = ONE_FLOOD.lock().await;
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    let mut bomb = post(None);
    for _ in 0..1_900 {
        bomb.headers_mut().append("a", HeaderValue::from_static(""));
    }
    let mut full = post(None);
    for at in 0..95 {
        full.headers_mut().append("a", HeaderValue::from_str(&format!("{at:0600}")).unwrap());
    }
    for (what, request) in [("many fields", bomb), ("as large as it gets", full)] {
        let before = running.resident();
        let waiting = open(&running, 10, 100, &request, "").await;
        sleep(Duration::from_secs(1)).await;
        let grown = running.resident().saturating_sub(before) / MIB;
        eprintln!("{what}: 1,000 requests take {grown} MiB");
        assert!(grown < 50, "{what}: {grown} MiB");
        drop(waiting);
    }
}
