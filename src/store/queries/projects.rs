//! Projects, their tombstones and milestones.

use super::super::backend::{Connection, generation, load, one_of};
use super::super::schema::{deleted_projects, milestones, projects};
use crate::domain::{ApprovedNames, EnvironmentNames, MilestoneId, Phase, ProjectId, ProjectStatus, Timestamp};
use crate::store::records::{MilestoneRow, ProjectRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn projects_by_id(conn: &mut Connection, ids: &[ProjectId]) -> QueryResult<Vec<ProjectRow>> {
    let found = projects::table.filter(one_of(projects::id, ids)).select((
        projects::id,
        projects::status,
        projects::environment_names,
        generation(),
    ));
    load!(found, conn)
}

pub async fn approved_names(conn: &mut Connection, ids: &[ProjectId]) -> QueryResult<Vec<(ProjectId, ApprovedNames)>> {
    projects::table.filter(one_of(projects::id, ids)).select((projects::id, projects::approved_names)).load(conn).await
}

pub async fn set_environment_names(
    conn: &mut Connection,
    id: &ProjectId,
    names: EnvironmentNames,
    approved: &ApprovedNames,
) -> QueryResult<()> {
    diesel::update(projects::table.find(id))
        .set((projects::environment_names.eq(names), projects::approved_names.eq(approved)))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn insert_project(
    conn: &mut Connection,
    id: &ProjectId,
    status: ProjectStatus,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::insert_into(projects::table)
        .values((projects::id.eq(id), projects::status.eq(status), projects::registered_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn set_project_status(conn: &mut Connection, id: &ProjectId, status: ProjectStatus) -> QueryResult<()> {
    diesel::update(projects::table.find(id)).set(projects::status.eq(status)).execute(conn).await?;
    Ok(())
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

pub async fn insert_milestone(
    conn: &mut Connection,
    id: &MilestoneId,
    project: &ProjectId,
    phase: Phase,
) -> QueryResult<()> {
    diesel::insert_into(milestones::table)
        .values((
            milestones::id.eq(id),
            milestones::project_id.eq(project),
            milestones::opens_at.eq(phase.opens_at),
            milestones::closes_at.eq(phase.closes_at),
            milestones::closed.eq(false),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn set_phase(conn: &mut Connection, id: &MilestoneId, phase: Phase, closed: bool) -> QueryResult<()> {
    diesel::update(milestones::table.find(id))
        .set((
            milestones::opens_at.eq(phase.opens_at),
            milestones::closes_at.eq(phase.closes_at),
            milestones::closed.eq(closed),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn delete_milestone(conn: &mut Connection, id: &MilestoneId) -> QueryResult<()> {
    diesel::delete(milestones::table.find(id)).execute(conn).await?;
    Ok(())
}
