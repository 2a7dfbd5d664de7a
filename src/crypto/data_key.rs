//! A project's data key, which seals values and hints.

use super::CryptoError;
use super::aead::{self, KeyBytes, NONCE_BYTES};
use super::fields::Fields;
use super::hint::Hint;
use crate::domain::{DataKeyId, EntryId, ProjectId};
use hmac::{Hmac, KeyInit as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use zeroize::Zeroize as _;

const VALUE: &[u8] = b"value";
const HINT: &[u8] = b"hint";

/// What a ciphertext is bound to. It opens with the same context and no other.
#[derive(Debug, Clone, Copy)]
pub struct CiphertextContext<'a> {
    /// The project the entry belongs to.
    pub project: &'a ProjectId,
    /// The entry the ciphertext belongs to.
    pub entry: EntryId,
    /// The version the ciphertext was written for.
    pub version: i32,
    /// The data key that sealed it.
    pub data_key: DataKeyId,
}

impl CiphertextContext<'_> {
    fn associated(&self, purpose: &[u8]) -> Vec<u8> {
        Fields::new(purpose)
            .bytes(self.project.as_str().as_bytes())
            .bytes(self.entry.0.as_bytes())
            .number(self.version)
            .bytes(self.data_key.0.as_bytes())
            .finish()
    }
}

/// The key of one project's values: 32 random bytes, and a key for each purpose, derived from them
/// with HKDF-SHA256 (RFC 5869). Zeroized on drop; it cannot be printed, copied or serialized, only
/// wrapped by a [`super::Keyring`].
pub struct DataKey {
    pub(super) secret: KeyBytes,
    value: KeyBytes,
    hint: KeyBytes,
    row_mac: Box<Hmac<Sha256>>,
}

