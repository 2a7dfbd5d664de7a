//! Drives OpenFGA over gRPC for `scripts/bench`, with the two checks that a resolve asks.
//!
//! `raw_openfga URL STORE MODEL RUNTIME CONNECTIONS SECONDS FILE`; each line of the file names an
//! agent and a project. One batch is in flight on each connection. Prints the batches that were
//! allowed, those that were not, the seconds, and the latencies' median and 99th percentile in
//! microseconds.

use openfga_client::client::{
    BatchCheckItem, BatchCheckRequest, CheckRequestTupleKey, ConsistencyPreference, OpenFgaServiceClient,
    batch_check_single_result::CheckResult,
};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

type Failure = Box<dyn Error + Send + Sync>;

struct Questions {
    store: String,
    model: String,
    runtime: String,
    agents_and_projects: Vec<(String, String)>,
}

impl Questions {
    fn batch(&self, number: usize) -> BatchCheckRequest {
        let (agent, project) = &self.agents_and_projects[number % self.agents_and_projects.len()];
        let item = |id: &str, relation: &str, object: String| BatchCheckItem {
            tuple_key: Some(CheckRequestTupleKey {
                user: format!("agent:{agent}"),
                relation: relation.to_owned(),
                object,
            }),
            correlation_id: id.to_owned(),
            ..BatchCheckItem::default()
        };
        BatchCheckRequest {
            store_id: self.store.clone(),
            authorization_model_id: self.model.clone(),
            checks: vec![
                item("0", "can_act_through", format!("runtime:{}", self.runtime)),
                item("1", "can_resolve", format!("project:{project}")),
            ],
            consistency: ConsistencyPreference::HigherConsistency.into(),
        }
    }
}

/// Asks one batch after the other on a connection of its own; gives the number that were not
/// allowed, and the latencies of the others in microseconds.
async fn ask(url: String, questions: Arc<Questions>, first: usize, end: Instant) -> Result<(u64, Vec<u64>), Failure> {
    let mut client = OpenFgaServiceClient::new(Endpoint::from_shared(url)?.connect().await?);
    let (mut wrong, mut latencies) = (0, Vec::new());
    // Steps of a large prime visit the questions in an order that is not theirs.
    let mut number = first;
    while Instant::now() < end {
        number = number.wrapping_add(1_000_003);
        let began = Instant::now();
        let results = client.batch_check(questions.batch(number)).await?.into_inner().result;
        let allowed = |result: &_| matches!(result, &Some(CheckResult::Allowed(true)));
        if results.len() == 2 && results.values().all(|result| allowed(&result.check_result)) {
            latencies.push(u64::try_from(began.elapsed().as_micros())?);
        } else {
            wrong += 1;
        }
    }
    Ok((wrong, latencies))
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, store, model, runtime, connections, seconds, file] = arguments.as_slice() else {
        return Err("usage: raw_openfga URL STORE MODEL RUNTIME CONNECTIONS SECONDS FILE".into());
    };
    let pair = |line: &str| line.split_once(' ').map(|(agent, project)| (agent.to_owned(), project.to_owned()));
    let agents_and_projects: Vec<_> = std::fs::read_to_string(file)?.lines().filter_map(pair).collect();
    if agents_and_projects.is_empty() {
        return Err("the file names no agent and project".into());
    }
    let [store, model, runtime] = [store, model, runtime].map(Clone::clone);
    let questions = Arc::new(Questions { store, model, runtime, agents_and_projects });

    let began = Instant::now();
    let end = began + Duration::from_secs_f64(seconds.parse()?);
    let mut asking = JoinSet::new();
    for connection in 0..connections.parse()? {
        asking.spawn(ask(url.clone(), questions.clone(), connection * 7_919, end));
    }
    let (mut wrong, mut latencies) = (0, Vec::new());
    while let Some(asked) = asking.join_next().await {
        let (refused, times) = asked??;
        wrong += refused;
        latencies.extend(times);
    }
    let seconds = began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let percentile = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or_default();
    println!("{} {wrong} {seconds} {} {}", latencies.len(), percentile(50), percentile(99));
    Ok(())
}
