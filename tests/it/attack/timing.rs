//! Attempts to tell hidden things from missing ones by the time an answer takes.

use crate::support::{Backend, World, ask, entry, in_time, runtime, service, user};
use project_vault::domain::{EntryId, ProjectStatus};
use project_vault::graphql::Api;
use project_vault::vault::{Caller, NewProject};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How many pairs of a hidden and a missing thing are told apart, and by how many timings of each;
/// fewer where the machine is so busy that they would take longer than `TIME`.
const PAIRS: usize = 14;
const CONTROLS: usize = 4;
const TIMINGS: usize = 50;
const TIME: Duration = Duration::from_secs(40);
/// How many standard deviations the timings of all pairs together may differ by: one run in 100,000
/// does by chance.
const BOUND: f64 = 4.5;

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

    /// How much longer the first of two things takes, timed one right after the other, in an order
    /// that changes.
    async fn difference(&self, api: &Api, (first, second): &(Value, Value), turn: usize) -> f64 {
        let (of_first, of_second) = if turn.is_multiple_of(2) {
            let of_first = self.time(api, first).await;
            (of_first, self.time(api, second).await)
        } else {
            let of_second = self.time(api, second).await;
            (self.time(api, first).await, of_second)
        };
        of_first.as_secs_f64() - of_second.as_secs_f64()
    }

    /// Tells hidden things from missing ones as an attacker would, and fails where that works; and
    /// where missing ones can be told from each other, which shows that the method is at fault.
    async fn fails(&self, world: &World, hidden: Vec<Value>, mut missing: impl FnMut() -> Value) {
        let api = world.api();
        let mut pairs: Vec<_> = (0..CONTROLS).map(|_| (missing(), missing())).collect();
        pairs.extend(hidden.into_iter().map(|hidden| (hidden, missing())));
        // What is done the first time only, such as recording the refusal.
        for (first, second) in &pairs {
            self.time(&api, first).await;
            self.time(&api, second).await;
        }
        let (began, mut differences) = (Instant::now(), vec![Vec::new(); pairs.len()]);
        for turn in 0..TIMINGS {
            for (pair, differences) in pairs.iter().zip(&mut differences) {
                differences.push(self.difference(&api, pair, turn).await);
            }
            if began.elapsed() > TIME {
                break;
            }
        }
        let (controls, pairs) = differences.split_at(CONTROLS);
        let (control, (distance, longer)) = (distance(controls).0, distance(pairs));
        println!("{distance:.1} deviations, hidden took longer in {longer} of {PAIRS} pairs; control {control:.1}");
        assert!(control.abs() < BOUND, "the method tells equal things apart: {control}");
        assert!(distance.abs() < BOUND, "hidden and missing differ by {distance} deviations");
        assert!((1..PAIRS).contains(&longer), "hidden took longer in {longer} of {PAIRS} pairs");
    }
}

/// How far the differences of pairs are from none, by Wilcoxon's signed ranks, in standard
/// deviations of their sum; and in how many pairs the first one took longer.
fn distance(pairs: &[Vec<f64>]) -> (f64, usize) {
    let (mut sum, mut variance, mut longer) = (0.0, 0.0, 0);
    for differences in pairs {
        let mut differences = differences.clone();
        differences.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let ranks = differences.iter().zip(1_u32..).map(|(difference, rank)| difference.signum() * f64::from(rank));
        let ranks: f64 = ranks.sum();
        sum += ranks;
        variance += (1_u32..).take(differences.len()).map(|rank| f64::from(rank).powi(2)).sum::<f64>();
        longer += usize::from(ranks > 0.0);
    }
    (sum / variance.sqrt(), longer)
}

#[test]
fn a_difference_that_shows_in_three_of_four_timings_is_found() {
    let pair =
        |longer: usize| (0..TIMINGS).map(|n| if n % 4 < longer { 1.0 } else { -1.0 } * (1.0 + n as f64)).collect();
    assert!(distance(&vec![pair(3); PAIRS]).0 > BOUND);
    assert!(distance(&vec![pair(2); PAIRS]).0.abs() < BOUND);
}

/// Entries that `mallory` may not see.
async fn entries(world: &World) -> Vec<Value> {
    let mut entries = Vec::new();
    for n in 0..PAIRS {
        let made = world.vault.entries().create(&user("bob"), entry(&format!("TOKEN_{n}"), "v")).await.unwrap();
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
        world.vault.projects().register(&service("platform"), project).await.unwrap();
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

/// How many bytes these refusals add to the write-ahead log.
async fn written(world: &World, person: &str, ids: &[Value]) -> usize {
    let path = format!("{}-wal", world.url().strip_prefix("sqlite:").unwrap());
    world.sql("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    for id in ids {
        let id = id.as_str().unwrap().to_owned();
        world.vault.entries().disable(&user(person), id).await.err().expect("refused");
    }
    usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_refusal_writes_as_much_for_what_is_missing_as_for_what_is_hidden() {
    in_time(Backend::Sqlite, async |world: World| {
        world.demo().await;
        let hidden = entries(&world).await;
        let missing: Vec<_> = (0..PAIRS).map(|_| json!(EntryId::new().to_string())).collect();
        // Chains are opened before, and the tables are no longer empty.
        written(&world, "mallet", &hidden).await;
        written(&world, "mallet", &missing).await;
        let of_hidden = written(&world, "mallory", &hidden).await;
        let of_missing = written(&world, "mallory", &missing).await;
        println!("{PAIRS} refusals write {of_hidden} bytes for what is hidden, {of_missing} for what is missing");
        // The table of decoys is smaller, so fewer of its pages are divided.
        assert!(of_hidden.abs_diff(of_missing) * 5 < of_hidden, "{of_hidden} and {of_missing}");
    })
    .await;
}
