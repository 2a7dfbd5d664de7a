//! Verifying one token.

use super::issuers::{IssuerConfig, check_issuers};
use super::jwks::Key;
use super::remembered::{Remembered, RememberedTokens};
use super::sets::{IssuerKeys, Lookup};
use crate::domain::{
    AgentId, Clock, IdError, MilestoneId, Narrowing, Principal, ProjectId, RuntimeId, ServiceId, Timestamp, TokenKind,
    UserId,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Maximum length of a token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// How far the issuer's clock may be off.
const LEEWAY: Duration = Duration::from_secs(30);
/// Maximum lifetime of a runtime's token, which is in an agent's hands.
const MAX_RUNTIME_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The bounds of the refresh period: a shorter one would flood the issuers, a longer one could let
/// key sets expire between two reads.
const REFRESH_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(12 * 60 * 60));

/// Why a token is refused. The texts are for the caller and quote nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than 16 KiB.
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three base64url parts with JSON, or a claim is of another type than RFC 7519 says.
    #[error("the token is not a JSON Web Token in compact form")]
    Malformed,
    /// `alg` is not accepted, or not the one of the key.
    #[error("the token's algorithm is not RS256, ES256 or EdDSA, or does not fit its key")]
    Algorithm,
    /// It has `crit` (RFC 7515, section 4.1.11), and no extension is understood.
    #[error("the token has a critical header")]
    Critical,
    /// No `kid` in its header.
    #[error("the token names no key (kid)")]
    NoKeyId,
    /// `iss` is missing, or is not a trusted issuer.
    #[error("the token's issuer is not trusted")]
    Issuer,
    /// The issuer does not publish this key, or no longer does.
    #[error("the token's key is not among its issuer's keys")]
    UnknownKey,
    /// The issuer's keys were never read, or last more than 24 hours ago; the token may be good.
    #[error("the keys of the token's issuer cannot be read now; try again later")]
    KeysUnavailable,
    /// The signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// `aud` names none of the three audiences, or several of them.
    #[error("the token is not for exactly one of the vault's audiences")]
    Audience,
    /// The issuer may not issue tokens for this kind of principal.
    #[error("the token's issuer may not issue tokens for this audience")]
    Kind,
    /// No `exp`.
    #[error("the token has no expiry (exp)")]
    NoExpiry,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is still to come.
    #[error("the token is not valid yet")]
    NotYet,
    /// A runtime's token that lives longer than 24 hours.
    #[error("a runtime's token must expire within 24 hours")]
    TooLongLived,
    /// `sub` is missing, is not an id, or has the prefix of another issuer.
    #[error("the token's subject is not one its issuer may name")]
    Subject,
    /// A claim that limits a runtime's token has a wrong type or form.
    #[error("a vault:* claim of the token has the wrong form")]
    Narrowing,
}

impl TokenError {
    /// Whether the token was not checked at all, because the issuer's keys are unavailable.
    #[must_use]
    pub const fn is_unavailable(self) -> bool {
        matches!(self, Self::KeysUnavailable)
    }
}

/// The content of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The caller, with the limits of a runtime's token.
    pub principal: Principal,
    /// The `iss` of the issuer.
    pub issuer: String,
    /// When the token ends, without the leeway of 30 seconds.
    pub expires_at: Timestamp,
}

/// Verifies tokens with the keys of the trusted issuers. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    issuers: HashMap<String, Issuer>,
    clock: Arc<dyn Clock>,
    refresh: Duration,
    kept_fresh: AtomicBool,
    remembered: RememberedTokens,
}

struct Issuer {
    keys: Arc<IssuerKeys>,
    kinds: BTreeSet<TokenKind>,
    prefix: Option<String>,
    /// The prefixes of all other issuers, if this one has none.
    foreign: Vec<String>,
}

