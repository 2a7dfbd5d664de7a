//! The REST view of a resolve: one secret by GET, over either backend.

mod asked;

use crate::agent::served::{PASSWORD_VALUE, Served, TOKEN_VALUE};
use crate::support::{World, entry, new_project, service, user};
use asked::{Answer, Asked, described};
use project_vault::domain::{AgentId, Narrowing, TokenKind};
use project_vault::vault::{Change, Rotation};
use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The shortest answer to a question about what may be hidden.
const STEP: Duration = Duration::from_millis(20);

async fn id_of(world: &World, name: &str) -> String {
    let made = world.vault.entries().create(&user("bob"), entry(name, "v")).await.unwrap();
    made.id.to_string()
}

/// Disables an entry of this name, deletes another one, and names both.
async fn hide(world: &World) -> [&'static str; 2] {
    world.vault.entries().disable(&user("bob"), id_of(world, "OFF").await).await.unwrap();
    world.vault.entries().delete(&user("alice"), id_of(world, "GONE").await).await.unwrap();
    ["OFF", "GONE"]
}

both! {
    async fn a_secret_comes_with_its_entry_in_the_words_of_graphql(world: World) {
        let served = Served::start(&world).await;
        for (name, value) in [("TOKEN", TOKEN_VALUE), ("PASSWORD", PASSWORD_VALUE)] {
            let answer = Asked::of(&served, name).get().await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let fields = "name value entryId version category scope expiresAt";
            let told = Asked::of(&served, name).graphql(fields).await;
            assert_eq!(answer.body, told["data"]["resolveSecrets"]["secrets"][0], "{name}");
            assert_eq!(answer.body["value"], value);
        }
    }

    async fn a_milestones_secret_comes_on_the_milestone_only(world: World) {
        let served = Served::start(&world).await;
        let asked = || Asked::of(&served, "LAUNCH").agent("deployer").runtime("globex-runtime");
        let answer = asked().with("milestone", "demo-launch").get().await;
        assert_eq!((answer.status, &answer.body["value"]), (200, &json!("launch-value")));
        assert_eq!(answer.body["scope"], "MILESTONE");
        assert_eq!(asked().get().await.problem(), (404, "NOT_FOUND"));
        assert_eq!(asked().with("milestone", "elsewhere").get().await.problem(), (403, "FORBIDDEN"));
    }

    async fn a_version_that_the_caller_has_is_answered_304_and_recorded_like_200(world: World) {
        let served = Served::start(&world).await;
        let id = id_of(&world, "KEPT").await;
        let first = Asked::of(&served, "KEPT").get().await;
        let tag = first.header("etag").unwrap().to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 20, "{tag}");
        assert_eq!(Asked::of(&served, "KEPT").get().await.header("etag"), Some(&*tag), "the same version");

        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let before = world.asked_events().await.len();
            let answer = Asked::of(&served, "KEPT").header("if-none-match", &known).get().await;
            assert_eq!((answer.status, answer.text.as_str(), answer.header("etag")), (304, "", Some(&*tag)), "{known}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(world.asked_events().await.len(), before + 1, "{known}");
        }
        let [of_304, of_200] = world.last_events().await;
        assert_eq!(of_304, of_200);

        let rotation = Rotation {
            id: id.clone(),
            value: SecretString::from("w"),
            expires_at: Change::Keep,
            expected_revision: None,
        };
        world.vault.entries().rotate(&user("bob"), rotation).await.unwrap();
        let rotated = Asked::of(&served, "KEPT").header("if-none-match", &tag).get().await;
        assert_eq!((rotated.status, &rotated.body["value"]), (200, &json!("w")));
        assert_ne!(rotated.header("etag"), Some(&*tag));

        // Another entry of the name, with the version and the value of the first one.
        world.vault.entries().delete(&user("alice"), id).await.unwrap();
        id_of(&world, "KEPT").await;
        let again = Asked::of(&served, "KEPT").header("if-none-match", &tag).get().await;
        assert_eq!((again.status, &again.body["value"], &again.body["version"]), (200, &json!("v"), &json!(1)));
        assert_ne!(again.header("etag"), Some(&*tag));
    }

    async fn a_secret_without_a_value_is_a_problem_and_never_an_empty_value(world: World) {
        let served = Served::start(&world).await;
        let hidden = hide(&world).await;
        let absent = Asked::of(&served, "NOWHERE").get().await;
        assert_eq!(absent.problem(), (404, "NOT_FOUND"));
        for name in [hidden[0], hidden[1], "LAUNCH", "not a name", "1", "TOKEN/", "%", "T\u{f6}KEN"] {
            let answer = Asked::of(&served, name).get().await;
            assert_eq!(answer.problem(), (404, "NOT_FOUND"), "{name}");
            assert_eq!(answer.without_id(), absent.without_id(), "{name}");
        }
        // A known version of something else changes nothing.
        assert_eq!(Asked::of(&served, "NOWHERE").header("if-none-match", "*").get().await.problem(), (404, "NOT_FOUND"));

        let expired = Asked::of(&served, "OLD").header("if-none-match", "*").get().await;
        assert_eq!(expired.problem(), (410, "EXPIRED"));
        let told = Asked::of(&served, "OLD").graphql("name entryId version category scope expiresAt").await;
        for (field, value) in told["data"]["resolveSecrets"]["secrets"][0].as_object().unwrap() {
            assert_eq!(&expired.body[field], value, "{field}");
        }
        for answer in [absent, expired] {
            assert!(answer.body.get("value").is_none() && answer.header("etag").is_none());
        }
    }

    async fn only_a_runtime_that_may_resolve_gets_an_answer(world: World) {
        let served = Served::start(&world).await;
        world.vault.projects().register(&service("platform"), new_project("other", "alice")).await.unwrap();
        let ask = || Asked::of(&served, "TOKEN");
        let nobody = ask().token(None).get().await;
        assert_eq!((nobody.problem(), nobody.header("www-authenticate")), ((401, "UNAUTHENTICATED"), Some("Bearer")));
        let bad = ask().token(Some("a.b.c".to_owned())).get().await;
        assert_eq!(bad.problem(), (401, "UNAUTHENTICATED"));
        assert_eq!(bad.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));

        let refused = ask().runtime("globex-runtime").get().await;
        assert_eq!(refused.problem(), (403, "FORBIDDEN"));
        for other in [
            ask().kind(TokenKind::User, "alice"),
            ask().kind(TokenKind::Service, "platform"),
            ask().agent("nobody"),
            ask().agent("deployer"),
            ask().project("nowhere"),
            ask().project("other"),
            ask().project("a/b?c#d%"),
            ask().with("milestone", "nowhere"),
        ] {
            let other = other.get().await;
            assert_eq!((other.problem(), other.without_id()), ((403, "FORBIDDEN"), refused.without_id()));
        }
    }

    async fn a_narrowed_token_opens_what_it_names(world: World) {
        let served = Served::start(&world).await;
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let agent = |agent: &str| Some(AgentId::parse(agent).unwrap());
        for (narrowing, told) in [
            (Narrowing { names: names(&["TOKEN"]), agent: agent("builder"), ..Narrowing::default() }, (200, "")),
            (Narrowing { names: names(&["KEY"]), ..Narrowing::default() }, (403, "FORBIDDEN")),
            (Narrowing { agent: agent("deployer"), ..Narrowing::default() }, (403, "FORBIDDEN")),
            (Narrowing { milestone: Some(World::milestone()), ..Narrowing::default() }, (403, "FORBIDDEN")),
        ] {
            let token = served.token(TokenKind::Runtime, "acme-runtime", narrowing);
            let answer = Asked::of(&served, "TOKEN").token(Some(token)).get().await;
            assert_eq!((answer.status, answer.body["code"].as_str().unwrap_or_default()), told);
        }
    }

    async fn runtimes_have_their_own_address(world: World) {
        let served = Served::start_at(&world, true).await;
        let runtimes = served.runtimes.clone().unwrap();
        let at_main = Asked::of(&served, "TOKEN").get().await;
        assert_eq!(at_main.problem(), (403, "FORBIDDEN"));
        let there = || Asked::of(&served, "TOKEN").at(&runtimes);
        assert_eq!(there().get().await.body["value"], TOKEN_VALUE);
        assert_eq!(there().kind(TokenKind::User, "alice").get().await.problem(), (403, "FORBIDDEN"));
        assert_eq!(there().token(None).get().await.problem(), (401, "UNAUTHENTICATED"));
        // On the main address, a person is refused by the vault, which records it.
        let before = world.asked_events().await.len();
        assert_eq!(Asked::of(&served, "TOKEN").kind(TokenKind::User, "alice").get().await.problem(), (403, "FORBIDDEN"));
        assert_eq!(world.asked_events().await.len(), before + 1);
    }

    async fn a_call_leaves_the_records_that_graphql_leaves(world: World) {
        let served = Served::start(&world).await;
        hide(&world).await;
        let ask = |name| {
            Asked::of(&served, name).with("sessionId", "session 1").with("tool", "eso").header("x-request-id", "r-1")
        };
        for (asked, status) in [
            (ask("TOKEN"), 200),
            (ask("NOWHERE"), 404),
            (ask("OFF"), 404),
            (ask("OLD"), 410),
            (ask("LAUNCH").agent("deployer").runtime("globex-runtime").with("milestone", "demo-launch"), 200),
            (ask("TOKEN").kind(TokenKind::User, "carol"), 403),
            (ask("TOKEN").runtime("globex-runtime"), 403),
            (ask("TOKEN").with("milestone", "demo-launch"), 403),
        ] {
            let answer = asked.clone().get().await;
            assert_eq!(answer.status, status);
            // A denial's repetition within a minute is counted to the first one.
            world.vault.audit().record_repeated_denials(true).await.unwrap();
            world.clock.advance(Duration::from_secs(61));
            asked.graphql("name value").await;
            let [by_graphql, by_rest] = world.last_events().await;
            assert_eq!(by_rest, by_graphql);
            // Labels do not tell one denial from another, so its event has none.
            let labels: &[&str] = if status == 403 { &["FORBIDDEN"] } else { &["session 1", "eso"] };
            for label in labels.iter().chain(&["TOOL_EXECUTION"]) {
                assert!(by_rest.contains(label), "{label} is not in {by_rest}");
            }
        }
    }

    async fn hidden_and_missing_are_answered_for_the_same_work(world: World) {
        let served = Served::start(&world).await;
        hide(&world).await;
        world.vault.projects().register(&service("platform"), new_project("hidden", "alice")).await.unwrap();
        let work = async |asked: &Asked<'_>| {
            let count = || (world.statements(), world.statements_of_authorizer(), world.batches());
            let (before, began) = (count(), Instant::now());
            asked.clone().get().await;
            assert!(began.elapsed() >= STEP, "such an answer waits for the next step");
            let after = count();
            (after.0 - before.0, after.1 - before.1, after.2 - before.2)
        };
        let mut others = 0;
        // What is asked for the first time after a change, and what is in memory.
        let mut first_and_later = async |asked: Asked<'_>| {
            work(&asked).await;
            others += 1;
            id_of(&world, &format!("OTHER_{others}")).await;
            let first = work(&asked).await;
            work(&asked).await;
            (first, work(&asked).await)
        };
        let missing = first_and_later(Asked::of(&served, "NOWHERE")).await;
        for name in ["OFF", "GONE", "LAUNCH"] {
            assert_eq!(first_and_later(Asked::of(&served, name)).await, missing, "{name}");
        }
        assert!(missing.0.0 > missing.1.0, "rows are read after a change");
        let missing = first_and_later(Asked::of(&served, "TOKEN").project("missing")).await;
        assert_eq!(first_and_later(Asked::of(&served, "TOKEN").project("hidden")).await, missing);
        assert!(missing.1.2 > 0, "the authorizer was asked");
    }

    async fn a_caller_that_is_refused_too_often_is_told_when_to_ask_again(world: World) {
        let served = Served::start(&world).await;
        for n in 0..100 {
            let answer = Asked::of(&served, "TOKEN").project(&format!("p-{n}")).get().await;
            if answer.status == 403 {
                continue;
            }
            assert_eq!(answer.problem(), (429, "RATE_LIMITED"));
            let wait = answer.body["retryAfterSeconds"].as_u64().unwrap();
            assert!(wait > 0 && answer.header("retry-after") == Some(&*wait.to_string()));
            assert_eq!(Asked::of(&served, "TOKEN").get().await.status, 200, "what is allowed still works");
            return;
        }
        panic!("no refusal was limited");
    }

    async fn a_fault_of_the_database_releases_nothing_and_is_told_in_no_words_of_it(world: World) {
        let served = Served::start(&world).await;
        world.sql("ALTER TABLE entries RENAME TO entries_elsewhere").await.unwrap();
        let answer = Asked::of(&served, "KEY").get().await;
        assert!([500, 503].contains(&answer.status), "{}", answer.text);
        assert!(["INTERNAL", "UNAVAILABLE"].contains(&answer.problem().1));
        assert!(!answer.text.contains("entries"), "{}", answer.text);
    }

    async fn bounds_and_forms_are_those_of_graphql(world: World) {
        let served = Served::start(&world).await;
        let ask = || Asked::of(&served, "TOKEN");
        let long = |length: usize| "x".repeat(length);
        for (asked, field) in [
            (ask().project(&long(201)), "project"),
            (ask().project("\u{fc}"), "project"),
            (ask().agent(&long(201)), "agent"),
            (ask().agent("a b"), "agent"),
            (ask().with("milestone", ""), "milestone"),
            (ask().with("milestone", &long(201)), "milestone"),
            (ask().with("sessionId", ""), "sessionId"),
            (ask().with("sessionId", &long(201)), "sessionId"),
            (ask().with("tool", "\u{fc}"), "tool"),
            (ask().with("tool", &long(201)), "tool"),
        ] {
            let answer = asked.get().await;
            assert_eq!((answer.problem(), answer.body["field"].as_str()), ((400, "INVALID_INPUT"), Some(field)));
        }
        let longest = ask().with("sessionId", &long(200)).with("tool", &" ".repeat(200)).get().await;
        assert_eq!(longest.status, 200, "{}", longest.text);
        for (name, value) in [("milstone", "m"), ("access_token", "t"), ("purpose", "CODING_SESSION")] {
            assert_eq!(ask().with(name, value).get().await.problem(), (400, "BAD_USER_INPUT"), "{name}");
        }
        assert_eq!(ask().with("tool", "a").with("tool", "a").get().await.problem(), (400, "BAD_USER_INPUT"));
        assert_eq!(ask().path("/v1/projects/%ff/agents/a/secrets/b").get().await.problem(), (400, "BAD_USER_INPUT"));

        for (asked, told) in [
            (Asked::of(&served, &long(7_000)), (404, "NOT_FOUND")),
            (Asked::of(&served, &long(9_000)), (414, "LIMIT_EXCEEDED")),
            (ask().with("tool", &long(9_000)), (414, "LIMIT_EXCEEDED")),
            (ask().with("tool", &long(30_000)), (414, "LIMIT_EXCEEDED")),
        ] {
            assert_eq!(asked.get().await.problem(), told);
        }
        for path in ["/v1/", "/v1/projects", "/v1/projects/demo/agents/builder/secrets/", "/v1/openapi.json/"] {
            let answer = ask().path(path).get().await;
            assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some("NOT_FOUND")), "{path}");
        }
    }

    async fn a_secret_is_read_by_get_alone(world: World) {
        let served = Served::start(&world).await;
        let before = world.asked_events().await.len();
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let answer = Asked::of(&served, "TOKEN").method(method.clone()).get().await;
            assert_eq!((answer.problem(), answer.header("allow")), ((405, "BAD_USER_INPUT"), Some("GET")), "{method}");
            let nobody = Asked::of(&served, "TOKEN").method(method).token(None).get().await;
            assert_eq!(nobody.problem(), (401, "UNAUTHENTICATED"));
        }
        // It would be recorded as a use, and would release nothing.
        let head = Asked::of(&served, "TOKEN").method(Method::HEAD).get().await;
        assert_eq!((head.status, head.header("allow"), head.text.as_str()), (405, Some("GET"), ""));
        assert_eq!(world.asked_events().await.len(), before);
    }

    async fn the_metrics_count_it_and_name_nothing_of_it(world: World) {
        let served = Served::start(&world).await;
        Asked::of(&served, "TOKEN").get().await;
        Asked::of(&served, "SECRETNAME").get().await;
        Asked::of(&served, "TOKEN").project("secretproject").get().await;
        let page = reqwest::get(&served.metrics).await.unwrap().text().await.unwrap();
        for status in [200, 404, 403] {
            let route = "/v1/projects/{project}/agents/{agent}/secrets/{name}";
            let line = format!("vault_http_requests_total{{route=\"{route}\",status=\"{status}\"}}");
            assert!(page.contains(&line), "{line} is not in:\n{page}");
        }
        assert!(!page.to_lowercase().contains("secretname") && !page.contains("secretproject"), "{page}");
    }
}

