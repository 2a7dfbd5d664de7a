//! Resolving for an agent, sealed for a key that lives for the one call.

use super::bounded::bounded;
use super::claims::{self, NarrowedTo};
use super::left_out::{LeftOut, screen};
use super::settings::Client;
use super::wanted::Wanted;
use super::{AgentFailure, VaultClient};
use crate::command::Untrusted;
use crate::crypto::{Recipient, SealedCall, SealedPlace};
use crate::domain::{AgentId, MilestoneId, ProjectId, SecretOutcome};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// The largest value, in bytes (`product.md`, section 3).
const MAX_VALUE: usize = 64 * 1024;

const RESOLVE: &str = "query($input: ResolveSecretsInput!) { resolveSecrets(input: $input) { requestId secrets \
    { name outcome sealedValue entryId version category scope expiresAt } leftOut { name reason } } }";
const PREVIEW: &str = "query($input: PreviewSecretsInput!) { previewSecrets(input: $input) { blockedBy secrets \
    { name outcome scope expiresAt } leftOut { name reason } } }";

/// The answer for one name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// The name. It has the form of one.
    pub name: String,
    /// Its outcome.
    pub outcome: SecretOutcome,
    sealed_value: Option<String>,
    /// The entry.
    pub entry_id: Option<Untrusted>,
    /// Its version.
    pub version: Option<i32>,
    /// Its kind.
    pub category: Option<Untrusted>,
    /// Whether it belongs to the project or a milestone.
    pub scope: Option<Untrusted>,
    /// When it expires.
    pub expires_at: Option<Untrusted>,
    /// The value, exactly when the outcome is RESOLVED.
    #[serde(skip)]
    pub value: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resolved {
    request_id: Untrusted,
    #[serde(deserialize_with = "bounded")]
    secrets: Vec<Secret>,
    #[serde(default, deserialize_with = "bounded")]
    left_out: Vec<LeftOut>,
}

/// The secrets an agent receives.
pub struct ResolvedSecrets {
    /// Each name's answer.
    pub secrets: Vec<Secret>,
    /// The names the vault left out, and those it answered although nobody asked.
    pub left_out: Vec<LeftOut>,
}

/// The secrets an agent would receive.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Why it would be refused as a whole.
    #[serde(deserialize_with = "bounded")]
    pub blocked_by: Vec<Untrusted>,
    /// Each name's answer.
    #[serde(deserialize_with = "bounded")]
    pub secrets: Vec<Previewed>,
    /// The names the vault would leave out, and those it answered although nobody asked.
    #[serde(default, deserialize_with = "bounded")]
    pub left_out: Vec<LeftOut>,
}

/// The answer for one name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Previewed {
    /// The name. It has the form of one.
    pub name: String,
    /// Its outcome.
    pub outcome: SecretOutcome,
    /// Whether its entry belongs to the project or a milestone.
    pub scope: Option<Untrusted>,
    /// When that expires.
    pub expires_at: Option<Untrusted>,
}

/// An agent's view of one project.
pub struct View {
    vault: VaultClient,
    project: ProjectId,
    agent: AgentId,
    milestone: Option<MilestoneId>,
    session: Option<String>,
    tool: Option<String>,
}

impl View {
    /// Of a configuration; what is left out is what the token is narrowed to.
    ///
    /// # Errors
    /// When neither says which project and agent.
    pub fn of(client: Client) -> Result<Self, AgentFailure> {
        let Client { url, token, timeout, project, agent, milestone, session, tool } = client;
        let narrowed_to = claims::read(&token).map_or_else(NarrowedTo::default, |says| says.narrowed_to);
        let missing = |flag: &str, variable: &str| {
            AgentFailure::Input(format!("say {flag}, or set {variable}: the token is not narrowed to one; see --help"))
        };
        let project = project.or_else(|| narrowed_to.project());
        let agent = agent.or_else(|| narrowed_to.agent());
        Ok(Self {
            vault: VaultClient::new(url, &token, timeout)?,
            project: project.ok_or_else(|| missing("--project", "PROJECT_VAULT_PROJECT"))?,
            agent: agent.ok_or_else(|| missing("--agent", "PROJECT_VAULT_AGENT"))?,
            milestone: milestone.or_else(|| narrowed_to.milestone()),
            session,
            tool,
        })
    }

