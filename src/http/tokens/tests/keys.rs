//! The key of a token, and its signature.

use super::super::jwks;
use super::*;

async fn verify_with(key: TestKey, header: impl FnOnce(&TestKey) -> Value) -> Result<(), TokenError> {
    let world = World::of(key, TestKey::ed("partner-1")).await;
    let token = world.main.token_with(&header(&world.main), &world.claims());
    world.verifier.verify(&token).await.map(drop)
}

/// Why the only key of a set is left out.
fn why_left_out(key: &TestKey) -> String {
    let set = jwks::parse(set_of(&[key]).as_bytes()).unwrap();
    assert!(set.keys.is_empty());
    set.left_out.join("\n")
}

#[tokio::test]
async fn rs256_es256_and_eddsa_are_accepted_with_a_key_that_fits() {
    for key in [TestKey::rsa("k"), TestKey::p256("k"), TestKey::ed("k")] {
        let name = json!(key.alg);
        assert_eq!(verify_with(key.with("alg", name), TestKey::header).await, Ok(()));
    }
    for key in [TestKey::rsa("k"), TestKey::p256("k")] {
        let key = key.with("use", json!("sig")).with("key_ops", json!(["verify"]));
        assert_eq!(verify_with(key, TestKey::header).await, Ok(()));
    }
}

#[tokio::test]
async fn every_other_algorithm_is_refused() {
    for alg in ["none", "None", "NONE", "", "HS256", "HS512", "PS256", "RS384", "ES384", "rs256", "Ed25519"] {
        let answer = verify_with(TestKey::rsa("k"), |key| with(key.header(), "alg", json!(alg))).await;
        assert_eq!(answer, Err(TokenError::Algorithm), "{alg}");
    }
    // An accepted algorithm, but not this key's.
    for alg in ["ES256", "EdDSA"] {
        let answer = verify_with(TestKey::rsa("k"), |key| with(key.header(), "alg", json!(alg))).await;
        assert_eq!(answer, Err(TokenError::Algorithm), "{alg}");
    }
    assert_eq!(
        verify_with(TestKey::rsa("k"), |key| with(key.header(), "alg", json!(null))).await,
        Err(TokenError::Malformed)
    );
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let world = World::new().await;
    for (alg, refused) in [("none", TokenError::Algorithm), ("EdDSA", TokenError::Signature)] {
        let message = unsigned(&with(world.main.header(), "alg", json!(alg)), &world.claims());
        assert_eq!(world.verifier.verify(&format!("{message}.")).await, Err(refused));
        assert_eq!(world.verifier.verify(&message).await, Err(TokenError::Malformed));
    }
}

#[tokio::test]
async fn a_public_key_does_not_serve_as_an_hmac_secret() {
    let world = World::of(TestKey::rsa("k"), TestKey::ed("partner-1")).await;
    let n = URL_SAFE_NO_PAD.decode(world.main.jwk["n"].as_str().unwrap()).unwrap();
    for secret in [n.as_slice(), RSA, world.main.jwk.to_string().as_bytes(), b""] {
        let forged =
            TestKey { alg: Algorithm::HS256, key: EncodingKey::from_secret(secret), jwk: world.main.jwk.clone() };
        for alg in ["HS256", "RS256"] {
            let token = forged.token_with(&with(forged.header(), "alg", json!(alg)), &world.claims());
            let refused = if alg == "HS256" { TokenError::Algorithm } else { TokenError::Signature };
            assert_eq!(world.verifier.verify(&token).await, Err(refused));
        }
    }
}

