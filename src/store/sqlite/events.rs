//! Adding events.

#![allow(clippy::ref_option_ref, reason = "in the code that Insertable derives")]

use super::backend::Connection;
use super::schema::{audit_decoys, audit_events};
use crate::domain::{AuditAction, AuditOutcome, ChainId, EntryId, EventId, Purpose, Role, Timestamp};
use crate::store::records::{EventRow, Link};
use diesel::QueryResult;
use diesel::prelude::Insertable;
use diesel_async::RunQueryDsl;

/// Declares the row of a table with the columns of an event.
macro_rules! new_event {
    ($row:ident, $table:ident) => {
        /// An event to insert.
        #[derive(Insertable)]
        #[diesel(table_name = $table, treat_none_as_default_value = false)]
        pub struct $row<'a> {
            id: EventId,
            occurred_at: Timestamp,
            project_id: Option<&'a str>,
            action: AuditAction,
            outcome: AuditOutcome,
            reason: Option<&'a str>,
            count: i64,
            actor: &'a str,
            subject: Option<&'a str>,
            role: Option<Role>,
            agent_id: Option<&'a str>,
            entry_id: Option<EntryId>,
            entry_name: Option<&'a str>,
            entry_version: Option<i32>,
            entry_revision: Option<i32>,
            milestone_id: Option<&'a str>,
            purpose: Option<Purpose>,
            session_id: Option<&'a str>,
            tool: Option<&'a str>,
            request_id: &'a str,
            chain_id: ChainId,
            seq: i64,
            prev: &'a [u8],
            mac: &'a [u8],
        }

        impl<'a> From<&'a (&EventRow, Link)> for $row<'a> {
            fn from((event, link): &'a (&EventRow, Link)) -> Self {
                Self {
                    id: event.id,
                    occurred_at: event.occurred_at,
                    project_id: event.project.as_deref(),
                    action: event.action,
                    outcome: event.outcome,
                    reason: event.reason.as_deref(),
                    count: event.count,
                    actor: &event.actor,
                    subject: event.subject.as_deref(),
                    role: event.role,
                    agent_id: event.agent.as_deref(),
                    entry_id: event.entry,
                    entry_name: event.entry_name.as_deref(),
                    entry_version: event.entry_version,
                    entry_revision: event.entry_revision,
                    milestone_id: event.milestone.as_deref(),
                    purpose: event.purpose,
                    session_id: event.session.as_deref(),
                    tool: event.tool.as_deref(),
                    request_id: &event.request_id,
                    chain_id: link.chain,
                    seq: link.seq,
                    prev: &link.prev,
                    mac: &link.mac,
                }
            }
        }
    };
}
new_event!(NewEvent, audit_events);
new_event!(NewDecoy, audit_decoys);

/// Adds audit events, each with the same prepared statement.
pub async fn insert_events(conn: &mut Connection, events: &[(&EventRow, Link)]) -> QueryResult<()> {
    for event in events {
        diesel::insert_into(audit_events::table).values(NewEvent::from(event)).execute(conn).await?;
    }
    Ok(())
}

/// As [`insert_events`], for decoys.
pub async fn insert_decoys(conn: &mut Connection, decoys: &[(&EventRow, Link)]) -> QueryResult<()> {
    for decoy in decoys {
        diesel::insert_into(audit_decoys::table).values(NewDecoy::from(decoy)).execute(conn).await?;
    }
    Ok(())
}
