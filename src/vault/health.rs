//! Readiness: probes of the database, the authorizer and the keyring.

use super::keys::{Installation, SIGNED};
use crate::authz::Authorizer;
use crate::domain::{Result, with_causes};
use std::time::Duration;

/// Maximum time that one probe waits for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Probes the vault's dependencies. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    installation: Installation,
    authorizer: Authorizer,
}

impl Health {
    pub(super) const fn new(installation: Installation, authorizer: Authorizer) -> Self {
        Self { installation, authorizer }
    }

    /// Probes the database, the authorizer and the keyring concurrently, for at most three seconds.
    /// Gives the name of each and whether it is ready; the log has the reason when one is not.
    pub async fn ready(&self) -> Vec<(&'static str, bool)> {
        let (database, authorizer, keyring) = (self.clone(), self.clone(), self.clone());
        let (database, authorizer, keyring) = tokio::join!(
            answers("database", async move { database.write_probe().await }),
            answers("authorizer", async move { authorizer.authorizer_probe().await }),
            answers("keyring", async move { keyring.installation.check_keyring().await }),
        );
        vec![("database", database), ("authorizer", authorizer), ("keyring", keyring)]
    }

    /// Writes to the database, to detect one that is full or read-only.
    async fn write_probe(&self) -> Result<()> {
        Ok(self.installation.store().conn().await?.touch_setting(SIGNED.0).await?)
    }

    /// Checks that the authorizer answers and still has the pinned store and model.
    async fn authorizer_probe(&self) -> Result<()> {
        self.installation.confirm_pinned(&self.authorizer).await?;
        self.authorizer.ready().await
    }
}

/// Runs a probe in a separate task, which a timeout does not cancel: a query that is dropped before
/// its end may leave its connection unusable.
async fn answers(part: &'static str, question: impl Future<Output = Result<()>> + Send + 'static) -> bool {
    match tokio::time::timeout(PROBE_TIMEOUT, tokio::spawn(question)).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(error))) => {
            let reason = with_causes(&error);
            tracing::warn!(part, reason, "a part of the vault does not answer");
        }
        Ok(Err(_)) => tracing::error!(part, "asking a part of the vault panicked"),
        Err(_) => tracing::warn!(part, "a part of the vault does not answer in time"),
    }
    false
}
