//! `token KIND:ID`: prints a token for a `dev` vault.

use super::data_dir::{self, DataDir};
use super::duration;
use super::failure::{Failure, Result};
use crate::command::print;
use crate::domain::{
    AgentId, Clock as _, MilestoneId, Narrowing, ProjectId, RuntimeId, SecretName, ServiceId, SystemClock, TokenKind,
    UserId,
};
use crate::http::tokens::Claims;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Maximum lifetime of a runtime's token; a vault refuses longer ones.
const MAX_RUNTIME_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Prints a token for a `dev` vault, and nothing else. Its server may be running.
#[derive(clap::Args)]
pub struct Token {
    /// The principal: `user:ID`, `service:ID` or `runtime:ID`
    #[arg(value_name = "KIND:ID", value_parser = parse_whose)]
    whose: Whose,
    /// The data directory of the `dev` vault
    #[arg(long, value_name = "DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// How long the token is valid, such as 30s, 10m or 1h; at most 24h for a runtime
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    ttl: Duration,
    /// Narrows a runtime's token to one project
    #[arg(long, value_name = "ID", value_parser = |id: &str| ProjectId::parse(id))]
    project: Option<ProjectId>,
    /// Narrows a runtime's token to one agent
    #[arg(long, value_name = "ID", value_parser = |id: &str| AgentId::parse(id))]
    agent: Option<AgentId>,
    /// Narrows a runtime's token to one milestone and what belongs to its project
    #[arg(long, value_name = "ID", value_parser = |id: &str| MilestoneId::parse(id))]
    milestone: Option<MilestoneId>,
    /// Narrows a runtime's token to these names of secrets
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = |name: &str| SecretName::existing(name))]
    names: Option<Vec<SecretName>>,
}

#[derive(Clone)]
struct Whose {
    kind: TokenKind,
    id: String,
}

fn parse_whose(text: &str) -> Result<Whose, String> {
    let (kind, id) = text.split_once(':').ok_or("write KIND:ID, such as user:alice")?;
    let (kind, read) = match kind {
        "user" => (TokenKind::User, UserId::parse(id).map(drop)),
        "service" => (TokenKind::Service, ServiceId::parse(id).map(drop)),
        "runtime" => (TokenKind::Runtime, RuntimeId::parse(id).map(drop)),
        _ => return Err("the kind is user, service or runtime".to_owned()),
    };
    read.map_err(|error| error.to_string())?;
    Ok(Whose { kind, id: id.to_owned() })
}

impl Token {
    /// Prints the token.
    pub fn run(self) -> Result {
        let Self { whose, data_dir, ttl, project, agent, milestone, names } = self;
        let names = names.map(|names| names.iter().map(|name| name.as_str().to_owned()).collect::<BTreeSet<_>>());
        let narrowing = Narrowing { project, agent, milestone, names };
        if whose.kind == TokenKind::Runtime {
            if ttl > MAX_RUNTIME_LIFETIME {
                return Err(Failure::Usage("--ttl: a runtime's token is valid for 24h at most".to_owned()));
            }
        } else if narrowing != Narrowing::default() {
            return Err(Failure::Usage(
                "--project, --agent, --milestone and --names narrow a runtime's token; nobody else's can be".to_owned(),
            ));
        }
        let signer = DataDir::open(&data_dir)?.signer()?;
        let now = SystemClock.now();
        let token = signer.sign(&Claims {
            iss: data_dir::ISSUER.to_owned(),
            kind: whose.kind,
            sub: whose.id,
            issued: now,
            expires: now.plus(ttl),
            narrowing,
        })?;
        Ok(print(&format!("{token}\n"))?)
    }
}
