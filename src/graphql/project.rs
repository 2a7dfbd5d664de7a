//! Projects and milestones: the entities shared with other subgraphs, and the vault behind them.

use super::answer::{nullable, required};
use super::audit::{VaultAuditEventConnection, VaultAuditFilter, audit_query};
use super::connections::connection;
use super::entry::{VaultEntry, VaultEntryConnection};
use super::inputs::{VaultEntryFilter, VaultEntryOrder};
use super::loaders::request;
use super::permissions::{
    self, AGENTS, APPROVED_NAMES, AUDIT_EVENTS, CAN_ADMINISTER, CAN_AUDIT, CAN_LIST, CAN_VIEW_MASKED, CAN_WRITE,
    ENTRIES, ENTRY, ENVIRONMENT_NAMES, FieldGrant, Guarded, MEMBERS, MILESTONE_ENTRIES, MILESTONE_PHASE,
    NOT_FOR_YOUR_ROLE, PARTICIPANTS, STRENGTHS, SUMMARY, SUMMARY_DELETED, SUMMARY_NEVER_USED, Sight, granted, sight,
};
use super::references::{Agent, Organization, User};
use super::scalars::{DateTime, VaultEnvironmentNames, VaultProjectStatus, VaultRole, int};
use crate::authz::Member;
use crate::domain::{EntryStatus, Error, MilestoneId, Phase, ProjectId, Result, Role, Timestamp};
use crate::permission::{CanAdminister, CanList, CanViewMasked, Held as _, ProjectPermission};
use crate::vault::{
    self, AgentAssignment, EntryFilter, EntryListPage, EntryOrder, EntryQuery, ListViewer, Page, RoleHolder, Summary,
};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A project of the platform.
pub(super) struct Project(pub ProjectId);

/// A project of the platform.
#[Object]
impl Project {
    /// The project's id: 1 to 200 visible ASCII characters.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// The project's vault. Null when it has none or the viewer may see nothing of it; the two look
    /// the same.
    async fn vault(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<ProjectVault>> {
        nullable(find_vault(ctx, &self.0).await)
    }
}

/// The vault of a project, if the viewer may see anything of it. Asks for what is selected below at
/// once.
pub(super) async fn find_vault(ctx: &Context<'_>, project: &ProjectId) -> Result<Option<ProjectVault>> {
    let request = request(ctx)?;
    let seen = request.seen(Some(project), permissions::selected(ctx)).await?;
    if seen.is_none() {
        request.concealment.note();
    }
    Ok(seen.map(|(project, _)| ProjectVault(project)))
}

/// A milestone of a project.
pub(super) struct Milestone(pub MilestoneId);

impl Milestone {
    /// The milestone, and the permission to list its project's entries; none where the viewer may
    /// see nothing of it.
    async fn find(
        &self,
        ctx: &Context<'_>,
        field: &Guarded<CanList>,
    ) -> Result<Option<(vault::Milestone, FieldGrant<CanList>)>> {
        let request = request(ctx)?;
        let milestone = request.milestone(self.0.clone()).await?;
        let project = milestone.as_ref().map(|milestone| &milestone.project);
        match (milestone.as_ref(), sight(request, project, field).await?) {
            (Some(milestone), Sight::Granted(granted)) => Ok(Some((milestone.clone(), granted))),
            (Some(_), Sight::Forbidden) => Err(NOT_FOR_YOUR_ROLE),
            (None, _) | (Some(_), Sight::Hidden) => {
                request.concealment.note();
                Ok(None)
            }
        }
    }
}

/// A milestone of a project.
#[Object]
impl Milestone {
    /// The milestone's id: 1 to 200 visible ASCII characters.
    async fn id(&self) -> ID {
        ID(self.0.as_str().to_owned())
    }

    /// Entries scoped to this milestone, by name. Informed and above; null when the viewer may see
    /// nothing of the project.
    async fn vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        let read = async {
            let Some((milestone, granted)) = self.find(ctx, &MILESTONE_ENTRIES).await? else { return Ok(None) };
            let filter = EntryFilter { milestone: Some(milestone.id.as_str().to_owned()), ..EntryFilter::default() };
            let query = EntryQuery { filter, order: EntryOrder::default(), first, after };
            list(ctx, granted, query).await.map(Some)
        };
        nullable(read.await)
    }

