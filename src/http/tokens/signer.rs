//! Signs tokens for development and tests. In production, the platform's own issuer does.

use crate::crypto::{key_set, public_parts};
use crate::domain::{Narrowing, Timestamp, TokenKind, pem_blocks};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const LABEL: &str = "PRIVATE KEY";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// The length of a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

/// Why no key or token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// No key could be generated.
    #[error("no Ed25519 key could be generated")]
    Generate,
    /// The text is not a key of the right form.
    #[error("the text is not an unencrypted Ed25519 key in PKCS#8 PEM")]
    Form,
    /// The token could not be signed.
    #[error("the token could not be signed")]
    Sign,
}

/// Signs tokens with an Ed25519 key. It has no `Debug`, so that the key gets into no log.
pub struct Signer {
    key: EncodingKey,
    /// The public key, base64url.
    x: String,
    /// The key's thumbprint (RFC 7638), so that each key has its own `kid`.
    kid: String,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The issuer.
    pub iss: String,
    /// The kind of principal, which makes its audience.
    pub kind: TokenKind,
    /// The subject, without the issuer's prefix.
    pub sub: String,
    /// From when on it is valid (`iat` and `nbf`); written in whole seconds, the rest is cut off.
    pub issued: Timestamp,
    /// When it ends (`exp`); written in whole seconds, the rest is cut off.
    pub expires: Timestamp,
    /// The limits of the token; written for runtimes only.
    pub narrowing: Narrowing,
}

impl Signer {
    /// Generates a new key.
    ///
    /// # Errors
    /// When the random number generator fails.
    pub fn generate() -> Result<Self, SignerError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignerError::Generate)?;
        Self::of(&pair).ok_or(SignerError::Generate)
    }

    /// Reads what [`Self::to_pem`] writes, or `openssl genpkey -algorithm ED25519`.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn from_pem(pem: &SecretString) -> Result<Self, SignerError> {
        let blocks = pem_blocks(pem.expose_secret()).ok_or(SignerError::Form)?;
        let block = blocks.iter().find(|block| block.label == LABEL).ok_or(SignerError::Form)?;
        let pkcs8 = block.decode().ok_or(SignerError::Form)?;
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| SignerError::Form)?;
        Self::of(&pair).ok_or(SignerError::Form)
    }

    fn of(pair: &Ed25519KeyPair) -> Option<Self> {
        // Version 1, since OpenSSL reads no other.
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().ok()?.as_ref());
        let (x, kid) = public_parts(pair);
        Some(Self { key, x, kid })
    }

    /// The key in PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> SecretString {
        let body = Zeroizing::new(STANDARD.encode(self.key.as_bytes()));
        let mut pem = String::with_capacity(BEGIN.len() + body.len() * 2 + END.len());
        pem.push_str(BEGIN);
        for (index, character) in body.chars().enumerate() {
            if index % LINE == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push('\n');
        pem.push_str(END);
        pem.push('\n');
        pem.into()
    }

    /// The public key set, with one key and its `kid`.
    #[must_use]
    pub fn jwks(&self) -> String {
        key_set(&self.x, &self.kid).to_string()
    }

    /// Signs a token with these claims, in compact form. It may be one that a verifier refuses.
    ///
    /// # Errors
    /// When the signing fails.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignerError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims.body(), &self.key).map_err(|_| SignerError::Sign)
    }
}

impl Claims {
    fn body(&self) -> Map<String, Value> {
        let issued = seconds(self.issued);
        let mut body = Map::new();
        let mut claim = |name: &str, value: Value| body.insert(name.to_owned(), value);
        claim("iss", json!(self.iss));
        claim("aud", json!(self.kind.audience()));
        claim("sub", json!(self.sub));
        claim("iat", json!(issued));
        claim("nbf", json!(issued));
        claim("exp", json!(seconds(self.expires)));
        if self.kind == TokenKind::Runtime {
            let Narrowing { project, agent, milestone, names } = &self.narrowing;
            if let Some(project) = project {
                claim("vault:project", json!(project.as_str()));
            }
            if let Some(agent) = agent {
                claim("vault:agent", json!(agent.as_str()));
            }
            if let Some(milestone) = milestone {
                claim("vault:milestone", json!(milestone.as_str()));
            }
            if let Some(names) = names {
                claim("vault:names", json!(names));
            }
        }
        body
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}
