//! Resolve, the only way a value leaves the vault (`product.md`, section 4).

use super::AgentSecrets;
use super::candidates::{Found, of_version};
use super::outcomes::NameAnswer;
use super::question::{AgentQuestion, ParsedQuestion, REFUSED, runtime};
use crate::crypto::{CryptoError, DataKey, RecipientKey, SealedCall, SealedPlace};
use crate::domain::{
    AuditAction, AuditOutcome, Category, EntryId, Error, Purpose, Result, Scope, SecretOutcome, Timestamp,
};
use crate::store::records::{CandidateRow, EventRow, Values};
use crate::trace::ExportedSpan;
use crate::vault::audit::{CallRecord, ResolveReceipt};
use crate::vault::entries::{LeftOut, ciphertext_context};
use crate::vault::{Caller, measures};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Maximum length of a session's or a tool's name, in characters.
const MAX_LABEL: usize = 200;

/// By how much the clock may be set back while rows are kept: so long after an entry expired, its
/// value is still read.
const CLOCK_SET_BACK: Duration = Duration::from_secs(60 * 60);

/// A runtime's request for values.
#[derive(Debug, Clone)]
pub struct ResolveRequest {
    /// The entries asked for, and the agent that receives them.
    pub question: AgentQuestion,
    /// The purpose, for the records.
    pub purpose: Purpose,
    /// The coding session, for the records.
    pub session: Option<String>,
    /// The tool, for the records.
    pub tool: Option<String>,
    /// The X25519 public key to seal the values for, in base64url; `None` for plaintext values.
    pub recipient: Option<String>,
}

/// The answer for one name.
pub struct Resolved {
    /// The name.
    pub name: String,
    /// The outcome.
    pub outcome: SecretOutcome,
    /// The value, if the outcome is RESOLVED and the request has no recipient.
    pub value: Option<SecretString>,
    /// The sealed value, if the outcome is RESOLVED and the request has a recipient.
    pub sealed: Option<String>,
    /// The entry, if the outcome is RESOLVED or EXPIRED.
    pub entry: Option<ResolvedEntry>,
}

/// The answer to a [`ResolveRequest`].
pub struct Resolution {
    /// The answer for each name.
    pub secrets: Vec<Resolved>,
    /// The entries that a resolve without names leaves out, because of their names.
    pub left_out: Vec<LeftOut>,
    /// The receipt, not signed yet; [`Audit::sign_receipt`](crate::vault::Audit::sign_receipt)
    /// signs it.
    pub receipt: ResolveReceipt,
}

/// The entry that decided an answer.
#[derive(Debug, Clone)]
pub struct ResolvedEntry {
    /// Its id.
    pub id: EntryId,
    /// The version agents receive.
    pub version: i32,
    /// When that version was made.
    pub version_created_at: Timestamp,
    /// Its category.
    pub category: Category,
    /// Whether it is scoped to the project or to a milestone.
    pub scope: Scope,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// An authorized call.
struct Call<'a> {
    caller: &'a Caller,
    question: ParsedQuestion,
    purpose: Purpose,
    recipient: Option<RecipientKey>,
    /// The fields that all events of the call have in common.
    event: EventRow,
    now: Timestamp,
}

/// The answers of a call, with the data key of each entry. All rows were authenticated.
struct Verified<'a> {
    answers: Vec<NameAnswer<&'a CandidateRow>>,
    left_out: Vec<LeftOut>,
    keys: HashMap<EntryId, Arc<DataKey>>,
}

impl AgentSecrets {
    /// Releases values to an agent's runtime, after the access record of each is committed.
    ///
    /// # Errors
    /// FORBIDDEN by the rules of section 4; RATE_LIMITED for a runtime that resolves more often than
    /// the operator allows; INVALID_INPUT for a malformed id, label or recipient
    /// key; LIMIT_EXCEEDED for too many names or bytes; INTERNAL when a row or value fails
    /// authentication. Nothing is released then.
    pub async fn resolve(&self, caller: &Caller, request: ResolveRequest) -> Result<Resolution> {
        let released = self.release_values(caller, request);
        ExportedSpan::resolve().around_result(released, |error| error.code().as_str()).await
    }

