//! Reads a JSON Web Key Set (RFC 7517) and keeps the keys that may verify tokens.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Maximum number of keys in a set; more are a mistake.
const MAX_KEYS: usize = 100;
/// Accepted sizes of RSA keys, in bits; beyond them, verifying one signature takes too long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The members that only private and symmetric keys have (RFC 7518, sections 6.2.2, 6.3.2 and 6.4;
/// RFC 8037, section 2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key that verifies tokens of one algorithm.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The usable keys of a set.
#[derive(Default)]
pub(super) struct KeySet {
    /// By `kid`.
    pub(super) keys: HashMap<String, Arc<Key>>,
    /// Why each of the other keys is not used, for the log.
    pub(super) left_out: Vec<String>,
}

/// Reads a set. Keys that cannot be used are left out one by one. Two usable keys with the same
/// `kid` are ambiguous, so both are left out.
pub(super) fn parse(document: &[u8]) -> Result<KeySet, &'static str> {
    let document: Value = serde_json::from_slice(document).map_err(|_| "the key set is not JSON")?;
    let list = document.get("keys").and_then(Value::as_array).ok_or("the key set has no list `keys`")?;
    if list.len() > MAX_KEYS {
        return Err("the key set has more than 100 keys");
    }
    let mut set = KeySet::default();
    let mut ambiguous = HashSet::new();
    for (index, jwk) in list.iter().enumerate() {
        match read(jwk) {
            Ok((kid, key)) => match set.keys.entry(kid) {
                Entry::Vacant(free) => {
                    free.insert(Arc::new(key));
                }
                Entry::Occupied(taken) => {
                    ambiguous.insert(taken.key().clone());
                }
            },
            Err(why) => set.left_out.push(format!("key {}: {why}", index + 1)),
        }
    }
    for kid in ambiguous {
        set.keys.remove(&kid);
        set.left_out.push(format!("kid {kid:?}: several keys have it"));
    }
    Ok(set)
}

fn read(jwk: &Value) -> Result<(String, Key), &'static str> {
    let jwk = jwk.as_object().ok_or("is not an object")?;
    let kid = text(jwk, "kid").ok_or("has no kid")?.to_owned();
    if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
        return Err("is private or symmetric");
    }
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err("is not for signatures");
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err("is not for verifying");
    }
    let (name, key) = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => ("RS256", rsa(jwk)?),
        (Some("EC"), Some("P-256")) => ("ES256", p256(jwk)?),
        (Some("OKP"), Some("Ed25519")) => ("EdDSA", ed25519(jwk)?),
        _ => return Err("is neither RSA, P-256 nor Ed25519"),
    };
    // A key is for one algorithm (RFC 8725, section 3.1).
    if jwk.get("alg").is_some_and(|alg| alg != name) {
        return Err("is for another algorithm than RS256, ES256 or EdDSA");
    }
    Ok((kid, key))
}

fn rsa(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let (n, e) = (without_zeros(&n), without_zeros(&e));
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("has fewer than 2048 or more than 8192 bits");
    }
    // With an exponent of 1, anybody could sign.
    if e.len() > 4 || e.last().is_none_or(|last| last % 2 == 0) || *e == [1] {
        return Err("has an unfit exponent");
    }
    Ok(Key { algorithm: Algorithm::RS256, decoding: DecodingKey::from_rsa_raw_components(n, e) })
}

fn p256(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != 32 || y.len() != 32 {
        return Err("has coordinates of a wrong length");
    }
    let point = [&[4], x.as_slice(), &y].concat();
    check_point(&ECDSA_P256_SHA256_FIXED, &point)?;
    Ok(Key { algorithm: Algorithm::ES256, decoding: DecodingKey::from_ec_der(&point) })
}

fn ed25519(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    let x = bytes(jwk, "x")?;
    check_point(&ED25519, &x)?;
    Ok(Key { algorithm: Algorithm::EdDSA, decoding: DecodingKey::from_ed_der(&x) })
}

fn check_point(algorithm: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), &'static str> {
    UnparsedPublicKey::new(algorithm, point).parse().map(drop).map_err(|_| "is not a point of its curve")
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member)?.as_str()
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, &'static str> {
    let encoded = text(jwk, member).ok_or("lacks a member")?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "has a member that is no base64url")
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}