    /// When this milestone's entries can be resolved. Informed and above; null when the viewer may
    /// see nothing of the project.
    async fn vault_phase(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultPhase>> {
        let found = self.find(ctx, &MILESTONE_PHASE).await;
        nullable(found.map(|found| found.map(|(milestone, _)| VaultPhase::from(&milestone))))
    }
}

/// The period in which agents can resolve a milestone's entries.
#[derive(SimpleObject)]
pub(super) struct VaultPhase {
    /// Whether the period includes now.
    open: bool,
    /// The first instant of the period; null when it has no beginning.
    opens_at: Option<DateTime>,
    /// The first instant after the period; null when it has no end.
    closes_at: Option<DateTime>,
}

impl From<&vault::Milestone> for VaultPhase {
    fn from(milestone: &vault::Milestone) -> Self {
        let Phase { opens_at, closes_at } = milestone.phase;
        let at = |at: Option<Timestamp>| at.map(DateTime);
        Self { open: milestone.open, opens_at: at(opens_at), closes_at: at(closes_at) }
    }
}

/// The vault of one project, as far as the viewer may see it.
#[derive(Clone)]
pub(super) struct ProjectVault(pub vault::Project);

connection!(
    ProjectVaultConnection {
        page: Page<ProjectVault>,
        total: usize
    },
    ProjectVaultEdge,
    {
        /// Number of elements in the whole list.
        async fn total_count(&self) -> i32 {
            int(self.total)
        }
    }
);

/// The vault of one project, as far as the viewer may see it.
#[Object]
impl ProjectVault {
    /// The project the vault belongs to.
    async fn project(&self) -> Project {
        Project(self.0.id.clone())
    }

    /// The project's status. Agents receive values only while it is ACTIVE.
    async fn status(&self) -> VaultProjectStatus {
        self.0.status.into()
    }

    /// The viewer's role and permissions in this project.
    async fn viewer(&self) -> VaultViewer {
        VaultViewer(self.0.id.clone())
    }

    /// Numbers of the project's entries, by what needs attention. Informed and above.
    async fn summary(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultSummary>> {
        let read = async {
            granted(ctx, &self.0.id, &SUMMARY).await?;
            let counts = request(ctx)?.summary(&self.0.id).await?;
            Ok(Some(VaultSummary { project: self.0.id.clone(), counts }))
        };
        nullable(read.await)
    }

    /// The project's entries, those of its milestones included. Informed and above.
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
        #[graphql(desc = "Selects the entries to list. Left out: all but DELETED ones.")] filter: Option<
            VaultEntryFilter,
        >,
        #[graphql(desc = "The order of the list. Left out: by name, ascending.")] order_by: Option<VaultEntryOrder>,
    ) -> Option<async_graphql::Result<VaultEntryConnection>> {
        let read = async {
            let granted = granted(ctx, &self.0.id, &ENTRIES).await?;
            let filter = filter.map(Into::into).unwrap_or_default();
            let order = order_by.map(Into::into).unwrap_or_default();
            list(ctx, granted, EntryQuery { filter, order, first, after }).await.map(Some)
        };
        nullable(read.await)
    }

