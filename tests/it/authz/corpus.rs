//! The cases of `tests/corpus` that every evaluator of the model answers alike.

use super::{apply, ask, permission};
use project_vault::authz::{Question, Tuple, TupleFilter};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "model_file")]
    _model_file: String,
    tuples: Vec<Fact>,
    tests: Vec<Case>,
}

#[derive(Deserialize, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
struct Fact {
    user: String,
    relation: String,
    object: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    tuples: Vec<Fact>,
    #[serde(default)]
    check: Vec<Check>,
    #[serde(default)]
    list_objects: Vec<ListObjects>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    user: String,
    object: String,
    assertions: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListObjects {
    user: String,
    r#type: String,
    assertions: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusals {
    refused: Vec<(String, String, String)>,
}

impl Fact {
    fn tuple(&self) -> Tuple {
        Tuple::new(&self.user, &self.relation, &self.object)
    }
}

/// What a case expects of each question.
fn expected<'a>(case: &'a Case, facts: &'a [Fact]) -> Vec<(&'a str, &'a str, &'a str, bool)> {
    let mut expected = Vec::new();
    for check in &case.check {
        for (relation, allowed) in &check.assertions {
            expected.push((check.user.as_str(), relation.as_str(), check.object.as_str(), *allowed));
        }
    }
    let named: BTreeSet<&str> =
        facts.iter().chain(&case.tuples).flat_map(|fact| [fact.user.as_str(), fact.object.as_str()]).collect();
    for list in &case.list_objects {
        let kind = format!("{}:", list.r#type);
        for (relation, objects) in &list.assertions {
            assert!(objects.iter().all(|object| named.contains(object.as_str())), "{}", case.name);
            let of_type = named.iter().filter(|object| object.starts_with(&kind));
            expected.extend(
                of_type.map(|object| (list.user.as_str(), relation.as_str(), *object, objects.contains(*object))),
            );
        }
    }
    expected
}

both! {
    async fn every_case_of_the_corpus_is_answered_as_it_says(world: World) {
        let corpus: Corpus = serde_norway::from_str(include_str!("../../corpus/model-tests.yaml")).unwrap();
        let tuples: Vec<Tuple> = corpus.tuples.iter().map(Fact::tuple).collect();
        world.write(&tuples).await;
        let mut asked = 0;
        for case in &corpus.tests {
            let of_case: Vec<Tuple> =
                case.tuples.iter().filter(|fact| !corpus.tuples.contains(fact)).map(Fact::tuple).collect();
            world.write(&of_case).await;
            let expected = expected(case, &corpus.tuples);
            let questions: Vec<Question> = expected
                .iter()
                .map(|(user, relation, object, _)| Question::of_relation(user, permission(relation), object))
                .collect();
            let answers = ask(&world.authorizer, &questions).await.unwrap();
            for ((user, relation, object, allowed), answer) in expected.iter().zip(&answers) {
                assert_eq!(answer, allowed, "{}: {user} {relation} {object}", case.name);
            }
            assert_eq!(answers.len(), expected.len());
            asked += answers.len();
            world.delete(&of_case).await;
        }
        assert!(asked > 300, "the corpus was read in part only");
    }

    async fn every_tuple_of_the_refusals_is_refused_with_all_that_is_written_beside_it(world: World) {
        let refusals: Refusals = serde_norway::from_str(include_str!("../../corpus/model-refusals.yaml")).unwrap();
        let good = Tuple::new("user:alice", "accountable", "project:demo");
        for (user, relation, object) in &refusals.refused {
            let refused = Tuple::new(user, relation, object);
            let both = [good.clone(), refused];
            assert!(apply(&world.authorizer, &world.store, &both, &[]).await.is_err(), "{user} {relation} {object}");
        }
        let mut conn = world.store.conn().await.unwrap();
        let written = world.authorizer.read(&mut conn, &TupleFilter::of_object("project:demo")).await.unwrap();
        assert_eq!(written, []);
    }
}
