//! Settings of a server besides its database, authorizer and keys: addresses, issuers, limits.

use super::settings::{Secrets, ServerSettings};
use super::traces;
use crate::command::{Problems, SettingReader};
use crate::domain::{PemBlock, TokenKind, pem_blocks};
use crate::http::TlsFiles;
use crate::http::dashboard::Dashboard;
use crate::http::tokens::{IssuerConfig, JwksUrl, KeySource, check_key_file, parse_issuers};
use crate::trace::OtlpConfig;
use crate::webhook::{WebhookConfig, WebhookSecret, WebhookUrl};
use secrecy::ExposeSecret as _;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;
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
    /// The receiver of notices, if there is one.
    pub notices: Option<WebhookConfig>,
    /// How traces are exported, if they are.
    pub traces: Option<OtlpConfig>,
    /// How often each runtime may resolve in a minute at this server; `None` for no limit.
    pub resolves_per_minute: Option<NonZeroU32>,
    /// Whether clients may ask for the schema.
    pub introspection: bool,
    /// How long a deleted entry can be restored.
    pub retention: Duration,
    /// How long audit events are kept; `None` keeps them for ever.
    pub audit_retention: Option<Duration>,
    /// The dashboard, if it is on.
    pub dashboard: Option<Dashboard>,
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
    let mut reader = SettingReader::default();
    let listen = reader.parsed("VAULT_LISTEN", listen, ADDRESS).unwrap_or(LISTEN);
    let metrics = read_metrics_listen(&mut reader, metrics_listen, &[("VAULT_LISTEN", Some(listen))]);
    reader.finish(Some((listen, metrics)))
}

