//! The limits of one operation, and the sums they are checked against.

use crate::graphql::document::DocumentError;

/// Maximum number of list elements that an operation reads: 100 entries with their 10 versions, or
/// the first page of 100 vaults.
const MAX_READ: u64 = 6_000;
/// Maximum number of fields that an operation answers, in all elements together.
pub(super) const MAX_ANSWERED: u64 = 50_000;
/// Maximum number of lists, and of entries by name: a page of entries of the project of each entry
/// on a page of 100, and as much again. A statement may read many lists, but each has rows of its
/// own to sort or to count.
const MAX_LISTS: u64 = 250;
/// Maximum number of bytes that an operation answers, without descriptions and values: 100 entries
/// with everything that is known of them.
pub(super) const MAX_BYTES: u64 = 3 * 1024 * 1024;
/// Maximum number of bytes that an operation answers without a token: the schema's SDL, or all of
/// its introspection.
const MAX_ANONYMOUS_BYTES: u64 = 256 * 1024;
/// Maximum number of bytes of descriptions that an operation answers: 1,000 of the longest.
const MAX_TEXT: u64 = 12 * 1024 * 1024;
/// Maximum number of representations in all `_entities` of an operation.
const MAX_REPRESENTATIONS: u64 = 1_000;
/// Maximum number of bytes of arguments, each counted for every use: async-graphql copies a value
/// at each use.
const MAX_COPIED: u64 = 8 * 1024 * 1024;

/// What an operation amounts to, fields of lists counted for each element. All sums saturate.
#[derive(Default)]
pub(super) struct Total {
    pub read: u64,
    /// Lists, and entries by name.
    pub lists: u64,
    pub answered: u64,
    pub bytes: u64,
    pub text: u64,
    /// Bytes of values.
    pub released: u64,
    /// Selections of `value` and of `sealedValue`.
    pub values: u64,
    pub sealed: u64,
    pub representations: u64,
    pub copied: u64,
}

impl Total {
    /// Refuses an operation that exceeds a limit.
    pub(super) fn check(&self, anonymous: bool) -> Result<(), DocumentError> {
        let refused = if self.representations > MAX_REPRESENTATIONS {
            "An operation has at most 1,000 representations in _entities; send several requests."
        } else if self.read > MAX_READ {
            "An operation reads at most 6,000 elements of lists, a nested page counted for each element around it, and \
             a page of audit events with a filter as 1,000 more; ask for smaller pages with first, or send several requests."
        } else if self.lists > MAX_LISTS {
            "An operation reads at most 250 lists, and entries by name, each counted for every element around it; \
             send several requests."
        } else if self.answered > MAX_ANSWERED {
            "An operation answers at most 50,000 fields, those of a list counted for each of its elements; \
             select fewer fields, or ask for smaller pages with first."
        } else if anonymous && self.bytes > MAX_ANONYMOUS_BYTES {
            "Without a token, an operation answers at most 256 KiB; select fewer fields, or use shorter aliases."
        } else if self.bytes > MAX_BYTES {
            "An operation answers at most 3 MiB, each field counted with the longest value it can have; select fewer \
             fields, use shorter aliases, or ask for smaller pages with first."
        } else if self.text > MAX_TEXT {
            "An operation answers at most 12 MiB of descriptions, each counted with 2,000 characters; leave the \
             descriptions out, or ask for smaller pages with first."
        } else if self.values > 1 || self.sealed > 1 {
            "An operation selects value and sealedValue at most once each; leave the others out."
        } else if self.copied > MAX_COPIED {
            "The arguments of an operation have at most 8 MiB, a variable counted for each of its uses; \
             send several requests."
        } else {
            return Ok(());
        };
        Err(DocumentError::Limit(refused.to_owned()))
    }
}
