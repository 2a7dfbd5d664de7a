//! Reads a JSON Web Key Set (RFC 7517) and keeps the keys that may verify tokens.

use crate::command::Untrusted;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// Maximum number of keys in a set; more are a mistake.
const MAX_KEYS: usize = 100;
/// Maximum number of different keys with the same `kid` for one algorithm. A token is tried with
/// each of them.
const MAX_TWINS: usize = 4;
/// Maximum number of keys of which a message says why they are left out, and of the characters that
/// it shows of a `kid`.
const MAX_REASONS: usize = 10;
const MAX_KID_SHOWN: usize = 64;
/// The byte order mark, which some editors and stacks put before a document in UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();
/// Base64url (RFC 4648, section 5), with padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Accepted sizes of RSA keys, in bits; beyond them, verifying one signature takes too long.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The members that only private and symmetric keys have (RFC 7518, sections 6.2.2, 6.3.2 and 6.4;
/// RFC 8037, section 2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key that verifies tokens of one algorithm.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    /// The public key itself, by which a key that is in a set twice is recognized.
    public: Vec<u8>,
}

/// The usable keys of a set.
#[derive(Default)]
pub(super) struct KeySet {
    /// By `kid`. Several keys may have one: keys of different algorithms (RFC 7517, section 4.5),
    /// or a few of the same.
    pub(super) keys: HashMap<String, Vec<Arc<Key>>>,
    /// Why each of the other keys is not used, for operators.
    pub(super) left_out: Vec<String>,
}

impl KeySet {
    /// Why keys are left out, as one text of bounded length; empty if none are.
    pub(super) fn reasons(&self) -> String {
        let reasons = self.left_out.iter().take(MAX_REASONS).cloned().collect::<Vec<_>>().join("; ");
        match self.left_out.len().saturating_sub(MAX_REASONS) {
            0 => reasons,
            more => format!("{reasons}; and {more} more"),
        }
    }

    /// Refuses a set in which no key can be used.
    ///
    /// # Errors
    /// Why none can.
    pub(super) fn require_usable(&self) -> Result<(), String> {
        match (self.keys.is_empty(), self.left_out.is_empty()) {
            (false, _) => Ok(()),
            (true, true) => Err("the key set has no usable key".to_owned()),
            (true, false) => Err(format!("the key set has no usable key: {}", self.reasons())),
        }
    }
}

/// Reads a set. Keys that cannot be used are left out one by one. If more than a few different keys
/// have the same `kid` and algorithm, all of them are left out.
pub(super) fn parse(document: &[u8]) -> Result<KeySet, &'static str> {
    let document = document.strip_prefix(BOM).unwrap_or(document);
    let document: Value = serde_json::from_slice(document).map_err(|_| "the key set is not JSON")?;
    let list = document.get("keys").and_then(Value::as_array).ok_or("the key set has no list `keys`")?;
    if list.len() > MAX_KEYS {
        return Err("the key set has more than 100 keys");
    }
    let mut set = KeySet::default();
    for (index, jwk) in list.iter().enumerate() {
        match read(jwk) {
            Ok((kid, key)) => {
                let twins = set.keys.entry(kid).or_default();
                if !twins.iter().any(|twin| twin.algorithm == key.algorithm && twin.public == key.public) {
                    twins.push(Arc::new(key));
                }
            }
            Err(why) => set.left_out.push(format!("key {}{}: {why}", index + 1, shown_kid(jwk))),
        }
    }
    let KeySet { keys, left_out } = &mut set;
    keys.retain(|kid, twins| {
        let of = |algorithm| twins.iter().filter(|twin| twin.algorithm == algorithm).count();
        let is_clear = twins.iter().all(|twin| of(twin.algorithm) <= MAX_TWINS);
        if !is_clear {
            left_out.push(format!("kid \"{}\": more than {MAX_TWINS} keys of one algorithm have it", shown(kid)));
        }
        is_clear
    });
    Ok(set)
}

/// The `kid` of a key that is left out, for messages. Its author chose it, so it is escaped and
/// cut.
fn shown_kid(jwk: &Value) -> String {
    jwk.get("kid").and_then(Value::as_str).map_or_else(String::new, |kid| format!(" (\"{}\")", shown(kid)))
}

fn shown(kid: &str) -> Untrusted {
    let cut: String = kid.chars().take(MAX_KID_SHOWN).collect();
    if cut.len() < kid.len() { Untrusted::from(cut + "...") } else { Untrusted::from(cut) }
}

/// Whether a member says nothing. Some stacks publish every member they know, null or empty where
/// the key has none.
fn is_empty(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn read(jwk: &Value) -> Result<(String, Key), &'static str> {
    let members = jwk.as_object().ok_or("is not an object")?;
    let said = members.iter().filter(|(_, value)| !is_empty(value));
    let jwk: Map<String, Value> = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    let kid = text(&jwk, "kid").ok_or("has no kid")?.to_owned();
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
    let (name, key) = match (text(&jwk, "kty"), text(&jwk, "crv")) {
        (Some("RSA"), _) => ("RS256", rsa(&jwk)?),
        (Some("EC"), Some("P-256")) => ("ES256", p256(&jwk)?),
        (Some("OKP"), Some("Ed25519")) => ("EdDSA", ed25519(&jwk)?),
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
    // With the length of the modulus in front, no two keys have the same bytes.
    let public = [&n.len().to_be_bytes(), n, e].concat();
    Ok(Key { algorithm: Algorithm::RS256, decoding: DecodingKey::from_rsa_raw_components(n, e), public })
}

fn p256(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != 32 || y.len() != 32 {
        return Err("has coordinates of a wrong length");
    }
    let point = [&[4], x.as_slice(), &y].concat();
    check_point(&ECDSA_P256_SHA256_FIXED, &point)?;
    Ok(Key { algorithm: Algorithm::ES256, decoding: DecodingKey::from_ec_der(&point), public: point })
}

fn ed25519(jwk: &Map<String, Value>) -> Result<Key, &'static str> {
    let x = bytes(jwk, "x")?;
    check_point(&ED25519, &x)?;
    Ok(Key { algorithm: Algorithm::EdDSA, decoding: DecodingKey::from_ed_der(&x), public: x })
}

fn check_point(algorithm: &'static dyn VerificationAlgorithm, point: &[u8]) -> Result<(), &'static str> {
    UnparsedPublicKey::new(algorithm, point).parse().map(drop).map_err(|_| "is not a point of its curve")
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    jwk.get(member)?.as_str()
}

/// Decodes a member: base64url without padding by RFC 7518, but also the base64 that some stacks
/// publish.
fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, &'static str> {
    let encoded = text(jwk, member).ok_or("lacks a member")?;
    let encoded = encoded.replace('+', "-").replace('/', "_");
    BASE64URL.decode(encoded).map_err(|_| "has a member that is no base64url")
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}
