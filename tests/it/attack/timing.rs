//! Hidden and missing things, told apart by the time that an answer takes.

use crate::support::{World, ask, entry, runtime, service, user};
use project_vault::domain::{EntryId, ProjectStatus};
use project_vault::graphql::Api;
use project_vault::vault::{Caller, NewProject};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How many pairs of a hidden and a missing thing are told apart, and by how many timings of each.
const PAIRS: usize = 14;
const TIMINGS: usize = 25;
/// How many standard deviations the timings of all pairs together may differ by: one run in a million does by chance.
const BOUND: f64 = 5.0;

/// One way to ask about a thing.
struct Attack {
    caller: Caller,
    document: &'static str,
}

impl Attack {
    async fn time(&self, api: &Api, id: &Value) -> Duration {
        let variables = json!({ "id": id });
        let began = Instant::now();
        let answer = ask(api, &self.caller, self.document, variables).await;
        let time = began.elapsed();
        assert_ne!(answer.0, Value::Null);
        time
    }

    /// Wilcoxon's signed ranks of the differences between the timings of two things, each pair of which is taken one right after
    /// the other, in changing order: their sum, and its standard deviation were there no difference.
    async fn compare(&self, api: &Api, first: &Value, second: &Value) -> (f64, f64) {
        // What is done the first time only, such as recording the refusal.
        self.time(api, first).await;
        self.time(api, second).await;
        let mut differences = Vec::new();
        for n in 0..TIMINGS {
            let (of_first, of_second) = if n % 2 == 0 {
                let of_first = self.time(api, first).await;
                (of_first, self.time(api, second).await)
            } else {
                let of_second = self.time(api, second).await;
                (self.time(api, first).await, of_second)
            };
            differences.push(of_first.as_secs_f64() - of_second.as_secs_f64());
        }
        differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let ranks = differences.iter().zip(1_u32..).map(|(difference, rank)| difference.signum() * f64::from(rank));
        let squares = (1..).take(TIMINGS).map(|rank: u32| f64::from(rank).powi(2));
        (ranks.sum(), squares.sum::<f64>().sqrt())
    }

    /// How far apart two lists of things are, in standard deviations; and for how many pairs the first one took longer.
    async fn distance(&self, api: &Api, pairs: &[(Value, Value)]) -> (f64, usize) {
        let (mut sum, mut variance, mut longer) = (0.0, 0.0, 0);
        for (first, second) in pairs {
            let (ranks, deviation) = self.compare(api, first, second).await;
            sum += ranks;
            variance += deviation * deviation;
            longer += usize::from(ranks > 0.0);
        }
        (sum / variance.sqrt(), longer)
    }

    /// Tells hidden things from missing ones as an attacker would, and fails where that works; and where missing ones can be
    /// told from each other, which shows that the method is at fault.
    async fn fails(&self, world: &World, hidden: Vec<Value>, mut missing: impl FnMut() -> Value) {
        let api = world.api();
        let control: Vec<_> = (0..2).map(|_| (missing(), missing())).collect();
        let (control, _) = self.distance(&api, &control).await;
        let pairs: Vec<_> = hidden.into_iter().map(|hidden| (hidden, missing())).collect();
        let (distance, longer) = self.distance(&api, &pairs).await;
        println!(
            "{distance:.1} deviations, hidden took longer in {longer} of {} pairs; control {control:.1}",
            pairs.len()
        );
        assert!(control.abs() < BOUND, "the method tells equal things apart: {control}");
        assert!(distance.abs() < BOUND, "hidden and missing differ by {distance} deviations");
        assert!((1..pairs.len()).contains(&longer), "hidden took longer in {longer} of {} pairs", pairs.len());
    }
}

/// Entries that `mallory` may not see.
async fn entries(world: &World) -> Vec<Value> {
    let mut entries = Vec::new();
    for n in 0..PAIRS {
        let made = world.vault.create_entry(&user("bob"), entry(&format!("TOKEN_{n}"), "v")).await.unwrap();
        entries.push(json!(made.id.to_string()));
    }
    entries
}

/// Projects that nobody may see but `dave`.
async fn projects(world: &World) -> Vec<Value> {
    let mut projects = Vec::new();
    for n in 0..PAIRS {
        let project = NewProject {
            project: format!("hidden-{n}"),
            participants: vec!["acme".to_owned(), "globex".to_owned()],
            accountable: vec!["dave".to_owned()],
            status: ProjectStatus::Active,
        };
        world.vault.register_project(&service("platform"), project).await.unwrap();
        projects.push(json!(format!("hidden-{n}")));
    }
    projects
}

/// Ids of projects that do not exist, of the same length.
fn no_projects() -> impl FnMut() -> Value {
    let mut ids = 0..;
    move || json!(format!("absent-{}", ids.next().unwrap_or(0)))
}

both! {
    async fn reading_an_entry_takes_as_long_whether_it_is_hidden_or_missing(world: World) {
        world.demo().await;
        let document = "query($id: ID!) { vaultEntry(id: $id) { name maskedValue } }";
        let attack = Attack { caller: user("mallory"), document };
        attack.fails(&world, entries(&world).await, || json!(EntryId::new().to_string())).await;
    }

    async fn changing_an_entry_takes_as_long_whether_it_is_hidden_or_missing(world: World) {
        world.demo().await;
        let document = "mutation($id: ID!) { disableVaultEntry(id: $id) { userErrors { code } } }";
        let attack = Attack { caller: user("mallory"), document };
        attack.fails(&world, entries(&world).await, || json!(EntryId::new().to_string())).await;
    }

    async fn reading_a_project_takes_as_long_whether_it_is_hidden_or_missing(world: World) {
        world.demo().await;
        let document = "query($id: ID!) { _entities(representations: [{ __typename: \"Project\", id: $id }]) {
            ... on Project { vault { status } } } }";
        let attack = Attack { caller: user("mallory"), document };
        attack.fails(&world, projects(&world).await, no_projects()).await;
    }

    async fn a_resolve_is_refused_as_fast_whether_its_project_is_hidden_or_missing(world: World) {
        world.demo().await;
        let document = "query($id: ID!) { resolveSecrets(input: { projectId: $id, agentId: \"builder\",
            purpose: TOOL_EXECUTION }) { requestId } }";
        let attack = Attack { caller: runtime("acme-runtime"), document };
        attack.fails(&world, projects(&world).await, no_projects()).await;
    }
}
