//! The vault of one test, with everything around it.

use super::counter::{Counter, Sent};
use super::database::{Backend, Database, setting};
use project_vault::authz::{Authorizer, OpenFgaConfig};
use project_vault::crypto::Keyring;
use project_vault::domain::{Error, ManualClock, ReservedNames, Timestamp};
use project_vault::store::Store;
use project_vault::vault::{
    AuditEvent, AuditQuery, Caller, ExistingRows, Installation, KeyringLoader, MasterKeys, Page, Vault,
};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest a test may take; one that waits for ever fails by its name.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a test on a world of its own.
pub async fn in_time<T: Future<Output = ()>>(backend: Backend, test: impl FnOnce(World) -> T) {
    let test = async { test(World::new(backend).await).await };
    tokio::time::timeout(TEST_TIMEOUT, test).await.expect("the test ends in a minute");
}

/// Where OpenFGA answers gRPC.
pub fn openfga_url() -> String {
    setting("VAULT_TEST_OPENFGA")
}

/// A vault with its parts, on a database and a store of tuples that nobody else uses.
pub struct World {
    pub store: Store,
    pub authorizer: Authorizer,
    pub vault: Vault,
    pub clock: Arc<ManualClock>,
    pub backend: Backend,
    /// The name of its store at OpenFGA, and where that is.
    openfga: Option<(String, String)>,
    keys: MasterKeys,
    counter: Arc<Counter>,
    database: Database,
}

