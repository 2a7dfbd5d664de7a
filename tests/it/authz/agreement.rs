//! Random facts and questions: the embedded authorizer answers as OpenFGA does.

use super::{PERMISSIONS, ask};
use crate::support::{Backend, World};
use project_vault::authz::{HeldProjects, Question, Tuple};
use project_vault::domain::{Principal, ProjectId, UserId};
use project_vault::permission::Permission;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::collections::BTreeSet;
use uuid::Uuid;

/// So many things of each kind take part in a case: few, so that facts meet.
const POOL: usize = 3;
const KINDS: &[&str] =
    &["user", "service", "agent", "team", "organization", "runtime", "vault", "project", "milestone"];

/// The facts the model has room for: subject's kind (with its userset), relation, object's kind.
const FACTS: &[(&str, &str, &str)] = &[
    ("user", "member", "team"),
    ("agent", "agent", "organization"),
    ("organization", "organization", "runtime"),
    ("service", "registrar", "vault"),
    ("user", "auditor", "vault"),
    ("service", "auditor", "vault"),
    ("vault", "vault", "project"),
    ("organization", "participant", "project"),
    ("agent", "assigned_agent", "project"),
    ("user", "informed", "project"),
    ("team#member", "informed", "project"),
    ("user", "consulted", "project"),
    ("team#member", "consulted", "project"),
    ("user", "responsible", "project"),
    ("team#member", "responsible", "project"),
    ("user", "accountable", "project"),
    ("team#member", "accountable", "project"),
    ("project", "project", "milestone"),
    ("agent", "assigned_agent", "milestone"),
];

/// A fact: which of [`FACTS`], of whom, about what, and whether it is taken away again.
type Fact = (usize, usize, usize, bool);
/// A question: subject's kind and number, whether its members are meant, the permission, the
/// object's kind and number.
type Asked = ((usize, usize, bool), usize, (usize, usize));

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    proptest::collection::vec((0..FACTS.len(), 0..POOL, 0..POOL, any::<bool>()), 0..60)
}

fn questions() -> impl Strategy<Value = Vec<Asked>> {
    let subject = (0..KINDS.len(), 0..POOL, prop::bool::weighted(0.1));
    // Mostly of what has relations that code asks for, now and then of anything.
    let object = (prop_oneof![4 => 5..KINDS.len(), 1 => 0..KINDS.len()], 0..POOL);
    proptest::collection::vec((subject, 0..PERMISSIONS.len(), object), 1..100)
}

fn tuple(case: Uuid, fact: &Fact) -> Tuple {
    let (subject, relation, object) = FACTS[fact.0];
    let (kind, userset) =
        subject.split_once('#').map_or((subject, String::new()), |(kind, of)| (kind, format!("#{of}")));
    Tuple::new(format!("{}{userset}", name(case, kind, fact.1)), relation, name(case, object, fact.2))
}

/// Another name in each case, since the cases share one store.
fn name(case: Uuid, kind: &str, number: usize) -> String {
    format!("{kind}:{case}-{number}")
}

fn question(case: Uuid, asked: &Asked) -> Question {
    let ((subject, number, members), permission, (object, of)) = *asked;
    let subject =
        if members { format!("{}#member", name(case, "team", number)) } else { name(case, KINDS[subject], number) };
    Question::of_relation(&subject, PERMISSIONS[permission], &name(case, KINDS[object], of))
}

/// Everything that a person, a service or an agent of the case could ask about a project, whose
/// facts are the most.
fn about_projects(case: Uuid) -> Vec<Question> {
    let of_subjects = ["user", "service", "agent"].into_iter().flat_map(|kind| {
        [
            Permission::CanSee,
            Permission::CanAdminister,
            Permission::CanViewMasked,
            Permission::CanAudit,
            Permission::CanResolve,
        ]
        .map(|permission| (kind, permission))
    });
    of_subjects
        .flat_map(|(kind, permission)| {
            (0..POOL).map(move |number| {
                Question::of_relation(&name(case, kind, number), permission, &name(case, "project", 0))
            })
        })
        .collect()
}

/// A person of a case.
fn person(case: Uuid, number: usize) -> Principal {
    let name = name(case, "user", number);
    Principal::User(UserId::parse(name.strip_prefix("user:").unwrap()).unwrap())
}

/// The projects on which a person holds a permission.
async fn projects(world: &World, person: &Principal, permission: Permission) -> BTreeSet<ProjectId> {
    match world.authorizer.projects(person, permission).await.unwrap() {
        HeldProjects::All(projects) => projects.into_iter().collect(),
        HeldProjects::TooMany => panic!("a case has few projects"),
    }
}

async fn agree(embedded: &World, openfga: &World, facts: &[Fact], asked: &[Asked]) -> Result<(), TestCaseError> {
    let case = Uuid::now_v7();
    let mut tuples: Vec<Tuple> = Vec::new();
    let mut taken_away = Vec::new();
    for fact in facts {
        let tuple = tuple(case, fact);
        if !tuples.contains(&tuple) {
            if fact.3 {
                taken_away.push(tuple.clone());
            }
            tuples.push(tuple);
        }
    }
    let mut questions: Vec<Question> = asked.iter().map(|asked| question(case, asked)).collect();
    questions.extend(about_projects(case));
    for world in [embedded, openfga] {
        world.write(&tuples).await;
    }
    for step in ["with every fact", "with what was left"] {
        let mine = ask(&embedded.authorizer, &questions).await.unwrap();
        let theirs = ask(&openfga.authorizer, &questions).await.unwrap();
        for ((question, mine), theirs) in questions.iter().zip(mine).zip(theirs) {
            prop_assert_eq!(mine, theirs, "embedded, then OpenFGA, {}: {:?} of {:#?}", step, question, tuples);
        }
        for number in 0..POOL {
            let person = person(case, number);
            for permission in [Permission::CanSee, Permission::CanWrite] {
                let mine = projects(embedded, &person, permission).await;
                let theirs = projects(openfga, &person, permission).await;
                prop_assert_eq!(
                    mine,
                    theirs,
                    "projects {} of {:?} with {:?}: {:#?}",
                    step,
                    &person,
                    permission,
                    tuples
                );
            }
        }
        for world in [embedded, openfga] {
            world.delete(&taken_away).await;
        }
    }
    Ok(())
}

#[test]
fn both_authorizers_answer_alike_whatever_the_facts() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (embedded, openfga) =
        runtime.block_on(async { tokio::join!(World::new(Backend::Sqlite), World::new(Backend::Postgres)) });
    let config = Config { cases: 64, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(facts(), questions()), |(facts, asked)| runtime.block_on(agree(&embedded, &openfga, &facts, &asked)))
        .unwrap();
}
