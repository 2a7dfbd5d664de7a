//! The keyring: master keys that wrap data keys and the installation's keys.

use super::aead::{self, KeyBytes, NONCE_BYTES};
use super::installation_key::InstallationKey;
use super::keyring_error::KeyringError;
use super::wrapping::{WrapContext, WrappedKey};
use super::{CryptoError, DataKey};
use crate::domain::{DataKeyId, KeyPurpose, ProjectId};
use std::collections::BTreeMap;

const WRAP: &[u8] = b"project-vault/v1/wrap";
/// Maximum length of a master key's id, in bytes.
const MAX_ID: usize = 64;

/// Master keys of 32 bytes, by id: one encrypts, all decrypt. Zeroized on drop; it cannot be
/// printed, copied or serialized except by [`Self::to_text`].
pub struct Keyring {
    pub(super) current: String,
    pub(super) keys: BTreeMap<String, KeyBytes>,
}

impl Keyring {
    /// A keyring with one new key.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] when the operating system gives no randomness.
    pub fn generate() -> Result<Self, KeyringError> {
        let mut ring = Self { current: String::new(), keys: BTreeMap::new() };
        ring.add_key()?;
        Ok(ring)
    }

    /// Adds a new key that encrypts from now on; the others still decrypt. Returns its id: `k-` and
    /// eight random hex digits.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] when the operating system gives no randomness; the keyring is then
    /// as it was.
    pub fn add_key(&mut self) -> Result<String, KeyringError> {
        let key = KeyBytes::random()?;
        let id = loop {
            let mut random = [0; 4];
            getrandom::fill(&mut random).map_err(|_| CryptoError::Randomness)?;
            let id = format!("k-{}", data_encoding::HEXLOWER.encode(&random));
            if !self.keys.contains_key(&id) {
                break id;
            }
        };
        self.keys.insert(id.clone(), key);
        self.current.clone_from(&id);
        Ok(id)
    }

    /// The id of the key that encrypts.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.current
    }

    /// The ids of all keys, in the order of their bytes.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`KeyringError::Current`] for the key that encrypts, [`KeyringError::UnknownKey`] for one
    /// that is not there.
    pub fn remove_key(&mut self, id: &str) -> Result<(), KeyringError> {
        if id == self.current {
            return Err(KeyringError::Current(id.to_owned()));
        }
        self.keys.remove(id).map(drop).ok_or_else(|| KeyringError::UnknownKey(id.to_owned()))
    }

    /// Wraps a project's data key with the current key: AES-256-GCM (NIST SP 800-38D), bound to the
    /// project, the data key's id and the master key's.
    ///
    /// # Errors
    /// [`KeyringError::Crypto`] when the operating system gives no randomness.
    pub fn wrap(&self, project: &ProjectId, id: DataKeyId, key: &DataKey) -> Result<WrappedKey, KeyringError> {
        self.wrap_secret(key.secret(), &WrapContext::for_data_key(project, id))
    }

    /// Wraps a key of the installation, as [`Self::wrap`] does a project's; it is bound to its
    /// purpose.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_own(&self, key: &InstallationKey) -> Result<WrappedKey, KeyringError> {
        self.wrap_secret(key.secret(), &WrapContext::for_installation_key(key.purpose()))
    }

    /// Wraps 32 secret bytes, as [`Self::wrap`] does a data key.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_secret(&self, secret: &KeyBytes, context: &WrapContext) -> Result<WrappedKey, KeyringError> {
        self.wrap_with(aead::random_nonce()?, context, secret)
    }

    fn wrap_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: &WrapContext,
        secret: &KeyBytes,
    ) -> Result<WrappedKey, KeyringError> {
        let master = self.keys.get(&self.current).ok_or_else(|| KeyringError::CurrentNotThere(self.current.clone()))?;
        let bytes = aead::seal(&master.derive(WRAP)?, nonce, &context.and(&self.current), secret.expose())?;
        Ok(WrappedKey { master_key: self.current.clone(), bytes })
    }

    /// Unwraps a project's data key.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKey`] when the keyring lacks the master key,
    /// [`KeyringError::WrongKey`] when its key of that id does not open these bytes for this
    /// project and data key.
    pub fn unwrap(&self, project: &ProjectId, id: DataKeyId, wrapped: &WrappedKey) -> Result<DataKey, KeyringError> {
        DataKey::unwrapped(self.unwrap_secret(wrapped, &WrapContext::for_data_key(project, id))?)
    }

    /// Unwraps a key of the installation.
    ///
    /// # Errors
    /// As [`Self::unwrap`].
    pub fn unwrap_own(&self, purpose: KeyPurpose, wrapped: &WrappedKey) -> Result<InstallationKey, KeyringError> {
        let secret = self.unwrap_secret(wrapped, &WrapContext::for_installation_key(purpose))?;
        Ok(InstallationKey::unwrapped(purpose, secret))
    }

    /// Unwraps what [`Self::wrap_secret`] wrapped with the same context.
    ///
    /// # Errors
    /// As [`Self::unwrap`].
    pub fn unwrap_secret(&self, wrapped: &WrappedKey, context: &WrapContext) -> Result<KeyBytes, KeyringError> {
        let name = &wrapped.master_key;
        let master = self.keys.get(name).ok_or_else(|| KeyringError::UnknownKey(name.clone()))?;
        aead::open(&master.derive(WRAP)?, &context.and(name), &wrapped.bytes)
            .ok()
            .and_then(|secret| KeyBytes::copy_of(&secret))
            .ok_or_else(|| KeyringError::WrongKey(name.clone()))
    }
}

