mod unread;

use super::*;
use crate::domain::{Principal, UserId};
use axum::Extension;
use axum::routing::{get, post};
use axum_server::tls_rustls::RustlsConfig;
use std::net::SocketAddr;
use std::sync::Weak;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
const TEST_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const BOUNDS: Bounds = Bounds {
    slots: 100,
    first_request: LONG,
    next_request: LONG,
    when_full: LONG,
    body_when_full: LONG,
    stall: LONG,
    stall_under_pressure: LONG,
    rate: 0,
    slow: LONG,
    age: LONG,
    grace: LONG,
    linger: SHORT,
};
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// The bytes of a large answer, with a reference that shows whether anything still holds them.
struct Large {
    _held: Arc<()>,
}

const LARGE: usize = 8 * 1024 * 1024;
static ZEROS: [u8; LARGE] = [0; LARGE];

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &ZEROS
    }
}

struct Started {
    address: SocketAddr,
    /// Held by all large answers.
    held: Weak<()>,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

fn start(bounds: Bounds) -> SocketAddr {
    start_with(bounds, 100).address
}

fn start_with(bounds: Bounds, permits: usize) -> Started {
    start_tls(bounds, Permits::new(permits, permits / 2), None)
}

fn start_tls(bounds: Bounds, permits: Permits, tls: Option<RustlsAcceptor>) -> Started {
    start_under(bounds, permits, tls, Pressure::default())
}

fn start_under(bounds: Bounds, permits: Permits, tls: Option<RustlsAcceptor>, pressure: Pressure) -> Started {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let slow = async || sleep(SHORT * 4).await;
    let token = Arc::new(());
    let held = Arc::downgrade(&token);
    let large = held.clone();
    // The first answer takes over the only strong reference, later ones find it there.
    let first = Arc::new(std::sync::Mutex::new(Some(token)));
    let large = move || {
        let token = first.lock().unwrap().take().or_else(|| large.upgrade()).unwrap_or_default();
        async move { Bytes::from_owner(Large { _held: token }) }
    };
    let router = Router::new()
        .route("/", get(async || "here").post(async |body: Bytes| body))
        .route("/slow", get(slow))
        .route("/large", get(large))
        .route("/verified", post(count_and_read));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(socket, tls, router, bounds, permits, pressure, stop.clone()));
    Started { address, held, stop, server }
}

/// Reads the body of a request whose caller was verified.
async fn count_and_read(Extension(open_request): Extension<OpenRequest>, body: Body) -> Result<Bytes, StatusCode> {
    let ada = Principal::User(UserId::parse("ada").unwrap());
    open_request.count_to(&ada).map_err(|NoPermit| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(axum::body::to_bytes(body, 1024).await.unwrap())
}

/// An HTTP/2 client with a flow-control window of this many bytes for each stream; it reads only
/// when a test tells it to.
async fn client(address: SocketAddr, window: u32) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder.initial_window_size(window).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn request(path: &str) -> Request<()> {
    Request::get(format!("http://x{path}")).body(()).unwrap()
}

/// Sends a request; gives the first bytes of the answer.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = timeout(TEST_TIMEOUT, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// Reads until the server closes the connection.
async fn ends(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(TEST_TIMEOUT, stream.read_to_end(&mut rest)).await.expect("the connection ends").unwrap();
    rest
}

/// An HTTP/2 connection (RFC 9113, section 3.4) with one request for `/`.
async fn http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // HEADERS of stream 1, ended: :method GET, :scheme http, :path /, :authority "x" (RFC 7541,
    // appendix A).
    let headers = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'x'];
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&settings).await.unwrap();
    stream.write_all(&headers).await.unwrap();
    stream
}

