//! The known answers of `tests/vectors/crypto.json`, which `scripts/vectors.py` computes with
//! another implementation.

use super::DataKey;
use super::aead::KeyBytes;
use super::data_key::CiphertextContext;
use crate::domain::{DataKeyId, EntryId, ProjectId};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Vectors {
    pub place: KnownPlace,
    pub value: KnownValue,
    pub hints: Vec<KnownHint>,
    pub wrapped: KnownWrapped,
    pub entry_rows: Vec<KnownEntry>,
    pub version_rows: Vec<KnownVersion>,
    pub records: KnownRecords,
}

#[derive(Deserialize)]
pub(super) struct KnownPlace {
    data_key_secret: String,
    project: String,
    entry: String,
    version: i32,
    data_key: String,
}

#[derive(Deserialize)]
pub(super) struct KnownValue {
    pub nonce: String,
    pub plaintext: String,
    pub sealed: String,
}

#[derive(Deserialize)]
pub(super) struct KnownHint {
    pub nonce: String,
    pub masked: String,
    pub certificate: Option<KnownCertificate>,
    pub sealed: String,
}

#[derive(Deserialize)]
pub(super) struct KnownCertificate {
    pub subject: String,
    pub issuer: String,
    pub not_before: i64,
    pub not_after: i64,
    pub fingerprint: String,
}

#[derive(Deserialize)]
pub(super) struct KnownWrapped {
    pub keyring: String,
    pub master_key: String,
    pub nonce: String,
    pub bytes: String,
}

#[derive(Deserialize)]
pub(super) struct KnownEntry {
    pub milestone: Option<String>,
    pub name: String,
    pub category: String,
    pub expires_at: Option<i64>,
    pub disabled: bool,
    pub deleted_at: Option<i64>,
    pub current_version: i32,
    pub revision: i32,
    pub mac: String,
}

#[derive(Deserialize)]
pub(super) struct KnownVersion {
    pub version: i32,
    pub ciphertext_version: i32,
    pub restored_from: Option<i32>,
    pub not_after: Option<i64>,
    pub mac: String,
}

/// MACs of an installation's records.
#[derive(Deserialize)]
pub(super) struct KnownRecords {
    pub key: String,
    pub macs: Vec<KnownRecord>,
}

#[derive(Deserialize)]
pub(super) struct KnownRecord {
    pub purpose: String,
    pub fields: Vec<Option<String>>,
    pub mac: String,
}

impl KnownPlace {
    pub(super) fn key(&self) -> DataKey {
        DataKey::from_secret(KeyBytes::copy_of(&bytes(&self.data_key_secret)).unwrap()).unwrap()
    }

    pub(super) fn project(&self) -> ProjectId {
        ProjectId::parse(self.project.as_str()).unwrap()
    }

    pub(super) fn place<'a>(&self, project: &'a ProjectId) -> CiphertextContext<'a> {
        CiphertextContext {
            project,
            entry: EntryId::parse(&self.entry).unwrap(),
            version: self.version,
            data_key: DataKeyId::parse(&self.data_key).unwrap(),
        }
    }
}

pub(super) fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../tests/vectors/crypto.json")).unwrap()
}

pub(super) fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}
