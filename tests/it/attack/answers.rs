//! Answers that are larger than they should be, and answers that nobody reads.

use crate::support::{Backend, Installation, World, ask, entry, runtime, user};
use async_graphql::Variables;
use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use project_vault::domain::{RequestId, Role};
use project_vault::graphql::{Api, Call, Circumstances, inspect};
use project_vault::vault::{Caller, NewEntry, RoleChange};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

const MIB: u64 = 1024 * 1024;
/// The longest a server takes for what costs it nothing.
const SOON: Duration = Duration::from_secs(4);

/// Everything there is to know of an entry.
const ENTRY: &str = "id name description category scope status version revision expiresAt rotationIntervalDays
    rotationDueAt createdAt updatedAt maskedValue lastResolvedAt resolveCount project { id } milestone { id }
    createdBy { id } updatedBy { id } certificate { subject issuer notBefore notAfter fingerprint }
    exposures { agent { id } since lastReceivedAt }
    versions { pageInfo { hasNextPage endCursor } nodes { version maskedValue createdAt createdBy { id } restoredFrom } }";

/// `_entities` of one variable, with so many fields under aliases of so many bytes.
fn aliased(fields: usize, length: usize, field: &str) -> String {
    let all = (0..fields).fold(String::new(), |mut text, at| {
        let _ = write!(text, "a{at:0>width$}: {field} ", width = length - 1);
        text
    });
    format!("query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on Project {{ {all} }} }} }}")
}

fn projects(count: usize) -> Value {
    json!({ "r": vec![json!({ "__typename": "Project", "id": "demo" }); count] })
}

async fn asked(api: &Api, caller: Option<Caller>, query: &str, variables: Value, traced: bool) -> Value {
    let request_id = caller.as_ref().map_or_else(RequestId::new, |caller| caller.request_id.clone());
    let operation = match api.inspect(query, None, false) {
        Ok(operation) => operation,
        Err(refusal) => return serde_json::to_value(Api::refuse((&refusal).into(), &request_id)).unwrap(),
    };
    let variables = Variables::from_json(variables);
    let answer = api.execute(Call { caller, request_id, operation, variables, traced }).await;
    serde_json::to_value(answer).unwrap()
}

