//! Clients that create, change and resolve entries and change roles while something fails, and what
//! has to be true afterwards: every acknowledged change is there, and every released value has its
//! record.

use super::changes::{Changed, Changes};
use crate::support::{Backend, Installation, Running};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const CREATE: &str = "mutation($p: ID!, $n: String!, $v: String!) { createVaultEntry(input: { projectId: $p, name: $n, value: $v, category: SECRET }) \
    { entry { id } userErrors { code } } }";
const RESOLVE: &str = "query($p: ID!, $n: [String!]) { resolveSecrets(input: { projectId: $p, agentId: \"builder\", names: $n, purpose: TOOL_EXECUTION }) \
    { secrets { name value outcome } } }";
const IMPORT: &str = "mutation($p: ID!, $d: String!) { importVaultEntries(input: { projectId: $p, dotenv: $d }) { created { id } userErrors { code } } }";
/// Number of entries in one import.
const IMPORTED: usize = 50;
/// Maximum number of entries that a client creates each time it is started: a project holds 1,000,
/// and has one client.
const MAX_CREATED: usize = 490;
/// How long a client waits for an answer. Longer than any bound of the vault.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a call may take, whatever fails.
pub const LONGEST_WAIT: Duration = Duration::from_secs(40);
/// How long the vault may take to go on after a fault has ended.
pub const LONGEST_RECOVERY: Duration = Duration::from_secs(40);
/// No answer came: the connection ended.
pub const NO_ANSWER: &str = "no answer";

/// A project and the name of an entry in it.
pub type Key = (String, String);

/// What clients were told.
#[derive(Default)]
pub struct Told {
    /// Number of acknowledged changes. Each entry of an import is one.
    pub changes: usize,
    /// Values of the entries that are known to be live.
    pub acknowledged: BTreeMap<Key, String>,
    pub changed: Changed,
    /// How often each value was released.
    pub released: BTreeMap<Key, i64>,
    /// Codes of errors, with their number.
    pub codes: BTreeMap<String, u64>,
    pub longest: Duration,
}

/// Clients with a project each.
pub struct Load {
    it: Arc<Installation>,
    http: reqwest::Client,
    tokens: Arc<[String; 3]>,
    projects: Vec<String>,
    pub told: Arc<Mutex<Told>>,
    /// The servers, of which each call asks the next.
    pub urls: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    pace: Duration,
    /// How often the clients were started.
    round: usize,
    imports: bool,
}

impl Load {
    /// Clients that make a call each `pace` or less often, of servers of which one runs already.
    pub async fn start(it: &Arc<Installation>, servers: &[&Running], clients: usize, pace: Duration) -> Self {
        Self::start_with(it, servers, clients, pace, false).await
    }

    /// As [`Self::start`], for clients that also import many entries at once.
    pub async fn start_with(
        it: &Arc<Installation>,
        servers: &[&Running],
        clients: usize,
        pace: Duration,
        imports: bool,
    ) -> Self {
        it.add_demo(servers[0]).await;
        let projects: Vec<String> = (0..clients).map(|n| format!("load-{n}")).collect();
        for project in &projects {
            add_project(it, servers[0], project).await;
        }
        let http = reqwest::Client::builder().timeout(CLIENT_TIMEOUT).build().unwrap();
        let mut load = Self {
            it: it.clone(),
            http,
            tokens: Arc::new([it.token("user:alice"), it.token("runtime:acme-runtime"), it.token("service:platform")]),
            projects,
            told: Arc::default(),
            urls: Arc::new(Mutex::new(servers.iter().map(|server| server.url.clone()).collect())),
            stopped: Arc::default(),
            clients: Vec::new(),
            pace,
            round: 0,
            imports,
        };
        load.start_again();
        load
    }

    /// Starts the clients, again after [`Self::stop`].
    pub fn start_again(&mut self) {
        self.stopped.store(false, Ordering::Relaxed);
        self.round += 1;
        self.clients = self.projects.iter().map(|project| tokio::spawn(self.client(project.clone()))).collect();
    }

