//! The server as its clients see it.

mod limits;
mod rest;
mod spellings;
pub mod world;

use project_vault::domain::TokenKind;
use project_vault::http::{Server, ServerConfig, StartError};
use reqwest::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use world::{ANYONE, SOMEONE, Setting, World, data, error};

const RESPONSE: &str = "application/graphql-response+json";
const MIB: usize = 1024 * 1024;

fn code(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn header(request: RequestBuilder, name: impl AsRef<str>) -> Option<String> {
    let response = request.send().await.unwrap();
    response.headers().get(name.as_ref()).map(|value| value.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_only_the_schemas_own_fields_are_answered() {
    let world = World::new().await;
    assert_eq!(data(world.post(ANYONE)).await, json!({ "__typename": "Query" }));
    assert!(data(world.post("{ _service { sdl } }")).await["_service"]["sdl"].is_string());
    assert_eq!(error(world.post(SOMEONE)).await, code(401, "UNAUTHENTICATED"));
    assert_eq!(error(world.post("mutation { __typename }")).await, code(401, "UNAUTHENTICATED"));
    assert_eq!(header(world.post(SOMEONE), WWW_AUTHENTICATE).await.as_deref(), Some("Bearer"));
    let user = world.token(TokenKind::User, "ada");
    assert_eq!(data(world.post(SOMEONE).bearer_auth(&user)).await, json!({ "projectVault": null }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_is_refused_whatever_is_asked() {
    let world = World::new().await;
    let good = world.token(TokenKind::User, "ada");
    let twice = world.post(ANYONE).bearer_auth(&good).header(AUTHORIZATION, format!("Bearer {good}"));
    assert_eq!(error(twice).await, code(401, "UNAUTHENTICATED"));
    let (_, bad) = good.split_at(1);
    for value in [format!("Bearer {bad}"), "Bearer".into(), "Basic YTpi".into(), String::new(), good.clone()] {
        for query in [ANYONE, SOMEONE, "{"] {
            assert_eq!(error(world.post(query).header(AUTHORIZATION, &value)).await, code(401, "UNAUTHENTICATED"));
        }
        let challenge = header(world.post(ANYONE).header(AUTHORIZATION, &value), WWW_AUTHENTICATE).await;
        assert_eq!(challenge.as_deref(), Some("Bearer error=\"invalid_token\""), "{value}");
    }
    assert!(data(world.post(ANYONE).header(AUTHORIZATION, format!("bEARER {good}"))).await.is_object());
    world.expire_tokens();
    assert_eq!(error(world.post(ANYONE).bearer_auth(&good)).await, code(401, "UNAUTHENTICATED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_judged_is_unavailable() {
    let world = World::with(Setting::NoKeys).await;
    let token = world.token(TokenKind::User, "ada");
    assert_eq!(error(world.post(ANYONE).bearer_auth(token)).await, code(503, "UNAVAILABLE"));
    assert!(data(world.post(ANYONE)).await.is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_media_type_is_negotiated() {
    let world = World::new().await;
    for (accept, answered) in
        [(RESPONSE, RESPONSE), ("*/*", "application/json"), ("application/json", "application/json")]
    {
        let of = |query| world.post(query).header(ACCEPT, accept);
        let expected = format!("{answered}; charset=utf-8");
        assert_eq!(header(of(ANYONE), CONTENT_TYPE).await.as_ref(), Some(&expected));
        assert_eq!(header(of(SOMEONE), CONTENT_TYPE).await.as_ref(), Some(&expected));
    }
    assert_eq!(error(world.post(ANYONE).header(ACCEPT, "text/html")).await, code(406, "BAD_USER_INPUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_not_executed_is_an_error_of_the_request() {
    let world = World::new().await;
    let user = world.token(TokenKind::User, "ada");
    let too_deep = format!("{}a{}", "{ a ".repeat(20), " }".repeat(20));
    for (query, expected) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        (&too_deep, "LIMIT_EXCEEDED"),
        ("query A { __typename } query B { __typename }", "BAD_USER_INPUT"),
        ("mutation($i: [ID!]!) { __typename b: nonsense(input: $i) }", "BAD_USER_INPUT"),
        ("query($id: ID!) { vaultEntry(id: $id) { id } }", "BAD_USER_INPUT"),
    ] {
        let post = || world.post(query).bearer_auth(&user);
        let (status, found) = error(post().header(ACCEPT, RESPONSE)).await;
        assert_eq!((status, found.as_str()), (400, expected), "{query}");
        // Another status would say that it is no GraphQL answer at all.
        let (status, found) = error(post()).await;
        assert_eq!((status, found.as_str()), (200, expected), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_form_is_refused() {
    let world = World::new().await;
    for body in ["", "{", "null", "{}", r#"{"query":1}"#, r#"{"query":"{__typename}","variables":[]}"#] {
        assert_eq!(error(world.post_text(body)).await, code(400, "BAD_USER_INPUT"), "{body}");
        let other = world.post_text(body).header(ACCEPT, RESPONSE);
        assert_eq!(error(other).await, code(400, "BAD_USER_INPUT"), "{body}");
    }
    let batch = json!([{ "query": ANYONE }, { "query": ANYONE }]).to_string();
    assert_eq!(error(world.post_text(batch)).await, code(400, "LIMIT_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_json_of_at_most_two_mebibytes_however_it_is_sent() {
    let world = World::new().await;
    let body = |size: usize| {
        let rest = json!({ "query": ANYONE, "extensions": { "x": "" } }).to_string();
        rest.replace("\"x\":\"\"", &format!("\"x\":\"{}\"", "a".repeat(size - rest.len())))
    };
    let token = world.token(TokenKind::User, "ada");
    for (size, allowed) in [(2 * MIB, true), (2 * MIB + 1, false), (5 * MIB, false)] {
        let whole = world.post_text(body(size)).bearer_auth(&token);
        if allowed {
            assert!(data(whole).await.is_object());
        } else {
            assert_eq!(error(whole).await, code(413, "LIMIT_EXCEEDED"), "{size}");
        }
        let chunked = send_chunked(&world, &token, &body(size)).await;
        assert!(chunked.starts_with(if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 413" }), "{size}: {chunked}");
    }
    for kind in
        ["text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded", "multipart/form-data"]
    {
        let request = world.request(Method::POST, "/graphql").header(CONTENT_TYPE, kind).body(body(200));
        assert_eq!(error(request).await, code(415, "BAD_USER_INPUT"), "{kind}");
    }
    let bare = world.request(Method::POST, "/graphql").body(body(200));
    assert_eq!(error(bare).await, code(415, "BAD_USER_INPUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_a_large_body_is_not_read() {
    let world = World::new().await;
    let body = |size: usize| format!("{{\"query\":\"{ANYONE}\"{}}}", " ".repeat(size - ANYONE.len() - 12));
    assert!(data(world.post_text(body(16 * 1024))).await.is_object());
    for size in [16 * 1024 + 1, 2 * MIB] {
        assert_eq!(error(world.post_text(body(size))).await, code(401, "UNAUTHENTICATED"), "{size}");
    }
    assert_eq!(error(world.post_text(body(2 * MIB + 1))).await, code(413, "LIMIT_EXCEEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_that_is_off_needs_a_token_to_be_told_so() {
    let world = World::with(Setting::NoIntrospection).await;
    let user = world.token(TokenKind::User, "ada");
    for query in ["{ __schema { queryType { name } } }", "{ __typename t: __type(name: \"Project\") { name } }"] {
        assert_eq!(error(world.post(query)).await, code(401, "UNAUTHENTICATED"), "{query}");
        let told = error(world.post(query).bearer_auth(&user)).await;
        assert_eq!(told, code(200, "GRAPHQL_VALIDATION_FAILED"), "{query}");
    }
    assert!(data(world.post("{ __typename _service { sdl } }")).await.is_object());
    let on = World::new().await;
    assert!(data(on.post("{ __schema { queryType { name } } }")).await.is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_an_unknown_type_panics_nothing() {
    let world = World::new().await;
    for query in ["query($x:[Nope]=[\"a\"]){__typename}", "query($x:Nope={a:1}){__typename}"] {
        assert_eq!(error(world.post(query)).await, code(200, "GRAPHQL_VALIDATION_FAILED"));
        let other = error(world.post(query).header(ACCEPT, RESPONSE)).await;
        assert_eq!(other, code(400, "GRAPHQL_VALIDATION_FAILED"));
    }
}

/// Sends a body without a length, and gives the answer.
async fn send_chunked(world: &World, token: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let head = format!("{head}authorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    for chunk in body.as_bytes().chunks(100_000) {
        stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await.unwrap();
        stream.write_all(chunk).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_that_lies_does_not_hold_memory_or_the_connection() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head =
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_queries_are_executed_by_get_and_never_resolve_secrets() {
    let world = World::new().await;
    let get = |query: &str| world.get_query(&[("query", query)]);
    assert!(data(get(ANYONE)).await.is_object());
    let user = world.token(TokenKind::User, "ada");
    assert!(data(get(SOMEONE).bearer_auth(&user)).await.is_object());
    let query = "query A($p: ID!) { projectVault(projectId: $p) { status } }";
    let whole = [("query", query), ("variables", r#"{"p":"p"}"#), ("operationName", "A")];
    assert!(data(world.get_query(&whole).bearer_auth(&user)).await.is_object());
    assert_eq!(error(get(SOMEONE)).await, code(401, "UNAUTHENTICATED"));

    let runtime = world.token(TokenKind::Runtime, "r");
    let resolve = "{ ... { r: resolveSecrets(input: {}) { secrets { name } } } }";
    for query in ["mutation { __typename }", resolve] {
        for token in [&user, &runtime] {
            assert_eq!(error(get(query).bearer_auth(token)).await, code(405, "BAD_USER_INPUT"), "{query}");
        }
        assert_eq!(header(get(query), ALLOW).await.as_deref(), Some("POST"));
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        assert_eq!(error(world.request(method.clone(), "/graphql")).await, code(405, "BAD_USER_INPUT"), "{method}");
        assert_eq!(header(world.request(method, "/graphql"), ALLOW).await.as_deref(), Some("GET, POST"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_sends_to_other_sites_unasked_is_refused() {
    let world = World::new().await;
    let get = || world.get_query(&[("query", ANYONE)]);
    for site in ["cross-site", "same-site"] {
        assert_eq!(error(get().header("sec-fetch-site", site)).await, code(403, "FORBIDDEN"));
        assert!(data(get().header("sec-fetch-site", site).header("apollo-require-preflight", "1")).await.is_object());
        let token = world.token(TokenKind::User, "ada");
        assert!(data(get().header("sec-fetch-site", site).bearer_auth(token)).await.is_object());
    }
    assert_eq!(error(get().header("origin", "https://evil.example")).await, code(403, "FORBIDDEN"));
    assert!(data(get().header("sec-fetch-site", "same-origin")).await.is_object());
    let preflight = world
        .request(Method::OPTIONS, "/graphql")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    assert_eq!(error(preflight).await, code(405, "BAD_USER_INPUT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_taken_over_or_made_on_every_route() {
    let world = World::new().await;
    let long = "x".repeat(200);
    for path in ["/graphql", "/healthz", "/readyz", "/", "/nowhere"] {
        for id in ["r-1", &long] {
            let given = world.get(path).header("x-request-id", id);
            assert_eq!(header(given, "x-request-id").await.as_deref(), Some(id), "{path}");
        }
        for id in ["", "a b", &format!("{long}x"), "ü"] {
            let made = header(world.get(path).header("x-request-id", id), "x-request-id").await.unwrap();
            assert!(made != id && made.len() == 36, "{path} {id}: {made}");
        }
        assert_ne!(header(world.get(path), "x-request-id").await, header(world.get(path), "x-request-id").await);
        assert_eq!(header(world.get(path), "cache-control").await.as_deref(), Some("no-store"));
    }
    for (path, status) in [("/", 404), ("/graphql/", 404), ("/metrics", 404)] {
        assert_eq!(world.get(path).send().await.unwrap().status(), status);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(world.request(Method::POST, path).send().await.unwrap().status(), 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_an_operation_is_in_the_answer_of_who_asks_for_it() {
    let world = World::new().await;
    let user = world.token(TokenKind::User, "ada");
    for (format, traced) in [("ftv1", true), ("FTV1", false), ("ftv2", false), ("", false)] {
        for query in [SOMEONE, "{ nonsense }"] {
            let request = world.post(query).bearer_auth(&user).header("apollo-federation-include-trace", format);
            let body: Value = request.send().await.unwrap().json().await.unwrap();
            assert_eq!(body["extensions"]["ftv1"].is_string(), traced, "{format} {query}: {body}");
            assert_eq!(body.get("extensions").is_some(), traced, "{format} {query}: {body}");
        }
    }
    let body: Value = world.post(SOMEONE).bearer_auth(&user).send().await.unwrap().json().await.unwrap();
    assert_eq!(body, json!({ "data": { "projectVault": null } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn runtimes_and_everybody_else_have_each_an_address() {
    let world = World::with(Setting::TwoAddresses).await;
    let ask = |url: String, kind: TokenKind| {
        let token = world.token(kind, "x");
        world.client.post(url).json(&json!({ "query": ANYONE })).bearer_auth(token)
    };
    let (main, runtimes) = (world.url("/graphql"), world.runtime_url("/graphql"));
    for kind in [TokenKind::User, TokenKind::Service] {
        assert!(data(ask(main.clone(), kind)).await.is_object());
        assert_eq!(error(ask(runtimes.clone(), kind)).await, code(403, "FORBIDDEN"));
    }
    assert!(data(ask(runtimes.clone(), TokenKind::Runtime)).await.is_object());
    assert_eq!(error(ask(main, TokenKind::Runtime)).await, code(403, "FORBIDDEN"));

    assert!(data(world.post(ANYONE)).await.is_object());
    for query in [ANYONE, "{", SOMEONE] {
        let anonymous = world.client.post(&runtimes).json(&json!({ "query": query }));
        assert_eq!(error(anonymous).await, code(401, "UNAUTHENTICATED"), "{query}");
    }
    assert_eq!(error(world.client.put(&runtimes)).await, code(401, "UNAUTHENTICATED"));
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 404)] {
        assert_eq!(world.client.get(world.runtime_url(path)).send().await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_when_all_its_parts_answer() {
    let world = World::new().await;
    let ready = world.get("/readyz").send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json::<Value>().await.unwrap(), json!({ "status": "ready" }));
    assert_eq!(world.get("/healthz").send().await.unwrap().text().await.unwrap(), "ok");

    for (setting, parts) in
        [(Setting::NoDatabase, json!(["database", "authorizer", "keyring"])), (Setting::NoKeyring, json!(["keyring"]))]
    {
        let world = World::with(setting).await;
        let answer = world.get("/readyz").send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "status": "unavailable", "parts": parts }));
        assert_eq!(world.get("/healthz").send().await.unwrap().status(), 200);
        assert_eq!(world.get_metrics("/readyz").send().await.unwrap().status(), 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_have_an_address_of_their_own() {
    for setting in [Setting::TwoAddresses, Setting::Tls] {
        let world = World::with(setting).await;
        for (path, status) in
            [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/graphql", 404), ("/metrics/", 404)]
        {
            let answer = world.get_metrics(path).header("x-request-id", "r-1").send().await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers()["x-request-id"], "r-1");
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
        let posted = world.client.post(format!("http://{}/metrics", world.metrics_address));
        assert_eq!(posted.send().await.unwrap().status(), 405);
        assert_eq!(world.get("/metrics").send().await.unwrap().status(), 404);
        assert!(!world.get_metrics("/metrics").send().await.unwrap().text().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_and_operations_and_name_nothing_of_them() {
    let world = World::new().await;
    data(world.post("query OdditiesName { __typename }")).await;
    error(world.post(SOMEONE).header("x-request-id", "oddities-request-id")).await;
    world.request(Method::from_bytes(b"ODDITIES").unwrap(), "/oddities-path").send().await.unwrap();
    let page = world.get_metrics("/metrics").send().await.unwrap();
    assert!(page.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let page = page.text().await.unwrap();
    for line in [
        "vault_http_requests_total{route=\"/graphql\",status=\"200\"}",
        "vault_http_requests_total{route=\"/graphql\",status=\"401\"}",
        "vault_http_requests_total{route=\"other\",status=\"404\"}",
        "# HELP vault_audit_events_total ",
        "vault_http_request_duration_seconds_bucket{route=\"/graphql\",le=\"0.25\"}",
        "vault_graphql_operations_total{kind=\"query\"}",
    ] {
        assert!(page.contains(line), "{line} is not in:\n{page}");
    }
    assert!(!page.to_lowercase().contains("oddities"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_is_finished_before_the_server_ends_and_no_other_begins() {
    let mut world = World::new().await;
    let (mut client, body) = (TcpStream::connect(world.address).await.unwrap(), json!({ "query": ANYONE }).to_string());
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let (begin, rest) = request.split_at(request.len() - 5);
    client.write_all(begin.as_bytes()).await.unwrap();
    let idle = TcpStream::connect(world.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = world.address;
    world.stop();
    let mut refused = false;
    for _ in 0..50 {
        refused = TcpStream::connect(address).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(refused);
    client.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("__typename"), "{answer}");
    world.ended().await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_made_although_its_client_hangs_up() {
    let world = World::new().await;
    world.set_registrar("platform").await;
    let token = world.token(TokenKind::Service, "platform");
    let input = r#"{projectId:"p",participantIds:["acme"],accountableUserIds:["ada"]}"#;
    let query = format!("mutation {{ registerProjectVault(input: {input}) {{ userErrors {{ code }} }} }}");
    let body = json!({ "query": query }).to_string();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nauthorization: Bearer";
    let request = format!("{head} {token}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut client = TcpStream::connect(world.address).await.unwrap();
    let lock = world.lock_database().await;
    client.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(300)).await;
    lock.rollback().await.unwrap();
    let ada = world.token(TokenKind::User, "ada");
    for _ in 0..100 {
        if data(world.post(SOMEONE).bearer_auth(&ada)).await["projectVault"].is_object() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the project was not registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_the_server_speaks_https() {
    let world = World::with(Setting::Tls).await;
    assert!(data(world.post(ANYONE)).await.is_object());
    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(format!("http://{}/healthz", world.address)).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_says_why() {
    let world = World::new().await;
    let parts = world.parts();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let good = ServerConfig { listen: any, runtime_listen: None, metrics_listen: None, tls: None };
    let metrics = ServerConfig { metrics_listen: Some(world.address), ..good.clone() };
    assert!(Server::bind(metrics, parts.clone()).await.is_err());
    let taken = ServerConfig { listen: world.address, ..good };
    let refused = Server::bind(taken.clone(), parts.clone()).await.err().unwrap();
    assert!(matches!(&refused, StartError::Listen { address, .. } if *address == world.address), "{refused}");
    let files = project_vault::http::TlsFiles { certificate: "/no/such.pem".into(), key: "/no/such.key".into() };
    let refused = Server::bind(ServerConfig { tls: Some(files), ..taken }, parts).await.err().unwrap();
    assert!(matches!(&refused, StartError::Tls { .. }) && refused.to_string().contains("/no/such.pem"), "{refused}");
}