    /// The entry with this name in one scope: the project's, or a milestone's when milestoneId is
    /// given. Null when there is none. Informed and above.
    async fn entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry's name, case-sensitive.")] name: String,
        #[graphql(desc = "The milestone the entry belongs to; without it, the entry belongs to the whole project.")]
        milestone_id: Option<ID>,
    ) -> Option<async_graphql::Result<VaultEntry>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &ENTRY).await?.by;
            let milestone = milestone_id.map(|id| id.0);
            let found = request(ctx)?.vault.entries().by_name(&by, &name, milestone.as_deref()).await?;
            Ok(found.map(VaultEntry))
        };
        nullable(read.await)
    }

    /// The rule that decides which entry names reach the project's sessions.
    async fn environment_names(&self, ctx: &Context<'_>) -> async_graphql::Result<VaultEnvironmentNames> {
        let read = async {
            // A viewer of the vault holds CanSee, unless it was revoked since the vault was loaded.
            Ok(granted(ctx, &self.0.id, &ENVIRONMENT_NAMES).await?.access.environment_names.into())
        };
        required(read.await)
    }

    /// Names that an Accountable person lets into sessions whatever they end in, by name; at most
    /// 100. They matter while environmentNames is SUFFIXED. Informed and above.
    async fn approved_names(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<String>>> {
        let read = async {
            granted(ctx, &self.0.id, &APPROVED_NAMES).await?;
            let approved = request(ctx)?.approved_names(&self.0.id).await?;
            Ok(Some(approved.iter().map(ToOwned::to_owned).collect()))
        };
        nullable(read.await)
    }

    /// The project's milestones, which the platform's service creates.
    async fn milestones(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Milestone>> {
        let read = async {
            let request = request(ctx)?;
            let milestones = request.vault.milestones().of_projects(std::slice::from_ref(&self.0.id)).await?;
            let milestones = milestones.into_values().flatten().collect::<Vec<_>>();
            request.know(&milestones).await;
            Ok(milestones.into_iter().map(|milestone| Milestone(milestone.id)).collect())
        };
        required(read.await)
    }

    /// The organizations that take part in the project.
    async fn participants(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Organization>> {
        let read = async {
            // A viewer of the vault holds CanSee, unless it was revoked since the vault was loaded.
            let by = granted(ctx, &self.0.id, &PARTICIPANTS).await?.by;
            let participants = request(ctx)?.vault.members().participants(&by).await?;
            Ok(participants.into_iter().map(|id| Organization { id: ID(id.as_str().to_owned()) }).collect())
        };
        required(read.await)
    }

    /// The agents assigned to the project. Responsible and above, or the platform's service.
    async fn agents(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultAgentAssignment>>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &AGENTS).await?.by;
            let agents = request(ctx)?.vault.members().agents(&by).await?;
            Ok(Some(agents.into_iter().map(Into::into).collect()))
        };
        nullable(read.await)
    }

    /// The people and teams with a role in the project. Accountable, or the platform's service.
    async fn members(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultMember>>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &MEMBERS).await?.by;
            let members = request(ctx)?.vault.members().people(&by).await?;
            Ok(Some(members.into_iter().map(Into::into).collect()))
        };
        nullable(read.await)
    }

    /// The project's audit events, newest first. Accountable, or an auditor. With a filter, a page
    /// examines at most 10,000 events: it may be short or even empty while pageInfo.hasNextPage is
    /// true; endCursor continues behind the last event examined.
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
        #[graphql(desc = "Selects the events to list. Left out: all.")] filter: Option<VaultAuditFilter>,
    ) -> Option<async_graphql::Result<VaultAuditEventConnection>> {
        let read = async {
            let by = granted(ctx, &self.0.id, &AUDIT_EVENTS).await?.by;
            let query = audit_query(first, after, filter);
            let page = request(ctx)?.vault.audit().project_events(&by, &query).await?;
            Ok(Some(page.into()))
        };
        nullable(read.await)
    }
}

/// A page of entries. DELETED ones are in it where they are asked for and the viewer may
/// administer.
async fn list(ctx: &Context<'_>, granted: FieldGrant<CanList>, query: EntryQuery) -> Result<VaultEntryConnection> {
    let request = request(ctx)?;
    let FieldGrant { access, by } = granted;
    let wants_deleted = query.filter.statuses.as_ref().is_some_and(|statuses| statuses.contains(&EntryStatus::Deleted));
    let administers = if wants_deleted { request.may(by.project(), CanAdminister::PERMISSION).await? } else { None };
    let administers = administers.and_then(|access| access.decision.authorize::<CanAdminister>());
    let by_usage = query.filter.never_resolved.is_some();
    let sees_masked = if by_usage { request.may(by.project(), CanViewMasked::PERMISSION).await? } else { None };
    let sees_masked = sees_masked.and_then(|access| access.decision.authorize::<CanViewMasked>());
    let asked = EntryListPage::new(&ListViewer { by, administers, sees_masked }, access.generation, query)?;
    let list = asked.list().clone();
    let page = request.page(asked).await?;
    let selected = ctx.look_ahead();
    let selects = |name| {
        selected.field("nodes").field(name).exists() || selected.field("edges").field("node").field(name).exists()
    };
    let ids = || page.items.iter().map(|(entry, _)| entry.id);
    if selects("versions") {
        request.know_versions(ids()).await?;
    }
    if selects("exposures") {
        request.know_exposures(ids()).await?;
    }
    Ok(VaultEntryConnection { page: page.map(VaultEntry), list })
}

