//! Projects and milestones: the entities shared with other subgraphs, and the vault behind them.

use super::answer::{nullable, required};
use super::audit::{VaultAuditEventConnection, VaultAuditFilter, audit_query};
use super::connections::map;
use super::entry::{VaultEntry, VaultEntryConnection};
use super::inputs::{VaultEntryFilter, VaultEntryOrder};
use super::loaders::session;
use super::permissions::{
    self, AGENTS, APPROVED_NAMES, AUDIT_EVENTS, CAN_ADMINISTER, CAN_AUDIT, CAN_LIST, CAN_VIEW_MASKED, CAN_WRITE,
    ENTRIES, ENTRY, Guarded, MEMBERS, MILESTONE_ENTRIES, MILESTONE_PHASE, NOT_FOR_YOUR_ROLE, STRENGTHS, Sight, granted,
    sight,
};
use super::scalars::{DateTime, VaultEnvironmentNames, VaultProjectStatus, VaultRole};
use crate::authz::Member;
use crate::domain::{EntryStatus, Error, MilestoneId, Phase, ProjectId, Result, Role, Timestamp, UserId};
use crate::permission::{Authorized, CanAdminister, CanList, CanSee, Held, Permission};
use crate::vault::{self, AgentAssignment, EntryFilter, EntryOrder, EntryQuery, RoleHolder};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A project of the platform.
pub(super) struct Project(pub ProjectId);

/// A project of the platform.
#[Object]
impl Project {
    /// Its id, which the platform assigns.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// The project's vault; null when there is none or the viewer may see nothing of it, which look
    /// the same.
    async fn vault(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<ProjectVault>> {
        nullable(find_vault(ctx, &self.0).await)
    }
}

/// The vault of a project, if the viewer may see anything of it. Asks for what is selected below at once.
pub(super) async fn find_vault(ctx: &Context<'_>, project: &ProjectId) -> Result<Option<ProjectVault>> {
    let mut permissions = permissions::selected(ctx);
    permissions.insert(Permission::CanSee);
    let keys = permissions.into_iter().map(|permission| (Some(project.clone()), permission));
    let session = session(ctx)?;
    let mut answers = session.access(keys).await?;
    let seen = answers.remove(&(Some(project.clone()), Permission::CanSee));
    if seen.is_none() {
        session.concealment.note();
    }
    Ok(seen.map(|access| ProjectVault(access.project)))
}

/// A milestone of a project.
pub(super) struct Milestone(pub MilestoneId);

impl Milestone {
    /// The milestone, and the permission to list its project's entries; none where the viewer may see
    /// nothing of it.
    async fn find(
        &self,
        ctx: &Context<'_>,
        field: &Guarded<CanList>,
    ) -> Result<Option<(vault::Milestone, Authorized<CanList>)>> {
        let session = session(ctx)?;
        let milestone = session.milestone(self.0.clone()).await?;
        let project = milestone.as_ref().map(|milestone| &milestone.project);
        match (milestone.as_ref(), sight(session, project, field).await?) {
            (Some(milestone), Sight::Granted(granted)) => Ok(Some((milestone.clone(), granted.by))),
            (Some(_), Sight::Forbidden) => Err(NOT_FOR_YOUR_ROLE),
            (None, _) | (Some(_), Sight::Hidden) => {
                session.concealment.note();
                Ok(None)
            }
        }
    }
}

/// A milestone of a project.
#[Object]
impl Milestone {
    /// Its id, which the platform assigns.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// The entries that belong to this milestone; null when the viewer may not list the project's
    /// vault.
    async fn vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of elements to return: 0 to 100, by default 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        let read = async {
            let Some((milestone, by)) = self.find(ctx, &MILESTONE_ENTRIES).await? else { return Ok(None) };
            let filter = EntryFilter { milestone: Some(milestone.id.as_str().to_owned()), ..EntryFilter::default() };
            let query = EntryQuery { filter, order: EntryOrder::default(), first, after };
            list(ctx, by, query).await.map(Some)
        };
        nullable(read.await)
    }

    /// When agents can resolve this milestone's entries; null when the viewer may not list the
    /// project's vault.
    async fn vault_phase(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultPhase>> {
        let found = self.find(ctx, &MILESTONE_PHASE).await;
        nullable(found.map(|found| found.map(|(milestone, _)| VaultPhase::from(&milestone))))
    }
}

/// The time during which a milestone's entries exist for agents.
#[derive(SimpleObject)]
pub(super) struct VaultPhase {
    /// Whether the phase is running now.
    open: bool,
    /// The first instant of the phase; null when it has no beginning.
    opens_at: Option<DateTime>,
    /// The first instant after the phase; null when it has no end.
    closes_at: Option<DateTime>,
}

impl From<&vault::Milestone> for VaultPhase {
    fn from(milestone: &vault::Milestone) -> Self {
        let Phase { opens_at, closes_at } = milestone.phase;
        let at = |at: Option<Timestamp>| at.map(DateTime);
        Self { open: milestone.open, opens_at: at(opens_at), closes_at: at(closes_at) }
    }
}

/// A person.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct User {
    /// The person's id.
    pub id: ID,
}

