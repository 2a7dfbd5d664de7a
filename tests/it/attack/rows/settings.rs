//! The installation's settings name the store and the model at OpenFGA: an attacker who writes to
//! the database cannot replace them.

use super::resolved;
use crate::support::{Backend, Installation, World, openfga_url, user};
use openfga_client::client::{AuthorizationModel, OpenFgaServiceClient, WriteAuthorizationModelRequest};
use project_vault::authz::{Authorizer, OpenFgaConfig, PinnedModel, SetupError, TupleFilter};
use project_vault::vault::{Break, ExistingRows, InstallationError};
use std::time::Duration;

/// Opens the authorizer as a server does that starts now.
async fn start(world: &World) -> Result<Authorizer, InstallationError> {
    match world.openfga() {
        None => world.installation().embedded().await,
        Some(config) => world.installation().openfga(&config).await,
    }
}

async fn migrate(world: &World) -> Result<(), InstallationError> {
    migrate_with(world, ExistingRows::Refuse).await
}

/// As [`migrate`], where the operator vouches for rows without MACs.
async fn migrate_signing(world: &World) -> Result<(), InstallationError> {
    migrate_with(world, ExistingRows::Sign).await
}

async fn migrate_with(world: &World, existing: ExistingRows) -> Result<(), InstallationError> {
    let installation = world.installation();
    match world.openfga() {
        None => installation.set_up_embedded(existing).await,
        Some(config) => installation.set_up_openfga(&config, existing).await,
    }
}

async fn is_ready(world: &World) -> bool {
    world.vault.health().ready().await.into_iter().find(|(part, _)| *part == "authorizer").unwrap().1
}

/// What is wrong with a start.
async fn refusal(world: &World) -> String {
    start(world).await.err().map_or_else(|| "it starts".to_owned(), |error| error.to_string())
}

