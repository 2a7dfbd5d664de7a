//! The authorization model as data. `model.fga` is the source. `scripts/model` makes `model.json`
//! from it, which OpenFGA receives and the embedded authorizer evaluates.

use super::Tuple;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// The model in OpenFGA's JSON form.
pub const JSON: &str = include_str!("model.json");

/// Maximum length of an object in OpenFGA, in characters, including its type.
const MAX_OBJECT: usize = 256;
/// Maximum length of a subject in OpenFGA, in bytes.
const MAX_SUBJECT: usize = 512;

/// Why a tuple is refused: by the model's type restrictions, or by the form of its ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model does not allow this tuple: {0}")]
pub struct NotAllowed(&'static str);

#[derive(Deserialize)]
struct ModelJson {
    type_definitions: Vec<TypeJson>,
}

#[derive(Deserialize)]
struct TypeJson {
    r#type: String,
    relations: HashMap<String, Rewrite>,
    metadata: Option<MetadataJson>,
}

#[derive(Deserialize)]
struct MetadataJson {
    relations: HashMap<String, RestrictionsJson>,
}

#[derive(Deserialize)]
struct RestrictionsJson {
    directly_related_user_types: Vec<Restriction>,
}

/// A type of subject that tuples of a relation may have. The model has no wildcards and no
/// conditions; a model with one does not load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restriction {
    r#type: String,
    #[serde(default)]
    relation: String,
}

/// A rewrite rule: how a relation derives from tuples and other relations.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Rewrite {
    /// From a tuple of the relation itself.
    This {},
    /// From another relation of the same object.
    ComputedUserset(RelationJson),
    /// From a relation of another object, to which a tuple of this object leads.
    #[serde(rename_all = "camelCase")]
    TupleToUserset {
        /// The relation of the tuple.
        tupleset: RelationJson,
        /// The relation of the other object.
        computed_userset: RelationJson,
    },
    /// From any of these.
    Union(ChildrenJson),
    /// From all of these together.
    Intersection(ChildrenJson),
}

#[derive(Deserialize)]
pub(super) struct RelationJson {
    pub relation: String,
}

#[derive(Deserialize)]
pub(super) struct ChildrenJson {
    pub child: Vec<Rewrite>,
}

struct Type {
    relations: HashMap<String, Rewrite>,
    restrictions: HashMap<String, RestrictionsJson>,
}

/// The parsed model.
pub struct Model {
    types: HashMap<String, Type>,
    /// The relations whose tuples link one object to another.
    links: Vec<String>,
}

