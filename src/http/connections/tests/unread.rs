//! Answers that the peer reads, and answers that it does not.

use super::*;

/// Waits until the last strong reference is dropped.
async fn is_dropped(held: &Weak<()>) {
    let dropped = async {
        while held.strong_count() > 0 {
            sleep(SHORT / 20).await;
        }
    };
    timeout(TEST_TIMEOUT, dropped).await.expect("the answer is dropped");
}

#[tokio::test]
async fn an_answer_that_is_not_read_ends_its_connection() {
    let bounds = Bounds { stall: SHORT * 2, ..BOUNDS };
    let begin = Instant::now();
    let one = start_with(bounds, 100);
    let mut unread = TcpStream::connect(one.address).await.unwrap();
    unread.write_all(GET.replace("/ ", "/large ").as_bytes()).await.unwrap();
    is_dropped(&one.held).await;
    assert!(begin.elapsed() >= bounds.stall, "it had its time");
    let mut rest = vec![0; 1024];
    // Some of it arrived, and then the connection broke off.
    let broken = async { while unread.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    timeout(TEST_TIMEOUT, broken).await.expect("the connection ends");

    for window in [0, 1, 100_000] {
        let begin = Instant::now();
        let two = start_with(bounds, 100);
        let mut client = client(two.address, window).await;
        let mut answers = Vec::new();
        for _ in 0..50 {
            client = client.ready().await.unwrap();
            answers.push(client.send_request(request("/large"), true).unwrap().0);
        }
        let heads = futures::future::join_all(answers).await;
        assert!(heads.iter().all(|head| head.as_ref().unwrap().status() == StatusCode::OK));
        assert!(two.held.strong_count() > 0, "{window}: all of them are answered, and held");
        is_dropped(&two.held).await;
        assert!(begin.elapsed() >= bounds.stall, "{window}");
    }
}

#[tokio::test]
async fn an_answer_by_tls_that_is_not_read_ends_its_connection() {
    let one = start_tls(Bounds { stall: SHORT * 2, ..BOUNDS }, Permits::new(100, 50), Some(tls().await));
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    let begin = Instant::now();
    let unread = client.get(format!("https://{}/large", one.address)).send().await.unwrap();
    assert_eq!(unread.status(), 200);
    is_dropped(&one.held).await;
    assert!(begin.elapsed() >= SHORT * 2, "it had its time");
    assert!(unread.bytes().await.is_err(), "the answer is cut off, and that shows");
    let read = client.get(format!("https://{}/large", one.address)).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(read.len(), LARGE);
}

#[tokio::test]
async fn an_answer_that_is_read_byte_by_byte_ends_its_connection() {
    let bounds = Bounds { stall: SHORT * 2, rate: 1024 * 1024, slow: SHORT * 4, ..BOUNDS };
    let one = start_with(bounds, 100);
    let (mut read, mut write) = TcpStream::connect(one.address).await.unwrap().into_split();
    write.write_all(GET.replace("/ ", "/large ").as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        let mut some = [0; 4096];
        while read.read(&mut some).await.is_ok_and(|read| read > 0) {
            sleep(SHORT / 10).await;
        }
    });
    is_dropped(&one.held).await;
    dripping.abort();

    let two = start_with(bounds, 100);
    let mut client = client(two.address, 1).await.ready().await.unwrap();
    let answer = client.send_request(request("/large"), true).unwrap().0.await.unwrap();
    let mut body = answer.into_body();
    let dripping = tokio::spawn(async move {
        while let Some(Ok(bytes)) = body.data().await {
            sleep(SHORT / 10).await;
            if body.flow_control().release_capacity(bytes.len()).is_err() {
                break;
            }
        }
    });
    is_dropped(&two.held).await;
    timeout(TEST_TIMEOUT, dripping).await.expect("the stream ends").unwrap();
}

#[tokio::test]
async fn an_answer_that_is_read_arrives_whole_however_long_that_takes() {
    // A connection is not idle while it writes an answer, and an orderly end waits for the answer.
    let bounds = Bounds { stall: SHORT * 4, rate: 1024, next_request: SHORT, age: SHORT * 2, ..BOUNDS };
    let one = start_with(bounds, 100);
    let mut stream = TcpStream::connect(one.address).await.unwrap();
    stream.write_all(GET.replace("/ ", "/large ").as_bytes()).await.unwrap();
    let (mut whole, mut some) = (0, vec![0; LARGE / 20]);
    while whole < LARGE {
        let read = timeout(TEST_TIMEOUT, stream.read_exact(&mut some)).await.unwrap();
        whole += read.unwrap_or(LARGE);
        sleep(SHORT / 10).await;
    }
    is_dropped(&one.held).await;

    let two = start_with(bounds, 100);
    let mut client = client(two.address, 65_535).await.ready().await.unwrap();
    let answer = client.send_request(request("/large"), true).unwrap().0.await.unwrap();
    assert_eq!(answer.headers()["content-length"], LARGE.to_string());
    let (mut body, mut read) = (answer.into_body(), 0);
    while let Some(bytes) = body.data().await {
        let bytes = bytes.unwrap();
        read += bytes.len();
        if read % (1024 * 1024) < bytes.len() {
            sleep(SHORT / 4).await;
        }
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    assert_eq!(read, LARGE);
    is_dropped(&two.held).await;
}

#[tokio::test]
async fn a_server_that_stops_lets_answers_be_read() {
    let one = start_with(BOUNDS, 100);
    let mut stream = TcpStream::connect(one.address).await.unwrap();
    stream.write_all(GET.replace("/ ", "/large ").as_bytes()).await.unwrap();
    let mut silent = TcpStream::connect(one.address).await.unwrap();
    silent.write_all(POST.as_bytes()).await.unwrap();
    sleep(SHORT).await;
    one.stop.cancel();
    sleep(SHORT * 3).await;
    assert!(!one.server.is_finished());
    assert!(ends(&mut stream).await.len() > LARGE);
    // The request whose body never came did not delay the shutdown.
    timeout(SHORT * 4, one.server).await.expect("the server ends").unwrap().unwrap();
}

#[tokio::test]
async fn under_pressure_answers_that_are_not_read_end_sooner() {
    let bounds = Bounds { stall_under_pressure: SHORT * 2, rate: 1024 * 1024, ..BOUNDS };
    for high in [false, true] {
        let one = start_under(bounds, Permits::new(100, 50), None, Pressure::fixed(high));
        let mut unread = TcpStream::connect(one.address).await.unwrap();
        unread.write_all(GET.replace("/ ", "/large ").as_bytes()).await.unwrap();
        sleep(SHORT * 8).await;
        assert_eq!(one.held.strong_count() == 0, high);
    }
}
