//! The address of the PostgreSQL server, and the TLS that is required of it.

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

/// Maximum time a server may leave sent data unacknowledged before the connection is closed, unless
/// the URL sets another one.
const SILENCE: Duration = Duration::from_secs(10);

/// A server's URL, and the TLS that its `sslmode` and `sslrootcert` ask for. Cheap to clone.
#[derive(Clone)]
pub struct Address {
    /// The URL in the driver's form.
    url: SecretString,
    tls: MakeTls,
}

impl Address {
    /// Parses a URL. `sslmode` is `disable`, `prefer` (the default), `require`, or `verify-full`,
    /// which means the same as `require`. `sslrootcert` names a file of root certificates to trust
    /// instead of the system's.
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
        // Without `require`, the server could answer in clear text anyway, so TLS only protects
        // against eavesdroppers and no certificate is verified.
        let trust = match mode {
            SslMode::Require => Trust::Verified(roots.as_deref().map(Path::new)),
            _ => Trust::Anybody,
        };
        let tls = MakeTls::new(trust).map_err(|error| Error::Unavailable(format!("TLS cannot be used: {error}")))?;
        Ok(Self { url: url.into(), tls })
    }

    /// Connects, with the TLS that the URL asks for.
    pub async fn connect(&self) -> ConnectionResult<Connection> {
        let bad = |error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            ConnectionError::BadConnection(format!("{error}{cause}"))
        };
        let mut config: Config = self.url.expose_secret().parse().map_err(bad)?;
        if config.get_tcp_user_timeout().is_none() {
            // After a failover, no server answers on the old connections.
            config.tcp_user_timeout(SILENCE);
        }
        let (client, connection) = config.connect(self.tls.clone()).await.map_err(bad)?;
        Connection::try_from_client_and_connection(client, connection).await
    }
}
