//! The demo data: two organizations on one project, people in every role, and made-up credentials.
//! It is created through the vault's own operations, as the principals that may perform them. Each
//! step can be repeated, so the next start completes one that was interrupted.

use crate::domain::{
    Category, Clock as _, EntryStatus, Error, Phase, Principal, ProjectId, ProjectStatus, RequestId, Result, Role,
    ServiceId, SystemClock, UserId,
};
use crate::http::dashboard::Person;
use crate::permission::CanList;
use crate::permission::Permission;
use crate::vault::{
    AgentChange, Auditor, Caller, Change, Entry, EntryChanges, NewEntry, NewMilestone, NewProject, RoleChange, Vault,
};

const PROJECT: &str = "demo";
const MILESTONE: &str = "demo-launch";
const PLATFORM: &str = "platform";
const ALICE: &str = "alice";
const AUDREY: &str = "audrey";
/// The setting that is stored once the demo is complete, so that its deleted entries stay deleted.
const SEEDED: &str = "demo";

const ROLES: [(&str, Role); 4] =
    [(ALICE, Role::Accountable), ("bob", Role::Responsible), ("carol", Role::Consulted), ("dave", Role::Informed)];
const AGENTS: [(&str, &str, Option<&str>); 2] = [("builder", "acme", None), ("deployer", "globex", Some(MILESTONE))];
const RUNTIMES: [(&str, &str); 2] = [("acme-runtime", "acme"), ("globex-runtime", "globex")];

/// An entry of the demo. The values are made up, and have no format that scanners for leaked keys
/// recognize.
struct Demo {
    name: &'static str,
    category: Category,
    value: &'static str,
    description: &'static str,
    milestone: Option<&'static str>,
}

const ENTRIES: [Demo; 4] = [
    Demo {
        name: "GITHUB_TOKEN",
        category: Category::AccessToken,
        value: "gh-demo-7Qm2xVt9Lw4Zr8Kd1Bn6Hs3Y",
        description: "Reads and writes the project's repositories.",
        milestone: None,
    },
    Demo {
        name: "STRIPE_API_KEY",
        category: Category::ApiKey,
        value: "sk-demo-51Nf0Rb7Xc2Wq9Tz4Gm8Jp6Ke",
        description: "The payment provider's test mode.",
        milestone: None,
    },
    Demo {
        name: "WEBHOOK_SECRET",
        category: Category::WebhookSecret,
        value: "wh-demo-c3f81e5a9d7042b6",
        description: "Signs what is sent to the build's webhook.",
        milestone: None,
    },
    Demo {
        name: "DEPLOY_TOKEN",
        category: Category::AccessToken,
        value: "dt-demo-Vb5Ks0Yx8Rn3Qe7Mj2Fw",
        description: "Deploys to production, for the launch only.",
        milestone: Some(MILESTONE),
    },
];
const LEGACY: Demo = Demo {
    name: "LEGACY_API_KEY",
    category: Category::ApiKey,
    value: "lk-demo-2019-4d6e8a0c1b3f",
    description: "The old provider's key, which has run out.",
    milestone: None,
};

/// The people of the demo, and what each may do.
pub fn people() -> Vec<Person> {
    let members = ROLES.iter().map(|(id, role)| Person { id, about: about(*role) });
    members.chain([Person { id: AUDREY, about: "Auditor: reads every audit log" }]).collect()
}

const fn about(role: Role) -> &'static str {
    match role {
        Role::Accountable => "Accountable",
        Role::Responsible => "Responsible",
        Role::Consulted => "Consulted",
        Role::Informed => "Informed",
    }
}