#[tokio::test]
async fn a_connection_without_requests_ends() {
    let address = start(Bounds { first_request: SHORT, ..BOUNDS });
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(ends(&mut silent).await.is_empty());
    let mut busy = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut busy, GET).await.contains("here"));
    sleep(SHORT * 2).await;
    assert!(ask(&mut busy, GET).await.contains("here"), "it has had its first request");

    let address = start(Bounds { next_request: SHORT, ..BOUNDS });
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut idle, GET).await.contains("here"));
    assert!(ends(&mut idle).await.is_empty());
    let mut slow = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut slow, &GET.replace("/ ", "/slow ")).await.starts_with("HTTP/1.1 200"), "while one runs it stays");
}

#[tokio::test]
async fn pings_do_not_keep_a_connection_of_http_2() {
    // This client ignores GOAWAY, so the server closes the connection by force.
    let address = start(Bounds { next_request: SHORT * 3, grace: SHORT, ..BOUNDS });
    let begin = Instant::now();
    let (mut read, mut write) = http2(address).await.into_split();
    let pings = tokio::spawn(async move {
        while write.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {
            sleep(SHORT / 4).await;
        }
    });
    let mut all = Vec::new();
    // It may end with an error or without.
    let _ = timeout(TEST_TIMEOUT, read.read_to_end(&mut all)).await.expect("the connection ends");
    pings.abort();
    assert!(begin.elapsed() >= SHORT * 3);
    assert!(all.windows(4).any(|part| part == b"here"), "the request was answered");
    // GOAWAY on stream 0.
    assert!(all.windows(6).any(|part| part == [7, 0, 0, 0, 0, 0]), "{all:?}");
}

#[tokio::test]
async fn a_connection_has_an_age_however_busy_it_is() {
    let address = start(Bounds { age: SHORT * 3, grace: SHORT * 8, ..BOUNDS });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = async {
        let mut answers = 0;
        while ask(&mut stream, GET).await.contains("here") {
            answers += 1;
            sleep(SHORT / 10).await;
        }
        answers
    };
    assert!(timeout(TEST_TIMEOUT, asked).await.unwrap() > 1);
    // Running requests finish.
    let mut slow = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut slow, &GET.replace("/ ", "/slow ")).await.starts_with("HTTP/1.1 200"));
    assert!(ends(&mut slow).await.is_empty());
}

#[tokio::test]
async fn idle_connections_make_room_for_those_that_wait() {
    let address = start(Bounds { slots: 3, when_full: SHORT, ..BOUNDS });
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, GET).await.contains("here"));
        held.push(stream);
    }
    held.push(http2(address).await);
    let mut other = TcpStream::connect(address).await.unwrap();
    assert!(ask(&mut other, GET).await.contains("here"));
    for stream in &mut held[..3] {
        assert!(ends(stream).await.is_empty());
    }
}

#[tokio::test]
async fn nobody_is_sent_away_while_there_is_room() {
    let address = start(Bounds { slots: 3, when_full: SHORT / 4, ..BOUNDS });
    let mut two = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut stream, GET).await.contains("here"));
        two.push(stream);
    }
    sleep(SHORT * 2).await;
    for stream in &mut two {
        assert!(ask(stream, GET).await.contains("here"));
    }
}

/// An acceptor with the tests' certificate.
async fn tls() -> RustlsAcceptor {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/http");
    let config = RustlsConfig::from_pem_file(files.join("localhost.pem"), files.join("localhost.key"));
    RustlsAcceptor::new(config.await.unwrap())
}

#[tokio::test]
async fn handshakes_that_do_not_begin_keep_no_slot() {
    let one = start_tls(Bounds { slots: 2, when_full: SHORT, ..BOUNDS }, Permits::new(100, 50), Some(tls().await));
    let _silent = [TcpStream::connect(one.address).await.unwrap(), TcpStream::connect(one.address).await.unwrap()];
    sleep(SHORT / 2).await;
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    let begin = Instant::now();
    assert_eq!(client.get(format!("https://{}/", one.address)).send().await.unwrap().text().await.unwrap(), "here");
    assert!(begin.elapsed() < SHORT * 10, "{:?}", begin.elapsed());
}

/// Announces a body, and sends none.
const POST: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";

