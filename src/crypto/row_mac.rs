//! MACs of rows, which detect a change of an entry or version that the vault did not make.

use super::fields::Fields;
use super::{CryptoError, DataKey};
use crate::domain::{Category, DataKeyId, EntryId, MilestoneId, ProjectId, Timestamp};
use hmac::Mac as _;

/// The facts that the MAC of an entry's row covers.
#[derive(Debug, Clone, Copy)]
pub struct EntryFacts<'a> {
    /// The project the entry belongs to.
    pub project: &'a ProjectId,
    /// The entry's id.
    pub entry: EntryId,
    /// The milestone the entry belongs to; `None` for the whole project.
    pub milestone: Option<&'a MilestoneId>,
    /// The name agents receive it under.
    pub name: &'a str,
    /// The kind of credential, which decides what is shown of it.
    pub category: Category,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether a person disabled it.
    pub disabled: bool,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// The version agents receive.
    pub current_version: i32,
    /// Number of changes.
    pub revision: i32,
    /// The data key of this MAC and of the entry's ciphertexts.
    pub data_key: DataKeyId,
}

/// The facts that the MAC of a version's row covers.
#[derive(Debug, Clone, Copy)]
pub struct VersionFacts<'a> {
    /// The project the entry belongs to.
    pub project: &'a ProjectId,
    /// The entry's id.
    pub entry: EntryId,
    /// The version's number.
    pub version: i32,
    /// The version its ciphertext was written for.
    pub ciphertext_version: i32,
    /// The version whose value a rollback brought back.
    pub restored_from: Option<i32>,
    /// When the value expires, if it is a certificate.
    pub not_after: Option<Timestamp>,
    /// The entry's data key.
    pub data_key: DataKeyId,
}

impl EntryFacts<'_> {
    fn encode(&self) -> Vec<u8> {
        Fields::new(b"entry-row")
            .bytes(self.project.as_str().as_bytes())
            .bytes(self.entry.0.as_bytes())
            .option(self.milestone.map(|milestone| milestone.as_str().as_bytes()))
            .bytes(self.name.as_bytes())
            .bytes(self.category.as_str().as_bytes())
            .instant(self.expires_at)
            .flag(self.disabled)
            .instant(self.deleted_at)
            .number(self.current_version)
            .number(self.revision)
            .bytes(self.data_key.0.as_bytes())
            .finish()
    }
}

impl VersionFacts<'_> {
    fn encode(&self) -> Vec<u8> {
        Fields::new(b"version-row")
            .bytes(self.project.as_str().as_bytes())
            .bytes(self.entry.0.as_bytes())
            .number(self.version)
            .number(self.ciphertext_version)
            .option(self.restored_from.map(i32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice))
            .instant(self.not_after)
            .bytes(self.data_key.0.as_bytes())
            .finish()
    }
}

impl DataKey {
    /// The MAC of an entry's row: HMAC-SHA256 (RFC 2104) with a key used for row MACs alone.
    #[must_use]
    pub fn entry_mac(&self, facts: &EntryFacts<'_>) -> [u8; 32] {
        self.mac(&facts.encode())
    }

    /// Checks an entry's row in constant time.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] unless the MAC is complete and was made with this key over
    /// exactly these facts.
    pub fn verify_entry_mac(&self, facts: &EntryFacts<'_>, mac: &[u8]) -> Result<(), CryptoError> {
        self.verify(&facts.encode(), mac)
    }

    /// The MAC of a version's row, made as [`Self::entry_mac`] is.
    #[must_use]
    pub fn version_mac(&self, facts: &VersionFacts<'_>) -> [u8; 32] {
        self.mac(&facts.encode())
    }

    /// Checks a version's row in constant time.
    ///
    /// # Errors
    /// As [`Self::verify_entry_mac`].
    pub fn verify_version_mac(&self, facts: &VersionFacts<'_>, mac: &[u8]) -> Result<(), CryptoError> {
        self.verify(&facts.encode(), mac)
    }

    fn mac(&self, encoded: &[u8]) -> [u8; 32] {
        self.row_mac().chain_update(encoded).finalize().into_bytes().into()
    }

