//! Wrapped keys: 32 secret bytes, encrypted by a master key and bound to a context.

use super::fields::Fields;
use super::keyring_error::KeyringError;
use super::{DataKey, InstallationKey, KeyBytes};
use crate::domain::{DataKeyId, KeyPurpose, ProjectId};

const DATA_KEY: &[u8] = b"data-key";
const INSTALLATION_KEY: &[u8] = b"installation-key";

/// A wrapped key as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The id of the master key it is wrapped with.
    pub master_key: String,
    /// The provider's ciphertext of the key; a keyring's is nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// What a wrapped key is bound to. It unwraps with the same context and no other.
pub struct WrapContext(Vec<u8>);

impl WrapContext {
    /// The context of a project's data key.
    #[must_use]
    pub fn for_data_key(project: &ProjectId, id: DataKeyId) -> Self {
        Self(Fields::new(DATA_KEY).bytes(project.as_str().as_bytes()).bytes(id.0.as_bytes()).finish())
    }

    /// The context of the installation's key for a purpose.
    #[must_use]
    pub fn for_installation_key(purpose: KeyPurpose) -> Self {
        Self(Fields::new(INSTALLATION_KEY).bytes(purpose.as_str().as_bytes()).finish())
    }

    /// The associated data: the context, then the name of the master key.
    #[must_use]
    pub fn and(&self, master_key: &str) -> Vec<u8> {
        Fields::resume(&self.0).bytes(master_key.as_bytes()).finish()
    }
}

impl DataKey {
    /// The secret that a master key wraps.
    pub(crate) fn secret(&self) -> &KeyBytes {
        &self.secret
    }

    /// The key of an unwrapped secret.
    ///
    /// # Errors
    /// [`super::CryptoError::Limit`] never, with 32 bytes.
    pub(crate) fn unwrapped(secret: KeyBytes) -> Result<Self, KeyringError> {
        Ok(Self::from_secret(secret)?)
    }
}

impl InstallationKey {
    /// The key of an unwrapped secret.
    pub(crate) fn unwrapped(purpose: KeyPurpose, secret: KeyBytes) -> Self {
        Self::new(purpose, secret)
    }
}
