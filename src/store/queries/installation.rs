//! The installation's settings and its own keys.

use super::super::backend::Connection;
use super::super::schema::{
    audit_chains, audit_events, audit_heads, data_keys, deleted_projects, installation, installation_keys,
    replaced_data_keys,
};
use crate::domain::{KeyPurpose, Timestamp};
use crate::store::records::{InstallationKeyRow, SettingRow};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn setting(conn: &mut Connection, name: &str) -> QueryResult<Option<SettingRow>> {
    installation::table.find(name).get_result(conn).await.optional()
}

pub async fn settings(conn: &mut Connection) -> QueryResult<Vec<SettingRow>> {
    installation::table.order(installation::name).load(conn).await
}

pub async fn save_setting(conn: &mut Connection, name: &str, value: &str, mac: &[u8]) -> QueryResult<()> {
    diesel::insert_into(installation::table)
        .values((installation::name.eq(name), installation::value.eq(value), installation::mac.eq(mac)))
        .on_conflict(installation::name)
        .do_update()
        .set((installation::value.eq(value), installation::mac.eq(mac)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Leaves the row as it is, and fails if the database cannot be written to.
pub async fn touch_setting(conn: &mut Connection, name: &str) -> QueryResult<()> {
    diesel::update(installation::table.find(name))
        .set(installation::value.eq(installation::value))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn installation_key(conn: &mut Connection, purpose: KeyPurpose) -> QueryResult<Option<InstallationKeyRow>> {
    installation_keys::table
        .find(purpose)
        .select((installation_keys::master_key, installation_keys::wrapped))
        .get_result(conn)
        .await
        .optional()
}

pub async fn installation_keys(conn: &mut Connection) -> QueryResult<Vec<(KeyPurpose, InstallationKeyRow)>> {
    installation_keys::table
        .select((installation_keys::purpose, (installation_keys::master_key, installation_keys::wrapped)))
        .order(installation_keys::purpose)
        .load(conn)
        .await
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

pub async fn rewrap_installation_key(
    conn: &mut Connection,
    purpose: KeyPurpose,
    old: &[u8],
    new: &InstallationKeyRow,
) -> QueryResult<bool> {
    let rows = diesel::update(installation_keys::table.find(purpose).filter(installation_keys::wrapped.eq(old)))
        .set((installation_keys::master_key.eq(&new.master_key), installation_keys::wrapped.eq(&new.wrapped)))
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

pub async fn needs_audit_key(conn: &mut Connection) -> QueryResult<bool> {
    Ok(diesel::select(exists(audit_chains::table.select(audit_chains::id))).get_result(conn).await?
        || diesel::select(exists(audit_events::table.select(audit_events::id))).get_result(conn).await?
        || has_signed_rows(conn).await?)
}

pub async fn needs_signing_key(conn: &mut Connection) -> QueryResult<bool> {
    let receipts = deleted_projects::table.filter(deleted_projects::receipt.is_not_null());
    Ok(diesel::select(exists(audit_heads::table.select(audit_heads::seq))).get_result(conn).await?
        || diesel::select(exists(receipts)).get_result(conn).await?)
}

pub async fn has_signed_rows(conn: &mut Connection) -> QueryResult<bool> {
    let settings = installation::table.filter(installation::mac.is_not_null());
    let data_keys = data_keys::table.filter(data_keys::mac.is_not_null());
    let changes = audit_events::table
        .filter(audit_events::entry_revision.is_not_null())
        .filter(audit_events::subject.like("data-key:%"));
    Ok(diesel::select(exists(settings)).get_result(conn).await?
        || diesel::select(exists(data_keys)).get_result(conn).await?
        || diesel::select(exists(replaced_data_keys::table.select(replaced_data_keys::id))).get_result(conn).await?
        || diesel::select(exists(changes)).get_result(conn).await?)
}
