//! PEM (RFC 7468) as it comes out of files and forms: with a byte order mark, any line ends,
//! indentation, and text between the blocks.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// The labels of a certificate. OpenSSL writes `TRUSTED CERTIFICATE` with data of its own behind
/// the certificate, and older programs write `X509 CERTIFICATE`.
const CERTIFICATE: &str = "CERTIFICATE";
const OLD_CERTIFICATE: &str = "X509 CERTIFICATE";
const TRUSTED_CERTIFICATE: &str = "TRUSTED CERTIFICATE";
/// The length of a line of PEM (RFC 7468, section 2).
const LINE: usize = 64;

/// One block of PEM, not decoded.
pub struct PemBlock<'a> {
    /// The label between `BEGIN` and the dashes.
    pub label: &'a str,
    /// The lines between the boundaries.
    body: Vec<&'a str>,
}

/// The blocks of a text; `None` when one is not closed by its own label. Text between blocks is
/// skipped.
#[must_use]
pub fn pem_blocks(text: &str) -> Option<Vec<PemBlock<'_>>> {
    let mut blocks = Vec::new();
    let mut open: Option<PemBlock<'_>> = None;
    for line in text.split(['\n', '\r']).map(trimmed) {
        if let Some(label) = boundary(line, "-----BEGIN ") {
            if open.replace(PemBlock { label, body: Vec::new() }).is_some() {
                return None;
            }
        } else if let Some(label) = boundary(line, "-----END ") {
            blocks.push(open.take().filter(|block| block.label == label)?);
        } else if let Some(block) = &mut open {
            block.body.push(line);
        }
    }
    open.is_none().then_some(blocks)
}

/// A line without white space around it, and without the byte order mark of the file it was first
/// in.
fn trimmed(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn boundary<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}

impl PemBlock<'_> {
    /// Whether the block is a certificate, under any of its labels.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        [CERTIFICATE, OLD_CERTIFICATE, TRUSTED_CERTIFICATE].contains(&self.label)
    }

    /// Whether settings of trust may follow the certificate, by which OpenSSL trusts it for some
    /// purposes and not for others.
    #[must_use]
    pub fn has_trust_settings(&self) -> bool {
        self.label == TRUSTED_CERTIFICATE
    }

    /// The decoded content; of a `TRUSTED CERTIFICATE` the certificate alone. `None` when the block
    /// is not Base64. It is overwritten when dropped, since a private key's block has the same
    /// form.
    #[must_use]
    pub fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let length = self.body.iter().map(|line| line.len()).sum();
        let mut encoded = Zeroizing::new(Vec::with_capacity(length));
        for line in &self.body {
            encoded.extend(line.bytes().filter(|b| !b.is_ascii_whitespace()));
        }
        let mut decoded = Zeroizing::new(vec![0; BASE64.decode_len(encoded.len()).ok()?]);
        let length = BASE64.decode_mut(&encoded, &mut decoded).ok()?;
        decoded.truncate(length);
        if self.label == TRUSTED_CERTIFICATE {
            let length = der_length(&decoded)?;
            decoded.truncate(length);
        }
        Some(decoded)
    }
}

/// The length of the DER sequence at the beginning (ITU-T X.690, section 8.1), if all of it is
/// there.
fn der_length(der: &[u8]) -> Option<usize> {
    const SEQUENCE: u8 = 0x30;
    let (&first, rest) = der.strip_prefix(&[SEQUENCE])?.split_first()?;
    let (header, content) = match first {
        short @ 0..=0x7f => (2, usize::from(short)),
        long @ 0x81..=0x84 => {
            let digits = rest.get(..usize::from(long & 0x7f))?;
            (
                2 + digits.len(),
                digits
                    .iter()
                    .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?,
            )
        }
        _ => return None,
    };
    header.checked_add(content).filter(|length| *length <= der.len())
}

/// The same blocks in the form that every library reads: nothing between them, and every
/// certificate under the label `CERTIFICATE`. `None` when the text is not PEM.
#[must_use]
pub fn canonical_pem(text: &str) -> Option<Zeroizing<String>> {
    // As many bytes as are ever written, so that the text does not grow and leave a copy behind.
    let mut canonical = Zeroizing::new(String::with_capacity(2 * text.len()));
    for block in pem_blocks(text)? {
        let label = if block.is_certificate() { CERTIFICATE } else { block.label };
        canonical.extend(["-----BEGIN ", label, "-----\n"]);
        if block.label == TRUSTED_CERTIFICATE {
            let encoded = BASE64.encode(&block.decode()?);
            for line in encoded.as_bytes().chunks(LINE) {
                canonical.extend([str::from_utf8(line).ok()?, "\n"]);
            }
        } else {
            canonical.extend(block.body.iter().filter(|line| !line.is_empty()).flat_map(|line| [*line, "\n"]));
        }
        canonical.extend(["-----END ", label, "-----\n"]);
    }
    Some(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELF_SIGNED: &str = include_str!("../../tests/vectors/certificate.pem");

    #[test]
    fn a_text_is_read_however_it_was_saved() {
        let canonical = canonical_pem(SELF_SIGNED).unwrap();
        assert_eq!(pem_blocks(&canonical).unwrap().len(), 2);
        for text in [
            format!("\u{feff}{SELF_SIGNED}"),
            SELF_SIGNED.replace('\n', "\r\n"),
            SELF_SIGNED.replace('\n', "\r"),
            SELF_SIGNED.replace('\n', " \t\n\n  "),
            SELF_SIGNED.replace("CERTIFICATE-", "X509 CERTIFICATE-").replace("X509 X509", "X509"),
            format!("Bag Attributes\n    friendlyName: caf\u{e9}\nsubject=CN = x\n\n{SELF_SIGNED}\n \n"),
            SELF_SIGNED.replace("-----BEGIN", "\u{feff}-----BEGIN"),
        ] {
            assert_eq!(canonical_pem(&text), Some(canonical.clone()), "{text}");
        }
    }

    #[test]
    fn a_trusted_certificate_is_read_without_what_openssl_adds() {
        let der = pem_blocks(SELF_SIGNED).unwrap()[0].decode().unwrap();
        let trusted = |bytes: &[u8]| {
            let body = BASE64.encode(bytes);
            format!("-----BEGIN TRUSTED CERTIFICATE-----\n{body}\n-----END TRUSTED CERTIFICATE-----\n")
        };
        let auxiliary = [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1];
        for bytes in [der.to_vec(), [&der[..], &auxiliary].concat()] {
            let text = trusted(&bytes);
            assert_eq!(pem_blocks(&text).unwrap()[0].decode(), Some(der.clone()));
            let canonical = canonical_pem(&text).unwrap();
            assert!(canonical.starts_with("-----BEGIN CERTIFICATE-----\n"));
            assert_eq!(pem_blocks(&canonical).unwrap()[0].decode(), Some(der.clone()));
        }
        for bytes in [&der[..der.len() - 1], &[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x31, 0]]
        {
            assert!(pem_blocks(&trusted(bytes)).unwrap()[0].decode().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn a_block_that_is_not_closed_is_no_pem() {
        for text in [
            "-----BEGIN A-----\n",
            "-----END A-----\n",
            "-----BEGIN A-----\n-----END B-----\n",
            "-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----\n",
        ] {
            assert!(pem_blocks(text).is_none() && canonical_pem(text).is_none(), "{text}");
        }
        assert!(pem_blocks("no block").unwrap().is_empty());
    }
}