/// Numbers of a project's entries, those of its milestones included.
pub(super) struct VaultSummary {
    project: ProjectId,
    counts: Summary,
}

/// Numbers of a project's entries, those of its milestones included.
#[Object]
impl VaultSummary {
    /// Number of ACTIVE entries.
    async fn active(&self) -> i32 {
        int(self.counts.active)
    }

    /// Number of EXPIRED entries.
    async fn expired(&self) -> i32 {
        int(self.counts.expired)
    }

    /// Number of DISABLED entries.
    async fn disabled(&self) -> i32 {
        int(self.counts.disabled)
    }

    /// Number of DELETED entries, which can still be restored. Accountable.
    async fn deleted(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<i32>> {
        let shown = granted(ctx, &self.project, &SUMMARY_DELETED).await;
        nullable(shown.map(|_| Some(int(self.counts.deleted))))
    }

    /// Number of ACTIVE entries that expire within 7 days.
    async fn expiring(&self) -> i32 {
        int(self.counts.expiring)
    }

    /// Number of entries whose rotation is due, DISABLED and DELETED ones excluded.
    async fn rotation_due(&self) -> i32 {
        int(self.counts.rotation_due)
    }

    /// Number of entries, DELETED ones excluded, that no agent has ever received. Consulted and
    /// above.
    async fn never_used(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<i32>> {
        let shown = granted(ctx, &self.project, &SUMMARY_NEVER_USED).await;
        nullable(shown.map(|_| Some(int(self.counts.never_used))))
    }

    /// Number of entries, DELETED ones excluded, whose names keep them out of sessions.
    async fn left_out_of_sessions(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
        let read = async { Ok(int(request(ctx)?.left_out_count(&self.project).await?)) };
        required(read.await)
    }
}

/// The viewer's role and permissions in a project, so that a dashboard can ask before it shows a
/// button.
pub(super) struct VaultViewer(ProjectId);

impl VaultViewer {
    async fn may<P: ProjectPermission>(&self, ctx: &Context<'_>, field: &Guarded<P>) -> async_graphql::Result<bool> {
        match granted(ctx, &self.0, field).await {
            Ok(_) => Ok(true),
            Err(Error::Forbidden(_)) => Ok(false),
            Err(error) => required(Err(error)),
        }
    }

    async fn strongest(&self, ctx: &Context<'_>) -> Result<Option<VaultRole>> {
        let keys = STRENGTHS.map(|permission| (Some(self.0.clone()), permission));
        let held = request(ctx)?.access(keys.clone()).await?;
        let roles = [Role::Accountable, Role::Responsible, Role::Consulted, Role::Informed];
        let strongest = keys.iter().zip(roles).find(|(key, _)| held.contains_key(*key));
        Ok(strongest.map(|(_, role)| role.into()))
    }
}

/// The viewer's role and permissions in a project, so that a dashboard can ask before it shows a
/// button.
#[Object]
impl VaultViewer {
    /// The strongest role the viewer holds: Accountable, Responsible, Consulted, Informed; null
    /// without one.
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

    /// Whether the viewer may delete and restore entries, and manage roles and agents as an
    /// Accountable person.
    async fn can_administer(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_ADMINISTER).await
    }

    /// Whether the viewer may read the project's audit events.
    async fn can_audit(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        self.may(ctx, &CAN_AUDIT).await
    }
}

/// One role in a project, and the person or team that holds it. Another system keeps the membership
/// of teams. Exactly one of user and teamId is set.
#[derive(SimpleObject)]
pub(super) struct VaultMember {
    /// The person with the role; null when a team has it.
    user: Option<User>,
    /// The id of the team with the role; null when a person has it.
    team_id: Option<ID>,
    /// The role that the person or team holds.
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

/// An agent that is assigned to a project, with its milestones.
#[derive(SimpleObject)]
pub(super) struct VaultAgentAssignment {
    /// The agent that is assigned.
    agent: Agent,
    /// The project's milestones that the agent is assigned to.
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
