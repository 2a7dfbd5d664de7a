//! The page as the program serves it.

use crate::support::{Backend, Installation, Running as Server};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A `dev` vault, ended when dropped.
struct Dev {
    process: Child,
    url: String,
    _dir: TempDir,
}

impl Dev {
    async fn start(args: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("project-vault"));
        command.args(["dev", "--data-dir"]).arg(dir.path().join("vault")).args(args).env_clear();
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
        let stdout = process.stdout.take().unwrap();
        let first = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next().unwrap().unwrap());
        let first = tokio::time::timeout(Duration::from_secs(30), first).await.unwrap().unwrap();
        let url = first.split_whitespace().last().unwrap().strip_suffix("/graphql").unwrap().to_owned();
        Self { process, url, _dir: dir }
    }

    async fn on_loopback() -> Self {
        Self::start(&["--listen", "127.0.0.1:0"]).await
    }

    async fn sign_in(&self, person: &str) -> (u16, Value) {
        answer(self.asking(person)).await
    }

    /// Asks as the page does.
    fn asking(&self, person: &str) -> RequestBuilder {
        post(&self.url)
            .header("origin", &self.url)
            .header("sec-fetch-site", "same-origin")
            .body(json!({ "person": person }).to_string())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn post(url: &str) -> RequestBuilder {
    Client::new().post(format!("{url}/dashboard/sign-in")).header("content-type", "application/json")
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default())
}

async fn get(url: &str) -> Response {
    Client::new().get(url).send().await.unwrap()
}

