//! Tokens that were verified, so that a signature is checked once and not with every request.
//!
//! Only the signature and the claims are remembered, by the token's SHA-256. Each use asks the
//! issuer's key set again for the key, and compares the clock again: a token stops working when its
//! key is withdrawn or its time is over, as without a memory.

use super::jwks::Key;
use super::verifier::{Lifetime, Verified};
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Maximum memory of all remembered tokens, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Upper bound of the memory per byte of a token: a list of short names takes several times its
/// text.
const MEMORY_PER_BYTE: usize = 8;
/// The memory of a token beside that, in bytes.
const FIXED_BYTES: usize = 256;

/// A verified token.
pub(super) struct Remembered {
    pub(super) key_id: String,
    /// The key that verified it. A key set that is read again has other instances of its keys.
    pub(super) key: Arc<Key>,
    pub(super) verified: Verified,
    pub(super) lifetime: Lifetime,
    /// The token's length, in bytes.
    pub(super) length: usize,
}

/// The tokens, by their SHA-256.
pub(super) struct RememberedTokens(Cache<[u8; 32], Arc<Remembered>>);

impl Default for RememberedTokens {
    fn default() -> Self {
        let weigher = |_: &[u8; 32], token: &Arc<Remembered>| {
            u32::try_from(MEMORY_PER_BYTE * token.length + FIXED_BYTES).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build())
    }
}

impl RememberedTokens {
    pub(super) fn id(token: &str) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    pub(super) fn get(&self, id: &[u8; 32]) -> Option<Arc<Remembered>> {
        self.0.get(id)
    }

    pub(super) fn insert(&self, id: [u8; 32], token: Remembered) {
        self.0.insert(id, Arc::new(token));
    }

    pub(super) fn forget(&self, id: &[u8; 32]) {
        self.0.invalidate(id);
    }
}
