//! Hostile key sets and tokens.

use super::super::jwks;
use super::{TestKey, World, set_of, with};
use crate::fuzzing::fuzz;
use serde_json::json;

#[test]
fn fuzz_key_sets() {
    let keys = [TestKey::ed("one"), TestKey::rsa("two"), TestKey::p256("two")];
    let made = [set_of(&keys.iter().collect::<Vec<_>>()).into_bytes()];
    fuzz("jwks", &made, |input| {
        let Ok(set) = jwks::parse(input) else { return false };
        assert!(set.keys.values().map(Vec::len).sum::<usize>() <= 100);
        for twins in set.keys.values() {
            for twin in twins {
                assert!(twins.iter().filter(|other| other.algorithm == twin.algorithm).count() <= 4);
            }
        }
        let reasons = set.reasons();
        assert!(reasons.len() < 8 * 1024 && !reasons.contains(char::is_control), "{reasons:?}");
        assert_eq!(set.require_usable().is_ok(), !set.keys.is_empty());
        let marked = jwks::parse(&[b"\xef\xbb\xbf", input].concat());
        assert!(input.starts_with(b"\xef\xbb\xbf") || marked.is_ok_and(|same| same.keys.len() == set.keys.len()));
        !set.keys.is_empty()
    });
}

#[test]
fn fuzz_tokens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new().await;
        world.verify(&world.claims()).await.unwrap();
        world
    });
    let narrowed = with(world.runtime_claims(), "vault:names", json!(["TOKEN"]));
    let claims = [world.claims(), world.runtime_claims(), narrowed];
    let tokens: Vec<String> = claims.iter().map(|claims| world.main.token(claims)).collect();
    let made: Vec<Vec<u8>> = tokens.iter().map(|token| token.clone().into_bytes()).collect();
    fuzz("tokens", &made, |input| {
        let text = String::from_utf8_lossy(input);
        let verified = runtime.block_on(world.verifier.verify(&text)).is_ok();
        assert_eq!(verified, tokens.iter().any(|token| *token == text), "only what was signed is accepted");
        verified
    });
}
