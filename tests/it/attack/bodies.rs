//! Bodies that use far more memory than their size.

use crate::http::world::{ANYONE, SOMEONE, World, data, error};
use crate::support::{Backend, Installation};
use futures::future::join_all;
use project_vault::domain::TokenKind;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const MIB: usize = 1024 * 1024;

/// A JSON list of so many bytes at most, of elements that are all the same.
fn list(element: &str, bytes: usize) -> String {
    let count = bytes / (element.len() + 1) - 1;
    format!("[{}{element}]", format!("{element},").repeat(count))
}

/// A body whose member holds a list.
fn body(member: &str, list: &str) -> String {
    format!("{{\"query\":\"{ANYONE}\",\"{member}\":{{\"v\":{list}}}}}")
}

/// Bodies that are refused, or that are cheap, and the code of the refusal.
fn hostile() -> Vec<(&'static str, String, Option<&'static str>)> {
    let most = 2 * MIB - 200;
    let document = |text: String| json!({ "query": text }).to_string();
    let mut bodies = vec![
        ("extensions", body("extensions", &list("{\"\":0}", most)), None),
        ("another member", body("other", &list("[[[[[0]]]]]", most)), None),
        ("nesting", body("variables", &("[".repeat(MIB - 200) + &"]".repeat(MIB - 200))), Some("LIMIT_EXCEEDED")),
        ("nested extensions", body("extensions", &("[".repeat(MIB - 200) + &"]".repeat(MIB - 200))), None),
        ("a JSON that never ends", body("variables", &"[".repeat(most)), Some("BAD_USER_INPUT")),
        ("fields", document(format!("{{{}}}", "a ".repeat(MIB - 200))), Some("LIMIT_EXCEEDED")),
        ("selections", document("{a}".repeat(20_000)), Some("LIMIT_EXCEEDED")),
        ("commas", document(format!("{{a{}}}", ",".repeat(most))), Some("LIMIT_EXCEEDED")),
        ("comments", document(format!("{{a {} b}}", "#\n".repeat(MIB / 2))), Some("LIMIT_EXCEEDED")),
        ("a string", document(format!("{{a(b:\"{}\")}}", "x".repeat(most))), Some("LIMIT_EXCEEDED")),
    ];
    for element in ["{\"\":0}", "0", "[]", "[0]", "[[[[[0]]]]]", "{\"a\":{\"a\":0}}", "\"\""] {
        bodies.push(("variables", body("variables", &list(element, most)), Some("LIMIT_EXCEEDED")));
    }
    bodies
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_would_grow_is_refused_or_skipped() {
    let world = World::new().await;
    let token = world.token(TokenKind::User, "ada");
    for (what, body, code) in hostile() {
        let sent = world.post_text(body).bearer_auth(&token);
        match code {
            None => assert!(data(sent).await.is_object(), "{what}"),
            Some(code) => assert_eq!(error(sent).await.1, code, "{what}"),
        }
    }
    let answer: Value = world
        .post_text(body("variables", &list("{\"\":0}", MIB)))
        .bearer_auth(&token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("variables") && message.contains("30,000"), "{message}");
}

/// What a flood of bodies did to the program.
#[derive(Debug)]
struct Flooded {
    /// The growth of its memory at most, and five seconds later, in MiB.
    most: u64,
    after: u64,
    /// How long `/healthz` took meanwhile, shortest first.
    health: Vec<Duration>,
}

/// Sends thirty of each of these at once, one kind after the other.
async fn flood(it: &Installation, bodies: &[String]) -> Flooded {
    let log = it.file("log");
    let server = it.serve("warn", &log).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = it.token("user:mallory");
    let post = |body: &String| {
        let request = client.post(format!("{}/graphql", server.url)).bearer_auth(&token);
        request.header("content-type", "application/json").body(body.clone()).send()
    };
    // What a server needs anyway is there.
    post(&body("variables", "[]")).await.unwrap();
    let before = server.resident();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut health = Vec::new();
    let mut flooding = std::pin::pin!(async {
        for body in bodies {
            for answer in join_all((0..30).map(|_| post(body))).await {
                let status = answer.unwrap().status().as_u16();
                // On a busy machine a body may not be taken in time.
                assert!([200, 400, 408, 503].contains(&status), "{status}");
            }
        }
    });
    loop {
        tokio::select! {
            () = &mut flooding => break,
            _ = ticks.tick() => {
                let asked = Instant::now();
                let answer = client.get(format!("{}/healthz", server.url)).send();
                assert_eq!(timeout(Duration::from_secs(30), answer).await.unwrap().unwrap().status(), 200);
                health.push(asked.elapsed());
            }
        }
    }
    let most = server.most_resident();
    sleep(Duration::from_secs(5)).await;
    let after = server.resident();
    health.sort();
    let grown = |bytes: u64| bytes.saturating_sub(before) / MIB as u64;
    Flooded { most: grown(most), after: grown(after), health }
}

/// Before there were bounds, thirty bodies of the first kind took 4.3 GB, of which 3.8 GB stayed,
/// and held up `/healthz` for five seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_bodies_neither_takes_the_memory_nor_holds_up_others() {
    let it = Installation::new(Backend::Sqlite).await;
    let elements = |element: &str, count: usize| format!("[{}{element}]", format!("{element},").repeat(count - 1));
    let document = |text: String| json!({ "query": text }).to_string();
    let bodies = [
        body("variables", &list("{\"\":0}", 2 * MIB - 200)),
        body("extensions", &list("{\"\":0}", 2 * MIB - 200)),
        // The worst that is accepted.
        body("variables", &elements("[[[[[0]]]]]", 4_999)),
        body("variables", &elements("{\"\":0}", 9_999)),
        document(format!("{{{}}}", "a ".repeat(14_990))),
        document(format!("{{{}}}", "a{a}".repeat(3_700))),
    ];
    let Flooded { most, after, health } = flood(&it, &bodies).await;
    let (median, slowest) = (health[health.len() / 2], health[health.len() - 1]);
    let seen = format!("grew by {most} MiB, kept {after} MiB; /healthz: median {median:?}, at most {slowest:?}");
    eprintln!("{seen}");
    assert!(most < 300 && after < 100, "{seen}");
    // Other tests want the processors as well, so what a single one took says little.
    assert!(median < Duration::from_millis(500) && slowest < Duration::from_secs(10), "{seen}");
}

