//! Resolving and previewing as the API shows them.

use super::answer::nullable;
use super::entry::VaultEntry;
use super::is_runtime;
use super::loaders::request;
use super::scalars::{
    DateTime, SecretLeftOutReason, SecretOutcome, SecretsBlock, VaultCategory, VaultResolvePurpose, VaultScope,
};
use crate::domain::RequestId;
use crate::vault::{AgentQuestion, LeftOut, Preview, Resolution, ResolveReceipt, ResolveRequest, Resolved};
use async_graphql::{ComplexObject, Context, ID, InputObject, SimpleObject};
use secrecy::ExposeSecret as _;

/// The agent to preview for, and the names it would ask for.
#[derive(InputObject)]
pub(super) struct PreviewSecretsInput {
    /// The project the agent works on.
    project_id: ID,
    /// The agent that would receive the secrets.
    agent_id: ID,
    /// The milestone the agent would work on. Left out: only project-scoped entries apply.
    milestone_id: Option<ID>,
    /// The names to answer, at most 500. Left out: everything the agent may use, as at the start of
    /// a coding session. An empty list: none.
    names: Option<Vec<String>>,
    /// Names the workspace already provides (BYOK), at most 10,000. They win: the vault neither
    /// decrypts nor returns them.
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

/// What an agent would receive now.
#[derive(SimpleObject)]
pub(super) struct SecretsPreview {
    /// Why a resolve would be refused as a whole; empty when it would be answered. A runtime's
    /// preview is refused instead.
    blocked_by: Vec<SecretsBlock>,
    /// The answer for each name, in the order asked, or in byte order without names.
    secrets: Vec<SecretPreview>,
    /// Entries that a resolve without names would leave out because of their names. Empty when
    /// names were given.
    left_out: Vec<SecretLeftOut>,
}

/// An entry that a session does not receive because of its name. A resolve that asks for the name
/// still receives it.
#[derive(SimpleObject)]
pub(super) struct SecretLeftOut {
    /// The name of the entry.
    name: String,
    /// Why the session does not receive the entry.
    reason: SecretLeftOutReason,
}

impl From<LeftOut> for SecretLeftOut {
    fn from(left_out: LeftOut) -> Self {
        Self { name: left_out.name, reason: left_out.reason.into() }
    }
}

/// What an agent would be answered for one name.
#[derive(SimpleObject)]
pub(super) struct SecretPreview {
    /// The name that was asked for, or the entry's.
    name: String,
    /// The outcome that a resolve would give the name.
    outcome: SecretOutcome,
    /// The scope of the entry that decides the outcome; set exactly when outcome is RESOLVED or
    /// EXPIRED.
    scope: Option<VaultScope>,
    /// When that entry expires; null for never, or without such an entry.
    expires_at: Option<DateTime>,
    /// The entry that decides the outcome. Null without one, and for a runtime.
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

/// The agent to resolve for, and the names it needs.
#[derive(InputObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolveSecretsInput {
    /// The project the agent works on.
    project_id: ID,
    /// The agent that receives the secrets.
    agent_id: ID,
    /// The milestone the agent is working on. Left out: only project-scoped entries apply.
    milestone_id: Option<ID>,
    /// The names to answer, at most 500. Left out: everything the agent may use, as at the start of
    /// a coding session. An empty list: none.
    names: Option<Vec<String>>,
    /// Names the workspace already provides (BYOK), at most 10,000. They win: the vault neither
    /// decrypts nor returns them.
    provided_names: Option<Vec<String>>,
    /// What the secrets are for; it is recorded.
    purpose: VaultResolvePurpose,
    /// An id that connects the access records of one coding session: 1 to 200 printable ASCII
    /// characters.
    session_id: Option<String>,
    /// The tool that needs the secrets, for TOOL_EXECUTION: 1 to 200 printable ASCII characters.
    tool: Option<String>,
    /// An X25519 public key, 32 bytes in base64url without padding, made for this call. With it,
    /// values come as sealedValue, and nobody between the vault and the key's owner can read them.
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

/// What an agent receives. A call releases at most 4 MiB of values; more is LIMIT_EXCEEDED.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime", complex)]
pub(super) struct ResolvedSecrets {
    /// The answer for each name, in the order asked, or in byte order without names.
    secrets: Vec<ResolvedSecret>,
    /// Entries that were left out because their names do not belong in a session's environment.
    /// Empty when names were given.
    left_out: Vec<SecretLeftOut>,
    /// The id of the request, as in the access records; sealed values are bound to it.
    request_id: String,
    #[graphql(skip)]
    receipt: ResolveReceipt,
}

#[ComplexObject]
impl ResolvedSecrets {
    /// A signed statement (JWS, EdDSA) of what was released to whom, when, and under which records;
    /// it holds no value. Verify it with the keys at /.well-known/project-vault/jwks.json.
    async fn receipt(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let signed = match request(ctx) {
            Ok(request) => request.vault.audit().sign_receipt(&self.receipt).await.map(Some),
            Err(error) => Err(error),
        };
        nullable(signed)
    }
}

/// The answer for one name.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolvedSecret {
    /// The name that was asked for, or the entry's.
    name: String,
    /// Whether the agent receives a value, and if not why.
    outcome: SecretOutcome,
    /// The decrypted value; set exactly when outcome is RESOLVED and no recipientKey was given.
    value: Option<String>,
    /// The value sealed for recipientKey; set exactly when outcome is RESOLVED and a recipientKey
    /// was given: HPKE (RFC 9180), base64url of the encapsulated key and the ciphertext, bound to
    /// project, agent, request, entry, version and name.
    sealed_value: Option<String>,
    /// The id of the entry that decided the outcome; set exactly when outcome is RESOLVED or
    /// EXPIRED.
    entry_id: Option<ID>,
    /// The version of that entry's value; null without an entry.
    version: Option<i32>,
    /// The category of that entry; null without an entry.
    category: Option<VaultCategory>,
    /// The scope of that entry; null without an entry.
    scope: Option<VaultScope>,
    /// When that entry expires; null for never, or without an entry.
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
