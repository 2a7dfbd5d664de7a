//! Key providers, which keep the master keys and wrap and unwrap with them: a keyring in this
//! process, or a service that never reveals its keys. To add one, implement [`KeyProvider`] in a
//! file here and add its settings to `config/keys.rs`.

mod keyring;
mod measures;
mod transit;

pub use keyring::{KeyringLoader, KeyringProvider};
pub use measures::declare_metrics;
pub use transit::{Transit, TransitConfig, TransitError, TransitUrl, is_key_name};

use crate::crypto::{KeyBytes, Keyring, KeyringError, WrapContext, WrappedKey};
use crate::trace::ExportedSpan;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Instant;

/// A provider's answer.
pub type KeyFuture<'a, T> = BoxFuture<'a, Result<T, KeyringError>>;

/// Wraps and unwraps 32 secret bytes under named master keys.
///
/// A master key's id tells providers apart, and is part of what a wrapped key is bound to.
/// [`KeyringError::UnknownKey`] and [`KeyringError::WrongKey`] name it; a provider that cannot
/// answer now gives [`KeyringError::Provider`].
pub trait KeyProvider: Send + Sync + 'static {
    /// Whether this provider keeps the master key of this id, judging by the id alone.
    fn owns(&self, master_key: &str) -> bool;

    /// The id of the current master key, which wraps. A service is asked each time; nothing cached
    /// is returned.
    fn current(&self) -> KeyFuture<'_, String>;

    /// The ids of all master keys that unwrap.
    fn known(&self) -> KeyFuture<'_, Vec<String>>;

    /// Wraps with the current master key.
    fn wrap<'a>(&'a self, secret: &'a KeyBytes, context: &'a WrapContext) -> KeyFuture<'a, WrappedKey>;

    /// Unwraps what was wrapped with the same context.
    fn unwrap<'a>(&'a self, wrapped: &'a WrappedKey, context: &'a WrapContext) -> KeyFuture<'a, KeyBytes>;

    /// Reloads the keys; returns the id of the current master key. When it fails, nothing changes.
    fn reload(&self) -> KeyFuture<'_, String>;
}

/// The master keys of an installation: the provider that wraps, and others that still unwrap what
/// they wrapped. Cheap to clone.
#[derive(Clone)]
pub struct MasterKeys(Arc<Vec<Box<dyn KeyProvider>>>);

impl MasterKeys {
    /// The master keys of one provider.
    pub fn new(provider: impl KeyProvider) -> Self {
        Self(Arc::new(vec![Box::new(provider)]))
    }

    /// The master keys of the provider that wraps and of others that only unwrap, for moving from
    /// one provider to another.
    #[must_use]
    pub fn with_older(provider: Box<dyn KeyProvider>, older: impl IntoIterator<Item = Box<dyn KeyProvider>>) -> Self {
        Self(Arc::new(std::iter::once(provider).chain(older).collect()))
    }

    /// The provider that wraps. Every constructor takes one.
    fn first(&self) -> Result<&dyn KeyProvider, KeyringError> {
        self.0.first().map(|provider| &**provider).ok_or(KeyringError::NoCurrent)
    }

    /// The id of the current master key, which wraps.
    ///
    /// # Errors
    /// When the provider cannot answer.
    pub async fn current(&self) -> Result<String, KeyringError> {
        self.first()?.current().await
    }

    /// The ids of all master keys that unwrap.
    ///
    /// # Errors
    /// When a provider cannot answer.
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
    /// When the provider cannot wrap.
    pub async fn wrap(&self, secret: &KeyBytes, context: &WrapContext) -> Result<WrappedKey, KeyringError> {
        let provider = self.first()?;
        let began = Instant::now();
        let wrapping = provider.wrap(secret, context);
        let wrapped = ExportedSpan::key_provider("wrap").around_result(wrapping, kind).await;
        measures::record("wrap", began, &wrapped);
        wrapped
    }

    /// Unwraps what was wrapped with the same context.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKey`] when there is no such master key; [`KeyringError::WrongKey`]
    /// when it does not open this key in this context; [`KeyringError::Provider`] when its provider
    /// cannot answer.
    pub async fn unwrap(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<KeyBytes, KeyringError> {
        match self.0.iter().find(|provider| provider.owns(&wrapped.master_key)) {
            Some(provider) => {
                let began = Instant::now();
                let unwrapping = provider.unwrap(wrapped, context);
                let unwrapped = ExportedSpan::key_provider("unwrap").around_result(unwrapping, kind).await;
                measures::record("unwrap", began, &unwrapped);
                unwrapped
            }
            None => Err(KeyringError::UnknownKey(wrapped.master_key.clone())),
        }
    }

    /// Reloads every provider; returns the id of the current master key.
    ///
    /// # Errors
    /// When a provider cannot reload; it then keeps the keys it had.
    pub async fn reload(&self) -> Result<String, KeyringError> {
        let mut ids = Vec::with_capacity(self.0.len());
        for provider in &*self.0 {
            ids.push(provider.reload().await?);
        }
        ids.into_iter().next().ok_or(KeyringError::NoCurrent)
    }
}

/// The kind of error, for traces.
const fn kind(error: &KeyringError) -> &'static str {
    match error {
        KeyringError::UnknownKey(_) => "unknown_key",
        KeyringError::WrongKey(_) => "wrong_key",
        KeyringError::Provider(_) => "unavailable",
        _ => "keyring",
    }
}

impl<F: Fn() -> Result<Keyring, KeyringError> + Send + Sync + ?Sized + 'static> From<Arc<F>> for MasterKeys {
    /// The keyring that this reads.
    fn from(source: Arc<F>) -> Self {
        Self::new(KeyringProvider::new(Arc::new(move || source())))
    }
}
