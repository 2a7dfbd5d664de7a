//! MACs of the installation's own records: audit events, the beginnings and cuts of their chains,
//! pending changes of tuples, settings, the states of data keys, projects and milestones.

use super::fields::Fields;
use super::{CryptoError, InstallationKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The kind of record that a MAC is of. A MAC of one kind never verifies as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacContext {
    /// An event and its position in its chain.
    Event,
    /// The beginning of a chain.
    Chain,
    /// The point up to which a chain's events are past their retention.
    Cut,
    /// A change of tuples that is still to be applied.
    Outbox,
    /// A setting of the installation.
    Setting,
    /// The use of a data key, and the master key that wraps it.
    DataKey,
    /// A data key that was replaced and erased.
    ReplacedDataKey,
    /// A project, with the listing of its entries.
    Project,
    /// A milestone and its phase.
    Milestone,
}

impl MacContext {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Event => b"audit-event",
            Self::Chain => b"audit-chain",
            Self::Cut => b"audit-cut",
            Self::Outbox => b"outbox",
            Self::Setting => b"installation-setting",
            Self::DataKey => b"data-key-state",
            Self::ReplacedDataKey => b"replaced-data-key",
            Self::Project => b"project-row",
            Self::Milestone => b"milestone-row",
        }
    }
}

/// Authenticates records with HMAC-SHA256 (RFC 2104), under a key derived from an installation key.
/// It cannot be printed, copied or serialized.
pub struct AuditKey(Box<Hmac<Sha256>>);

impl AuditKey {
    /// Derives the key from an installation key.
    ///
    /// # Errors
    /// Never, with a key of 32 bytes; the type allows [`CryptoError::Limit`].
    pub fn new(key: &InstallationKey) -> Result<Self, CryptoError> {
        let derived = key.secret().derive(b"project-vault/v1/audit")?;
        Ok(Self(Box::new(Hmac::new_from_slice(derived.expose()).map_err(|_| CryptoError::Limit)?)))
    }

    /// The MAC of a record's fields. A field is the text that `audit export` writes for it, or
    /// `None` if it writes null.
    pub fn mac<'a>(&self, record: MacContext, fields: impl IntoIterator<Item = Option<&'a str>>) -> [u8; 32] {
        let fields = fields
            .into_iter()
            .fold(Fields::new(record.label()), |fields, field| fields.option(field.map(str::as_bytes)));
        (*self.0).clone().chain_update(fields.finish()).finalize().into_bytes().into()
    }

    /// Checks a MAC in constant time.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] unless the MAC is complete and was made with this key over
    /// exactly these fields.
    pub fn verify<'a>(
        &self,
        record: MacContext,
        fields: impl IntoIterator<Item = Option<&'a str>>,
        mac: &[u8],
    ) -> Result<(), CryptoError> {
        use subtle::ConstantTimeEq as _;
        let expected = self.mac(record, fields);
        if expected.ct_eq(mac).into() { Ok(()) } else { Err(CryptoError::NotAuthentic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors::{bytes, vectors};
    use crate::crypto::{KeyBytes, Keyring};
    use crate::domain::KeyPurpose;

    fn key() -> AuditKey {
        AuditKey::new(&InstallationKey::generate(KeyPurpose::Audit).unwrap()).unwrap()
    }

    #[test]
    fn a_mac_is_for_its_record_and_fields_alone() {
        let key = key();
        let mac = key.mac(MacContext::Event, [Some("a"), None]);
        assert!(key.verify(MacContext::Event, [Some("a"), None], &mac).is_ok());
        assert!(key.verify(MacContext::Cut, [Some("a"), None], &mac).is_err());
        assert!(key.verify(MacContext::Event, [Some("a"), Some("")], &mac).is_err());
        assert!(key.verify(MacContext::Event, [Some("a")], &mac).is_err());
        assert!(key.verify(MacContext::Event, [Some("a"), None], &mac[..31]).is_err());
        assert!(self::key().verify(MacContext::Event, [Some("a"), None], &mac).is_err());
    }

    #[test]
    fn a_records_mac_is_the_one_of_the_known_answers() {
        let known = vectors().records;
        let secret = KeyBytes::copy_of(&bytes(&known.key)).unwrap();
        let key = AuditKey::new(&InstallationKey::new(KeyPurpose::Audit, secret)).unwrap();
        let records = [
            MacContext::Event,
            MacContext::Chain,
            MacContext::Cut,
            MacContext::Outbox,
            MacContext::Setting,
            MacContext::DataKey,
            MacContext::ReplacedDataKey,
            MacContext::Project,
            MacContext::Milestone,
        ];
        assert_eq!(known.macs.len(), records.len());
        for (record, one) in records.into_iter().zip(known.macs) {
            assert_eq!(record.label(), one.purpose.as_bytes());
            assert_eq!(key.mac(record, one.fields.iter().map(Option::as_deref)).to_vec(), bytes(&one.mac));
        }
    }

    #[test]
    fn a_wrapped_key_of_the_installation_opens_for_its_purpose_alone() {
        let ring = Keyring::generate().unwrap();
        let own = InstallationKey::generate(KeyPurpose::Audit).unwrap();
        let wrapped = ring.wrap_own(&own).unwrap();
        let mac = AuditKey::new(&own).unwrap().mac(MacContext::Event, []);
        let unwrapped = ring.unwrap_own(KeyPurpose::Audit, &wrapped).unwrap();
        assert_eq!(AuditKey::new(&unwrapped).unwrap().mac(MacContext::Event, []), mac);
        assert!(ring.unwrap_own(KeyPurpose::Signing, &wrapped).is_err());
        assert!(Keyring::generate().unwrap().unwrap_own(KeyPurpose::Audit, &wrapped).is_err());
    }
}
