//! Connections and requests that an attacker opens and keeps open.

use crate::support::{Backend, Installation};
use futures::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Connections that an address keeps.
const SLOTS: usize = 4_096;
/// A request whose body is announced and not sent.
const ANNOUNCED: &str =
    "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n";

/// Lets this process, and the server that it starts, open as many files as the system lets them.
fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    assert!(maximum.is_none_or(|most| most > 2 * SLOTS as u64), "the system allows {maximum:?} open files");
}

async fn connect(address: SocketAddr, hello: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(hello).await.unwrap();
    stream
}

/// How long somebody else's `/healthz` takes.
async fn health(address: SocketAddr) -> Duration {
    let begin = Instant::now();
    let mut stream = connect(address, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    begin.elapsed()
}

/// The beginning of HTTP/2: what a client says first, and a POST to `/graphql` whose body does not
/// come.
async fn http2_post(address: SocketAddr) -> Vec<u8> {
    let (here, there) = tokio::io::duplex(64 * 1024);
    let (client, connection) = h2::client::handshake(here).await.unwrap();
    let connection = tokio::spawn(async move { drop(connection.await) });
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post(format!("http://{address}/graphql")).header("content-type", "application/json");
    let (_answer, _body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut said = vec![0; 4096];
    let mut there = there;
    let read = there.read(&mut said).await.unwrap();
    connection.abort();
    said.truncate(read);
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_never_come_hold_nobody_up() {
    allow_many_files();
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    let address: SocketAddr = running.url.trim_start_matches("http://").parse().unwrap();
    assert!(health(address).await < Duration::from_secs(1));
    let forged = ANNOUNCED.replace("\r\n\r\n", "\r\nauthorization: Bearer e30.e30.e30\r\n\r\n");
    let preface = http2_post(address).await;
    assert!(preface.starts_with(b"PRI * HTTP/2.0\r\n"));
    for (hello, what) in [
        (ANNOUNCED.as_bytes(), "no token"),
        (forged.as_bytes(), "a forged token"),
        (b"POST /graphql HTTP/1.1\r\nhost: x\r\n".as_slice(), "half a head"),
        (preface.as_slice(), "HTTP/2"),
        (b"", "silence"),
    ] {
        let mut held = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS / 64 {
            held.extend(join_all((0..64).map(|_| connect(address, hello))).await);
        }
        let took = health(address).await;
        println!("{what}: {took:?}");
        assert!(took < Duration::from_millis(3_500), "{what}: {took:?}");
        drop(held);
        // The next ones find all slots free.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_body_of_a_caller_with_a_token_has_ten_seconds_though_all_slots_are_taken() {
    allow_many_files();
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    let address: SocketAddr = running.url.trim_start_matches("http://").parse().unwrap();
    let body = json!({ "query": "{ __typename }" }).to_string();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        installation.token("user:ada"),
        body.len()
    );
    let mut held = Vec::with_capacity(SLOTS);
    // While one slot is free, they keep theirs.
    for _ in 0..SLOTS - 1 {
        held.push(connect(address, ANNOUNCED.as_bytes()).await);
    }
    let mut slow = connect(address, head.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    slow.write_all(body.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), slow.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.contains("{\"data\":{\"__typename\":\"Query\"}}"), "{answer}");
}
