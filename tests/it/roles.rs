//! The table of `product.md`, section 2: every root field and every field of the vault's own
//! objects, for every kind of caller.

use crate::support::{Answer, World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{TypeKind, TypeSystemDefinition};
use project_vault::domain::{Category, EnvironmentNames};
use project_vault::vault::{AgentQuestion, Caller, EnvironmentChange, NewEntry, NewMilestone, NewProject, RoleChange};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The columns: a stranger (Accountable elsewhere), Informed, Consulted, Responsible, Accountable,
/// an auditor, the platform's service, the runtime of the agent's organization, and another
/// organization's.
fn callers() -> [Caller; 9] {
    [
        user("mallory"),
        user("dave"),
        user("carol"),
        user("bob"),
        user("alice"),
        user("audrey"),
        service("platform"),
        runtime("acme-runtime"),
        runtime("globex-runtime"),
    ]
}

/// `y` answered, `0` null without an error, `F` null with FORBIDDEN, `N` NOT_FOUND in userErrors.
const SEEN: &str = "0yyyyyy00";
const LISTED: &str = "0yyyy0000";
const LISTED_IN_VAULT: &str = "0yyyyFF00";
const MASKED: &str = "0Fyyy0000";
const ALL: &str = "yyyyyyyyy";
const WRITES: &str = "NFFyyFFNN";
const ADMINISTERS: &str = "NFFFyFFNN";
const REVIVES: &str = "NNNNyNNNN";
const MANAGES: &str = "NFFFyFyNN";
const PLATFORM: &str = "FFFFFFyFF";

/// A field, where it stands in the answer, a document that selects it, and who is answered what.
type Row = (&'static str, &'static str, &'static str, &'static str);

const QUERIES: &[Row] = &[
    ("Query.projectVault", "/projectVault", "{ projectVault(projectId: \"demo\") { status } }", SEEN),
    ("Query.vaultEntry", "/vaultEntry", "query($e: ID!) { vaultEntry(id: $e) { id } }", LISTED),
    ("Query.vaultAuditEvents", "/vaultAuditEvents", "{ vaultAuditEvents(first: 1) { nodes { id } } }", "FFFFFyFFF"),
    ("Query.vaultProjects", "/vaultProjects", "{ vaultProjects { nodes { status } } }", "yyyyyyFFF"),
    ("Query.vaultInstallation", "/vaultInstallation", "{ vaultInstallation { version } }", "FFFFFyFFF"),
    (
        "Query.previewSecrets",
        "/previewSecrets",
        "{ previewSecrets(input: { projectId: \"demo\", agentId: \"builder\" }) { secrets { name } } }",
        "FFFyyFFyF",
    ),
    (
        "Query.resolveSecrets",
        "/resolveSecrets",
        "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION }) { secrets { name } } }",
        "FFFFFFFyF",
    ),
    ("Project.id", "/_entities/0/id", PROJECT_ID, ALL),
    ("Project.vault", "/_entities/0/vault", PROJECT_VAULT, SEEN),
    ("Milestone.id", "/_entities/0/id", MILESTONE_ID, ALL),
    ("Milestone.vaultEntries", "/_entities/0/vaultEntries", MILESTONE_ENTRIES, LISTED_IN_VAULT),
    ("Milestone.vaultPhase", "/_entities/0/vaultPhase", MILESTONE_PHASE, LISTED_IN_VAULT),
    ("ProjectVault.project", "project", "{ id }", SEEN),
    ("ProjectVault.status", "status", "", SEEN),
    ("ProjectVault.environmentNames", "environmentNames", "", SEEN),
    ("ProjectVault.approvedNames", "approvedNames", "", LISTED_IN_VAULT),
    ("ProjectVault.viewer", "viewer", "{ role }", SEEN),
    ("ProjectVault.summary", "summary", "{ active leftOutOfSessions }", LISTED_IN_VAULT),
    ("ProjectVault.entries", "entries", "{ totalCount nodes { name } }", LISTED_IN_VAULT),
    ("ProjectVault.entry", "entry", "(name: \"TOKEN\") { name }", LISTED_IN_VAULT),
    ("ProjectVault.milestones", "milestones", "{ id }", SEEN),
    ("ProjectVault.participants", "participants", "{ id }", SEEN),
    ("ProjectVault.agents", "agents", "{ agent { id } }", "0FFyyFy00"),
    ("ProjectVault.members", "members", "{ role }", "0FFFyFy00"),
    ("ProjectVault.auditEvents", "auditEvents", "{ nodes { id } }", "0FFFyyF00"),
    ("VaultViewer.role", "viewer", "{ role }", SEEN),
    ("VaultViewer.canList", "viewer", "{ canList }", SEEN),
    ("VaultViewer.canViewMasked", "viewer", "{ canViewMasked }", SEEN),
    ("VaultViewer.canWrite", "viewer", "{ canWrite }", SEEN),
    ("VaultViewer.canAdminister", "viewer", "{ canAdminister }", SEEN),
    ("VaultViewer.canAudit", "viewer", "{ canAudit }", SEEN),
    ("VaultEntry.id", "id", "", LISTED),
    ("VaultEntry.project", "project", "{ id }", LISTED),
    ("VaultEntry.name", "name", "", LISTED),
    ("VaultEntry.description", "description", "", LISTED),
    ("VaultEntry.category", "category", "", LISTED),
    ("VaultEntry.scope", "scope", "", LISTED),
    ("VaultEntry.milestone", "milestone", "{ id }", LISTED),
    ("VaultEntry.status", "status", "", LISTED),
    ("VaultEntry.expiresAt", "expiresAt", "", LISTED),
    ("VaultEntry.version", "version", "", LISTED),
    ("VaultEntry.revision", "revision", "", LISTED),
    ("VaultEntry.rotationIntervalDays", "rotationIntervalDays", "", LISTED),
    ("VaultEntry.rotationDueAt", "rotationDueAt", "", LISTED),
    ("VaultEntry.createdAt", "createdAt", "", LISTED),
    ("VaultEntry.createdBy", "createdBy", "{ id }", LISTED),
    ("VaultEntry.updatedAt", "updatedAt", "", LISTED),
    ("VaultEntry.updatedBy", "updatedBy", "{ id }", LISTED),
    ("VaultEntry.maskedValue", "maskedValue", "", MASKED),
    ("VaultEntry.versions", "versions", "{ nodes { maskedValue } }", MASKED),
    ("VaultEntry.lastResolvedAt", "lastResolvedAt", "", MASKED),
    ("VaultEntry.resolveCount", "resolveCount", "", MASKED),
    ("VaultEntry.certificate", "certificate", "{ subject }", LISTED),
    ("VaultEntry.leftOutOfSessions", "leftOutOfSessions", "", LISTED),
    ("VaultEntry.exposures", "exposures", "{ agent { id } since lastReceivedAt }", "0FFFy0000"),
];

const PROJECT_ID: &str =
    "{ _entities(representations: [{ __typename: \"Project\", id: \"demo\" }]) { ... on Project { id } } }";
const PROJECT_VAULT: &str = "{ _entities(representations: [{ __typename: \"Project\", id: \"demo\" }]) { ... on Project { vault { status } } } }";
const MILESTONE_ID: &str =
    "{ _entities(representations: [{ __typename: \"Milestone\", id: \"demo-launch\" }]) { ... on Milestone { id } } }";
const MILESTONE_ENTRIES: &str = "{ _entities(representations: [{ __typename: \"Milestone\", id: \"demo-launch\" }]) \
    { ... on Milestone { vaultEntries { nodes { id } } } } }";
const MILESTONE_PHASE: &str = "{ _entities(representations: [{ __typename: \"Milestone\", id: \"demo-launch\" }]) \
    { ... on Milestone { vaultPhase { open } } } }";

/// A mutation, its argument, and who is answered what. `$e` is an entry, `$d` a deleted one, `$m` a
/// milestone, `$p` a project and `$x` an id that nobody uses: all made for the one call.
const MUTATIONS: &[(&str, &str, &str)] = &[
    ("createVaultEntry", "input: { projectId: \"demo\", name: $n, value: \"v\", category: SECRET }", WRITES),
    ("updateVaultEntry", "input: { id: $e, description: \"other\" }", WRITES),
    ("rotateVaultEntry", "input: { id: $e, value: \"w\" }", WRITES),
    ("rollbackVaultEntry", "input: { id: $e, version: 1 }", WRITES),
    ("disableVaultEntry", "id: $e", WRITES),
    ("enableVaultEntry", "id: $e", WRITES),
    ("deleteVaultEntry", "id: $e", ADMINISTERS),
    ("restoreVaultEntry", "id: $d", REVIVES),
    ("purgeVaultEntry", "id: $d", REVIVES),
    ("importVaultEntries", "input: { projectId: \"demo\", dotenv: $t }", WRITES),
    ("previewVaultImport", "input: { projectId: \"demo\", dotenv: $t }", WRITES),
    ("setVaultEnvironmentNames", "input: { projectId: \"demo\", environmentNames: ANY }", ADMINISTERS),
    ("assignVaultRole", "input: { projectId: \"demo\", userId: $x, role: INFORMED }", MANAGES),
    ("revokeVaultRole", "input: { projectId: \"demo\", userId: $x, role: INFORMED }", MANAGES),
    ("assignVaultAgent", "input: { projectId: \"demo\", agentId: \"builder\" }", MANAGES),
    ("unassignVaultAgent", "input: { projectId: \"demo\", agentId: $x }", MANAGES),
    ("closeVaultMilestone", "id: $m", MANAGES),
    (
        "registerProjectVault",
        "input: { projectId: $x, participantIds: [\"acme\"], accountableUserIds: [\"zoe\"] }",
        PLATFORM,
    ),
    ("setProjectVaultStatus", "input: { projectId: $p, status: PAUSED }", PLATFORM),
    ("deleteProjectVault", "projectId: $p", PLATFORM),
    ("addVaultParticipant", "input: { projectId: $p, organizationId: \"initech\" }", PLATFORM),
    ("removeVaultParticipant", "input: { projectId: $p, organizationId: \"acme\" }", PLATFORM),
    ("putVaultMilestone", "input: { projectId: $p, id: $x }", PLATFORM),
    ("deleteVaultMilestone", "id: $m", PLATFORM),
    ("registerVaultAgent", "input: { agentId: $x, organizationId: \"acme\" }", PLATFORM),
    ("unregisterVaultAgent", "agentId: $x", PLATFORM),
    ("registerVaultRuntime", "input: { runtimeId: $x, organizationId: \"acme\" }", PLATFORM),
    ("unregisterVaultRuntime", "runtimeId: $x", PLATFORM),
];

#[test]
fn the_table_names_every_field() {
    let sdl = project_vault::graphql::sdl();
    let mut fields = BTreeSet::new();
    for definition in parse_schema(&sdl).unwrap().definitions {
        let TypeSystemDefinition::Type(definition) = definition else { continue };
        let TypeKind::Object(object) = definition.node.kind else { continue };
        let name = definition.node.name.node;
        let covered = ["Query", "Mutation", "Project", "Milestone", "ProjectVault", "VaultViewer", "VaultEntry"];
        if covered.contains(&name.as_str()) {
            fields.extend(object.fields.iter().map(|field| format!("{name}.{}", field.node.name.node)));
        }
    }
    let mut table: BTreeSet<String> = QUERIES.iter().map(|(field, ..)| (*field).to_owned()).collect();
    table.extend(MUTATIONS.iter().map(|(mutation, ..)| format!("Mutation.{mutation}")));
    table.extend(["Query._entities".to_owned(), "Query._service".to_owned()]);
    fields.extend(["Query._entities".to_owned(), "Query._service".to_owned()]);
    assert_eq!(fields, table);
}

#[test]
fn without_a_token_no_field_of_the_table_is_for_anybody() {
    let documents = QUERIES.iter().map(document).chain(MUTATIONS.iter().map(mutation));
    for document in documents {
        let inspected = project_vault::graphql::inspect(&document, None).unwrap();
        assert!(!inspected.anonymous_only, "{document}");
    }
}

fn document(&(field, at, selection, _): &Row) -> String {
    if at.starts_with('/') {
        selection.to_owned()
    } else if field.starts_with("VaultEntry.") {
        format!(
            "query($e: ID!) {{ _entities(representations: [{{ __typename: \"VaultEntry\", id: $e }}]) \
             {{ ... on VaultEntry {{ {at} {selection} }} }} }}"
        )
    } else {
        format!("{{ projectVault(projectId: \"demo\") {{ {at} {selection} }} }}")
    }
}

fn pointer(&(field, at, ..): &Row) -> String {
    if at.starts_with('/') {
        at.to_owned()
    } else if field.starts_with("VaultEntry.") {
        format!("/_entities/0/{at}")
    } else {
        format!("/projectVault/{at}")
    }
}

fn mutation(&(name, arguments, _): &(&str, &str, &str)) -> String {
    let types =
        [('n', "String!"), ('t', "String!"), ('e', "ID!"), ('d', "ID!"), ('m', "ID!"), ('p', "ID!"), ('x', "ID!")];
    let used: Vec<String> = types
        .iter()
        .filter(|(variable, _)| arguments.contains(&format!("${variable}")))
        .map(|(variable, of)| format!("${variable}: {of}"))
        .collect();
    let variables = if used.is_empty() { String::new() } else { format!("({})", used.join(", ")) };
    format!("mutation{variables} {{ {name}({arguments}) {{ userErrors {{ code message }} }} }}")
}

/// What somebody was answered, in the letters of the table.
fn letter(answer: &Answer, pointer: &str) -> char {
    let code = answer.codes();
    match (code.as_slice(), answer.at(pointer)) {
        ([], Value::Null) => '0',
        ([], payload) => match payload["userErrors"].as_array().map(Vec::as_slice) {
            None | Some([]) => 'y',
            Some([error]) if error["code"] == "NOT_FOUND" => 'N',
            Some(_) => '?',
        },
        (["FORBIDDEN"], Value::Null) => {
            let path: String = answer.errors()[0]["path"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|part| format!("/{}", part.as_str().map_or_else(|| part.to_string(), ToOwned::to_owned)))
                .collect();
            if path == pointer { 'F' } else { '?' }
        }
        _ => '?',
    }
}

/// A certificate with everything set, in the milestone.
async fn full_entry(world: &World) -> String {
    let new = NewEntry {
        category: Category::Certificate,
        description: Some("for the launch".to_owned()),
        milestone: Some("demo-launch".to_owned()),
        rotation_interval_days: Some(30),
        ..entry("CERTIFICATE", include_str!("../vectors/certificate.pem"))
    };
    let id = world.vault.entries().create(&user("alice"), new).await.unwrap().id.to_string();
    let question =
        AgentQuestion { milestone: Some("demo-launch".to_owned()), ..agent_asks("deployer", &["CERTIFICATE"]) };
    world.vault.agents().resolve(&runtime("globex-runtime"), tool_asks(question)).await.unwrap();
    id
}

async fn elsewhere(world: &World) {
    let project = new_project("other", "mallory");
    world.vault.projects().register(&service("platform"), project).await.unwrap();
}

both! {
    async fn every_field_answers_every_kind_of_caller_as_the_table_says(world: World) {
        world.demo().await;
        elsewhere(&world).await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "sk-live-0123456789abc")).await.unwrap();
        let id = full_entry(&world).await;
        // CERTIFICATE reaches no session then.
        let suffixed = EnvironmentChange {
            project: "demo".to_owned(),
            names: EnvironmentNames::Suffixed,
            approved: None,
        };
        world.vault.entries().set_environment_names(&user("alice"), suffixed).await.unwrap();
        let mut wrong = Vec::new();
        for row in QUERIES {
            let mut letters = String::new();
            for caller in callers() {
                let document = document(row);
                let variables = if document.contains("$e") { json!({ "e": id }) } else { json!({}) };
                letters.push(letter(&world.ask(&caller, &document, variables).await, &pointer(row)));
            }
            let (field, _, _, expected) = row;
            if letters != *expected {
                wrong.push(format!("{field}: {letters}, but the table says {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    async fn every_mutation_answers_every_kind_of_caller_as_the_table_says(world: World) {
        world.demo().await;
        elsewhere(&world).await;
        let mut wrong = Vec::new();
        let mut count = 0;
        for row in MUTATIONS {
            let (name, arguments, expected) = row;
            let mut letters = String::new();
            for caller in callers() {
                count += 1;
                let variables = prepare(&world, count, arguments, name).await;
                letters.push(letter(&world.ask(&caller, &mutation(row), variables).await, &format!("/{name}")));
            }
            if letters != *expected {
                wrong.push(format!("{name}: {letters}, but the table says {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Makes what one call is about, so that no call sees what another did.
async fn prepare(world: &World, count: u32, arguments: &str, name: &str) -> Value {
    let (vault, alice, platform) = (&world.vault, user("alice"), service("platform"));
    let mut variables = json!({});
    if arguments.contains("$n") {
        variables["n"] = format!("NEW_{count}").into();
    }
    if arguments.contains("$t") {
        variables["t"] = format!("IMPORTED_{count}=v").into();
    }
    if arguments.contains("$x") {
        let id = format!("x-{count}");
        if name == "revokeVaultRole" {
            let change = RoleChange {
                project: "demo".to_owned(),
                user: id.clone(),
                role: project_vault::domain::Role::Informed,
            };
            vault.members().assign_role(&alice, change).await.unwrap();
        }
        variables["x"] = id.into();
    }
    if arguments.contains("$e") || arguments.contains("$d") {
        let made = vault.entries().create(&alice, entry(&format!("ENTRY_{count}"), "v")).await.unwrap();
        if name == "rollbackVaultEntry" {
            let rotation = project_vault::vault::Rotation {
                id: made.id.to_string(),
                value: "w".into(),
                expires_at: project_vault::vault::Change::Keep,
                expected_revision: None,
            };
            vault.entries().rotate(&alice, rotation).await.unwrap();
        }
        if arguments.contains("$d") {
            vault.entries().delete(&alice, made.id.to_string()).await.unwrap();
        }
        variables[if arguments.contains("$d") { "d" } else { "e" }] = made.id.to_string().into();
    }
    if arguments.contains("$m") {
        let id = format!("m-{count}");
        let milestone =
            NewMilestone { id: id.clone(), project: "demo".to_owned(), phase: project_vault::domain::Phase::default() };
        vault.milestones().put(&platform, milestone).await.unwrap();
        variables["m"] = id.into();
    }
    if arguments.contains("$p") {
        let id = format!("p-{count}");
        let project = NewProject {
            project: id.clone(),
            participants: vec!["acme".to_owned(), "globex".to_owned()],
            accountable: vec!["zoe".to_owned()],
            status: project_vault::domain::ProjectStatus::Active,
        };
        vault.projects().register(&platform, project).await.unwrap();
        variables["p"] = id.into();
    }
    variables
}
