//! The installation's own keys, which authenticate its records and sign its receipts.

use super::CryptoError;
use super::aead::KeyBytes;
use crate::domain::KeyPurpose;

/// 32 random bytes for one purpose, [`super::AuditKey`] or [`super::SigningKey`]. Zeroized on drop;
/// it cannot be printed, copied or serialized, only wrapped by a [`super::Keyring`].
pub struct InstallationKey {
    purpose: KeyPurpose,
    secret: KeyBytes,
}

impl InstallationKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`CryptoError::Randomness`] when the operating system gives none.
    pub fn generate(purpose: KeyPurpose) -> Result<Self, CryptoError> {
        Ok(Self::new(purpose, KeyBytes::random()?))
    }

    pub(super) fn new(purpose: KeyPurpose, secret: KeyBytes) -> Self {
        Self { purpose, secret }
    }

    /// The purpose of the key.
    #[must_use]
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    /// The secret that a master key wraps.
    pub(crate) fn secret(&self) -> &KeyBytes {
        &self.secret
    }
}