impl Verifier {
    /// Trusts these issuers. `refresh` is the age at which a key set is re-read, taken as 100 ms at
    /// least and 12 hours at most. Reads nothing yet.
    ///
    /// # Errors
    /// The problems that [`check_issuers`] finds, and errors of setting up HTTP clients.
    pub fn new(issuers: Vec<IssuerConfig>, clock: Arc<dyn Clock>, refresh: Duration) -> Result<Self, Vec<String>> {
        let mut problems = check_issuers(&issuers);
        let refresh = refresh.clamp(REFRESH_BOUNDS.0, REFRESH_BOUNDS.1);
        let prefixes: Vec<_> = issuers.iter().filter_map(|issuer| issuer.subject_prefix.clone()).collect();
        let mut trusted = HashMap::new();
        for IssuerConfig { iss, keys, kinds, subject_prefix: prefix } in issuers {
            match IssuerKeys::new(&iss, keys, Arc::clone(&clock), refresh) {
                Ok(keys) => {
                    let foreign = if prefix.is_none() { prefixes.clone() } else { Vec::new() };
                    trusted.insert(iss, Issuer { keys: Arc::new(keys), kinds, prefix, foreign });
                }
                Err(error) => problems.push(format!("issuer {iss:?}: keys cannot be fetched: {error}")),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let kept_fresh = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner {
            issuers: trusted,
            clock,
            refresh,
            kept_fresh,
            remembered: RememberedTokens::default(),
        })))
    }

    /// Reads all key sets, and then re-reads them in the background until the last clone is
    /// dropped, so that a key that was withdrawn during a quiet time does not verify the next
    /// token. Gives the problems, each naming its issuer; a set that cannot be read now is tried
    /// again later.
    pub async fn load(&self) -> Vec<String> {
        let problems = self.0.read_all().await;
        if !self.0.kept_fresh.swap(true, Ordering::Relaxed) {
            tokio::spawn(keep_fresh(Arc::downgrade(&self.0), self.0.refresh));
        }
        problems
    }

    /// Verifies a token, and gives its principal.
    ///
    /// A token with a known key is verified at once; otherwise this waits until the key set is
    /// re-read.
    ///
    /// # Errors
    /// Why it is refused. [`TokenError::KeysUnavailable`] says nothing about the token; all others
    /// are final for it, but for [`TokenError::UnknownKey`] and [`TokenError::NotYet`].
    pub async fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let id = RememberedTokens::id(token);
        if let Some(known) = self.0.remembered.get(&id) {
            if let Some(trusted) = self.0.issuers.get(&known.verified.issuer)
                && let Lookup::Found(keys) = trusted.keys.find(&known.key_id, known.key.algorithm).await
                && keys.iter().any(|key| Arc::ptr_eq(key, &known.key))
            {
                known.lifetime.check(self.0.clock.now())?;
                return Ok(known.verified.clone());
            }
            self.0.remembered.forget(&id);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let header: Header = part(header)?;
        let algorithm = accepted(&header.alg).ok_or(TokenError::Algorithm)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let key_id = header.kid.ok_or(TokenError::NoKeyId)?;
        // Only selects the keys. All claims are read again below, after the signature has been
        // verified.
        let Unverified { iss } = part(payload)?;
        let iss = iss.ok_or(TokenError::Issuer)?;
        let trusted = self.0.issuers.get(&iss).ok_or(TokenError::Issuer)?;

        let keys = match trusted.keys.find(&key_id, algorithm).await {
            Lookup::Found(keys) => keys,
            Lookup::Unknown => return Err(TokenError::UnknownKey),
            Lookup::OtherAlgorithm => return Err(TokenError::Algorithm),
            Lookup::Unavailable => return Err(TokenError::KeysUnavailable),
        };
        let (key, claims) = claims(token, keys, algorithm)?;
        if claims.iss != iss {
            return Err(TokenError::Issuer);
        }
        let kind = claims.aud.kind()?;
        if !trusted.kinds.contains(&kind) {
            return Err(TokenError::Kind);
        }
        let lifetime = claims.lifetime(kind)?;
        lifetime.check(self.0.clock.now())?;
        let principal = trusted.principal(kind, &claims)?;
        let verified = Verified { principal, issuer: iss, expires_at: lifetime.expires };
        let length = token.len();
        self.0.remembered.insert(id, Remembered { key_id, key, verified: verified.clone(), lifetime, length });
        Ok(verified)
    }
}

impl Inner {
    async fn read_all(&self) -> Vec<String> {
        let reads = self.issuers.iter().map(async |(iss, issuer)| {
            issuer.keys.read().await.err().map(|problem| format!("issuer {iss:?}: {problem}"))
        });
        futures::future::join_all(reads).await.into_iter().flatten().collect()
    }
}

async fn keep_fresh(verifier: Weak<Inner>, refresh: Duration) {
    loop {
        tokio::time::sleep(refresh).await;
        match verifier.upgrade() {
            // Errors are logged by the read itself.
            Some(verifier) => drop(verifier.read_all().await),
            None => break,
        }
    }
}

impl Issuer {
    fn principal(&self, kind: TokenKind, claims: &Body) -> Result<Principal, TokenError> {
        let sub = claims.sub.as_deref().filter(|sub| !sub.is_empty()).ok_or(TokenError::Subject)?;
        if self.foreign.iter().any(|prefix| sub.starts_with(prefix)) {
            return Err(TokenError::Subject);
        }
        let id = format!("{}{sub}", self.prefix.as_deref().unwrap_or_default());
        let principal = match kind {
            TokenKind::User => UserId::parse(id).map(Principal::User),
            TokenKind::Service => ServiceId::parse(id).map(Principal::Service),
            TokenKind::Runtime => {
                let narrowing = claims.narrowing()?;
                RuntimeId::parse(id).map(|id| Principal::Runtime(id, narrowing))
            }
        };
        principal.map_err(|_| TokenError::Subject)
    }
}

