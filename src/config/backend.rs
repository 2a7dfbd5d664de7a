//! The database and the authorizer.

use super::settings::{BackendSettings, Secrets};
use crate::authz::OpenFgaConfig;
use crate::command::SettingReader;
use crate::store::Kind;
use secrecy::{ExposeSecret as _, SecretString};

const DATABASE_URL: &str = "DATABASE_URL";
/// Options after the `?` of a URL that PostgreSQL's driver or the vault itself understands.
const OPTIONS: [&str; 19] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
];

/// The database and the authorizer.
pub struct Backend {
    /// `postgres://...` or `sqlite:PATH`.
    pub database_url: SecretString,
    /// The authorizer.
    pub authz: Authz,
}

/// The authorizer.
pub enum Authz {
    /// The embedded authorizer, in this process, over tuples in the database.
    Embedded,
    /// An OpenFGA server.
    OpenFga(OpenFgaConfig),
}

#[derive(Clone, Copy)]
enum Engine {
    Embedded,
    OpenFga,
}

pub(super) fn read(reader: &mut SettingReader, settings: &BackendSettings, secrets: &Secrets) -> Option<Backend> {
    let database = database(reader, settings, secrets);
    let words = [("openfga", Engine::OpenFga), ("embedded", Engine::Embedded)];
    let chosen = reader.choice("VAULT_AUTHZ", settings.authz.as_ref(), &words);
    let engine = chosen.or_else(|| {
        let (_, kind) = database.as_ref()?;
        Some(match kind {
            Kind::Postgres => Engine::OpenFga,
            Kind::Sqlite => Engine::Embedded,
        })
    });
    // Settings are validated even when they are not needed.
    let url = openfga_url(reader, settings);
    let store = reader.text("OPENFGA_STORE", settings.openfga_store.as_ref());
    let token = reader.secret("OPENFGA_TOKEN", secrets.openfga_token.as_ref(), settings.openfga_token_file.as_ref());
    if let Some(token) = &token
        && !token.expose_secret().bytes().all(|b| b.is_ascii_graphic())
    {
        reader.problem("OPENFGA_TOKEN", "contains a character that a header cannot carry; give the token alone");
    }
    let authz = match engine? {
        Engine::Embedded => Authz::Embedded,
        Engine::OpenFga => {
            if settings.openfga_url.as_ref().is_none_or(|url| url.is_empty()) {
                reader.problem(
                    "OPENFGA_URL",
                    "is missing; give OpenFGA's gRPC endpoint, such as http://127.0.0.1:8081, or set VAULT_AUTHZ=embedded",
                );
            }
            let store = store.unwrap_or_else(|| "project-vault".to_owned());
            Authz::OpenFga(OpenFgaConfig { url: url?, store, token })
        }
    };
    Some(Backend { database_url: database?.0, authz })
}

fn database(reader: &mut SettingReader, settings: &BackendSettings, secrets: &Secrets) -> Option<(SecretString, Kind)> {
    let given = |value: &Option<std::ffi::OsString>| value.as_ref().is_some_and(|value| !value.is_empty());
    if !given(&secrets.database_url) && !given(&settings.database_url_file) {
        reader.problem(DATABASE_URL, "is missing; give postgres://... or sqlite:PATH, here or in DATABASE_URL_FILE");
        return None;
    }
    let url = reader.secret(DATABASE_URL, secrets.database_url.as_ref(), settings.database_url_file.as_ref())?;
    let text = url.expose_secret();
    let problem = match (Kind::of(text), text.strip_prefix("sqlite:")) {
        (Some(Kind::Sqlite), Some("" | "//")) => "names no file; write sqlite:PATH",
        (Some(Kind::Sqlite), Some(path)) if path.contains(":memory:") || path.contains("mode=memory") => {
            "names a database in memory, which a restart would lose; write sqlite:PATH"
        }
        (Some(Kind::Postgres), _) if !has_known_options(text) => {
            "has an option after its '?' that PostgreSQL does not know; write a '?' in the password as %3F"
        }
        (Some(Kind::Postgres), _) if !names_host(text) => {
            "names no server; write postgres://HOST/DATABASE, or ?host=/run/postgresql for a Unix socket"
        }
        (Some(kind), _) => return Some((url, kind)),
        (None, _) => "does not name a database that the vault supports; write postgres://... or sqlite:PATH",
    };
    reader.problem(DATABASE_URL, problem);
    None
}

/// Whether every option is known. The driver's own error would repeat the option, which is part of
/// the password when the password contains a bare `?`.
fn has_known_options(url: &str) -> bool {
    let Some((_, options)) = url.split_once('?') else { return true };
    let mut options = options.split('&').filter(|option| !option.is_empty());
    options.all(|option| option.split_once('=').is_some_and(|(name, _)| OPTIONS.contains(&name)))
}

/// Whether a URL names a server, before its path or in an option.
fn names_host(url: &str) -> bool {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let place = place.split_once("://").map_or(place, |(_, place)| place);
    let place = place.split_once('@').map_or(place, |(_, place)| place);
    let in_option = |option: &str| {
        option.split_once('=').is_some_and(|(name, value)| name.starts_with("host") && !value.is_empty())
    };
    !place.is_empty() && !place.starts_with('/') || options.split('&').any(in_option)
}

fn openfga_url(reader: &mut SettingReader, settings: &BackendSettings) -> Option<String> {
    const SETTING: &str = "OPENFGA_URL";
    let text = reader.text(SETTING, settings.openfga_url.as_ref())?;
    let problem = match reqwest::Url::parse(&text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "must not contain a user name or password; give a token as OPENFGA_TOKEN"
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(text),
        _ => "is not an address; write OpenFGA's gRPC endpoint as http://HOST:8081 or https://HOST",
    };
    reader.problem(SETTING, problem);
    None
}
