//! `dev`: runs a vault for trying it out.

use super::data_dir::{self, DataDir};
use super::failure::{Failure, Result};
use super::keyring_command::master_keys;
use super::server::{self, Addresses, ServeSetup};
use super::{demo, logs, open};
use crate::command::{Problems, print};
use crate::config::{DashboardSettings, DevDashboard, KeyConfig, Log, LogSettings, dev_dashboard, listen_addresses};
use crate::domain::{Clock, SystemClock, TokenKind};
use crate::http::dashboard::{Dashboard, PeopleSignIn, SignIn};
use crate::http::tokens::{IssuerConfig, KeySource, Verifier};
use crate::vault::{Installation, Vault};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a deleted entry can be restored; the default of `serve`.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The age at which key sets are re-read; the default of `serve`.
const REFRESH: Duration = Duration::from_secs(300);

/// Runs a complete vault in one process, for trying it out: SQLite, the embedded authorizer, keys
/// and a token issuer of its own, and demo data.
#[derive(clap::Args)]
pub struct Dev {
    /// The directory for its data; created if missing
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// Creates no demo data
    #[arg(long)]
    no_demo: bool,
    /// The address to listen on [default: 127.0.0.1:4000]
    #[arg(long, env = "VAULT_LISTEN", hide_env_values = true, value_name = "IP:PORT")]
    listen: Option<OsString>,
    /// The address that serves /metrics and health checks [default: none]
    #[arg(long, env = "VAULT_METRICS_LISTEN", hide_env_values = true, value_name = "IP:PORT")]
    metrics_listen: Option<OsString>,
    #[command(flatten)]
    dashboard: DashboardSettings,
    #[command(flatten)]
    log: LogSettings,
}

impl Dev {
    /// Serves until a signal stops the server.
    pub async fn run(self) -> Result {
        let addresses = listen_addresses(self.listen.as_ref(), self.metrics_listen.as_ref());
        let log = Log::of(&self.log, "info");
        let dashboard = dev_dashboard(&self.dashboard);
        let ((listen, metrics_listen), log, dashboard) = match (addresses, log, dashboard) {
            (Ok(addresses), Ok(log), Ok(dashboard)) => (addresses, log, dashboard),
            (addresses, log, dashboard) => {
                let found = [addresses.err(), log.err(), dashboard.err()];
                return Err(Problems(found.into_iter().flatten().flat_map(|problems| problems.0).collect()).into());
            }
        };
        logs::begin(log, None);
        let dir = DataDir::open_or_create(&self.data_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let signer = dir.signer()?;
        let issuer = IssuerConfig {
            iss: data_dir::ISSUER.to_owned(),
            keys: KeySource::Set(signer.jwks()),
            kinds: TokenKind::ALL.iter().copied().collect(),
            subject_prefix: None,
        };
        let verifier = Verifier::new(vec![issuer], clock.clone(), REFRESH).map_err(Problems)?;
        for problem in verifier.load().await {
            tracing::warn!(problem, "the issuer's key set cannot be read; its tokens are refused");
        }

        let backend = dir.backend()?;
        let store = open::store(&backend)?;
        let keys = master_keys(&KeyConfig::in_file(dir.keyring()))?;
        let installation = Installation::new(store.clone(), keys, clock.clone());
        open::migrate(&backend, &installation, &store, crate::vault::ExistingRows::Refuse).await?;
        let authorizer = open::authorizer(&backend, &installation, &store).await?;
        let vault = Vault::of(installation, authorizer, RETENTION);
        if !self.no_demo {
            demo::seed(&vault).await?;
        }
        let people = if self.no_demo { Vec::new() } else { demo::people() };
        let sign_in =
            SignIn::People(Arc::new(PeopleSignIn { people, signer, issuer: data_dir::ISSUER.to_owned(), clock }));
        let setup = ServeSetup {
            dashboard: dashboard.map(|DevDashboard { graphql }| Dashboard { graphql, sign_in }),
            notices: None,
            vault,
            verifier,
            introspection: true,
            audit_retention: None,
            listen,
            runtime_listen: None,
            metrics_listen,
            tls: None,
        };
        let (named, has_dashboard) = (self.data_dir, setup.dashboard.is_some());
        server::run(setup, move |addresses| {
            Ok(print(&welcome(addresses, &dir, &named, has_dashboard, !self.no_demo)?)?)
        })
        .await
    }
}

/// The text printed at start: the address, and commands to copy and paste.
fn welcome(addresses: Addresses, dir: &DataDir, named: &Path, has_dashboard: bool, demo: bool) -> Result<String> {
    let Addresses { scheme, address, .. } = addresses;
    let url = format!("{scheme}://{address}/graphql");
    let program = std::env::args_os().next().map_or_else(|| "project-vault".into(), PathBuf::from);
    let mut token = format!("{} token", quoted(&program)?);
    if named != Path::new(data_dir::DEFAULT) {
        token = format!("{token} --data-dir {}", quoted(dir.path())?);
    }
    let whose: &[&str] = if demo {
        &[
            "user:alice        # Accountable; bob is Responsible, carol Consulted, dave Informed",
            "user:audrey       # reads every audit log",
            "service:platform  # manages projects, agents and roles",
            "runtime:acme-runtime --project demo --agent builder",
            "runtime:globex-runtime --project demo --agent deployer --milestone demo-launch",
        ]
    } else {
        &["user:ID", "service:ID", "runtime:ID"]
    };
    let mut lines = vec![format!("Project Vault  {url}")];
    if has_dashboard {
        lines.push(format!("Dashboard      {scheme}://{address}/"));
    }
    lines.extend([format!("Data           {}", dir.path().display()), String::new(), "Tokens:".to_owned()]);
    lines.extend(whose.iter().map(|whose| format!("  {token} {whose}")));
    if demo {
        let query =
            r#"{ projectVault(projectId: \"demo\") { entries { edges { node { name status maskedValue } } } } }"#;
        lines.extend([
            String::new(),
            "Try:".to_owned(),
            format!("  curl -s {url} -H 'Content-Type: application/json' \\"),
            format!("    -H \"Authorization: Bearer $({token} user:alice)\" \\"),
            format!("    -d '{{\"query\": \"{query}\"}}'"),
        ]);
    }
    Ok(lines.join("\n") + "\n")
}

/// A path quoted for a shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Failure::DataDir {
        path: path.to_owned(),
        problem: "this path is not UTF-8; use one that is",
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    Ok(if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}
