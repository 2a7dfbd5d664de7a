//! Projects, their tombstones and milestones.

use super::super::backend::{Connection, generation, load, one_of};
use super::super::schema::{deleted_projects, entries, milestones, projects};
use crate::domain::{ApprovedNames, MilestoneId, ProjectId, Timestamp};
use crate::store::records::{LiveEntryRow, MilestoneRow, ProjectRow, ProjectState};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn projects_by_id(conn: &mut Connection, ids: &[ProjectId]) -> QueryResult<Vec<ProjectRow>> {
    let found = projects::table.filter(one_of(projects::id, ids)).select((
        projects::id,
        projects::status,
        projects::environment_names,
        projects::revision,
        generation(),
    ));
    load!(found, conn)
}

pub async fn approved_names(conn: &mut Connection, ids: &[ProjectId]) -> QueryResult<Vec<(ProjectId, ApprovedNames)>> {
    projects::table.filter(one_of(projects::id, ids)).select((projects::id, projects::approved_names)).load(conn).await
}

/// The columns of a [`ProjectState`].
const STATE: (
    projects::id,
    projects::status,
    projects::registered_at,
    projects::environment_names,
    projects::approved_names,
    projects::revision,
    projects::mac,
    projects::listing,
) = (
    projects::id,
    projects::status,
    projects::registered_at,
    projects::environment_names,
    projects::approved_names,
    projects::revision,
    projects::mac,
    projects::listing,
);

pub async fn project_state(conn: &mut Connection, id: &ProjectId) -> QueryResult<Option<ProjectState>> {
    projects::table.find(id).select(STATE).get_result(conn).await.optional()
}

pub async fn project_states_after(conn: &mut Connection, after: &str, limit: i64) -> QueryResult<Vec<ProjectState>> {
    projects::table.filter(projects::id.gt(after)).order(projects::id).limit(limit).select(STATE).load(conn).await
}

pub async fn project_ids_after(conn: &mut Connection, after: &str, limit: i64) -> QueryResult<Vec<ProjectId>> {
    projects::table
        .filter(projects::id.gt(after))
        .order(projects::id)
        .limit(limit)
        .select(projects::id)
        .load(conn)
        .await
}

pub async fn insert_project(conn: &mut Connection, row: &ProjectState) -> QueryResult<()> {
    diesel::insert_into(projects::table)
        .values((
            projects::id.eq(&row.id),
            projects::status.eq(row.status),
            projects::registered_at.eq(row.registered_at),
            projects::environment_names.eq(row.environment_names),
            projects::approved_names.eq(&row.approved_names),
            projects::revision.eq(row.revision),
            projects::mac.eq(row.mac.as_deref()),
            projects::listing.eq(row.listing.as_deref()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes the columns of a project that can change. The caller holds the project's lock and has
/// read the row under it.
pub async fn save_project(conn: &mut Connection, row: &ProjectState) -> QueryResult<()> {
    diesel::update(projects::table.find(&row.id))
        .set((
            projects::status.eq(row.status),
            projects::environment_names.eq(row.environment_names),
            projects::approved_names.eq(&row.approved_names),
            projects::revision.eq(row.revision),
            projects::mac.eq(row.mac.as_deref()),
            projects::listing.eq(row.listing.as_deref()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The entries of a project that are not deleted.
pub async fn live_entries(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<LiveEntryRow>> {
    entries::table
        .filter(entries::project_id.eq(project))
        .filter(entries::deleted_at.is_null())
        .select((entries::id, entries::milestone_id, entries::name, entries::revision))
        .load(conn)
        .await
}

pub async fn has_signed_projects(conn: &mut Connection) -> QueryResult<bool> {
    let projects = projects::table.filter(projects::mac.is_not_null());
    let milestones = milestones::table.filter(milestones::mac.is_not_null());
    Ok(diesel::select(exists(projects)).get_result(conn).await?
        || diesel::select(exists(milestones)).get_result(conn).await?)
}

pub async fn tombstone(conn: &mut Connection, id: &ProjectId) -> QueryResult<Option<Option<String>>> {
    deleted_projects::table.find(id).select(deleted_projects::receipt).get_result(conn).await.optional()
}

pub async fn insert_tombstone(conn: &mut Connection, id: &ProjectId, receipt: &str, now: Timestamp) -> QueryResult<()> {
    diesel::insert_into(deleted_projects::table)
        .values((
            deleted_projects::id.eq(id),
            deleted_projects::receipt.eq(receipt),
            deleted_projects::deleted_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn milestones_by_id(conn: &mut Connection, ids: &[MilestoneId]) -> QueryResult<Vec<MilestoneRow>> {
    milestones::table.filter(one_of(milestones::id, ids)).load(conn).await
}

pub async fn milestones_of(conn: &mut Connection, of: &[ProjectId]) -> QueryResult<Vec<MilestoneRow>> {
    milestones::table.filter(one_of(milestones::project_id, of)).order(milestones::id).load(conn).await
}

pub async fn insert_milestone(conn: &mut Connection, row: &MilestoneRow) -> QueryResult<()> {
    diesel::insert_into(milestones::table)
        .values((
            milestones::id.eq(&row.id),
            milestones::project_id.eq(&row.project),
            milestones::opens_at.eq(row.opens_at),
            milestones::closes_at.eq(row.closes_at),
            milestones::closed.eq(row.closed),
            milestones::revision.eq(row.revision),
            milestones::mac.eq(row.mac.as_deref()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes the columns of a milestone that can change. The caller holds the project's lock and has
/// read the row under it.
pub async fn save_milestone(conn: &mut Connection, row: &MilestoneRow) -> QueryResult<()> {
    diesel::update(milestones::table.find(&row.id))
        .set((
            milestones::opens_at.eq(row.opens_at),
            milestones::closes_at.eq(row.closes_at),
            milestones::closed.eq(row.closed),
            milestones::revision.eq(row.revision),
            milestones::mac.eq(row.mac.as_deref()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn delete_milestone(conn: &mut Connection, id: &MilestoneId) -> QueryResult<()> {
    diesel::delete(milestones::table.find(id)).execute(conn).await?;
    Ok(())
}