    async fn release_values(&self, caller: &Caller, request: ResolveRequest) -> Result<Resolution> {
        let call = self.authorize(caller, request).await?;
        let found = self.read(&call).await?;
        let verified = self.verify(&call, &found).await?;
        let (resolution, record) = self.open_values(&call, verified).await?;
        // What is too large to be kept is not in memory while the records are committed.
        drop(found);
        self.release(resolution, record, call.purpose).await
    }

    /// Refuses every caller that is not a runtime, asks the authorizer about the runtime, and then
    /// validates the other inputs.
    async fn authorize<'a>(&self, caller: &'a Caller, request: ResolveRequest) -> Result<Call<'a>> {
        let now = self.now();
        let ResolveRequest { question, purpose, session, tool, recipient } = request;
        let question = ParsedQuestion::parse(question);
        let event_of = |question: &ParsedQuestion| EventRow {
            purpose: Some(purpose),
            session: session.clone().filter(|text| is_label(text)),
            tool: tool.clone().filter(|text| is_label(text)),
            ..question.event(caller, AuditAction::SecretResolved, now)
        };
        let Some((runtime, narrowing)) = runtime(caller) else {
            let unnamed = |_| caller.event(AuditAction::SecretResolved, now);
            let event = question.as_ref().map_or_else(unnamed, event_of);
            return Err(self.audit.deny(event, REFUSED).await);
        };
        let mut question = question?;
        let event = event_of(&question);
        let recipient = check_label(session.as_deref(), &["input", "sessionId"])
            .and_then(|()| check_label(tool.as_deref(), &["input", "tool"]))
            .and_then(|()| recipient.as_deref().map(RecipientKey::parse).transpose().map_err(recipient_error));
        let authorized = match question.narrow(narrowing) {
            Ok(()) => self.authorize_runtime(runtime, &question, recipient, &event).await,
            Err(error) => Err(error),
        };
        match authorized {
            Ok(recipient) => match self.rate_limit.count(runtime, now) {
                Ok(()) => Ok(Call { caller, question, purpose, recipient, event, now }),
                Err(wait) => Err(self.audit.deny_as_too_often(event, wait).await),
            },
            Err(error) => Err(self.deny(event, error).await),
        }
    }

    /// Reads the rows that could answer the call.
    async fn read(&self, call: &Call<'_>) -> Result<Found> {
        let values = Values::ExpiringAfter(call.now.minus(CLOCK_SET_BACK));
        match self.candidates_for_runtime(&call.question, values, &call.event).await {
            Ok(found) => Ok(found),
            Err(error) => Err(self.deny(call.event.clone(), error).await),
        }
    }

    /// Decides the answer for each name, and authenticates every row that the answers depend on.
    async fn verify<'a>(&self, call: &Call<'_>, found: &'a Found) -> Result<Verified<'a>> {
        let (answers, left_out) = call.question.answers(&found.rows, self.reserved, call.now);
        let keys = self.verify_candidates(found, &answers, &call.event).await?;
        Ok(Verified { answers, left_out, keys })
    }

    /// Opens the values, and seals them for the recipient if there is one. Releases nothing yet.
    async fn open_values(&self, call: &Call<'_>, verified: Verified<'_>) -> Result<(Resolution, CallRecord)> {
        let Verified { answers, left_out, keys } = verified;
        let sealed_call = SealedCall {
            project: call.question.project.as_str(),
            agent: call.question.agent.as_str(),
            request: call.caller.request_id.as_str(),
        };
        let mut secrets = Vec::with_capacity(answers.len());
        let (mut events, mut used) = (Vec::new(), Vec::new());
        for answer in &answers {
            let (mut value, mut sealed) = (None, None);
            if let (SecretOutcome::Resolved, Some(row)) = (answer.outcome, answer.entry) {
                let key = keys.get(&row.entry.id).ok_or_else(|| Error::internal("a candidate has no data key"))?;
                let opened = match self.open(key, row) {
                    Ok(opened) => opened,
                    Err(error) => {
                        return Err(self.record_failure(&call.event, &row.entry, Error::internal(error)).await);
                    }
                };
                match &call.recipient {
                    None => value = Some(opened),
                    Some(recipient) => {
                        let entry = row.entry.id.to_string();
                        let version = row.entry.current_version;
                        let place = SealedPlace { entry: &entry, version, name: &answer.name };
                        sealed = Some(recipient.seal(&sealed_call, &place, &opened).map_err(recipient_error)?);
                    }
                }
                events.push(of_version(&call.event, &row.entry));
                used.push(row.entry.id);
            }
            let shown = answer.outcome.is_of_entry();
            secrets.push(Resolved {
                name: answer.name.clone(),
                outcome: answer.outcome,
                value,
                sealed,
                entry: answer.entry.filter(|_| shown).map(ResolvedEntry::from),
            });
        }
        let receipt = ResolveReceipt::of(&call.event, call.purpose, &events, call.now);
        if call.question.names.is_some() {
            for outcome in [SecretOutcome::NotFound, SecretOutcome::Expired] {
                let count = answers.iter().filter(|answer| answer.outcome == outcome).count();
                let missed = failed(&call.event, outcome.as_str(), count);
                events.extend(missed.filter(|event| self.audit.count_miss(event)));
            }
        }
        let counted = events.len() as u64;
        let record = CallRecord { events, used, counted, ..CallRecord::default() };
        Ok((Resolution { secrets, left_out, receipt }, record))
    }

    /// Commits the records, and only then gives the values.
    async fn release(&self, resolution: Resolution, record: CallRecord, purpose: Purpose) -> Result<Resolution> {
        if !record.events.is_empty() {
            self.audit.make_durable(record).await?;
        }
        for secret in &resolution.secrets {
            measures::count_resolved(secret.outcome, purpose);
        }
        Ok(resolution)
    }

    /// Opens a stored value. Nothing else opens values for release.
    fn open(&self, key: &DataKey, row: &CandidateRow) -> Result<SecretString, CryptoError> {
        self.decryptions.fetch_add(1, Ordering::Relaxed);
        // A missing value counts as one that fails authentication.
        let sealed = row.value.as_deref().ok_or(CryptoError::NotAuthentic)?;
        let began = Instant::now();
        let opened = key.open_value(&ciphertext_context(&row.entry, row.version.ciphertext_version), sealed);
        measures::record_decrypt(began);
        opened
    }
}

