//! Keys: which key wraps what, replacing keys while the vault is in use, and the providers of
//! master keys.

mod bounds;
mod data;
mod load;
mod master;
mod program;
mod sighup;
pub mod transit;

use crate::support::{World, agent_asks, entry, runtime, tool_asks, user};
use project_vault::crypto::Keyring;
use project_vault::domain::ProjectId;
use project_vault::permission::Operator;
use project_vault::vault::{KeyStatus, KeyringLoader, MasterKeyUse, Rotation, Vault};
use secrecy::{ExposeSecret as _, SecretString};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How often keys were replaced, of a project or of the installation.
const EVENTS: &str = "SELECT count(*) AS n FROM audit_events WHERE action = 'KEYS_ROTATED' AND entry_id IS NULL";

/// A world whose vault reads its keyring from a file.
struct Ringed {
    world: World,
    path: PathBuf,
    _folder: TempDir,
}

impl Ringed {
    /// With the demo, and these entries.
    async fn with(world: World, entries: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("keyring.toml");
        write(&path, &Keyring::generate().unwrap());
        let mut own = Self { world, path, _folder: folder };
        let source = own.source();
        own.world.set_up_with(source).await;
        own.world.demo().await;
        for (name, value) in entries {
            own.world.vault.entries().create(&user("bob"), entry(name, value)).await.unwrap();
        }
        own
    }

    /// Another server on the same database and keyring.
    fn server(&self) -> Vault {
        let World { store, authorizer, clock, .. } = &self.world;
        Vault::new(store.clone(), authorizer.clone(), self.source(), clock.clone(), Duration::from_secs(3600))
    }

    fn source(&self) -> KeyringLoader {
        let path = self.path.clone();
        Arc::new(move || Keyring::read_file(&path))
    }

    /// Adds a key to the keyring and gives its id; no server knows of it yet.
    fn add_key(&self) -> String {
        let mut ring = Keyring::read_file(&self.path).unwrap();
        let id = ring.add_key().unwrap();
        write(&self.path, &ring);
        id
    }

    async fn status(&self) -> KeyStatus {
        self.server().rotation().status().await.unwrap()
    }

    /// The state of one master key.
    async fn of_key(&self, id: &str) -> MasterKeyUse {
        self.status().await.master_keys.into_iter().find(|key| key.id == id).unwrap()
    }
}

fn write(path: &Path, ring: &Keyring) {
    std::fs::write(path, ring.to_text().expose_secret()).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o640)).unwrap();
}

const fn operator() -> Operator {
    Operator::at_the_shell()
}

fn demo() -> ProjectId {
    World::project()
}

/// What builder receives under a name.
async fn value(vault: &Vault, name: &str) -> String {
    let asked = tool_asks(agent_asks("builder", &[name]));
    let mut resolved = vault.agents().resolve(&runtime("acme-runtime"), asked).await.unwrap();
    resolved.secrets.pop().unwrap().value.unwrap().expose_secret().to_owned()
}

/// Gives an entry a new value.
async fn rotate(vault: &Vault, id: &str, value: &str) -> project_vault::domain::Result<()> {
    let rotation = Rotation {
        id: id.to_owned(),
        value: SecretString::from(value),
        expires_at: project_vault::vault::Change::Keep,
        expected_revision: None,
    };
    vault.entries().rotate(&user("bob"), rotation).await.map(drop)
}

/// Adds projects with a data key each, in which nobody has a role.
async fn add_projects(world: &World, count: usize) {
    let mut tx = world.store.begin().await.unwrap();
    for number in 0..count {
        let project = ProjectId::parse(format!("p-{number:05}")).unwrap();
        world.vault.installation().add_empty_project(&mut tx, &project).await.unwrap();
    }
    tx.commit().await.unwrap();
}