impl Model {
    /// Parses the built-in model.
    ///
    /// # Errors
    /// When the model uses a feature that the embedded authorizer cannot evaluate.
    pub fn load() -> Result<Self, serde_json::Error> {
        let json: ModelJson = serde_json::from_str(JSON)?;
        let mut links = BTreeSet::new();
        for definition in &json.type_definitions {
            for rewrite in definition.relations.values() {
                collect_links(rewrite, &mut links);
            }
        }
        let types = json
            .type_definitions
            .into_iter()
            .map(|definition| {
                let restrictions = definition.metadata.map(|metadata| metadata.relations).unwrap_or_default();
                (definition.r#type, Type { relations: definition.relations, restrictions })
            })
            .collect();
        Ok(Self { types, links: links.into_iter().collect() })
    }

    pub(super) fn links(&self) -> &[String] {
        &self.links
    }

    /// Whether an object's type has relations. People, services and agents have none.
    pub(super) fn has_relations(&self, object: &str) -> bool {
        object
            .split(':')
            .next()
            .and_then(|kind| self.types.get(kind))
            .is_some_and(|definition| !definition.relations.is_empty())
    }

    /// Whether the object's type has the relation of the question.
    pub(super) fn can_be_asked(&self, question: &super::Question) -> bool {
        self.rewrite(&question.object, question.permission.relation()).is_some()
    }

    /// The rewrite rule of an object's relation; `None` if the object's type has no such relation.
    pub(super) fn rewrite(&self, object: &str, relation: &str) -> Option<&Rewrite> {
        self.types.get(object.split(':').next()?)?.relations.get(relation)
    }

    /// Refuses every tuple that OpenFGA refuses to write.
    pub(super) fn check(&self, tuple: &Tuple) -> Result<(), NotAllowed> {
        let (subject, userset) = match tuple.subject().split_once('#') {
            Some((_, "")) => return Err(NotAllowed("its subject has an empty relation")),
            Some((subject, relation)) => (subject, relation),
            None => (tuple.subject(), ""),
        };
        if tuple.subject().len() > MAX_SUBJECT || tuple.object().chars().count() > MAX_OBJECT {
            return Err(NotAllowed("an id is too long"));
        }
        let subject_type = type_of(subject)?;
        let restrictions = self
            .types
            .get(type_of(tuple.object())?)
            .and_then(|definition| definition.restrictions.get(tuple.relation()))
            .ok_or(NotAllowed("the object's type has no such relation"))?;
        restrictions
            .directly_related_user_types
            .iter()
            .any(|allowed| allowed.r#type == subject_type && allowed.relation == userset)
            .then_some(())
            .ok_or(NotAllowed("the subject's type may not stand in this relation"))
    }
}

fn collect_links(rewrite: &Rewrite, links: &mut BTreeSet<String>) {
    match rewrite {
        Rewrite::This {} | Rewrite::ComputedUserset(_) => {}
        Rewrite::TupleToUserset { tupleset, .. } => {
            links.insert(tupleset.relation.clone());
        }
        Rewrite::Union(children) | Rewrite::Intersection(children) => {
            children.child.iter().for_each(|child| collect_links(child, links));
        }
    }
}

/// The type in `type:id`, if the id has a form that OpenFGA accepts.
fn type_of(object: &str) -> Result<&str, NotAllowed> {
    let (kind, id) = object.split_once(':').ok_or(NotAllowed("an object has no type"))?;
    let syntax = |c: char| c == ':' || c == '#' || c.is_whitespace() || c.is_control();
    if kind.is_empty() || id.is_empty() || id == "*" || object.matches(syntax).count() != 1 {
        return Err(NotAllowed("an id has a character that is syntax"));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a relation of a project derives from: its own tuples' relations, and relations of
    /// linked objects. Any one of these suffices.
    fn sources(model: &Model, rewrite: &Rewrite, relation: &str, found: &mut BTreeSet<String>) {
        match rewrite {
            Rewrite::This {} => {
                found.insert(relation.to_owned());
            }
            Rewrite::ComputedUserset(other) => {
                let rewrite = model.rewrite("project:", &other.relation).unwrap();
                sources(model, rewrite, &other.relation, found);
            }
            Rewrite::TupleToUserset { tupleset, computed_userset } => {
                found.insert(format!("{} from {}", computed_userset.relation, tupleset.relation));
            }
            Rewrite::Union(children) => {
                children.child.iter().for_each(|child| sources(model, child, relation, found));
            }
            Rewrite::Intersection(_) => panic!("{relation} is more than a union"),
        }
    }

    /// `RequestContext::seen` relies on it: it does not ask whether a project may be seen if
    /// another permission on it is held.
    #[test]
    fn every_permission_on_a_project_includes_the_one_to_see_it() {
        let model = Model::load().unwrap();
        let of = |relation: &str| {
            let mut found = BTreeSet::new();
            sources(&model, model.rewrite("project:", relation).unwrap(), relation, &mut found);
            found
        };
        let seeing = of("can_see");
        // An agent's permission is asked on resolving only, which shows no project.
        let others = model.types["project"].relations.keys().filter(|name| name.starts_with("can_"));
        let others: Vec<_> = others.filter(|name| *name != "can_resolve").collect();
        assert!(others.len() > 10, "{others:?}");
        for relation in others {
            assert!(of(relation).is_subset(&seeing), "{relation}: {:?}", of(relation));
        }
    }
}