impl World {
    /// An installation that is set up and holds nothing.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::build(backend, None).await,
            Backend::Postgres => {
                let store = format!("t-{}", Uuid::now_v7().simple());
                let config = OpenFgaConfig { url: openfga_url(), store, token: None };
                Self::build(backend, Some(&config)).await
            }
        }
    }

    /// The same on PostgreSQL, with this OpenFGA.
    pub async fn with_openfga(config: &OpenFgaConfig) -> Self {
        Self::build(Backend::Postgres, Some(config)).await
    }

    async fn build(backend: Backend, openfga: Option<&OpenFgaConfig>) -> Self {
        let database = Database::migrated(backend).await;
        let counter = Arc::<Counter>::default();
        let store = Store::open(&database.url, Some(counter.instrument())).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::parse("2030-01-01T00:00:00Z").unwrap()));
        let keys = keys();
        let installation = Installation::new(store.clone(), keys.clone(), clock.clone());
        let authorizer = set_up(&installation, openfga).await;
        let vault = Vault::of(installation, authorizer.clone(), RETENTION);
        let openfga = openfga.map(|config| (config.store.clone(), config.url.clone()));
        Self { store, authorizer, vault, clock, backend, openfga, keys, counter, database }
    }

    /// How its store at OpenFGA is reached; none on SQLite.
    pub fn openfga(&self) -> Option<OpenFgaConfig> {
        let (store, url) = self.openfga.clone()?;
        Some(OpenFgaConfig { url, store, token: None })
    }

    /// The installation as another process finds it.
    pub fn installation(&self) -> Installation {
        Installation::new(self.store.clone(), self.keys.clone(), self.clock.clone())
    }

    /// Sets the installation up with other master keys, in the place of its own. Nothing has been
    /// done in it yet.
    pub async fn set_up_with(&mut self, keys: impl Into<MasterKeys>) {
        for table in ["installation", "installation_keys"] {
            self.sql(&format!("DELETE FROM {table}")).await.unwrap();
        }
        self.keys = keys.into();
        let installation = self.installation();
        self.authorizer = set_up(&installation, self.openfga().as_ref()).await;
        self.vault = Vault::of(installation, self.authorizer.clone(), RETENTION);
    }

    /// The vault of another server on the same database and authorizer, with connections of its
    /// own.
    pub fn another_server(&self) -> Vault {
        let store = Store::open(&self.database.url, None).unwrap();
        Vault::new(store, self.authorizer.clone(), self.keys.clone(), self.clock.clone(), RETENTION)
    }

    /// The vault of another server on the same SQLite file, whose statements nobody counts.
    pub fn uncounted_server(&self) -> Vault {
        let store = Store::open(&self.database.url, None).unwrap();
        let authorizer = Authorizer::embedded(store.clone()).unwrap();
        Vault::new(store, authorizer, self.keys.clone(), self.clock.clone(), RETENTION)
    }

    /// The vault of another server, with this keyring.
    pub fn server_with(&self, keys: KeyringLoader) -> Vault {
        Vault::new(self.store.clone(), self.authorizer.clone(), keys, self.clock.clone(), RETENTION)
    }

    /// The vault of another server, whose clock is this one.
    pub fn server_at(&self, clock: Arc<ManualClock>) -> Vault {
        Vault::new(self.store.clone(), self.authorizer.clone(), self.keys.clone(), clock, RETENTION)
    }

    /// The vault of a server of another release, which reserves these names.
    pub fn server_reserving(&self, names: &'static ReservedNames) -> Vault {
        let (store, keys, clock) = (self.store.clone(), self.keys.clone(), self.clock.clone());
        let installation = Installation::new(store, keys, clock);
        Vault::with_reserved_names(installation, self.authorizer.clone(), RETENTION, names)
    }

    /// The URL of the database.
    pub fn url(&self) -> &str {
        &self.database.url
    }

    /// How many statements the store has sent so far, without BEGIN and COMMIT, and without the
    /// embedded authorizer's.
    pub fn statements(&self) -> u64 {
        self.counter.statements()
    }

    /// The texts of the statements that [`Self::statements`] counts, in their order.
    pub fn statement_texts(&self) -> Vec<String> {
        self.counter.texts()
    }

    /// How many connections the store has opened so far.
    pub fn connections(&self) -> u64 {
        self.counter.connections()
    }

    /// How many statements the embedded authorizer has sent so far.
    pub fn statements_of_authorizer(&self) -> u64 {
        self.counter.of_authorizer()
    }

    /// The statements that are sent during `work`, in their order, with its result.
    pub async fn watched<T>(&self, work: impl Future<Output = T>) -> (Vec<Sent>, T) {
        self.counter.watch();
        let done = work.await;
        (self.counter.watched(), done)
    }

    /// How many batches the authorizer was asked so far.
    pub fn batches(&self) -> u64 {
        self.authorizer.batches()
    }

    /// Runs SQL as somebody who can write to the database. Gives the number of rows it changed.
    pub async fn sql(&self, sql: &str) -> diesel::QueryResult<usize> {
        self.database.sql(sql).await
    }

    /// The answer `n` of a query for one number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.database.number(sql).await
    }

    /// The answer `t` of a query for one text.
    pub async fn text(&self, sql: &str) -> String {
        self.database.text(sql).await
    }

    /// The plan of a statement on SQLite, a line for each step.
    pub fn sqlite_plan(&self, sql: &str) -> Vec<String> {
        self.database.sqlite_plan(sql)
    }

    /// Everything the database holds, as it is stored.
    pub async fn stored_bytes(&self) -> Vec<u8> {
        self.database.stored_bytes().await
    }

    /// One of our own ids in this database's SQL.
    pub fn id(&self, id: Uuid) -> String {
        match self.backend {
            Backend::Sqlite => format!("x'{}'", id.simple()),
            Backend::Postgres => format!("'{id}'::uuid"),
        }
    }
}

/// Sets an installation up, and gives its authorizer.
async fn set_up(installation: &Installation, openfga: Option<&OpenFgaConfig>) -> Authorizer {
    match openfga {
        None => {
            installation.set_up_embedded(ExistingRows::Refuse).await.unwrap();
            installation.embedded().await.unwrap()
        }
        Some(config) => {
            installation.set_up_openfga(config, ExistingRows::Refuse).await.unwrap();
            installation.openfga(config).await.unwrap()
        }
    }
}

/// One keyring in memory.
fn keys() -> MasterKeys {
    let text = Keyring::generate().unwrap().to_text();
    let source: KeyringLoader = Arc::new(move || Keyring::parse(text.expose_secret()));
    source.into()
}

/// A page of events as an auditor of the vault reads it.
pub async fn vault_events(
    vault: &Vault,
    caller: &Caller,
    project: Option<String>,
    query: &AuditQuery,
) -> Result<Page<AuditEvent>, Error> {
    let by = vault.access().authorize_auditor(caller).await?;
    vault.audit().vault_events(&by, project, query).await
}
