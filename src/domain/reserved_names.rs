//! Names that no new entry may bear, because of what programs do with variables of these names
//! (`product.md`, section 3). The list is `reserved_names.txt`, which documents its own format.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

static BUILT_IN: LazyLock<ReservedNames> = LazyLock::new(|| ReservedNames::parse(include_str!("reserved_names.txt")));

/// A list of reserved names: whole names, and families of names. A session looks up each of its
/// names, so families are indexed by a byte that all their names share, the first or the last.
#[derive(Debug, Default)]
pub struct ReservedNames {
    names: HashSet<String>,
    by_first: HashMap<u8, Vec<Family>>,
    by_last: HashMap<u8, Vec<Family>>,
}

/// The names that a pattern matches, except those that one of its exceptions matches.
#[derive(Debug)]
struct Family {
    pattern: Pattern,
    exceptions: Vec<Pattern>,
}

/// A whole name, or with a `*` the beginning and end of one; upper case.
#[derive(Debug, Clone)]
struct Pattern {
    prefix: String,
    suffix: Option<String>,
}

impl ReservedNames {
    /// The list of this release.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Parses a list. No text is an error: a word that is not a pattern of a name reserves nothing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        let mut groups: HashMap<String, Vec<Pattern>> = HashMap::new();
        for line in logical_lines(text) {
            let mut words = line.split_ascii_whitespace();
            if let Some(group) = line.strip_prefix('@') {
                let patterns = words.skip(1).map(Pattern::parse).collect();
                groups.insert(group.split_ascii_whitespace().next().unwrap_or_default().to_owned(), patterns);
                continue;
            }
            let patterns: Vec<Pattern> =
                words.by_ref().take_while(|word| *word != "except").map(Pattern::parse).collect();
            let exceptions: Vec<Pattern> = words
                .flat_map(|word| match word.strip_prefix('@') {
                    Some(group) => groups.get(group).cloned().unwrap_or_default(),
                    None => vec![Pattern::parse(word)],
                })
                .collect();
            for pattern in patterns {
                let Some(suffix) = &pattern.suffix else {
                    list.names.insert(pattern.prefix);
                    continue;
                };
                let families = match (pattern.prefix.bytes().next(), suffix.bytes().next_back()) {
                    (Some(first), _) => list.by_first.entry(first).or_default(),
                    (None, Some(ending)) => list.by_last.entry(ending).or_default(),
                    (None, None) => continue,
                };
                families.push(Family { pattern, exceptions: exceptions.clone() });
            }
        }
        list
    }

    /// Whether a name is reserved, in any letter case.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        let of = |families: &HashMap<u8, Vec<Family>>, byte: Option<u8>| {
            let families = byte.and_then(|byte| families.get(&byte));
            families.is_some_and(|families| families.iter().any(|family| family.contains(&name)))
        };
        self.names.contains(&name)
            || of(&self.by_first, name.bytes().next())
            || of(&self.by_last, name.bytes().next_back())
    }
}

impl Family {
    fn contains(&self, name: &str) -> bool {
        self.pattern.matches(name) && !self.exceptions.iter().any(|exception| exception.matches(name))
    }
}

impl Pattern {
    fn parse(word: &str) -> Self {
        let upper = word.to_ascii_uppercase();
        match upper.split_once('*') {
            Some((prefix, suffix)) => Self { prefix: prefix.to_owned(), suffix: Some(suffix.to_owned()) },
            None => Self { prefix: upper, suffix: None },
        }
    }

    fn matches(&self, name: &str) -> bool {
        match &self.suffix {
            Some(suffix) => {
                name.len() >= self.prefix.len() + suffix.len()
                    && name.starts_with(&self.prefix)
                    && name.ends_with(suffix)
            }
            None => name == self.prefix,
        }
    }
}

