//! Settings of a server besides its database, authorizer and keys: addresses, issuers, limits.

use super::problems::{Problems, Reader};
use super::settings::ServerSettings;
use crate::http::TlsFiles;
use crate::http::tokens::{IssuerConfig, JwksUrl, KeySource, Kind, parse_issuers};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4000);
/// The default address for metrics: loopback only, at any free port.
const METRICS_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const ADDRESS: &str = "is not an address; write IP:PORT, such as 127.0.0.1:4000 or [::]:4000";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The configuration of a server besides its database, authorizer and keys.
pub struct Server {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// A second address, for runtimes alone; without it, `listen` serves them too.
    pub runtime_listen: Option<SocketAddr>,
    /// The address that serves metrics and health.
    pub metrics_listen: SocketAddr,
    /// The certificate and key for https; without them, http.
    pub tls: Option<TlsFiles>,
    /// The trusted issuers of tokens.
    pub issuers: Vec<IssuerConfig>,
    /// The age at which key sets are read again.
    pub jwks_refresh: Duration,
    /// How long an allowing decision may be reused; zero asks every time.
    pub authz_max_age: Duration,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// How long a deleted entry can be restored.
    pub retention: Duration,
    /// How long audit events are kept; `None` keeps them for ever.
    pub audit_retention: Option<Duration>,
}

/// Validates the addresses of a server that needs no other setting: the one to listen on, and the
/// one for metrics if given.
///
/// # Errors
/// When a text is not an address, or both are the same.
pub fn listen_addresses(
    listen: Option<&OsString>,
    metrics_listen: Option<&OsString>,
) -> Result<(SocketAddr, Option<SocketAddr>), Problems> {
    let mut reader = Reader::default();
    let listen = reader.parsed("VAULT_LISTEN", listen, ADDRESS).unwrap_or(LISTEN);
    let metrics = read_metrics_listen(&mut reader, metrics_listen, &[("VAULT_LISTEN", Some(listen))]);
    reader.finish(Some((listen, metrics)))
}

/// The address for metrics, which must differ from the others.
fn read_metrics_listen(
    reader: &mut Reader,
    given: Option<&OsString>,
    others: &[(&str, Option<SocketAddr>)],
) -> Option<SocketAddr> {
    let metrics: Option<SocketAddr> = reader.parsed("VAULT_METRICS_LISTEN", given, ADDRESS);
    for (other, _) in others.iter().filter(|(_, address)| *address == metrics) {
        if metrics.is_some_and(|metrics| metrics.port() != 0) {
            reader.problem(
                "VAULT_METRICS_LISTEN",
                format_args!("is the address of {other}; give one that only your monitoring reaches"),
            );
        }
    }
    metrics
}

pub(super) fn read(reader: &mut Reader, settings: &ServerSettings) -> Option<Server> {
    let listen = reader.parsed("VAULT_LISTEN", settings.listen.as_ref(), ADDRESS).unwrap_or(LISTEN);
    let runtime_listen = reader.parsed("VAULT_RUNTIME_LISTEN", settings.runtime_listen.as_ref(), ADDRESS);
    if runtime_listen == Some(listen) && listen.port() != 0 {
        reader.problem(
            "VAULT_RUNTIME_LISTEN",
            "is the address of VAULT_LISTEN; give another one, or leave it out to serve all on one address",
        );
    }
    let others = [("VAULT_LISTEN", Some(listen)), ("VAULT_RUNTIME_LISTEN", runtime_listen)];
    let metrics_listen = read_metrics_listen(reader, settings.metrics_listen.as_ref(), &others);
    let tls = tls(reader, settings);
    let words = [("true", true), ("false", false)];
    let introspection =
        reader.choice("VAULT_INTROSPECTION", settings.introspection.as_ref(), &words).unwrap_or_default();
    let days = reader.number("VAULT_DELETED_RETENTION_DAYS", settings.deleted_retention_days.as_ref(), 0..=36_500, 30);
    let audit_days = reader.number("VAULT_AUDIT_RETENTION_DAYS", settings.audit_retention_days.as_ref(), 0..=36_500, 0);
    let max_age = reader.number("VAULT_AUTHZ_MAX_AGE_MS", settings.authz_max_age_ms.as_ref(), 0..=3_600_000, 0);
    let refresh = reader.number("VAULT_JWKS_REFRESH_SECONDS", settings.jwks_refresh_seconds.as_ref(), 1..=43_200, 300);
    let issuers = issuers(reader, settings);
    Some(Server {
        listen,
        runtime_listen,
        metrics_listen: metrics_listen.unwrap_or(METRICS_LISTEN),
        tls,
        issuers: issuers?,
        jwks_refresh: Duration::from_secs(refresh),
        authz_max_age: Duration::from_millis(max_age),
        introspection,
        retention: DAY * u32::try_from(days).unwrap_or(u32::MAX),
        audit_retention: u32::try_from(audit_days).ok().filter(|days| *days > 0).map(|days| DAY * days),
    })
}