async fn config(url: &str) -> Value {
    serde_json::from_str(&get(&format!("{url}/dashboard/config.json")).await.text().await.unwrap()).unwrap()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// The parts of the page's Content-Security-Policy.
async fn policy(url: &str) -> Vec<String> {
    let page = get(&format!("{url}/")).await;
    header(page.headers(), "content-security-policy").split("; ").map(str::to_owned).collect()
}

async fn serve(settings: &[(&str, &str)]) -> (Installation, Server) {
    let it = Installation::new(Backend::Sqlite).await;
    let log = it.file("log");
    let server = it.serve_set(settings, &log).await;
    (it, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_runs_its_own_scripts_alone_and_is_embedded_nowhere() {
    let dev = Dev::on_loopback().await;
    let page = get(&format!("{}/", dev.url)).await;
    assert_eq!(page.status(), 200);
    let headers = page.headers().clone();
    let policy = policy(&dev.url).await;
    assert_eq!(
        policy,
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    );
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(header(&headers, name), value, "{name}");
    }
    assert!(header(&headers, "permissions-policy").contains("camera=()"));
    assert!(headers.contains_key("x-request-id"));
    let html = page.text().await.unwrap();
    assert!(!html.contains("{{") && html.contains("/assets/"), "{html}");
    assert!(!html.contains("style=") && !html.contains("onclick="), "nothing inline");
    let posted = Client::new().post(format!("{}/", dev.url)).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

/// The folder of the page's files.
async fn folder(url: &str) -> String {
    let html = get(&format!("{url}/")).await.text().await.unwrap();
    let from = html.find("/assets/").unwrap();
    let hash = &html[from + "/assets/".len()..];
    format!("{url}/assets/{}", &hash[..hash.find('/').unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_for_ever_under_its_address_and_sent_compressed() {
    let dev = Dev::on_loopback().await;
    let folder = folder(&dev.url).await;
    let ask = async |encoding: &str, tag: &str| {
        let request = Client::new().get(format!("{folder}/app.js")).header("accept-encoding", encoding);
        request.header("if-none-match", tag).send().await.unwrap()
    };
    let plain = ask("identity", "").await;
    assert_eq!(header(plain.headers(), "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(header(plain.headers(), "cross-origin-resource-policy"), "same-origin");
    let mut tags = Vec::new();
    for (accepted, encoding) in [("identity", ""), ("gzip, deflate, br, zstd", "br"), ("gzip", "gzip")] {
        let sent = ask(accepted, "").await;
        let headers = sent.headers().clone();
        assert_eq!((sent.status().as_u16(), header(&headers, "content-encoding")), (200, encoding), "{accepted}");
        assert_eq!(header(&headers, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&headers, "vary"), "accept-encoding");
        assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
        let tag = header(&headers, "etag").to_owned();
        let known = ask(accepted, &tag).await;
        assert_eq!((known.status().as_u16(), header(known.headers(), "etag")), (304, tag.as_str()));
        assert_eq!(known.bytes().await.unwrap().len(), 0);
        assert!(!tags.contains(&tag), "each encoding has its own tag");
        tags.push(tag);
    }
    assert_eq!(ask("br", &tags[0]).await.status(), 200, "the tag of another encoding is another file's");
    let head = Client::new().request(Method::HEAD, format!("{folder}/style.css")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), header(head.headers(), "content-type")), (200, "text/css; charset=utf-8"));
    for path in ["/none.js", "/index.html", "/../../Cargo.toml", "/%2e%2e/%2e%2e/Cargo.toml", "/", ""] {
        assert_eq!(get(&format!("{folder}{path}")).await.status(), 404, "{path}");
    }
    let other = get(&format!("{}/assets/000000000000000000000000/app.js", dev.url)).await;
    assert_eq!((other.status().as_u16(), header(other.headers(), "cache-control")), (404, "no-store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_setting_turns_the_dashboard_off() {
    let dev = Dev::start(&["--listen", "127.0.0.1:0", "--dashboard", "off"]).await;
    let (_it, server) = serve(&[("VAULT_DASHBOARD", "off")]).await;
    for url in [&dev.url, &server.url] {
        for path in ["/", "/dashboard/config.json"] {
            assert_eq!(get(&format!("{url}{path}")).await.status(), 404, "{path}");
        }
        assert_eq!(answer(post(url).body("{\"person\":\"alice\"}")).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtimes_address_has_no_dashboard() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_it, server) = serve(&[("VAULT_RUNTIME_LISTEN", &free)]).await;
    assert_eq!(get(&format!("{}/", server.url)).await.status(), 200);
    for path in ["/", "/dashboard/config.json"] {
        assert_eq!(get(&format!("http://{free}{path}")).await.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_learns_how_people_sign_in() {
    let keys = "/.well-known/project-vault/jwks.json";
    let version = env!("CARGO_PKG_VERSION");
    let (_it, server) = serve(&[]).await;
    let expected = json!({ "graphql": "/graphql", "version": version, "keys": keys, "signIn": { "kind": "token" } });
    assert_eq!(config(&server.url).await, expected);
    assert_eq!(get(&format!("{}{keys}", server.url)).await.status(), 200);

    let settings = [
        ("VAULT_OIDC_CLIENT_ID", "vault-dashboard"),
        ("VAULT_OIDC_SCOPE", "openid profile offline_access"),
        ("VAULT_OIDC_ORIGINS", "https://token.id.example"),
        ("VAULT_DASHBOARD_GRAPHQL_URL", "https://gateway.example/api/graphql"),
    ];
    let (_it, server) = serve(&settings).await;
    assert_eq!(
        config(&server.url).await,
        json!({
            "graphql": "https://gateway.example/api/graphql",
            "version": version,
            "keys": keys,
            "signIn": {
                "kind": "oidc",
                "issuer": "https://id.example",
                "clientId": "vault-dashboard",
                "scope": "openid profile offline_access",
                "audience": "project-vault",
            },
        })
    );
    let connect = "connect-src 'self' https://gateway.example https://id.example https://token.id.example";
    assert!(policy(&server.url).await.contains(&connect.to_owned()));
    assert_eq!(answer(post(&server.url).body("{\"person\":\"alice\"}")).await.0, 404, "nobody signs in by name");

    let dev = Dev::on_loopback().await;
    let config = config(&dev.url).await;
    let people = &config["signIn"]["people"];
    assert_eq!(config["signIn"]["kind"], "people");
    assert_eq!(people[0], json!({ "id": "alice", "about": "Accountable" }));
    let ids: Vec<_> = people.as_array().unwrap().iter().map(|person| person["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["alice", "bob", "carol", "dave", "audrey"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_person_of_the_demo_signs_in() {
    let dev = Dev::on_loopback().await;
    for (person, entries) in [("alice", true), ("bob", true), ("carol", true), ("dave", true), ("audrey", false)] {
        let (status, signed_in) = dev.sign_in(person).await;
        assert_eq!(status, 200, "{signed_in}");
        let query = json!({ "query": "{ projectVault(projectId: \"demo\") { entries { totalCount } } }" });
        let asked = Client::new()
            .post(format!("{}/graphql", dev.url))
            .header("content-type", "application/json")
            .bearer_auth(signed_in["token"].as_str().unwrap())
            .body(query.to_string());
        let (_, body) = answer(asked).await;
        assert_eq!(body.pointer("/data/projectVault/entries/totalCount").is_some(), entries, "{person}: {body}");
        assert_eq!(body.get("errors").is_none(), entries, "{person}: {body}");
        let expires = signed_in["expiresAt"].as_str().unwrap();
        let left = project_vault::domain::Timestamp::parse(expires).unwrap().millis()
            - project_vault::domain::Clock::now(&project_vault::domain::SystemClock).millis();
        assert!((3_500_000..=3_600_000).contains(&left), "an hour: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_dashboards_own_page_on_this_machine_signs_anybody_in() {
    let dev = Dev::on_loopback().await;
    let forbidden = [
        ("host", "evil.example:4000"),
        ("host", "localhost.evil.example"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ];
    for (name, value) in forbidden {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let (status, problem) = answer(dev.asking("alice").headers(headers)).await;
        assert_eq!((status, &problem["code"]), (403, &json!("FORBIDDEN")), "{name}: {value}");
        assert!(problem.get("token").is_none());
    }
    let text = Client::new().post(format!("{}/dashboard/sign-in", dev.url)).header("content-type", "text/plain");
    assert_eq!(answer(text.body("{\"person\":\"alice\"}")).await.0, 415);
    let url = format!("{}/dashboard/sign-in?person=alice", dev.url);
    assert_eq!(get(&url).await.status(), 405, "a GET is no sign-in");
    for body in ["", "{}", "alice", "{\"person\":\"eve\"}", "{\"person\":\"alice\",\"ttl\":\"9d\"}", "{\"person\":1}"] {
        let (status, problem) = answer(post(&dev.url).body(body)).await;
        assert_eq!((status, &problem["code"]), (400, &json!("BAD_USER_INPUT")), "{body}: {problem}");
    }
    for person in ["platform", "acme-runtime", ""] {
        assert_eq!(dev.sign_in(person).await.0, 400, "{person:?} is nobody of the list");
    }
    assert_eq!(answer(post(&dev.url).body(" ".repeat(17_000))).await.0, 401, "longer than anybody may send");
    assert_eq!(answer(post(&dev.url).body("{\"person\":\"alice\"}")).await.0, 200, "a program of this machine");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_by_name_where_other_machines_reach_the_server_or_there_is_no_demo() {
    for args in [&["--listen", "0.0.0.0:0"][..], &["--listen", "127.0.0.1:0", "--no-demo"]] {
        let dev = Dev::start(args).await;
        let url = dev.url.replace("0.0.0.0", "127.0.0.1");
        assert_eq!(config(&url).await["signIn"], json!({ "kind": "token" }), "{args:?}");
        assert_eq!(answer(post(&url).body("{\"person\":\"alice\"}")).await.0, 404, "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_the_dashboard_are_counted_by_route() {
    let (_it, server) = serve(&[]).await;
    let folder = folder(&server.url).await;
    get(&format!("{folder}/app.js")).await;
    config(&server.url).await;
    let metrics = server.metrics().await;
    for route in ["/", "/assets/{hash}/{*path}", "/dashboard/config.json"] {
        let counted = format!("vault_http_requests_total{{route=\"{route}\",status=\"200\"}} 1");
        assert!(metrics.contains(&counted), "{counted}");
    }
}
