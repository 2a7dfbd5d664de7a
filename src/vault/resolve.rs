//! Resolving: the one way a value leaves the vault (`product.md`, section 4).

use super::agent_view::{AgentQuestion, Asked, REFUSED, of_version, runtime};
use super::entries::place;
use super::environment::LeftOut;
use super::receipts::ResolveReceipt;
use super::recorder::Record;
use super::{Caller, Vault};
use crate::crypto::{CryptoError, DataKey, RecipientKey, SealedCall, SealedPlace};
use crate::domain::{
    AuditAction, AuditOutcome, Category, EntryId, Error, Purpose, Result, Scope, SecretOutcome, Timestamp,
};
use crate::store::records::{CandidateRow, EventRow};
use secrecy::SecretString;
use std::sync::atomic::Ordering;

/// The longest name of a session or a tool, in characters.
const MAX_LABEL: usize = 200;

/// What a runtime asks for.
#[derive(Debug, Clone)]
pub struct ResolveRequest {
    /// Which entries, for which agent.
    pub question: AgentQuestion,
    /// What for.
    pub purpose: Purpose,
    /// The coding session, for the records.
    pub session: Option<String>,
    /// The tool, for the records.
    pub tool: Option<String>,
    /// The public key that values are sealed for, in base64url; without, they are answered as they are.
    pub recipient: Option<String>,
}

/// The answer for one name.
pub struct Resolved {
    /// The name.
    pub name: String,
    /// What became of it.
    pub outcome: SecretOutcome,
    /// The value, exactly when the outcome is RESOLVED and no recipient was named.
    pub value: Option<SecretString>,
    /// The value sealed for the recipient, exactly when the outcome is RESOLVED and one was named.
    pub sealed: Option<String>,
    /// The entry, when the outcome is RESOLVED or EXPIRED.
    pub entry: Option<ResolvedEntry>,
}

/// What a call is answered.
pub struct Resolution {
    /// A name each.
    pub secrets: Vec<Resolved>,
    /// What a resolve without names does not bring into the session.
    pub left_out: Vec<LeftOut>,
    /// What a receipt of it says; [`Vault::sign_receipt`] signs it.
    pub receipt: ResolveReceipt,
}

