//! Keeping key sets fresh.

use super::*;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::future::Future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// An answer of the server of a key set.
#[derive(Clone)]
enum KeySetResponse {
    Set(String),
    Status(StatusCode),
    Redirect(String),
    /// Answers after this long.
    Late(Duration, String),
    Never,
}

/// A server of key sets on this machine.
#[derive(Clone)]
struct Server {
    answer: Arc<Mutex<KeySetResponse>>,
    hits: Arc<AtomicUsize>,
    url: String,
}

impl Server {
    async fn start(answer: KeySetResponse) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let server = Self { answer: Arc::new(Mutex::new(answer)), hits: Arc::default(), url };
        let app = axum::Router::new().fallback(respond).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    fn answers(&self, answer: KeySetResponse) {
        *self.answer.lock().unwrap() = answer;
    }

    fn publishes(&self, keys: &[&TestKey]) {
        self.answers(KeySetResponse::Set(set_of(keys)));
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    fn source(&self) -> KeySource {
        KeySource::Url(super::super::JwksUrl::parse(&self.url).unwrap())
    }
}

async fn respond(State(server): State<Server>) -> Response {
    server.hits.fetch_add(1, Ordering::SeqCst);
    let answer = server.answer.lock().unwrap().clone();
    match answer {
        KeySetResponse::Set(set) => set.into_response(),
        KeySetResponse::Status(status) => (status, set_of(&[])).into_response(),
        KeySetResponse::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        KeySetResponse::Late(after, set) => {
            tokio::time::sleep(after).await;
            set.into_response()
        }
        KeySetResponse::Never => std::future::pending().await,
    }
}

/// One issuer with a key server, and a clock that tests move.
struct Remote {
    clock: Arc<ManualClock>,
    server: Server,
    verifier: Verifier,
    problems: Vec<String>,
}

impl Remote {
    async fn new(answer: KeySetResponse) -> Self {
        let (clock, server) = (clock(), Server::start(answer).await);
        let issuers = vec![issuer(MAIN, server.source(), TokenKind::ALL, None)];
        let verifier = Verifier::new(issuers, clock.clone(), REFRESH).unwrap();
        let problems = verifier.load().await;
        Self { clock, server, verifier, problems }
    }

    fn token(&self, key: &TestKey) -> String {
        let exp = self.clock.now().millis() / 1000 + 3600;
        key.token(&json!({ "iss": MAIN, "aud": "project-vault", "sub": "ada", "exp": exp }))
    }

    async fn verify(&self, key: &TestKey) -> Result<(), TokenError> {
        self.verifier.verify(&self.token(key)).await.map(drop)
    }
}

/// Waits until a condition holds that a background task brings about.
async fn eventually<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never held");
}

#[tokio::test]
async fn a_new_key_is_accepted_at_once_and_a_withdrawn_one_is_not() {
    let (old, new) = (TestKey::ed("old"), TestKey::ed("new"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&old]))).await;
    assert_eq!(remote.problems, Vec::<String>::new());
    assert_eq!(remote.verify(&old).await, Ok(()));

    remote.server.publishes(&[&new]);
    assert_eq!(remote.verify(&old).await, Ok(()));
    assert_eq!(remote.server.hits(), 1);
    assert_eq!(remote.verify(&new).await, Ok(()));
    assert_eq!(remote.server.hits(), 2);
    assert_eq!(remote.verify(&old).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn a_withdrawn_key_is_gone_after_the_refresh_period() {
    let (old, new) = (TestKey::ed("old"), TestKey::ed("new"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&old, &new]))).await;
    remote.server.publishes(&[&new]);
    remote.clock.advance(REFRESH);
    eventually(async || remote.verify(&old).await == Err(TokenError::UnknownKey)).await;
    assert_eq!(remote.verify(&new).await, Ok(()));
}

#[tokio::test]
async fn a_key_withdrawn_while_nobody_calls_is_gone_too() {
    let key = TestKey::ed("k");
    let server = Server::start(KeySetResponse::Set(set_of(&[&key]))).await;
    let issuers = vec![issuer(MAIN, server.source(), TokenKind::ALL, None)];
    let clock = clock();
    let verifier = Verifier::new(issuers, clock.clone(), Duration::from_millis(100)).unwrap();
    verifier.load().await;
    verifier.load().await;
    server.publishes(&[]);
    let before = server.hits();
    eventually(async || server.hits() >= before + 2).await;
    let exp = clock.now().millis() / 1000 + 3600;
    let token = key.token(&json!({ "iss": MAIN, "aud": "project-vault", "sub": "ada", "exp": exp }));
    assert_eq!(verifier.verify(&token).await.map(drop), Err(TokenError::UnknownKey));

    // The reading ends when the verifier is dropped.
    drop(verifier);
    tokio::time::sleep(Duration::from_millis(150)).await;
    let after = server.hits();
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(server.hits(), after);
}

