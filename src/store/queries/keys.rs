//! Wrapped data keys.

use super::super::backend::Connection;
use super::super::schema::data_keys;
use crate::domain::{ProjectId, Timestamp};
use crate::store::records::DataKeyRow;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn insert_data_key(
    conn: &mut Connection,
    project: &ProjectId,
    key: &DataKeyRow,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::insert_into(data_keys::table)
        .values((
            data_keys::id.eq(key.id),
            data_keys::project_id.eq(project),
            data_keys::master_key.eq(&key.master_key),
            data_keys::wrapped.eq(&key.wrapped),
            data_keys::encrypting.eq(true),
            data_keys::created_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn encrypting_key(conn: &mut Connection, project: &ProjectId) -> QueryResult<DataKeyRow> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .filter(data_keys::encrypting)
        .select((data_keys::id, data_keys::master_key, data_keys::wrapped))
        .first(conn)
        .await
}

pub async fn data_key(conn: &mut Connection, id: crate::domain::DataKeyId) -> QueryResult<DataKeyRow> {
    data_keys::table.find(id).select((data_keys::id, data_keys::master_key, data_keys::wrapped)).first(conn).await
}

pub async fn data_keys_of(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .order(data_keys::id)
        .select((data_keys::id, data_keys::master_key, data_keys::wrapped))
        .load(conn)
        .await
}

pub async fn master_keys_in_use(conn: &mut Connection) -> QueryResult<Vec<String>> {
    data_keys::table.select(data_keys::master_key).distinct().order(data_keys::master_key).load(conn).await
}

pub async fn data_key_under(conn: &mut Connection, master_key: &str) -> QueryResult<Option<(ProjectId, DataKeyRow)>> {
    data_keys::table
        .filter(data_keys::master_key.eq(master_key))
        .select((data_keys::project_id, (data_keys::id, data_keys::master_key, data_keys::wrapped)))
        .first(conn)
        .await
        .optional()
}
