//! Asks OpenFGA for the objects on which a subject holds a permission. One such call is as much work
//! as many checks, so few are under way at once; the others wait for a permit.

use super::{CONSISTENCY, Client, PinnedModel, failed, unavailable};
use crate::authz::measures;
use crate::domain::Result;
use crate::permission::Permission;
use openfga_client::client::StreamedListObjectsRequest;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Status;

/// Maximum number of calls under way.
const MAX_CONCURRENT_CALLS: usize = 2;
/// Maximum time that a call waits for its permit.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Maximum time of a call. OpenFGA ends a list after 3 seconds as if it were complete, so this has to
/// be less.
const LIST_TIMEOUT: Duration = Duration::from_millis(2_500);

pub(super) struct Lists {
    client: Client,
    pinned: PinnedModel,
    calls: Semaphore,
}

impl Lists {
    pub(super) fn new(client: Client, pinned: PinnedModel) -> Self {
        Self { client, pinned, calls: Semaphore::new(MAX_CONCURRENT_CALLS) }
    }

    /// The projects on which a subject holds a permission; `None` when there are more than `limit`.
    ///
    /// # Errors
    /// UNAVAILABLE when OpenFGA does not list all of them in time.
    pub(super) async fn projects(
        &self,
        subject: &str,
        permission: Permission,
        limit: usize,
    ) -> Result<Option<Vec<String>>> {
        let Ok(Ok(_permit)) = tokio::time::timeout(MAX_WAIT, self.calls.acquire()).await else {
            metrics::counter!(measures::SHED).increment(1);
            tracing::warn!("OpenFGA is overloaded: a list waited 10 seconds and was refused");
            return Err(unavailable());
        };
        let listed = tokio::time::timeout(LIST_TIMEOUT, self.call(subject, permission, limit)).await;
        listed.unwrap_or_else(|_| Err(Status::deadline_exceeded("no complete list in time"))).map_err(failed)
    }

    async fn call(&self, subject: &str, permission: Permission, limit: usize) -> Result<Option<Vec<String>>, Status> {
        let request = StreamedListObjectsRequest {
            store_id: self.pinned.store.clone(),
            authorization_model_id: self.pinned.model.clone(),
            r#type: "project".to_owned(),
            relation: permission.relation().to_owned(),
            user: subject.to_owned(),
            consistency: CONSISTENCY,
            ..StreamedListObjectsRequest::default()
        };
        let mut stream = self.client.clone().streamed_list_objects(request).await?.into_inner();
        let mut objects = Vec::new();
        while let Some(found) = stream.message().await? {
            // The stand-in for projects that are not there is no project of anybody's.
            if found.object != crate::authz::tuple::NOWHERE {
                objects.push(found.object);
            }
            if objects.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(objects))
    }
}
