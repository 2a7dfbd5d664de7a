//! Resolving and previewing as the API shows them.

use super::answer::nullable;
use super::entry::VaultEntry;
use super::is_runtime;
use super::loaders::session;
use super::scalars::{
    DateTime, SecretLeftOutReason, SecretOutcome, SecretsBlock, VaultCategory, VaultResolvePurpose, VaultScope,
};
use crate::domain::RequestId;
use crate::vault::{AgentQuestion, LeftOut, Preview, Resolution, ResolveReceipt, ResolveRequest, Resolved};
use async_graphql::{ComplexObject, Context, ID, InputObject, SimpleObject};
use secrecy::ExposeSecret as _;

/// The agent whose secrets to preview, and which ones.
#[derive(InputObject)]
pub(super) struct PreviewSecretsInput {
    /// The project's id.
    project_id: ID,
    /// The agent's id.
    agent_id: ID,
    /// The milestone the agent would work on; without it, only entries of the whole project apply.
    milestone_id: Option<ID>,
    /// The names to preview; without them, every entry the agent may use.
    names: Option<Vec<String>>,
    /// Names that the workspace provides already (BYOK).
    provided_names: Option<Vec<String>>,
}

impl From<PreviewSecretsInput> for AgentQuestion {
    fn from(input: PreviewSecretsInput) -> Self {
        Self {
            project: input.project_id.0,
            agent: input.agent_id.0,
            milestone: input.milestone_id.map(|id| id.0),
            names: input.names,
            provided: input.provided_names.unwrap_or_default(),
        }
    }
}

/// What an agent would receive if it resolved secrets now.
#[derive(SimpleObject)]
pub(super) struct SecretsPreview {
    /// Why a resolve would be refused as a whole; empty when it would be answered.
    blocked_by: Vec<SecretsBlock>,
    /// One outcome per name.
    secrets: Vec<SecretPreview>,
    /// The entries a resolve without names would leave out because of their names; empty when names
    /// were given.
    left_out: Vec<SecretLeftOut>,
}

/// An entry that a session does not receive because of its name. A resolve that names it does.
#[derive(SimpleObject)]
pub(super) struct SecretLeftOut {
    /// The entry's name.
    name: String,
    /// Why the session does not receive it.
    reason: SecretLeftOutReason,
}

impl From<LeftOut> for SecretLeftOut {
    fn from(left_out: LeftOut) -> Self {
        Self { name: left_out.name, reason: left_out.reason.into() }
    }
}

/// The outcome a resolve would have for one name.
#[derive(SimpleObject)]
pub(super) struct SecretPreview {
    /// The name that was asked for, or the entry's.
    name: String,
    /// Whether the agent would receive the value, and if not why.
    outcome: SecretOutcome,
    /// Whether the deciding entry belongs to the project or a milestone, when outcome is RESOLVED
    /// or EXPIRED.
    scope: Option<VaultScope>,
    /// When that entry expires; null for never.
    expires_at: Option<DateTime>,
    /// The entry that decides the outcome; null without one, and always null for a runtime.
    entry: Option<VaultEntry>,
}

impl From<Preview> for SecretsPreview {
    fn from(preview: Preview) -> Self {
        Self {
            blocked_by: preview.blocked_by.into_iter().map(Into::into).collect(),
            secrets: preview
                .secrets
                .into_iter()
                .map(|secret| SecretPreview {
                    name: secret.name,
                    outcome: secret.outcome.into(),
                    scope: secret.scope.map(Into::into),
                    expires_at: secret.expires_at.map(DateTime),
                    entry: secret.entry.map(VaultEntry),
                })
                .collect(),
            left_out: preview.left_out.into_iter().map(Into::into).collect(),
        }
    }
}