impl From<&UserId> for User {
    fn from(id: &UserId) -> Self {
        Self { id: ID(id.as_str().to_owned()) }
    }
}

/// An agent of an organization.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Agent {
    /// Its id, which the platform assigns.
    pub id: ID,
}

/// An organization that takes part in projects.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Organization {
    /// Its id, which the platform assigns.
    pub id: ID,
}

/// The vault of one project, as far as the viewer may see it.
pub(super) struct ProjectVault(pub vault::Project);

/// The vault of one project, as far as the viewer may see it.
#[Object]
impl ProjectVault {
    /// The project it belongs to.
    async fn project(&self) -> Project {
        Project(self.0.id.clone())
    }

    /// The platform's state of the project.
    async fn status(&self) -> VaultProjectStatus {
        self.0.status.into()
    }

    /// What the viewer may do in this vault.
    async fn viewer(&self) -> VaultViewer {
        VaultViewer(self.0.id.clone())
    }

    /// The vault's entries. Requires Informed or above.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of elements to return: 0 to 100, by default 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
        #[graphql(desc = "Limits the list to some entries.")] filter: Option<VaultEntryFilter>,
        #[graphql(desc = "The order of the list; by default ascending by name.")] order_by: Option<VaultEntryOrder>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &ENTRIES).await?.by;
            let filter = filter.map(Into::into).unwrap_or_default();
            let order = order_by.map(Into::into).unwrap_or_default();
            list(ctx, by, EntryQuery { filter, order, first, after }).await.map(Some)
        };
        nullable(read.await)
    }

    /// The entry of this name: in the project's own scope, or a milestone's. Requires Informed or
    /// above.
    async fn entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry's name.")] name: String,
        #[graphql(desc = "The milestone the entry belongs to; without it, the entry belongs to the whole project.")]
        milestone_id: Option<ID>,
    ) -> Option<async_graphql::Result<VaultEntry>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &ENTRY).await?.by;
            let milestone = milestone_id.map(|id| id.0);
            let found = session(ctx)?.vault.entries().by_name(&by, &name, milestone.as_deref()).await?;
            Ok(found.map(VaultEntry))
        };
        nullable(read.await)
    }

    /// The rule for the names that reach sessions.
    async fn environment_names(&self, ctx: &Context<'_>) -> async_graphql::Result<VaultEnvironmentNames> {
        let read = async {
            // Whoever sees the vault holds it, unless it was taken away since.
            let access = session(ctx)?.may(&self.0.id, CanSee::PERMISSION).await?.ok_or(NOT_FOR_YOUR_ROLE)?;
            Ok(access.environment_names.into())
        };
        required(read.await)
    }

    /// The names that reach sessions whatever they end in, sorted; at most 100. They matter where
    /// environmentNames is SUFFIXED. Requires Informed or above.
    async fn approved_names(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<String>>> {
        let read = async {
            granted(ctx, &self.0.id, &APPROVED_NAMES).await?;
            let approved = session(ctx)?.approved_names(&self.0.id).await?;
            Ok(Some(approved.iter().map(ToOwned::to_owned).collect()))
        };
        nullable(read.await)
    }

    /// The project's milestones, which the platform's service keeps.
    async fn milestones(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Milestone>> {
        let read = async {
            let session = session(ctx)?;
            let milestones = session.vault.milestones().of_projects(std::slice::from_ref(&self.0.id)).await?;
            let milestones = milestones.into_values().flatten().collect::<Vec<_>>();
            session.know(&milestones).await;
            Ok(milestones.into_iter().map(|milestone| Milestone(milestone.id)).collect())
        };
        required(read.await)
    }

    /// The organizations that take part in the project.
    async fn participants(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Organization>> {
        let read = async {
            let session = session(ctx)?;
            // Whoever sees the vault holds it, unless it was taken away since.
            let access = session.may(&self.0.id, CanSee::PERMISSION).await?.ok_or(NOT_FOR_YOUR_ROLE)?;
            let by = access.decision.authorize::<CanSee>().ok_or(NOT_FOR_YOUR_ROLE)?;
            let participants = session.vault.members().participants(&by).await?;
            Ok(participants.into_iter().map(|id| Organization { id: ID(id.as_str().to_owned()) }).collect())
        };
        required(read.await)
    }

    /// The agents assigned to the project. Requires Responsible or above, or the platform's
    /// service.
    async fn agents(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultAgentAssignment>>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &AGENTS).await?.by;
            let agents = session(ctx)?.vault.members().agents(&by).await?;
            Ok(Some(agents.into_iter().map(Into::into).collect()))
        };
        nullable(read.await)
    }

    /// The people and teams with a RACI role. Requires Accountable, or the platform's service.
    async fn members(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultMember>>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &MEMBERS).await?.by;
            let members = session(ctx)?.vault.members().people(&by).await?;
            Ok(Some(members.into_iter().map(Into::into).collect()))
        };
        nullable(read.await)
    }

    /// The project's audit events, newest first. Requires Accountable, or an auditor. With a
    /// filter, one page examines at most 10,000 events, so it can be short or empty and still have
    /// a next one: continue at endCursor.
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of elements to return: 0 to 100, by default 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
        #[graphql(desc = "Limits the list to some events.")] filter: Option<VaultAuditFilter>,
    ) -> Option<async_graphql::Result<VaultAuditEventConnection>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &AUDIT_EVENTS).await?.by;
            let query = audit_query(first, after, filter);
            let page = session(ctx)?.vault.audit().project_events(&by, &query).await?;
            Ok(Some(page.into()))
        };
        nullable(read.await)
    }
}