/// Creates the demo in a vault, once.
///
/// # Errors
/// When the vault refuses a step; the next start continues there.
pub async fn seed(vault: &Vault) -> Result<()> {
    if vault.installation().setting(SEEDED).await?.is_some() {
        return Ok(());
    }
    let platform = ServiceId::parse(PLATFORM).map_err(Error::internal)?;
    vault.members().set_registrar(&platform, true).await?;
    let audrey = UserId::parse(AUDREY).map_err(Error::internal)?;
    vault.members().set_auditor(&Auditor::User(audrey), true).await?;
    seed_project(vault, &caller(Principal::Service(platform))).await?;
    let alice = caller(Principal::User(UserId::parse(ALICE).map_err(Error::internal)?));
    seed_members(vault, &alice).await?;
    for demo in ENTRIES {
        put(vault, &alice, &demo).await?;
    }
    let legacy = put(vault, &alice, &LEGACY).await?;
    if legacy.status != EntryStatus::Expired {
        // An update may expire an entry at once by a time that has passed; creating it may not.
        let expires_at = Change::Set(SystemClock.now());
        let changes = EntryChanges {
            id: legacy.id.to_string(),
            name: Change::Keep,
            description: Change::Keep,
            category: Change::Keep,
            expires_at,
            rotation_interval_days: Change::Keep,
            expected_revision: None,
        };
        vault.entries().update(&alice, changes).await?;
    }
    vault.installation().set_setting(SEEDED, "seeded").await
}

fn caller(principal: Principal) -> Caller {
    Caller { principal, request_id: RequestId::new() }
}

async fn seed_project(vault: &Vault, platform: &Caller) -> Result<()> {
    let project = NewProject {
        project: PROJECT.to_owned(),
        participants: vec!["acme".to_owned(), "globex".to_owned()],
        accountable: vec![ALICE.to_owned()],
        status: ProjectStatus::Active,
    };
    match vault.projects().register(platform, project).await {
        // An interrupted start has registered it.
        Ok(_) | Err(Error::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let phase = Phase { opens_at: None, closes_at: None };
    let milestone = NewMilestone { id: MILESTONE.to_owned(), project: PROJECT.to_owned(), phase };
    vault.milestones().put(platform, milestone).await?;
    for (agent, organization, _) in AGENTS {
        vault.members().register_agent(platform, agent.to_owned(), organization.to_owned()).await?;
    }
    for (runtime, organization) in RUNTIMES {
        vault.members().register_runtime(platform, runtime.to_owned(), organization.to_owned()).await?;
    }
    Ok(())
}

async fn seed_members(vault: &Vault, alice: &Caller) -> Result<()> {
    for (user, role) in ROLES {
        vault
            .members()
            .assign_role(alice, RoleChange { project: PROJECT.to_owned(), user: user.to_owned(), role })
            .await?;
    }
    for (agent, _, milestone) in AGENTS {
        let milestone = milestone.map(str::to_owned);
        let change = AgentChange { project: PROJECT.to_owned(), agent: agent.to_owned(), milestone };
        vault.members().assign_agent(alice, change).await?;
    }
    Ok(())
}

/// The entry of this name, created if there is none.
async fn put(vault: &Vault, alice: &Caller, demo: &Demo) -> Result<Entry> {
    let ask = (Some(ProjectId::parse(PROJECT).map_err(Error::internal)?), Permission::CanList);
    let held = vault.access().decide(alice, std::slice::from_ref(&ask)).await?;
    let may_list = held
        .get(&ask)
        .and_then(|access| access.decision.authorize::<CanList>())
        .ok_or(Error::Forbidden("The demo's project is not alice's any more; start with --no-demo."))?;
    if let Some(entry) = vault.entries().by_name(&may_list, demo.name, demo.milestone).await? {
        return Ok(entry);
    }
    let new = NewEntry {
        project: PROJECT.to_owned(),
        name: demo.name.to_owned(),
        value: demo.value.into(),
        category: demo.category,
        description: Some(demo.description.to_owned()),
        milestone: demo.milestone.map(str::to_owned),
        expires_at: None,
        rotation_interval_days: None,
    };
    vault.entries().create(alice, new).await
}
