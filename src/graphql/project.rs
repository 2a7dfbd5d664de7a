//! Projects and milestones: the entities shared with other subgraphs, and the vault behind them.

use super::answer::{granted, nullable, proof, required};
use super::audit::{VaultAuditEventConnection, VaultAuditFilter, audit_query};
use super::connections::map;
use super::entry::{VaultEntry, VaultEntryConnection};
use super::inputs::{VaultEntryFilter, VaultEntryOrder};
use super::loaders::session;
use super::permissions::{self, NOT_FOR_YOUR_ROLE, STRENGTHS, Sight, sight};
use super::scalars::{DateTime, VaultEnvironmentNames, VaultProjectStatus, VaultRole};
use crate::authz::Member;
use crate::domain::{EntryStatus, Error, MilestoneId, Phase, ProjectId, Result, Role, Timestamp, UserId};
use crate::permission::{
    CanAdminister, CanAudit, CanList, CanManageMembers, CanSee, CanViewAgents, Held as _, Permission,
};
use crate::vault::{self, AgentAssignment, EntryFilter, EntryOrder, EntryQuery, RoleHolder};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A project of the platform.
pub(super) struct Project(pub ProjectId);

/// A project of the platform.
#[Object]
impl Project {
    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// Null when the project has no vault or the viewer may see nothing of it; the two look the same.
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

const MILESTONE: &str = "Milestone";

impl Milestone {
    /// The milestone and the permission to list its project's entries; none where the viewer may see nothing of it.
    async fn find(&self, ctx: &Context<'_>, field: &str) -> Result<Option<(vault::Milestone, vault::ProjectAccess)>> {
        let session = session(ctx)?;
        let milestone = session.milestone(self.0.clone()).await?;
        let project = milestone.as_ref().map(|milestone| &milestone.project);
        let permission = permissions::of_field(MILESTONE, field)
            .ok_or_else(|| Error::internal("a milestone's field is not in the table of permissions"))?;
        match (milestone.as_ref(), sight(session, project, permission).await?) {
            (Some(milestone), Sight::Granted(access)) => Ok(Some((milestone.clone(), access))),
            (Some(_), Sight::Forbidden) => Err(NOT_FOR_YOUR_ROLE),
            (None, _) | (Some(_), Sight::Hidden) => {
                session.concealment.note();
                Ok(None)
            }
        }
    }

    async fn read_entries(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Option<VaultEntryConnection>> {
        let Some((milestone, access)) = self.find(ctx, "vaultEntries").await? else { return Ok(None) };
        let filter = EntryFilter { milestone: Some(milestone.id.as_str().to_owned()), ..EntryFilter::default() };
        let query = EntryQuery { filter, order: EntryOrder::default(), first, after };
        list(ctx, &access, query).await.map(Some)
    }
}

/// A milestone of a project.
#[Object]
impl Milestone {
    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// Entries scoped to this milestone; null when the viewer may not list the project's vault.
    async fn vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many elements: 0 to 100, 50 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind; one that this list gave, with the same filter and order.")] after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        nullable(self.read_entries(ctx, first, after).await)
    }

    /// When this milestone's credentials can be resolved; null as above.
    async fn vault_phase(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultPhase>> {
        let found = self.find(ctx, "vaultPhase").await;
        nullable(found.map(|found| found.map(|(milestone, _)| VaultPhase::from(&milestone))))
    }
}

/// When a milestone's entries exist for agents.
#[derive(SimpleObject)]
pub(super) struct VaultPhase {
    /// Whether that is now.
    open: bool,
    /// The first instant; null where it has no beginning.
    opens_at: Option<DateTime>,
    /// The first instant after it; null where it has no end.
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
    /// Their id.
    pub id: ID,
}

impl From<&UserId> for User {
    fn from(id: &UserId) -> Self {
        Self { id: ID(id.as_str().to_owned()) }
    }
}

/// An agent.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Agent {
    /// Its id.
    pub id: ID,
}

/// An organization that takes part in projects.
#[derive(SimpleObject)]
#[graphql(unresolvable = "id")]
pub(super) struct Organization {
    /// Its id.
    pub id: ID,
}

/// The vault of one project, as far as the viewer may see it.
pub(super) struct ProjectVault(pub vault::Project);

const VAULT: &str = "ProjectVault";

impl ProjectVault {
    async fn read_entries(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<VaultEntryFilter>,
        order: Option<VaultEntryOrder>,
    ) -> Result<Option<VaultEntryConnection>> {
        let access = granted(ctx, &self.0.id, VAULT, "entries").await?;
        let query = EntryQuery {
            filter: filter.map(Into::into).unwrap_or_default(),
            order: order.map(Into::into).unwrap_or_default(),
            first,
            after,
        };
        list(ctx, &access, query).await.map(Some)
    }

