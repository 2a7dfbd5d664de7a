//! How long the JSON of an answer's parts can be, in bytes. These are upper bounds: what a caller
//! or an entry's author chose is counted with every character escaped.

use super::RESOLVE_SECRETS;

/// A quoted id of another system: 200 visible ASCII characters, each of which may need a backslash.
const ID: u64 = 2 + 2 * 200;
/// A boolean.
const BOOLEAN: u64 = 5;
/// A number, an instant, a type's name, a constant of an enum or a UUID.
const WORD: u64 = 40;
/// The name of an entry: 128 characters that need no backslash.
pub(super) const NAME: u64 = 130;
/// Names that a project may approve.
const APPROVED: u64 = 100;
/// A cursor: the base64 of a name, a UUID and the list's digest.
const CURSOR: u64 = 450;
/// The hint of a value: six characters of it around four asterisks.
const MASKED: u64 = 48;
/// The hexadecimal SHA-256 of a certificate.
const FINGERPRINT: u64 = 66;
/// A message of ours, with what it quotes of the request's form.
const MESSAGE: u64 = 512;
/// The path of an input field.
const FIELD: u64 = 64;
/// A signed statement without the entries that it lists.
const RECEIPT: u64 = 8 * 1024;
/// The part of it about one value, in base64.
const RELEASED: u64 = 360;
/// A field that is not in the table.
const UNKNOWN: u64 = 256;

/// A description: 2,000 characters, of which control characters take six bytes each.
const DESCRIPTION: u64 = 2 + 6 * 2_000;
/// The name of a certificate's subject or issuer, which is cut at [`MAX_SUBJECT`] characters.
const SUBJECT: u64 = 2 + 6 * (MAX_SUBJECT as u64 + 1);
/// The number of characters that are shown of the name of a certificate's subject or issuer.
pub const MAX_SUBJECT: usize = 1_000;

/// One error of an answer, without its path and the request's id: a message, the place in the
/// document and a code.
pub(super) const ERROR: u64 = 320;
/// An index in the path of an error.
pub(super) const INDEX: u64 = 8;

/// The value of a field without a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Its bytes.
    Bytes(u64),
    /// The bytes of text that people wrote. Only callers with a role in its project see it.
    Text(u64),
    /// The name of a secret, which may be whatever the caller asked for.
    AskedName,
    /// The names of an import's lines.
    Names,
    /// A statement that lists what was released.
    Receipt,
    /// A decrypted value.
    Value,
    /// A decrypted value, sealed for its recipient.
    Sealed,
    /// The schema's SDL.
    Sdl,
}

/// The value of a field without a selection, below a field of this name.
pub(super) fn leaf(parent: &str, field: &str) -> Leaf {
    Leaf::Bytes(match (parent, field) {
        ("_service", "sdl") => return Leaf::Sdl,
        ("secrets", "name") => return Leaf::AskedName,
        ("secrets", "value") => return Leaf::Value,
        ("secrets", "sealedValue") => return Leaf::Sealed,
        ("certificate", "subject" | "issuer") => return Leaf::Text(SUBJECT),
        (_, "description") => return Leaf::Text(DESCRIPTION),
        (_, "skipped") => return Leaf::Names,
        (RESOLVE_SECRETS, "receipt") => return Leaf::Receipt,
        // Those of entries and events are our own.
        ("secrets", "entryId") | ("nodes" | "node" | "entry" | "vaultEntry" | "created" | "rotated", "id") => WORD,
        (_, "id" | "projectId" | "milestoneId" | "entryId" | "teamId" | "requestId" | "sessionId" | "tool") => ID,
        // An id with its type in front.
        (_, "actor" | "subject") => ID + WORD,
        (_, "name" | "entryName") => NAME,
        (_, "cursor" | "startCursor" | "endCursor") => CURSOR,
        (_, "approvedNames") => APPROVED * (NAME + 1) + 2,
        (_, "maskedValue") => MASKED,
        (_, "fingerprint") => FINGERPRINT,
        (_, "message") => MESSAGE,
        (_, "field" | "blockedBy") => FIELD + 2 * WORD,
        (_, "receipt") => RECEIPT,
        (_, known) if is_boolean(known) => BOOLEAN,
        (_, known) if is_word(known) => WORD,
        _ => UNKNOWN,
    })
}

