//! Each limit on requests, tested on both sides: a request within it is answered, and one beyond it
//! is refused with a message that names the limit.

use super::world::{Setting, World};
use project_vault::domain::TokenKind;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// What is wrong, by its code and its message; none when nothing is.
async fn told(request: RequestBuilder) -> Option<(String, String)> {
    let body: Value = request.send().await.unwrap().json().await.unwrap();
    let error = body["errors"].as_array()?.first()?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some((text(&error["extensions"]["code"]), text(&error["message"])))
}

/// So many texts, by their numbers.
fn times(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect::<Vec<_>>().join(" ")
}

/// A query whose fields nest so deep.
fn deep(levels: usize) -> String {
    let leaf = if levels.is_multiple_of(2) { "status" } else { "id" };
    let way = (0..levels - 2).rev().fold(leaf.to_owned(), |below, level| {
        format!("{} {{ {below} }}", if level.is_multiple_of(2) { "project" } else { "vault" })
    });
    format!("{{ projectVault(projectId: \"p\") {{ {way} }} }}")
}

/// A query with so many fields, without an alias.
fn wide(fields: usize) -> String {
    let entity = |count: usize| format!("... on Project {{ {} }}", times(count, |_| "vault { status }".to_owned()));
    // Equal fields are counted before they are merged.
    let pairs = (fields - 1) / 2;
    let odd = if fields.is_multiple_of(2) { "__typename" } else { "" };
    format!(
        "{{ _entities(representations: [{{ __typename: \"Project\", id: \"p\" }}]) {{ {odd} {} }} }}",
        entity(pairs)
    )
}

fn aliases(count: usize) -> String {
    format!("{{ {} }}", times(count, |i| format!("a{i}: __typename")))
}

fn page(first: i64) -> String {
    format!("{{ projectVault(projectId: \"p\") {{ entries(first: {first}) {{ totalCount }} }} }}")
}

fn names(count: usize) -> String {
    let names = times(count, |i| format!("\"N{i}\","));
    format!(
        "{{ resolveSecrets(input: {{ projectId: \"p\", agentId: \"a\", purpose: TOOL_EXECUTION, names: [{names}] }}) \
         {{ secrets {{ outcome }} }} }}"
    )
}

fn resolves(count: usize) -> String {
    let input = "input: { projectId: \"p\", agentId: \"a\", purpose: CODING_SESSION }";
    format!("{{ {} }}", times(count, |i| format!("r{i}: resolveSecrets({input}) {{ secrets {{ name }} }}")))
}

/// The deepest query needs the stack that the program gives its workers.
#[test]
fn each_limit_holds_at_its_edge_and_says_which_it_is() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().worker_threads(2).thread_stack_size(16 * 1024 * 1024).build().unwrap();
    runtime.block_on(at_the_edges());
}

async fn at_the_edges() {
    let world = World::new().await;
    world.set_registrar("platform").await;
    let service = world.token(TokenKind::Service, "platform");
    let send = |token: &str, query: &str| world.post(query).bearer_auth(token);
    for mutation in [
        "registerProjectVault(input: {projectId: \"p\", participantIds: [\"o\"], accountableUserIds: [\"ada\"]})",
        "setProjectVaultStatus(input: {projectId: \"p\", status: ACTIVE})",
        "registerVaultAgent(input: {agentId: \"a\", organizationId: \"o\"})",
        "registerVaultRuntime(input: {runtimeId: \"r\", organizationId: \"o\"})",
        "assignVaultAgent(input: {projectId: \"p\", agentId: \"a\"})",
    ] {
        let mutation = format!("mutation {{ {mutation} {{ userErrors {{ message }} }} }}");
        assert_eq!(told(send(&service, &mutation)).await, None, "{mutation}");
    }
    let (person, runtime) = (world.token(TokenKind::User, "ada"), world.token(TokenKind::Runtime, "r"));
    let limited = "LIMIT_EXCEEDED";
    for (token, inside, beyond, code, words) in [
        (&person, deep(16), deep(17), limited, "16 deep"),
        (&person, wide(1000), wide(1001), limited, "1,000 fields"),
        (&person, aliases(30), aliases(31), limited, "30 aliases"),
        (&person, page(100), page(101), "INVALID_INPUT", "0 to 100"),
        (&person, page(0), page(-1), "INVALID_INPUT", "0 to 100"),
        (&runtime, resolves(1), resolves(2), limited, "resolveSecrets at most once"),
        (&runtime, names(500), names(501), limited, "500"),
    ] {
        assert_eq!(told(send(token, &inside)).await, None, "{words}: {}", &inside[..inside.len().min(200)]);
        let (found, message) = told(send(token, &beyond)).await.expect(words);
        assert_eq!((found.as_str(), message.contains(words)), (code, true), "{words}: {message}");
    }

    let one = json!({ "query": aliases(1) }).to_string();
    assert_eq!(told(world.post_text(one.clone())).await, None);
    let (code, message) = told(world.post_text(format!("[{one}]"))).await.expect("no batch");
    assert_eq!((code.as_str(), message.contains("batch")), (limited, true), "{message}");

    let sized = |size: usize| {
        let head = "{\"query\":\"{__typename}\",\"extensions\":{\"x\":\"";
        format!("{head}{}\"}}}}", "a".repeat(size - head.len() - 3))
    };
    let whole = |size| world.post_text(sized(size)).bearer_auth(&person);
    assert_eq!(told(whole(2 * 1024 * 1024)).await, None);
    let (code, message) = told(whole(2 * 1024 * 1024 + 1)).await.expect("too large");
    assert_eq!((code.as_str(), message.contains("2 MiB")), (limited, true), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_of_entities_and_below_them_are_not_counted() {
    let world = World::new().await;
    let token = world.token(TokenKind::User, "ada");
    let fetch = |i| {
        format!(
            "_v{i}_: _entities(representations: [{{ __typename: \"Project\", id: \"p\" }}]) {{ ... on Project {{ x: id y: vault {{ z: status }} }} }}"
        )
    };
    let merged = |count| format!("{{ {} }}", times(count, fetch));
    assert_eq!(told(world.post(&merged(200)).bearer_auth(&token)).await, None);
    let (code, message) = told(world.post(&merged(251)).bearer_auth(&token)).await.expect("too many fields");
    assert_eq!((code.as_str(), message.contains("1,000 fields")), ("LIMIT_EXCEEDED", true), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn introspection_is_answered_where_it_is_enabled_and_nowhere_else() {
    let query = "{ __schema { queryType { name } } __type(name: \"Project\") { name } }";
    for (setting, on) in [(Setting::Plain, true), (Setting::NoIntrospection, false)] {
        let world = World::with(setting).await;
        let token = world.token(TokenKind::User, "ada");
        let anyone = [world.post(query), world.get_query(&[("query", query)])];
        for request in anyone.into_iter().chain([world.post(query).bearer_auth(&token)]) {
            let has_token = request.try_clone().unwrap().build().unwrap().headers().contains_key("authorization");
            match (told(request).await, has_token) {
                (None, _) => assert!(on),
                (Some((code, _)), false) => assert_eq!((on, code.as_str()), (false, "UNAUTHENTICATED")),
                (Some((code, message)), true) => {
                    assert_eq!((on, code.as_str()), (false, "GRAPHQL_VALIDATION_FAILED"));
                    assert!(message.contains("Introspection is off"), "{message}");
                }
            }
        }
        assert_eq!(told(world.post("{ _service { sdl } }")).await, None, "gateways need the SDL");
    }
}