    async fn read_entry(&self, ctx: &Context<'_>, name: &str, milestone: Option<ID>) -> Result<Option<VaultEntry>> {
        let access = granted(ctx, &self.0.id, VAULT, "entry").await?;
        let milestone = milestone.map(|id| id.0);
        let found =
            session(ctx)?.vault.entries().by_name(&proof::<CanList>(&access)?, name, milestone.as_deref()).await?;
        Ok(found.map(VaultEntry))
    }

    async fn read_environment_names(&self, ctx: &Context<'_>) -> Result<VaultEnvironmentNames> {
        // Whoever sees the vault holds it, unless it was taken away since.
        let access = session(ctx)?.may(&self.0.id, CanSee::PERMISSION).await?.ok_or(NOT_FOR_YOUR_ROLE)?;
        Ok(access.environment_names.into())
    }

    async fn read_approved_names(&self, ctx: &Context<'_>) -> Result<Option<Vec<String>>> {
        granted(ctx, &self.0.id, VAULT, "approvedNames").await?;
        let approved = session(ctx)?.approved_names(&self.0.id).await?;
        Ok(Some(approved.iter().map(ToOwned::to_owned).collect()))
    }

    async fn read_agents(&self, ctx: &Context<'_>) -> Result<Option<Vec<VaultAgentAssignment>>> {
        let access = granted(ctx, &self.0.id, VAULT, "agents").await?;
        let agents = session(ctx)?.vault.members().agents(&proof::<CanViewAgents>(&access)?).await?;
        Ok(Some(agents.into_iter().map(Into::into).collect()))
    }

    async fn read_members(&self, ctx: &Context<'_>) -> Result<Option<Vec<VaultMember>>> {
        let access = granted(ctx, &self.0.id, VAULT, "members").await?;
        let members = session(ctx)?.vault.members().people(&proof::<CanManageMembers>(&access)?).await?;
        Ok(Some(members.into_iter().map(Into::into).collect()))
    }

    async fn read_events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        filter: Option<VaultAuditFilter>,
    ) -> Result<Option<VaultAuditEventConnection>> {
        let access = granted(ctx, &self.0.id, VAULT, "auditEvents").await?;
        let query = audit_query(first, after, filter);
        let page = session(ctx)?.vault.audit().project_events(&proof::<CanAudit>(&access)?, &query).await?;
        Ok(Some(page.into()))
    }

    async fn read_milestones(&self, ctx: &Context<'_>) -> Result<Vec<Milestone>> {
        let session = session(ctx)?;
        let milestones = session.vault.milestones().of_projects(std::slice::from_ref(&self.0.id)).await?;
        let milestones = milestones.into_values().flatten().collect::<Vec<_>>();
        session.know(&milestones).await;
        Ok(milestones.into_iter().map(|milestone| Milestone(milestone.id)).collect())
    }

    async fn read_participants(&self, ctx: &Context<'_>) -> Result<Vec<Organization>> {
        let session = session(ctx)?;
        // To see the vault object at all is this permission; a payload's may have been taken away since.
        let access = session.may(&self.0.id, CanSee::PERMISSION).await?.ok_or(NOT_FOR_YOUR_ROLE)?;
        let participants = session.vault.members().participants(&proof::<CanSee>(&access)?).await?;
        Ok(participants.into_iter().map(|id| Organization { id: ID(id.as_str().to_owned()) }).collect())
    }
}

/// The vault of one project, as far as the viewer may see it.
#[Object]
impl ProjectVault {
    /// Whose it is.
    async fn project(&self) -> Project {
        Project(self.0.id.clone())
    }

    /// The platform's state of the project.
    async fn status(&self) -> VaultProjectStatus {
        self.0.status.into()
    }

    /// What the viewer may do here.
    async fn viewer(&self) -> VaultViewer {
        VaultViewer(self.0.id.clone())
    }

