//! The layers of the code: no folder of `src/` uses one above it, and neither does one of
//! `src/vault/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folders and files of `src/`, from top to bottom. One may use those in the lists below its
/// own.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["config"],
    &["http"],
    &["graphql"],
    &["vault"],
    &["authz", "kms", "webhook"],
    &["store"],
    // What runs beside agents: nothing of the server, which it is built without.
    &["agent"],
    &["crypto", "permission"],
    &["command"],
    &["groups"],
    &["trace"],
    &["domain", "measures"],
    // Of tests alone.
    &["fuzzing"],
];

/// The same for `src/vault/`. `Caller` is the one type that `vault` itself hands on to its folders.
const IN_VAULT: &[&[&str]] = &[
    &["overview"],
    &["verification", "rotation", "agent", "sweeper", "gauges", "notices"],
    &["entries", "members", "projects", "milestones"],
    &["access"],
    &["tuples", "health"],
    &["audit"],
    &["keys"],
    &["caller", "Caller", "cursor", "input", "measures", "wal"],
];

/// What only one folder uses: the agent's side is a program of its own beside the server.
const ONE_USER: &[(&str, &str)] = &[("agent", "cli")];

fn rank(layers: &[&[&str]], name: &str) -> Option<usize> {
    layers.iter().position(|layer| layer.contains(&name))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names that follow `prefix` in code, with their offsets: `store` in `crate::store::Tx`, and
/// `store` and `domain` in `crate::{store::Tx, domain}`.
fn names_after<'a>(code: &'a str, prefix: &str) -> Vec<(usize, &'a str)> {
    let name_at = |at: usize| {
        let name = code[at..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
        (at, name)
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == ':' || c == '_') {
            continue;
        }
        let after = at + prefix.len();
        if !code[after..].starts_with('{') {
            found.push(name_at(after));
            continue;
        }
        let mut depth = 0;
        for (offset, c) in code[after..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(c, '{' | ',') {
                let rest = &code[after + offset + 1..];
                found.push(name_at(code.len() - rest.trim_start().len()));
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty() && *name != "super");
    found
}

/// How a file names what is in `dir` itself: by its own path there, and from as deep as it lies
/// below.
fn paths_to_root(root: &str, inside: &Path) -> [String; 2] {
    let depth = inside.components().count() - usize::from(inside.ends_with("mod.rs"));
    [root.to_owned(), "super::".repeat(depth)]
}

/// The arrows below `dir` that do not go down, as `file:line: from -> to`. `root` is the path of
/// `dir` in the crate.
fn upward(dir: &Path, layers: &[&[&str]], root: &str) -> Vec<String> {
    let mut files = Vec::new();
    rust_files(dir, &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let inside = file.strip_prefix(dir).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let from = first.strip_suffix(".rs").unwrap_or(first);
        if ["bin", "lib", "main", "mod"].contains(&from) {
            continue;
        }
        let own =
            rank(layers, from).unwrap_or_else(|| panic!("{from} is in no layer; add it to the list in {}", file!()));
        let text = std::fs::read_to_string(&file).unwrap();
        // Lines keep their number, and a comment says what it likes.
        let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
        let code = code.join("\n");
        for prefix in paths_to_root(root, inside) {
            for (at, to) in names_after(&code, &prefix) {
                // A module inside the file lies one deeper, and names what is in the file by this
                // path.
                if rank(layers, to).is_none() && prefix != root {
                    continue;
                }
                let is_forbidden = ONE_USER.iter().any(|(used, user)| to == *used && from != *user);
                if to != from && (is_forbidden || rank(layers, to).is_none_or(|other| other <= own)) {
                    let line = code[..at].lines().count();
                    found.insert(format!("{}:{line}: {from} -> {to}", file.display()));
                }
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_folder_uses_one_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = upward(&src, LAYERS, "crate::");
    assert!(found.is_empty(), "move what is shared further down:\n{}", found.join("\n"));
}

#[test]
fn no_folder_of_the_vault_uses_one_above_it() {
    let vault = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vault");
    let found = upward(&vault, IN_VAULT, "crate::vault::");
    assert!(found.is_empty(), "move what is shared further down:\n{}", found.join("\n"));
}

#[test]
fn the_check_finds_an_arrow_that_goes_up() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("store/mod.rs", "use crate::domain::Id;\n// crate::vault::Vault\nuse crate::authz::Tuple;\n"),
        (
            "store/rows/mod.rs",
            "use super::super::{\n    domain::Id,\n    vault::{Vault, store},\n};\nuse super::rows::X;\n",
        ),
        ("kms.rs", "use crate::{agent, domain};\nuse super::http::Server;\n"),
        ("vault.rs", "use crate::store::Tx;\n"),
    ] {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = upward(dir.path(), LAYERS, "crate::");
    let at = |line: &str| found.iter().any(|found| found.ends_with(line));
    for line in [
        "store/mod.rs:3: store -> authz",
        "store/rows/mod.rs:3: store -> vault",
        "kms.rs:1: kms -> agent",
        "kms.rs:2: kms -> http",
    ] {
        assert!(at(line), "{line}: {found:?}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
}
