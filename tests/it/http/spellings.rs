//! What clients and operators send and give in other forms than the usual one: hashes of documents,
//! encoded bodies, certificates as other programs write them.

use super::world::{ANYONE, World, data, error};
use project_vault::http::{Server, ServerConfig, TlsFiles};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use serde_json::{Value, json};
use std::net::SocketAddr;

const HASH: &str = "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_without_a_document_is_answered_so_that_clients_send_the_document() {
    let world = World::new().await;
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": HASH } });
    let alone = json!({ "extensions": extensions, "variables": {} }).to_string();
    for (accept, status) in [
        ("application/json", 200),
        ("*/*", 200),
        ("application/graphql-response+json", 400),
        ("application/graphql-response+json, application/json", 400),
    ] {
        let answer = world.post_text(alone.clone()).header(ACCEPT, accept).send().await.unwrap();
        assert_eq!(answer.status(), status, "{accept}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["errors"][0]["message"], "PersistedQueryNotSupported", "{body}");
        assert_eq!(body["errors"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_SUPPORTED", "{body}");
        assert!(body.get("data").is_none() && body["errors"].as_array().unwrap().len() == 1, "{body}");
    }
    let by_get = world.get_query(&[("extensions", &extensions.to_string())]);
    assert_eq!(error(by_get).await, (200, "PERSISTED_QUERY_NOT_SUPPORTED".to_owned()));

    let with_document = json!({ "query": ANYONE, "extensions": extensions }).to_string();
    assert_eq!(data(world.post_text(with_document)).await, json!({ "__typename": "Query" }));
    let by_get = world.get_query(&[("query", ANYONE), ("extensions", &extensions.to_string())]);
    assert_eq!(data(by_get).await, json!({ "__typename": "Query" }));
    let none = json!({ "extensions": { "persistedQuery": {} } }).to_string();
    assert_eq!(error(world.post_text(none)).await, (400, "BAD_USER_INPUT".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_by_its_encoding() {
    let world = World::new().await;
    let body = || world.post_text(json!({ "query": ANYONE }).to_string());
    for encoding in ["identity", "Identity", ""] {
        assert!(data(body().header(CONTENT_ENCODING, encoding)).await.is_object(), "{encoding:?}");
    }
    for (encoding, named) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("identity, deflate", "deflate"),
        ("zstd", "zstd"),
        ("<x>", "Content-Encoding names"),
    ] {
        let answer = body().header(CONTENT_ENCODING, encoding).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()[ACCEPT_ENCODING]), (415, &"identity".parse().unwrap()));
        let told: Value = answer.json().await.unwrap();
        let message = told["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(named) && !message.contains("<x>"), "{message}");
        assert_eq!(told["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_with_a_certificate_and_key_in_any_pem() {
    const CERTIFICATE: &str = include_str!("localhost.pem");
    const KEY: &str = include_str!("localhost.key");
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    let attributes = "Bag Attributes\n    localKeyID: 01\nKey Attributes: <No Attributes>\n";
    for (certificate, key) in [
        (format!("\u{feff}{CERTIFICATE}"), format!("\u{feff}{KEY}")),
        (CERTIFICATE.replace('\n', "\r\n"), KEY.replace('\n', "\r\n")),
        (format!("{attributes}{CERTIFICATE} \n\n"), format!("{attributes}{KEY}\t\n")),
        (CERTIFICATE.replace("CERTIFICATE", "X509 CERTIFICATE"), KEY.to_owned()),
        (CERTIFICATE.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), KEY.to_owned()),
    ] {
        std::fs::write(&files.certificate, &certificate).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        let config = ServerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            runtime_listen: None,
            metrics_listen: None,
            tls: Some(files.clone()),
        };
        let server = Server::bind(config, world.parts()).await.unwrap();
        let url = format!("https://{}/healthz", server.address());
        let running = tokio::spawn(server.run(std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
        assert_eq!(client.get(url).send().await.unwrap().status(), 200, "{certificate:?}");
        running.abort();
    }
}