    fn question(&self, wanted: &Wanted<'_>) -> Value {
        json!({
            "projectId": self.project.as_str(),
            "agentId": self.agent.as_str(),
            "milestoneId": self.milestone.as_ref().map(MilestoneId::as_str),
            "names": wanted.names,
            "providedNames": wanted.provided,
        })
    }

    /// Resolves. The answer can be opened by this process alone, and is opened here.
    ///
    /// # Errors
    /// When the vault says no or cannot be asked, or when somebody on the way changed what it
    /// answered.
    pub async fn resolve(&self, wanted: &Wanted<'_>) -> Result<ResolvedSecrets, AgentFailure> {
        let recipient = Recipient::generate()
            .map_err(|error| AgentFailure::Unreachable(format!("no key can be made for this call: {error}")))?;
        let mut input = self.question(wanted);
        input["purpose"] = wanted.purpose.into();
        input["sessionId"] = self.session.as_deref().into();
        input["tool"] = self.tool.as_deref().into();
        input["recipientKey"] = recipient.public_key().into();
        let Resolved { request_id, secrets, mut left_out } = self.vault.ask(RESOLVE, input).await?;
        // The server at the other end could seal for this call too: nothing comes in that was not
        // asked for.
        let (mut secrets, screened) = screen(secrets, |secret| (&secret.name, secret.outcome), wanted);
        left_out.extend(screened);
        let (project, agent) = (self.project.as_str(), self.agent.as_str());
        let call = SealedCall { project, agent, request: request_id.as_received() };
        for secret in &mut secrets {
            if secret.outcome == SecretOutcome::Resolved {
                secret.value = Some(open(secret, &recipient, &call)?);
            }
        }
        Ok(ResolvedSecrets { secrets, left_out })
    }

    /// Asks what would be resolved; opens nothing.
    ///
    /// # Errors
    /// When the vault says no or cannot be asked.
    pub async fn preview(&self, wanted: &Wanted<'_>) -> Result<Preview, AgentFailure> {
        let mut preview: Preview = self.vault.ask(PREVIEW, self.question(wanted)).await?;
        let (secrets, screened) = screen(preview.secrets, |secret| (&secret.name, secret.outcome), wanted);
        preview.left_out.extend(screened);
        Ok(Preview { secrets, ..preview })
    }
}

fn open(secret: &Secret, recipient: &Recipient, call: &SealedCall<'_>) -> Result<SecretString, AgentFailure> {
    let changed = || {
        AgentFailure::Unreachable(format!(
            "{}: what arrived is not what the vault sealed for this call; something on the way changed it",
            secret.name
        ))
    };
    match (&secret.sealed_value, &secret.entry_id, secret.version) {
        (Some(sealed), Some(entry), Some(version)) => {
            let place = SealedPlace { entry: entry.as_received(), version, name: &secret.name };
            let value = recipient.open(call, &place, sealed).map_err(|_| changed())?;
            let is_value =
                (1..=MAX_VALUE).contains(&value.expose_secret().len()) && !value.expose_secret().contains('\0');
            if is_value { Ok(value) } else { Err(changed()) }
        }
        _ => Err(changed()),
    }
}

/// The names that were asked for and are not there, if any; those that are missing go before those
/// that have expired.
pub fn require(answers: impl Iterator<Item = (String, SecretOutcome)>) -> Result<(), AgentFailure> {
    let (mut missing, mut expired) = (Vec::new(), Vec::new());
    for (name, outcome) in answers {
        match outcome {
            SecretOutcome::NotFound => missing.push(name),
            SecretOutcome::Expired => expired.push(name),
            SecretOutcome::Resolved | SecretOutcome::ProvidedByWorkspace => {}
        }
    }
    if !missing.is_empty() {
        Err(AgentFailure::NotFound(missing))
    } else if !expired.is_empty() {
        Err(AgentFailure::Expired(expired))
    } else {
        Ok(())
    }
}
