//! Sealing, authenticating and masking: everything that touches key material or plaintext. No I/O
//! except the keyring's file.
//!
//! A master key of the [`Keyring`] wraps the data keys of projects; a [`DataKey`] seals values and
//! hints and authenticates rows. Each purpose has a key of its own, derived with HKDF-SHA256 (RFC
//! 5869), so that no key serves two algorithms. Sealing is AES-256-GCM (NIST SP 800-38D) with
//! random nonces: one key seals at most 2^32 messages (section 8.3), far more than a project
//! writes.
//!
//! Plaintext and keys live in types that are zeroized on drop and that cannot be printed or
//! serialized.

mod aead;
mod audit_key;
mod certificate;
mod data_key;
mod fields;
#[cfg(test)]
mod fuzz;
mod hint;
mod installation_key;
mod keyring;
mod keyring_error;
mod keyring_file;
mod listing;
mod mask;
mod row_mac;
mod sealing;
#[cfg(feature = "server")]
mod signing_key;
#[cfg(test)]
mod vectors;
mod wrapping;

pub use aead::{KeyBytes, OVERHEAD};
pub use audit_key::{AuditKey, MacContext};
pub use certificate::{Certificate, read_certificate};
pub use data_key::{CiphertextContext, DataKey};
pub use hint::Hint;
pub use installation_key::InstallationKey;
pub use keyring::Keyring;
pub use keyring_error::KeyringError;
pub use listing::{Listed, ListedEntries, Listing};
pub use mask::{HIDDEN, mask, shown};
pub use row_mac::{EntryFacts, VersionFacts};
pub use sealing::{Recipient, RecipientKey, SealedCall, SealedPlace};
#[cfg(feature = "server")]
pub use signing_key::{SigningKey, Statement, StatementError, verify_statement};
#[cfg(feature = "server")]
pub(crate) use signing_key::{key_set, public_parts};
pub use wrapping::{WrapContext, WrappedKey};

/// The label of the format of everything this module writes. A new format gets a new label.
const FORMAT: &[u8] = b"project-vault/v1";

/// Why sealing, opening or checking failed. Messages contain nothing of what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The operating system gave no randomness.
    #[error("the operating system gives no randomness")]
    Randomness,
    /// A key or message exceeds the limits of RFC 5869 or NIST SP 800-38D.
    #[error("the input exceeds a limit of the algorithm")]
    Limit,
    /// The bytes were not written by this key in this context, or were changed since.
    #[error("authentication fails: this was not written with this key for this place, or was changed")]
    NotAuthentic,
    /// Authentic, but in a form that this version does not read: another version wrote it.
    #[error("authentic, but not in a form this version reads")]
    Form,
    /// The text is not PEM that contains an X.509 certificate.
    #[error("this is not PEM with an X.509 certificate in it")]
    NoCertificate,
    /// The text is not a public key that a value can be sealed for.
    #[error("this is not an X25519 public key in base64url")]
    Recipient,
}

#[cfg(test)]
mod tests {
    use super::{AuditKey, DataKey, Hint, InstallationKey, Keyring, SigningKey, aead::KeyBytes};

    trait Printable<Marker> {
        fn holds() {}
    }
    struct ByDebug;
    struct ByDisplay;
    struct ByClone;
    struct BySerialize;
    impl<T> Printable<()> for T {}
    impl<T: std::fmt::Debug> Printable<ByDebug> for T {}
    impl<T: std::fmt::Display> Printable<ByDisplay> for T {}
    impl<T: Clone> Printable<ByClone> for T {}
    impl<T: serde::Serialize> Printable<BySerialize> for T {}

    /// Compiles only while none of the four traits holds: with one of them, the marker is
    /// ambiguous.
    #[test]
    fn what_holds_keys_or_plaintext_cannot_be_printed_copied_or_serialized() {
        <DataKey as Printable<_>>::holds();
        <Keyring as Printable<_>>::holds();
        <KeyBytes as Printable<_>>::holds();
        <Hint as Printable<_>>::holds();
        <InstallationKey as Printable<_>>::holds();
        <AuditKey as Printable<_>>::holds();
        <SigningKey as Printable<_>>::holds();
    }
}
