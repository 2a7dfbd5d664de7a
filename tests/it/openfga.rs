//! OpenFGA with its tuples in PostgreSQL, stopped and started again: an outage closes the vault and
//! loses nothing.

use crate::support::{
    Backend, Database, OpenFgaServer, World, agent_asks, entry, new_project, runtime, service, tool_asks, user,
};
use project_vault::domain::{Error, ProjectId};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_closes_the_vault_and_loses_nothing() {
    let datastore = Database::new(Backend::Postgres).await;
    let mut server = OpenFgaServer::set_up(&datastore.url);
    server.start(&[]).await;
    let world = World::with_openfga(&server.config()).await;
    world.demo().await;
    let id = world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap().id.to_string();
    let asked = || tool_asks(agent_asks("builder", &["TOKEN"]));
    assert!(world.vault.agents().resolve(&runtime("acme-runtime"), asked()).await.is_ok());

    server.stop_with("KILL");
    let before = world.number("SELECT count(*) AS n FROM audit_events").await;
    let started = Instant::now();
    let refused = world.vault.agents().resolve(&runtime("acme-runtime"), asked()).await.err().unwrap();
    assert!(matches!(refused, Error::Unavailable { will_take_effect: false, .. }), "{refused:?}");
    let answer = world.ask(&user("alice"), "{ projectVault(projectId: \"demo\") { status } }", json!({})).await;
    assert_eq!(answer.codes(), ["UNAVAILABLE"]);
    assert!(answer.at("/projectVault").is_null());
    let refused = world.vault.entries().disable(&user("bob"), id.clone()).await.err().unwrap();
    assert_eq!(refused.code().as_str(), "UNAVAILABLE");
    assert!(started.elapsed() < Duration::from_secs(15), "the wait is bounded");
    assert_eq!(world.number("SELECT count(*) AS n FROM audit_events").await, before, "nothing happened");

    server.start(&[]).await;
    let recovered = Instant::now();
    while world.authorizer.ready().await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(15), "the vault does not recover by itself");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(world.vault.agents().resolve(&runtime("acme-runtime"), asked()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_openfga_does_not_take_yet_takes_effect_later() {
    let datastore = Database::new(Backend::Postgres).await;
    let mut server = OpenFgaServer::set_up(&datastore.url);
    // It answers checks and takes two tuples, as the stand-in has; a project's three at once it
    // refuses.
    server.start(&["--max-tuples-per-write=2"]).await;
    let world = World::with_openfga(&server.config()).await;
    let registrar = project_vault::domain::ServiceId::parse("platform").unwrap();
    world.vault.members().set_registrar(&registrar, true).await.unwrap();
    let mutation = "mutation { registerProjectVault(input: { projectId: \"p\", participantIds: [\"acme\"], accountableUserIds: [\"zoe\"] })
        { vault { status } userErrors { code } } }";
    let answer = world.ask(&service("platform"), mutation, json!({})).await;
    assert_eq!(answer.codes(), ["UNAVAILABLE"]);
    assert_eq!(answer.errors()[0]["extensions"]["willTakeEffect"], json!(true));
    assert_eq!(world.number("SELECT count(*) AS n FROM projects").await, 1);
    assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 1);
    let query = "{ projectVault(projectId: \"p\") { status } }";
    assert!(world.ask(&user("zoe"), query, json!({})).await.ok("/projectVault").is_null());
    let later = world.vault.projects().delete(&service("platform"), "p".to_owned()).await.err().unwrap();
    assert!(matches!(later, Error::Unavailable { will_take_effect: false, .. }), "what waits comes first: {later:?}");
    world.vault.tuples().apply_outbox().await.expect_err("it still does not take them");

    server.stop_with("KILL");
    server.start(&[]).await;
    let recovered = Instant::now();
    while world.vault.tuples().apply_outbox().await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(15), "the outbox does not go on by itself");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.number("SELECT count(*) AS n FROM outbox").await, 0);
    assert_eq!(*world.ask(&user("zoe"), query, json!({})).await.ok("/projectVault/status"), json!("ACTIVE"));
    let conflict = world.vault.projects().register(&service("platform"), new_project("p", "zoe")).await.err().unwrap();
    assert_eq!(conflict.code().as_str(), "CONFLICT");
    world.vault.projects().delete(&service("platform"), "p".to_owned()).await.unwrap();
    let filter = project_vault::authz::TupleFilter::of_project(&ProjectId::parse("p").unwrap());
    let left = world.authorizer.read(&mut world.store.conn().await.unwrap(), &filter).await.unwrap();
    assert_eq!(left, []);
}
