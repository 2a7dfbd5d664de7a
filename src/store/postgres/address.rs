//! The address of the PostgreSQL server, and the TLS that is required of it.

use super::backend::Connection;
use super::tls::{MakeTls, Trust};
use super::{CONNECTION_TIMEOUT, hosts};
use crate::store::Error;
use diesel::{ConnectionError, ConnectionResult};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Maximum time a server may leave sent data unacknowledged before the connection is closed, unless
/// the URL sets another one.
const SILENCE: Duration = Duration::from_secs(10);

/// A server's URL, and the TLS that its `sslmode` and `sslrootcert` ask for. Cheap to clone.
#[derive(Clone)]
pub struct Address {
    /// The URL in the driver's form.
    url: SecretString,
    tls: MakeTls,
    /// The index of the server that answered last, of several.
    last: Arc<AtomicUsize>,
}

impl Address {
    /// Parses a URL. `sslmode` is `disable`, `prefer` (the default; `allow` means the same),
    /// `require`, or `verify-full`, which means the same as `require`. `sslrootcert` names a file
    /// of root certificates to trust instead of the system's. A host that begins with `/` is the
    /// folder of a Unix socket, which needs no TLS whatever `sslmode` says.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn read(url: &str) -> Result<Self, Error> {
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let mut kept: Vec<&str> = Vec::new();
        let mut roots = None;
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslrootcert", path)) => roots = Some(percent_decode_str(path).decode_utf8_lossy().into_owned()),
                Some(("sslmode", "verify-full")) => kept.push("sslmode=require"),
                Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
                _ => kept.push(option),
            }
        }
        let (place, hosts) = without_overridden_hosts(place, &kept);
        kept.extend(hosts.iter().map(String::as_str));
        let url = if kept.is_empty() { place } else { format!("{place}?{}", kept.join("&")) };
        let mode = url.parse::<Config>().map_or(SslMode::Prefer, |config| tls_mode(&config));
        // Without `require`, the server could answer in clear text anyway, so TLS only protects
        // against eavesdroppers and no certificate is verified.
        let trust = match mode {
            SslMode::Require => Trust::Verified(roots.as_deref().map(Path::new)),
            _ => Trust::Anybody,
        };
        let tls = MakeTls::new(trust).map_err(|error| Error::Unavailable(format!("TLS cannot be used: {error}")))?;
        Ok(Self { url: url.into(), tls, last: Arc::default() })
    }

    /// Connects, with the TLS that the URL asks for, within [`CONNECTION_TIMEOUT`].
    pub async fn connect(&self) -> ConnectionResult<Connection> {
        let bad = |error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            ConnectionError::BadConnection(format!("{error}{cause}"))
        };
        let mut config: Config = self.url.expose_secret().parse().map_err(bad)?;
        config.ssl_mode(tls_mode(&config));
        if config.get_tcp_user_timeout().is_none() {
            // After a failover, no server answers on the old connections.
            config.tcp_user_timeout(SILENCE);
        }
        let connecting = hosts::connect(&config, &self.tls, &self.last);
        let Ok(connected) = tokio::time::timeout(CONNECTION_TIMEOUT, connecting).await else {
            let limit = CONNECTION_TIMEOUT.as_secs();
            return Err(ConnectionError::BadConnection(format!("no server answered within {limit} seconds")));
        };
        let (client, connection) = connected.map_err(bad)?;
        Connection::try_from_client_and_connection(client, connection).await
    }
}

/// The TLS that a configuration asks for. PostgreSQL has none on Unix sockets and its own clients
/// ignore `sslmode` there.
fn tls_mode(config: &Config) -> SslMode {
    let sockets = config.get_hosts().iter().filter(|host| matches!(host, Host::Unix(_))).count();
    // With an address beside it, the driver connects there instead.
    let only_sockets = sockets > 0 && sockets == config.get_hosts().len() && config.get_hostaddrs().is_empty();
    if only_sockets { SslMode::Disable } else { config.get_ssl_mode() }
}

/// A URL up to its `?` without its hosts or ports if options give others, and options for those of
/// its hosts that stay. PostgreSQL's own clients let an option win; the driver would add it to what
/// the URL has.
fn without_overridden_hosts(place: &str, options: &[&str]) -> (String, Vec<String>) {
    let given = |name: &str| options.iter().any(|option| option.split_once('=').is_some_and(|(key, _)| key == name));
    let start = place.find("://").map_or(0, |at| at + "://".len());
    let start = place[start..].find('@').map_or(start, |at| start + at + 1);
    let end = place[start..].find('/').map_or(place.len(), |at| start + at);
    let (before, hosts, path) = (&place[..start], &place[start..end], &place[end..]);
    if hosts.is_empty() || !(given("host") || given("port")) {
        return (place.to_owned(), Vec::new());
    }
    if given("host") && given("port") {
        return (format!("{before}{path}"), Vec::new());
    }
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        // The colons of an IPv6 address are in brackets.
        let (name, port) = match host.rfind(':').filter(|at| !host[*at..].contains(']')) {
            Some(at) => (&host[..at], &host[at + 1..]),
            None => (host, "5432"),
        };
        names.push(format!("host={}", name.trim_start_matches('[').trim_end_matches(']')));
        ports.push(port);
    }
    let kept = if given("host") { vec![format!("port={}", ports.join(","))] } else { names };
    (format!("{before}{path}"), kept)
}