#[tokio::test]
async fn a_request_whose_body_has_not_arrived_keeps_no_slot() {
    let bounds = Bounds { slots: 3, when_full: SHORT, body_when_full: SHORT * 2, ..BOUNDS };
    let answers_soon = async |address| {
        sleep(SHORT / 2).await;
        let begin = Instant::now();
        let mut other = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut other, GET).await.contains("here"));
        assert!(begin.elapsed() < SHORT * 5, "{:?}", begin.elapsed());
    };
    let address = start(bounds);
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(POST.as_bytes()).await.unwrap();
        held.push(stream);
    }
    answers_soon(address).await;
    for stream in &mut held {
        let last = String::from_utf8(ends(stream).await).unwrap();
        assert!(last.is_empty() || last.starts_with("HTTP/1.1 400"), "{last}");
    }

    let address = start(bounds);
    let mut clients = Vec::new();
    for _ in 0..3 {
        // Even many requests on a connection, and ever new ones, do not keep it open.
        let mut client = client(address, 65_535).await;
        clients.push(tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok(ready) = client.ready().await {
                client = ready;
                match client.send_request(Request::post("http://x/").body(()).unwrap(), false) {
                    Ok(request) => open.push(request),
                    Err(_) => break,
                }
                sleep(SHORT / 5).await;
            }
        }));
    }
    answers_soon(address).await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_body_of_a_verified_caller_has_its_time() {
    let bounds = Bounds { slots: 1, when_full: SHORT / 2, body_when_full: SHORT, ..BOUNDS };
    let address = start(bounds);
    for (path, answered) in [("/verified", true), ("/", false)] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(POST.replace("/ ", &format!("{path} ")).as_bytes()).await.unwrap();
        sleep(SHORT * 4).await;
        let _ = slow.write_all(b"0123456789").await;
        let mut answer = vec![0; 1024];
        let read = timeout(TEST_TIMEOUT, slow.read(&mut answer)).await.unwrap().unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&answer[..read]).contains("0123456789"), answered, "{path}");
    }
}

#[tokio::test]
async fn a_request_head_that_drips_keeps_no_slot() {
    let address = start(Bounds { slots: 1, when_full: SHORT, first_request: SHORT * 50, ..BOUNDS });
    let (_, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        let _ = write.write_all(b"GET / HTTP/1.1\r\nx:").await;
        while write.write_all(b"x").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    });
    sleep(SHORT / 2).await;
    let mut other = TcpStream::connect(address).await.unwrap();
    let begin = Instant::now();
    assert!(ask(&mut other, GET).await.contains("here"));
    assert!(begin.elapsed() < SHORT * 5, "{:?}", begin.elapsed());
    timeout(TEST_TIMEOUT, dripping).await.expect("the connection ends").unwrap();
}