#[test]
fn the_description_names_every_path_status_and_parameter() {
    let described = described();
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/openapi.json", "/v1/projects/{project}/agents/{agent}/secrets/{name}"]);
    let secret = &described["paths"][paths[1]];
    let statuses: Vec<&String> = secret["get"]["responses"].as_object().unwrap().keys().collect();
    let known = [200, 304, 400, 401, 403, 404, 405, 410, 414, 429, 431, 500, 503].map(|status| status.to_string());
    assert_eq!(statuses, known.iter().collect::<Vec<_>>());
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&secret["parameters"]), ["project", "agent", "name"]);
    assert_eq!(names(&secret["get"]["parameters"]), ["milestone", "sessionId", "tool", "If-None-Match"]);
    let categories = &described["components"]["schemas"]["EntryFields"]["properties"]["category"]["enum"];
    let all: Vec<&str> = project_vault::domain::Category::ALL.iter().map(|category| category.as_str()).collect();
    assert_eq!(categories, &json!(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_cannot_be_judged_is_unavailable() {
    let world = super::world::World::with(super::world::Setting::NoKeys).await;
    let token = world.token(TokenKind::Runtime, "r");
    let asked = world.get("/v1/projects/p/agents/a/secrets/N").bearer_auth(token);
    let answer = asked.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (503, &HeaderValue::from_static("application/problem+json"))
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_served_to_anybody_on_every_address() {
    crate::support::in_time(crate::support::Backend::Sqlite, async |world: World| {
        let served = Served::start_at(&world, true).await;
        let runtimes = served.runtimes.clone().unwrap();
        let ask = || Asked::of(&served, "TOKEN").path("/v1/openapi.json").token(None);
        for asked in [ask(), ask().at(&runtimes), ask().kind(TokenKind::User, "ada")] {
            let answer: Answer = asked.get().await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
            assert_eq!(answer.body, described());
        }
        let posted = ask().method(Method::POST).get().await;
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    })
    .await;
}
