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

/// What an agent would receive.
#[derive(InputObject)]
pub(super) struct PreviewSecretsInput {
    /// Of which project.
    project_id: ID,
    /// Which agent.
    agent_id: ID,
    /// On which milestone; without it only project-scoped entries apply.
    milestone_id: Option<ID>,
    /// The names a tool needs. Left out: everything the agent may use.
    names: Option<Vec<String>>,
    /// Names the workspace already provides.
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

/// What an agent would receive.
#[derive(SimpleObject)]
pub(super) struct SecretsPreview {
    /// Why a resolve would be refused as a whole; empty when it would be answered.
    blocked_by: Vec<SecretsBlock>,
    /// Each name's answer.
    secrets: Vec<SecretPreview>,
    /// What a resolve without names would leave out because of its name. Empty with names.
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

/// entry is null for a runtime, which sees names, outcomes and what a resolve would tell beside the value.
#[derive(SimpleObject)]
pub(super) struct SecretPreview {
    /// The name.
    name: String,
    /// What would become of it.
    outcome: SecretOutcome,
    /// To what the entry that decides it belongs, when outcome is RESOLVED or EXPIRED.
    scope: Option<VaultScope>,
    /// When that entry expires.
    expires_at: Option<DateTime>,
    /// The entry that decides it.
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

/// What an agent needs.
#[derive(InputObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolveSecretsInput {
    /// Of which project.
    project_id: ID,
    /// Which agent.
    agent_id: ID,
    /// The milestone the agent is working on; without it only project-scoped entries apply.
    milestone_id: Option<ID>,
    /// The names a tool needs. Left out: everything the agent may use, as at the start of a coding session.
    names: Option<Vec<String>>,
    /// Names the workspace already provides (BYOK). They win: the vault neither decrypts nor returns them.
    provided_names: Option<Vec<String>>,
    /// What for.
    purpose: VaultResolvePurpose,
    /// Correlates the access records of one coding session; up to 200 printable ASCII characters, as tool.
    session_id: Option<String>,
    /// The tool that needs the secret, for TOOL_EXECUTION.
    tool: Option<String>,
    /// An X25519 public key, 32 bytes in base64url without padding, made for this call. With it values come as sealedValue, and
    /// nobody between the vault and the key's owner can read them.
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

/// The answers, one a name.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime", complex)]
pub(super) struct ResolvedSecrets {
    /// In the order of the names asked for, else in byte order.
    secrets: Vec<ResolvedSecret>,
    /// Without names: the entries whose names do not belong into a session's environment, which are
    /// left out. Empty with names.
    left_out: Vec<SecretLeftOut>,
    /// The request, as the access records name it; sealed values are bound to it.
    request_id: String,
    #[graphql(skip)]
    receipt: ResolveReceipt,
}

#[ComplexObject]
impl ResolvedSecrets {
    /// A signed statement (JWS, EdDSA) of what was released to whom, when, and under which records; it holds no value. Its keys are
    /// at /.well-known/project-vault/jwks.json.
    async fn receipt(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let signed = match session(ctx) {
            Ok(session) => session.vault.audit().sign_receipt(&self.receipt).await.map(Some),
            Err(error) => Err(error),
        };
        nullable(signed)
    }
}

/// The answer for one name.
#[derive(SimpleObject)]
#[graphql(inaccessible, visible = "is_runtime")]
pub(super) struct ResolvedSecret {
    /// The name.
    name: String,
    /// What became of it.
    outcome: SecretOutcome,
    /// Set exactly when outcome is RESOLVED and no recipientKey was given.
    value: Option<String>,
    /// Set exactly when outcome is RESOLVED and a recipientKey was given: HPKE (RFC 9180), base64url of the encapsulated key
    /// and the ciphertext, bound to project, agent, request, entry, version and name.
    sealed_value: Option<String>,
    /// The entry, when outcome is RESOLVED or EXPIRED.
    entry_id: Option<ID>,
    /// Its version.
    version: Option<i32>,
    /// Its kind.
    category: Option<VaultCategory>,
    /// To what it belongs.
    scope: Option<VaultScope>,
    /// When it expires.
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