    fn verify(&self, encoded: &[u8], mac: &[u8]) -> Result<(), CryptoError> {
        self.row_mac().chain_update(encoded).verify_slice(mac).map_err(|_| CryptoError::NotAuthentic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors::{Vectors, bytes, vectors};
    use std::collections::BTreeSet;
    use uuid::Uuid;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_entrys_mac_is_the_one_of_the_known_answers() {
        let Vectors { place, entry_rows, .. } = vectors();
        let (key, project) = (place.key(), place.project());
        let place = place.place(&project);
        assert_eq!(entry_rows.len(), 2);
        for row in entry_rows {
            let milestone = row.milestone.map(|id| MilestoneId::parse(id).unwrap());
            let facts = EntryFacts {
                project: place.project,
                entry: place.entry,
                milestone: milestone.as_ref(),
                name: &row.name,
                category: Category::parse(&row.category).unwrap(),
                expires_at: row.expires_at.map(Timestamp::from_millis),
                disabled: row.disabled,
                deleted_at: row.deleted_at.map(Timestamp::from_millis),
                current_version: row.current_version,
                revision: row.revision,
                data_key: place.data_key,
            };
            assert_eq!(key.entry_mac(&facts).to_vec(), bytes(&row.mac));
            assert_eq!(key.verify_entry_mac(&facts, &bytes(&row.mac)), Ok(()));
        }
    }

    #[test]
    fn a_versions_mac_is_the_one_of_the_known_answers() {
        let Vectors { place, version_rows, .. } = vectors();
        let (key, project) = (place.key(), place.project());
        let place = place.place(&project);
        assert_eq!(version_rows.len(), 2);
        for row in version_rows {
            let facts = VersionFacts {
                project: place.project,
                entry: place.entry,
                version: row.version,
                ciphertext_version: row.ciphertext_version,
                restored_from: row.restored_from,
                not_after: row.not_after.map(Timestamp::from_millis),
                data_key: place.data_key,
            };
            assert_eq!(key.version_mac(&facts).to_vec(), bytes(&row.mac));
            assert_eq!(key.verify_version_mac(&facts, &bytes(&row.mac)), Ok(()));
        }
    }

    #[test]
    fn every_fact_of_an_entry_changes_its_mac() {
        let key = DataKey::generate().unwrap();
        let (project, other_project) = (ProjectId::parse("p").unwrap(), ProjectId::parse("q").unwrap());
        let (milestone, other_milestone) = (MilestoneId::parse("m").unwrap(), MilestoneId::parse("n").unwrap());
        let facts = EntryFacts {
            project: &project,
            entry: EntryId(Uuid::from_u128(1)),
            milestone: None,
            name: "TOKEN",
            category: Category::Secret,
            expires_at: None,
            disabled: false,
            deleted_at: None,
            current_version: 1,
            revision: 2,
            data_key: DataKeyId(Uuid::from_u128(3)),
        };
        let all = [
            facts,
            EntryFacts { project: &other_project, ..facts },
            EntryFacts { entry: EntryId(Uuid::from_u128(9)), ..facts },
            EntryFacts { milestone: Some(&milestone), ..facts },
            EntryFacts { milestone: Some(&other_milestone), ..facts },
            EntryFacts { name: "TOKEN_", ..facts },
            EntryFacts { category: Category::Password, ..facts },
            EntryFacts { expires_at: Some(at(0)), ..facts },
            EntryFacts { expires_at: Some(at(1)), ..facts },
            EntryFacts { disabled: true, ..facts },
            EntryFacts { deleted_at: Some(at(0)), ..facts },
            EntryFacts { deleted_at: Some(at(1)), ..facts },
            EntryFacts { current_version: 2, ..facts },
            EntryFacts { revision: 1, ..facts },
            EntryFacts { current_version: 2, revision: 1, ..facts },
            EntryFacts { data_key: DataKeyId(Uuid::from_u128(9)), ..facts },
        ];
        let macs: BTreeSet<_> = all.iter().map(|facts| key.entry_mac(facts)).collect();
        assert_eq!(macs.len(), all.len());
        for other in &all[1..] {
            assert_eq!(
                key.verify_entry_mac(other, &key.entry_mac(&facts)),
                Err(CryptoError::NotAuthentic),
                "{other:?}"
            );
        }
    }

    fn version_facts(project: &ProjectId) -> VersionFacts<'_> {
        VersionFacts {
            project,
            entry: EntryId(Uuid::from_u128(1)),
            version: 3,
            ciphertext_version: 2,
            restored_from: None,
            not_after: None,
            data_key: DataKeyId(Uuid::from_u128(3)),
        }
    }

    #[test]
    fn every_fact_of_a_version_changes_its_mac() {
        let key = DataKey::generate().unwrap();
        let (project, other_project) = (ProjectId::parse("p").unwrap(), ProjectId::parse("q").unwrap());
        let facts = version_facts(&project);
        let all = [
            facts,
            VersionFacts { project: &other_project, ..facts },
            VersionFacts { entry: EntryId(Uuid::from_u128(9)), ..facts },
            VersionFacts { version: 2, ..facts },
            VersionFacts { ciphertext_version: 3, ..facts },
            VersionFacts { version: 2, ciphertext_version: 3, ..facts },
            VersionFacts { restored_from: Some(0), ..facts },
            VersionFacts { restored_from: Some(2), ..facts },
            VersionFacts { not_after: Some(at(0)), ..facts },
            VersionFacts { not_after: Some(at(1)), ..facts },
            VersionFacts { data_key: DataKeyId(Uuid::from_u128(9)), ..facts },
        ];
        let macs: BTreeSet<_> = all.iter().map(|facts| key.version_mac(facts)).collect();
        assert_eq!(macs.len(), all.len());
        for other in &all[1..] {
            let verified = key.verify_version_mac(other, &key.version_mac(&facts));
            assert_eq!(verified, Err(CryptoError::NotAuthentic), "{other:?}");
        }
    }

    #[test]
    fn a_changed_cut_or_foreign_mac_is_refused() {
        let (key, other) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
        let project = ProjectId::parse("p").unwrap();
        let facts = version_facts(&project);
        let mac = key.version_mac(&facts);
        assert_eq!(key.verify_version_mac(&facts, &mac), Ok(()));
        assert_eq!(other.verify_version_mac(&facts, &mac), Err(CryptoError::NotAuthentic));
        for index in 0..mac.len() {
            let mut changed = mac;
            changed[index] ^= 1;
            assert_eq!(key.verify_version_mac(&facts, &changed), Err(CryptoError::NotAuthentic));
            assert_eq!(key.verify_version_mac(&facts, &mac[..index]), Err(CryptoError::NotAuthentic));
        }
        assert_eq!(key.verify_version_mac(&facts, &[&mac[..], &[0]].concat()), Err(CryptoError::NotAuthentic));
    }
}
