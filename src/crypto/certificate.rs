//! Reads what a certificate says about itself.

use super::CryptoError;
use crate::domain::{Timestamp, pem_blocks};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use x509_parser::asn1_rs::{Any, BmpString, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;
use zeroize::Zeroizing;

/// The facts of an X.509 certificate (RFC 5280), all of them public. Nothing is verified: the
/// certificate's author chose them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The subject, such as `C=DE, O=Example, CN=example.org`: in the certificate's order, with
    /// special characters escaped as in RFC 4514.
    pub subject: String,
    /// The issuer, in the same form.
    pub issuer: String,
    /// The first instant it is valid.
    #[serde(with = "millis")]
    pub not_before: Timestamp,
    /// The last instant it is valid.
    #[serde(with = "millis")]
    pub not_after: Timestamp,
    /// The SHA-256 of its DER, in lower-case hex.
    pub fingerprint: String,
}

mod millis {
    use crate::domain::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(instant.millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

/// Reads PEM (RFC 7468) and returns the facts of its first certificate. Private keys, further
/// certificates and other text may come before and after it; they are neither decoded nor checked.
/// Lines may end and be indented in any way.
///
/// # Errors
/// [`CryptoError::NoCertificate`] when the text has no certificate, a block is not closed by its
/// own label, or the first certificate is not the Base64 of exactly one X.509 certificate in DER.
/// Never panics, whatever the text.
pub fn read_certificate(pem: &SecretString) -> Result<Certificate, CryptoError> {
    let der = first_certificate(pem.expose_secret()).ok_or(CryptoError::NoCertificate)?;
    facts(&der).ok_or(CryptoError::NoCertificate)
}

/// Finds the first certificate's DER. Only that block is decoded, so that no private key is.
fn first_certificate(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    pem_blocks(pem)?.iter().find(|block| block.is_certificate())?.decode()
}

fn facts(der: &[u8]) -> Option<Certificate> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let validity = certificate.validity();
    Some(Certificate {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        not_before: instant(validity.not_before)?,
        not_after: instant(validity.not_after)?,
        fingerprint: HEXLOWER.encode(&Sha256::digest(der)),
    })
}

fn instant(time: ASN1Time) -> Option<Timestamp> {
    time.timestamp().checked_mul(1_000).map(Timestamp::from_millis)
}

/// A name as text. Escaped, unlike the parser's own text, so that one attribute's value cannot pass
/// for several attributes.
fn name(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for (position, set) in name.iter_rdn().enumerate() {
        for (within, attribute) in set.iter().enumerate() {
            text.push_str(match (position, within) {
                (0, 0) => "",
                (_, 0) => ", ",
                _ => "+",
            });
            match oid2abbrev(attribute.attr_type(), oid_registry()) {
                Ok(abbreviation) => text.push_str(abbreviation),
                Err(_) => text.push_str(&attribute.attr_type().to_id_string()),
            }
            text.push('=');
            push_value(&mut text, attribute.attr_value());
        }
    }
    text
}

/// Appends the value of a name's attribute: as text if it is text, else as `#` and its hex.
fn push_value(text: &mut String, value: &Any<'_>) {
    match value.tag() {
        Tag::BmpString => {
            if let Ok(string) = BmpString::try_from(value) {
                return push_escaped(text, string.as_ref());
            }
        }
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::T61String
        | Tag::GeneralString
        | Tag::GraphicString => {
            if let Ok(string) = std::str::from_utf8(value.data) {
                return push_escaped(text, string);
            }
        }
        _ => {}
    }
    text.push('#');
    text.push_str(&HEXLOWER.encode(value.data));
}

/// Escapes as in RFC 4514, section 2.4, and control characters as well.
fn push_escaped(text: &mut String, value: &str) {
    let end = value.chars().count();
    for (position, character) in value.chars().enumerate() {
        let at_edge = position == 0 || position + 1 == end;
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', character]),
            ' ' if at_edge => text.push_str("\\ "),
            '#' if position == 0 => text.push_str("\\#"),
            _ if character.is_control() => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\{byte:02X}");
                }
            }
            _ => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use proptest::prelude::*;

    /// A self-signed certificate, and its private key behind it.
    const SELF_SIGNED: &str = include_str!("../../tests/vectors/certificate.pem");
    /// A remark, a leaf's private key, the leaf, and its issuer.
    const CHAIN: &str = include_str!("../../tests/vectors/chain.pem");
    /// A subject with every character that is escaped, an empty issuer and the widest validity.
    const NAMES: &str = include_str!("../../tests/vectors/names.pem");

    fn read(pem: &str) -> Result<Certificate, CryptoError> {
        read_certificate(&SecretString::from(pem))
    }

