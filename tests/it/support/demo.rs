//! The people, agents and projects in the tests.

use super::World;
use project_vault::domain::{
    Category, MilestoneId, Narrowing, Phase, Principal, ProjectId, ProjectStatus, Purpose, RequestId, Role, RuntimeId,
    SecretOutcome, ServiceId, UserId,
};
use project_vault::vault::{
    AgentChange, AgentQuestion, Auditor, Caller, NewEntry, NewMilestone, NewProject, ResolveRequest, Resolved,
    RoleChange,
};
use secrecy::SecretString;

fn caller(principal: Principal) -> Caller {
    Caller { principal, request_id: RequestId::new() }
}

/// A person who calls.
pub fn user(id: &str) -> Caller {
    caller(Principal::User(UserId::parse(id).unwrap()))
}

/// A service of the platform that calls.
pub fn service(id: &str) -> Caller {
    caller(Principal::Service(ServiceId::parse(id).unwrap()))
}

/// A runtime that calls, with a token that is not narrowed.
pub fn runtime(id: &str) -> Caller {
    caller(Principal::Runtime(RuntimeId::parse(id).unwrap(), Narrowing::default()))
}

/// An entry of project demo.
pub fn entry(name: &str, value: &str) -> NewEntry {
    NewEntry {
        project: "demo".to_owned(),
        name: name.to_owned(),
        value: SecretString::from(value),
        category: Category::ApiKey,
        description: None,
        milestone: None,
        expires_at: None,
        rotation_interval_days: None,
    }
}

/// What an agent asks of project demo, by name.
pub fn agent_asks(agent: &str, names: &[&str]) -> AgentQuestion {
    AgentQuestion {
        project: "demo".to_owned(),
        agent: agent.to_owned(),
        milestone: None,
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        provided: Vec::new(),
    }
}

/// The same, for a tool.
pub fn tool_asks(question: AgentQuestion) -> ResolveRequest {
    ResolveRequest { question, purpose: Purpose::ToolExecution, session: None, tool: None, recipient: None }
}

/// A project that `acme` takes part in, with one Accountable person.
pub fn new_project(id: &str, accountable: &str) -> NewProject {
    NewProject {
        project: id.to_owned(),
        participants: vec!["acme".to_owned()],
        accountable: vec![accountable.to_owned()],
        status: ProjectStatus::Active,
    }
}

/// Names with what became of them.
pub fn names(resolved: &[Resolved]) -> Vec<(&str, SecretOutcome)> {
    resolved.iter().map(|answer| (answer.name.as_str(), answer.outcome)).collect()
}

impl World {
    /// Adds the demo: acme and globex work on project `demo`; alice is Accountable, bob
    /// Responsible, carol Consulted, dave Informed; `builder` is acme's agent, `deployer` globex'
    /// and on milestone `demo-launch`; audrey audits.
    pub async fn demo(&self) {
        let vault = &self.vault;
        let platform = service("platform");
        vault.members().set_registrar(&ServiceId::parse("platform").unwrap(), true).await.unwrap();
        vault.members().set_auditor(&Auditor::User(UserId::parse("audrey").unwrap()), true).await.unwrap();
        let project = NewProject {
            project: "demo".to_owned(),
            participants: vec!["acme".to_owned(), "globex".to_owned()],
            accountable: vec!["alice".to_owned()],
            status: ProjectStatus::Active,
        };
        vault.projects().register(&platform, project).await.unwrap();
        let milestone =
            NewMilestone { id: "demo-launch".to_owned(), project: "demo".to_owned(), phase: Phase::default() };
        vault.milestones().put(&platform, milestone).await.unwrap();
        for (person, role) in [("bob", Role::Responsible), ("carol", Role::Consulted), ("dave", Role::Informed)] {
            let change = RoleChange { project: "demo".to_owned(), user: person.to_owned(), role };
            vault.members().assign_role(&user("alice"), change).await.unwrap();
        }
        for (organization, agent, milestone) in [("acme", "builder", None), ("globex", "deployer", Some("demo-launch"))]
        {
            vault.members().register_agent(&platform, agent.to_owned(), organization.to_owned()).await.unwrap();
            vault
                .members()
                .register_runtime(&platform, format!("{organization}-runtime"), organization.to_owned())
                .await
                .unwrap();
            let change = AgentChange {
                project: "demo".to_owned(),
                agent: agent.to_owned(),
                milestone: milestone.map(ToOwned::to_owned),
            };
            vault.members().assign_agent(&user("alice"), change).await.unwrap();
        }
    }

    /// The project of the demo.
    pub fn project() -> ProjectId {
        ProjectId::parse("demo").unwrap()
    }

    /// The milestone of the demo.
    pub fn milestone() -> MilestoneId {
        MilestoneId::parse("demo-launch").unwrap()
    }
}