fn accepted(alg: &str) -> Option<Algorithm> {
    match alg {
        "RS256" => Some(Algorithm::RS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

/// The claims of a token, and the key that verified its signature. Several keys of one issuer may
/// have the same `kid` and algorithm; the first that fits counts.
fn claims(token: &str, keys: Vec<Arc<Key>>, algorithm: Algorithm) -> Result<(Arc<Key>, Body), TokenError> {
    let validation = signature_only(algorithm);
    for key in keys {
        match jsonwebtoken::decode::<Body>(token, &key.decoding, &validation) {
            Ok(decoded) => return Ok((key, decoded.claims)),
            Err(error) => match refused(error.kind()) {
                TokenError::Signature => {}
                other => return Err(other),
            },
        }
    }
    Err(TokenError::Signature)
}

/// Only the signature, and that with this one algorithm: the claims are checked here, by the
/// vault's own clock.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

fn refused(error: &ErrorKind) -> TokenError {
    match error {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}

fn part<T: DeserializeOwned>(encoded: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

/// The header parameters that are used (RFC 7515, section 4.1). All others, such as `jku` and
/// `jwk`, have no effect.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Unverified {
    iss: Option<String>,
}

/// The claims. Those that only some kinds of principal need, or that have their own error, are kept
/// as plain JSON values.
#[derive(Deserialize)]
struct Body {
    iss: String,
    #[serde(default)]
    aud: Audiences,
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present", rename = "vault:project")]
    project: Option<Value>,
    #[serde(default, deserialize_with = "present", rename = "vault:agent")]
    agent: Option<Value>,
    #[serde(default, deserialize_with = "present", rename = "vault:milestone")]
    milestone: Option<Value>,
    #[serde(default, deserialize_with = "present", rename = "vault:names")]
    names: Option<Value>,
}

/// Tells a member that is null from one that is not there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audiences {
    /// The one kind whose audience is named; audiences of other services do not matter.
    fn kind(&self) -> Result<TokenKind, TokenError> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        let mut kinds = TokenKind::ALL.iter().copied().filter(|kind| names.iter().any(|name| name == kind.audience()));
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(kind),
            _ => Err(TokenError::Audience),
        }
    }
}

/// When a token is valid.
pub(super) struct Lifetime {
    expires: Timestamp,
    begins: Option<Timestamp>,
    /// Whether it is a runtime's, whose lifetime is limited.
    is_runtime: bool,
}

impl Lifetime {
    pub(super) fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        if now >= self.expires.plus(LEEWAY) {
            return Err(TokenError::Expired);
        }
        if self.begins.is_some_and(|begins| now < begins.minus(LEEWAY)) {
            return Err(TokenError::NotYet);
        }
        if self.is_runtime && self.expires > now.plus(MAX_RUNTIME_LIFETIME).plus(LEEWAY) {
            return Err(TokenError::TooLongLived);
        }
        Ok(())
    }
}

impl Body {
    /// Reads `exp` and `nbf` (RFC 7519, sections 4.1.4 and 4.1.5).
    fn lifetime(&self, kind: TokenKind) -> Result<Lifetime, TokenError> {
        Ok(Lifetime {
            expires: instant(self.exp.as_ref().ok_or(TokenError::NoExpiry)?)?,
            begins: self.nbf.as_ref().map(instant).transpose()?,
            is_runtime: kind == TokenKind::Runtime,
        })
    }

    fn narrowing(&self) -> Result<Narrowing, TokenError> {
        let names = match &self.names {
            None => None,
            Some(Value::Array(names)) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned));
                Some(names.collect::<Option<_>>().ok_or(TokenError::Narrowing)?)
            }
            Some(_) => return Err(TokenError::Narrowing),
        };
        Ok(Narrowing {
            project: id(self.project.as_ref(), ProjectId::parse)?,
            agent: id(self.agent.as_ref(), AgentId::parse)?,
            milestone: id(self.milestone.as_ref(), MilestoneId::parse)?,
            names,
        })
    }
}

fn id<T>(claim: Option<&Value>, parse: fn(String) -> Result<T, IdError>) -> Result<Option<T>, TokenError> {
    let Some(claim) = claim else { return Ok(None) };
    let text = claim.as_str().ok_or(TokenError::Narrowing)?;
    parse(text.to_owned()).map(Some).map_err(|_| TokenError::Narrowing)
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, with fractions or without.
fn instant(date: &Value) -> Result<Timestamp, TokenError> {
    let since = match (date.as_u64(), date.as_f64()) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        // A time before 1970 counts as 1970; one too large for a duration is malformed.
        (None, Some(seconds)) => Duration::try_from_secs_f64(seconds.max(0.0)).map_err(|_| TokenError::Malformed)?,
        (None, None) => return Err(TokenError::Malformed),
    };
    Ok(Timestamp::from_millis(0).plus(since))
}
