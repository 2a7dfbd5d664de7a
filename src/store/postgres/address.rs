//! Where the PostgreSQL server is, and how much of TLS is asked of it.

use super::backend::Connection;
use super::tls::{MakeTls, Trust};
use crate::store::Error;
use diesel::{ConnectionError, ConnectionResult};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

/// How long a server may leave what was sent unacknowledged until the connection is given up, where
/// the URL says nothing else.
const SILENCE: Duration = Duration::from_secs(10);

/// A server's URL, with what follows from its `sslmode` and `sslrootcert`. Cheap to clone.
#[derive(Clone)]
pub struct Address {
    /// As the driver takes it.
    url: SecretString,
    tls: MakeTls,
}

impl Address {
    /// Reads a URL: `sslmode` is `disable`, `prefer` (the default), `require`, or `verify-full`, which is another word for
    /// `require`; `sslrootcert` names the certificates that may vouch for the server, instead of the system's.
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
                _ => kept.push(option),
            }
        }
        let url = if kept.is_empty() { place.to_owned() } else { format!("{place}?{}", kept.join("&")) };
        let mode = url.parse::<Config>().map_or(SslMode::Prefer, |config| config.get_ssl_mode());
        // Who may be answered in clear text may as well be answered by anybody: without `require`, TLS keeps off who only listens.
        let trust = match mode {
            SslMode::Require => Trust::Verified(roots.as_deref().map(Path::new)),
            _ => Trust::Anybody,
        };
        let tls = MakeTls::new(trust).map_err(|error| Error::Unavailable(format!("TLS cannot be used: {error}")))?;
        Ok(Self { url: url.into(), tls })
    }

    /// Connects, with TLS as far as it is asked for.
    pub async fn connect(&self) -> ConnectionResult<Connection> {
        let bad = |error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            ConnectionError::BadConnection(format!("{error}{cause}"))
        };
        let mut config: Config = self.url.expose_secret().parse().map_err(bad)?;
        if config.get_tcp_user_timeout().is_none() {
            // After a failover, nobody answers for the old connections.
            config.tcp_user_timeout(SILENCE);
        }
        let (client, connection) = config.connect(self.tls.clone()).await.map_err(bad)?;
        Connection::try_from_client_and_connection(client, connection).await
    }
}
