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
    for e in [&[1][..], &[0, 1], &[0], &[2], &[1, 0, 0, 0, 1]] {
        let key = TestKey::rsa("k").with("e", json!(URL_SAFE_NO_PAD.encode(e)));
        assert!(why_left_out(&key).contains("exponent"), "{e:?}");
    }
}

#[test]
fn a_key_for_something_else_is_left_out() {
    let key = || TestKey::rsa("k");
    for (other, why) in [
        (key().with("use", json!("enc")), "not for signatures"),
        (key().with("use", json!(["sig"])), "not for signatures"),
        (key().with("key_ops", json!(["sign"])), "not for verifying"),
        (key().with("key_ops", json!(["encrypt", "wrapKey"])), "not for verifying"),
        (key().with("key_ops", json!("verify")), "not for verifying"),
        (key().with("alg", json!("RS512")), "another algorithm"),
        (key().with("alg", json!("RSA-OAEP")), "another algorithm"),
        (key().with("alg", json!("ES256")), "another algorithm"),
        (key().with("alg", json!("HS256")), "another algorithm"),
        (key().with("alg", json!("none")), "another algorithm"),
        (key().with("kty", json!("oct")).with("k", json!("c2VjcmV0")), "private or symmetric"),
        (key().with("d", json!("AQAB")), "private or symmetric"),
        (key().with("oth", json!([{ "r": "AQAB" }])), "private or symmetric"),
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
        (key().with("kid", json!(null)), "no kid"),
        (key().with("kid", json!("")), "no kid"),
        (TestKey::ed("k").with("x", json!("")), "lacks"),
        (TestKey::of(Algorithm::ES384, EncodingKey::from_ec_pem(P384).unwrap(), "k"), "neither"),
    ] {
        assert!(why_left_out(&other).contains(why), "{}: {}", other.jwk, why_left_out(&other));
    }
}

#[tokio::test]
async fn empty_members_say_nothing() {
    let empty = [
        ("use", json!(null)),
        ("use", json!("")),
        ("key_ops", json!([])),
        ("key_ops", json!(null)),
        ("alg", json!(null)),
        ("oth", json!([])),
        ("d", json!(null)),
        ("k", json!("")),
        ("x5c", json!([])),
        ("x5t", json!(null)),
        ("x5u", json!("")),
        ("ext", json!({})),
    ];
    for key in [|| TestKey::rsa("k"), || TestKey::p256("k"), || TestKey::ed("k")] {
        let mut all = key();
        for (member, value) in &empty {
            assert_eq!(verify_with(key().with(member, value.clone()), TestKey::header).await, Ok(()), "{member}");
            all = all.with(member, value.clone());
        }
        assert_eq!(verify_with(all, TestKey::header).await, Ok(()));
    }
}

#[tokio::test]
async fn members_may_be_in_any_base64() {
    let recode = |mut key: TestKey, change: fn(&str) -> String| {
        for member in ["n", "e", "x", "y"] {
            if let Some(text) = key.jwk[member].as_str().map(change) {
                key.jwk[member] = json!(text);
            }
        }
        key
    };
    let padded: fn(&str) -> String = |text| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    let standard: fn(&str) -> String = |text| text.replace('-', "+").replace('_', "/");
    let both: fn(&str) -> String =
        |text| format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4)).replace('-', "+").replace('_', "/");
    for change in [padded, standard, both] {
        for key in [TestKey::rsa("k"), TestKey::p256("k"), TestKey::ed("k")] {
            assert_eq!(verify_with(recode(key, change), TestKey::header).await, Ok(()));
        }
    }
    let too_padded: fn(&str) -> String = |text| format!("{text}====");
    assert!(why_left_out(&recode(TestKey::rsa("k"), too_padded)).contains("base64url"));
}

/// A verifier of the first issuer with these keys.
async fn verifier_of(keys: &[&TestKey]) -> Verifier {
    let issuers = vec![issuer(MAIN, KeySource::Set(set_of(keys)), TokenKind::ALL, None)];
    let verifier = Verifier::new(issuers, clock(), REFRESH).unwrap();
    assert_eq!(verifier.load().await, Vec::<String>::new());
    verifier
}

