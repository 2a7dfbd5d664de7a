//! The connections of one address: accepted while there are slots, and each of them ends.
//!
//! A client keeps a connection of HTTP/2 for ever with pings alone, and one of HTTP/1 with a request now and then; who opens
//! enough of them would lock everybody else out, those who ask for `/healthz` as well. So a connection on which no request runs
//! ends after a while, after a short while when others wait for its slot, and every connection ends at an age, whatever runs
//! on it: by GOAWAY or after the next answer, so that clients lose nothing, and cut off if they do not care.

use axum::Router;
use axum_server::accept::Accept as _;
use axum_server::tls_rustls::RustlsAcceptor;
use futures::future::pending;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{ServiceExt as _, service_fn};

/// So many requests run on one connection of HTTP/2 at once.
const MAX_STREAMS: u32 = 100;
/// So large the headers of a request are at most, in bytes: a query string and a token.
const MAX_HEADERS: u32 = 64 * 1024;
/// After an error of accepting, such as too many open files, so long nothing is accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// What connections may do.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// So many there are at once; more wait to be accepted.
    pub(super) slots: usize,
    /// A connection has so long to send its first request's headers.
    pub(super) first_request: Duration,
    /// Later ones, the time in between included.
    pub(super) next_request: Duration,
    /// The same while others wait for a slot.
    pub(super) when_full: Duration,
    /// The longest a connection is kept.
    pub(super) age: Duration,
    /// What runs on a connection that ends has so long to finish.
    pub(super) grace: Duration,
}

/// The requests of a connection.
#[derive(Clone, Copy, Default)]
struct Requests {
    begun: bool,
    running: usize,
}

/// One request that runs.
struct Running(Arc<watch::Sender<Requests>>);

impl Running {
    fn begin(requests: &Arc<watch::Sender<Requests>>) -> Self {
        requests.send_modify(|requests| {
            requests.begun = true;
            requests.running += 1;
        });
        Self(requests.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|requests| requests.running -= 1);
    }
}

/// What all connections of an address share.
struct Address {
    router: Router,
    tls: Option<RustlsAcceptor>,
    builder: Builder<TokioExecutor>,
    bounds: Bounds,
    stop: CancellationToken,
}

/// Serves one address until it is to stop, and what runs then to its end: HTTP/1 and HTTP/2, with TLS and without.
///
/// # Errors
/// When the socket cannot be used.
pub(super) async fn serve(
    socket: std::net::TcpListener,
    tls: Option<RustlsAcceptor>,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket)?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEADERS);
    let address = Arc::new(Address { router, tls, builder, bounds, stop: stop.clone() });
    let connections = TaskTracker::new();
    stop.run_until_cancelled(address.accept(&listener, &connections)).await;
    // Who connects now is refused.
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

impl Address {
    async fn accept(self: &Arc<Self>, listener: &TcpListener, connections: &TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.bounds.slots));
        let full = watch::Sender::new(false);
        loop {
            tell(&full, slots.available_permits() == 0);
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            tell(&full, false);
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let (address, full) = (self.clone(), full.subscribe());
            connections.spawn(async move {
                address.shake_hands(stream, full).await;
                drop(slot);
            });
        }
    }

    async fn shake_hands(&self, stream: TcpStream, full: watch::Receiver<bool>) {
        let Some(tls) = &self.tls else { return self.connection(stream, full).await };
        // It has a time of its own, after which it fails.
        if let Some(Ok((stream, _))) = self.stop.run_until_cancelled(tls.accept(stream, ())).await {
            self.connection(stream, full).await;
        }
    }

    async fn connection<I>(&self, stream: I, full: watch::Receiver<bool>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let requests = Arc::new(watch::Sender::new(Requests::default()));
        let over = over(self.bounds, requests.subscribe(), full);
        let router = self.router.clone();
        let service = service_fn(move |request: Request<_>| {
            let running = Running::begin(&requests);
            let answer = router.clone().oneshot(request);
            async move {
                let _running = running;
                answer.await
            }
        });
        let mut serving = pin!(self.builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        tokio::select! {
            // What was wrong with a connection is its client's concern.
            _ = serving.as_mut() => return,
            () = over => {}
            () = self.stop.cancelled() => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = timeout(self.bounds.grace, serving).await;
    }
}

/// Wakes the connections when it changes only.
fn tell(full: &watch::Sender<bool>, now: bool) {
    full.send_if_modified(|full| std::mem::replace(full, now) != now);
}

/// Waits until a connection has to end.
async fn over(bounds: Bounds, mut requests: watch::Receiver<Requests>, mut full: watch::Receiver<bool>) {
    let mut aged = pin!(sleep(bounds.age));
    loop {
        let Requests { begun, running } = *requests.borrow_and_update();
        let idle = async {
            if running > 0 {
                return pending().await;
            }
            let crowded = async {
                // The address has stopped accepting when this cannot be told.
                let _ = full.wait_for(|full| *full).await;
                sleep(bounds.when_full).await;
            };
            tokio::select! {
                () = sleep(if begun { bounds.next_request } else { bounds.first_request }) => {}
                () = crowded => {}
            }
        };
        tokio::select! {
            () = &mut aged => return,
            () = idle => return,
            changed = requests.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(200);
    const PATIENCE: Duration = Duration::from_secs(10);
    const BOUNDS: Bounds =
        Bounds { slots: 100, first_request: LONG, next_request: LONG, when_full: LONG, age: LONG, grace: LONG };
    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    fn start(bounds: Bounds) -> SocketAddr {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let slow = async || sleep(SHORT * 4).await;
        let router = Router::new().route("/", get(async || "here")).route("/slow", get(slow));
        tokio::spawn(serve(socket, None, router, bounds, CancellationToken::new()));
        address
    }

    /// Sends a request, and gives what comes back at once.
    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    /// Reads until the other side ends the connection.
    async fn ends(stream: &mut TcpStream) -> Vec<u8> {
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection ends").unwrap();
        rest
    }

    /// A connection of HTTP/2 (RFC 9113, section 3.4) with one request for `/`.
    async fn http2(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // HEADERS of stream 1, ended: :method GET, :scheme http, :path /, :authority "x" (RFC 7541, appendix A).
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
        assert!(
            ask(&mut slow, &GET.replace("/ ", "/slow ")).await.starts_with("HTTP/1.1 200"),
            "while one runs it stays"
        );
    }

    #[tokio::test]
    async fn pings_do_not_keep_a_connection_of_http_2() {
        // This client does not care for GOAWAY, so that it is cut off.
        let address = start(Bounds { next_request: SHORT * 3, grace: SHORT, ..BOUNDS });
        let begin = Instant::now();
        let (mut read, mut write) = http2(address).await.into_split();
        let pings = tokio::spawn(async move {
            while write.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {
                sleep(SHORT / 4).await;
            }
        });
        let mut all = Vec::new();
        // Whether it ends in good order or not, it ends.
        let _ = timeout(PATIENCE, read.read_to_end(&mut all)).await.expect("the connection ends");
        pings.abort();
        assert!(begin.elapsed() >= SHORT * 3);
        assert!(all.windows(4).any(|part| part == b"here"), "the request was answered");
        // GOAWAY, of stream 0.
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
        assert!(timeout(PATIENCE, asked).await.unwrap() > 1);
        // What runs is finished.
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
}
