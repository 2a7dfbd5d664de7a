//! `whoami`.

use super::Result;
use super::claims::{self, Says};
use super::settings::{TOKEN_HELP, TokenSettings, client_token};
use super::{AgentFailure, hiding};
use crate::command::{Output, print, print_json};
use crate::domain::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

/// Shows the claims of a token. Only the vault can tell whether it is genuine.
#[derive(clap::Args)]
#[command(after_help = format!("{TOKEN_HELP}\n
Examples:
  project-vault whoami
  PROJECT_VAULT_TOKEN=$(project-vault token runtime:acme-runtime --project demo) project-vault whoami --output json"))]
pub struct Whoami {
    #[command(flatten)]
    token: TokenSettings,
    /// The form of what is printed
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    output: Output,
}

impl Whoami {
    /// Reads the token and prints what it says.
    ///
    /// # Errors
    /// When it cannot; [`AgentFailure::status`] is the exit status.
    pub fn run(self) -> Result {
        let token = client_token(&self.token, hiding::take_token().as_ref())?;
        let says = claims::read(&token).ok_or_else(|| {
            AgentFailure::Input("PROJECT_VAULT_TOKEN: is no JSON Web Token; ask its issuer".to_owned())
        })?;
        let now = SystemClock.now();
        match self.output {
            Output::Text => Ok(print(&as_text(&says, now))?),
            Output::Json => Ok(print_json(&format!("{:#}\n", as_json(&says, now)))?),
        }
    }
}

fn expired(says: &Says, now: Timestamp) -> bool {
    says.expires.is_some_and(|expires| expires <= now)
}

fn as_json(says: &Says, now: Timestamp) -> Value {
    json!({
        "principal": says.principal,
        "issuer": says.issuer,
        "expiresAt": says.expires.map(Timestamp::to_rfc3339),
        "expired": expired(says, now),
        "narrowedTo": says.narrowed_to,
        "verified": false,
    })
}

fn as_text(says: &Says, now: Timestamp) -> String {
    let expires = says.expires.map_or_else(|| "never, so no vault takes it".to_owned(), Timestamp::to_rfc3339);
    let ended = if expired(says, now) { " (it has ended)" } else { "" };
    let mut lines = vec![
        format!("principal   {}", says.principal),
        format!("issuer      {}", says.issuer),
        format!("expires     {expires}{ended}"),
    ];
    let to = &says.narrowed_to;
    let parts = [("project", &to.project), ("agent", &to.agent), ("milestone", &to.milestone)];
    lines.extend(parts.iter().filter_map(|(what, id)| Some(format!("narrowed    to {what} {}", id.as_ref()?))));
    if let Some(names) = &to.names {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        lines.push(format!("narrowed    to names {}", names.join(", ")));
    }
    if lines.len() == 3 {
        lines.push("narrowed    no: it opens whatever its principal may".to_owned());
    }
    lines.push("This is what the token says; only the vault checks its signature.".to_owned());
    lines.join("\n") + "\n"
}
