//! Key providers: who keeps the master keys, and wraps and unwraps with them. A keyring in this process, or a service that never
//! shows its keys; another one is a file here that implements [`KeyProvider`], and its settings in `config/keys.rs`.

mod keyring;
mod transit;

pub use keyring::{KeyringLoader, KeyringProvider};
pub use transit::{Transit, TransitConfig, TransitError, TransitUrl, is_key_name};

use crate::crypto::{KeyBytes, Keyring, KeyringError, WrapContext, WrappedKey};
use futures::future::BoxFuture;
use std::sync::Arc;

/// A provider's answer, as a future.
pub type KeyFuture<'a, T> = BoxFuture<'a, Result<T, KeyringError>>;

/// Wraps and unwraps 32 secret bytes under named master keys.
///
/// An id of a master key tells providers apart, and is part of what a wrapped key is bound to. [`KeyringError::UnknownKey`] and
/// [`KeyringError::WrongKey`] name it; a provider that cannot answer now gives [`KeyringError::Provider`].
pub trait KeyProvider: Send + Sync + 'static {
    /// Whether a master key of this id is one of its own, as far as the id tells.
    fn owns(&self, master_key: &str) -> bool;

    /// The id of the master key that wraps from now on. Asks whoever knows; nothing older is answered.
    fn current(&self) -> KeyFuture<'_, String>;

    /// The ids of all master keys that unwrap.
    fn known(&self) -> KeyFuture<'_, Vec<String>>;

    /// Wraps with the current master key.
    fn wrap<'a>(&'a self, secret: &'a KeyBytes, context: &'a WrapContext) -> KeyFuture<'a, WrappedKey>;

    /// Unwraps what was wrapped for the same place.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyFuture<'a, KeyBytes>;

    /// Takes over what has changed; gives the id of the master key that wraps from now on. Where it fails, all stays as it was.
    fn reload(&self) -> KeyFuture<'_, String>;
}

/// The master keys of an installation: the provider that wraps, and others that still unwrap what they wrapped. Cheap to clone.
#[derive(Clone)]
pub struct MasterKeys(Arc<Vec<Box<dyn KeyProvider>>>);

impl MasterKeys {
    /// Of one provider.
    pub fn new(provider: impl KeyProvider) -> Self {
        Self(Arc::new(vec![Box::new(provider)]))
    }

    /// Of the provider that wraps, and others that unwrap: for moving from one to another.
    #[must_use]
    pub fn with_older(provider: Box<dyn KeyProvider>, older: impl IntoIterator<Item = Box<dyn KeyProvider>>) -> Self {
        Self(Arc::new(std::iter::once(provider).chain(older).collect()))
    }

    /// The one that wraps. There is always one: whoever makes this gives it.
    fn first(&self) -> Result<&dyn KeyProvider, KeyringError> {
        self.0.first().map(|provider| &**provider).ok_or(KeyringError::NoCurrent)
    }

    /// The id of the master key that wraps from now on.
    ///
    /// # Errors
    /// When the provider cannot tell.
    pub async fn current(&self) -> Result<String, KeyringError> {
        self.first()?.current().await
    }

    /// The ids of all master keys that unwrap.
    ///
    /// # Errors
    /// When a provider cannot tell.
    pub async fn known(&self) -> Result<Vec<String>, KeyringError> {
        let mut known = Vec::new();
        for provider in &*self.0 {
            known.extend(provider.known().await?);
        }
        Ok(known)
    }

    /// Wraps with the current master key.
    ///
    /// # Errors
    /// When the provider cannot.
    pub async fn wrap(&self, secret: &KeyBytes, context: &WrapContext) -> Result<WrappedKey, KeyringError> {
        self.first()?.wrap(secret, context).await
    }

    /// Unwraps what was wrapped for the same place.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKey`] when there is no such master key, [`KeyringError::WrongKey`] when it does not open this;
    /// [`KeyringError::Provider`] when its keeper cannot answer.
    pub async fn unwrap(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<KeyBytes, KeyringError> {
        match self.0.iter().find(|provider| provider.owns(&wrapped.master_key)) {
            Some(provider) => provider.unwrap(wrapped, context).await,
            None => Err(KeyringError::UnknownKey(wrapped.master_key.clone())),
        }
    }

    /// Takes over what has changed at each provider; gives the id of the master key that wraps from now on.
    ///
    /// # Errors
    /// When one cannot; what it had stays.
    pub async fn reload(&self) -> Result<String, KeyringError> {
        let mut ids = Vec::with_capacity(self.0.len());
        for provider in &*self.0 {
            ids.push(provider.reload().await?);
        }
        ids.into_iter().next().ok_or(KeyringError::NoCurrent)
    }
}

impl<F: Fn() -> Result<Keyring, KeyringError> + Send + Sync + ?Sized + 'static> From<Arc<F>> for MasterKeys {
    /// The keyring that this reads.
    fn from(source: Arc<F>) -> Self {
        Self::new(KeyringProvider::new(Arc::new(move || source())))
    }
}