#[tokio::test]
async fn an_unknown_key_sets_off_one_read_in_ten_seconds() {
    let (key, other) = (TestKey::ed("k"), TestKey::ed("other"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    for _ in 0..3 {
        assert_eq!(remote.verify(&other).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(remote.server.hits(), 2);
    remote.clock.advance(Duration::from_millis(9_999));
    assert_eq!(remote.verify(&other).await, Err(TokenError::UnknownKey));
    assert_eq!(remote.server.hits(), 2);
    remote.clock.advance(Duration::from_millis(1));
    remote.server.publishes(&[&key, &other]);
    assert_eq!(remote.verify(&other).await, Ok(()));
    assert_eq!(remote.server.hits(), 3);
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_read() {
    let (key, new) = (TestKey::ed("k"), TestKey::ed("new"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    remote.server.answers(KeySetResponse::Late(Duration::from_millis(200), set_of(&[&key, &new])));
    let token = remote.token(&new);
    let answers = futures::future::join_all((0..50).map(|_| remote.verifier.verify(&token))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(remote.server.hits(), 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_the_read() {
    let (key, new) = (TestKey::ed("k"), TestKey::ed("new"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    remote.server.answers(KeySetResponse::Late(Duration::from_millis(200), set_of(&[&key, &new])));
    let hung_up = tokio::time::timeout(Duration::from_millis(50), remote.verify(&new)).await;
    assert!(hung_up.is_err());
    assert_eq!(remote.verify(&new).await, Ok(()));
    assert_eq!(remote.server.hits(), 2);
}

#[tokio::test]
async fn a_silent_server_delays_no_request_with_a_known_key() {
    let (key, other) = (TestKey::ed("k"), TestKey::ed("other"));
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    remote.server.answers(KeySetResponse::Never);
    remote.clock.advance(REFRESH);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(remote.verify(&key).await, Ok(()));
    }
    // A token with an unknown key waits for the read meanwhile.
    let waiting = tokio::spawn({
        let (verifier, token) = (remote.verifier.clone(), remote.token(&other));
        async move { verifier.verify(&token).await.map(drop) }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(remote.verify(&key).await, Ok(()));
    assert!(began.elapsed() < secs(2));
    assert_eq!(remote.server.hits(), 2);

    // It waits no longer than that read may take.
    assert_eq!(waiting.await.unwrap(), Err(TokenError::UnknownKey));
    assert!((secs(4)..secs(8)).contains(&began.elapsed()));
    assert_eq!(remote.verify(&key).await, Ok(()));
}

#[tokio::test]
async fn a_failing_server_is_tried_again_but_not_with_every_request() {
    let key = TestKey::ed("k");
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    remote.server.answers(KeySetResponse::Status(StatusCode::INTERNAL_SERVER_ERROR));
    remote.clock.advance(REFRESH);
    for _ in 0..5 {
        assert_eq!(remote.verify(&key).await, Ok(()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eventually(async || remote.server.hits() == 2).await;
    remote.clock.advance(secs(10));
    remote.server.publishes(&[]);
    eventually(async || remote.verify(&key).await == Err(TokenError::UnknownKey)).await;
}

#[tokio::test]
async fn a_set_that_cannot_be_read_again_is_kept_for_a_day() {
    let key = TestKey::ed("k");
    let remote = Remote::new(KeySetResponse::Set(set_of(&[&key]))).await;
    remote.server.answers(KeySetResponse::Status(StatusCode::NOT_FOUND));
    remote.clock.advance(Duration::from_millis(24 * HOUR * 1000 - 1));
    assert_eq!(remote.verify(&key).await, Ok(()));
    remote.clock.advance(Duration::from_millis(1));
    let refused = remote.verify(&key).await.unwrap_err();
    assert_eq!(refused, TokenError::KeysUnavailable);
    assert!(refused.is_unavailable());
    // The token is accepted again once the set can be read.
    remote.server.publishes(&[&key]);
    remote.clock.advance(secs(10));
    assert_eq!(remote.verify(&key).await, Ok(()));
}

#[tokio::test]
async fn a_set_that_could_not_be_read_at_the_start_is_read_later() {
    let key = TestKey::ed("k");
    let remote = Remote::new(KeySetResponse::Status(StatusCode::BAD_GATEWAY)).await;
    assert_eq!(remote.problems, [format!("issuer {MAIN:?}: the answer's status is 502")]);
    assert_eq!(remote.verify(&key).await, Err(TokenError::KeysUnavailable));
    assert_eq!(remote.server.hits(), 2);
    remote.server.publishes(&[&key]);
    assert_eq!(remote.verify(&key).await, Err(TokenError::KeysUnavailable));
    remote.clock.advance(secs(10));
    assert_eq!(remote.verify(&key).await, Ok(()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let key = TestKey::ed("k");
    let target = Server::start(KeySetResponse::Set(set_of(&[&key]))).await;
    let remote = Remote::new(KeySetResponse::Redirect(target.url.clone())).await;
    assert!(remote.problems[0].ends_with("the answer's status is 302"));
    assert_eq!(remote.verify(&key).await, Err(TokenError::KeysUnavailable));
    assert_eq!(target.hits(), 0);
}

#[tokio::test]
async fn an_answer_that_is_no_set_of_at_most_one_mebibyte_changes_nothing() {
    let key = TestKey::ed("k");
    let padded = |set: &str, length: usize| set.to_owned() + &" ".repeat(length - set.len());
    let exactly = padded(&set_of(&[&key]), 1024 * 1024);
    let remote = Remote::new(KeySetResponse::Set(exactly)).await;
    assert_eq!(remote.problems, Vec::<String>::new());
    let empty = r#"{"keys":[]}"#;
    for (bad, why) in [
        (padded(empty, 1024 * 1024 + 1), "larger than 1 MiB"),
        ("<html>".to_owned(), "not JSON"),
        (String::new(), "not JSON"),
        (r#"{"error":1}"#.to_owned(), "no list `keys`"),
    ] {
        remote.server.answers(KeySetResponse::Set(bad));
        assert!(remote.verifier.load().await[0].contains(why), "{why}");
        assert_eq!(remote.verify(&key).await, Ok(()));
    }
    remote.server.answers(KeySetResponse::Set(empty.to_owned()));
    assert!(remote.verifier.load().await[0].ends_with("the key set has no usable key"));
    assert_eq!(remote.verify(&key).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn a_problem_names_neither_the_address_nor_stays_without_its_cause() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks?key=hidden", listener.local_addr().unwrap());
    drop(listener);
    let source = KeySource::Url(super::super::JwksUrl::parse(&url).unwrap());
    let verifier = Verifier::new(vec![issuer(MAIN, source, TokenKind::ALL, None)], clock(), REFRESH).unwrap();
    let problem = verifier.load().await.remove(0);
    assert!(!problem.contains("hidden") && problem.contains("refused"), "{problem}");
}

#[tokio::test]
async fn a_file_is_read_again_like_an_address() {
    let (old, new) = (TestKey::ed("old"), TestKey::ed("new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let clock = clock();
    let issuers = vec![issuer(MAIN, KeySource::File(path.clone()), TokenKind::ALL, None)];
    let verifier = Verifier::new(issuers, clock.clone(), REFRESH).unwrap();
    let verify = async |key: &TestKey| {
        let exp = clock.now().millis() / 1000 + 3600;
        let claims = json!({ "iss": MAIN, "aud": "project-vault", "sub": "ada", "exp": exp });
        verifier.verify(&key.token(&claims)).await.map(drop)
    };
    assert!(verifier.load().await[0].contains("jwks.json"));
    std::fs::write(&path, set_of(&[&old])).unwrap();
    assert_eq!(verify(&old).await, Ok(()));
    std::fs::write(&path, set_of(&[&new])).unwrap();
    clock.advance(REFRESH);
    eventually(async || verify(&old).await == Err(TokenError::UnknownKey)).await;
    assert_eq!(verify(&new).await, Ok(()));

    std::fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(verifier.load().await[0].ends_with("it is larger than 1 MiB"));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(verifier.load().await[0].ends_with("is not a file"));
    assert_eq!(verify(&new).await, Ok(()));
}
