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
    &["authz", "kms"],
    &["store"],
    // What runs beside agents: nothing of the server, which it is built without.
    &["agent"],
    &["crypto", "permission"],
    &["command"],
    &["domain", "trace"],
];

/// The same for `src/vault/`. `Caller` is the one type that `vault` itself hands on to its folders.
const IN_VAULT: &[&[&str]] = &[
    &["verification", "rotation", "agent", "sweeper"],
    &["entries", "members", "projects", "milestones"],
    &["access"],
    &["tuples", "health"],
    &["audit"],
    &["keys"],
    &["caller", "Caller", "cursor", "input", "wal"],
];

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

/// The names that follow `prefix` in a line, such as `store` in `crate::store::Tx`.
fn names_after<'a>(line: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back();
        let name = line[at + prefix.len()..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
        let is_path_of_its_own = before.is_none_or(|c| !c.is_alphanumeric() && c != ':' && c != '_');
        (is_path_of_its_own && !name.is_empty()).then_some(name)
    })
}

/// The arrows below `dir` that do not go down, as `file:line: from -> to`. `paths` says how a file
/// names another layer.
fn upward(dir: &Path, layers: &[&[&str]], paths: impl Fn(&Path) -> Vec<&'static str>) -> Vec<String> {
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
        for (index, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for to in paths(inside).into_iter().flat_map(|prefix| names_after(code, prefix)) {
                if to != from && rank(layers, to).is_none_or(|other| other <= own) {
                    found.insert(format!("{}:{}: {from} -> {to}", file.display(), index + 1));
                }
            }
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_folder_uses_one_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let found = upward(&src, LAYERS, |_| vec!["crate::"]);
    assert!(found.is_empty(), "move what is shared further down:\n{}", found.join("\n"));
}

#[test]
fn no_folder_of_the_vault_uses_one_above_it() {
    let vault = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vault");
    let found = upward(&vault, IN_VAULT, |inside| {
        let is_root_of_folder = inside.components().count() == 1 || inside.ends_with("mod.rs");
        if is_root_of_folder { vec!["crate::vault::", "super::"] } else { vec!["crate::vault::"] }
    });
    assert!(found.is_empty(), "move what is shared further down:\n{}", found.join("\n"));
}

#[test]
fn the_check_finds_an_arrow_that_goes_up() {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("store/mod.rs", "use crate::domain::Id;\n// crate::vault::Vault\nuse crate::authz::Tuple;\n"),
        ("vault.rs", "use crate::store::Tx;\n"),
    ] {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let found = upward(dir.path(), LAYERS, |_| vec!["crate::"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].ends_with("store/mod.rs:3: store -> authz"), "{found:?}");
}