#[tokio::test]
async fn only_the_issuers_own_keys_verify_its_tokens() {
    let world = World::new().await;
    let claims = world.claims();
    // Another issuer's key, under its own kid and under the expected kid.
    assert_eq!(world.verifier.verify(&world.partner.token(&claims)).await, Err(TokenError::UnknownKey));
    let token = world.partner.token_with(&world.main.header(), &claims);
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Signature));
    // The right key, but the other issuer's kid.
    let token = world.main.token_with(&world.partner.header(), &claims);
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::UnknownKey));

    for iss in ["https://evil.example", "https://id.example/", "HTTPS://id.example", ""] {
        assert_eq!(world.who(&with(claims.clone(), "iss", json!(iss))).await, Err(TokenError::Issuer), "{iss}");
    }
    assert_eq!(world.who(&without(claims.clone(), "iss")).await, Err(TokenError::Issuer));
    assert_eq!(world.who(&with(claims, "iss", json!([MAIN]))).await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn two_issuers_may_have_the_same_kid() {
    let world = World::of(TestKey::ed("k"), TestKey::ed("k")).await;
    let claims = world.claims();
    assert!(world.who(&claims).await.is_ok());
    assert!(world.verify_partner(&claims).await.is_ok());
    assert_eq!(world.verifier.verify(&world.partner.token(&claims)).await, Err(TokenError::Signature));
}

#[tokio::test]
async fn what_the_header_brings_along_is_not_trusted() {
    let world = World::new().await;
    let evil = TestKey::ed("main-1");
    let header = json!({
        "alg": "EdDSA", "kid": "main-1", "jwk": evil.jwk, "jku": "https://evil.example/jwks", "x5u": "https://evil.example",
    });
    let token = evil.token_with(&header, &world.claims());
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Signature));
    for crit in [json!([]), json!(["exp"]), json!(["b64"]), json!(null), json!("exp")] {
        let token = world.main.token_with(&with(world.main.header(), "crit", crit), &world.claims());
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Critical));
    }
    let token = world.main.token_with(&json!({ "alg": "EdDSA" }), &world.claims());
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::NoKeyId));
    for kid in [json!(1), json!(["main-1"])] {
        let token = world.main.token_with(&with(world.main.header(), "kid", kid), &world.claims());
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Malformed));
    }
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let world = World::new().await;
    let token = world.main.token(&world.claims());
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let other = URL_SAFE_NO_PAD.encode(with(world.claims(), "sub", json!("eve")).to_string());
    let verify = async |token: String| world.verifier.verify(&token).await.map(drop);
    assert_eq!(verify(format!("{header}.{other}.{signature}")).await, Err(TokenError::Signature));
    assert_eq!(verify(format!("{header}.{claims}.{}", "A".repeat(86))).await, Err(TokenError::Signature));
    for bad in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{token}."),
        format!("{token}.x.y"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{header}.{claims}=.{signature}"),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("[]")),
        format!("{}.{claims}.{signature}", URL_SAFE_NO_PAD.encode("{}")),
    ] {
        assert_eq!(verify(bad.clone()).await, Err(TokenError::Malformed), "{bad}");
    }
    assert_eq!(verify("a".repeat(16 * 1024)).await, Err(TokenError::Malformed));
    assert_eq!(verify("a".repeat(16 * 1024 + 1)).await, Err(TokenError::TooLong));
}

#[tokio::test]
async fn a_refusal_repeats_nothing_of_the_token() {
    let world = World::new().await;
    let mut claims = with(world.runtime_claims(), "sub", json!("sec ret"));
    assert!(!world.who(&claims).await.unwrap_err().to_string().contains("sec ret"));
    claims["vault:project"] = json!("sec ret");
    assert!(!world.who(&claims).await.unwrap_err().to_string().contains("sec ret"));
}

#[tokio::test]
async fn a_short_rsa_key_verifies_nothing() {
    let set = json!({ "keys": [serde_json::from_str::<Value>(SHORT_RSA.0).unwrap()] }).to_string();
    let issuers = vec![issuer(MAIN, KeySource::Set(set), TokenKind::ALL, None)];
    let verifier = Verifier::new(issuers, clock(), REFRESH).unwrap();
    assert!(verifier.load().await[0].contains("2048"));
    assert_eq!(verifier.verify(SHORT_RSA.1.trim()).await, Err(TokenError::UnknownKey));
}