/// The agent that needs secrets, and which ones.
#[derive(InputObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolveSecretsInput {
    /// The project's id.
    project_id: ID,
    /// The agent's id.
    agent_id: ID,
    /// The milestone the agent is working on; without it, only entries of the whole project apply.
    milestone_id: Option<ID>,
    /// The names to resolve; without them, every entry the agent may use, as at the start of a
    /// coding session.
    names: Option<Vec<String>>,
    /// Names that the workspace provides already (BYOK) and that therefore win: the vault neither
    /// decrypts nor returns them.
    provided_names: Option<Vec<String>>,
    /// Why they are needed, for the access records.
    purpose: VaultResolvePurpose,
    /// The coding session, which correlates its access records: up to 200 printable ASCII
    /// characters.
    session_id: Option<String>,
    /// The tool that needs the secrets, for TOOL_EXECUTION: up to 200 printable ASCII characters.
    tool: Option<String>,
    /// An X25519 public key made for this call: 32 bytes in base64url without padding. Values then
    /// come as sealedValue, which only the key's owner can open.
    recipient_key: Option<String>,
}

impl From<ResolveSecretsInput> for ResolveRequest {
    fn from(input: ResolveSecretsInput) -> Self {
        Self {
            question: AgentQuestion {
                project: input.project_id.0,
                agent: input.agent_id.0,
                milestone: input.milestone_id.map(|id| id.0),
                names: input.names,
                provided: input.provided_names.unwrap_or_default(),
            },
            purpose: input.purpose.into(),
            session: input.session_id,
            tool: input.tool,
            recipient: input.recipient_key,
        }
    }
}

/// The outcomes of a resolve, one per name.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime", complex)]
pub(super) struct ResolvedSecrets {
    /// One outcome per name, in the order of the names asked for; without names, sorted by name.
    secrets: Vec<ResolvedSecret>,
    /// The entries that were left out because of their names, when no names were asked for; else
    /// empty.
    left_out: Vec<SecretLeftOut>,
    /// The request's id in the access records; sealed values are bound to it.
    request_id: String,
    #[graphql(skip)]
    receipt: ResolveReceipt,
}

#[ComplexObject]
impl ResolvedSecrets {
    /// A signed statement (JWS, EdDSA) of what was released to whom, when, and under which records;
    /// it holds no value. Verify it with the keys at /.well-known/project-vault/jwks.json.
    async fn receipt(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let signed = match session(ctx) {
            Ok(session) => session.vault.audit().sign_receipt(&self.receipt).await.map(Some),
            Err(error) => Err(error),
        };
        nullable(signed)
    }
}

/// The outcome for one name.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolvedSecret {
    /// The name that was asked for, or the entry's.
    name: String,
    /// Whether the value is there, and if not why.
    outcome: SecretOutcome,
    /// The value; set exactly when outcome is RESOLVED and no recipientKey was given.
    value: Option<String>,
    /// The value, sealed for recipientKey with HPKE (RFC 9180); set exactly when outcome is
    /// RESOLVED and a recipientKey was given. It is the base64url of the encapsulated key and the
    /// ciphertext, bound to project, agent, request, entry, version and name.
    sealed_value: Option<String>,
    /// The entry's id, when outcome is RESOLVED or EXPIRED.
    entry_id: Option<ID>,
    /// The version of the value.
    version: Option<i32>,
    /// The kind of credential it is.
    category: Option<VaultCategory>,
    /// Whether it belongs to the whole project or to one milestone.
    scope: Option<VaultScope>,
    /// When it expires; null for never.
    expires_at: Option<DateTime>,
}

impl ResolvedSecrets {
    pub(super) fn new(resolution: Resolution, request: &RequestId) -> Self {
        Self {
            secrets: resolution.secrets.into_iter().map(ResolvedSecret::from).collect(),
            left_out: resolution.left_out.into_iter().map(Into::into).collect(),
            request_id: request.as_str().to_owned(),
            receipt: resolution.receipt,
        }
    }
}

impl From<Resolved> for ResolvedSecret {
    fn from(secret: Resolved) -> Self {
        let entry = secret.entry.as_ref();
        Self {
            name: secret.name,
            outcome: secret.outcome.into(),
            // The one place where a value leaves its type unsealed.
            value: secret.value.map(|value| value.expose_secret().to_owned()),
            sealed_value: secret.sealed,
            entry_id: entry.map(|entry| ID(entry.id.to_string())),
            version: entry.map(|entry| entry.version),
            category: entry.map(|entry| entry.category.into()),
            scope: entry.map(|entry| entry.scope.into()),
            expires_at: entry.and_then(|entry| entry.expires_at).map(DateTime),
        }
    }
}
