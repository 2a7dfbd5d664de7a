//! Chains of audit events, their signed heads, and the installation's own keys.

use super::super::backend::Connection;
use super::super::schema::{audit_chains, audit_events, audit_heads, entries, installation_keys};
use super::events::{EVENT, LINK};
use crate::domain::{ChainId, EntryId, KeyPurpose, Timestamp};
use crate::store::records::{Anchor, ChainRow, ChainedEvent, Cut, InstallationKeyRow, Link, TipRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn installation_key(conn: &mut Connection, purpose: KeyPurpose) -> QueryResult<Option<InstallationKeyRow>> {
    installation_keys::table
        .find(purpose)
        .select((installation_keys::master_key, installation_keys::wrapped))
        .first(conn)
        .await
        .optional()
}

pub async fn insert_installation_key(
    conn: &mut Connection,
    purpose: KeyPurpose,
    key: &InstallationKeyRow,
    now: Timestamp,
) -> QueryResult<bool> {
    let rows = diesel::insert_into(installation_keys::table)
        .values((
            installation_keys::purpose.eq(purpose),
            installation_keys::master_key.eq(&key.master_key),
            installation_keys::wrapped.eq(&key.wrapped),
            installation_keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

type Columns =
    (ChainId, Timestamp, (Option<ChainId>, Option<i64>, Option<Vec<u8>>), (i64, Option<Vec<u8>>, Option<Vec<u8>>));

type ChainColumns = (
    audit_chains::id,
    audit_chains::opened_at,
    (audit_chains::anchor_chain, audit_chains::anchor_seq, audit_chains::anchor_mac),
    (audit_chains::cut_seq, audit_chains::cut_event_mac, audit_chains::cut_mac),
);

const CHAIN: ChainColumns = (
    audit_chains::id,
    audit_chains::opened_at,
    (audit_chains::anchor_chain, audit_chains::anchor_seq, audit_chains::anchor_mac),
    (audit_chains::cut_seq, audit_chains::cut_event_mac, audit_chains::cut_mac),
);

fn read_chain((id, opened_at, anchor, cut): Columns) -> ChainRow {
    let anchor = match anchor {
        (Some(chain), Some(seq), Some(mac)) => Some(Anchor { chain, seq, mac }),
        _ => None,
    };
    let cut = match cut {
        (seq, Some(event_mac), Some(mac)) => Some(Cut { seq, event_mac, mac }),
        _ => None,
    };
    ChainRow { id, opened_at, anchor, cut }
}

pub async fn chain_rows(conn: &mut Connection) -> QueryResult<Vec<ChainRow>> {
    let rows: Vec<Columns> = audit_chains::table.select(CHAIN).order(audit_chains::id).load(conn).await?;
    Ok(rows.into_iter().map(read_chain).collect())
}

pub async fn insert_chain(conn: &mut Connection, chain: &ChainRow) -> QueryResult<()> {
    let anchor = chain.anchor.as_ref();
    diesel::insert_into(audit_chains::table)
        .values((
            audit_chains::id.eq(chain.id),
            audit_chains::opened_at.eq(chain.opened_at),
            audit_chains::anchor_chain.eq(anchor.map(|anchor| anchor.chain)),
            audit_chains::anchor_seq.eq(anchor.map(|anchor| anchor.seq)),
            audit_chains::anchor_mac.eq(anchor.map(|anchor| anchor.mac.as_slice())),
            audit_chains::released.eq(false),
            audit_chains::cut_seq.eq(0),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn release_chains(conn: &mut Connection, chains: &[ChainId]) -> QueryResult<()> {
    diesel::update(audit_chains::table.filter(audit_chains::id.eq_any(chains)))
        .set(audit_chains::released.eq(true))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn claim_chain(conn: &mut Connection, chain: ChainId) -> QueryResult<Option<ChainRow>> {
    let claimed = diesel::update(audit_chains::table.find(chain).filter(audit_chains::released))
        .set(audit_chains::released.eq(false))
        .execute(conn)
        .await?;
    if claimed == 0 {
        return Ok(None);
    }
    let row: Columns = audit_chains::table.find(chain).select(CHAIN).first(conn).await?;
    Ok(Some(read_chain(row)))
}

pub async fn last_link(conn: &mut Connection, chain: ChainId) -> QueryResult<Option<Link>> {
    audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .order(audit_events::seq.desc())
        .select(LINK)
        .first(conn)
        .await
        .optional()
}

pub async fn newest_link(conn: &mut Connection) -> QueryResult<Option<Link>> {
    audit_events::table
        .order((audit_events::occurred_at.desc(), audit_events::id.desc()))
        .select(LINK)
        .first(conn)
        .await
        .optional()
}

/// An index lookup for each chain.
pub async fn chain_tips(conn: &mut Connection) -> QueryResult<Vec<TipRow>> {
    let newer = diesel::alias!(audit_events as newer);
    audit_chains::table
        .inner_join(audit_events::table.on(audit_events::chain_id.eq(audit_chains::id)))
        .filter(
            audit_events::seq.nullable().eq(newer
                .filter(newer.field(audit_events::chain_id).eq(audit_chains::id))
                .select(diesel::dsl::max(newer.field(audit_events::seq)))
                .single_value()),
        )
        .order(audit_chains::id)
        .select((audit_events::chain_id, audit_events::seq, audit_events::mac))
        .load(conn)
        .await
}

pub async fn insert_head(conn: &mut Connection, statement: &str, now: Timestamp) -> QueryResult<()> {
    diesel::insert_into(audit_heads::table)
        .values((audit_heads::signed_at.eq(now), audit_heads::statement.eq(statement)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Newest first.
pub async fn heads(conn: &mut Connection, limit: i64) -> QueryResult<Vec<String>> {
    audit_heads::table.order(audit_heads::seq.desc()).limit(limit).select(audit_heads::statement).load(conn).await
}

/// Forgets all but the newest heads.
pub async fn prune_heads(conn: &mut Connection, keep: i64) -> QueryResult<()> {
    let oldest: Option<i64> = audit_heads::table
        .order(audit_heads::seq.desc())
        .offset(keep - 1)
        .select(audit_heads::seq)
        .first(conn)
        .await
        .optional()?;
    if let Some(oldest) = oldest {
        diesel::delete(audit_heads::table.filter(audit_heads::seq.lt(oldest))).execute(conn).await?;
    }
    Ok(())
}

pub async fn chain_row(conn: &mut Connection, chain: ChainId) -> QueryResult<Option<ChainRow>> {
    let row: Option<Columns> = audit_chains::table.find(chain).select(CHAIN).first(conn).await.optional()?;
    Ok(row.map(read_chain))
}

pub async fn chain_events(
    conn: &mut Connection,
    chain: ChainId,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<ChainedEvent>> {
    audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .filter(audit_events::seq.gt(after))
        .order(audit_events::seq)
        .limit(limit)
        .select((EVENT, LINK))
        .load(conn)
        .await
}

/// Where retention would cut a chain: the last event before the first one that is to stay.
pub async fn cut_before(conn: &mut Connection, chain: ChainId, before: Timestamp) -> QueryResult<Option<Link>> {
    let stays: Option<i64> = audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .filter(audit_events::occurred_at.ge(before))
        .order(audit_events::seq)
        .select(audit_events::seq)
        .first(conn)
        .await
        .optional()?;
    audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .filter(audit_events::seq.lt(stays.unwrap_or(i64::MAX)))
        .order(audit_events::seq.desc())
        .select(LINK)
        .first(conn)
        .await
        .optional()
}

/// Erases a chain's events up to its cut, but an entry's newest change, and remembers the cut. How many are gone.
pub async fn cut_chain(conn: &mut Connection, chain: ChainId, cut: &Cut) -> QueryResult<usize> {
    diesel::update(audit_chains::table.find(chain))
        .set((
            audit_chains::cut_seq.eq(cut.seq),
            audit_chains::cut_event_mac.eq(&cut.event_mac),
            audit_chains::cut_mac.eq(&cut.mac),
        ))
        .execute(conn)
        .await?;
    let newest = entries::table
        .filter(entries::id.nullable().eq(audit_events::entry_id))
        .filter(entries::revision.nullable().eq(audit_events::entry_revision));
    diesel::delete(
        audit_events::table
            .filter(audit_events::chain_id.eq(chain))
            .filter(audit_events::seq.le(cut.seq))
            .filter(diesel::dsl::not(diesel::dsl::exists(newest))),
    )
    .execute(conn)
    .await
}

/// Entries whose row does not name the revision of their newest change event: entry, the row's, the event's.
pub async fn entries_unlike_events(conn: &mut Connection) -> QueryResult<Vec<(EntryId, i32, Option<i32>)>> {
    let newest = audit_events::table
        .filter(audit_events::entry_id.eq(entries::id.nullable()))
        .filter(audit_events::entry_revision.is_not_null())
        .select(diesel::dsl::max(audit_events::entry_revision))
        .single_value();
    entries::table
        .filter(newest.is_null().or(newest.ne(entries::revision.nullable())))
        .order(entries::id)
        .select((entries::id, entries::revision, newest))
        .load(conn)
        .await
}
