//! Micro-benchmarks of what the hot operations consist of: `cargo bench --bench micro`, with a part
//! of a name to run some. `-- --test` runs each once.
//!
//! divan measures them: it adds 4 crates to the lock file, where criterion adds 12.
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something is not as it should be")]
#![allow(clippy::wildcard_imports, reason = "modules group the benchmarks of this file")]

use divan::{Bencher, black_box};
use project_vault::agent::redaction;
use project_vault::authz::{Authorizer, Question, Tuple, TupleChange};
use project_vault::crypto::{CiphertextContext, DataKey, Hint, Recipient, RecipientKey, SealedCall, SealedPlace, mask};
use project_vault::domain::{Category, DataKeyId, EntryId, Principal, ProjectId, Role, UserId};
use project_vault::graphql::inspect;
use project_vault::permission::Permission;
use project_vault::store::Store;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

fn main() {
    divan::main();
}

/// The lengths of values, in bytes: a token, a key in PEM, and the longest that is stored.
const LENGTHS: [usize; 3] = [40, 2_000, 64_000];

fn value(length: usize) -> SecretString {
    SecretString::from("0123456789abcdef".chars().cycle().take(length).collect::<String>())
}

fn project(id: &str) -> ProjectId {
    ProjectId::parse(id).unwrap()
}

#[divan::bench(args = LENGTHS)]
fn mask_a_value(bencher: Bencher<'_, '_>, length: usize) {
    let value = "x".repeat(length);
    bencher.bench(|| mask(black_box(&value), Category::ApiKey));
}

/// Sealing and opening with a project's data key.
mod data_key {
    use super::*;

    /// Runs `bench` with a key and the context of a value.
    fn with_key(bench: impl FnOnce(&DataKey, &CiphertextContext<'_>)) {
        let (key, project) = (DataKey::generate().unwrap(), project("demo"));
        let context =
            CiphertextContext { project: &project, entry: EntryId::new(), version: 1, data_key: DataKeyId::new() };
        bench(&key, &context);
    }

    #[divan::bench(args = LENGTHS)]
    fn seal_a_value(bencher: Bencher<'_, '_>, length: usize) {
        let value = value(length);
        with_key(|key, context| bencher.bench_local(|| key.seal_value(context, black_box(&value)).unwrap()));
    }

    #[divan::bench(args = LENGTHS)]
    fn open_a_value(bencher: Bencher<'_, '_>, length: usize) {
        with_key(|key, context| {
            let sealed = key.seal_value(context, &value(length)).unwrap();
            bencher.bench_local(|| key.open_value(context, black_box(&sealed)).unwrap());
        });
    }

    #[divan::bench]
    fn open_a_hint(bencher: Bencher<'_, '_>) {
        with_key(|key, context| {
            let hint = Hint { masked: Zeroizing::new("sk-****abc".to_owned()), certificate: None };
            let sealed = key.seal_hint(context, &hint).unwrap();
            bencher.bench_local(|| key.open_hint(context, black_box(&sealed)).unwrap());
        });
    }
}

/// Sealing for the recipient of an answer, and opening there.
mod recipient {
    use super::*;

    const CALL: SealedCall<'_> = SealedCall { project: "demo", agent: "builder", request: "request" };
    const PLACE: SealedPlace<'_> = SealedPlace { entry: "entry", version: 1, name: "API_KEY" };

    #[divan::bench(args = LENGTHS)]
    fn seal_a_value(bencher: Bencher<'_, '_>, length: usize) {
        let recipient = Recipient::generate().unwrap();
        let (key, value) = (RecipientKey::parse(recipient.public_key()).unwrap(), value(length));
        bencher.bench_local(|| key.seal(&CALL, &PLACE, black_box(&value)).unwrap());
    }

