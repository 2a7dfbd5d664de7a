//! The keyring while a server runs: a key that is added to it is found without a restart.

use crate::support::{World, agent_asks, entry, new_project, runtime, service, tool_asks, user};
use project_vault::crypto::Keyring;
use project_vault::vault::{AgentQuestion, KeyringLoader, NewEntry, Vault};
use secrecy::ExposeSecret as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A keyring's file, that counts how often it is read.
#[derive(Clone, Default)]
struct File {
    text: Arc<Mutex<String>>,
    reads: Arc<AtomicUsize>,
}

impl File {
    fn write(&self, ring: &Keyring) {
        ring.to_text().expose_secret().clone_into(&mut self.text.lock().unwrap());
    }

    fn source(&self) -> KeyringLoader {
        let file = self.clone();
        Arc::new(move || {
            file.reads.fetch_add(1, Ordering::SeqCst);
            Keyring::parse(&file.text.lock().unwrap())
        })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

/// Two servers, each with a file of its own; so far both hold the same key.
struct Scene {
    ring: Keyring,
    own: File,
    server: Vault,
    others: File,
    other: Vault,
}

impl Scene {
    async fn new(world: &mut World) -> Self {
        let ring = Keyring::generate().unwrap();
        let (own, others) = (File::default(), File::default());
        own.write(&ring);
        others.write(&ring);
        world.set_up_with(own.source()).await;
        let (server, other) = (world.vault.clone(), world.server_with(others.source()));
        world.demo().await;
        Self { ring, own, server, others, other }
    }

    /// The other server's file gets a new key, which wraps the data key of a new project with a
    /// secret.
    async fn rotate(&mut self, project: &str) {
        self.ring.add_key().unwrap();
        self.others.write(&self.ring);
        self.other.installation().reload_keyring().await.unwrap();
        let new = new_project(project, "zoe");
        self.other.projects().register(&service("platform"), new).await.unwrap();
        let new = NewEntry { project: project.to_owned(), ..entry("TOKEN", "v") };
        self.other.entries().create(&user("zoe"), new).await.unwrap();
        let agent = project_vault::vault::AgentChange {
            project: project.to_owned(),
            agent: "builder".to_owned(),
            milestone: None,
        };
        self.other.members().assign_agent(&user("zoe"), agent).await.unwrap();
    }

    async fn resolves(&self, project: &str) -> bool {
        let question = AgentQuestion { project: project.to_owned(), ..agent_asks("builder", &["TOKEN"]) };
        self.server.agents().resolve(&runtime("acme-runtime"), tool_asks(question)).await.is_ok()
    }
}

both! {
    async fn a_server_that_meets_an_unknown_key_reads_its_keyring_again(world: World) {
        let mut world = world;
        let mut scene = Scene::new(&mut world).await;
        scene.rotate("second").await;
        assert_eq!(scene.own.reads(), 1);
        scene.own.write(&scene.ring);
        assert!(scene.resolves("second").await);
        assert!(scene.resolves("second").await);
        assert_eq!(scene.own.reads(), 2);
    }

    async fn readiness_knows_a_key_that_was_added_meanwhile(world: World) {
        let mut world = world;
        let mut scene = Scene::new(&mut world).await;
        scene.server.installation().check_keyring().await.unwrap();
        scene.rotate("second").await;
        scene.own.write(&scene.ring);
        scene.server.installation().check_keyring().await.unwrap();
        assert_eq!(scene.own.reads(), 2);
        assert!(scene.server.health().ready().await.iter().all(|(_, ready)| *ready));
    }

    async fn a_keyring_that_lacks_a_key_is_read_again_every_10_seconds_at_most(world: World) {
        let mut world = world;
        let mut scene = Scene::new(&mut world).await;
        scene.rotate("second").await;
        for _ in 0..3 {
            assert!(!scene.resolves("second").await);
            assert!(scene.server.installation().check_keyring().await.is_err());
        }
        assert_eq!(scene.own.reads(), 2);
        scene.own.write(&scene.ring);
        world.clock.advance(Duration::from_millis(9_999));
        assert!(!scene.resolves("second").await, "it was read a moment ago");
        world.clock.advance(Duration::from_millis(1));
        assert!(scene.resolves("second").await);
        assert_eq!(scene.own.reads(), 3);
    }

    async fn at_an_operators_wish_the_keyring_is_read_again_at_once(world: World) {
        let mut world = world;
        let mut scene = Scene::new(&mut world).await;
        scene.rotate("second").await;
        assert!(!scene.resolves("second").await);
        scene.own.write(&scene.ring);
        assert_eq!(scene.server.installation().reload_keyring().await.unwrap(), scene.ring.current_id());
        assert!(scene.resolves("second").await);
        "no keyring".clone_into(&mut scene.own.text.lock().unwrap());
        assert!(scene.server.installation().reload_keyring().await.is_err());
        assert!(scene.resolves("second").await, "the one in memory stays");
    }
}