fn is_boolean(field: &str) -> bool {
    matches!(
        field,
        "canAdminister"
            | "canAudit"
            | "canList"
            | "canViewMasked"
            | "canWrite"
            | "hasNextPage"
            | "hasPreviousPage"
            | "lastVerifiedIntact"
            | "open"
            | "ready"
    )
}

/// Whether a field's value is a number, an instant, a type's name or a constant of an enum.
fn is_word(field: &str) -> bool {
    matches!(
        field,
        "__typename"
            | "accessChangesSetAside"
            | "action"
            | "active"
            | "category"
            | "chainId"
            | "change"
            | "closesAt"
            | "code"
            | "count"
            | "createdAt"
            | "deleted"
            | "disabled"
            | "entriesErased"
            | "entryVersion"
            | "environmentNames"
            | "expired"
            | "expiresAt"
            | "expiring"
            | "kind"
            | "lastReceivedAt"
            | "lastResolvedAt"
            | "lastVerifiedAt"
            | "leftOutOfSessions"
            | "line"
            | "neverUsed"
            | "notAfter"
            | "notBefore"
            | "occurredAt"
            | "opensAt"
            | "outcome"
            | "purpose"
            | "reason"
            | "resolveCount"
            | "restoredFrom"
            | "revision"
            | "role"
            | "rotationDue"
            | "rotationDueAt"
            | "rotationIntervalDays"
            | "scope"
            | "seq"
            | "signedAt"
            | "since"
            | "state"
            | "status"
            | "totalCount"
            | "updatedAt"
            | "version"
            | "versionsErased"
    )
}

/// The bytes of the receipt of a resolve that released this many values: it names each, in base64.
pub(super) fn receipt(released: u64) -> u64 {
    RECEIPT.saturating_add(released.saturating_mul(RELEASED))
}

/// The bytes of the names of an import of this many lines.
pub(super) fn names(lines: u64) -> u64 {
    lines.saturating_mul(NAME + 1).saturating_add(2)
}

/// The bytes of a text as JSON, quotes included, as `serde_json` writes it.
pub fn json_length(text: &str) -> u64 {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<u64>() + 2
}

/// Whether a nullable field can fail by itself, so that an error stands in the answer and null in
/// its place.
pub(super) fn can_fail(field: &str) -> bool {
    matches!(
        field,
        "agents"
            | "approvedNames"
            | "auditEvents"
            | "certificate"
            | "deleted"
            | "entries"
            | "entry"
            | "exposures"
            | "lastResolvedAt"
            | "maskedValue"
            | "members"
            | "neverUsed"
            | "receipt"
            | "resolveCount"
            | "role"
            | "summary"
            | "vault"
            | "vaultEntries"
            | "vaultPhase"
            | "versions"
    )
}

#[cfg(test)]
mod tests {
    use super::super::schema_fields::{SchemaField, schema_fields};
    use super::*;

    #[test]
    fn every_leaf_of_the_schema_has_a_size_of_its_own() {
        let leaves: Vec<_> = schema_fields().into_iter().filter(|field| field.is_leaf).collect();
        assert!(leaves.len() > 50, "{leaves:?}");
        for SchemaField { name, of, .. } in leaves {
            let known = ["value", "sealedValue", "issuer"].contains(&name.as_str());
            assert!(known || leaf("", &name) != Leaf::Bytes(UNKNOWN), "{name}: {of} is not in the table");
        }
    }

    #[test]
    fn a_text_is_measured_as_it_is_written() {
        for text in ["", "a", "\"\\/", "\u{0}\u{1f}\u{7f}", "\n\r\t\u{8}\u{c}", "ä\u{2028}😀"] {
            assert_eq!(json_length(text), serde_json::to_string(text).unwrap().len() as u64, "{text:?}");
        }
    }
}
