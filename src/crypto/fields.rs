//! The unambiguous encoding of authenticated data.

use super::FORMAT;
use crate::domain::Timestamp;

/// A list of fields, each prefixed with its length, so that no two lists have the same encoding.
///
/// It begins with the format and the purpose, so that an encoding for one purpose is never valid
/// for another.
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) fn new(purpose: &[u8]) -> Self {
        Self(Vec::with_capacity(256)).bytes(FORMAT).bytes(purpose)
    }

    /// Continues a list from its encoding so far.
    pub(super) fn resume(begun: &[u8]) -> Self {
        Self(begun.to_vec())
    }

    pub(super) fn bytes(mut self, field: &[u8]) -> Self {
        self.push(&[field]);
        self
    }

    /// Appends a field that consists of these parts.
    fn push(&mut self, parts: &[&[u8]]) {
        // No field comes near 4 GiB: ids and names are at most some hundred bytes.
        let length = u32::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        for part in parts {
            self.0.extend_from_slice(part);
        }
    }

    pub(super) fn number(self, number: i32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn flag(self, flag: bool) -> Self {
        self.bytes(&[u8::from(flag)])
    }

    /// `None` is the byte 0; a field is the byte 1 and its bytes.
    pub(super) fn option(mut self, field: Option<&[u8]>) -> Self {
        match field {
            None => self.push(&[&[0]]),
            Some(field) => self.push(&[&[1], field]),
        }
        self
    }

    pub(super) fn instant(self, instant: Option<Timestamp>) -> Self {
        self.option(instant.map(|instant| instant.millis().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_moves_from_one_field_to_the_next_changes_the_encoding() {
        let one = Fields::new(b"p").bytes(b"ab").bytes(b"c").finish();
        let other = Fields::new(b"p").bytes(b"a").bytes(b"bc").finish();
        assert_ne!(one, other);
        assert_ne!(Fields::new(b"p").bytes(b"").finish(), Fields::new(b"p").finish());
    }

    #[test]
    fn none_differs_from_every_some() {
        let none = Fields::new(b"p").option(None).finish();
        for some in [&b""[..], b"\0", b"\0\0\0\0\0\0\0\0"] {
            assert_ne!(Fields::new(b"p").option(Some(some)).finish(), none);
        }
        let zero = Some(Timestamp::from_millis(0));
        assert_ne!(Fields::new(b"p").instant(zero).finish(), Fields::new(b"p").instant(None).finish());
    }
}