    fn der(pem: &str) -> Vec<u8> {
        first_certificate(pem).unwrap().to_vec()
    }

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(der))
    }

    #[test]
    fn a_certificate_tells_its_names_its_validity_and_its_fingerprint() {
        let expected = Certificate {
            subject: "C=DE, O=Example, CN=example.test".into(),
            issuer: "C=DE, O=Example, CN=example.test".into(),
            not_before: Timestamp::parse("2026-11-24T04:25:53Z").unwrap(),
            not_after: Timestamp::parse("2126-10-31T04:25:53Z").unwrap(),
            fingerprint: "feca14fab591028e73f86025fff1d1f9dcca3e70987d06a4c8a77a45a01e1d17".into(),
        };
        assert_eq!(read(SELF_SIGNED), Ok(expected));
    }

    #[test]
    fn the_first_certificate_counts_and_private_keys_may_stand_before_it() {
        let leaf = read(CHAIN).unwrap();
        assert_eq!(leaf.subject, "CN=leaf.example.test");
        assert_eq!(leaf.issuer, "C=DE, O=Example, CN=example.test");
        assert_eq!(leaf.fingerprint, "bd283720eb439d4a978abedbd1be55a6c4ec559d240d8b73c4fb00f50e7440a5");
        assert_eq!(read(&format!("{SELF_SIGNED}{CHAIN}")), read(SELF_SIGNED));
    }

    #[test]
    fn the_value_of_one_attribute_cannot_pass_for_several() {
        let certificate = read(NAMES).unwrap();
        let expected =
            "O=A\\, CN=bank.example\\+\\\"x\\\"\\<\\\\\\>\\;, CN=\\#1 Zoë\\ , OU=a\\0Ab\\7F, 1.2.3.4.5=\\ x+L=Köln";
        assert_eq!(certificate.subject, expected);
        assert_eq!(certificate.issuer, "");
        assert_eq!(certificate.not_before.to_rfc3339(), "1950-01-01T00:00:00.000Z");
        assert_eq!(certificate.not_after.to_rfc3339(), "9999-12-31T23:59:59.000Z");
    }

    #[test]
    fn lines_may_end_and_be_indented_in_any_way() {
        let expected = read(SELF_SIGNED);
        assert_eq!(read(&SELF_SIGNED.replace('\n', "\r\n")), expected);
        assert_eq!(read(&SELF_SIGNED.replace('\n', "  \n\t")), expected);
        assert_eq!(read(SELF_SIGNED.trim_end()), expected);
        assert_eq!(read(&format!("\u{feff}{SELF_SIGNED}")), expected);
        assert_eq!(read(&format!("Bag Attributes\n    localKeyID: 01\nsubject=CN = x\n{SELF_SIGNED}  \n")), expected);
        assert_eq!(read(&pem(&der(SELF_SIGNED))), expected);
    }

    #[test]
    fn a_certificate_is_read_under_each_of_its_labels() {
        let expected = read(SELF_SIGNED);
        assert_eq!(read(&SELF_SIGNED.replace(" CERTIFICATE-", " X509 CERTIFICATE-")), expected);
        assert_eq!(read(&SELF_SIGNED.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-")), expected);
        // What OpenSSL adds: the purposes for which it trusts the certificate.
        let auxiliary = [0x30, 0x0c, 0x30, 0x0a, 0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 3, 1];
        let trusted = pem(&[&der(SELF_SIGNED)[..], &auxiliary].concat());
        assert_eq!(read(&trusted.replace(" CERTIFICATE-", " TRUSTED CERTIFICATE-")), expected);
        assert_eq!(read(&trusted), Err(CryptoError::NoCertificate));
    }

    #[test]
    fn what_is_no_pem_with_a_certificate_is_refused() {
        let key = &SELF_SIGNED[SELF_SIGNED.find("-----BEGIN PRIVATE").unwrap()..];
        let broken = [
            String::new(),
            "no PEM at all".into(),
            key.to_owned(),
            pem(b""),
            pem(b"garbage"),
            pem(&BASE64.decode(key.lines().skip(1).take(3).collect::<String>().as_bytes()).unwrap()),
            BASE64.encode(&der(SELF_SIGNED)),
            SELF_SIGNED.replace("BEGIN CERTIFICATE", "BEGIN CERTIFICATE REQUEST"),
            SELF_SIGNED.replace("-----END CERTIFICATE-----", ""),
            SELF_SIGNED.replace("-----END CERTIFICATE-----", "-----END PRIVATE KEY-----"),
            SELF_SIGNED.replace("-----END PRIVATE KEY-----", ""),
            SELF_SIGNED.replace("-----BEGIN CERTIFICATE-----", ""),
            SELF_SIGNED.replace("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"),
            SELF_SIGNED.replacen("MII", "MI!", 1),
            SELF_SIGNED.replacen("MII", "MI", 1),
            SELF_SIGNED.replace('\n', "\\n"),
        ];
        for text in broken.iter().chain(&[pem(b"garbage") + SELF_SIGNED]) {
            assert_eq!(read(text), Err(CryptoError::NoCertificate), "{text}");
        }
    }

    #[test]
    fn der_that_is_cut_or_goes_on_is_refused() {
        let der = der(SELF_SIGNED);
        for end in 0..der.len() {
            assert_eq!(read(&pem(&der[..end])), Err(CryptoError::NoCertificate), "cut at {end}");
        }
        assert_eq!(read(&pem(&[&der[..], &[0]].concat())), Err(CryptoError::NoCertificate));
        assert_eq!(read(&pem(&[&der[..], &der[..]].concat())), Err(CryptoError::NoCertificate));
    }

    #[test]
    fn no_single_changed_byte_makes_reading_panic() {
        for pem_text in [SELF_SIGNED, NAMES] {
            let der = der(pem_text);
            for at in 0..der.len() {
                for value in [0, 1, 0x7f, 0x80, 0xff, der[at] ^ 0x20, der[at].wrapping_add(1)] {
                    let mut changed = der.clone();
                    changed[at] = value;
                    let _ = read(&pem(&changed));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY)-----\n|[A-Za-z0-9+/=]{0,20}\n|\\PC{0,20}){0,12}") {
            let _ = read(&text);
        }

        #[test]
        fn no_der_makes_reading_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let mut der = der(NAMES);
            for (at, value) in changes {
                *at.get_mut(&mut der) = value;
            }
            let _ = read(&pem(&der));
        }
    }
}
