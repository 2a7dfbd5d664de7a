//! Signed statements: receipts, and where the chains of events stood.

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

/// The kind of a statement, in its header `typ`, so that none passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// Which values were released to whom.
    ResolveReceipt,
    /// A statement of what was erased.
    ErasureReceipt,
    /// Where the chains of events stood.
    AuditHead,
}

impl Statement {
    const ALL: [Self; 3] = [Self::ResolveReceipt, Self::ErasureReceipt, Self::AuditHead];

    /// As it stands in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResolveReceipt => "project-vault-resolve+jwt",
            Self::ErasureReceipt => "project-vault-erasure+jwt",
            Self::AuditHead => "project-vault-audit-head+jwt",
        }
    }
}

/// Why a statement is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It is no compact JWS of these kinds.
    #[error("this is no receipt or head of Project Vault: a compact JWS is expected")]
    Form,
    /// None of the keys has its `kid`.
    #[error("it was signed with another key than those of this key set")]
    UnknownKey,
    /// The signature is another one's, or the text was changed.
    #[error("its signature does not verify: it was changed, or another installation signed it")]
    NotAuthentic,
}

/// The Ed25519 key (RFC 8032) that signs an installation's statements. It cannot be printed, copied or serialized.
pub struct SigningKey {
    key: EncodingKey,
    x: String,
    kid: String,
}

impl SigningKey {
    /// The key pair whose private part is the installation's key.
    ///
    /// # Errors
    /// [`CryptoError::Limit`] never, with a key of 32 bytes.
    pub fn new(key: &InstallationKey) -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(key.secret().expose()).map_err(|_| CryptoError::Limit)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| CryptoError::Limit)?;
        let (x, kid) = public_parts(&pair);
        Ok(Self { key: EncodingKey::from_ed_der(pkcs8.as_ref()), x, kid })
    }

    /// The key set that its statements are verified with (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        key_set(&self.x, &self.kid)
    }

    /// A statement as a compact JWS (RFC 7515).
    ///
    /// # Errors
    /// [`CryptoError::Form`] for claims that are no JSON object.
    pub fn sign(&self, statement: Statement, claims: &impl Serialize) -> Result<String, CryptoError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(statement.as_str().to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| CryptoError::Form)
    }
}

/// The public key in base64url, and its thumbprint (RFC 7638), which makes a `kid` of its own for each key.
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

/// Verifies a statement with a key set; gives its kind and what it says.
///
/// # Errors
/// When it is none, or its signature is not one of these keys'.
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
    // A statement says what was; it does not end.
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
