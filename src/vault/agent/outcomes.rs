//! Decides the outcome for each name, by `product.md`, section 4, rules 1 to 5.

use crate::domain::{EntryStatus, SecretName, SecretOutcome};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The properties of an entry that the rules depend on.
pub(super) struct Candidate<'a, T> {
    pub name: &'a str,
    pub status: EntryStatus,
    /// Whether the entry is scoped to the milestone, whose phase is open; otherwise to the project.
    pub of_milestone: bool,
    pub entry: T,
}

/// One name's answer, with the entry that decided it, if any.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NameAnswer<T> {
    pub name: String,
    pub outcome: SecretOutcome,
    pub entry: Option<T>,
}

#[derive(Clone, Copy)]
struct ByName<T> {
    milestone: Option<T>,
    project: Option<T>,
    expired: Option<T>,
}

/// Answers each of `names` once, in the order first asked. Without `names`, answers every
/// candidate's name in byte order, except those of disabled entries.
pub(super) fn answers<'a, T: Copy>(
    candidates: impl IntoIterator<Item = Candidate<'a, T>>,
    names: Option<&[String]>,
    provided: &[String],
) -> Vec<NameAnswer<T>> {
    let mut known: HashMap<&str, ByName<T>> = HashMap::new();
    for candidate in candidates {
        let slot = |known: &mut HashMap<&'a str, ByName<T>>, set: fn(&mut ByName<T>, T)| {
            set(
                known.entry(candidate.name).or_insert(ByName { milestone: None, project: None, expired: None }),
                candidate.entry,
            );
        };
        match (candidate.status, candidate.of_milestone) {
            (EntryStatus::Active, true) => slot(&mut known, |by, entry| by.milestone = Some(entry)),
            (EntryStatus::Active, false) => slot(&mut known, |by, entry| by.project = Some(entry)),
            (EntryStatus::Expired, true) => slot(&mut known, |by, entry| by.expired = Some(entry)),
            (EntryStatus::Expired, false) => slot(&mut known, |by, entry| {
                by.expired.get_or_insert(entry);
            }),
            // These entries do not exist for agents.
            (EntryStatus::Disabled | EntryStatus::Deleted, _) => {}
        }
    }
    let provided: HashSet<&str> =
        provided.iter().map(String::as_str).filter(|name| SecretName::has_form(name)).collect();
    let answer = |name: &str| {
        let by = known.get(name);
        let (outcome, entry) = if provided.contains(name) {
            (SecretOutcome::ProvidedByWorkspace, by.and_then(|by| by.milestone.or(by.project).or(by.expired)))
        } else if let Some(live) = by.and_then(|by| by.milestone.or(by.project)) {
            (SecretOutcome::Resolved, Some(live))
        } else if let Some(expired) = by.and_then(|by| by.expired) {
            (SecretOutcome::Expired, Some(expired))
        } else {
            (SecretOutcome::NotFound, None)
        };
        NameAnswer { name: name.to_owned(), outcome, entry }
    };
    match names {
        Some(names) => {
            let mut asked = HashSet::new();
            names.iter().filter(|name| asked.insert(name.as_str())).map(|name| answer(name)).collect()
        }
        None => known.keys().copied().collect::<BTreeSet<_>>().into_iter().map(answer).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SecretOutcome::{Expired, NotFound, ProvidedByWorkspace, Resolved};

    fn candidate(name: &'static str, status: EntryStatus, of_milestone: bool, id: u8) -> Candidate<'static, u8> {
        Candidate { name, status, of_milestone, entry: id }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn answered(names: Option<&[&str]>, provided: &[&str]) -> Vec<(String, SecretOutcome, Option<u8>)> {
        let candidates = [
            candidate("BOTH", EntryStatus::Active, false, 1),
            candidate("BOTH", EntryStatus::Active, true, 2),
            candidate("EXPIRED_HERE", EntryStatus::Expired, true, 3),
            candidate("EXPIRED_HERE", EntryStatus::Active, false, 4),
            candidate("OLD", EntryStatus::Expired, false, 5),
            candidate("OFF", EntryStatus::Disabled, false, 6),
            candidate("OFF_AND_OLD", EntryStatus::Disabled, true, 7),
            candidate("OFF_AND_OLD", EntryStatus::Expired, false, 8),
            candidate("a", EntryStatus::Active, false, 9),
        ];
        let names = names.map(strings);
        answers(candidates, names.as_deref(), &strings(provided))
            .into_iter()
            .map(|answer| (answer.name, answer.outcome, answer.entry))
            .collect()
    }

    #[test]
    fn without_names_every_candidate_name_is_answered_in_byte_order_but_disabled_ones() {
        assert_eq!(
            answered(None, &["a", "UNKNOWN", "OFF"]),
            [
                ("BOTH".to_owned(), Resolved, Some(2)),
                ("EXPIRED_HERE".to_owned(), Resolved, Some(4)),
                ("OFF_AND_OLD".to_owned(), Expired, Some(8)),
                ("OLD".to_owned(), Expired, Some(5)),
                ("a".to_owned(), ProvidedByWorkspace, Some(9)),
            ]
        );
    }

    #[test]
    fn names_are_answered_once_in_the_order_first_asked() {
        assert_eq!(
            answered(Some(&["OLD", "NOPE", "BOTH", "OLD", "OFF", "not a name"]), &["BOTH", "not a name"]),
            [
                ("OLD".to_owned(), Expired, Some(5)),
                ("NOPE".to_owned(), NotFound, None),
                ("BOTH".to_owned(), ProvidedByWorkspace, Some(2)),
                ("OFF".to_owned(), NotFound, None),
                ("not a name".to_owned(), NotFound, None),
            ]
        );
        assert_eq!(answered(Some(&[]), &[]), []);
    }

    #[test]
    fn a_provided_name_wins_even_where_the_vault_has_nothing() {
        assert_eq!(answered(Some(&["X"]), &["X"]), [("X".to_owned(), ProvidedByWorkspace, None)]);
    }
}
