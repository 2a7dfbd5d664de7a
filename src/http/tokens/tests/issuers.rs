//! The file of issuers.

use super::super::{JwksUrl, check_issuers, parse_issuers};
use super::*;
use std::path::Path;

/// Takes every file for a key set.
fn parse(toml_text: &str) -> Result<Vec<IssuerConfig>, Vec<String>> {
    parse_issuers(toml_text, |_: &Path| Ok(()))
}

#[test]
fn a_file_of_issuers_is_read() {
    let issuers = parse(
        r#"
        [[issuer]]
        iss = "https://id.example"
        jwks_url = "https://id.example/jwks"
        kinds = ["user", "service"]

        [[issuer]]
        iss = "https://partner.example"
        jwks_file = "/etc/partner.json"
        kinds = ["runtime"]
        subject_prefix = "partner|"
        "#,
    )
    .unwrap();
    let url = JwksUrl::parse("https://id.example/jwks").unwrap();
    assert_eq!(
        issuers,
        [
            issuer(MAIN, KeySource::Url(url), &[TokenKind::User, TokenKind::Service], None),
            issuer(PARTNER, KeySource::File("/etc/partner.json".into()), &[TokenKind::Runtime], Some("partner|")),
        ]
    );
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let problems = parse(
        r#"
        version = 2
        [[issuer]]
        iss = "a"
        jwks_url = "http://id.example/jwks"
        kinds = ["user", "admin"]
        subject_prefix = ""
        colour = "red"

        [[issuer]]
        iss = 7
        jwks_url = "https://id.example/jwks"
        jwks_file = "x"
        kinds = []

        [[issuer]]
        "#,
    )
    .unwrap_err();
    let expected = [
        "version: unknown",
        "issuer 1 (\"a\"): colour: unknown",
        "issuer 1 (\"a\"): subject_prefix: must be a string",
        "issuer 1 (\"a\"): jwks_url: must be https",
        "issuer 1 (\"a\"): kinds: must be a list",
        "issuer 2: iss: must be a string",
        "issuer 2: jwks_url and jwks_file: give one",
        "issuer 2: kinds: must be a list",
        "issuer 3: iss: is missing",
        "issuer 3: jwks_url: is missing",
        "issuer 3: kinds: is missing",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
    }
    let no_keys = |path: &Path| Err(format!("{} is none", path.display()));
    let table = "[[issuer]]\niss = 'a'\njwks_file = 'k.json'\nkinds = ['user']\ncolour = 'red'\n";
    let problems = parse_issuers(table, no_keys).unwrap_err();
    assert_eq!(problems[1..], ["issuer 1 (\"a\"): jwks_file: k.json is none"], "{problems:?}");
    for bad in ["", "x", "issuer = 1", "issuer = [1]", "[issuer]\niss = \"a\"", "[[issuers]]"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn no_issuer_can_be_set_up_to_name_anothers_people() {
    let of = |iss: &str, prefix| issuer(iss, KeySource::Set(String::new()), &[TokenKind::User], prefix);
    assert_eq!(check_issuers(&[of("a", None), of("b", Some("b|")), of("c", Some("c|"))]), Vec::<String>::new());
    for (issuers, problem) in [
        ([of("a", None), of("a", Some("a|"))], "twice"),
        ([of("a", None), of("b", None)], "neither has"),
        ([of("a", Some("x|")), of("b", Some("x|y|"))], "begins with"),
        ([of("a", Some("x|y|")), of("b", Some("x|"))], "begins with"),
        ([of("a", Some("x|")), of("b", Some("x|"))], "begins with"),
        ([of("a", None), of("b", Some(""))], "1 to 100"),
        ([of("a", None), of("b", Some("a b"))], "1 to 100"),
        ([of("a", None), of("b", Some(&"x".repeat(101)))], "1 to 100"),
        ([of("a", None), of("", Some("b|"))], "empty"),
        ([of("a", None), issuer("b", KeySource::Set(String::new()), &[], Some("b|"))], "kinds"),
    ] {
        let problems = check_issuers(&issuers);
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
        assert_eq!(Verifier::new(issuers.into(), clock(), REFRESH).err(), Some(problems));
    }
}

#[test]
fn keys_are_fetched_over_https_or_from_this_machine() {
    for good in [
        "https://id.example/jwks",
        "https://127.0.0.1:8443/",
        "http://localhost:4455/jwks",
        "http://127.9.9.9/",
        "http://[::1]:8080/jwks",
    ] {
        assert!(JwksUrl::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "http://id.example/jwks",
        "http://10.0.0.1/",
        "http://localhost.evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://0.0.0.0/",
        "http://127.0.0.1@evil.example/",
        "https://user:word@id.example/",
        "https://user@id.example/",
        "ftp://id.example/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "id.example/jwks",
        "",
    ] {
        assert!(JwksUrl::parse(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn an_issuer_behind_tls_can_be_set_up() {
    // No server speaks TLS there: reading the set fails, making the verifier does not.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/jwks", listener.local_addr().unwrap());
    drop(listener);
    let source = KeySource::Url(JwksUrl::parse(&url).unwrap());
    let verifier = Verifier::new(vec![issuer(MAIN, source, TokenKind::ALL, None)], clock(), REFRESH).unwrap();
    assert_eq!(verifier.load().await.len(), 1);
}
