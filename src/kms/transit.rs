//! The Transit engine of OpenBao or HashiCorp Vault as a key provider, over its HTTP API. The
//! master key never leaves the engine.
//!
//! `POST encrypt/NAME` and `POST decrypt/NAME` with `associated_data`, and `GET keys/NAME` for the
//! key's versions (<https://openbao.org/api-docs/secret/transit/>). A master key's id is
//! `transit:NAME:vN`, N as in the ciphertext `vault:vN:...`. `rewrap` takes no associated data, so
//! a key is moved to a new version by decrypting and encrypting it.

use super::{KeyFuture, KeyProvider};
use crate::crypto::{KeyBytes, KeyringError, WrapContext, WrappedKey};
use crate::domain::{is_loopback_host, with_causes};
use crate::trace::{ExportedSpan, TraceContext};
use data_encoding::BASE64;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use zeroize::Zeroizing;

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for a request, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;
/// The path of the engine when its address has none.
const MOUNT: &str = "/v1/transit";
const SCHEME: &str = "transit";
/// The types of keys that support associated data.
const TYPES: [&str; 4] = ["aes256-gcm96", "aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305"];

/// The address of an engine: https, or http on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitUrl(String);

impl TransitUrl {
    /// Validates an address; without a path, it gets `/v1/transit`.
    ///
    /// # Errors
    /// Why keys must not be sent there, and what to give instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut url =
            reqwest::Url::parse(text).map_err(|_| "is not a URL; write one such as https://bao.example:8200")?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("has no host; write one such as https://bao.example:8200")?;
        let is_loopback = is_loopback_host(host);
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or password; give a token as VAULT_TRANSIT_TOKEN");
        }
        // Over http, anyone on the network could read the token and the keys.
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err("is not https; use https, or http for a loopback address");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment; give the address without it");
        }
        if url.path() == "/" {
            url.set_path(MOUNT);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// The address of an engine, the key to use, and the token.
#[derive(Clone)]
pub struct TransitConfig {
    /// The engine's address.
    pub url: TransitUrl,
    /// The key's name.
    pub key: String,
    /// The token.
    pub token: SecretString,
}

/// Whether a text can name a key of the engine: at most 128 letters, digits, `_`, `-` and `.`,
/// neither beginning nor ending with `-` or `.`.
#[must_use]
pub fn is_key_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let end = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = text.as_bytes();
    bytes.len() <= 128 && bytes.iter().copied().all(inner) && end(bytes.first()) && end(bytes.last())
}

/// Why a request to the engine failed. Messages name settings and statuses, never what was sent or
/// received.
#[derive(Debug, thiserror::Error)]
pub enum TransitError {
    /// The engine cannot be reached in time.
    #[error("VAULT_TRANSIT_URL: the engine cannot be reached: {0}")]
    Unreachable(String),
    /// The token does not permit the operation.
    #[error(
        "VAULT_TRANSIT_TOKEN: the engine answers 403 to {0}: the token has expired, or its policy does not allow this"
    )]
    Forbidden(&'static str),
    /// The engine has no such key.
    #[error(
        "VAULT_TRANSIT_KEY: the engine has no key of this name, or VAULT_TRANSIT_URL names another mount ({0} answers 404)"
    )]
    NoKey(&'static str),
    /// The key does not support associated data.
    #[error(
        "VAULT_TRANSIT_KEY: the key does not support associated data; use one of type aes256-gcm96 that is not derived"
    )]
    NoUse,
    /// An undocumented status.
    #[error("VAULT_TRANSIT_URL: the engine answers {status} to {what}")]
    Status {
        /// The operation.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// The response does not have the documented form.
    #[error(
        "VAULT_TRANSIT_URL: the answer to {0} is not one of OpenBao's Transit engine; check that the address is the engine's"
    )]
    Form(&'static str),
    /// The HTTP client or the token's header cannot be built.
    #[error("VAULT_TRANSIT_TOKEN: the token cannot be sent: {0}")]
    Client(String),
}

impl From<TransitError> for KeyringError {
    fn from(error: TransitError) -> Self {
        Self::Provider(Box::new(error))
    }
}

/// A key of a Transit engine.
pub struct Transit {
    client: Client,
    url: String,
    key: String,
    token: HeaderValue,
}

#[derive(Deserialize)]
struct Answered<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted<'a> {
    #[serde(borrow)]
    ciphertext: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Decrypted<'a> {
    /// Borrowed from the response, which is zeroized.
    plaintext: &'a str,
}

