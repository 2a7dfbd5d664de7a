//! The settings as given: by flag, or by environment variable when there is no flag. An empty value
//! counts as not given.
//!
//! Secrets have no flags: everyone on the machine can read a process's arguments.

use clap::Args;
use std::ffi::OsString;
use zeroize::Zeroize as _;

/// The database and the authorizer.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Database and authorizer")]
pub struct BackendSettings {
    /// A file that holds `DATABASE_URL`: `postgres://...` or `sqlite:PATH`
    #[arg(long, env = "DATABASE_URL_FILE", hide_env_values = true, value_name = "FILE")]
    pub database_url_file: Option<OsString>,
    /// The authorizer: `openfga`, or `embedded`, in this process [default: openfga with PostgreSQL,
    /// embedded with SQLite]
    #[arg(long, env = "VAULT_AUTHZ", hide_env_values = true, value_name = "AUTHORIZER")]
    pub authz: Option<OsString>,
    /// OpenFGA's gRPC endpoint, such as `http://127.0.0.1:8081`
    #[arg(long, env = "OPENFGA_URL", hide_env_values = true, value_name = "URL")]
    pub openfga_url: Option<OsString>,
    /// The name of the store in OpenFGA; `migrate` creates it [default: project-vault]
    #[arg(long, env = "OPENFGA_STORE", hide_env_values = true, value_name = "NAME")]
    pub openfga_store: Option<OsString>,
    /// A file that holds `OPENFGA_TOKEN`, the bearer token for OpenFGA
    #[arg(long, env = "OPENFGA_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub openfga_token_file: Option<OsString>,
}

/// The log, on standard error.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Logs, on standard error")]
pub struct LogSettings {
    /// The log filter: a level, or levels by module, such as `warn,project_vault=debug` [default:
    /// info for servers, else warn]
    #[arg(long, env = "RUST_LOG", hide_env_values = true, value_name = "FILTER")]
    pub log: Option<OsString>,
    /// `text` or `json` [default: text]
    #[arg(long, env = "VAULT_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    pub log_format: Option<OsString>,
}

/// The providers of the master keys.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Keys")]
pub struct KeySettings {
    /// The provider of the master keys: `keyring`, or `transit`, an engine of OpenBao or HashiCorp
    /// Vault [default: keyring]
    #[arg(long, env = "VAULT_KEY_PROVIDER", hide_env_values = true, value_name = "PROVIDER")]
    pub key_provider: Option<OsString>,
    /// The master keyring, a file of mode 0640 at most; `project-vault keys generate` makes one
    #[arg(long, env = "VAULT_KEYRING_FILE", hide_env_values = true, value_name = "FILE")]
    pub keyring_file: Option<OsString>,
    /// Instead: a program with its arguments that prints the keyring within 10 seconds, for a KMS
    /// or HSM. It is run without a shell; quote its arguments as for one
    #[arg(long, env = "VAULT_KEYRING_COMMAND", hide_env_values = true, value_name = "COMMAND")]
    pub keyring_command: Option<OsString>,
    /// The Transit engine: https, or http on loopback; without a path, its mount is /v1/transit
    #[arg(long, env = "VAULT_TRANSIT_URL", hide_env_values = true, value_name = "URL")]
    pub transit_url: Option<OsString>,
    /// The name of the key in the Transit engine
    #[arg(long, env = "VAULT_TRANSIT_KEY", hide_env_values = true, value_name = "NAME")]
    pub transit_key: Option<OsString>,
    /// A file that holds `VAULT_TRANSIT_TOKEN`, the token for the Transit engine
    #[arg(long, env = "VAULT_TRANSIT_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub transit_token_file: Option<OsString>,
}