fn recipient_error(_: CryptoError) -> Error {
    Error::invalid(
        &["input", "recipientKey"],
        "This is no X25519 public key; give 32 bytes in base64url without padding, or leave it out.",
    )
}

fn failed(event: &EventRow, reason: &str, count: usize) -> Option<EventRow> {
    (count > 0).then(|| EventRow {
        id: crate::domain::EventId::new(),
        outcome: AuditOutcome::Failed,
        reason: Some(reason.to_owned()),
        count: i64::try_from(count).unwrap_or(i64::MAX),
        ..event.clone()
    })
}

fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

fn check_label(text: Option<&str>, field: &[&'static str]) -> Result<()> {
    if text.is_none_or(is_label) {
        Ok(())
    } else {
        Err(Error::invalid(
            field,
            format!("This label is empty, too long or not ASCII; use 1 to {MAX_LABEL} printable characters."),
        ))
    }
}

impl From<&CandidateRow> for ResolvedEntry {
    fn from(row: &CandidateRow) -> Self {
        Self {
            id: row.entry.id,
            version: row.entry.current_version,
            version_created_at: row.version.created_at,
            category: row.entry.category,
            scope: if row.entry.milestone.is_some() { Scope::Milestone } else { Scope::Project },
            expires_at: row.entry.expires_at,
        }
    }
}
