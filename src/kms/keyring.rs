//! A keyring in this process: read at first use, and again when it is asked to.

use super::{Answer, KeyProvider};
use crate::crypto::{Bound, KeyBytes, Keyring, KeyringError, WrappedKey};
use std::sync::{Arc, PoisonError, RwLock};

/// Reads the keyring. It may block: it is called on a thread for that.
pub type KeySource = Arc<dyn Fn() -> Result<Keyring, KeyringError> + Send + Sync>;

/// The master keys of a [`Keyring`].
pub struct KeyringProvider {
    source: KeySource,
    ring: RwLock<Option<Arc<Keyring>>>,
    /// Held while it is read, so that whoever comes meanwhile waits for that instead of reading as well.
    reading: tokio::sync::Mutex<()>,
}

impl KeyringProvider {
    /// The keyring that `source` reads, at first use.
    #[must_use]
    pub fn new(source: KeySource) -> Self {
        Self { source, ring: RwLock::default(), reading: tokio::sync::Mutex::default() }
    }

    fn held(&self) -> Option<Arc<Keyring>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ring(&self) -> Result<Arc<Keyring>, KeyringError> {
        if let Some(ring) = self.held() {
            return Ok(ring);
        }
        let _reading = self.reading.lock().await;
        match self.held() {
            Some(ring) => Ok(ring),
            None => self.read().await,
        }
    }

    async fn read(&self) -> Result<Arc<Keyring>, KeyringError> {
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source()).await;
        let ring = Arc::new(read.map_err(|error| KeyringError::Source(error.into()))??);
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Some(ring.clone());
        Ok(ring)
    }
}

impl KeyProvider for KeyringProvider {
    /// Other providers put a colon into their ids, which a keyring's do not have.
    fn owns(&self, master_key: &str) -> bool {
        !master_key.contains(':')
    }

    fn current(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(self.ring().await?.current_id().to_owned()) })
    }

    fn known(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async { Ok(self.ring().await?.ids().map(ToOwned::to_owned).collect()) })
    }

    fn wrap<'a>(&'a self, secret: &'a KeyBytes, bound: &'a Bound) -> Answer<'a, WrappedKey> {
        Box::pin(async { self.ring().await?.wrap_secret(secret, bound) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, bound: &'a Bound) -> Answer<'a, KeyBytes> {
        Box::pin(async { self.ring().await?.unwrap_secret(wrapped, bound) })
    }

    fn reload(&self) -> Answer<'_, String> {
        Box::pin(async {
            let _reading = self.reading.lock().await;
            Ok(self.read().await?.current_id().to_owned())
        })
    }
}
