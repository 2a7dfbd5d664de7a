//! What the vault's answer does not bring into a session or to a tool: what the vault left out
//! itself, and what an answer holds that it should not. A vault of an earlier release, or a hostile
//! one, may answer anything.

use super::wanted::Wanted;
use crate::domain::{ReservedNames, SecretName, SecretOutcome};
use serde::Deserialize;
use std::collections::HashSet;

/// Maximum number of names that one notice lists.
const MAX_LISTED: usize = 20;

/// Why a name is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Why {
    /// Programs find, configure or run code by it, or send data where it says.
    ReservedName,
    /// The project lets only names with certain endings into sessions, and approved ones.
    NameNotSuffixed,
    /// It was not asked for, or answered already.
    #[serde(skip)]
    NotAskedFor,
    /// The caller has its own.
    #[serde(skip)]
    Provided,
    /// No variable can have it.
    #[serde(skip)]
    Form,
    /// A reason that this release does not know.
    #[serde(other)]
    Unknown,
}

/// A name that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LeftOut {
    /// The name, as the vault gave it.
    pub name: String,
    /// Why it is left out.
    #[serde(rename = "reason")]
    pub why: Why,
}

/// Keeps the answers that were asked for, each once, and tells the others. `of` gives an answer's
/// name and outcome.
pub fn screen<T>(
    answers: Vec<T>,
    of: impl Fn(&T) -> (&str, SecretOutcome),
    wanted: &Wanted<'_>,
) -> (Vec<T>, Vec<LeftOut>) {
    let asked: Option<HashSet<&str>> = wanted.names.map(|names| names.iter().map(String::as_str).collect());
    let provided: HashSet<&str> = wanted.provided.iter().map(String::as_str).collect();
    let mut seen = HashSet::new();
    let mut left_out = Vec::new();
    let kept = answers.into_iter().filter(|answer| {
        let (name, outcome) = of(answer);
        let brings = outcome == SecretOutcome::Resolved;
        let why = if asked.as_ref().is_some_and(|asked| !asked.contains(name)) || seen.contains(name) {
            Why::NotAskedFor
        } else if !SecretName::has_form(name) {
            // Asking for something that is no name is answered NOT_FOUND.
            if asked.is_some() && !brings {
                return seen.insert(name.to_owned());
            }
            Why::Form
        } else if brings && provided.contains(name) {
            Why::Provided
        } else if asked.is_none() && outcome.is_of_entry() && ReservedNames::built_in().contains(name) {
            Why::ReservedName
        } else {
            return seen.insert(name.to_owned());
        };
        left_out.push(LeftOut { name: name.to_owned(), why });
        false
    });
    (kept.collect(), left_out)
}

/// One line for each reason, without a line's end. Names that are none are counted, not repeated.
pub fn notices(left_out: &[LeftOut]) -> Vec<String> {
    let says = |why: Why| match why {
        Why::ReservedName => "left out because their names are reserved (see `project-vault exec --help`)",
        Why::NameNotSuffixed => {
            "left out because the project lets only approved names and those of credentials into sessions; use --only"
        }
        Why::Unknown => "left out by the vault",
        Why::NotAskedFor => "ignored in the vault's answer because nobody asked for them",
        Why::Provided => "ignored in the vault's answer because they are set already",
        Why::Form => "ignored in the vault's answer because no variable can have the name",
    };
    let order = [Why::ReservedName, Why::NameNotSuffixed, Why::Unknown, Why::NotAskedFor, Why::Provided, Why::Form];
    let line = |why: Why| {
        let of_reason = left_out.iter().filter(|left_out| left_out.why == why);
        let names: Vec<&str> = of_reason.map(|left_out| left_out.name.as_str()).collect();
        if names.is_empty() {
            return None;
        }
        let listed: Vec<&str> =
            names.iter().copied().filter(|name| SecretName::has_form(name)).take(MAX_LISTED).collect();
        let more = names.len() - listed.len();
        let text = match (listed.is_empty(), more) {
            (true, _) => format!("{more} in number"),
            (false, 0) => listed.join(", "),
            (false, _) => format!("{}, and {more} more", listed.join(", ")),
        };
        Some(format!("{}: {text}", says(why)))
    };
    order.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SecretOutcome::{Expired, NotFound, ProvidedByWorkspace, Resolved};

    fn screened(
        answers: &[(&str, SecretOutcome)],
        names: Option<&[&str]>,
        provided: &[&str],
    ) -> (Vec<String>, Vec<(String, Why)>) {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (names, provided) = (names.map(own), own(provided));
        let wanted = Wanted { names: names.as_deref(), provided: &provided, purpose: "CODING_SESSION" };
        let (kept, left_out) = screen(answers.to_vec(), |(name, outcome)| (name, *outcome), &wanted);
        let kept = kept.into_iter().map(|(name, _)| name.to_owned()).collect();
        (kept, left_out.into_iter().map(|left_out| (left_out.name, left_out.why)).collect())
    }

    #[test]
    fn a_session_takes_no_reserved_provided_repeated_or_impossible_name() {
        let answers = [
            ("A", Resolved),
            ("LD_PRELOAD", Resolved),
            ("MAKEFLAGS", Expired),
            ("B", Resolved),
            ("C", ProvidedByWorkspace),
            ("A", Resolved),
            ("x y", Resolved),
            ("OLD", Expired),
        ];
        let (kept, left_out) = screened(&answers, None, &["B", "C"]);
        assert_eq!(kept, ["A", "C", "OLD"]);
        let expected = [
            ("LD_PRELOAD", Why::ReservedName),
            ("MAKEFLAGS", Why::ReservedName),
            ("B", Why::Provided),
            ("A", Why::NotAskedFor),
            ("x y", Why::Form),
        ];
        assert_eq!(left_out, expected.map(|(name, why)| (name.to_owned(), why)));
    }

    #[test]
    fn what_is_asked_for_by_name_may_be_reserved_but_nothing_else_comes_in() {
        let answers = [("PATH", Resolved), ("A", Resolved), ("not a name", NotFound)];
        let (kept, left_out) = screened(&answers, Some(&["PATH", "not a name"]), &[]);
        assert_eq!(kept, ["PATH", "not a name"]);
        assert_eq!(left_out, [("A".to_owned(), Why::NotAskedFor)]);
        let (kept, left_out) = screened(&[("not a name", Resolved)], Some(&["not a name"]), &[]);
        assert!(kept.is_empty() && left_out[0].1 == Why::Form);
    }

    #[test]
    fn notices_are_one_line_a_reason_and_repeat_no_text_that_is_no_name() {
        let left_out = |name: &str, why| LeftOut { name: name.to_owned(), why };
        assert!(notices(&[]).is_empty());
        let lines = notices(&[
            left_out("\u{1b}[2J", Why::Form),
            left_out("PS0", Why::ReservedName),
            left_out("\n", Why::ReservedName),
            left_out("A", Why::Unknown),
        ]);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with(": PS0, and 1 more") && lines[1].ends_with(": A"), "{lines:?}");
        assert!(lines[2].ends_with(": 1 in number") && !lines.concat().contains(char::is_control));
        let many: Vec<LeftOut> = (0..500).map(|number| left_out(&format!("N{number}"), Why::Provided)).collect();
        assert!(notices(&many)[0].ends_with("N19, and 480 more"));
    }
}