    #[divan::bench(args = LENGTHS)]
    fn open_a_value(bencher: Bencher<'_, '_>, length: usize) {
        let recipient = Recipient::generate().unwrap();
        let sealed = RecipientKey::parse(recipient.public_key()).unwrap().seal(&CALL, &PLACE, &value(length)).unwrap();
        bencher.bench_local(|| recipient.open(&CALL, &PLACE, black_box(&sealed)).unwrap());
    }
}

/// A megabyte of output, of which each 4,096th byte begins a value, with this number of values.
#[divan::bench(args = [1, 20, 500])]
fn redact_a_megabyte(bencher: Bencher<'_, '_>, values: usize) {
    let values: Vec<(&str, SecretString)> =
        (0..values).map(|n| ("NAME", SecretString::from(format!("value-{n:04}-of-many")))).collect();
    let redact = redaction(&values).unwrap();
    let output = format!("value-0000-of-many{}", " ordinary text\n".repeat(272)).repeat(256);
    bencher.bench_local(|| redact(black_box(output.as_bytes())));
}

/// The same with passwords that encoders write in many ways.
#[divan::bench]
fn redact_a_megabyte_with_20_passwords(bencher: Bencher<'_, '_>) {
    let values: Vec<(&str, SecretString)> =
        (0..20).map(|n| ("NAME", SecretString::from(format!("{n:02}p\u{e4}'ss \"w\u{f6}rd\" & <m=re>/+$")))).collect();
    let redact = redaction(&values).unwrap();
    let output = format!("<00p\u{e4}'ss \"w\u{f6}rd\" & <m=re>/+$>{}", " ordinary text\n".repeat(272)).repeat(256);
    bencher.bench_local(|| redact(black_box(output.as_bytes())));
}

/// Decisions of the embedded authorizer over tuples in a temporary SQLite file.
mod authorizer {
    use super::*;

    const PROJECTS: usize = 200;

    struct World {
        runtime: Runtime,
        authorizer: Authorizer,
        _dir: TempDir,
    }

    impl World {
        fn new() -> Self {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let dir = TempDir::new().unwrap();
            let store = Store::open(&format!("sqlite:{}", dir.path().join("vault.db").display()), None).unwrap();
            let authorizer = runtime.block_on(async {
                store.migrate().await.unwrap();
                let authorizer = Authorizer::embedded(store.clone()).unwrap();
                let write = (0..PROJECTS).map(|n| Tuple::role(&project(&format!("p{n}")), Role::Consulted, &user()));
                let change = TupleChange { write: write.collect(), delete: Vec::new() };
                let mut tx = store.begin().await.unwrap();
                authorizer.apply(&mut tx, &change).await.unwrap();
                tx.commit().await.unwrap();
                authorizer
            });
            Self { runtime, authorizer, _dir: dir }
        }

        /// Asks about a permission on some projects.
        fn decide(&self, permission: Permission, projects: usize) -> usize {
            let caller = Principal::User(user());
            let ask = |n| Question::on_project(&caller, permission, Some(&project(&format!("p{n}"))));
            let questions: Vec<Question> = (0..projects).map(ask).collect();
            let decisions = self.runtime.block_on(self.authorizer.decide(&questions)).unwrap();
            decisions.iter().filter(|decision| decision.is_allowed()).count()
        }
    }

    fn user() -> UserId {
        UserId::parse("carol").unwrap()
    }

    /// Allowed, and so remembered until the count of changes differs.
    #[divan::bench(args = [1, 20])]
    fn allow(bencher: Bencher<'_, '_>, projects: usize) {
        let world = World::new();
        bencher.bench_local(|| assert_eq!(world.decide(Permission::CanViewMasked, projects), projects));
    }

    /// Denied, and so decided from the tuples each time.
    #[divan::bench(args = [1, 20])]
    fn deny(bencher: Bencher<'_, '_>, projects: usize) {
        let world = World::new();
        bencher.bench_local(|| assert_eq!(world.decide(Permission::CanWrite, projects), 0));
    }
}

/// Reading and checking a document before it is executed.
mod document {
    use super::*;

    const RESOLVE: &str =
        "query($i: ResolveSecretsInput!) { resolveSecrets(input: $i) { secrets { name outcome value } } }";

    #[divan::bench]
    fn inspect_a_resolve() -> bool {
        inspect(black_box(RESOLVE), None).is_ok()
    }

    /// The largest document of fragments that double at each level, which the vault refuses.
    #[divan::bench]
    fn refuse_fragments_that_double(bencher: Bencher<'_, '_>) {
        let fragments: String =
            (0..23).map(|n| format!("fragment F{n} on Query {{ ...F{next} ...F{next} }} ", next = n + 1)).collect();
        let document = format!("{{ ...F0 }} {fragments} fragment F23 on Query {{ __typename }}");
        bencher.bench_local(|| inspect(black_box(&document), None).err().unwrap());
    }
}