/// Begins a body of 2 MiB and leaves out its last byte.
async fn begin(world: &World, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let text = body("extensions", &list("0", 2 * MIB - 200));
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Of one that waits for others, not everything is taken.
    let _ = timeout(Duration::from_secs(5), stream.write_all(&text.as_bytes()[..text.len() - 1])).await;
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_caller_does_not_finish_sending_keeps_nobody_else_out() {
    let world = World::new().await;
    let (mallory, ada) = (world.token(TokenKind::User, "mallory"), world.token(TokenKind::User, "ada"));
    // More than twice what one caller may hold.
    let held = join_all((0..40).map(|_| begin(&world, &mallory))).await;
    let large = body("extensions", &list("0", MIB));
    for body in [large.clone(), body("extensions", "[]")] {
        assert!(data(world.post_text(body).bearer_auth(&ada)).await.is_object());
    }
    assert!(data(world.post(ANYONE)).await.is_object(), "nor those without a token");
    assert!(data(world.post(SOMEONE).bearer_auth(&ada)).await.is_object());
    let mut statuses = Vec::new();
    for mut stream in held {
        let mut answer = [0; 12];
        timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        statuses.push(String::from_utf8_lossy(&answer[9..]).into_owned());
    }
    assert!(statuses.iter().all(|status| status == "503" || status == "408"), "{statuses:?}");
    assert!(statuses.iter().any(|status| status == "503"), "they could hold as much as they liked");
    // A request that is given up has given back the memory it held.
    assert!(data(world.post_text(large).bearer_auth(&mallory)).await.is_object());
}
