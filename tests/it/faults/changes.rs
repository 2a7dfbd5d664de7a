//! What clients change of the entries and the roles of their project, and what has to be true of it
//! afterwards. A change that got no answer may have been made or not, which is both allowed.

use super::load::{Caller, Key, Told};
use crate::support::{Installation, Running};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ROTATE: &str =
    "mutation($id: ID!, $v: String!) { done: rotateVaultEntry(input: { id: $id, value: $v }) { userErrors { code } } }";
const DISABLE: &str = "mutation($id: ID!) { done: disableVaultEntry(id: $id) { userErrors { code } } }";
const DELETE: &str = "mutation($id: ID!) { done: deleteVaultEntry(id: $id) { userErrors { code } } }";
const ASSIGN: &str = "mutation($p: ID!, $u: ID!) { done: assignVaultRole(input: { projectId: $p, userId: $u, role: INFORMED }) \
    { userErrors { code } } }";
const REVOKE: &str = "mutation($p: ID!, $u: ID!) { done: revokeVaultRole(input: { projectId: $p, userId: $u, role: INFORMED }) \
    { userErrors { code } } }";
const MEMBERS: &str = "query($p: ID!) { projectVault(projectId: $p) { members { role user { id } } } }";
const RESOLVE: &str = "query($p: ID!, $n: [String!]) { resolveSecrets(input: { projectId: $p, agentId: \"builder\", names: $n, purpose: TOOL_EXECUTION }) \
    { secrets { name value } } }";

/// How many entries a client leaves as they are.
const KEPT: usize = 3;

/// What clients were told of changes after a creation.
#[derive(Default, Clone)]
pub struct Changed {
    /// Entries that were disabled or deleted: no agent receives them.
    gone: BTreeSet<Key>,
    /// Entries of which a change got no answer, with the values that they may have.
    uncertain: BTreeMap<Key, Vec<String>>,
    /// People of whom it is known whether they have a role.
    roles: BTreeMap<Key, bool>,
}

/// The changes of one client, in its own project.
pub struct Changes {
    caller: Caller,
    project: String,
    /// The entries it may change: name and id.
    entries: Vec<(String, String)>,
    /// The person it last gave a role, unless it has taken it away again.
    holder: Option<String>,
}

impl Changes {
    pub const fn new(caller: Caller, project: String) -> Self {
        Self { caller, project, entries: Vec::new(), holder: None }
    }

    pub fn add(&mut self, name: &str, id: String) {
        self.entries.push((name.to_owned(), id));
    }

    /// Makes the `n`th change. Gives the entry that is no longer what it was, if there is one.
    pub async fn make(&mut self, n: usize) -> Option<String> {
        if n % 4 == 3 {
            self.change_role(n).await;
            return None;
        }
        if self.entries.len() <= KEPT {
            return None;
        }
        let (name, id) = self.entries.swap_remove(n * 5 % self.entries.len());
        let key = (self.project.clone(), name.clone());
        let value = format!("rotated {n} in {}", self.project);
        let old = {
            let mut told = self.caller.told.lock().unwrap();
            let old = told.acknowledged.remove(&key).unwrap();
            let values = if n.is_multiple_of(4) { vec![old.clone(), value.clone()] } else { vec![old.clone()] };
            told.changed.uncertain.insert(key.clone(), values);
            old
        };
        let (change, variables) = match n % 4 {
            0 => (ROTATE, json!({ "id": id, "v": value })),
            1 => (DISABLE, json!({ "id": id })),
            _ => (DELETE, json!({ "id": id })),
        };
        let answer = self.caller.ask(0, change, variables).await;
        let mut told = self.caller.told.lock().unwrap();
        if !is_done(&answer) {
            return Some(name);
        }
        told.changes += 1;
        told.changed.uncertain.remove(&key);
        if n.is_multiple_of(4) {
            assert_ne!(old, value);
            told.acknowledged.insert(key, value);
            drop(told);
            self.entries.push((name, id));
            return None;
        }
        told.changed.gone.insert(key);
        Some(name)
    }

    /// Gives somebody a role, or takes it away again.
    async fn change_role(&mut self, n: usize) {
        let (change, user, has) = match self.holder.take() {
            Some(user) => (REVOKE, user, false),
            None => (ASSIGN, format!("user-{n}"), true),
        };
        let key = (self.project.clone(), user.clone());
        self.caller.told.lock().unwrap().changed.roles.remove(&key);
        let answer = self.caller.ask(0, change, json!({ "p": self.project, "u": user })).await;
        if !is_done(&answer) {
            return;
        }
        {
            let mut told = self.caller.told.lock().unwrap();
            told.changes += 1;
            told.changed.roles.insert(key, has);
        }
        self.holder = has.then_some(user);
    }
}

fn is_done(answer: &Value) -> bool {
    answer["errors"].is_null() && answer["data"]["done"]["userErrors"] == json!([])
}

impl Changed {
    /// Whether changes of each kind were acknowledged.
    pub fn are_of_each_kind(&self) -> bool {
        !self.gone.is_empty() && !self.roles.is_empty()
    }

    /// Asserts that what was changed is as it was told. The clients have ended.
    pub async fn check(&self, it: &Installation, server: &Running) {
        let mut names = BTreeMap::<&str, Vec<&str>>::new();
        for (project, name) in self.gone.iter().chain(self.uncertain.keys()) {
            names.entry(project).or_default().push(name);
        }
        for (project, names) in names {
            for names in names.chunks(400) {
                let answer = it.ask(server, "runtime:acme-runtime", RESOLVE, json!({ "p": project, "n": names })).await;
                let answer = answer.unwrap();
                let secrets = answer["data"]["resolveSecrets"]["secrets"].as_array().expect("an answer");
                assert_eq!(secrets.len(), names.len());
                for secret in secrets {
                    let key = (project.to_owned(), secret["name"].as_str().unwrap().to_owned());
                    let Some(value) = secret["value"].as_str() else { continue };
                    assert!(!self.gone.contains(&key), "{key:?} was disabled or deleted and is released");
                    assert!(self.uncertain[&key].iter().any(|one| one == value), "{key:?} has a value of nobody's");
                }
            }
        }
        let mut people = BTreeMap::<&str, Vec<(&str, bool)>>::new();
        for ((project, user), has) in &self.roles {
            people.entry(project).or_default().push((user, *has));
        }
        for (project, people) in people {
            let answer = it.ask(server, "user:alice", MEMBERS, json!({ "p": project })).await.unwrap();
            let members = answer["data"]["projectVault"]["members"].as_array().expect("members");
            for (user, has) in people {
                let is_member = members.iter().any(|member| member["user"]["id"] == user);
                assert_eq!(is_member, has, "{user} in {project}");
            }
        }
    }
}

impl Told {
    /// How many changes of each kind are known, for the output of a test.
    pub fn kinds(&self) -> String {
        let Changed { gone, uncertain, roles } = &self.changed;
        let (gone, uncertain, roles) = (gone.len(), uncertain.len(), roles.len());
        format!("{} live, {gone} disabled or deleted, {uncertain} uncertain, {roles} roles", self.acknowledged.len())
    }
}
