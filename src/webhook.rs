//! Sends signed messages to one address, which the operator's settings name, by the specification
//! Standard Webhooks (<https://www.standardwebhooks.com>).

use crate::crypto::SigningKey;
use crate::domain::{is_loopback_host, with_causes};
use crate::trace::ExportedSpan;
use aws_lc_rs::hmac;
use data_encoding::BASE64;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for a message, connecting included.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// What a secret begins with, before its base64.
const SECRET_PREFIX: &str = "whsec_";

/// The address of a receiver: https, or http on loopback. It has no printed form, because its query
/// may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// Validates an address. With `allow_private`, it may be one of a private network.
    ///
    /// # Errors
    /// Why nothing is sent there, and what to give instead.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "is not a URL; write one such as https://hooks.example/vault")?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or("has no host; write one such as https://hooks.example/vault")?;
        let is_loopback = is_loopback_host(host);
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or password; the receiver verifies signatures instead");
        }
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
            return Err("is not https; use https, or http for a loopback address");
        }
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if !is_loopback && literal.is_ok_and(|address| !Reach::of(allow_private).permits(address)) {
            return Err(Reach::of(allow_private).advice());
        }
        Ok(Self(url))
    }
}

/// The secret that a receiver verifies messages with: 24 to 64 bytes.
#[derive(Clone)]
pub struct WebhookSecret(Arc<Zeroizing<Vec<u8>>>);

impl WebhookSecret {
    /// Reads `whsec_` and the bytes in base64.
    ///
    /// # Errors
    /// Why it is no such secret.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str =
            "is not whsec_ and 24 to 64 bytes in base64; make one with: echo whsec_$(openssl rand -base64 32)";
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(FORM)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| FORM)?);
        if (24..=64).contains(&bytes.len()) { Ok(Self(Arc::new(bytes))) } else { Err(FORM) }
    }
}

/// A receiver and its secret.
#[derive(Clone)]
pub struct WebhookConfig {
    /// The receiver's address.
    pub url: WebhookUrl,
    /// The secret of the signature `v1`.
    pub secret: WebhookSecret,
    /// Whether the address may be one of a private network.
    pub allow_private: bool,
}

/// Why a message was not accepted. Messages hold nothing of the address or the answer.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The receiver cannot be reached in time, or its address is refused.
    #[error("the receiver of VAULT_NOTICES_URL cannot be reached: {0}")]
    Unreachable(String),
    /// The receiver answers another status than 2xx.
    #[error("the receiver of VAULT_NOTICES_URL answers {0}")]
    Status(u16),
    /// The message cannot be signed.
    #[error("a notice cannot be signed")]
    Unsigned,
}

/// The addresses that messages may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Of the public internet.
    Public,
    /// Those, and private ones.
    Private,
    /// This machine.
    Loopback,
}

impl Reach {
    const fn of(allow_private: bool) -> Self {
        if allow_private { Self::Private } else { Self::Public }
    }

    /// Link-local addresses, where clouds serve credentials, are never permitted.
    fn permits(self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::Loopback, address) => address.is_loopback(),
            (_, IpAddr::V4(v4)) => is_public_v4(v4) || (self == Self::Private && is_private_v4(v4)),
            (_, IpAddr::V6(v6)) => is_public_v6(v6) || (self == Self::Private && is_private_v6(v6)),
        }
    }
}

impl Reach {
    /// Why an address that is not permitted is refused, and what to do.
    const fn advice(self) -> &'static str {
        match self {
            Self::Public => "has no public address; give one, or set VAULT_NOTICES_ALLOW_PRIVATE for a private network",
            Self::Private => "has neither a public address nor one of a private network; give another",
            Self::Loopback => "is not this machine; give 127.0.0.1 or [::1]",
        }
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    // 100.64.0.0/10 is shared between a provider and its customers (RFC 6598).
    address.is_private() || address.is_loopback() || (a == 100 && b & 0xc0 == 64)
}

/// Whether an address is global by IANA's registry of special addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(is_private_v4(address)
        || a == 0
        || a >= 224
        || address.is_link_local()
        || address.is_documentation()
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && b & 0xfe == 18))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.segments()[0] & 0xfe00 == 0xfc00
}

/// Whether an address is of the global unicast block, and none of those in it that stand for an IPv4
/// address or for nothing.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && a != 0x2002 && !(a == 0x2001 && b < 0x200) && !(a == 0x2001 && b == 0xdb8) && a != 0x3fff
}

