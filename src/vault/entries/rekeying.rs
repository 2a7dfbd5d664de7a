//! Moves an entry to another data key: seals its values and hints again and makes the MACs of its
//! rows again. Its content stays the same, but its revision grows, so the rows under the old key
//! count as outdated.

use super::Entries;
use super::rows::{Tampered, ciphertext_context, sign_entry, sign_version, verify_entry, verify_version};
use crate::crypto::{CryptoError, DataKey};
use crate::domain::{Error, Result};
use crate::permission::Rekeying;
use crate::store::Tx;
use crate::store::records::{CiphertextRow, EntryRow, VersionRow};
use crate::vault::keys::ProjectKeys;
use std::sync::Arc;

/// The rows of an entry under another data key, not written yet.
pub(in crate::vault) struct Rekeyed {
    entry: EntryRow,
    versions: Vec<VersionRow>,
    ciphertexts: Vec<CiphertextRow>,
}

/// Reads the versions and ciphertexts of an entry, and seals and signs them and its row under the
/// key `new`. `to` is the entry's row as it is to be, with the id of the new key. The inner error
/// means that something failed authentication.
pub(in crate::vault) async fn rekeyed(
    tx: &mut Tx,
    row: &EntryRow,
    to: EntryRow,
    old: &DataKey,
    new: &DataKey,
) -> Result<Result<Rekeyed, Tampered>> {
    let versions = tx.version_rows(row.id).await?;
    let ciphertexts = tx.ciphertext_rows(row.id).await?;
    match reseal(row, to, old, new, versions, ciphertexts) {
        Ok(rekeyed) => Ok(Ok(rekeyed)),
        Err(CryptoError::NotAuthentic | CryptoError::Form | CryptoError::NoCertificate) => Ok(Err(Tampered)),
        Err(error @ (CryptoError::Randomness | CryptoError::Limit | CryptoError::Recipient)) => {
            Err(Error::internal(error))
        }
    }
}

/// Authenticates everything before signing it, so that nothing forged is signed again.
fn reseal(
    from: &EntryRow,
    mut to: EntryRow,
    old: &DataKey,
    new: &DataKey,
    mut versions: Vec<VersionRow>,
    mut ciphertexts: Vec<CiphertextRow>,
) -> Result<Rekeyed, CryptoError> {
    let tampered = |_: Tampered| CryptoError::NotAuthentic;
    verify_entry(from, old).map_err(tampered)?;
    for version in &mut versions {
        verify_version(from, version, old).map_err(tampered)?;
        sign_version(&to, version, new);
    }
    for ciphertext in &mut ciphertexts {
        if ciphertext.data_key != from.data_key {
            return Err(CryptoError::NotAuthentic);
        }
        let (was, is) = (ciphertext_context(from, ciphertext.version), ciphertext_context(&to, ciphertext.version));
        ciphertext.value = new.seal_value(&is, &old.open_value(&was, &ciphertext.value)?)?;
        ciphertext.hint = new.seal_hint(&is, &old.open_hint(&was, &ciphertext.hint)?)?;
        ciphertext.data_key = to.data_key;
    }
    sign_entry(&mut to, new);
    Ok(Rekeyed { entry: to, versions, ciphertexts })
}

impl Rekeyed {
    /// Writes the rows, counts the sealed values, and gives the entry's row. The caller has held
    /// the project's lock since before the rows were read.
    pub(in crate::vault) async fn write(self, tx: &mut Tx, by: &Rekeying) -> Result<EntryRow> {
        tx.count_sealed(self.entry.data_key, i64::try_from(self.ciphertexts.len()).unwrap_or(i64::MAX)).await?;
        tx.rekey_entry(by, &self.entry, &self.versions, &self.ciphertexts).await?;
        Ok(self.entry)
    }
}

impl Entries {
    /// Moves an entry to the project's encrypting data key, unless it is under it, and gives the
    /// entry's data key. An entry whose versions or ciphertexts fail authentication keeps its key.
    /// The caller holds the project's lock and has verified the entry's row.
    pub(super) async fn follow_encrypting_key(
        &self,
        tx: &mut Tx,
        keys: &ProjectKeys,
        by: &Rekeying,
        row: &mut EntryRow,
        key: Arc<DataKey>,
    ) -> Result<Arc<DataKey>> {
        let (encrypting, new) = keys.encrypting()?;
        if encrypting.id == row.data_key {
            return Ok(key);
        }
        // The caller's change raises the revision.
        let to = EntryRow { data_key: encrypting.id, ..row.clone() };
        match rekeyed(tx, row, to, &key, &new).await? {
            Ok(moved) => {
                *row = moved.write(tx, by).await?;
                Ok(new)
            }
            Err(error) => {
                tracing::error!(entry = %row.id, %error, "an entry is not put under its project's encrypting data key");
                Ok(key)
            }
        }
    }
}