    fn client(&self, project: String) -> impl Future<Output = ()> + Send + use<> {
        let caller = self.caller();
        let (stopped, pace, round, imports) = (self.stopped.clone(), self.pace, self.round, self.imports);
        async move {
            let mut created = Vec::<String>::new();
            let mut changes = Changes::new(caller.clone(), project.clone());
            for n in 0_usize.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if created.len() < MAX_CREATED {
                    if imports && n % 2 == 0 {
                        let entry = |k: usize| (format!("I{round}_{n}_{k:02}"), format!("imported-{n}-{k}-{project}"));
                        let entries: Vec<_> = (0..IMPORTED).map(entry).collect();
                        if caller.import(&project, &entries).await {
                            created.extend(entries.into_iter().map(|(name, _)| name));
                        }
                    } else {
                        let (name, value) = (format!("E_{round}_{n}"), format!("the value {n} of {project}"));
                        if let Some(id) = caller.create(&project, &name, &value).await {
                            changes.add(&name, id);
                            created.push(name);
                        }
                    }
                }
                if n % 3 == 2
                    && let Some(changed) = changes.make(n / 3).await
                {
                    created.retain(|name| *name != changed);
                }
                if let Some(name) = created.get(n * 7 % created.len().max(1)).cloned() {
                    caller.resolve(&project, &[name]).await;
                }
                tokio::time::sleep(pace).await;
            }
        }
    }

    pub fn caller(&self) -> Caller {
        Caller {
            http: self.http.clone(),
            tokens: self.tokens.clone(),
            told: self.told.clone(),
            urls: self.urls.clone(),
            next: Arc::default(),
        }
    }

    /// The number of acknowledged changes.
    pub fn acknowledged(&self) -> usize {
        self.told.lock().unwrap().changes
    }

    /// Forgets the longest wait and the codes, and gives them.
    pub fn take_waits(&self) -> (Duration, BTreeMap<String, u64>) {
        let mut told = self.told.lock().unwrap();
        (std::mem::take(&mut told.longest), std::mem::take(&mut told.codes))
    }

    /// Ends the clients, each after the call it makes.
    pub async fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for client in std::mem::take(&mut self.clients) {
            client.await.unwrap();
        }
    }

    /// How long it takes from now until the server is ready, creates and resolves.
    pub async fn recovery(&self, server: &Running) -> Duration {
        self.recovery_within(server, LONGEST_RECOVERY).await
    }

    /// As [`Self::recovery`], where others take time as well.
    pub async fn recovery_within(&self, server: &Running, limit: Duration) -> Duration {
        let started = Instant::now();
        let caller = Caller { urls: Arc::new(Mutex::new(vec![server.url.clone()])), ..self.caller() };
        for n in 0.. {
            assert!(started.elapsed() < limit, "no recovery");
            let name = format!("R_{}_{n}", uuid::Uuid::now_v7().simple());
            if caller.create("demo", &name, "a value from after the fault").await.is_some()
                && caller.resolve("demo", &[name]).await
                && is_ready(server).await.is_ok_and(|parts| parts.is_empty())
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started.elapsed()
    }

    /// Asserts that every acknowledged change is there, that every released value has its record,
    /// and that the rows agree with the records. The clients have ended.
    pub async fn check(&self, server: &Running) {
        let (acknowledged, released, changed) = {
            let told = self.told.lock().unwrap();
            println!("{}", told.kinds());
            (told.acknowledged.clone(), told.released.clone(), told.changed.clone())
        };
        assert!(!acknowledged.is_empty() && !released.is_empty());
        let recorded = self.recorded().await;
        for (key, times) in &released {
            let recorded = recorded.get(key).copied().unwrap_or_default();
            assert!(recorded >= *times, "{key:?} was released {times} times and recorded {recorded} times");
        }
        let mut by_project = BTreeMap::<&String, Vec<&String>>::new();
        for (project, name) in acknowledged.keys() {
            by_project.entry(project).or_default().push(name);
        }
        for (project, names) in by_project {
            for names in names.chunks(400) {
                let asked = json!({ "p": project, "n": names });
                let answer = self.it.ask(server, "runtime:acme-runtime", RESOLVE, asked).await.unwrap();
                let secrets = answer["data"]["resolveSecrets"]["secrets"].as_array();
                let secrets = secrets.unwrap_or_else(|| panic!("{answer}"));
                assert_eq!(secrets.len(), names.len());
                for secret in secrets {
                    let key = (project.clone(), secret["name"].as_str().unwrap().to_owned());
                    assert_eq!(secret["value"].as_str(), Some(acknowledged[&key].as_str()), "{key:?} is lost");
                }
            }
        }
        changed.check(&self.it, server).await;
        let halves =
            "SELECT count(*) AS n FROM entries WHERE NOT EXISTS (SELECT 1 FROM versions WHERE entry_id = entries.id)";
        assert_eq!(self.it.database.number(halves).await, 0, "changes that are half there");
        let parts = format!(
            "SELECT count(*) AS n FROM (SELECT project_id, substr(name, 1, length(name) - 3) FROM entries WHERE name LIKE 'I%' \
             GROUP BY 1, 2 HAVING count(*) <> {IMPORTED}) AS parts"
        );
        assert_eq!(self.it.database.number(&parts).await, 0, "imports that are half there");
        let verified = self.it.run(&["audit", "verify"]).await;
        assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
        if let Some(path) = self.it.database.url.strip_prefix("sqlite:") {
            let sql = "SELECT integrity_check AS t FROM pragma_integrity_check";
            assert_eq!(self.it.database.text(sql).await, "ok", "{path}");
        }
    }

    /// How often each entry's value was recorded as released.
    async fn recorded(&self) -> BTreeMap<Key, i64> {
        let line = "project_id || ' ' || entry_name || ' ' || n";
        let lines = if self.it.database.url.starts_with("sqlite:") {
            format!("group_concat({line}, char(10))")
        } else {
            format!("string_agg({line}, chr(10))")
        };
        let sql = format!(
            "SELECT coalesce({lines}, '') AS t FROM (SELECT project_id, entry_name, count(*) AS n FROM audit_events \
             WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED' GROUP BY 1, 2) AS counted"
        );
        let text = self.it.database.text(&sql).await;
        let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        words.map(|word| ((word[0].to_owned(), word[1].to_owned()), word[2].parse().unwrap())).collect()
    }
}