/// Whether a text is an id of a master key. The Base64 of a key never is, because it ends in `=`.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors::{Vectors, bytes, vectors};
    use uuid::Uuid;

    fn project() -> ProjectId {
        ProjectId::parse("p").unwrap()
    }

    fn id() -> DataKeyId {
        DataKeyId(Uuid::from_u128(1))
    }

    fn refusal(ring: &Keyring, wrapped: &WrappedKey) -> Option<KeyringError> {
        ring.unwrap(&project(), id(), wrapped).err()
    }

    #[test]
    fn a_data_key_is_wrapped_exactly_as_the_known_answers_say() {
        let Vectors { place, wrapped: known, .. } = vectors();
        let (key, project) = (place.key(), place.project());
        let place = place.place(&project);
        let ring = Keyring::parse(&known.keyring).unwrap();
        let nonce = bytes(&known.nonce).try_into().unwrap();
        let wrapped =
            ring.wrap_with(nonce, &WrapContext::for_data_key(&project, place.data_key), key.secret()).unwrap();
        assert_eq!(wrapped.master_key, known.master_key);
        assert_eq!(wrapped.bytes, bytes(&known.bytes));
        let unwrapped = ring.unwrap(&project, place.data_key, &wrapped).unwrap();
        assert_eq!(unwrapped.secret().expose(), key.secret().expose());
    }

    #[test]
    fn a_new_key_encrypts_and_the_old_one_still_decrypts() {
        let mut ring = Keyring::generate().unwrap();
        let first = ring.current_id().to_owned();
        let key = DataKey::generate().unwrap();
        let old = ring.wrap(&project(), id(), &key).unwrap();
        let second = ring.add_key().unwrap();
        assert_ne!(first, second);
        assert_eq!(ring.current_id(), second);
        assert!(ring.ids().eq([&first, &second].into_iter().collect::<std::collections::BTreeSet<_>>()));
        let new = ring.wrap(&project(), id(), &key).unwrap();
        assert_eq!((old.master_key.as_str(), new.master_key.as_str()), (first.as_str(), second.as_str()));
        for wrapped in [&old, &new] {
            assert_eq!(ring.unwrap(&project(), id(), wrapped).ok().unwrap().secret().expose(), key.secret().expose());
        }
    }

    #[test]
    fn a_generated_id_is_short_and_readable() {
        let ring = Keyring::generate().unwrap();
        let id = ring.current_id();
        let digits = id.strip_prefix("k-").unwrap();
        assert!(
            is_id(id) && digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
            "{id}"
        );
    }

    #[test]
    fn a_missing_key_is_told_apart_from_a_wrong_one() {
        let ring = Keyring::generate().unwrap();
        let wrapped = ring.wrap(&project(), id(), &DataKey::generate().unwrap()).unwrap();
        let missing = refusal(&Keyring::generate().unwrap(), &wrapped).unwrap();
        assert!(matches!(&missing, KeyringError::UnknownKey(id) if *id == wrapped.master_key));
        assert!(missing.to_string().contains(&wrapped.master_key), "{missing}");

        let mut wrong = Keyring::generate().unwrap();
        wrong.keys.insert(wrapped.master_key.clone(), KeyBytes::random().unwrap());
        let wrong = refusal(&wrong, &wrapped).unwrap();
        assert!(matches!(&wrong, KeyringError::WrongKey(id) if *id == wrapped.master_key));
        assert!(wrong.to_string().contains(&wrapped.master_key), "{wrong}");
    }

    #[test]
    fn a_wrapped_key_opens_only_for_its_project_and_ids() {
        let mut ring = Keyring::generate().unwrap();
        let wrapped = ring.wrap(&project(), id(), &DataKey::generate().unwrap()).unwrap();
        let other = ProjectId::parse("q").unwrap();
        assert!(matches!(ring.unwrap(&other, id(), &wrapped).err(), Some(KeyringError::WrongKey(_))));
        let other = DataKeyId(Uuid::from_u128(2));
        assert!(matches!(ring.unwrap(&project(), other, &wrapped).err(), Some(KeyringError::WrongKey(_))));
        // The same key under another id.
        let same = KeyBytes::copy_of(ring.keys[&wrapped.master_key].expose()).unwrap();
        ring.keys.insert("other".into(), same);
        let moved = WrappedKey { master_key: "other".into(), ..wrapped.clone() };
        assert!(matches!(refusal(&ring, &moved), Some(KeyringError::WrongKey(id)) if id == "other"));
        assert!(refusal(&ring, &wrapped).is_none());
    }

    #[test]
    fn a_changed_or_cut_wrapped_key_does_not_open() {
        let ring = Keyring::generate().unwrap();
        let wrapped = ring.wrap(&project(), id(), &DataKey::generate().unwrap()).unwrap();
        assert_eq!(wrapped.bytes.len(), 60);
        for at in 0..wrapped.bytes.len() {
            let mut changed = wrapped.clone();
            changed.bytes[at] ^= 1;
            assert!(matches!(refusal(&ring, &changed), Some(KeyringError::WrongKey(_))), "byte {at}");
            let cut = WrappedKey { bytes: wrapped.bytes[..at].to_vec(), ..wrapped.clone() };
            assert!(matches!(refusal(&ring, &cut), Some(KeyringError::WrongKey(_))), "cut at {at}");
        }
    }

    #[test]
    fn an_authentic_key_of_another_length_is_refused() {
        let ring = Keyring::generate().unwrap();
        let name = ring.current_id().to_owned();
        let wrapping = ring.keys[&name].derive(WRAP).unwrap();
        let bytes =
            aead::seal(&wrapping, [0; 12], &WrapContext::for_data_key(&project(), id()).and(&name), &[1; 31]).unwrap();
        let wrapped = WrappedKey { master_key: name, bytes };
        assert!(matches!(refusal(&ring, &wrapped), Some(KeyringError::WrongKey(_))));
    }
}