both! {
    async fn every_setting_carries_a_mac(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        assert!(is_ready(&world).await);
        assert!(world.number("SELECT count(*) AS n FROM installation").await > 0);
        assert_eq!(world.number("SELECT count(*) AS n FROM installation WHERE mac IS NULL").await, 0);
        assert_eq!(world.found_broken().await, []);
        let names = "SELECT count(*) AS n FROM installation";
        let all = world.number(names).await;
        for change in ["value = value || 'x'", "mac = NULL", "mac = (SELECT mac FROM data_keys)"] {
            world.keep("now").await;
            world.by_hand(&format!("UPDATE installation SET {change}")).await;
            let broken = world.found_broken().await;
            assert_eq!(i64::try_from(broken.len()).unwrap(), all, "{change}: {broken:?}");
            assert!(broken.iter().all(|one| matches!(one, Break::Setting(_))));
            world.put_back("now", &["installation"]).await;
            for table in super::TABLES {
                world.by_hand(&format!("DROP TABLE now_{table}")).await;
            }
        }
    }

    async fn rows_without_macs_are_signed_when_the_operator_says_so_and_not_otherwise(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        // What a writer of the database does to have forged rows signed.
        world.by_hand(
            "DELETE FROM installation WHERE name = 'row-macs'; UPDATE installation SET mac = NULL; \
             UPDATE data_keys SET mac = NULL; \
             UPDATE audit_events SET subject = NULL WHERE subject LIKE 'data-key:%'"
        ).await;
        world.by_hand("INSERT INTO installation (name, value) VALUES ('forged', 'x')").await;
        let refused = migrate(&world).await.unwrap_err();
        assert!(matches!(refused, InstallationError::Unsigned { .. }), "{refused}");
        assert!(refused.to_string().contains("migrate --sign-existing-rows"), "{refused}");
        assert_eq!(world.number("SELECT count(*) AS n FROM installation WHERE mac IS NOT NULL").await, 0);
        assert_eq!(world.number("SELECT count(*) AS n FROM data_keys WHERE mac IS NOT NULL").await, 0);
        assert!(refusal(&world).await.contains("project-vault migrate"), "{}", refusal(&world).await);
        migrate_signing(&world).await.unwrap();
        start(&world).await.unwrap();
    }

    async fn rows_from_before_row_macs_are_signed_by_migrate_and_only_once(world: World) {
        world.demo().await;
        // As the release before left it: no MACs, and no event that names a data key.
        world.by_hand("DELETE FROM installation WHERE name = 'row-macs'; UPDATE installation SET mac = NULL; UPDATE data_keys SET mac = NULL").await;
        assert!(refusal(&world).await.contains("project-vault migrate"), "{}", refusal(&world).await);
        assert!(matches!(migrate(&world).await, Err(InstallationError::Unsigned { .. })));
        migrate_signing(&world).await.unwrap();
        start(&world).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM data_keys WHERE mac IS NULL").await, 0);
        assert_eq!(world.found_broken().await, []);
        let added = world.another_server().entries().create(&user("bob"), crate::support::entry("TOKEN", "a value")).await;
        added.unwrap();
        assert_eq!(resolved(&world.another_server()).await, Ok(vec!["TOKEN=a value".to_owned()]));

        // From then on, a row without a MAC is one that somebody changed.
        world.by_hand("UPDATE data_keys SET mac = NULL").await;
        migrate(&world).await.unwrap();
        assert_eq!(world.number("SELECT count(*) AS n FROM data_keys WHERE mac IS NULL").await, 1);
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
        for removal in [
            "DELETE FROM installation WHERE name = 'row-macs'",
            "UPDATE installation SET mac = NULL",
            "DELETE FROM installation",
        ] {
            world.keep("now").await;
            world.by_hand(removal).await;
            assert!(matches!(migrate(&world).await, Err(InstallationError::SignedBefore { .. })), "{removal}");
            assert!(matches!(migrate_signing(&world).await, Err(InstallationError::SignedBefore { .. })), "{removal}");
            assert!(matches!(start(&world).await, Err(InstallationError::SignedBefore { .. })), "{removal}");
            world.put_back("now", &["installation"]).await;
            for table in super::TABLES {
                world.by_hand(&format!("DROP TABLE now_{table}")).await;
            }
        }
    }

    async fn projects_from_before_their_macs_are_signed_by_migrate_and_only_once(world: World) {
        world.demo().await;
        world.add("TOKEN", "a value").await;
        // As the release before left it.
        world.by_hand(
            "DELETE FROM installation WHERE name = 'project-macs'; \
             UPDATE projects SET mac = NULL, listing = NULL, revision = 0; UPDATE milestones SET mac = NULL, revision = 0"
        ).await;
        assert!(refusal(&world).await.contains("project-vault migrate"), "{}", refusal(&world).await);
        let refused = migrate(&world).await.unwrap_err().to_string();
        assert!(refused.contains("`projects`") && refused.contains("--sign-existing-rows"), "{refused}");
        migrate_signing(&world).await.unwrap();
        start(&world).await.unwrap();
        assert_eq!(world.found_broken().await, []);
        let whole = Ok(vec!["TOKEN=a value".to_owned()]);
        assert_eq!(resolved(&world.another_server()).await, whole);
        // A server that has not seen the project before the upgrade.
        let added = crate::support::entry("OTHER", "another");
        world.another_server().entries().create(&user("bob"), added).await.unwrap();

        // From then on, a row without a MAC is one that somebody changed.
        world.keep("now").await;
        world.by_hand("UPDATE projects SET mac = NULL").await;
        migrate_signing(&world).await.unwrap();
        assert_eq!(resolved(&world.another_server()).await, Err("INTERNAL"));
        world.put_back("now", &["projects"]).await;
        world.by_hand("DELETE FROM installation WHERE name = 'project-macs'").await;
        for refused in [migrate(&world).await, migrate_signing(&world).await, start(&world).await.map(drop)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, InstallationError::SignedBefore { setting: "project-macs", .. }), "{refused}");
        }
    }

    async fn a_pinned_id_that_was_changed_stops_the_start_and_readiness_and_nothing_else(world: World) {
        if world.backend == Backend::Sqlite {
            return;
        }
        world.demo().await;
        world.add("TOKEN", "a value").await;
        assert!(is_ready(&world).await);
        for name in ["openfga.store", "openfga.model", "openfga.model_digest"] {
            for change in [
                "value = '01J00000000000000000000000'",
                "mac = NULL",
                "mac = (SELECT mac FROM installation WHERE name = 'row-macs')",
            ] {
                world.keep("now").await;
                world.by_hand(&format!("UPDATE installation SET {change} WHERE name = '{name}'")).await;
                let told = refusal(&world).await;
                assert!(told.contains(name) && told.contains("project-vault migrate"), "{told}");
                assert!(!is_ready(&world).await, "{name}: {change}");
                assert!(resolved(&world.vault).await.is_ok(), "a server goes on with what it began with");
                migrate(&world).await.unwrap();
                start(&world).await.unwrap();
                assert!(is_ready(&world).await, "the store was found by its name");
                for table in super::TABLES {
                    world.by_hand(&format!("DROP TABLE now_{table}")).await;
                }
            }
        }
        // MACs of two settings, swapped.
        world.by_hand(
            "UPDATE installation SET mac = other.mac FROM installation AS other \
             WHERE installation.name = 'openfga.store' AND other.name = 'openfga.model'"
        ).await;
        assert!(refusal(&world).await.contains("openfga.store"));
    }

    async fn a_vault_pointed_at_another_ones_store_grants_nothing(world: World) {
        if world.backend == Backend::Sqlite {
            return;
        }
        world.demo().await;
        world.add("TOKEN", "a value").await;
        // A vault on the same OpenFGA, where mallory is Accountable of a project of the same id.
        let staging = World::new(Backend::Postgres).await;
        let platform = project_vault::domain::ServiceId::parse("platform").unwrap();
        staging.vault.members().set_registrar(&platform, true).await.unwrap();
        let project = project_vault::vault::NewProject {
            project: "demo".to_owned(),
            participants: vec!["evil".to_owned()],
            accountable: vec!["mallory".to_owned()],
            status: project_vault::domain::ProjectStatus::Active,
        };
        staging.vault.projects().register(&crate::support::service("platform"), project).await.unwrap();
        let sql = |column: &str, name: &str| format!("SELECT {column} AS t FROM installation WHERE name = '{name}'");
        for with_mac in [false, true] {
            for name in ["openfga.store", "openfga.model"] {
                let value = staging.text(&sql("value", name)).await;
                let mac = staging.text(&sql("encode(mac, 'hex')", name)).await;
                let mac = if with_mac { format!(", mac = decode('{mac}', 'hex')") } else { String::new() };
                world.by_hand(&format!("UPDATE installation SET value = '{value}'{mac} WHERE name = '{name}'")).await;
            }
            assert!(refusal(&world).await.contains("openfga.store"), "{}", refusal(&world).await);
            assert!(!is_ready(&world).await);
            migrate(&world).await.unwrap();
            let authorizer = start(&world).await.unwrap();
            assert_eq!(authorizer.pinned(), world.authorizer.pinned(), "the store of its own name");
            let mut conn = world.store.conn().await.unwrap();
            let tuples = authorizer.read(&mut conn, &TupleFilter::of_project(&World::project())).await.unwrap();
            assert!(!format!("{tuples:?}").contains("mallory"));
            assert!(is_ready(&world).await);
        }
    }

    async fn a_store_of_another_name_is_refused_whatever_its_row_says(world: World) {
        let Some(config) = world.openfga() else { return };
        world.demo().await;
        let other = OpenFgaConfig { store: "another-vault".to_owned(), ..world.openfga().unwrap() };
        let refused = world.installation().openfga(&other).await.err().unwrap();
        assert!(matches!(&refused, InstallationError::Authorizer(SetupError::OtherStore { .. })), "{refused}");
        assert!(refused.to_string().contains(&config.store) && refused.to_string().contains("OPENFGA_STORE"));
        let refused = world.installation().set_up_openfga(&other, ExistingRows::Refuse).await.err().unwrap();
        assert!(matches!(&refused, InstallationError::Authorizer(SetupError::OtherStore { .. })), "{refused}");
        // Nor is a new one made in the place of one that was used.
        world.by_hand("UPDATE installation SET mac = NULL WHERE name LIKE 'openfga.%'").await;
        let nowhere = OpenFgaConfig { store: format!("t-{}", uuid::Uuid::now_v7().simple()), ..world.openfga().unwrap() };
        let refused = world.installation().set_up_openfga(&nowhere, ExistingRows::Refuse).await.err().unwrap();
        assert!(matches!(&refused, InstallationError::Authorizer(SetupError::NoStoreOfName(_))), "{refused}");
        migrate(&world).await.unwrap();
        start(&world).await.unwrap();
    }

    async fn a_model_that_is_not_the_built_in_one_is_refused(world: World) {
        let Some(config) = world.openfga() else { return };
        let pinned = world.authorizer.pinned().unwrap().clone();
        // In a model of the same store, services may be Accountable.
        let text = include_str!("../../../../src/authz/model/model.json");
        let mut model: AuthorizationModel = serde_json::from_str(text).unwrap();
        let project = model.type_definitions.iter_mut().find(|of| of.r#type == "project").unwrap();
        let relations = &mut project.metadata.as_mut().unwrap().relations;
        let mut service = relations["accountable"].directly_related_user_types[0].clone();
        "service".clone_into(&mut service.r#type);
        relations.get_mut("accountable").unwrap().directly_related_user_types.push(service);
        let mut client = OpenFgaServiceClient::connect(openfga_url()).await.unwrap();
        let request = WriteAuthorizationModelRequest {
            store_id: pinned.store.clone(),
            type_definitions: model.type_definitions,
            schema_version: model.schema_version,
            conditions: model.conditions,
        };
        let wider = client.write_authorization_model(request).await.unwrap().into_inner().authorization_model_id;
        let refused = Authorizer::openfga(&config, PinnedModel { model: wider, ..pinned.clone() }).await.err().unwrap();
        assert!(matches!(refused, SetupError::OtherModel), "{refused}");
        for model in ["01J00000000000000000000000", "no id"] {
            let refused = Authorizer::openfga(&config, PinnedModel { model: model.to_owned(), ..pinned.clone() }).await;
            assert!(matches!(refused, Err(SetupError::OtherModel)), "{model}");
        }
        let gone = PinnedModel { store: "01J00000000000000000000000".to_owned(), ..pinned.clone() };
        let refused = Authorizer::openfga(&config, gone).await;
        assert!(matches!(refused, Err(SetupError::NoStore)));
        // A migration finds that the newest model is another one, and writes the built-in one
        // again.
        world.by_hand("UPDATE installation SET mac = NULL WHERE name = 'openfga.model'").await;
        migrate(&world).await.unwrap();
        start(&world).await.unwrap();
    }

    async fn two_stores_of_one_name_are_not_told_apart_by_guessing(world: World) {
        let Some(config) = world.openfga() else { return };
        let mut client = OpenFgaServiceClient::connect(openfga_url()).await.unwrap();
        let request = openfga_client::client::CreateStoreRequest { name: config.store.clone() };
        client.create_store(request).await.unwrap();
        start(&world).await.unwrap();
        migrate(&world).await.unwrap();
        world.by_hand("UPDATE installation SET mac = NULL WHERE name = 'openfga.store'").await;
        let refused = world.installation().set_up_openfga(&config, ExistingRows::Refuse).await.err().unwrap();
        assert!(matches!(&refused, InstallationError::Authorizer(SetupError::SeveralStores(_))), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_store_is_changed_by_hand_says_so_and_does_not_start_again() {
    let it = Installation::new(Backend::Postgres).await;
    let log = it.file("log");
    let server = it.serve("warn", &log).await;
    it.add_demo(&server).await;
    let ready = async || {
        // An answer is kept for a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        server.page("/readyz").await
    };
    assert!(ready().await.contains("\"ready\""));
    let sql = "UPDATE installation SET value = '01J00000000000000000000000' WHERE name = 'openfga.store'";
    it.database.sql(sql).await.unwrap();
    assert!(ready().await.contains("authorizer"));
    for args in [&["serve", "--listen", "127.0.0.1:0"][..], &["registrar", "add", "other"]] {
        let ran = it.run(args).await;
        assert!(ran.status == 1 && ran.err.contains("openfga.store") && ran.err.contains("migrate"), "{ran:?}");
    }
    // What asks nobody works, and names it.
    let ran = it.run(&["audit", "verify"]).await;
    assert!(ran.status == 1 && ran.out.contains("openfga.store"), "{ran:?}");
    it.done(&["keys", "status"]).await;
    it.done(&["migrate"]).await;
    assert!(ready().await.contains("\"ready\""));
    assert!(it.done(&["audit", "verify"]).await.contains("as they were recorded"));
}
