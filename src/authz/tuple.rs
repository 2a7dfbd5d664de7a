//! Relationship tuples, the facts from which the model derives permissions, in OpenFGA's notation.

use crate::domain::{AgentId, MilestoneId, OrganizationId, ProjectId, Role, RuntimeId, ServiceId, TeamId, UserId};
use crate::store::records::TupleRow;
use serde::{Deserialize, Serialize};

/// The object that represents the whole vault.
pub(super) const VAULT: &str = "vault:main";
/// The stand-in for a missing project, so that a question about one costs the same work. No id
/// encodes to this.
pub(super) const NOWHERE: &str = "project:%nowhere";

/// What the objects of projects begin with.
pub(super) const PROJECT_PREFIX: &str = "project:";

/// `subject relation object`, such as `user:alice accountable project:demo`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuple {
    subject: String,
    relation: String,
    object: String,
}

/// A holder of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A person.
    User(UserId),
    /// A team, whose members another system manages.
    Team(TeamId),
}

/// The names of objects, `type:id`.
pub struct Object;

impl Object {
    /// The object of a project.
    #[must_use]
    pub fn project(id: &ProjectId) -> String {
        format!("{PROJECT_PREFIX}{}", id.encoded())
    }

    /// The project that an object is; `None` for any other object, and for the stand-in for projects
    /// that are not there.
    pub(super) fn project_of(object: &str) -> Option<ProjectId> {
        ProjectId::decode(object.strip_prefix(PROJECT_PREFIX)?)
    }

    /// The object of a milestone.
    #[must_use]
    pub fn milestone(id: &MilestoneId) -> String {
        format!("milestone:{}", id.encoded())
    }

    pub(super) fn runtime(id: &RuntimeId) -> String {
        format!("runtime:{}", id.encoded())
    }

    /// The object of an agent.
    #[must_use]
    pub fn agent(id: &AgentId) -> String {
        format!("agent:{}", id.encoded())
    }

    pub(super) fn user(id: &UserId) -> String {
        format!("user:{}", id.encoded())
    }

    pub(super) fn service(id: &ServiceId) -> String {
        format!("service:{}", id.encoded())
    }

    fn organization(id: &OrganizationId) -> String {
        format!("organization:{}", id.encoded())
    }
}

const fn relation_of(role: Role) -> &'static str {
    match role {
        Role::Responsible => "responsible",
        Role::Accountable => "accountable",
        Role::Consulted => "consulted",
        Role::Informed => "informed",
    }
}

impl Tuple {
    /// A tuple of any form; a tuple that the model does not allow is refused when it is applied.
    pub fn new(subject: impl Into<String>, relation: impl Into<String>, object: impl Into<String>) -> Self {
        Self { subject: subject.into(), relation: relation.into(), object: object.into() }
    }

    /// A person's role in a project.
    #[must_use]
    pub fn role(project: &ProjectId, role: Role, user: &UserId) -> Self {
        Self::new(Object::user(user), relation_of(role), Object::project(project))
    }

    /// An organization takes part in a project.
    #[must_use]
    pub fn participant(project: &ProjectId, organization: &OrganizationId) -> Self {
        Self::new(Object::organization(organization), "participant", Object::project(project))
    }

    /// An agent is assigned to a project.
    #[must_use]
    pub fn agent_on_project(project: &ProjectId, agent: &AgentId) -> Self {
        Self::new(Object::agent(agent), "assigned_agent", Object::project(project))
    }

    /// An agent is assigned to a milestone.
    #[must_use]
    pub fn agent_on_milestone(milestone: &MilestoneId, agent: &AgentId) -> Self {
        Self::new(Object::agent(agent), "assigned_agent", Object::milestone(milestone))
    }

    /// An agent belongs to an organization.
    #[must_use]
    pub fn agent_of(organization: &OrganizationId, agent: &AgentId) -> Self {
        Self::new(Object::agent(agent), "agent", Object::organization(organization))
    }

    /// A runtime serves an organization's agents.
    #[must_use]
    pub fn runtime_of(organization: &OrganizationId, runtime: &RuntimeId) -> Self {
        Self::new(Object::organization(organization), "organization", Object::runtime(runtime))
    }

    /// A project exists. This is the first of its tuples to be written, and the last to be deleted.
    #[must_use]
    pub fn vault_of(project: &ProjectId) -> Self {
        Self::new(VAULT, "vault", Object::project(project))
    }

    /// The tuples of the stand-in, which `migrate` writes: the ones that a decision reads of any
    /// project.
    pub(super) fn of_nowhere() -> Vec<Self> {
        vec![Self::new(VAULT, "vault", NOWHERE), Self::new("organization:%nowhere", "participant", NOWHERE)]
    }

    /// A milestone belongs to a project.
    #[must_use]
    pub fn milestone_of(milestone: &MilestoneId, project: &ProjectId) -> Self {
        Self::new(Object::project(project), "project", Object::milestone(milestone))
    }

    /// A service is a registrar: it manages projects.
    #[must_use]
    pub fn registrar(service: &ServiceId) -> Self {
        Self::new(Object::service(service), "registrar", VAULT)
    }

    /// A person is an auditor: they read all audit events.
    #[must_use]
    pub fn auditor_user(user: &UserId) -> Self {
        Self::new(Object::user(user), "auditor", VAULT)
    }

