//! `outbox`: repairs changes of permissions that were set aside.

use super::failure::{Failure, Result};
use super::open::{self, DataLocation};
use crate::command::{Output, print, print_json};
use crate::config::SECRETS_HELP;
use crate::vault::SetAside;
use serde_json::json;

/// Shows changes of permissions that cannot be applied, and retries or discards them.
#[derive(clap::Args)]
pub struct Outbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Shows the changes that are set aside
    ///
    /// Such a change was saved and recorded, and cannot be applied: the authorizer refuses it as
    /// invalid, or somebody changed its row. Changes that would grant again what it takes away, or
    /// may, wait for it; all others go on.
    #[command(after_help = SECRETS_HELP)]
    List {
        /// The format of the output
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        output: Output,
        #[command(flatten)]
        location: DataLocation,
    },
    /// Tries a change again, after its cause was repaired; this is recorded
    #[command(after_help = SECRETS_HELP)]
    Retry(One),
    /// Removes a change, so that it never takes effect, and what waits for it does; this is
    /// recorded
    #[command(after_help = SECRETS_HELP)]
    Discard(One),
}

#[derive(clap::Args)]
struct One {
    /// The number of the change, as `outbox list` shows it
    number: i64,
    #[command(flatten)]
    location: DataLocation,
}

impl Outbox {
    /// Runs the command and prints the result.
    pub async fn run(self) -> Result {
        match self.command {
            Command::List { output, location } => {
                let (vault, _) = location.open_without_authorizer().await?;
                let rows = vault.tuples().list_set_aside().await?;
                match output {
                    Output::Text => Ok(print(&as_text(&rows))?),
                    Output::Json => Ok(print_json(&format!("{}\n", as_json(&rows)))?),
                }
            }
            Command::Retry(One { number, location }) => {
                let vault = location.vault().await?;
                if !open::recorded(&vault, vault.tuples().retry(number).await).await? {
                    let problem = "still cannot be applied and stays set aside; `outbox list` shows why";
                    return Err(Failure::Incomplete(format!("change {number} {problem}")));
                }
                Ok(print(&format!("change {number} took effect\n"))?)
            }
            Command::Discard(One { number, location }) => {
                let (vault, _) = location.open_without_authorizer().await?;
                open::recorded(&vault, vault.tuples().discard(number).await).await?;
                Ok(print(&format!("change {number} is gone; servers apply what waited for it\n"))?)
            }
        }
    }
}

fn as_text(rows: &[SetAside]) -> String {
    if rows.is_empty() {
        return "no change is set aside\n".to_owned();
    }
    let line = |row: &SetAside| {
        format!(
            "{} in {}, made {}, set aside {}: {}\n    {}\n",
            row.seq,
            row.partition,
            row.created_at.to_rfc3339(),
            row.set_aside_at.to_rfc3339(),
            row.reason,
            row.change
        )
    };
    rows.iter().map(line).collect()
}

fn as_json(rows: &[SetAside]) -> serde_json::Value {
    rows.iter()
        .map(|row| {
            json!({
                "number": row.seq,
                "partition": row.partition,
                "change": row.change,
                "createdAt": row.created_at.to_rfc3339(),
                "setAsideAt": row.set_aside_at.to_rfc3339(),
                "reason": row.reason,
            })
        })
        .collect()
}
