//! Export of events, for another system or an independent verifier.

use super::Audit;
use super::chains::fields;
use crate::domain::{ChainId, EventId, KeyPurpose, Result, Timestamp};
use crate::store::records::{ChainedEvent, EventSelection};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Maximum number of events read at once.
const BATCH: i64 = 1_000;

/// The names of an event's fields in an export, in the order in which its MAC covers their texts.
const NAMES: [&str; 23] = [
    "chain",
    "seq",
    "prev",
    "id",
    "occurredAt",
    "projectId",
    "action",
    "outcome",
    "reason",
    "count",
    "actor",
    "subject",
    "role",
    "agentId",
    "entryId",
    "entryName",
    "entryVersion",
    "entryRevision",
    "milestoneId",
    "purpose",
    "sessionId",
    "tool",
    "requestId",
];

/// The events to export: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct ExportFilter {
    /// Events of this project.
    pub project: Option<String>,
    /// Events at or after this instant.
    pub since: Option<Timestamp>,
    /// Events before this instant.
    pub until: Option<Timestamp>,
}

impl ExportFilter {
    fn selection(&self) -> EventSelection {
        EventSelection {
            project: self.project.clone(),
            since: self.since,
            until: self.until,
            limit: BATCH,
            ..EventSelection::default()
        }
    }
}

/// An export in progress.
pub struct Export {
    audit: Audit,
    selection: EventSelection,
    after: Option<(Timestamp, EventId)>,
    /// The last event of each chain when the export began. Later events are left out, since they
    /// may sort before those already written.
    tips: HashMap<ChainId, i64>,
}

impl Export {
    /// The next events, oldest first, each as a JSON object; `None` at the end.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>> {
        let events = self.audit.0.store.conn().await?.events_after(&self.selection, self.after).await?;
        if let Some(last) = events.last() {
            self.after = Some((last.event.occurred_at, last.event.id));
        }
        let ended = events.is_empty();
        let there = |event: &&ChainedEvent| self.tips.get(&event.link.chain).is_some_and(|tip| event.link.seq <= *tip);
        let lines: Vec<Value> = events.iter().filter(there).map(line).collect();
        Ok((!ended).then_some(lines))
    }
}

fn line(ChainedEvent { event, link }: &ChainedEvent) -> Value {
    let fields = NAMES.iter().zip(fields(link.chain, link.seq, &link.prev, event));
    let mut line: serde_json::Map<String, Value> =
        fields.map(|(name, text)| ((*name).to_owned(), Value::from(text))).collect();
    line.insert("mac".to_owned(), HEXLOWER.encode(&link.mac).into());
    Value::Object(line)
}

impl Audit {
    /// Begins an export; also gives the number of events that match.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn export(&self, filter: &ExportFilter) -> Result<(Export, u64)> {
        let selection = filter.selection();
        let mut conn = self.0.store.conn().await?;
        let tips = conn.chain_tips().await?.into_iter().map(|tip| (tip.chain, tip.seq)).collect();
        let count = conn.count_events(&selection).await?;
        drop(conn);
        let export = Export { audit: self.clone(), selection, after: None, tips };
        Ok((export, u64::try_from(count).unwrap_or_default()))
    }

    /// What an independent verifier needs besides the events: the wrapped audit key, and each
    /// chain's anchor and cut, each as a JSON object. Read them after the events, since a cut
    /// explains the events missing before it.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn export_chains(&self) -> Result<Vec<Value>> {
        let mut conn = self.0.store.conn().await?;
        let mut lines = Vec::new();
        if let Some(key) = conn.installation_key(KeyPurpose::Audit).await? {
            lines.push(json!({ "auditKey": { "masterKey": key.master_key, "wrapped": BASE64.encode(&key.wrapped) } }));
        }
        for chain in conn.chain_rows().await? {
            let anchor = chain.anchor.map(|anchor| {
                json!({ "chain": anchor.chain.to_string(), "seq": anchor.seq.to_string(), "mac": HEXLOWER.encode(&anchor.mac) })
            });
            let cut = chain.cut.map(|cut| {
                json!({ "seq": cut.seq.to_string(), "eventMac": HEXLOWER.encode(&cut.event_mac), "mac": HEXLOWER.encode(&cut.mac) })
            });
            lines.push(json!({ "auditChain": chain.id.to_string(), "anchor": anchor, "cut": cut }));
        }
        Ok(lines)
    }
}