    /// A service is an auditor: it reads all audit events.
    #[must_use]
    pub fn auditor_service(service: &ServiceId) -> Self {
        Self::new(Object::service(service), "auditor", VAULT)
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The relation.
    #[must_use]
    pub fn relation(&self) -> &str {
        &self.relation
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    fn subject_of(&self, kind: &str, relation: &str, of: &str) -> Option<&str> {
        let fits = self.relation == relation && self.object.split(':').next() == Some(of);
        self.subject.strip_prefix(kind)?.strip_prefix(':').filter(|_| fits)
    }

    fn object_id(&self) -> &str {
        self.object.split_once(':').map_or("", |(_, id)| id)
    }

    /// The role that the tuple gives, and its holder.
    #[must_use]
    pub fn as_role(&self) -> Option<(Role, Member)> {
        let role = *Role::ALL.iter().find(|role| relation_of(**role) == self.relation)?;
        if let Some(user) = self.subject_of("user", &self.relation, "project") {
            return Some((role, Member::User(UserId::decode(user)?)));
        }
        let team = self.subject_of("team", &self.relation, "project")?.strip_suffix("#member")?;
        Some((role, Member::Team(TeamId::decode(team)?)))
    }

    /// The organization that takes part.
    #[must_use]
    pub fn as_participant(&self) -> Option<OrganizationId> {
        OrganizationId::decode(self.subject_of("organization", "participant", "project")?)
    }

    /// The organization an agent belongs to, and the agent.
    #[must_use]
    pub fn as_agent_of(&self) -> Option<(OrganizationId, AgentId)> {
        let agent = AgentId::decode(self.subject_of("agent", "agent", "organization")?)?;
        Some((OrganizationId::decode(self.object_id())?, agent))
    }

    /// The project an agent is assigned to, and the agent.
    #[must_use]
    pub fn as_agent_on_project(&self) -> Option<(ProjectId, AgentId)> {
        let agent = AgentId::decode(self.subject_of("agent", "assigned_agent", "project")?)?;
        Some((ProjectId::decode(self.object_id())?, agent))
    }

    /// The milestone an agent is assigned to, and the agent.
    #[must_use]
    pub fn as_agent_on_milestone(&self) -> Option<(MilestoneId, AgentId)> {
        let agent = AgentId::decode(self.subject_of("agent", "assigned_agent", "milestone")?)?;
        Some((MilestoneId::decode(self.object_id())?, agent))
    }
}

impl From<TupleRow> for Tuple {
    fn from(row: TupleRow) -> Self {
        Self { subject: row.subject, relation: row.relation, object: row.object }
    }
}

impl From<&Tuple> for TupleRow {
    fn from(tuple: &Tuple) -> Self {
        Self { object: tuple.object.clone(), relation: tuple.relation.clone(), subject: tuple.subject.clone() }
    }
}

/// Tuples that are written and deleted together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TupleChange {
    /// The tuples to write.
    pub write: Vec<Tuple>,
    /// The tuples to delete.
    pub delete: Vec<Tuple>,
}

/// The tuples to read.
#[derive(Debug, Clone)]
pub struct TupleFilter {
    /// An object; or, with `subject`, a type of objects with its colon.
    pub(super) object: String,
    pub(super) relation: Option<&'static str>,
    pub(super) subject: Option<String>,
}

impl TupleFilter {
    /// Every tuple of an object.
    #[must_use]
    pub fn of_object(object: &str) -> Self {
        Self { object: object.to_owned(), relation: None, subject: None }
    }

    fn related(object: String, relation: &'static str) -> Self {
        Self { object, relation: Some(relation), subject: None }
    }

    fn having(kind: &str, relation: &'static str, subject: String) -> Self {
        Self { object: kind.to_owned(), relation: Some(relation), subject: Some(subject) }
    }

    /// Every tuple of a project.
    #[must_use]
    pub fn of_project(project: &ProjectId) -> Self {
        Self::of_object(&Object::project(project))
    }

    /// Registrars and auditors.
    #[must_use]
    pub fn of_vault() -> Self {
        Self::of_object(VAULT)
    }

    /// The people and teams with a role.
    #[must_use]
    pub fn role(project: &ProjectId, role: Role) -> Self {
        Self::related(Object::project(project), relation_of(role))
    }

    /// The organizations that take part in a project.
    #[must_use]
    pub fn participants(project: &ProjectId) -> Self {
        Self::related(Object::project(project), "participant")
    }

    /// The agents assigned to a project.
    #[must_use]
    pub fn agents_of_project(project: &ProjectId) -> Self {
        Self::related(Object::project(project), "assigned_agent")
    }

    /// The agents assigned to a milestone.
    #[must_use]
    pub fn agents_of_milestone(milestone: &MilestoneId) -> Self {
        Self::related(Object::milestone(milestone), "assigned_agent")
    }

    /// An organization's agents.
    #[must_use]
    pub fn agents_of_organization(organization: &OrganizationId) -> Self {
        Self::related(Object::organization(organization), "agent")
    }

    /// The organization a runtime serves; at most one.
    #[must_use]
    pub fn organizations_of_runtime(runtime: &RuntimeId) -> Self {
        Self::related(Object::runtime(runtime), "organization")
    }

    /// The projects an agent is assigned to.
    #[must_use]
    pub fn projects_of_agent(agent: &AgentId) -> Self {
        Self::having("project:", "assigned_agent", Object::agent(agent))
    }

    /// The milestones an agent is assigned to.
    #[must_use]
    pub fn milestones_of_agent(agent: &AgentId) -> Self {
        Self::having("milestone:", "assigned_agent", Object::agent(agent))
    }

    /// The organization an agent belongs to; at most one.
    #[must_use]
    pub fn organizations_of_agent(agent: &AgentId) -> Self {
        Self::having("organization:", "agent", Object::agent(agent))
    }
}
