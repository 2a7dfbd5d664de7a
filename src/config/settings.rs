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

    /// The address that notices are sent to: https, or http on loopback [default: none, no notices]
    #[arg(long, env = "VAULT_NOTICES_URL", hide_env_values = true, value_name = "URL", help_heading = "Notices")]
    pub notices_url: Option<OsString>,
    /// A file that holds `VAULT_NOTICES_SECRET`, with which the receiver verifies notices
    #[arg(
        long,
        env = "VAULT_NOTICES_SECRET_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Notices"
    )]
    pub notices_secret_file: Option<OsString>,
    /// Whether the receiver of notices may be in a private network: `true` or `false` [default:
    /// false]
    #[arg(
        long,
        env = "VAULT_NOTICES_ALLOW_PRIVATE",
        hide_env_values = true,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        help_heading = "Notices"
    )]
    pub notices_allow_private: Option<OsString>,

    /// The collector that traces are sent to, by OTLP over HTTP: http, or https [default: none, no
    /// traces]
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Traces"
    )]
    pub otlp_endpoint: Option<OsString>,
    /// The protocol of the collector: `http/protobuf` is the only one [default: http/protobuf]
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_PROTOCOL",
        hide_env_values = true,
        value_name = "PROTOCOL",
        help_heading = "Traces"
    )]
    pub otlp_protocol: Option<OsString>,
    /// A file that holds `OTEL_EXPORTER_OTLP_HEADERS`, the headers of requests to the collector
    #[arg(
        long,
        env = "OTEL_EXPORTER_OTLP_HEADERS_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Traces"
    )]
    pub otlp_headers_file: Option<OsString>,
    /// The name of this service in traces [default: project-vault]
    #[arg(long, env = "OTEL_SERVICE_NAME", hide_env_values = true, value_name = "NAME", help_heading = "Traces")]
    pub otlp_service_name: Option<OsString>,
    /// More attributes of this server in traces: NAME=VALUE, with commas between them
    #[arg(
        long,
        env = "OTEL_RESOURCE_ATTRIBUTES",
        hide_env_values = true,
        value_name = "PAIRS",
        help_heading = "Traces"
    )]
    pub otlp_resource_attributes: Option<OsString>,
    /// Which traces are exported: `always_on`, `always_off`, `traceidratio`, or one of these after
    /// `parentbased_`, which follows the caller's flag [default: parentbased_always_on]
    #[arg(long, env = "OTEL_TRACES_SAMPLER", hide_env_values = true, value_name = "SAMPLER", help_heading = "Traces")]
    pub otlp_sampler: Option<OsString>,
    /// The share of traces for `traceidratio`, from 0 to 1 [default: 1]
    #[arg(
        long,
        env = "OTEL_TRACES_SAMPLER_ARG",
        hide_env_values = true,
        value_name = "SHARE",
        help_heading = "Traces"
    )]
    pub otlp_sampler_arg: Option<OsString>,

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
    /// How often each runtime may resolve in a minute at this server; 0 does not limit it [default:
    /// 0]
    #[arg(
        long,
        env = "VAULT_RESOLVES_PER_MINUTE",
        hide_env_values = true,
        value_name = "COUNT",
        help_heading = "Limits"
    )]
    pub resolves_per_minute: Option<OsString>,

    /// The dashboard.
    #[command(flatten)]
    pub dashboard: DashboardSettings,
    /// The OpenID provider.
    #[command(flatten)]
    pub oidc: OidcSettings,
}

/// The dashboard.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Dashboard")]
pub struct DashboardSettings {
    /// The dashboard at `/`: `on` or `off` [default: on]
    #[arg(long, env = "VAULT_DASHBOARD", hide_env_values = true, value_name = "ON")]
    pub dashboard: Option<OsString>,
    /// The gateway that the dashboard talks to: https, or http on loopback [default: this server]
    #[arg(long, env = "VAULT_DASHBOARD_GRAPHQL_URL", hide_env_values = true, value_name = "URL")]
    pub dashboard_graphql_url: Option<OsString>,
}

/// The OpenID provider at which people sign in to the dashboard.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Dashboard")]
pub struct OidcSettings {
    /// The dashboard's client id at the OpenID provider [default: none, people paste a token]
    #[arg(long, env = "VAULT_OIDC_CLIENT_ID", hide_env_values = true, value_name = "ID")]
    pub oidc_client_id: Option<OsString>,
    /// The provider's `iss`, where several issuers are trusted [default: the one issuer of people]
    #[arg(long, env = "VAULT_OIDC_ISSUER", hide_env_values = true, value_name = "ISS")]
    pub oidc_issuer: Option<OsString>,
    /// The scopes that the dashboard asks for, separated by spaces [default: openid profile]
    #[arg(long, env = "VAULT_OIDC_SCOPE", hide_env_values = true, value_name = "SCOPES")]
    pub oidc_scope: Option<OsString>,
    /// Where the provider has endpoints besides its issuer's origin, such as
    /// `https://token.id.example`, separated by spaces [default: nowhere]
    #[arg(long, env = "VAULT_OIDC_ORIGINS", hide_env_values = true, value_name = "ORIGINS")]
    pub oidc_origins: Option<OsString>,
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
    /// `VAULT_NOTICES_SECRET`.
    pub notices_secret: Option<OsString>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`.
    pub otlp_headers: Option<OsString>,
}

/// The part of `--help` about [`Secrets`].
pub const SECRETS_HELP: &str = "\
Secrets, from the environment only:
  DATABASE_URL         The database, postgres://... or sqlite:PATH; required, here or in DATABASE_URL_FILE
  OPENFGA_TOKEN        The bearer token for OpenFGA, if it requires one; here or in OPENFGA_TOKEN_FILE
  VAULT_TRANSIT_TOKEN  The token for the Transit engine, if that keeps the master key; here or in VAULT_TRANSIT_TOKEN_FILE
  VAULT_NOTICES_SECRET The secret that the receiver of notices verifies them with, whsec_...; here or in VAULT_NOTICES_SECRET_FILE
  OTEL_EXPORTER_OTLP_HEADERS
                       Headers of requests to the collector of traces, NAME=VALUE with commas between them; here or in OTEL_EXPORTER_OTLP_HEADERS_FILE";

/// The variables that hold secrets. A command that the vault runs does not get them.
pub const SECRET_VARIABLES: [&str; 5] =
    ["DATABASE_URL", "OPENFGA_TOKEN", "VAULT_TRANSIT_TOKEN", "VAULT_NOTICES_SECRET", "OTEL_EXPORTER_OTLP_HEADERS"];

impl Drop for Secrets {
    fn drop(&mut self) {
        let secrets = [
            &mut self.database_url,
            &mut self.openfga_token,
            &mut self.transit_token,
            &mut self.notices_secret,
            &mut self.otlp_headers,
        ];
        for secret in secrets {
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
            notices_secret: std::env::var_os("VAULT_NOTICES_SECRET"),
            otlp_headers: std::env::var_os("OTEL_EXPORTER_OTLP_HEADERS"),
        }
    }
}