#[test]
fn an_rsa_key_has_2048_bits_and_a_fit_exponent() {
    let jwk: Value = serde_json::from_str(SHORT_RSA.0).unwrap();
    let short = TestKey::rsa("k").with("n", jwk["n"].clone());
    assert!(why_left_out(&short).contains("2048"));
    // Leading zeros do not count as bits.
    let mut n = vec![0; 128];
    n.extend(URL_SAFE_NO_PAD.decode(short.jwk["n"].as_str().unwrap()).unwrap());
    assert!(why_left_out(&short.with("n", json!(URL_SAFE_NO_PAD.encode(n)))).contains("2048"));
    // 2047 bits.
    let n = [vec![0x7f], vec![0xff; 255]].concat();
    assert!(why_left_out(&TestKey::rsa("k").with("n", json!(URL_SAFE_NO_PAD.encode(n)))).contains("2048"));
    for e in [&[1][..], &[0, 1], &[], &[0], &[2], &[1, 0, 0, 0, 1]] {
        let key = TestKey::rsa("k").with("e", json!(URL_SAFE_NO_PAD.encode(e)));
        assert!(why_left_out(&key).contains("exponent"), "{e:?}");
    }
}

#[test]
fn a_key_for_something_else_is_left_out() {
    let key = || TestKey::rsa("k");
    for (other, why) in [
        (key().with("use", json!("enc")), "not for signatures"),
        (key().with("use", json!(null)), "not for signatures"),
        (key().with("key_ops", json!(["sign"])), "not for verifying"),
        (key().with("key_ops", json!([])), "not for verifying"),
        (key().with("key_ops", json!("verify")), "not for verifying"),
        (key().with("alg", json!("RS512")), "another algorithm"),
        (key().with("alg", json!("RSA-OAEP")), "another algorithm"),
        (key().with("alg", json!("ES256")), "another algorithm"),
        (key().with("alg", json!("HS256")), "another algorithm"),
        (key().with("alg", json!(null)), "another algorithm"),
        (key().with("kty", json!("oct")).with("k", json!("c2VjcmV0")), "private or symmetric"),
        (key().with("d", json!("AQAB")), "private or symmetric"),
        (TestKey::ed("k").with("d", json!("AQAB")), "private or symmetric"),
        (TestKey::ed("k").with("crv", json!("X25519")), "neither"),
        (TestKey::ed("k").with("crv", json!("Ed448")), "neither"),
        (TestKey::ed("k").with("x", json!("AQAB")), "not a point"),
        (TestKey::p256("k").with("crv", json!("secp256k1")), "neither"),
        (TestKey::p256("k").with("x", json!("AQAB")), "length"),
        (TestKey::p256("k").with("x", json!("A".repeat(43))), "not a point"),
        (TestKey::p256("k").with("x", json!("====")), "base64url"),
        (TestKey::p256("k").with("y", json!(1)), "lacks"),
        (key().with("kty", json!("AKP")), "neither"),
        (key().with("kid", json!(7)), "no kid"),
        (TestKey::of(Algorithm::ES384, EncodingKey::from_ec_pem(P384).unwrap(), "k"), "neither"),
    ] {
        assert!(why_left_out(&other).contains(why), "{}: {}", other.jwk, why_left_out(&other));
    }
}

#[test]
fn a_bad_key_does_not_spoil_the_others_of_its_set() {
    let good = TestKey::ed("good");
    let (one, two) = (TestKey::ed("twin"), TestKey::rsa("twin"));
    let (enc, sig) = (TestKey::rsa("shared").with("use", json!("enc")), TestKey::rsa("shared"));
    let mut set: Value = serde_json::from_str(&set_of(&[&one, &good, &two, &enc, &sig])).unwrap();
    let list = set["keys"].as_array_mut().unwrap();
    list.extend([json!(null), json!("key"), json!({}), json!({ "kty": "new", "kid": "n" })]);
    let set = jwks::parse(set.to_string().as_bytes()).unwrap();
    let mut kids: Vec<_> = set.keys.keys().map(String::as_str).collect();
    kids.sort_unstable();
    // Two usable keys with one kid are ambiguous; one that is not for signatures does not count.
    assert_eq!(kids, ["good", "shared"]);
    assert_eq!(set.left_out.len(), 6);
}

#[test]
fn what_is_no_key_set_is_not_read() {
    for bad in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, "{\"keys\":[]", "<html>"] {
        assert!(jwks::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(jwks::parse(b"{\"keys\":[]}").unwrap().keys.is_empty());
    let many = |count: usize| json!({ "keys": vec![json!({}); count] }).to_string();
    assert!(jwks::parse(many(100).as_bytes()).is_ok());
    assert!(jwks::parse(many(101).as_bytes()).is_err());
}
