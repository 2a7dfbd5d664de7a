//! A keyring in this process, read at first use and again on reload.

use super::{KeyFuture, KeyProvider};
use crate::crypto::{KeyBytes, Keyring, KeyringError, WrapContext, WrappedKey};
use parking_lot::RwLock;
use std::sync::Arc;

/// Reads the keyring. It may block: it is called on a thread for blocking work.
pub type KeyringLoader = Arc<dyn Fn() -> Result<Keyring, KeyringError> + Send + Sync>;

/// The master keys of a [`Keyring`].
pub struct KeyringProvider {
    source: KeyringLoader,
    ring: RwLock<Option<Arc<Keyring>>>,
    /// Held during a read, so that concurrent callers wait for it instead of reading as well.
    reading: tokio::sync::Mutex<()>,
}

impl KeyringProvider {
    /// The provider of the keyring that `source` reads; it is read at first use.
    #[must_use]
    pub fn new(source: KeyringLoader) -> Self {
        Self { source, ring: RwLock::default(), reading: tokio::sync::Mutex::default() }
    }

    fn held(&self) -> Option<Arc<Keyring>> {
        self.ring.read().clone()
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
        *self.ring.write() = Some(ring.clone());
        Ok(ring)
    }
}

impl KeyProvider for KeyringProvider {
    /// Other providers' ids contain a colon; a keyring's never do.
    fn owns(&self, master_key: &str) -> bool {
        !master_key.contains(':')
    }

    fn current(&self) -> KeyFuture<'_, String> {
        Box::pin(async { Ok(self.ring().await?.current_id().to_owned()) })
    }

    fn known(&self) -> KeyFuture<'_, Vec<String>> {
        Box::pin(async { Ok(self.ring().await?.ids().map(ToOwned::to_owned).collect()) })
    }

    fn wrap<'a>(&'a self, secret: &'a KeyBytes, context: &'a WrapContext) -> KeyFuture<'a, WrappedKey> {
        Box::pin(async { self.ring().await?.wrap_secret(secret, context) })
    }

    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyFuture<'a, KeyBytes> {
        Box::pin(async { self.ring().await?.unwrap_secret(wrapped, context) })
    }

    fn reload(&self) -> KeyFuture<'_, String> {
        Box::pin(async {
            let _reading = self.reading.lock().await;
            Ok(self.read().await?.current_id().to_owned())
        })
    }
}
