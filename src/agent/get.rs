//! `get NAME`.

use super::Result;
use super::resolve::{Secret, View, require};
use super::settings::{Client, ClientSettings, TOKEN_HELP};
use super::wanted::Wanted;
use super::{AgentFailure, hiding, left_out};
use crate::command::{Output, in_one_thread, notice, print_exactly, print_json};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Resolves one secret for a tool.
#[derive(clap::Args)]
#[command(after_help = format!("{TOKEN_HELP}\n
Examples:
  export PROJECT_VAULT_TOKEN=...   # a runtime's token, narrowed to a project and an agent
  project-vault get GITHUB_TOKEN | gh auth login --with-token
  project-vault get --project demo --agent builder --tool deploy DEPLOY_TOKEN
  project-vault get GITHUB_TOKEN --output json      # what there is about it, without the value

Exit status: 0 done, 2 wrong usage, 3 expired, 4 not found, 5 refused, 6 the vault cannot be reached or fails."))]
pub struct Get {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// `text` writes the value and nothing else, not even a line's end; `json` what there is about
    /// it
    #[arg(long, value_name = "FORM", value_enum, default_value = "text")]
    output: Output,
    /// Writes the value into the JSON as well
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    client: ClientSettings,
}

impl Get {
    /// Resolves and prints.
    ///
    /// # Errors
    /// When it cannot; [`AgentFailure::status`] is the exit status.
    pub fn run(self) -> Result {
        let secret = resolve_one(&self.client, self.name)?;
        let required = require(std::iter::once((secret.name.clone(), secret.outcome)));
        if self.output == Output::Json {
            print_json(&format!("{:#}\n", as_json(&secret, self.reveal)))?;
        } else if let (Ok(()), Some(value)) = (&required, &secret.value) {
            print_exactly(value.expose_secret())?;
        }
        required
    }
}

/// Resolves one secret for a tool, with whatever outcome.
pub fn resolve_one(client: &ClientSettings, name: String) -> Result<Secret> {
    let token = hiding::take_token();
    let agent = View::of(Client::of(client, token.as_ref())?)?;
    drop(token);
    let names = [name];
    let wanted = Wanted { names: Some(&names), provided: &[], purpose: "TOOL_EXECUTION" };
    let mut answer = in_one_thread(agent.resolve(&wanted))??;
    for line in left_out::notices(&answer.left_out) {
        notice(&line);
    }
    answer.secrets.pop().ok_or_else(|| AgentFailure::NotFound(names.to_vec()))
}

fn as_json(secret: &Secret, reveal: bool) -> Value {
    let mut object = json!({
        "name": secret.name,
        "outcome": secret.outcome.as_str(),
        "entryId": secret.entry_id,
        "version": secret.version,
        "category": secret.category,
        "scope": secret.scope,
        "expiresAt": secret.expires_at,
    });
    if reveal {
        object["value"] = secret.value.as_ref().map(ExposeSecret::expose_secret).into();
    }
    object
}
