//! The operations that a vault spends most of its time on, with the data they need.

use super::{World, new_project, runtime, service, user};
use async_graphql::Variables;
use project_vault::domain::Category;
use project_vault::graphql::{Api, Call};
use project_vault::vault::{AgentChange, Caller, Import, OnConflict};
use serde_json::{Value, json};

const RESOLVE: &str =
    "query($i: ResolveSecretsInput!) { resolveSecrets(input: $i) { secrets { name outcome value } } }";
const PAGE: &str = "query($p: ID!) { projectVault(projectId: $p) { entries(first: 50) {
    nodes { id name category scope status expiresAt version maskedValue updatedAt } pageInfo { hasNextPage endCursor }
} } }";
const ENTITIES: &str = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { id vault {
    status entries(first: 5) { nodes { id name maskedValue } }
} } } }";

/// The entries of project demo, a full page and more.
const DEMO_ENTRIES: usize = 60;
/// The entries of project p0: what a session starts with.
const SESSION_ENTRIES: usize = 20;
/// The entries of every other project.
const FEW_ENTRIES: usize = 6;

/// A hot operation.
pub struct Hot {
    /// Its name in tables.
    pub name: &'static str,
    caller: Caller,
    document: &'static str,
    variables: Value,
    /// Where in `data` its list is, and how many items it has.
    answers: (&'static str, usize),
}

/// The hot operations, on projects p0 to p`projects`.
pub fn hot(projects: &[usize]) -> Vec<Hot> {
    let resolve = |project: &str, names: Value, purpose: &str| json!({ "i": { "projectId": project, "agentId": "builder", "names": names, "purpose": purpose } });
    let mut all = vec![
        Hot {
            name: "resolve of 1",
            caller: runtime("acme-runtime"),
            document: RESOLVE,
            variables: resolve("demo", json!(["NAME_7"]), "TOOL_EXECUTION"),
            answers: ("/resolveSecrets/secrets", 1),
        },
        Hot {
            name: "resolve of 20",
            caller: runtime("acme-runtime"),
            document: RESOLVE,
            variables: resolve("p0", Value::Null, "CODING_SESSION"),
            answers: ("/resolveSecrets/secrets", SESSION_ENTRIES),
        },
        Hot {
            name: "page of 50",
            caller: user("carol"),
            document: PAGE,
            variables: json!({ "p": "demo" }),
            answers: ("/projectVault/entries/nodes", 50),
        },
    ];
    for &count in projects {
        let representations: Vec<Value> =
            (0..count).map(|n| json!({ "__typename": "Project", "id": format!("p{n}") })).collect();
        all.push(Hot {
            name: match count {
                20 => "entities of 20",
                100 => "entities of 100",
                _ => unreachable!("no table has a row for {count} projects"),
            },
            caller: user("dave"),
            document: ENTITIES,
            variables: json!({ "r": representations }),
            answers: ("/_entities", count),
        });
    }
    all
}

impl Hot {
    /// Asks as the HTTP layer does, without HTTP. Gives the answer's bytes.
    pub async fn ask(&self, api: &Api) -> Vec<u8> {
        let operation = api.inspect(self.document, None, true).expect("a document");
        let variables = Variables::from_json(self.variables.clone());
        let (caller, request_id) = (Some(self.caller.clone()), self.caller.request_id.clone());
        let response = api.execute(Call { caller, request_id, operation, variables, traced: false }).await;
        serde_json::to_vec(&response).expect("JSON")
    }

    /// Checks that an answer holds everything that was asked for.
    pub fn check(&self, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).expect("JSON");
        assert!(answer["errors"].is_null(), "{}: {answer:#}", self.name);
        let list = answer["data"].pointer(self.answers.0).and_then(Value::as_array).expect("a list");
        assert_eq!(list.len(), self.answers.1, "{}", self.name);
        for item in list {
            let complete = item["value"].is_string()
                || item["maskedValue"].is_string()
                || item["vault"]["entries"]["nodes"].as_array().is_some_and(|nodes| nodes.len() == 5);
            assert!(complete, "{}: {item:#}", self.name);
        }
    }
}

impl World {
    /// Adds the demo and `projects` more, with what the hot operations read.
    pub async fn hot(&self, projects: usize) {
        self.demo().await;
        self.import("demo", "bob", DEMO_ENTRIES).await;
        for n in 0..projects {
            let project = format!("p{n}");
            self.vault.projects().register(&service("platform"), new_project(&project, "dave")).await.unwrap();
            self.import(&project, "dave", if n == 0 { SESSION_ENTRIES } else { FEW_ENTRIES }).await;
        }
        let change = AgentChange { project: "p0".to_owned(), agent: "builder".to_owned(), milestone: None };
        self.vault.members().assign_agent(&user("dave"), change).await.unwrap();
    }

    async fn import(&self, project: &str, by: &str, entries: usize) {
        let lines: String = (0..entries).map(|n| format!("NAME_{n}=value number {n} of many\n")).collect();
        let import = Import {
            project: project.to_owned(),
            milestone: None,
            dotenv: lines.into(),
            category: Category::Secret,
            on_conflict: OnConflict::Fail,
        };
        self.vault.entries().import(&user(by), import).await.unwrap();
    }
}
