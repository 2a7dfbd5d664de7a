//! Asks OpenFGA, for which one call with many checks is less work than many calls: the questions of
//! callers that ask at the same time share a call. The number of calls under way is bounded, since
//! OpenFGA answers none in time when there are too many; the rest wait, first come, first served.
//! Small requests, such as those of a resolve or a change, and larger ones, such as those of lists,
//! wait in separate queues, so that a resolve never waits behind lists.

use super::{BATCH, CONSISTENCY, Client, PinnedModel, SetupError, UNREADABLE, bounded, failed, unavailable};
use crate::authz::Question;
use crate::authz::measures;
use crate::authz::model::Model;
use crate::domain::Result;
use crate::groups::{Groups, Request};
use crate::trace::TraceContext;
use futures::future::try_join_all;
use openfga_client::client::{
    BatchCheckItem, BatchCheckRequest, CheckRequestTupleKey, batch_check_single_result::CheckResult,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Status};
use tracing::Span;

/// Maximum number of questions of a small request.
const LARGEST_SMALL_REQUEST: usize = 8;
/// Maximum number of calls under way for small requests.
const CALLS_OF_SMALL_REQUESTS: usize = 3;
/// Maximum number of calls under way for larger requests.
const CALLS_OF_LARGE_REQUESTS: usize = 2;
/// Maximum time until a request is answered, with its wait for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The questions of one caller, at most as many as fit in a call.
struct Asked {
    questions: Vec<Question>,
    trace: Option<TraceContext>,
}

type Queue = Groups<Asked, Result<Vec<bool>>>;

pub(super) struct Checks {
    openfga: Arc<Asker>,
    small: Queue,
    large: Queue,
}

struct Asker {
    client: Client,
    pinned: PinnedModel,
    rules: Model,
}

impl Checks {
    pub(super) fn new(client: Client, pinned: PinnedModel) -> Result<Self, SetupError> {
        let rules = Model::load().map_err(|_| UNREADABLE)?;
        Ok(Self {
            openfga: Arc::new(Asker { client, pinned, rules }),
            small: Groups::new(CALLS_OF_SMALL_REQUESTS, BATCH),
            large: Groups::new(CALLS_OF_LARGE_REQUESTS, BATCH),
        })
    }

    /// Answers in the order of the questions.
    ///
    /// # Errors
    /// UNAVAILABLE when OpenFGA does not answer all of them, or not within ten seconds.
    pub(super) async fn ask(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let queue = if questions.len() <= LARGEST_SMALL_REQUEST { &self.small } else { &self.large };
        let answers = try_join_all(questions.chunks(BATCH).map(|batch| self.ask_in(queue, batch, MAX_WAIT))).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// As [`Self::ask`], in a call of its own and at once; at most as many as fit in a call.
    ///
    /// # Errors
    /// UNAVAILABLE when OpenFGA does not answer all of them.
    pub(super) async fn ask_at_once(&self, questions: &[Question]) -> Result<Vec<bool>> {
        self.openfga.ask(questions).await
    }

    async fn ask_in(&self, queue: &Queue, batch: &[Question], within: Duration) -> Result<Vec<bool>> {
        let asked = Asked { questions: batch.to_vec(), trace: TraceContext::current() };
        let answer = queue.ask(asked, batch.len(), |mut leader| {
            let openfga = self.openfga.clone();
            tokio::spawn(async move {
                while let Some(group) = leader.next_group() {
                    openfga.answer(group).await;
                }
            });
        });
        let Ok(answer) = tokio::time::timeout(within, answer).await else {
            metrics::counter!(measures::SHED).increment(1);
            tracing::warn!("OpenFGA is overloaded: a request waited 10 seconds and was refused");
            return Err(unavailable());
        };
        answer.unwrap_or_else(|| Err(unavailable()))
    }
}

impl Asker {
    /// Answers a group of requests in one call, which belongs to the trace of the first.
    async fn answer(&self, group: Vec<Request<Asked, Result<Vec<bool>>>>) {
        let first = group.first().map(|first| (first.asked_in.clone(), first.question.trace.clone()));
        let questions: Vec<&Question> = group.iter().flat_map(|one| &one.question.questions).collect();
        let call = self.call(questions.iter().copied());
        let called = match first {
            Some((span, Some(trace))) => trace.within(Span::none(), span.around(call)).await,
            Some((span, None)) => span.around(call).await,
            None => call.await,
        };
        match called {
            Ok(results) => {
                let mut results = results.into_iter();
                for one in group {
                    let answers = self.read(&one.question.questions, &mut results);
                    one.answer(answers);
                }
            }
            // One of the requests is at fault, which takes the answers of no others along.
            Err(status) if status.code() == Code::InvalidArgument && group.len() > 1 => {
                for one in group.into_iter().filter(Request::is_awaited) {
                    let answers = self.ask(&one.question.questions).await;
                    one.answer(answers);
                }
            }
            Err(status) => {
                drop(failed(status));
                for one in group {
                    one.answer(Err(unavailable()));
                }
            }
        }
    }