    /// Informed and above, as the next one.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many elements: 0 to 100, 50 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind; one that this list gave, with the same filter and order.")] after: Option<String>,
        #[graphql(desc = "Which entries.")] filter: Option<VaultEntryFilter>,
        #[graphql(desc = "In which order; by name when left out.")] order_by: Option<VaultEntryOrder>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        nullable(self.read_entries(ctx, first, after, filter, order_by).await)
    }

    /// The entry of that name in one scope: the project's, or the milestone's when milestoneId is given.
    async fn entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry's name.")] name: String,
        #[graphql(desc = "The milestone in whose scope it is; the project's own scope when left out.")]
        milestone_id: Option<ID>,
    ) -> Option<async_graphql::Result<VaultEntry>> {
        nullable(self.read_entry(ctx, &name, milestone_id).await)
    }

    /// Which names of entries reach sessions.
    async fn environment_names(&self, ctx: &Context<'_>) -> async_graphql::Result<VaultEnvironmentNames> {
        required(self.read_environment_names(ctx).await)
    }

    /// Names that an Accountable person let into sessions whatever they end in, by name; at most 100.
    /// They count where environmentNames is SUFFIXED. Informed and above.
    async fn approved_names(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<String>>> {
        nullable(self.read_approved_names(ctx).await)
    }

    /// Put into this vault by the service.
    async fn milestones(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Milestone>> {
        required(self.read_milestones(ctx).await)
    }

    /// The organizations that take part.
    async fn participants(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Organization>> {
        required(self.read_participants(ctx).await)
    }

    /// Responsible and above, or the service.
    async fn agents(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultAgentAssignment>>> {
        nullable(self.read_agents(ctx).await)
    }

    /// RACI assignments. Accountable, or the service.
    async fn members(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultMember>>> {
        nullable(self.read_members(ctx).await)
    }

    /// Newest first. Accountable, or an auditor. With a filter, a page looks at 10,000 events at most: it may be short or empty and
    /// still have a next one, which endCursor leads to.
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many elements: 0 to 100, 50 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind; one that this list gave, with the same filter and order.")] after: Option<String>,
        #[graphql(desc = "Which events.")] filter: Option<VaultAuditFilter>,
    ) -> Option<async_graphql::Result<VaultAuditEventConnection>> {
        nullable(self.read_events(ctx, first, after, filter).await)
    }
}

/// A page of entries. DELETED ones are in it where they are asked for and the viewer may administer.
async fn list(ctx: &Context<'_>, access: &vault::ProjectAccess, query: EntryQuery) -> Result<VaultEntryConnection> {
    let session = session(ctx)?;
    let by = proof::<CanList>(access)?;
    let wants_deleted = query.filter.statuses.as_ref().is_some_and(|statuses| statuses.contains(&EntryStatus::Deleted));
    let deleted = if wants_deleted {
        match session.may(by.project(), CanAdminister::PERMISSION).await? {
            Some(access) => Some(proof::<CanAdminister>(&access)?),
            None => None,
        }
    } else {
        None
    };
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

/// What the viewer may do here, so that a dashboard can ask before it shows a button.
pub(super) struct VaultViewer(ProjectId);

impl VaultViewer {
    async fn may(&self, ctx: &Context<'_>, field: &str) -> async_graphql::Result<bool> {
        match granted(ctx, &self.0, "VaultViewer", field).await {
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

/// What the viewer may do here, so that a dashboard can ask before it shows a button.
#[Object]
impl VaultViewer {
    /// The strongest role held: Accountable, Responsible, Consulted, Informed; null without one.
    async fn role(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultRole>> {
        nullable(self.strongest(ctx).await)
    }

    /// List entries.
    async fn can_list(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, "canList").await
    }

    /// See masked values, versions and use.
    async fn can_view_masked(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, "canViewMasked").await
    }

    /// Create and change entries.
    async fn can_write(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, "canWrite").await
    }

    /// Delete and restore entries, manage roles and agents.
    async fn can_administer(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, "canAdminister").await
    }

    /// Read audit events.
    async fn can_audit(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, "canAudit").await
    }
}

/// A person or a team (whose membership another system keeps), and one role. Exactly one of user and teamId is set.
#[derive(SimpleObject)]
pub(super) struct VaultMember {
    /// The person.
    user: Option<User>,
    /// The team.
    team_id: Option<ID>,
    /// The role.
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
    /// The agent.
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
