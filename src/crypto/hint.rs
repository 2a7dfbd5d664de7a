//! Hints: what people may see of a value.

use super::{Certificate, CryptoError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// What people may see of a value: computed when the value is written, then sealed beside it, so
/// that showing it never opens the value.
pub struct Hint {
    /// The value, masked by [`super::mask()`]: a part of it.
    pub masked: Zeroizing<String>,
    /// The facts of the value, if it is a certificate.
    pub certificate: Option<Certificate>,
}

/// A hint as it is sealed: compact JSON. Separate from [`Hint`], so that the public type cannot be
/// serialized by accident.
#[derive(Serialize, Deserialize)]
struct Written<'a> {
    masked: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<Cow<'a, Certificate>>,
}

impl Hint {
    pub(super) fn write(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        // JSON escapes a byte to at most six. The buffer has room for that, so it does not grow and
        // leave a copy behind.
        let certificate = self.certificate.as_ref();
        let text =
            certificate.map_or(0, |c| c.subject.len() + c.issuer.len() + c.fingerprint.len()) + self.masked.len();
        let mut plaintext = Zeroizing::new(Vec::with_capacity(6 * text + 256));
        let written =
            Written { masked: Cow::Borrowed(self.masked.as_str()), certificate: certificate.map(Cow::Borrowed) };
        serde_json::to_writer(&mut *plaintext, &written).map_err(|_| CryptoError::Form)?;
        Ok(plaintext)
    }

    pub(super) fn read(plaintext: &[u8]) -> Result<Self, CryptoError> {
        let written: Written<'_> = serde_json::from_slice(plaintext).map_err(|_| CryptoError::Form)?;
        Ok(Self {
            masked: Zeroizing::new(written.masked.into_owned()),
            certificate: written.certificate.map(Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_without_a_certificate_is_written_without_one() {
        let hint = Hint { masked: Zeroizing::new("a\"b".to_owned()), certificate: None };
        assert_eq!(*hint.write().unwrap(), br#"{"masked":"a\"b"}"#);
    }
}
