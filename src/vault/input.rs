//! Parses ids in inputs.

use crate::domain::{Error, IdError, Result};
use std::collections::BTreeSet;

/// Gives a parsed id, or an error that names the input field.
///
/// # Errors
/// INVALID_INPUT for a text that is not an id of this kind.
pub(super) fn id<T>(parsed: Result<T, IdError>, field: &[&'static str]) -> Result<T> {
    parsed.map_err(|error| Error::invalid(field, format!("Not an id: {error}.")))
}

/// Parses a list of at least one id; duplicates are ignored.
///
/// # Errors
/// INVALID_INPUT for an empty list, or a text that is not an id of this kind.
pub(super) fn at_least_one_id<T: Ord>(
    texts: Vec<String>,
    parse: impl Fn(String) -> Result<T, IdError>,
    field: &[&'static str],
) -> Result<BTreeSet<T>> {
    let ids = texts.into_iter().map(|text| id(parse(text), field)).collect::<Result<BTreeSet<T>>>()?;
    if ids.is_empty() { Err(Error::invalid(field, "The list is empty; name at least one.")) } else { Ok(ids) }
}
