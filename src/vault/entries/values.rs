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

/// The error of a project that has no room for more entries.
pub(super) fn no_room() -> Error {
    Error::limit(&[], format!("A project has at most {MAX_ENTRIES} entries; delete some first."))
}

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
        return Err(Error::invalid(path, "The value has a NUL, which no environment variable can hold; remove it."));
    }
    let certificate = if category == Category::Certificate { Some(certificate(secret, now, path)?) } else { None };
    Ok(Value { secret, hint: Hint { masked: mask(text, category).into(), certificate } })
}

fn certificate(secret: &SecretString, now: Timestamp, path: Path) -> Result<Certificate> {
    let certificate = read_certificate(secret).map_err(|_| {
        Error::invalid(
            path,
            "The value has no X.509 certificate; give PEM with at least one, or choose another category.",
        )
    })?;
    if certificate.not_after <= now {
        return Err(Error::invalid(path, "The certificate has expired; give a current one."));
    }
    Ok(certificate)
}

/// Checks a new name of an entry.
pub(in crate::vault) fn name(text: String, reserved: &ReservedNames, path: Path) -> Result<SecretName> {
    SecretName::parse_with(text, reserved)
        .map_err(|error| Error::invalid(path, format!("Not a name an entry may have: {error}.")))
}

/// Checks a description.
pub(super) fn description(text: &str, path: Path) -> Result<()> {
    if text.chars().count() > MAX_DESCRIPTION {
        return Err(Error::limit(
            path,
            format!("The description is too long; give at most {MAX_DESCRIPTION} characters."),
        ));
    }
    if text.contains('\0') {
        return Err(Error::invalid(path, "The description has a NUL; remove it."));
    }
    Ok(())
}

/// Checks a rotation interval: 1 to 3,650 days.
pub(super) fn rotation_interval(days: i32, path: Path) -> Result<()> {
    if (1..=3_650).contains(&days) {
        Ok(())
    } else {
        Err(Error::invalid(path, "The rotation interval is out of range; give 1 to 3,650 days."))
    }
}

/// Checks the expiry of a new value: not in the past, and never later than a certificate's end,
/// which is also the default.
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