/// Settings of a server besides its database, authorizer and keys.
#[derive(Args, Clone, Default)]
pub struct ServerSettings {
    /// The address to listen on [default: 127.0.0.1:4000]
    #[arg(long, env = "VAULT_LISTEN", hide_env_values = true, value_name = "IP:PORT", help_heading = "Server")]
    pub listen: Option<OsString>,
    /// A second address, for runtimes alone [default: none, one address for all]
    #[arg(long, env = "VAULT_RUNTIME_LISTEN", hide_env_values = true, value_name = "IP:PORT", help_heading = "Server")]
    pub runtime_listen: Option<OsString>,
    /// The address that serves /metrics, and health too, in plain HTTP and without tokens; for your
    /// monitoring alone [default: 127.0.0.1, a free port that is logged]
    #[arg(long, env = "VAULT_METRICS_LISTEN", hide_env_values = true, value_name = "IP:PORT", help_heading = "Server")]
    pub metrics_listen: Option<OsString>,
    /// The certificate chain in PEM, to serve https
    #[arg(long, env = "VAULT_TLS_CERT_FILE", hide_env_values = true, value_name = "FILE", help_heading = "Server")]
    pub tls_cert_file: Option<OsString>,
    /// The certificate's private key in PEM
    #[arg(long, env = "VAULT_TLS_KEY_FILE", hide_env_values = true, value_name = "FILE", help_heading = "Server")]
    pub tls_key_file: Option<OsString>,
    /// Whether clients may ask for the schema: `true` or `false` [default: false]
    #[arg(
        long,
        env = "VAULT_INTROSPECTION",
        hide_env_values = true,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Server"
    )]
    pub introspection: Option<OsString>,
    /// How long a deleted entry can be restored, in days [default: 30]
    #[arg(
        long,
        env = "VAULT_DELETED_RETENTION_DAYS",
        hide_env_values = true,
        value_name = "DAYS",
        help_heading = "Server"
    )]
    pub deleted_retention_days: Option<OsString>,
    /// How long audit events are kept, in days; 0 keeps them for ever [default: 0]
    #[arg(
        long,
        env = "VAULT_AUDIT_RETENTION_DAYS",
        hide_env_values = true,
        value_name = "DAYS",
        help_heading = "Server"
    )]
    pub audit_retention_days: Option<OsString>,
    /// How long an allowing decision may be used again, in milliseconds; 0 asks every time
    /// [default: 0]
    #[arg(long, env = "VAULT_AUTHZ_MAX_AGE_MS", hide_env_values = true, value_name = "MS", help_heading = "Server")]
    pub authz_max_age_ms: Option<OsString>,

    /// The one issuer of tokens, its `iss`
    #[arg(long, env = "VAULT_JWT_ISSUER", hide_env_values = true, value_name = "ISS", help_heading = "Tokens")]
    pub jwt_issuer: Option<OsString>,
    /// That issuer's key set, a file
    #[arg(long, env = "VAULT_JWKS_FILE", hide_env_values = true, value_name = "FILE", help_heading = "Tokens")]
    pub jwks_file: Option<OsString>,
    /// Or its address: https, or http on loopback
    #[arg(long, env = "VAULT_JWKS_URL", hide_env_values = true, value_name = "URL", help_heading = "Tokens")]
    pub jwks_url: Option<OsString>,
    /// Instead, several issuers: TOML, a table `[[issuer]]` each with `iss`, `jwks_url` or
    /// `jwks_file`, `kinds` and `subject_prefix`
    #[arg(long, env = "VAULT_ISSUERS_FILE", hide_env_values = true, value_name = "FILE", help_heading = "Tokens")]
    pub issuers_file: Option<OsString>,
    /// The age at which key sets are read again, in seconds [default: 300]
    #[arg(
        long,
        env = "VAULT_JWKS_REFRESH_SECONDS",
        hide_env_values = true,
        value_name = "SECONDS",
        help_heading = "Tokens"
    )]
    pub jwks_refresh_seconds: Option<OsString>,
}

/// Secrets, by the variables that hold them. Overwritten on drop; the process's own environment
/// still holds them.
#[derive(Clone, Default)]
pub struct Secrets {
    /// `DATABASE_URL`.
    pub database_url: Option<OsString>,
    /// `OPENFGA_TOKEN`.
    pub openfga_token: Option<OsString>,
    /// `VAULT_TRANSIT_TOKEN`.
    pub transit_token: Option<OsString>,
}

/// The part of `--help` about [`Secrets`].
pub const SECRETS_HELP: &str = "\
Secrets, from the environment only:
  DATABASE_URL         The database, postgres://... or sqlite:PATH; required, here or in DATABASE_URL_FILE
  OPENFGA_TOKEN        The bearer token for OpenFGA, if it requires one; here or in OPENFGA_TOKEN_FILE
  VAULT_TRANSIT_TOKEN  The token for the Transit engine, if that keeps the master key; here or in VAULT_TRANSIT_TOKEN_FILE";

/// The variables that hold secrets. A command that the vault runs does not get them.
pub const SECRET_VARIABLES: [&str; 3] = ["DATABASE_URL", "OPENFGA_TOKEN", "VAULT_TRANSIT_TOKEN"];

impl Drop for Secrets {
    fn drop(&mut self) {
        for secret in [&mut self.database_url, &mut self.openfga_token, &mut self.transit_token] {
            if let Some(text) = secret.take() {
                text.into_encoded_bytes().zeroize();
            }
        }
    }
}

impl Secrets {
    /// Reads the secrets from the environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            database_url: std::env::var_os("DATABASE_URL"),
            openfga_token: std::env::var_os("OPENFGA_TOKEN"),
            transit_token: std::env::var_os("VAULT_TRANSIT_TOKEN"),
        }
    }
}