#[track_caller]
fn limit(answer: &Value) -> &str {
    assert_eq!(answer["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED", "{:.500}", answer.to_string());
    answer["errors"][0]["message"].as_str().unwrap()
}

both! {
    async fn the_sdl_is_answered_once_an_operation(world: World) {
        let api = world.api();
        let aliases = |count: usize| (0..count).fold(String::new(), |text, at| text + &format!("a{at}: sdl "));
        for query in [
            format!("{{ _service {{ sdl {} }} }}", aliases(29)),
            "{ _service { sdl ...F } } fragment F on _Service { again: sdl }".to_owned(),
            "{ _service { sdl } again: _service { sdl } }".to_owned(),
            "{ _service { sdl } ... { again: _service { __typename } } }".to_owned(),
        ] {
            for caller in [None, Some(user("nobody"))] {
                assert!(limit(&asked(&api, caller, &query, json!({}), true).await).contains("sdl at most once"), "{query}");
            }
        }
        let sdl = project_vault::graphql::sdl();
        for (query, pointer) in [
            ("{ _service { sdl } }", "/data/_service/sdl"),
            ("query S { s: _service { __typename sdl sdl } __typename }", "/data/s/sdl"),
            ("query($y: Boolean!) { ...F } fragment F on Query { _service { ... { x: sdl @include(if: $y) } } }", "/data/_service/x"),
        ] {
            for traced in [false, true] {
                let answer = asked(&api, None, query, json!({ "y": true }), traced).await;
                assert_eq!(answer.pointer(pointer), Some(&json!(sdl)), "{query}: {:.500}", answer.to_string());
            }
        }
        let shared = api.shared_answer(&api.inspect("query Of { _service { sdl } }", None, false).ok().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&shared).unwrap(), json!({ "data": { "_service": { "sdl": sdl } } }));
        // What is not exactly that is validated, and answered as ever.
        for other in ["{ _service { x: sdl } }", "{ _service { sdl } __typename }", "query @no { _service { sdl } }", "mutation { _service { sdl } }"] {
            assert!(api.shared_answer(&api.inspect(other, None, false).ok().unwrap()).is_none(), "{other}");
        }
        for wrong in ["{ _service { sdl nope } }", "{ _service(no: 1) { sdl } }", "query($x: VaultEntryFilter = {}) { _service { sdl } }"] {
            let answer = asked(&api, None, wrong, json!({}), false).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{wrong}: {answer}");
        }
    }

    async fn a_caller_without_a_role_multiplies_no_answer(world: World) {
        world.demo().await;
        let api = world.api();
        let before = world.statements();
        for (fields, length, representations) in [(49, 200, 1_000), (500, 100, 30), (30, 200, 600)] {
            let query = aliased(fields, length, "id");
            for traced in [false, true] {
                let answer = asked(&api, Some(user("nobody")), &query, projects(representations), traced).await;
                assert!(limit(&answer).contains("3 MiB"));
            }
        }
        // Errors are answers as well.
        let answer = asked(&api, Some(user("nobody")), &aliased(9, 180, "vault { status }"), projects(1_000), false).await;
        assert!(limit(&answer).contains("3 MiB"));
        assert_eq!(world.statements(), before, "nothing was read");
        // The largest answers that are given, of aliases, errors and traces.
        for (query, representations) in [(aliased(45, 200, "id"), json!(projects(80)["r"])), (aliased(4, 190, "id"), json!(vec![json!({}); 900]))] {
            for traced in [false, true] {
                let answer = asked(&api, Some(user("nobody")), &query, json!({ "r": representations }), traced).await;
                assert!(answer["data"]["_entities"].is_array(), "{:.500}", answer.to_string());
                let most = if traced { 5 } else { 3 } * MIB;
                assert!((answer.to_string().len() as u64) < most, "{}", answer.to_string().len());
            }
        }
    }

    async fn a_page_of_everything_is_answered_and_never_larger_than_expected(world: World) {
        world.demo().await;
        let long = "a\"".repeat(100);
        let change = RoleChange { project: "demo".to_owned(), user: long.clone(), role: Role::Accountable };
        world.vault.members().assign_role(&user("alice"), change).await.unwrap();
        let author = user(&long);
        for at in 0..10 {
            let description = Some("\u{1}".repeat(2_000));
            let name = format!("N{}{at}", "A".repeat(120));
            let created = world.vault.entries().create(&author, NewEntry { description, ..entry(&name, "\"\u{1}\"\u{1}\"\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\"\u{1}\"") }).await.unwrap();
            assert_eq!(created.name, name);
        }
        let of = |selection: &str| format!("{{ projectVault(projectId: \"demo\") {{ {selection} }} }}");
        let events = "id occurredAt projectId action outcome reason count actor subject role agent { id } entryId entryName
            entryVersion milestoneId purpose sessionId tool requestId";
        for (caller, query) in [
            (&author, of(&format!("entries(first: 100) {{ totalCount nodes {{ {ENTRY} }} }}"))),
            (&author, of(&format!("entries(first: 100) {{ edges {{ cursor node {{ {ENTRY} }} }} }}"))),
            // Each field that is denied is an error.
            (&user("dave"), of(&format!("entries(first: 100) {{ nodes {{ {ENTRY} }} }}"))),
            (&user("alice"), of(&format!("auditEvents(first: 100) {{ nodes {{ {events} }} edges {{ cursor }} }} members {{ user {{ id }} teamId role }}"))),
            (&user("alice"), of("agents { agent { id } milestones { id vaultPhase { open opensAt closesAt } } } milestones { id } participants { id } status viewer { role canList canViewMasked canWrite canAdminister canAudit }")),
            (&user("bob"), "{ previewSecrets(input: { projectId: \"demo\", agentId: \"builder\" }) { blockedBy secrets { name outcome scope expiresAt entry { id name description } } } }".to_owned()),
        ] {
            let expected = inspect(&query, None).ok().unwrap().check_cost(&Variables::default(), Circumstances { request_id: 40, ..Circumstances::default() });
            let expected = expected.unwrap_or_else(|refusal| panic!("{refusal}: {query}")).bytes;
            let answer = world.ask(caller, &query, json!({})).await;
            let length = answer.0.to_string().len() as u64;
            assert!(length > 100 && length <= expected, "{length} > {expected}: {query}");
        }
        // A gateway's fetch of what several hundred projects show.
        let fetch = "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Project { id vault { status viewer {
            role canList canViewMasked canWrite canAdminister canAudit } } } } }";
        let answer = world.ask(&user("dave"), fetch, projects(700)).await;
        assert_eq!(answer.ok("/_entities/699/vault/viewer/role"), &json!("INFORMED"));
        let pages = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Project { vault { entries { nodes { id name status
            category expiresAt } } } } } }";
        let answer = world.ask(&user("dave"), pages, projects(100)).await;
        assert_eq!(answer.ok("/_entities/99/vault/entries/nodes/9/status"), &json!("ACTIVE"));
    }

    async fn what_an_agent_asks_by_name_is_not_multiplied(world: World) {
        world.demo().await;
        world.vault.entries().create(&user("bob"), entry("TOKEN", "v")).await.unwrap();
        let resolve = |selection: &str| format!("query($n: [String!]) {{ resolveSecrets(input: {{ projectId: \"demo\", agentId: \"builder\",
            purpose: TOOL_EXECUTION, names: $n }}) {{ secrets {{ {selection} }} }} }}");
        let caller = runtime("acme-runtime");
        let answer = world.ask(&caller, &resolve("name value sealedValue"), json!({ "n": ["TOKEN"] })).await;
        assert_eq!(answer.ok("/resolveSecrets/secrets/0/value"), &json!("v"));
        for selection in ["value again: value", "sealedValue again: sealedValue", "value ... { again: value }"] {
            let answer = asked(&world.api(), Some(caller.clone()), &resolve(selection), json!({ "n": ["TOKEN"] }), false).await;
            assert!(limit(&answer).contains("value and sealedValue at most once"), "{selection}");
        }
        // A name that no entry can have is answered as it came.
        let long = json!({ "n": ["\u{1}".repeat(300_000)] });
        let answer = world.ask(&caller, &resolve("name"), long.clone()).await;
        assert_eq!(answer.ok("/resolveSecrets/secrets/0/name"), &long["n"][0]);
        let answer = asked(&world.api(), Some(caller), &resolve("a: name b: name"), long, false).await;
        assert!(limit(&answer).contains("3 MiB"));
    }

    async fn introspection_is_measured_and_anyone_may_ask_for_all_of_it(world: World) {
        let api = world.api();
        let known = api.introspected().await.unwrap();
        let circumstances = Circumstances { anonymous: true, request_id: 40, introspected: Some(known), ..Circumstances::default() };
        let type_ref = (0..9).fold("kind name".to_owned(), |below, _| format!("kind name ofType {{ {below} }}"));
        let input = format!("name description type {{ {type_ref} }} defaultValue isDeprecated deprecationReason");
        let whole = format!("query IntrospectionQuery {{ __schema {{ description queryType {{ name }} mutationType {{ name }}
            subscriptionType {{ name }} directives {{ name description locations args(includeDeprecated: true) {{ {input} }} }}
            types {{ kind name description specifiedByURL isOneOf fields(includeDeprecated: true) {{ name description isDeprecated
            deprecationReason args(includeDeprecated: true) {{ {input} }} type {{ {type_ref} }} }}
            inputFields(includeDeprecated: true) {{ {input} }} interfaces {{ {type_ref} }} possibleTypes {{ {type_ref} }}
            enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} }} }} }}");
        for query in [whole.as_str(), "{ __type(name: \"VaultEntry\") { name fields { name type { fields { name } } } } }", "{ __typename }"] {
            let inspected = inspect(query, None).ok().unwrap();
            let expected = inspected.check_cost(&Variables::default(), circumstances).unwrap().bytes;
            for caller in [None, Some(user("nobody")), Some(runtime("acme-runtime"))] {
                let answer = asked(&api, caller, query, json!({}), false).await;
                assert!(answer["errors"].is_null(), "{:.500}", answer.to_string());
                let length = answer.to_string().len() as u64;
                assert!(length <= expected + 32 && expected <= length + length / 2 + 64, "{length} of {expected}");
            }
        }
        // What is asked for twice is answered twice.
        let types = (0..8).fold(String::new(), |all, at| format!("{all} a{at}: __schema {{ types {{ description fields {{ description
            args {{ description }} }} enumValues {{ description }} inputFields {{ description }} }} }}"));
        assert!(limit(&asked(&api, None, &format!("{{ {types} }}"), json!({}), false).await).contains("256 KiB"));
        assert!(asked(&api, Some(user("nobody")), &format!("{{ {types} }}"), json!({}), false).await["errors"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_document_repeat_no_long_name() {
    let world = World::new(Backend::Sqlite).await;
    let name = "n".repeat(8_000);
    for query in [
        format!("{{ {} }} fragment F on Query {{ {name} }}", "...F ".repeat(20)),
        format!("{{ projectVault(projectId: [{}]) {{ status }} }}", format!("${name} ").repeat(2)),
        format!(
            "query({}) {{ __typename }}",
            (0..20).fold(String::new(), |all, at| format!("{all} ${name}{at}: Int = \"\""))
        ),
    ] {
        let answer = ask(&world.api(), &user("nobody"), &query[..query.len().min(64_000)], json!({})).await;
        assert!(!answer.errors().is_empty() && answer.0.to_string().len() < 20_000, "{}", answer.0.to_string().len());
    }
}

/// Requests over connections of HTTP/2 whose answers are never read.
struct Unread {
    /// Bytes of what was sent, headers and frames left out.
    sent: usize,
    statuses: Vec<u16>,
    _bodies: Vec<h2::RecvStream>,
    connections: Vec<tokio::task::JoinHandle<()>>,
}

/// Sends one request again and again, over so many connections with so many streams each.
async fn flood(address: SocketAddr, token: Option<&str>, body: &str, connections: usize, streams: usize) -> Unread {
    let one = async || {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder.initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut client = client.ready().await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..streams {
            let Ok(ready) = client.ready().await else { break };
            client = ready;
            let mut request =
                Request::post(format!("http://{address}/graphql")).header("content-type", "application/json");
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let Ok((answer, mut sending)) = client.send_request(request.body(()).unwrap(), false) else { break };
            let _ = sending.send_data(Bytes::from(body.to_owned()), true);
            answers.push(answer);
        }
        (answers, connection)
    };
    let all = join_all((0..connections).map(|_| one())).await;
    let (mut streams, mut tasks, mut statuses, mut bodies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (answers, task) in all {
        streams.extend(answers);
        tasks.push(task);
    }
    let sent = streams.len() * body.len();
    // Headers come, and nothing else.
    let heads = streams.into_iter().map(|answer| tokio::time::timeout(Duration::from_secs(20), answer));
    for head in join_all(heads).await.into_iter().flatten().flatten() {
        statuses.push(head.status().as_u16());
        bodies.push(head.into_body());
    }
    Unread { sent, statuses, _bodies: bodies, connections: tasks }
}

/// A document as a request's body.
fn body(query: &str, variables: Value) -> String {
    json!({ "query": query, "variables": variables }).to_string()
}

/// What the real program holds for peers that do not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_answers_cost_the_server_little_and_not_for_long() {
    let installation = Installation::new(Backend::Sqlite).await;
    let log = installation.file("serve.log");
    let running = installation.serve("warn", &log).await;
    let address: SocketAddr = running.url.trim_start_matches("http://").parse().unwrap();
    let nobody = installation.token("user:nobody");
    // All parts are warm.
    for query in ["{ __typename _service { sdl } }", "{ projectVault(projectId: \"p\") { status } }"] {
        installation.ask(&running, "user:nobody", query, json!({})).await.unwrap();
    }
    let long = json!({ "r": vec![json!({ "__typename": "Project", "id": "p".repeat(200) }); 110] });
    let big = body(&aliased(40, 200, "id"), long);
    for (token, body, connections, streams, refused) in [
        (None, body("{ _service { sdl } }", Value::Null), 60, 100, Some(true)),
        (None, body("{ __typename _service { sdl } }", Value::Null), 60, 100, Some(true)),
        (Some(nobody.as_str()), big, 5, 20, None),
    ] {
        let before = running.resident();
        let begin = Instant::now();
        let unread = flood(address, token, &body, connections, streams).await;
        let held = running.most_resident().saturating_sub(before);
        println!(
            "{} bytes sent, {held} bytes held, {} answers, {:?}",
            unread.sent,
            unread.statuses.len(),
            begin.elapsed()
        );
        assert!(held < 200 * MIB, "{} bytes hold {held}", unread.sent);
        assert!(unread.statuses.contains(&200), "{:?}", unread.statuses.first());
        assert!(refused.is_none_or(|refused| unread.statuses.contains(&503) == refused), "some find nothing left");
        let asked = Instant::now();
        assert_eq!(running.page("/healthz").await, "ok");
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        // A peer that reads is answered meanwhile.
        assert!(installation.ask(&running, "user:ada", "{ __typename _service { sdl } }", json!({})).await.unwrap()["errors"].is_null());
        let ended = tokio::time::timeout(Duration::from_secs(25), join_all(unread.connections)).await;
        assert!(ended.is_ok(), "connections of peers that do not read end");
        let again =
            installation.ask(&running, "user:nobody", "{ __typename _service { sdl } }", json!({})).await.unwrap();
        assert!(again["errors"].is_null(), "{again}");
    }
}

/// A resolve releases 4 MiB of values, however JSON writes them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_release_arrives_whole() {
    let installation = Installation::new(Backend::Sqlite).await;
    let running = installation.serve("warn", &installation.file("serve.log")).await;
    installation.add_demo(&running).await;
    let assign = "mutation { assignVaultRole(input: { projectId: \"demo\", userId: \"bob\", role: RESPONSIBLE }) { userErrors { message } } }";
    installation.ask(&running, "user:alice", assign, json!({})).await.unwrap();
    let value = "\u{1}".repeat(64 * 1024);
    let create = "mutation($n: String!, $v: String!) { createVaultEntry(input: { projectId: \"demo\", name: $n, value: $v, category: SECRET })
        { userErrors { message } } }";
    for at in 0..64 {
        let made = installation
            .ask(&running, "user:bob", create, json!({ "n": format!("N{at:0>2}"), "v": value }))
            .await
            .unwrap();
        assert_eq!(made, json!({ "data": { "createVaultEntry": { "userErrors": [] } } }));
    }
    let resolve = "{ resolveSecrets(input: { projectId: \"demo\", agentId: \"builder\", purpose: CODING_SESSION }) { secrets { name value } } }";
    let resolved = installation.ask(&running, "runtime:acme-runtime", resolve, Value::Null).await.unwrap();
    let secrets = resolved["data"]["resolveSecrets"]["secrets"]
        .as_array()
        .unwrap_or_else(|| panic!("{:.500}", resolved.to_string()));
    assert!(secrets.len() == 64 && secrets.iter().all(|secret| secret["value"] == value.as_str()));
}