#[derive(Deserialize)]
struct KeyInfo {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    latest_version: u32,
    #[serde(default = "first")]
    min_decryption_version: u32,
    #[serde(default)]
    keys: serde_json::Map<String, serde_json::Value>,
}

const fn first() -> u32 {
    1
}

impl Transit {
    /// A provider for this key; it connects at first use.
    ///
    /// # Errors
    /// When a header cannot carry the token, or TLS is not available.
    pub fn new(config: &TransitConfig) -> Result<Self, TransitError> {
        let mut client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT);
        if config.url.0.starts_with("http:") {
            // A proxy would see the token and the keys.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| TransitError::Client(with_causes(&error)))?;
        let mut token = HeaderValue::from_str(config.token.expose_secret())
            .map_err(|error: InvalidHeaderValue| TransitError::Client(error.to_string()))?;
        token.set_sensitive(true);
        Ok(Self { client, url: config.url.0.clone(), key: config.key.clone(), token })
    }

    /// Sends a request; returns the status and the response, which may contain a key.
    async fn ask(
        &self,
        method: Method,
        what: &'static str,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), TransitError> {
        let explain = |error: reqwest::Error| TransitError::Unreachable(with_causes(&error.without_url()));
        let url = format!("{}/{what}/{}", self.url, self.key);
        let span = ExportedSpan::http_call(if method == Method::GET { "GET" } else { "POST" }, Some(what));
        let mut request = self.client.request(method, url).header("X-Vault-Token", self.token.clone());
        // Protects against requests that others make a browser or proxy send; the engine's agent
        // requires it.
        request = request.header("X-Vault-Request", "true");
        if let Some(body) = body {
            // The client copies the body into buffers of its own; only ours is zeroized.
            request = request.header("Content-Type", "application/json").body(body.to_vec());
        }
        // Within the span, so that the engine's own spans belong to it.
        let response = span.around(async {
            let trace = TraceContext::propagated();
            let headers = trace.iter().flat_map(TraceContext::headers);
            headers.fold(request, |request, (name, value)| request.header(name, value)).send().await
        });
        let response = response.await;
        span.answered(response.as_ref().ok().map(|response| response.status().as_u16()));
        let mut response = response.map_err(explain)?;
        let status = response.status();
        let mut answer = Zeroizing::new(Vec::with_capacity(MAX_RESPONSE_BYTES));
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            if answer.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(TransitError::Form(what));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok((status, answer))
    }

    /// Turns every status but 200 into an error.
    fn done(what: &'static str, status: StatusCode) -> Result<(), TransitError> {
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(TransitError::Forbidden(what)),
            StatusCode::NOT_FOUND => Err(TransitError::NoKey(what)),
            other => Err(TransitError::Status { what, status: other.as_u16() }),
        }
    }

    async fn info(&self) -> Result<KeyInfo, TransitError> {
        const WHAT: &str = "keys";
        let (status, answer) = self.ask(Method::GET, WHAT, None).await?;
        Self::done(WHAT, status)?;
        let info: KeyInfo = read(WHAT, &answer)?;
        if info.derived || !TYPES.contains(&info.kind.as_str()) {
            return Err(TransitError::NoUse);
        }
        Ok(info)
    }

    fn id(&self, version: &str) -> String {
        format!("{SCHEME}:{}:v{version}", self.key)
    }

    /// The associated data in Base64: the context and the key's name. The ciphertext names the
    /// key's version and opens with that version alone.
    fn associated(&self, context: &WrapContext) -> String {
        BASE64.encode(&context.and(&format!("{SCHEME}:{}", self.key)))
    }

    async fn encrypt(&self, secret: &KeyBytes, context: &WrapContext) -> Result<WrappedKey, TransitError> {
        const WHAT: &str = "encrypt";
        let plaintext = Zeroizing::new(BASE64.encode(secret.expose()));
        let body = body(&[("plaintext", &plaintext), ("associated_data", &self.associated(context))]);
        let (status, answer) = self.ask(Method::POST, WHAT, Some(body)).await?;
        Self::done(WHAT, status)?;
        let Encrypted { ciphertext } = read(WHAT, &answer)?;
        let version = version_of(&ciphertext).ok_or(TransitError::Form(WHAT))?;
        Ok(WrappedKey { master_key: self.id(version), bytes: ciphertext.as_bytes().to_vec() })
    }

    async fn decrypt(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<KeyBytes, KeyringError> {
        const WHAT: &str = "decrypt";
        let wrong = || KeyringError::WrongKey(wrapped.master_key.clone());
        let ciphertext = std::str::from_utf8(&wrapped.bytes).map_err(|_| wrong())?;
        if version_of(ciphertext).map(|version| self.id(version)).as_deref() != Some(&wrapped.master_key) {
            return Err(wrong());
        }
        let body = body(&[("ciphertext", ciphertext), ("associated_data", &self.associated(context))]);
        let (status, answer) = self.ask(Method::POST, WHAT, Some(body)).await?;
        if status == StatusCode::BAD_REQUEST {
            // There is no such key, its version may no longer be used, or the context is another
            // one.
            return Err(wrong());
        }
        Self::done(WHAT, status)?;
        let Decrypted { plaintext } = read(WHAT, &answer)?;
        let secret = BASE64.decode(plaintext.as_bytes()).map(Zeroizing::new).map_err(|_| TransitError::Form(WHAT))?;
        KeyBytes::copy_of(&secret).ok_or_else(wrong)
    }
}