#[tokio::test]
async fn keys_with_one_kid_are_told_apart_by_their_algorithm() {
    let claims = World::new().await.claims();
    let (rsa, p256, ed) = (TestKey::rsa("k"), TestKey::p256("k"), TestKey::ed("k"));
    let verifier = verifier_of(&[&rsa, &p256]).await;
    for _ in 0..2 {
        for key in [&rsa, &p256] {
            assert!(verifier.verify(&key.token(&claims)).await.is_ok());
        }
    }
    assert_eq!(verifier.verify(&ed.token(&claims)).await, Err(TokenError::Algorithm));
    // Signed by one key under the algorithm of the other.
    let token = ed.token_with(&rsa.header(), &claims);
    assert_eq!(verifier.verify(&token).await, Err(TokenError::Signature));
}

#[tokio::test]
async fn the_same_key_may_be_in_a_set_twice_and_a_few_others_beside_it() {
    let claims = World::new().await.claims();
    let (one, other, foreign) = (TestKey::ed("k"), TestKey::ed("k"), TestKey::ed("k"));
    let again = TestKey { alg: one.alg, key: one.key.clone(), jwk: one.jwk.clone() }.with("use", json!("sig"));
    let verifier = verifier_of(&[&one, &again, &other]).await;
    for _ in 0..2 {
        for key in [&one, &other] {
            assert!(verifier.verify(&key.token(&claims)).await.is_ok());
        }
        assert_eq!(verifier.verify(&foreign.token(&claims)).await, Err(TokenError::Signature));
    }
    let set = jwks::parse(set_of(&[&one, &again, &one]).as_bytes()).unwrap();
    assert_eq!((set.keys["k"].len(), set.left_out.len()), (1, 0));

    let keys: Vec<_> = (0..5).map(|_| TestKey::ed("k")).collect();
    let mut keys: Vec<_> = keys.iter().collect();
    let rsa = TestKey::rsa("rsa");
    keys.push(&rsa);
    let set = jwks::parse(set_of(&keys).as_bytes()).unwrap();
    assert_eq!(set.keys.keys().collect::<Vec<_>>(), ["rsa"]);
    assert_eq!(set.left_out, ["kid \"k\": more than 4 keys of one algorithm have it"]);
    assert_eq!(jwks::parse(set_of(&keys[1..]).as_bytes()).unwrap().keys["k"].len(), 4);
}

#[test]
fn a_bad_key_does_not_spoil_the_others_of_its_set() {
    let good = TestKey::ed("good");
    let (enc, sig) = (TestKey::rsa("shared").with("use", json!("enc")), TestKey::rsa("shared"));
    let mut set: Value = serde_json::from_str(&set_of(&[&good, &enc, &sig])).unwrap();
    let list = set["keys"].as_array_mut().unwrap();
    list.extend([json!(null), json!("key"), json!({}), json!({ "kty": "new", "kid": "n" })]);
    let set = jwks::parse(set.to_string().as_bytes()).unwrap();
    let mut kids: Vec<_> = set.keys.keys().map(String::as_str).collect();
    kids.sort_unstable();
    // A key that is not for signatures does not count.
    assert_eq!(kids, ["good", "shared"]);
    assert_eq!(set.left_out.len(), 5);
    assert_eq!(set.left_out[0], "key 2 (\"shared\"): is not for signatures");
}

#[test]
fn reasons_are_bounded_and_steer_no_terminal() {
    let kid = format!("\u{1b}[2J\n{}", "x".repeat(10_000));
    let keys = vec![json!({ "kid": kid, "kty": "new" }); 100];
    let set = jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    let problem = set.require_usable().unwrap_err();
    assert!(problem.starts_with("the key set has no usable key: key 1 (\"\\u{1b}[2J\\u{a}xxx"), "{problem}");
    assert!(problem.ends_with("; and 90 more") && problem.len() < 2_000, "{problem}");
    assert!(!problem.contains(char::is_control), "{problem:?}");
}

#[test]
fn what_is_no_key_set_is_not_read() {
    for bad in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, "{\"keys\":[]", "<html>"] {
        assert!(jwks::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(jwks::parse(b"{\"keys\":[]}").unwrap().keys.is_empty());
    let marked = format!("\u{feff}{}", set_of(&[&TestKey::ed("k")]));
    assert_eq!(jwks::parse(marked.as_bytes()).unwrap().keys.len(), 1);
    assert!(jwks::parse(format!("\u{feff}{marked}").as_bytes()).is_err());
    let many = |count: usize| json!({ "keys": vec![json!({}); count] }).to_string();
    assert!(jwks::parse(many(100).as_bytes()).is_ok());
    assert!(jwks::parse(many(101).as_bytes()).is_err());
}