/// The address for metrics, which must differ from the others.
fn read_metrics_listen(
    reader: &mut SettingReader,
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

pub(super) fn read(reader: &mut SettingReader, settings: &ServerSettings, secrets: &Secrets) -> Option<Server> {
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
    let notices = notices(reader, settings, secrets);
    let traces = traces::read(reader, settings, secrets);
    let resolves = reader.number("VAULT_RESOLVES_PER_MINUTE", settings.resolves_per_minute.as_ref(), 0..=60_000, 0);
    let issuers = issuers(reader, settings);
    let dashboard = super::dashboard::read(reader, settings, issuers.as_deref());
    Some(Server {
        listen,
        runtime_listen,
        metrics_listen: metrics_listen.unwrap_or(METRICS_LISTEN),
        tls,
        issuers: issuers?,
        jwks_refresh: Duration::from_secs(refresh),
        authz_max_age: Duration::from_millis(max_age),
        notices,
        traces,
        resolves_per_minute: u32::try_from(resolves).ok().and_then(NonZeroU32::new),
        introspection,
        retention: DAY * u32::try_from(days).unwrap_or(u32::MAX),
        dashboard,
        audit_retention: u32::try_from(audit_days).ok().filter(|days| *days > 0).map(|days| DAY * days),
    })
}

/// The receiver of notices. Each of its settings needs the others.
fn notices(reader: &mut SettingReader, settings: &ServerSettings, secrets: &Secrets) -> Option<WebhookConfig> {
    const URL: &str = "VAULT_NOTICES_URL";
    const SECRET: &str = "VAULT_NOTICES_SECRET";
    let given = |value: &Option<OsString>| value.as_ref().is_some_and(|value| !value.is_empty());
    let words = [("true", true), ("false", false)];
    let allow_private = reader
        .choice("VAULT_NOTICES_ALLOW_PRIVATE", settings.notices_allow_private.as_ref(), &words)
        .unwrap_or_default();
    let has_secret = given(&secrets.notices_secret) || given(&settings.notices_secret_file);
    let url = reader.text(URL, settings.notices_url.as_ref());
    let secret = reader.secret(SECRET, secrets.notices_secret.as_ref(), settings.notices_secret_file.as_ref());
    match (&url, has_secret) {
        (None, true) => reader.problem(URL, "is missing; give the address that notices are sent to"),
        (Some(_), false) => {
            reader.problem(SECRET, "is missing; give the secret that the receiver verifies notices with");
        }
        (Some(_), true) | (None, false) => {}
    }
    let url = url.and_then(|text| {
        WebhookUrl::parse(&text, allow_private).inspect_err(|reason| reader.problem(URL, reason)).ok()
    });
    let secret = secret.and_then(|text| {
        WebhookSecret::parse(text.expose_secret()).inspect_err(|reason| reader.problem(SECRET, reason)).ok()
    });
    Some(WebhookConfig { url: url?, secret: secret?, allow_private })
}

fn tls(reader: &mut SettingReader, settings: &ServerSettings) -> Option<TlsFiles> {
    const CERTIFICATE: &str = "VAULT_TLS_CERT_FILE";
    const KEY: &str = "VAULT_TLS_KEY_FILE";
    let certificate = SettingReader::path(settings.tls_cert_file.as_ref());
    let key = SettingReader::path(settings.tls_key_file.as_ref());
    for (given, other, lacking) in [(&certificate, &key, KEY), (&key, &certificate, CERTIFICATE)] {
        if given.is_some() && other.is_none() {
            reader.problem(lacking, "is missing; https needs the certificate and its key");
        }
    }
    for (path, setting) in [(&certificate, CERTIFICATE), (&key, KEY)] {
        let Some(path) = path else { continue };
        let Some(text) = reader.file(setting, path) else { continue };
        let problem = match pem_blocks(&text) {
            None => Some("holds a block of PEM without its end"),
            Some(blocks) if setting == CERTIFICATE => {
                (!blocks.iter().any(PemBlock::is_certificate)).then_some("holds no certificate in PEM")
            }
            Some(blocks) => private_key_problem(&blocks),
        };
        if let Some(problem) = problem {
            reader.problem(setting, format_args!("{} {problem}", path.display()));
        }
    }
    certificate.zip(key).map(|(certificate, key)| TlsFiles { certificate, key })
}

/// Why no private key can be read from a file.
fn private_key_problem(blocks: &[PemBlock<'_>]) -> Option<&'static str> {
    let is_there = |label: &str| blocks.iter().any(|block| block.label == label);
    if ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"].into_iter().any(is_there) {
        None
    } else if is_there("ENCRYPTED PRIVATE KEY") {
        Some("holds an ENCRYPTED PRIVATE KEY, which needs a passphrase; decrypt it with `openssl pkey`")
    } else {
        Some("holds no private key in PEM")
    }
}

fn issuers(reader: &mut SettingReader, settings: &ServerSettings) -> Option<Vec<IssuerConfig>> {
    let iss = reader.text("VAULT_JWT_ISSUER", settings.jwt_issuer.as_ref());
    let keys_file = SettingReader::path(settings.jwks_file.as_ref());
    let keys_url = reader.text("VAULT_JWKS_URL", settings.jwks_url.as_ref());
    let url = keys_url.as_ref().and_then(|text| match JwksUrl::parse(text) {
        Ok(url) => Some(url),
        Err(reason) => {
            reader.problem("VAULT_JWKS_URL", reason);
            None
        }
    });
    if let Some(path) = SettingReader::path(settings.issuers_file.as_ref()) {
        let others = [
            ("VAULT_JWT_ISSUER", iss.is_some()),
            ("VAULT_JWKS_FILE", keys_file.is_some()),
            ("VAULT_JWKS_URL", keys_url.is_some()),
        ];
        for (setting, _) in others.into_iter().filter(|(_, given)| *given) {
            reader.problem(setting, "is given, and VAULT_ISSUERS_FILE as well; name every issuer in the file");
        }
        let text = reader.file("VAULT_ISSUERS_FILE", &path)?;
        return match parse_issuers(&text, check_key_file) {
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
        (Some(path), _) => {
            // The set is read again when it is used. Reading it here reports its problems with all
            // others.
            if let Err(problem) = check_key_file(&path) {
                reader.problem("VAULT_JWKS_FILE", format_args!("{problem}; give the issuer's key set"));
            }
            Some(KeySource::File(path))
        }
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
    Some(vec![IssuerConfig {
        iss: iss?,
        keys: keys?,
        kinds: TokenKind::ALL.iter().copied().collect(),
        subject_prefix: None,
    }])
}