fn tls(reader: &mut Reader, settings: &ServerSettings) -> Option<TlsFiles> {
    const CERTIFICATES: (&str, &str) = ("VAULT_TLS_CERT_FILE", "CERTIFICATE-----");
    const KEY: (&str, &str) = ("VAULT_TLS_KEY_FILE", "PRIVATE KEY-----");
    let certificate = Reader::path(settings.tls_cert_file.as_ref());
    let key = Reader::path(settings.tls_key_file.as_ref());
    for (given, other, lacking) in [(&certificate, &key, KEY), (&key, &certificate, CERTIFICATES)] {
        if given.is_some() && other.is_none() {
            reader.problem(lacking.0, "is missing; https needs the certificate and its key");
        }
    }
    for (path, (setting, holds)) in [(&certificate, CERTIFICATES), (&key, KEY)] {
        if let Some(path) = path
            && let Some(text) = reader.file(setting, path)
            && !text.contains(holds)
        {
            let what = holds.trim_end_matches('-').to_lowercase();
            reader.problem(setting, format_args!("{} holds no {what} in PEM", path.display()));
        }
    }
    certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key })
}

fn issuers(reader: &mut Reader, settings: &ServerSettings) -> Option<Vec<IssuerConfig>> {
    let iss = reader.text("VAULT_JWT_ISSUER", settings.jwt_issuer.as_ref());
    let keys_file = Reader::path(settings.jwks_file.as_ref());
    let keys_url = reader.text("VAULT_JWKS_URL", settings.jwks_url.as_ref());
    let url = keys_url.as_ref().and_then(|text| match JwksUrl::parse(text) {
        Ok(url) => Some(url),
        Err(reason) => {
            reader.problem("VAULT_JWKS_URL", reason);
            None
        }
    });
    if let Some(path) = Reader::path(settings.issuers_file.as_ref()) {
        let others = [
            ("VAULT_JWT_ISSUER", iss.is_some()),
            ("VAULT_JWKS_FILE", keys_file.is_some()),
            ("VAULT_JWKS_URL", keys_url.is_some()),
        ];
        for (setting, _) in others.into_iter().filter(|(_, given)| *given) {
            reader.problem(setting, "is given, and VAULT_ISSUERS_FILE as well; name every issuer in the file");
        }
        let text = reader.file("VAULT_ISSUERS_FILE", &path)?;
        return match parse_issuers(&text) {
            Ok(issuers) => Some(issuers),
            Err(found) => {
                for problem in found {
                    reader.problem("VAULT_ISSUERS_FILE", problem);
                }
                None
            }
        };
    }
    let keys = match (keys_file, url) {
        (Some(_), _) if keys_url.is_some() => {
            reader.problem("VAULT_JWKS_FILE", "is given, and VAULT_JWKS_URL as well; give one of the two");
            None
        }
        (Some(path), _) => Some(KeySource::File(path)),
        (None, Some(url)) => Some(KeySource::Url(url)),
        (None, None) => None,
    };
    let has_keys = settings.jwks_file.as_ref().is_some_and(|path| !path.is_empty()) || keys_url.is_some();
    match (iss.is_some(), has_keys) {
        (false, false) => reader.problem(
            "VAULT_JWT_ISSUER",
            "is missing; give the issuer's iss with VAULT_JWKS_FILE or VAULT_JWKS_URL, or VAULT_ISSUERS_FILE",
        ),
        (false, true) => {
            reader.problem("VAULT_JWT_ISSUER", "is missing; give the iss of the issuer that has these keys");
        }
        (true, false) => {
            reader.problem("VAULT_JWKS_FILE", "is missing; give the issuer's keys with it or VAULT_JWKS_URL");
        }
        (true, true) => {}
    }
    Some(vec![IssuerConfig { iss: iss?, keys: keys?, kinds: Kind::ALL.into_iter().collect(), subject_prefix: None }])
}
