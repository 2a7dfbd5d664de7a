//! Chains of audit events, and their signed heads.

use super::super::backend::{Connection, is_id, one_of};
use super::super::schema::{audit_chains, audit_events, audit_heads, entries};
use super::events::{EVENT, LINK};
use crate::domain::{AuditAction, ChainId, EntryId, ProjectId, Timestamp};
use crate::store::records::{Anchor, ChainRow, ChainedEvent, Cut, EntryRow, Link, TipRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

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

pub async fn insert_chain(conn: &mut Connection, chain: &ChainRow, lease_until: Timestamp) -> QueryResult<()> {
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
            audit_chains::lease_until.eq(lease_until),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn release_chains(conn: &mut Connection, chains: &[ChainId]) -> QueryResult<()> {
    diesel::update(audit_chains::table.filter(one_of(audit_chains::id, chains)))
        .set((audit_chains::released.eq(true), audit_chains::lease_until.eq(None::<Timestamp>)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Renews the lease of a chain; false if it is not the one it was.
pub async fn renew_lease(
    conn: &mut Connection,
    chain: ChainId,
    lease: Timestamp,
    renewed: Timestamp,
) -> QueryResult<bool> {
    let held = audit_chains::table.find(chain).filter(audit_chains::released.eq(false));
    let renewed = diesel::update(held.filter(audit_chains::lease_until.eq(lease)))
        .set(audit_chains::lease_until.eq(renewed))
        .execute(conn)
        .await?;
    Ok(renewed == 1)
}

/// Releases the chains whose lease ended before an instant. Returns how many.
pub async fn release_chains_leased_before(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let left = audit_chains::table.filter(audit_chains::released.eq(false));
    diesel::update(left.filter(audit_chains::lease_until.lt(before)))
        .set((audit_chains::released.eq(true), audit_chains::lease_until.eq(None::<Timestamp>)))
        .execute(conn)
        .await
}

pub async fn claim_chain(
    conn: &mut Connection,
    chain: ChainId,
    lease_until: Timestamp,
) -> QueryResult<Option<ChainRow>> {
    let claimed = diesel::update(audit_chains::table.find(chain).filter(audit_chains::released))
        .set((audit_chains::released.eq(false), audit_chains::lease_until.eq(lease_until)))
        .execute(conn)
        .await?;
    if claimed == 0 {
        return Ok(None);
    }
    let row: Columns = audit_chains::table.find(chain).select(CHAIN).get_result(conn).await?;
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

/// One index lookup per chain.
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

/// Deletes all but the newest `keep` heads.
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
    let row: Option<Columns> = audit_chains::table.find(chain).select(CHAIN).get_result(conn).await.optional()?;
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

pub async fn chain_positions(conn: &mut Connection, chain: ChainId, after: i64, limit: i64) -> QueryResult<Vec<i64>> {
    audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .filter(audit_events::seq.gt(after))
        .order(audit_events::seq)
        .limit(limit)
        .select(audit_events::seq)
        .load(conn)
        .await
}

pub async fn chain_ids(conn: &mut Connection) -> QueryResult<Vec<ChainId>> {
    let ids = audit_chains::table.filter(is_id("length(audit_chains.id) = 16")).order(audit_chains::id);
    ids.select(audit_chains::id).load(conn).await
}

/// Records where a chain is cut.
pub async fn cut_chain(conn: &mut Connection, chain: ChainId, cut: &Cut) -> QueryResult<()> {
    diesel::update(audit_chains::table.find(chain))
        .set((
            audit_chains::cut_seq.eq(cut.seq),
            audit_chains::cut_event_mac.eq(&cut.event_mac),
            audit_chains::cut_mac.eq(&cut.mac),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Of the next `limit` events of a chain after position `after` and up to `last`, erases all but
/// each entry's newest change. Returns how many it erased, and the position up to which. The events
/// decide which change is the newest: an old row that was put back would keep its own event and
/// have the newer one erased.
pub async fn erase_events(
    conn: &mut Connection,
    chain: ChainId,
    after: i64,
    last: i64,
    limit: i64,
) -> QueryResult<(usize, i64)> {
    let end = audit_events::table
        .filter(audit_events::chain_id.eq(chain))
        .filter(audit_events::seq.gt(after))
        .filter(audit_events::seq.lt(last))
        .order(audit_events::seq)
        .offset(limit - 1)
        .select(audit_events::seq);
    let end: i64 = end.first(conn).await.optional()?.unwrap_or(last);
    let newer = diesel::alias!(audit_events as newer);
    let of_entry = entries::table.filter(entries::id.nullable().eq(audit_events::entry_id));
    let is_newest = audit_events::entry_revision.is_not_null().and(diesel::dsl::not(diesel::dsl::exists(
        newer
            .filter(newer.field(audit_events::entry_id).eq(audit_events::entry_id))
            .filter(newer.field(audit_events::entry_revision).gt(audit_events::entry_revision)),
    )));
    let erased = diesel::delete(
        audit_events::table
            .filter(audit_events::chain_id.eq(chain))
            .filter(audit_events::seq.gt(after))
            .filter(audit_events::seq.le(end))
            .filter(diesel::dsl::not(is_newest.and(diesel::dsl::exists(of_entry)))),
    )
    .execute(conn)
    .await?;
    Ok((erased, end))
}

/// The newest changes of entries with ids after `after`, by entry, with the entries' rows. An entry
/// has several if events of several changes name one revision.
pub async fn newest_changes(
    conn: &mut Connection,
    after: EntryId,
    limit: i64,
) -> QueryResult<Vec<(ChainedEvent, Option<EntryRow>)>> {
    let newer = diesel::alias!(audit_events as newer);
    let of_entry = newer
        .filter(newer.field(audit_events::entry_id).eq(audit_events::entry_id))
        .filter(newer.field(audit_events::entry_revision).gt(audit_events::entry_revision));
    audit_events::table
        .left_join(entries::table.on(entries::id.nullable().eq(audit_events::entry_id)))
        .filter(audit_events::entry_id.gt(after))
        .filter(audit_events::entry_revision.is_not_null())
        .filter(diesel::dsl::not(diesel::dsl::exists(of_entry)))
        .order(audit_events::entry_id)
        .limit(limit)
        .select(((EVENT, LINK), entries::all_columns.nullable()))
        .load(conn)
        .await
}

/// The newest changes of one entry, with its row.
pub async fn newest_changes_of(
    conn: &mut Connection,
    entry: EntryId,
) -> QueryResult<Vec<(ChainedEvent, Option<EntryRow>)>> {
    let newer = diesel::alias!(audit_events as newer);
    let newest = newer
        .filter(newer.field(audit_events::entry_id).eq(entry))
        .filter(newer.field(audit_events::entry_revision).is_not_null())
        .select(diesel::dsl::max(newer.field(audit_events::entry_revision)))
        .single_value();
    audit_events::table
        .left_join(entries::table.on(entries::id.nullable().eq(audit_events::entry_id)))
        .filter(audit_events::entry_id.eq(entry))
        .filter(audit_events::entry_revision.is_not_null())
        .filter(audit_events::entry_revision.eq(newest))
        .select(((EVENT, LINK), entries::all_columns.nullable()))
        .load(conn)
        .await
}

/// The entries with ids after `after` that have an event of a change, by id.
pub async fn changed_entries(conn: &mut Connection, after: EntryId, limit: i64) -> QueryResult<Vec<EntryId>> {
    let ids: Vec<Option<EntryId>> = audit_events::table
        .filter(audit_events::entry_id.gt(after))
        .filter(audit_events::entry_revision.is_not_null())
        .filter(is_id("length(audit_events.entry_id) = 16"))
        .select(audit_events::entry_id)
        .distinct()
        .order(audit_events::entry_id)
        .limit(limit)
        .load(conn)
        .await?;
    Ok(ids.into_iter().flatten().collect())
}

/// Entries with ids after `after` that have no event of a change, by id.
pub async fn entries_without_change(
    conn: &mut Connection,
    after: EntryId,
    limit: i64,
) -> QueryResult<Vec<(EntryId, i32)>> {
    let changes = audit_events::table
        .filter(audit_events::entry_id.eq(entries::id.nullable()))
        .filter(audit_events::entry_revision.is_not_null());
    entries::table
        .filter(entries::id.gt(after))
        .filter(is_id("length(entries.id) = 16"))
        .filter(diesel::dsl::not(diesel::dsl::exists(changes)))
        .order(entries::id)
        .limit(limit)
        .select((entries::id, entries::revision))
        .load(conn)
        .await
}

/// A project's events of these kinds.
pub async fn events_of_kind(
    conn: &mut Connection,
    project: &ProjectId,
    actions: &[AuditAction],
) -> QueryResult<Vec<ChainedEvent>> {
    audit_events::table
        .filter(audit_events::project_id.eq(project))
        .filter(one_of(audit_events::action, actions))
        .select((EVENT, LINK))
        .load(conn)
        .await
}
