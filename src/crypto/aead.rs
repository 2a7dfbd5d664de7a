//! 32-byte keys, and AES-256-GCM with them (NIST SP 800-38D).

use super::CryptoError;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _, Nonce, Tag};
use aes_gcm::{Aes256Gcm, Key};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

/// The length of every key, in bytes.
pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// How much longer a sealed text is than its plaintext, in bytes: a nonce of 12 before it and a tag
/// of 16 after it.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;

/// 32 secret bytes. On the heap, so that moving the owner leaves no copy behind; zeroized on drop.
/// They cannot be printed, copied or serialized.
pub struct KeyBytes(Box<[u8; KEY_BYTES]>);

impl KeyBytes {
    fn zeros() -> Self {
        Self(Box::new([0; KEY_BYTES]))
    }

    pub(super) fn random() -> Result<Self, CryptoError> {
        let mut key = Self::zeros();
        getrandom::fill(&mut key.0[..]).map_err(|_| CryptoError::Randomness)?;
        Ok(key)
    }

    /// Copies exactly 32 bytes; `None` for any other length.
    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::zeros();
        (bytes.len() == KEY_BYTES).then(|| {
            key.0.copy_from_slice(bytes);
            key
        })
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Derives the key for one purpose with HKDF-SHA256 (RFC 5869), without salt: this key is
    /// already uniformly random, which is all a salt would ensure (section 3.1).
    pub(super) fn derive(&self, label: &[u8]) -> Result<Self, CryptoError> {
        let mut key = Self::zeros();
        Hkdf::<Sha256>::new(None, &self.0[..]).expand(label, &mut key.0[..]).map_err(|_| CryptoError::Limit)?;
        Ok(key)
    }
}

impl Drop for KeyBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A nonce of 96 random bits (NIST SP 800-38D, section 8.2.2).
pub(super) fn random_nonce() -> Result<[u8; NONCE_BYTES], CryptoError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| CryptoError::Randomness)?;
    Ok(nonce)
}

/// Returns nonce, ciphertext and tag. The caller must not use a nonce twice with a key.
pub(super) fn seal(
    key: &KeyBytes,
    nonce: [u8; NONCE_BYTES],
    associated: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let mut sealed = Vec::with_capacity(OVERHEAD + plaintext.len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let nonce = Nonce::<Aes256Gcm>::from(nonce);
    let Ok(tag) = cipher(key).encrypt_inout_detached(&nonce, associated, (&mut sealed[NONCE_BYTES..]).into()) else {
        sealed.zeroize();
        return Err(CryptoError::Limit);
    };
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Returns the plaintext in a buffer of exactly its length, so that converting it to a string
/// copies nothing.
pub(super) fn open(key: &KeyBytes, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(CryptoError::NotAuthentic)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(CryptoError::NotAuthentic)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let (nonce, tag) = (Nonce::<Aes256Gcm>::from(*nonce), Tag::<Aes256Gcm>::from(*tag));
    cipher(key)
        .decrypt_inout_detached(&nonce, associated, plaintext.as_mut_slice().into(), &tag)
        .map_err(|_| CryptoError::NotAuthentic)?;
    Ok(plaintext)
}

fn cipher(key: &KeyBytes) -> Aes256Gcm {
    Aes256Gcm::new(<&Key<Aes256Gcm>>::from(key.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_exactly_32_bytes() {
        assert!(KeyBytes::copy_of(&[1; 32]).is_some());
        assert!(KeyBytes::copy_of(&[1; 31]).is_none());
        assert!(KeyBytes::copy_of(&[1; 33]).is_none());
    }

    #[test]
    fn keys_and_nonces_are_never_the_same_twice() {
        let (one, other) = (KeyBytes::random().unwrap(), KeyBytes::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_ne!(random_nonce().unwrap(), random_nonce().unwrap());
    }

    #[test]
    fn a_derived_key_differs_by_label() {
        let key = KeyBytes::copy_of(&[7; 32]).unwrap();
        let (one, other) = (key.derive(b"one").unwrap(), key.derive(b"other").unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose(), key.derive(b"one").unwrap().expose());
    }

    /// The GCM specification's test case 14: a key, nonce and block of zeros.
    #[test]
    fn sealing_is_aes_256_gcm() {
        let key = KeyBytes::copy_of(&[0; 32]).unwrap();
        let sealed = seal(&key, [0; 12], b"", &[0; 16]).unwrap();
        let expected = "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
        assert_eq!(data_encoding::HEXLOWER.encode(&sealed), expected);
        assert_eq!(*open(&key, b"", &sealed).unwrap(), [0; 16]);
    }
}
