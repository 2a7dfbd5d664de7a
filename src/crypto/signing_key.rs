//! Signed statements: receipts and audit heads.

use super::{CryptoError, InstallationKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The kind of a statement. It is in the header `typ`, so that no statement passes for another
/// kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A receipt of the values that were released to an agent.
    ResolveReceipt,
    /// A receipt of what was erased.
    ErasureReceipt,
    /// An audit head: the positions of the chains of events.
    AuditHead,
}

impl Statement {
    const ALL: [Self; 3] = [Self::ResolveReceipt, Self::ErasureReceipt, Self::AuditHead];

    /// The value in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResolveReceipt => "project-vault-resolve+jwt",
            Self::ErasureReceipt => "project-vault-erasure+jwt",
            Self::AuditHead => "project-vault-audit-head+jwt",
        }
    }
}

/// Why a statement is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The text is not a compact JWS of one of these kinds.
    #[error("this is not a receipt or head of Project Vault; give a compact JWS that it signed")]
    Form,
    /// None of the keys has its `kid`.
    #[error(
        "it was signed with a key that is not in this key set; give the key set of the installation that signed it"
    )]
    UnknownKey,
    /// The signature does not verify with the key.
    #[error("its signature does not verify: it was changed, or another installation signed it")]
    NotAuthentic,
}

/// The Ed25519 key (RFC 8032) that signs an installation's statements. It cannot be printed, copied
/// or serialized.
pub struct SigningKey {
    key: EncodingKey,
    x: String,
    kid: String,
}

impl SigningKey {
    /// The key pair whose private part is the installation's key.
    ///
    /// # Errors
    /// Never, with a key of 32 bytes; the type allows [`CryptoError::Limit`].
    pub fn new(key: &InstallationKey) -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(key.secret().expose()).map_err(|_| CryptoError::Limit)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| CryptoError::Limit)?;
        let (x, kid) = public_parts(&pair);
        Ok(Self { key: EncodingKey::from_ed_der(pkcs8.as_ref()), x, kid })
    }

    /// The key set (RFC 7517) that verifies its statements.
    #[must_use]
    pub fn jwks(&self) -> Value {
        key_set(&self.x, &self.kid)
    }

    /// Signs a message of Standard Webhooks, which begins with its id: `msg_` and more. The header of
    /// a JWS begins with other letters, so no message passes for a statement.
    ///
    /// # Errors
    /// [`CryptoError::Form`] when the message does not begin so.
    pub fn sign_message(&self, id: &str, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if !id.starts_with("msg_") || !message.starts_with(id.as_bytes()) {
            return Err(CryptoError::Form);
        }
        let signature =
            jsonwebtoken::crypto::sign(message, &self.key, Algorithm::EdDSA).map_err(|_| CryptoError::Form)?;
        URL_SAFE_NO_PAD.decode(signature).map_err(|_| CryptoError::Form)
    }

    /// Signs claims as a compact JWS (RFC 7515).
    ///
    /// # Errors
    /// [`CryptoError::Form`] when the claims are not a JSON object.
    pub fn sign(&self, statement: Statement, claims: &impl Serialize) -> Result<String, CryptoError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(statement.as_str().to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| CryptoError::Form)
    }
}

/// The public key in base64url, and its thumbprint (RFC 7638), which gives each key its own `kid`.
pub(crate) fn public_parts(pair: &Ed25519KeyPair) -> (String, String) {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    // The members in the order and form that RFC 7638, section 3, and RFC 8037, section 2, ask for.
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()));
    (x, kid)
}

/// A key set of one Ed25519 key.
pub(crate) fn key_set(x: &str, kid: &str) -> Value {
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x }] })
}

/// Verifies a statement with a key set; returns its kind and claims.
///
/// # Errors
/// When the text is not a statement, no key has its `kid`, or the signature does not verify.
pub fn verify_statement<T: DeserializeOwned + Clone>(
    text: &str,
    keys: &JwkSet,
) -> Result<(Statement, T), StatementError> {
    let header = jsonwebtoken::decode_header(text.trim()).map_err(|_| StatementError::Form)?;
    let statement = Statement::ALL.into_iter().find(|one| header.typ.as_deref() == Some(one.as_str()));
    let (Some(statement), Some(kid), Algorithm::EdDSA) = (statement, header.kid, header.alg) else {
        return Err(StatementError::Form);
    };
    let key = keys.find(&kid).ok_or(StatementError::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| StatementError::UnknownKey)?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    // A statement is about the past, so it does not expire.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let said = jsonwebtoken::decode(text.trim(), &key, &validation).map_err(|_| StatementError::NotAuthentic)?;
    Ok((statement, said.claims))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::KeyPurpose;

    fn key() -> SigningKey {
        SigningKey::new(&InstallationKey::generate(KeyPurpose::Signing).unwrap()).unwrap()
    }

    fn keys(key: &SigningKey) -> JwkSet {
        serde_json::from_value(key.jwks()).unwrap()
    }

    #[test]
    fn a_statement_is_verified_with_the_public_key_alone() {
        let key = key();
        let text = key.sign(Statement::ErasureReceipt, &json!({ "project": "p" })).unwrap();
        let (kind, said) = verify_statement::<Value>(&text, &keys(&key)).unwrap();
        assert_eq!((kind, said), (Statement::ErasureReceipt, json!({ "project": "p" })));
    }

    #[test]
    fn a_changed_or_foreign_statement_is_refused() {
        let key = key();
        let text = key.sign(Statement::AuditHead, &json!({ "n": 1 })).unwrap();
        let other = key.sign(Statement::AuditHead, &json!({ "n": 2 })).unwrap();
        let parts: Vec<&str> = text.split('.').collect();
        let payload = other.split('.').nth(1).unwrap();
        let changed = format!("{}.{payload}.{}", parts[0], parts[2]);
        let refused = |text: &str, keys: &JwkSet| verify_statement::<Value>(text, keys).err();
        assert_eq!(refused(&changed, &keys(&key)), Some(StatementError::NotAuthentic));
        assert_eq!(refused(&text, &keys(&self::key())), Some(StatementError::UnknownKey));
        assert_eq!(refused("x.y.z", &keys(&key)), Some(StatementError::Form));
        // The header's `typ` is signed, too.
        let retyped = key.sign(Statement::ResolveReceipt, &json!({ "n": 1 })).unwrap();
        let moved = format!("{}.{}.{}", retyped.split('.').next().unwrap(), parts[1], parts[2]);
        assert_eq!(refused(&moved, &keys(&key)), Some(StatementError::NotAuthentic));
    }
}