/// The entry that decided an answer.
#[derive(Debug, Clone)]
pub struct ResolvedEntry {
    /// Its id.
    pub id: EntryId,
    /// The version agents receive.
    pub version: i32,
    /// Its kind.
    pub category: Category,
    /// To what it belongs.
    pub scope: Scope,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl Vault {
    /// Releases values to an agent's runtime, once the record of each is durable.
    ///
    /// # Errors
    /// FORBIDDEN by section 4, LIMIT_EXCEEDED beyond its bounds, INTERNAL when a row or value fails authentication; nothing
    /// is released then.
    pub async fn resolve_secrets(&self, caller: &Caller, request: ResolveRequest) -> Result<Resolution> {
        let now = self.now();
        let mut asked = match (Asked::read(request.question), runtime(caller)) {
            (Ok(asked), _) => asked,
            (Err(error), Some(_)) => return Err(error),
            // Who is no runtime is refused, whatever they ask for.
            (Err(_), None) => return Err(self.deny(caller.event(AuditAction::SecretResolved, now), REFUSED).await),
        };
        let event = EventRow {
            purpose: Some(request.purpose),
            session: request.session.clone().filter(|text| is_label(text)),
            tool: request.tool.clone().filter(|text| is_label(text)),
            ..asked.event(caller, AuditAction::SecretResolved, now)
        };
        let found = match runtime(caller) {
            Some((runtime, narrowing)) => match asked.narrow(narrowing) {
                Ok(()) => self.candidates_for(runtime, &asked, Some(now)).await,
                Err(error) => Err(error),
            },
            None => Err(REFUSED),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Err(self.refuse(event, error).await),
        };
        asked.check_bounds()?;
        check_label(request.session.as_deref(), &["input", "sessionId"])?;
        check_label(request.tool.as_deref(), &["input", "tool"])?;
        let recipient = request.recipient.as_deref().map(RecipientKey::parse).transpose().map_err(recipient_error)?;
        let call = SealedCall {
            project: asked.project.as_str(),
            agent: asked.agent.as_str(),
            request: caller.request_id.as_str(),
        };

        let (answers, left_out) = asked.answers(&found, self.0.reserved, now);
        let released = || {
            answers.iter().filter(|answer| answer.outcome == SecretOutcome::Resolved).filter_map(|answer| answer.entry)
        };
        let keys = self.vouch(&found, &answers, &event).await?;
        let mut resolved = Vec::with_capacity(answers.len());
        for answer in &answers {
            let (mut value, mut sealed) = (None, None);
            if let (SecretOutcome::Resolved, Some(row)) = (answer.outcome, answer.entry) {
                let key = keys.get(&row.entry.id).ok_or_else(|| Error::internal("a candidate has no data key"))?;
                let opened = match self.open(key, row) {
                    Ok(opened) => opened,
                    Err(error) => return Err(self.record_failure(&event, &row.entry, Error::internal(error)).await),
                };
                match &recipient {
                    None => value = Some(opened),
                    Some(recipient) => {
                        let entry = row.entry.id.to_string();
                        let version = row.entry.current_version;
                        let place = SealedPlace { entry: &entry, version, name: &answer.name };
                        sealed = Some(recipient.seal(&call, &place, &opened).map_err(recipient_error)?);
                    }
                }
            }
            let shown = matches!(answer.outcome, SecretOutcome::Resolved | SecretOutcome::Expired);
            resolved.push(Resolved {
                name: answer.name.clone(),
                outcome: answer.outcome,
                value,
                sealed,
                entry: answer.entry.filter(|_| shown).map(ResolvedEntry::from),
            });
        }

        let mut events: Vec<EventRow> = released().map(|row| of_version(&event, &row.entry)).collect();
        let receipt = ResolveReceipt::of(&event, request.purpose, &events, now);
        if asked.names.is_some() {
            for outcome in [SecretOutcome::NotFound, SecretOutcome::Expired] {
                let count = answers.iter().filter(|answer| answer.outcome == outcome).count();
                let missed = failed(&event, outcome.as_str(), count);
                events.extend(missed.filter(|event| self.0.denials.records_miss(event)));
            }
        }
        let used: Vec<EntryId> = released().map(|row| row.entry.id).collect();
        // What was not released is not kept while the records are written, nor are ciphertexts.
        drop(answers);
        drop(found);
        if !events.is_empty() {
            let counted = events.len() as u64;
            self.make_durable(Record { events, used, counted, ..Record::default() }).await?;
        }
        Ok(Resolution { secrets: resolved, left_out, receipt })
    }

    /// The one place where a stored value is opened.
    fn open(&self, key: &DataKey, row: &CandidateRow) -> Result<SecretString, CryptoError> {
        self.0.decryptions.fetch_add(1, Ordering::Relaxed);
        // A value that was not read is none of this place.
        let sealed = row.value.as_deref().ok_or(CryptoError::NotAuthentic)?;
        key.open_value(&place(&row.entry, row.version.ciphertext_version), sealed)
    }
}

fn recipient_error(_: CryptoError) -> Error {
    Error::invalid(
        &["input", "recipientKey"],
        "Give an X25519 public key, 32 bytes in base64url without padding, or leave it out.",
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
        Err(Error::invalid(field, format!("Use 1 to {MAX_LABEL} printable ASCII characters.")))
    }
}

impl From<&CandidateRow> for ResolvedEntry {
    fn from(row: &CandidateRow) -> Self {
        Self {
            id: row.entry.id,
            version: row.entry.current_version,
            category: row.entry.category,
            scope: if row.entry.milestone.is_some() { Scope::Milestone } else { Scope::Project },
            expires_at: row.entry.expires_at,
        }
    }
}
