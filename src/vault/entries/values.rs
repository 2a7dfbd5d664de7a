//! The rules for the properties and values of entries (`product.md`, section 3), for every way of
//! writing them.

use crate::crypto::{Certificate, Hint, mask, read_certificate};
use crate::domain::{Category, Error, ReservedNames, Result, SecretName, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

/// Maximum length of a value, in bytes.
const MAX_VALUE_BYTES: usize = 64 * 1024;
/// Maximum length of a description, in characters.
const MAX_DESCRIPTION: usize = 2_000;
/// Maximum number of entries of a project, deleted ones excluded.
pub(super) const MAX_ENTRIES: i64 = 1_000;

/// Path of an input field, for errors.
pub(in crate::vault) type Path = &'static [&'static str];

/// A valid value, with its hint, the part that people may see.
pub(super) struct Value<'a> {
    pub secret: &'a SecretString,
    pub hint: Hint,
}

impl Value<'_> {
    /// When the certificate ends; `None` for other categories.
    pub(super) fn not_after(&self) -> Option<Timestamp> {
        self.hint.certificate.as_ref().map(|certificate| certificate.not_after)
    }
}

/// Checks a value: 1 byte to 64 KiB of text without NUL. A CERTIFICATE must be PEM and not have
/// ended.
pub(super) fn value(secret: &SecretString, category: Category, now: Timestamp, path: Path) -> Result<Value<'_>> {
    let text = secret.expose_secret();
    if text.len() > MAX_VALUE_BYTES {
        return Err(Error::limit(path, "The value is too long; give at most 64 KiB."));
    }
    if text.is_empty() {
        return Err(Error::invalid(path, "The value is empty; give at least one byte."));
    }
    if text.contains('\0') {
        return Err(Error::invalid(
            path,
            "The value contains NUL, which an environment variable cannot hold; remove it.",
        ));
    }
    let certificate = if category == Category::Certificate { Some(certificate(secret, now, path)?) } else { None };
    Ok(Value { secret, hint: Hint { masked: mask(text, category).into(), certificate } })
}

fn certificate(secret: &SecretString, now: Timestamp, path: Path) -> Result<Certificate> {
    let certificate = read_certificate(secret).map_err(|_| {
        Error::invalid(path, "The value of a CERTIFICATE must be PEM with at least one X.509 certificate.")
    })?;
    if certificate.not_after <= now {
        return Err(Error::invalid(path, "This certificate has expired; give one that is still valid."));
    }
    Ok(certificate)
}

/// Checks a new name of an entry.
pub(in crate::vault) fn name(text: String, reserved: &ReservedNames, path: Path) -> Result<SecretName> {
    SecretName::parse_with(text, reserved)
        .map_err(|error| Error::invalid(path, format!("Not a valid name for an entry: {error}.")))
}

/// Checks a description: at most 2,000 characters, without NUL.
pub(super) fn description(text: &str, path: Path) -> Result<()> {
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(Error::limit(
            path,
            format!("The description is too long; give at most {MAX_DESCRIPTION} characters."),
        ));
    }
    if text.contains('\0') {
        return Err(Error::invalid(path, "The description contains NUL; remove it."));
    }
    Ok(())
}

/// Checks a rotation interval: 1 to 3,650 days.
pub(super) fn rotation_interval(days: i32, path: Path) -> Result<()> {
    if (1..=3_650).contains(&days) {
        Ok(())
    } else {
        Err(Error::invalid(path, "The rotation interval is out of bounds; give 1 to 3,650 days."))
    }
}

/// The expiry of a new value: the one asked for, which must not be in the past, but no later than
/// `not_after`, the end of a certificate. Without either, it never expires.
pub(super) fn expiry(
    asked: Option<Timestamp>,
    not_after: Option<Timestamp>,
    now: Timestamp,
    path: Path,
) -> Result<Option<Timestamp>> {
    if asked.is_some_and(|at| at <= now) {
        return Err(Error::invalid(path, "expiresAt is in the past; omit it or give a later time."));
    }
    Ok(earlier(asked, not_after))
}

/// The earlier of two expiries; `None` means never.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