    async fn ask(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let results = self.call(questions.iter()).await.map_err(failed)?;
        self.read(questions, &mut results.into_iter())
    }

    /// The results of one call, in the order of the questions.
    async fn call(
        &self,
        questions: impl ExactSizeIterator<Item = &Question>,
    ) -> Result<Vec<Option<CheckResult>>, Status> {
        let count = questions.len();
        let checks = questions.enumerate().map(|(index, question)| BatchCheckItem {
            tuple_key: Some(CheckRequestTupleKey {
                user: question.subject.clone(),
                relation: question.permission.relation().to_owned(),
                object: question.object.clone(),
            }),
            correlation_id: index.to_string(),
            ..BatchCheckItem::default()
        });
        let request = BatchCheckRequest {
            store_id: self.pinned.store.clone(),
            authorization_model_id: self.pinned.model.clone(),
            checks: checks.collect(),
            consistency: CONSISTENCY,
        };
        let mut client = self.client.clone();
        let mut results =
            bounded("openfga.v1.OpenFGAService/BatchCheck", client.batch_check(request)).await?.into_inner().result;
        Ok((0..count).map(|index| results.remove(&index.to_string())?.check_result).collect())
    }

    /// Reads the next results as the answers to these questions. If one is missing, none counts.
    fn read(
        &self,
        questions: &[Question],
        results: &mut impl Iterator<Item = Option<CheckResult>>,
    ) -> Result<Vec<bool>> {
        let results: Vec<_> = results.take(questions.len()).collect();
        questions
            .iter()
            .zip(results)
            .map(|(question, result)| match result {
                Some(CheckResult::Allowed(allowed)) => Ok(allowed),
                // A question that cannot be asked is denied; any other error may be a server under
                // load.
                Some(CheckResult::Error(_)) if !self.rules.can_be_asked(question) => Ok(false),
                Some(CheckResult::Error(_)) | None => {
                    tracing::warn!("OpenFGA answered less than it was asked");
                    Err(unavailable())
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Permission;
    use crate::authz::openfga::{Bearer, OpenFgaServiceClient};
    use tonic::transport::Endpoint;

    const SOON: Duration = Duration::from_millis(50);

    /// Of an OpenFGA that accepts connections and never answers.
    async fn checks() -> (Checks, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let channel = Endpoint::from_shared(url).unwrap().connect_lazy();
        let client = OpenFgaServiceClient::with_interceptor(channel, Bearer(None));
        let pinned = PinnedModel { store: String::new(), model: String::new(), digest: String::new() };
        (Checks::new(client, pinned).unwrap(), listener)
    }

    fn questions(count: usize) -> Vec<Question> {
        vec![Question::of_relation("user:a", Permission::CanAudit, "vault:v"); count]
    }

    #[tokio::test]
    async fn a_request_that_gets_no_answer_is_refused() {
        let (checks, _listener) = checks().await;
        assert!(checks.ask_in(&checks.small, &questions(2), SOON).await.is_err());
    }
}