/// Makes calls, and keeps what it was told.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    tokens: Arc<[String; 3]>,
    pub told: Arc<Mutex<Told>>,
    urls: Arc<Mutex<Vec<String>>>,
    next: Arc<Mutex<usize>>,
}

impl Caller {
    /// Creates an entry; gives its id when that is acknowledged.
    async fn create(&self, project: &str, name: &str, value: &str) -> Option<String> {
        let answer = self.ask(0, CREATE, json!({ "p": project, "n": name, "v": value })).await;
        let id = answer["data"]["createVaultEntry"]["entry"]["id"].as_str()?;
        let mut told = self.told.lock().unwrap();
        told.changes += 1;
        told.acknowledged.insert((project.to_owned(), name.to_owned()), value.to_owned());
        Some(id.to_owned())
    }

    /// Imports entries; true when that is acknowledged.
    async fn import(&self, project: &str, entries: &[(String, String)]) -> bool {
        let dotenv: String = entries.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let answer = self.ask(0, IMPORT, json!({ "p": project, "d": dotenv })).await;
        let created = answer["data"]["importVaultEntries"]["created"].as_array().map_or(0, Vec::len);
        if created != entries.len() {
            return false;
        }
        let new = entries.iter().map(|(name, value)| ((project.to_owned(), name.clone()), value.clone()));
        let mut told = self.told.lock().unwrap();
        told.changes += entries.len();
        told.acknowledged.extend(new);
        true
    }

    /// Resolves entries whose creation was acknowledged; true when each value came.
    async fn resolve(&self, project: &str, names: &[String]) -> bool {
        let answer = self.ask(1, RESOLVE, json!({ "p": project, "n": names })).await;
        let Some(secrets) = answer["data"]["resolveSecrets"]["secrets"].as_array() else { return false };
        let mut told = self.told.lock().unwrap();
        for secret in secrets {
            let key = (project.to_owned(), secret["name"].as_str().unwrap().to_owned());
            match secret["value"].as_str() {
                Some(value) => {
                    assert_eq!(told.acknowledged.get(&key).map(String::as_str), Some(value), "{key:?}");
                    *told.released.entry(key).or_default() += 1;
                }
                // What is there and cannot be had is an error, and no outcome.
                None => *told.codes.entry(format!("outcome {}", secret["outcome"])).or_default() += 1,
            }
        }
        secrets.iter().all(|secret| secret["value"].is_string())
    }

    /// Registers a project; true when that is acknowledged.
    pub async fn register(&self, project: &str) -> bool {
        let mutation = "mutation($p: ID!) { registerProjectVault(input: { projectId: $p, participantIds: [\"acme\"], accountableUserIds: [\"alice\"] }) \
            { userErrors { code } } }";
        let answer = self.ask(2, mutation, json!({ "p": project })).await;
        answer["data"]["registerProjectVault"]["userErrors"] == json!([])
    }