/// A page of entries. DELETED ones are in it where they are asked for and the viewer may administer.
async fn list(ctx: &Context<'_>, by: Authorized<CanList>, query: EntryQuery) -> Result<VaultEntryConnection> {
    let session = session(ctx)?;
    let wants_deleted = query.filter.statuses.as_ref().is_some_and(|statuses| statuses.contains(&EntryStatus::Deleted));
    let administers = if wants_deleted { session.may(by.project(), CanAdminister::PERMISSION).await? } else { None };
    let deleted = administers.and_then(|access| access.decision.authorize::<CanAdminister>());
    let page = session.vault.entries().list(&by, deleted.as_ref(), &query).await?;
    let selected = ctx.look_ahead();
    let selects = |name| {
        selected.field("nodes").field(name).exists() || selected.field("edges").field("node").field(name).exists()
    };
    let ids = || page.items.iter().map(|(entry, _)| entry.id);
    if selects("versions") {
        session.know_versions(ids()).await?;
    }
    if selects("exposures") {
        session.know_exposures(ids()).await?;
    }
    Ok(VaultEntryConnection { page: map(page, VaultEntry), by, deleted, filter: query.filter })
}

/// What the viewer may do in a vault, so that a dashboard shows only what works.
pub(super) struct VaultViewer(ProjectId);

impl VaultViewer {
    async fn may<P: Held>(&self, ctx: &Context<'_>, field: &Guarded<P>) -> async_graphql::Result<bool> {
        match granted(ctx, &self.0, field).await {
            Ok(_) => Ok(true),
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => required(Err(error)),
        }
    }

    async fn strongest(&self, ctx: &Context<'_>) -> Result<Option<VaultRole>> {
        let keys = STRENGTHS.map(|permission| (Some(self.0.clone()), permission));
        let held = session(ctx)?.access(keys.clone()).await?;
        let roles = [Role::Accountable, Role::Responsible, Role::Consulted, Role::Informed];
        let strongest = keys.iter().zip(roles).find(|(key, _)| held.contains_key(*key));
        Ok(strongest.map(|(_, role)| role.into()))
    }
}

/// What the viewer may do in a vault, so that a dashboard shows only what works.
#[Object]
impl VaultViewer {
    /// The strongest role held: Accountable, Responsible, Consulted, Informed; null without one.
    async fn role(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultRole>> {
        nullable(self.strongest(ctx).await)
    }

    /// Whether the viewer may list entries.
    async fn can_list(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_LIST).await
    }

    /// Whether the viewer may see masked values, versions and usage.
    async fn can_view_masked(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_VIEW_MASKED).await
    }

    /// Whether the viewer may create and change entries.
    async fn can_write(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_WRITE).await
    }

    /// Whether the viewer may delete and restore entries, and manage roles and agents.
    async fn can_administer(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_ADMINISTER).await
    }

    /// Whether the viewer may read audit events.
    async fn can_audit(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_AUDIT).await
    }
}

/// A role and who has it: a person, or a team whose members another system keeps. Exactly one of
/// user and teamId is set.
#[derive(SimpleObject)]
pub(super) struct VaultMember {
    /// The person; null for a team.
    user: Option<User>,
    /// The team's id; null for a person.
    team_id: Option<ID>,
    /// The role they have.
    role: VaultRole,
}

impl From<RoleHolder> for VaultMember {
    fn from(holder: RoleHolder) -> Self {
        let (user, team_id) = match holder.who {
            Member::User(id) => (Some(User::from(&id)), None),
            Member::Team(id) => (None, Some(ID(id.as_str().to_owned()))),
        };
        Self { user, team_id, role: holder.role.into() }
    }
}

/// An agent on the project, with the milestones it works on.
#[derive(SimpleObject)]
pub(super) struct VaultAgentAssignment {
    /// The assigned agent.
    agent: Agent,
    /// The project's milestones it works on.
    milestones: Vec<Milestone>,
}

impl From<AgentAssignment> for VaultAgentAssignment {
    fn from(assignment: AgentAssignment) -> Self {
        Self {
            agent: Agent { id: ID(assignment.agent.as_str().to_owned()) },
            milestones: assignment.milestones.into_iter().map(Milestone).collect(),
        }
    }
}