/// The lines without comments and blanks, each with the indented lines that continue it.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match lines.last_mut() {
            Some(last) if line.starts_with(' ') => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of a corpus: one a line, the first word.
    fn corpus(text: &str) -> Vec<&str> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_ascii_whitespace().next()).collect()
    }

    fn credentials() -> Vec<&'static str> {
        corpus(include_str!("../../tests/corpus/credential-names.txt"))
    }

    fn dangerous() -> Vec<&'static str> {
        corpus(include_str!("../../tests/corpus/dangerous-names.txt"))
    }

    #[test]
    fn dangerous_names_of_the_manuals_are_reserved_in_any_letter_case() {
        let list = ReservedNames::built_in();
        let accepted: Vec<&str> = dangerous().into_iter().filter(|name| !list.contains(name)).collect();
        assert!(dangerous().len() >= 300 && accepted.is_empty(), "{accepted:?}");
        for name in dangerous() {
            assert!(list.contains(&name.to_ascii_lowercase()), "{name}");
        }
    }

    #[test]
    fn names_of_real_credentials_are_not_reserved() {
        let list = ReservedNames::built_in();
        let refused: Vec<&str> = credentials().into_iter().filter(|name| list.contains(name)).collect();
        assert!(credentials().len() >= 200 && refused.is_empty(), "{refused:?}");
    }

    #[test]
    fn the_corpora_name_nothing_twice_and_only_what_can_be_a_name() {
        let all: Vec<&str> = dangerous().into_iter().chain(credentials()).collect();
        let distinct: HashSet<&str> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|name| super::super::SecretName::has_form(name)));
    }

    #[test]
    fn the_families_of_the_product_and_their_exceptions_hold() {
        let list = ReservedNames::built_in();
        // `?` stands for any text.
        let families = "BASH_? LD_? DYLD_? GLIBC_? MALLOC_? PYTHON? PERL? RUBY? LUA_? NODE_? JAVA_? JDK_? RUSTC? \
            CARGO_? GO?FLAGS DOTNET_? ?FLAGS ?_OPTS ?_OPTIONS NPM_CONFIG_? PIP_? ?EDITOR ?PAGER LESS? ?_RSH ?_SHELL \
            ?_ASKPASS GIT_? ?_PROXY OPENSSL_? XDG_? ?_CONFIG_FILE ?_CONFIG_DIR ?_CONFIG_HOME PROJECT_VAULT_?";
        for family in families.split_whitespace() {
            for text in ["X", "ANYTHING_AT_ALL", "q7"] {
                assert!(list.contains(&family.replace('?', text)), "{family}");
            }
        }
        let names = "PATH HOME SHELL IFS ENV USER TERM CDPATH ZDOTDIR TMPDIR BASHOPTS SHELLOPTS PS0 PS1 PS2 PS3 PS4 \
            PROMPT_COMMAND GLOBIGNORE GCONV_PATH _JAVA_OPTIONS CLASSPATH RUSTFLAGS PHPRC CC CXX BROWSER NO_PROXY \
            SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE DOCKER_HOST KUBECONFIG VIMINIT PROJECT_VAULT_TOKEN";
        for name in names.split_whitespace() {
            assert!(list.contains(name), "{name}");
        }
        for name in ["GIT_TOKEN", "git_username", "GIT_PASSWORD", "CARGO_REGISTRY_TOKEN", "NODE_AUTH_TOKEN"] {
            assert!(!list.contains(name), "{name}");
        }
    }

    #[test]
    fn a_pattern_reserves_what_it_matches_except_its_own_exceptions() {
        let list =
            ReservedNames::parse("# a comment\n@group *_B *_C\nONE A*Z except AXZ A_*\n    @group\nA_FZ\nBoth*\n");
        for name in ["ONE", "one", "AZ", "AYZ", "A_FZ", "both", "BOTH_A"] {
            assert!(list.contains(name), "{name}");
        }
        for name in ["ONES", "A", "Z", "AXZ", "a_yz", "A_BZ", "BOT", "TWO", ""] {
            assert!(!list.contains(name), "{name}");
        }
        assert!(!ReservedNames::parse("*").contains("A"), "a pattern of every name is none");
        let grouped = ReservedNames::parse("@g *_B\nX* except @g\n");
        assert!(grouped.contains("X_A") && !grouped.contains("X_B") && grouped.contains("X_B_"));
    }

    #[test]
    fn every_pattern_can_match_a_name_and_has_its_source_above() {
        let text = include_str!("reserved_names.txt");
        let mut seen = HashSet::new();
        for line in logical_lines(text) {
            for word in line.split_ascii_whitespace().filter(|word| *word != "except" && !word.starts_with('@')) {
                let form = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_*".contains(c));
                assert!(form && word.matches('*').count() <= 1, "{word}");
            }
            let patterns = line.split_ascii_whitespace().take_while(|word| *word != "except");
            for pattern in patterns.filter(|_| !line.starts_with('@')) {
                assert!(seen.insert(pattern.to_owned()), "{pattern} stands twice");
            }
            for group in line.split_ascii_whitespace().skip(1).filter(|word| word.starts_with('@')) {
                assert!(text.contains(&format!("\n{group} ")), "{group} is defined nowhere");
            }
        }
        let lines: Vec<&str> = text.lines().collect();
        for pair in
            lines.windows(2).filter(|pair| pair[1].starts_with(|c: char| c == '*' || c == '_' || c.is_alphabetic()))
        {
            assert!(pair[0].starts_with("# ") && (pair[0].contains(": ") || pair[0].len() > 3), "{}", pair[1]);
        }
    }
}
