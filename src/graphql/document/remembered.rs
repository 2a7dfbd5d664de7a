//! Documents that were inspected, so that a client's queries are parsed once and not with every
//! request. Inspection depends on the text and the operation's name alone.

use super::{DocumentError, Inspected, inspect};
use async_graphql::parser::types::OperationType;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Maximum memory of all remembered documents, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum length of a document that is remembered, in bytes.
const MAX_LENGTH: usize = 4 * 1024;

/// The documents, by the SHA-256 of their text and the operation's name.
pub(in crate::graphql) struct RememberedDocuments(Cache<[u8; 32], Arc<Inspected>>);

impl Default for RememberedDocuments {
    fn default() -> Self {
        let weigher = |_: &[u8; 32], found: &Arc<Inspected>| u32::try_from(found.weight).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).build())
    }
}

impl RememberedDocuments {
    /// As [`inspect`]. Remembers queries only: the arguments of a mutation may hold secrets.
    pub(in crate::graphql) fn inspect(
        &self,
        query: &str,
        operation_name: Option<&str>,
    ) -> Result<Arc<Inspected>, DocumentError> {
        let id = id(query, operation_name);
        if let Some(known) = self.0.get(&id) {
            return Ok(known);
        }
        let found = Arc::new(inspect(query, operation_name)?);
        if found.kind == OperationType::Query && query.len() <= MAX_LENGTH {
            self.0.insert(id, found.clone());
        }
        Ok(found)
    }
}

/// The length of the text keeps text and name apart.
fn id(query: &str, operation_name: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix((query.len() as u64).to_be_bytes());
    hash.update(query);
    if let Some(name) = operation_name {
        hash.update([0]);
        hash.update(name);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the second inspection of a document takes what the first one found.
    fn is_kept(documents: &RememberedDocuments, query: &str) -> bool {
        let inspect = || documents.inspect(query, None).ok().unwrap();
        Arc::ptr_eq(&inspect(), &inspect())
    }

    #[test]
    fn queries_are_kept_and_mutations_and_long_documents_are_not() {
        let documents = RememberedDocuments::default();
        assert!(is_kept(&documents, "{ vaultAuditEvents { totalCount } }"));
        assert!(!is_kept(&documents, "mutation { disableVaultEntry(input: { id: \"x\" }) { entry { id } } }"));
        let long = format!("{{ __typename }} # {}", "x".repeat(MAX_LENGTH));
        assert!(!is_kept(&documents, &long));
    }

    #[test]
    fn operations_of_one_document_are_told_apart() {
        let documents = RememberedDocuments::default();
        let query = "query A { a: __typename } query B { b: __typename }";
        let of = |name| documents.inspect(query, Some(name)).ok().unwrap();
        assert!(!Arc::ptr_eq(&of("A"), &of("B")));
        assert!(Arc::ptr_eq(&of("A"), &of("A")));
        assert!(documents.inspect(query, None).is_err(), "it names neither");
    }
}