impl DataKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`CryptoError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, CryptoError> {
        Self::from_secret(KeyBytes::random()?)
    }

    pub(super) fn from_secret(secret: KeyBytes) -> Result<Self, CryptoError> {
        let row_mac = secret.derive(b"project-vault/v1/row-mac")?;
        Ok(Self {
            value: secret.derive(b"project-vault/v1/value")?,
            hint: secret.derive(b"project-vault/v1/hint")?,
            row_mac: Box::new(Hmac::new_from_slice(row_mac.expose()).map_err(|_| CryptoError::Limit)?),
            secret,
        })
    }

    /// Identifies the key without revealing it: 32 bytes derived from it, in lower-case hex.
    ///
    /// # Errors
    /// Never; the type allows [`CryptoError::Limit`].
    pub fn fingerprint(&self) -> Result<String, CryptoError> {
        Ok(data_encoding::HEXLOWER.encode(self.secret.derive(b"project-vault/v1/fingerprint")?.expose()))
    }

    /// The HMAC of a row, keyed and empty.
    pub(super) fn row_mac(&self) -> Hmac<Sha256> {
        (*self.row_mac).clone()
    }

    /// Seals an entry's value for its context: AES-256-GCM with a random 96-bit nonce (NIST SP
    /// 800-38D). Returns nonce, ciphertext and tag, [`super::OVERHEAD`] bytes more than the value.
    ///
    /// # Errors
    /// [`CryptoError::Randomness`] when the operating system gives none.
    pub fn seal_value(&self, context: &CiphertextContext<'_>, value: &SecretString) -> Result<Vec<u8>, CryptoError> {
        self.seal_value_with(aead::random_nonce()?, context, value)
    }

    fn seal_value_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: &CiphertextContext<'_>,
        value: &SecretString,
    ) -> Result<Vec<u8>, CryptoError> {
        aead::seal(&self.value, nonce, &context.associated(VALUE), value.expose_secret().as_bytes())
    }

    /// Opens what [`Self::seal_value`] wrote for the same context.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] for any other context, key or bytes; [`CryptoError::Form`]
    /// when the value is not UTF-8.
    pub fn open_value(&self, context: &CiphertextContext<'_>, sealed: &[u8]) -> Result<SecretString, CryptoError> {
        let mut plaintext = aead::open(&self.value, &context.associated(VALUE), sealed)?;
        match String::from_utf8(std::mem::take(&mut *plaintext)) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(CryptoError::Form)
            }
        }
    }

    /// Seals what people may see of a value, for the value's context but with another key, so that
    /// showing it never opens the value.
    ///
    /// # Errors
    /// [`CryptoError::Randomness`] when the operating system gives none.
    pub fn seal_hint(&self, context: &CiphertextContext<'_>, hint: &Hint) -> Result<Vec<u8>, CryptoError> {
        self.seal_hint_with(aead::random_nonce()?, context, hint)
    }

    fn seal_hint_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: &CiphertextContext<'_>,
        hint: &Hint,
    ) -> Result<Vec<u8>, CryptoError> {
        aead::seal(&self.hint, nonce, &context.associated(HINT), &hint.write()?)
    }

    /// Opens what [`Self::seal_hint`] wrote for the same context.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] for any other context, key or bytes; [`CryptoError::Form`] for
    /// an unknown form.
    pub fn open_hint(&self, context: &CiphertextContext<'_>, sealed: &[u8]) -> Result<Hint, CryptoError> {
        Hint::read(&aead::open(&self.hint, &context.associated(HINT), sealed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors::{Vectors, bytes, vectors};
    use crate::crypto::{Certificate, OVERHEAD};
    use crate::domain::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn key() -> DataKey {
        DataKey::from_secret(KeyBytes::copy_of(&[9; 32]).unwrap()).unwrap()
    }

    fn with_place<T>(run: impl FnOnce(CiphertextContext<'_>) -> T) -> T {
        let project = ProjectId::parse("p1").unwrap();
        let (entry, data_key) = (EntryId(Uuid::from_u128(1)), DataKeyId(Uuid::from_u128(2)));
        run(CiphertextContext { project: &project, entry, version: 3, data_key })
    }

    fn hint() -> Hint {
        Hint { masked: "abc****xyz".to_owned().into(), certificate: None }
    }

    #[test]
    fn a_value_is_sealed_exactly_as_the_known_answers_say() {
        let Vectors { place, value, .. } = vectors();
        let (key, project) = (place.key(), place.project());
        let place = place.place(&project);
        let secret = SecretString::from(value.plaintext.as_str());
        let sealed = key.seal_value_with(bytes(&value.nonce).try_into().unwrap(), &place, &secret).unwrap();
        assert_eq!(sealed, bytes(&value.sealed));
        assert_eq!(key.open_value(&place, &sealed).unwrap().expose_secret(), value.plaintext);
    }

    #[test]
    fn a_hint_is_sealed_exactly_as_the_known_answers_say() {
        let Vectors { place, hints, .. } = vectors();
        let (key, project) = (place.key(), place.project());
        let place = place.place(&project);
        assert_eq!(hints.len(), 2);
        for known in hints {
            let certificate = known.certificate.map(|facts| Certificate {
                subject: facts.subject,
                issuer: facts.issuer,
                not_before: Timestamp::from_millis(facts.not_before),
                not_after: Timestamp::from_millis(facts.not_after),
                fingerprint: facts.fingerprint,
            });
            let hint = Hint { masked: known.masked.clone().into(), certificate: certificate.clone() };
            let sealed = key.seal_hint_with(bytes(&known.nonce).try_into().unwrap(), &place, &hint).unwrap();
            assert_eq!(sealed, bytes(&known.sealed));
            let opened = key.open_hint(&place, &sealed).unwrap();
            assert_eq!(*opened.masked, known.masked);
            assert_eq!(opened.certificate, certificate);
        }
    }

    #[test]
    fn a_changed_byte_or_a_cut_anywhere_fails_authentication() {
        with_place(|place| {
            let key = key();
            let value = key.seal_value(&place, &SecretString::from("a value")).unwrap();
            let sealed_hint = key.seal_hint(&place, &hint()).unwrap();
            let opens =
                |value: &[u8], hint: &[u8]| (key.open_value(&place, value).err(), key.open_hint(&place, hint).err());
            assert_eq!(opens(&value, &sealed_hint), (None, None));
            let refused = Some(CryptoError::NotAuthentic);
            for sealed in [&value, &sealed_hint] {
                for at in 0..sealed.len() {
                    for bit in [1, 0x80] {
                        let mut changed = sealed.clone();
                        changed[at] ^= bit;
                        assert_eq!(opens(&changed, &changed), (refused, refused), "byte {at}");
                    }
                    assert_eq!(opens(&sealed[..at], &sealed[..at]), (refused, refused), "cut at {at}");
                    assert_eq!(opens(&sealed[at + 1..], &sealed[at + 1..]), (refused, refused), "cut before {at}");
                }
                let mut longer = sealed.clone();
                longer.push(0);
                assert_eq!(opens(&longer, &longer), (refused, refused));
            }
        });
    }

    #[test]
    fn a_ciphertext_opens_at_no_other_place() {
        with_place(|place| {
            let key = key();
            let value = key.seal_value(&place, &SecretString::from("a value")).unwrap();
            let sealed_hint = key.seal_hint(&place, &hint()).unwrap();
            let project = ProjectId::parse("p2").unwrap();
            for other in [
                CiphertextContext { project: &project, ..place },
                CiphertextContext { entry: EntryId(Uuid::from_u128(7)), ..place },
                CiphertextContext { version: 4, ..place },
                CiphertextContext { version: -3, ..place },
                CiphertextContext { data_key: DataKeyId(Uuid::from_u128(7)), ..place },
                CiphertextContext { entry: EntryId(place.data_key.0), data_key: DataKeyId(place.entry.0), ..place },
            ] {
                assert_eq!(key.open_value(&other, &value).err(), Some(CryptoError::NotAuthentic), "{other:?}");
                assert_eq!(key.open_hint(&other, &sealed_hint).err(), Some(CryptoError::NotAuthentic), "{other:?}");
            }
        });
    }

    #[test]
    fn a_value_is_no_hint_and_a_hint_is_no_value() {
        with_place(|place| {
            let key = key();
            let value = key.seal_value(&place, &SecretString::from(r#"{"masked":"****"}"#)).unwrap();
            let sealed_hint = key.seal_hint(&place, &hint()).unwrap();
            assert_eq!(key.open_hint(&place, &value).err(), Some(CryptoError::NotAuthentic));
            assert_eq!(key.open_value(&place, &sealed_hint).err(), Some(CryptoError::NotAuthentic));
            // The purpose is authenticated besides having its own key.
            let swapped = aead::seal(&key.hint, [1; 12], &place.associated(VALUE), b"{\"masked\":\"\"}").unwrap();
            assert_eq!(key.open_hint(&place, &swapped).err(), Some(CryptoError::NotAuthentic));
        });
    }

    #[test]
    fn another_key_opens_nothing() {
        with_place(|place| {
            let value = key().seal_value(&place, &SecretString::from("a value")).unwrap();
            let other = DataKey::generate().unwrap();
            assert_eq!(other.open_value(&place, &value).err(), Some(CryptoError::NotAuthentic));
        });
    }

    #[test]
    fn what_is_authentic_but_not_of_the_known_form_is_refused() {
        with_place(|place| {
            let key = key();
            let value = aead::seal(&key.value, [1; 12], &place.associated(VALUE), b"\xff\xfe").unwrap();
            assert_eq!(key.open_value(&place, &value).err(), Some(CryptoError::Form));
            for plaintext in [&b""[..], b"{}", b"[]", b"\xff", br#"{"masked":1}"#, br#"{"masked":"","certificate":{}}"#]
            {
                let sealed = aead::seal(&key.hint, [1; 12], &place.associated(HINT), plaintext).unwrap();
                assert_eq!(key.open_hint(&place, &sealed).err(), Some(CryptoError::Form), "{plaintext:?}");
            }
        });
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_was_sealed(text in "\\PC{0,300}|[\\x00-\\x7f]{0,100}") {
            with_place(|place| {
                let key = key();
                let sealed = key.seal_value(&place, &SecretString::from(text.as_str())).unwrap();
                prop_assert_eq!(sealed.len(), text.len() + OVERHEAD);
                let opened = key.open_value(&place, &sealed).unwrap();
                prop_assert_eq!(opened.expose_secret(), text.as_str());
                prop_assert_ne!(sealed, key.seal_value(&place, &opened).unwrap());
                Ok(())
            })?;
        }

        #[test]
        fn arbitrary_bytes_never_open(sealed in proptest::collection::vec(any::<u8>(), 0..80)) {
            with_place(|place| {
                prop_assert_eq!(key().open_value(&place, &sealed).err(), Some(CryptoError::NotAuthentic));
                Ok(())
            })?;
        }
    }
}
