//! What the hot operations cost: statements, authorizer batches, commits and query plans, and for
//! `scripts/cost` instructions.

use crate::support::{Backend, Hot, Sent, World, hot};
use project_vault::graphql::Api;
use std::collections::BTreeSet;

mod plans;

/// What one operation costs once its server is warm.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    operation: &'static str,
    /// Statements of the vault.
    statements: u64,
    /// Statements of the embedded authorizer.
    of_authorizer: u64,
    /// Batches that the authorizer was asked.
    batches: u64,
    commits: u64,
    /// Statements that are parsed and planned on every call, because diesel keeps none prepared.
    prepared: u64,
}

const fn cost(operation: &'static str, counts: [u64; 5]) -> Cost {
    let [statements, of_authorizer, batches, commits, prepared] = counts;
    Cost { operation, statements, of_authorizer, batches, commits, prepared }
}

/// The columns are those of [`Cost`].
fn expected(backend: Backend) -> [Cost; 5] {
    match backend {
        // An event is inserted by one execution of one statement.
        Backend::Sqlite => [
            cost("resolve of 1", [2, 0, 1, 1, 0]),
            cost("resolve of 20", [21, 0, 1, 1, 0]),
            cost("page of 50", [1, 0, 1, 0, 0]),
            cost("entities of 20", [1, 0, 1, 0, 0]),
            cost("entities of 100", [1, 0, 4, 0, 0]),
        ],
        Backend::Postgres => [
            cost("resolve of 1", [2, 0, 1, 1, 0]),
            cost("resolve of 20", [2, 0, 1, 1, 0]),
            cost("page of 50", [1, 0, 1, 0, 0]),
            cost("entities of 20", [1, 0, 1, 0, 0]),
            cost("entities of 100", [1, 0, 4, 0, 0]),
        ],
    }
}

/// Asks three times, so that everything that is remembered is known, and then counts.
async fn count(world: &World, api: &Api, hot: &Hot) -> (Cost, Vec<Sent>) {
    for _ in 0..3 {
        hot.check(&hot.ask(api).await);
    }
    let batches = world.batches();
    let (sent, answer) = world.watched(hot.ask(api)).await;
    hot.check(&answer);
    let number = |counts: &dyn Fn(&Sent) -> bool| sent.iter().filter(|one| counts(one)).count() as u64;
    let cost = Cost {
        operation: hot.name,
        statements: number(&|one| one.is_counted() && !one.is_of_authorizer()),
        of_authorizer: number(&|one| one.is_counted() && one.is_of_authorizer()),
        batches: world.batches() - batches,
        commits: number(&|one| one.is_commit),
        prepared: number(&|one| one.is_counted() && !one.is_kept),
    };
    (cost, sent)
}

both! {
    async fn a_hot_operation_costs_what_the_table_says(world: World) {
        world.hot(100).await;
        let api = world.api();
        let (mut found, mut prepared) = (Vec::new(), BTreeSet::new());
        for hot in &hot(&[20, 100]) {
            let (cost, sent) = count(&world, &api, hot).await;
            prepared.extend(sent.into_iter().filter(|one| one.is_counted() && !one.is_kept).map(|one| one.sql));
            found.push(cost);
        }
        assert_eq!(found, expected(world.backend), "prepared on every call:\n{prepared:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sqlite_plans_a_kept_statement_once_whatever_is_bound() {
    let world = World::new(Backend::Sqlite).await;
    let stable = world.number("SELECT sqlite_compileoption_used('ENABLE_QPSG') AS n").await;
    assert_eq!(stable, 1, "built without the flags of .cargo/config.toml");
}

/// Where `scripts/cost` divides its measurement: it dumps the counters whenever this is called.
#[inline(never)]
fn measurement_boundary() {
    std::hint::black_box(());
}

/// How often an operation is asked before it is measured, and while it is.
const WARM_UP: usize = 3;
const MEASURED: usize = 10;

/// Runs each hot operation for `scripts/cost`, which counts the instructions between two boundaries
/// and divides them by the number of asks. Prints the names in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "it measures nothing by itself: run scripts/cost"]
async fn instructions() {
    let world = World::new(Backend::Sqlite).await;
    world.hot(20).await;
    let api = Api::new(world.uncounted_server(), true);
    for hot in &hot(&[20]) {
        for _ in 0..WARM_UP {
            hot.check(&hot.ask(&api).await);
        }
        measurement_boundary();
        for _ in 0..MEASURED {
            std::hint::black_box(hot.ask(&api).await);
        }
        measurement_boundary();
        println!("measured {MEASURED} times: {}", hot.name);
    }
}