#[tokio::test]
async fn requests_beyond_the_permits_are_refused_and_a_few_of_each_connection_are_not() {
    let started = start_with(BOUNDS, 4);
    let mut greedy = client(started.address, 0).await;
    let mut open = Vec::new();
    for at in 0..7 {
        greedy = greedy.ready().await.unwrap();
        let answer = greedy.send_request(request("/"), true).unwrap().0.await.unwrap();
        let expected = if at < 6 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(answer.status(), expected, "{at}");
        open.push(answer);
    }
    let refused = open.pop().unwrap();
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.headers().contains_key("x-request-id"));
    let mut modest = client(started.address, 65_535).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        modest = modest.ready().await.unwrap();
        others.push(modest.send_request(request("/slow"), true).unwrap().0);
    }
    for answer in others {
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
    // Answers that are read free their permits.
    for answer in open {
        let mut body = answer.into_body();
        let _ = body.flow_control().release_capacity(0);
        drop(body);
    }
    sleep(SHORT).await;
    greedy = greedy.ready().await.unwrap();
    let again = greedy.send_request(request("/"), true).unwrap().0.await.unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn requests_of_nobody_in_particular_leave_permits_for_those_of_verified_callers() {
    let started = start_tls(BOUNDS, Permits::new(6, 2), None);
    let (mut waiting, mut codes) = (client(started.address, 65_535).await, Vec::new());
    let mut bodies = Vec::new();
    for _ in 0..9 {
        waiting = waiting.ready().await.unwrap();
        let (answer, body) = waiting.send_request(Request::post("http://x/").body(()).unwrap(), false).unwrap();
        bodies.push(body);
        codes.push(tokio::spawn(async move { answer.await.unwrap().status() }));
    }
    sleep(SHORT).await;
    // Four requests without a permit and two with one wait; the others are answered.
    assert_eq!(codes.iter().filter(|code| code.is_finished()).count(), 3);
    let mut verified = Vec::new();
    for at in 0..4 {
        waiting = waiting.ready().await.unwrap();
        let request = Request::post("http://x/verified").header("authorization", "Bearer t").body(()).unwrap();
        let (answer, mut body) = waiting.send_request(request, false).unwrap();
        sleep(SHORT).await;
        if at < 2 {
            verified.push((answer, body));
        } else {
            // The caller's share of two is used up, and so is the share without a caller.
            let _ = body.send_data(Bytes::new(), true);
            assert_eq!(answer.await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE, "{at}");
        }
    }
    for (answer, mut body) in verified {
        body.send_data(Bytes::from_static(b"x"), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_request_has_a_hundred_header_fields_at_most() {
    let address = start(BOUNDS);
    for (fields, expected) in [
        (100, StatusCode::OK),
        (101, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (1_900, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ] {
        let mut client = client(address, 65_535).await.ready().await.unwrap();
        let mut asked = request("/");
        for _ in 0..fields {
            asked.headers_mut().append("a", HeaderValue::from_static(""));
        }
        let answer = client.send_request(asked, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), expected, "{fields}");
    }
}

/// Everything that the server sends to an HTTP/2 client that sent these frames, until it closes the
/// connection.
async fn told(address: SocketAddr, frames: &[u8]) -> Vec<u8> {
    let (mut read, mut write) = http2(address).await.into_split();
    let sent = frames.to_vec();
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&sent).await;
        write
    });
    let mut all = Vec::new();
    let _ = timeout(TEST_TIMEOUT, read.read_to_end(&mut all)).await.expect("the connection ends");
    drop(writing);
    all
}

/// Whether the bytes contain GOAWAY with this error (RFC 9113, section 6.8).
fn goes_away(all: &[u8], error: u8) -> bool {
    all.windows(17).any(|frame| frame[3..9] == [7, 0, 0, 0, 0, 0] && frame[13..17] == [0, 0, 0, error])
}

#[tokio::test]
async fn floods_of_frames_end_the_connection() {
    const ENHANCE_YOUR_CALM: u8 = 0xb;
    let address = start(BOUNDS);
    // HEADERS and RST_STREAM, repeated (CVE-2023-44487).
    let mut resets = Vec::new();
    for stream in (3..4_003_u32).step_by(2) {
        let id = stream.to_be_bytes();
        resets.extend([0, 0, 6, 1, 5]);
        resets.extend(id);
        resets.extend([0x82, 0x86, 0x84, 0x41, 1, b'x']);
        resets.extend([0, 0, 4, 3, 0]);
        resets.extend(id);
        resets.extend([0, 0, 0, 8]);
    }
    assert!(goes_away(&told(address, &resets).await, ENHANCE_YOUR_CALM), "rapid resets");
    // HEADERS without END_HEADERS, and endless CONTINUATION (CVE-2024-27316).
    let mut continuations = vec![0, 0, 3, 1, 1, 0, 0, 0, 3, 0x82, 0x86, 0x84];
    for _ in 0..10_000 {
        continuations.extend([0, 0, 5, 9, 0, 0, 0, 0, 3, 0, 1, b'a', 1, b'b']);
    }
    assert!(goes_away(&told(address, &continuations).await, ENHANCE_YOUR_CALM), "continuations");
}
