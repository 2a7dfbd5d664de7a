//! Attacks on the verifier, and the results of good tokens. This file makes keys, tokens and
//! issuers for them.

mod claims;
mod fuzz;
mod issuers;
mod keys;
mod reading;
mod remembered;
mod signing;

use super::{IssuerConfig, KeySource, Signer, TokenError, Verified, Verifier};
use crate::domain::{Clock, ManualClock, Timestamp, TokenKind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const RSA: &[u8] = include_bytes!("../../../../tests/vectors/jwt/rsa-2048.pem");
/// The public half of a key of 1024 bits, and what that key signed: a token of the first issuer
/// that ends an hour after the clock's start.
const SHORT_RSA: (&str, &str) = (
    include_str!("../../../../tests/vectors/jwt/rsa-1024.jwk"),
    include_str!("../../../../tests/vectors/jwt/rsa-1024.jwt"),
);
const P256: &[u8] = include_bytes!("../../../../tests/vectors/jwt/ec-p256.pem");
const P384: &[u8] = include_bytes!("../../../../tests/vectors/jwt/ec-p384.pem");

/// The issuer without a prefix.
const MAIN: &str = "https://id.example";
/// The issuer with the prefix `partner|`, for people and runtimes only.
const PARTNER: &str = "https://partner.example";

const HOUR: u64 = 60 * 60;
const REFRESH: Duration = Duration::from_secs(5 * 60);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A private key with its public JWK.
struct TestKey {
    alg: Algorithm,
    key: EncodingKey,
    jwk: Value,
}

impl TestKey {
    fn ed(kid: &str) -> Self {
        let signer = Signer::generate().unwrap();
        let key = EncodingKey::from_ed_pem(signer.to_pem().expose_secret().as_bytes()).unwrap();
        let set: Value = serde_json::from_str(&signer.jwks()).unwrap();
        Self { alg: Algorithm::EdDSA, key, jwk: set["keys"][0].clone() }.with("kid", json!(kid))
    }

    fn rsa(kid: &str) -> Self {
        Self::of(Algorithm::RS256, EncodingKey::from_rsa_pem(RSA).unwrap(), kid)
    }

    fn p256(kid: &str) -> Self {
        Self::of(Algorithm::ES256, EncodingKey::from_ec_pem(P256).unwrap(), kid)
    }

    fn of(alg: Algorithm, key: EncodingKey, kid: &str) -> Self {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, alg).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        Self { alg, key, jwk }.with("kid", json!(kid))
    }

    /// The same key with another member in its JWK.
    fn with(mut self, member: &str, value: Value) -> Self {
        self.jwk[member] = value;
        self
    }

    fn header(&self) -> Value {
        json!({ "alg": self.alg, "kid": self.jwk["kid"], "typ": "JWT" })
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&self.header(), claims)
    }

    /// Signs a token with any header.
    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.alg).unwrap();
        format!("{message}.{signature}")
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn set_of(keys: &[&TestKey]) -> String {
    json!({ "keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() }).to_string()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap()))
}

fn issuer(iss: &str, keys: KeySource, kinds: &[TokenKind], prefix: Option<&str>) -> IssuerConfig {
    let subject_prefix = prefix.map(str::to_owned);
    IssuerConfig { iss: iss.to_owned(), keys, kinds: kinds.iter().copied().collect(), subject_prefix }
}

/// Two issuers, each with an Ed25519 key.
struct World {
    clock: Arc<ManualClock>,
    main: TestKey,
    partner: TestKey,
    verifier: Verifier,
}

impl World {
    async fn new() -> Self {
        Self::of(TestKey::ed("main-1"), TestKey::ed("partner-1")).await
    }

    async fn of(main: TestKey, partner: TestKey) -> Self {
        let clock = clock();
        let issuers = vec![
            issuer(MAIN, KeySource::Set(set_of(&[&main])), TokenKind::ALL, None),
            issuer(
                PARTNER,
                KeySource::Set(set_of(&[&partner])),
                &[TokenKind::User, TokenKind::Runtime],
                Some("partner|"),
            ),
        ];
        let verifier = Verifier::new(issuers, clock.clone(), REFRESH).unwrap();
        assert_eq!(verifier.load().await, Vec::<String>::new());
        Self { clock, main, partner, verifier }
    }

    fn now(&self) -> i64 {
        self.clock.now().millis() / 1000
    }

    /// The claims of a good token of a person, ending in an hour.
    fn claims(&self) -> Value {
        json!({ "iss": MAIN, "aud": "project-vault", "sub": "ada", "exp": self.now() + 3600 })
    }

    fn runtime_claims(&self) -> Value {
        with(self.claims(), "aud", json!("project-vault-runtime"))
    }

    async fn verify(&self, claims: &Value) -> Result<Verified, TokenError> {
        self.verifier.verify(&self.main.token(claims)).await
    }

    /// The principal of a good token, in its printed form.
    async fn who(&self, claims: &Value) -> Result<String, TokenError> {
        self.verify(claims).await.map(|verified| verified.principal.to_string())
    }

    async fn verify_partner(&self, claims: &Value) -> Result<String, TokenError> {
        let claims = with(claims.clone(), "iss", json!(PARTNER));
        self.verifier.verify(&self.partner.token(&claims)).await.map(|verified| verified.principal.to_string())
    }
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}