/// Resolves names to the addresses that messages may go to. It is asked for each connection, so what
/// a name resolves to later is checked as well.
struct CheckedResolver(Reach);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<_> = found.filter(|address| reach.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(format!("the receiver {}", reach.advice()).into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// Sends messages to one receiver. Cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    secret: WebhookSecret,
}

impl Webhook {
    /// Connects at first use. Follows no redirect and uses no proxy, since either could lead
    /// elsewhere.
    ///
    /// # Errors
    /// When TLS is not available.
    pub fn new(config: &WebhookConfig) -> Result<Self, WebhookError> {
        let url = config.url.0.clone();
        let is_loopback = url.host_str().is_some_and(is_loopback_host);
        let reach = if is_loopback { Reach::Loopback } else { Reach::of(config.allow_private) };
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(CheckedResolver(reach)))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(SEND_TIMEOUT)
            .build()
            .map_err(|error| WebhookError::Unreachable(with_causes(&error)))?;
        Ok(Self { client, url, secret: config.secret.clone() })
    }

    /// Sends a message once, signed with the secret (`v1`) and with `key` (`v1a`). `at` is now, in
    /// seconds since the Unix epoch. The body of the answer is not read.
    ///
    /// # Errors
    /// Unless the receiver answers 2xx in time.
    pub async fn send(&self, id: &str, at: i64, body: String, key: &SigningKey) -> Result<(), WebhookError> {
        let signed = format!("{id}.{at}.{body}");
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret.0);
        let shared = BASE64.encode(hmac::sign(&hmac_key, signed.as_bytes()).as_ref());
        let public = key.sign_message(id, signed.as_bytes()).map_err(|_| WebhookError::Unsigned)?;
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("project-vault/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", format!("v1,{shared} v1a,{}", BASE64.encode(&public)))
            .body(body);
        let span = ExportedSpan::http_call("POST", None);
        let answer = span.around(request.send()).await;
        span.answered(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        let status = answer.map_err(|error| WebhookError::Unreachable(with_causes(&error.without_url())))?.status();
        if status.is_success() { Ok(()) } else { Err(WebhookError::Status(status.as_u16())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached_unless_private_ones_are_allowed() {
        let public = ["1.1.1.1", "93.184.216.34", "2606:2800:220:1::1"];
        let private =
            ["10.0.0.1", "172.16.9.9", "192.168.1.1", "127.0.0.1", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"];
        let never = [
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.1",
            "fe80::1",
            "::",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "::ffff:169.254.169.254",
        ];
        for (addresses, by_default, allowed) in
            [(&public[..], true, true), (&private, false, true), (&never, false, false)]
        {
            for text in addresses {
                let address = text.parse().unwrap();
                assert_eq!(Reach::Public.permits(address), by_default, "{text}");
                assert_eq!(Reach::Private.permits(address), allowed, "{text}");
            }
        }
        assert!(
            Reach::Loopback.permits("127.0.0.1".parse().unwrap())
                && !Reach::Loopback.permits("1.1.1.1".parse().unwrap())
        );
    }

    #[test]
    fn an_address_is_https_or_loopback_and_not_private() {
        let parsed = |text, allow| WebhookUrl::parse(text, allow).is_ok();
        for good in
            ["https://hooks.example/vault?token=x", "http://127.0.0.1:9000/", "http://localhost/", "https://[::1]/"]
        {
            assert!(parsed(good, false), "{good}");
        }
        for bad in [
            "http://hooks.example",
            "https://u:p@hooks.example",
            "hooks.example",
            "ftp://hooks.example",
            "https://169.254.169.254/",
        ] {
            assert!(!parsed(bad, true), "{bad}");
        }
        // In any spelling of the address.
        for private in [
            "https://10.0.0.1/",
            "https://0x0a000001/",
            "https://167772161/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
        ] {
            assert!(!parsed(private, false) && parsed(private, true), "{private}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let resolved = |reach| async move {
            let name = "localhost".parse().unwrap();
            CheckedResolver(reach).resolve(name).await.map(Iterator::count)
        };
        assert!(resolved(Reach::Public).await.is_err());
        assert!(resolved(Reach::Private).await.unwrap() > 0 && resolved(Reach::Loopback).await.unwrap() > 0);
        drop(listener);
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        let secret = |bytes: usize| format!("{SECRET_PREFIX}{}", BASE64.encode(&vec![7; bytes]));
        for bytes in [24, 32, 64] {
            assert!(WebhookSecret::parse(&secret(bytes)).is_ok(), "{bytes}");
        }
        for bad in [secret(23), secret(65), "whsec_".to_owned(), BASE64.encode(&[7; 32]), String::new()] {
            assert!(WebhookSecret::parse(&bad).is_err(), "{bad}");
        }
    }
}
