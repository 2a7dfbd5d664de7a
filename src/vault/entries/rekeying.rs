//! Putting an entry under another data key: its values and hints are opened and sealed anew, its
//! rows' MACs made anew. What it says stays; its revision grows, so that the rows under the old key
//! are old ones.

use super::Entries;
use super::rows::{Tampered, ciphertext_context, sign_entry, sign_version, verify_entry, verify_version};
use crate::crypto::{CryptoError, DataKey};
use crate::domain::{Error, Result};
use crate::permission::Rekeying;
use crate::store::Tx;
use crate::store::records::{CiphertextRow, EntryRow, VersionRow};
use crate::vault::keys::ProjectKeys;
use std::sync::Arc;

/// An entry as it is to be under another data key; nothing is written yet.
pub(in crate::vault) struct Rekeyed {
    entry: EntryRow,
    versions: Vec<VersionRow>,
    ciphertexts: Vec<CiphertextRow>,
}

/// An entry with everything below it that carries a MAC or is sealed, as it is to be: `to` is its
/// row under the key `new`.
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

/// Everything is checked as it is read, so that nothing forged is signed anew.
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
    /// Writes it, counting what was sealed. The caller holds the project's lock since before it was
    /// read. Gives the entry's row.
    pub(in crate::vault) async fn write(self, tx: &mut Tx, by: &Rekeying) -> Result<EntryRow> {
        tx.count_sealed(self.entry.data_key, i64::try_from(self.ciphertexts.len()).unwrap_or(i64::MAX)).await?;
        tx.rekey_entry(by, &self.entry, &self.versions, &self.ciphertexts).await?;
        Ok(self.entry)
    }
}

impl Entries {
    /// Puts an entry under the encrypting data key, where it is not, and gives its key. An entry
    /// that fails authentication below its row is left where it is. The caller holds the project's
    /// lock and has checked the entry's row.
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
        // The change that takes it along raises its revision.
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