/// A JSON object in a buffer that does not grow, so that it leaves no copy behind. The values are
/// Base64 or a ciphertext.
fn body(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // JSON escapes a byte to at most six.
    let room = fields.iter().fold(2, |room, (name, value)| room + 6 * (name.len() + value.len()) + 6);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    let fields: BTreeMap<&str, &str> = fields.iter().copied().collect();
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *body, &fields);
    body
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, answer: &'a [u8]) -> Result<T, TransitError> {
    // The parser's own error could repeat its input.
    let answered: Answered<T> = serde_json::from_slice(answer).map_err(|_| TransitError::Form(what))?;
    Ok(answered.data)
}

/// The version in `vault:vN:...`.
fn version_of(ciphertext: &str) -> Option<&str> {
    let (version, rest) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    let is_number = !version.is_empty() && version.len() <= 9 && version.bytes().all(|b| b.is_ascii_digit());
    (is_number && !version.starts_with('0') && !rest.is_empty()).then_some(version)
}

impl KeyProvider for Transit {
    fn owns(&self, master_key: &str) -> bool {
        master_key.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| {
            rest.rsplit_once(":v").is_some_and(|(key, version)| key == self.key && version.parse::<u32>().is_ok())
        })
    }

    fn current(&self) -> KeyFuture<'_, String> {
        Box::pin(async { Ok(self.id(&self.info().await?.latest_version.to_string())) })
    }

    fn known(&self) -> KeyFuture<'_, Vec<String>> {
        Box::pin(async {
            let info = self.info().await?;
            let mut versions: Vec<u32> = info.keys.keys().filter_map(|version| version.parse().ok()).collect();
            versions.retain(|version| *version >= info.min_decryption_version);
            versions.sort_unstable();
            Ok(versions.iter().map(|version| self.id(&version.to_string())).collect())
        })
    }

    fn wrap<'a>(&'a self, secret: &'a KeyBytes, context: &'a WrapContext) -> KeyFuture<'a, WrappedKey> {
        Box::pin(async { Ok(self.encrypt(secret, context).await?) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyFuture<'a, KeyBytes> {
        Box::pin(self.decrypt(wrapped, context))
    }

    fn reload(&self) -> KeyFuture<'_, String> {
        self.current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_loopback_and_may_name_its_mount() {
        let read = |text| TransitUrl::parse(text).map(|url| url.0);
        assert_eq!(read("https://bao.example:8200").as_deref(), Ok("https://bao.example:8200/v1/transit"));
        assert_eq!(read("http://127.0.0.1:8200/").as_deref(), Ok("http://127.0.0.1:8200/v1/transit"));
        assert_eq!(read("https://bao/v1/ns/keys/").as_deref(), Ok("https://bao/v1/ns/keys"));
        for bad in ["http://bao.example", "ftp://bao", "bao", "https://u:p@bao", "https://bao/v1/transit?x=1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ciphertext_tells_its_version() {
        assert_eq!(version_of("vault:v12:abc"), Some("12"));
        for bad in ["vault:v0:abc", "vault:v:abc", "vault:v1:", "vault:1:abc", "vault:v-1:a", "bao:v1:abc", ""] {
            assert_eq!(version_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_has_a_name_that_a_path_can_hold() {
        for good in ["vault", "a", "project-vault.v2", "_x_"] {
            assert!(is_key_name(good), "{good}");
        }
        for bad in ["", "a/b", "-a", "a-", "..", "a b", "ä"] {
            assert!(!is_key_name(bad), "{bad}");
        }
    }
}