    pub async fn ask(&self, token: usize, query: &str, variables: Value) -> Value {
        let url = {
            let urls = self.urls.lock().unwrap();
            let mut next = self.next.lock().unwrap();
            *next += 1;
            urls[*next % urls.len()].clone()
        };
        let started = Instant::now();
        let request = self.http.post(format!("{url}/graphql")).bearer_auth(&self.tokens[token]);
        let request = request
            .header("content-type", "application/json")
            .body(json!({ "query": query, "variables": variables }).to_string());
        let answer = async { request.send().await?.text().await }.await;
        let waited = started.elapsed();
        let answer: Option<Value> = answer.ok().and_then(|text| serde_json::from_str(&text).ok());
        let note = |code: &str| *self.told.lock().unwrap().codes.entry(code.to_owned()).or_default() += 1;
        {
            let mut told = self.told.lock().unwrap();
            told.longest = told.longest.max(waited);
        }
        let Some(answer) = answer else {
            note(NO_ANSWER);
            // It takes a moment until another server is there.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Value::Null;
        };
        let payloads = answer["data"].as_object().into_iter().flat_map(|data| data.values());
        let refused = payloads.filter_map(|payload| payload["userErrors"].as_array());
        let refused = refused.flatten().map(|error| &error["code"]);
        let failed = answer["errors"].as_array();
        let failed = failed.into_iter().flatten().map(|error| &error["extensions"]["code"]);
        for code in refused.chain(failed) {
            note(code.as_str().unwrap_or("no code"));
        }
        answer
    }
}

/// Adds a project with the demo's agent.
pub async fn add_project(it: &Installation, server: &Running, project: &str) {
    for (who, mutation) in [
        (
            "service:platform",
            format!(
                "registerProjectVault(input: {{ projectId: \"{project}\", participantIds: [\"acme\"], accountableUserIds: [\"alice\"] }})"
            ),
        ),
        ("user:alice", format!("assignVaultAgent(input: {{ projectId: \"{project}\", agentId: \"builder\" }})")),
    ] {
        let query = format!("mutation {{ done: {mutation} {{ userErrors {{ message }} }} }}");
        let answer = it.answer(server, who, &query).await;
        assert_eq!(answer, json!({ "data": { "done": { "userErrors": [] } } }), "{mutation}");
    }
}

/// The parts that `/readyz` names.
pub async fn is_ready(server: &Running) -> reqwest::Result<Vec<String>> {
    let answer: Value = reqwest::get(format!("{}/readyz", server.url)).await?.json().await?;
    let parts = answer["parts"].as_array().into_iter().flatten();
    Ok(parts.map(|part| part.as_str().unwrap().to_owned()).collect())
}

/// Looks at a server's health all the time.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What [`Watch`] saw.
#[derive(Default, Clone)]
pub struct Seen {
    /// The parts that were named as not answering.
    pub unready: BTreeSet<String>,
    /// The longest that `/readyz` took to answer.
    pub readyz: Duration,
    /// The same of `/healthz`.
    pub healthz: Duration,
    /// Why one of them did not answer.
    pub problems: Vec<String>,
}

impl Watch {
    pub fn of(server: &Running) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let (url, kept) = (server.url.clone(), seen.clone());
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let task = tokio::spawn(async move {
            loop {
                for path in ["healthz", "readyz"] {
                    let started = Instant::now();
                    let answer = async {
                        let answer = http.get(format!("{url}/{path}")).send().await?;
                        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
                    };
                    let answer = answer.await;
                    let took = started.elapsed();
                    let mut seen = kept.lock().unwrap();
                    let longest = if path == "healthz" { &mut seen.healthz } else { &mut seen.readyz };
                    *longest = took.max(*longest);
                    match answer {
                        Ok((200, _)) => {}
                        Ok((503, body)) if path == "readyz" => {
                            let body: Value = serde_json::from_str(&body).unwrap();
                            let parts = body["parts"].as_array().unwrap().iter();
                            seen.unready.extend(parts.map(|part| part.as_str().unwrap().to_owned()));
                        }
                        other => seen.problems.push(format!("{path}: {other:?}")),
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Self { seen, task }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The database's name, for the table.
pub const fn database_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "SQLite",
        Backend::Postgres => "PostgreSQL",
    }
}

/// One line of the table of faults.
pub struct Row<'a> {
    pub fault: &'a str,
    pub tried: &'a str,
    pub changes: usize,
    pub releases: i64,
    pub longest: Duration,
    /// None where nothing had to recover.
    pub recovery: Option<Duration>,
}

impl Load {
    /// How often values were released.
    pub fn releases(&self) -> i64 {
        self.told.lock().unwrap().released.values().sum()
    }
}

/// Prints lines of the table, and adds them to the file that `scripts/test` prints at its end. Only
/// after [`Load::check`]: what it asserts is that nothing was lost.
pub fn report(rows: &[Row<'_>]) {
    let mut lines = String::new();
    for Row { fault, tried, changes, releases, longest, recovery } in rows {
        let recovery = recovery.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f32()));
        let longest = longest.as_secs_f32();
        writeln!(lines, "| {fault} | {tried} | {changes} | {releases} | nothing | {longest:.1} s | {recovery} |")
            .unwrap();
    }
    print!("{lines}");
    if let Some(path) = std::env::var_os("VAULT_TEST_FAULTS") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
}
