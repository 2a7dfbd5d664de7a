//! The claims of a token.

use super::*;
use crate::domain::{AgentId, MilestoneId, Narrowing, Principal, ProjectId, RuntimeId, UserId};

#[tokio::test]
async fn the_audience_decides_the_kind_of_principal() {
    let world = World::new().await;
    let good = world.verify(&world.claims()).await.unwrap();
    assert_eq!(good.principal, Principal::User(UserId::parse("ada").unwrap()));
    assert_eq!(good.issuer, MAIN);
    assert_eq!(good.expires_at, world.clock.now().plus(secs(HOUR)));

    for (aud, who) in [
        (json!("project-vault-service"), "service:ada"),
        (json!("project-vault-runtime"), "runtime:ada"),
        (json!(["project-vault"]), "user:ada"),
        (json!(["https://other.example", "project-vault-service"]), "service:ada"),
        (json!(["project-vault", "project-vault"]), "user:ada"),
    ] {
        assert_eq!(world.who(&with(world.claims(), "aud", aud.clone())).await.as_deref(), Ok(who), "{aud}");
    }
}

#[tokio::test]
async fn a_token_for_none_or_two_of_the_audiences_is_refused() {
    let world = World::new().await;
    for aud in [
        json!(["project-vault", "project-vault-service"]),
        json!(["project-vault-runtime", "x", "project-vault"]),
        json!([]),
        json!("https://other.example"),
        json!("Project-Vault"),
        json!("project-vault project-vault-service"),
    ] {
        assert_eq!(world.who(&with(world.claims(), "aud", aud.clone())).await, Err(TokenError::Audience), "{aud}");
    }
    assert_eq!(world.who(&without(world.claims(), "aud")).await, Err(TokenError::Audience));
    for aud in [json!(null), json!(1), json!({}), json!(["project-vault", 1]), json!(["project-vault", null])] {
        assert_eq!(world.who(&with(world.claims(), "aud", aud.clone())).await, Err(TokenError::Malformed), "{aud}");
    }
}

#[tokio::test]
async fn an_issuer_speaks_only_for_its_kinds_and_below_its_prefix() {
    let world = World::new().await;
    let claims = world.claims();
    assert_eq!(world.verify_partner(&claims).await.as_deref(), Ok("user:partner|ada"));
    let service = with(claims.clone(), "aud", json!("project-vault-service"));
    assert_eq!(world.verify_partner(&service).await, Err(TokenError::Kind));

    // An issuer's own prefix goes in front, so another's prefix in the subject is harmless.
    let twice = with(claims.clone(), "sub", json!("partner|ada"));
    assert_eq!(world.verify_partner(&twice).await.as_deref(), Ok("user:partner|partner|ada"));
    // The issuer without a prefix could use it to name another issuer's people.
    for (sub, answer) in [
        ("partner|ada", Err(TokenError::Subject)),
        ("partner|", Err(TokenError::Subject)),
        ("partner", Ok("user:partner")),
        ("x-partner|ada", Ok("user:x-partner|ada")),
    ] {
        let who = world.who(&with(claims.clone(), "sub", json!(sub))).await;
        assert_eq!(who.as_deref(), answer.as_deref(), "{sub}");
    }
}

#[tokio::test]
async fn a_subject_is_an_id() {
    let world = World::new().await;
    let claims = world.claims();
    for sub in ["*", "a%2A", "google-oauth2|1", &"s".repeat(200)] {
        assert_eq!(world.who(&with(claims.clone(), "sub", json!(sub))).await, Ok(format!("user:{sub}")));
    }
    for sub in ["", " ", "a b", "ada\n", "ü", "a\u{0}", &"s".repeat(201), &"*".repeat(81)] {
        assert_eq!(world.who(&with(claims.clone(), "sub", json!(sub))).await, Err(TokenError::Subject), "{sub:?}");
    }
    // The prefix alone is no id, and it counts towards the length.
    for sub in [String::new(), "s".repeat(200)] {
        assert_eq!(world.verify_partner(&with(claims.clone(), "sub", json!(sub))).await, Err(TokenError::Subject));
    }
    assert_eq!(world.who(&without(claims.clone(), "sub")).await, Err(TokenError::Subject));
    for sub in [json!(1), json!(["ada"]), json!({})] {
        assert_eq!(world.who(&with(claims.clone(), "sub", sub)).await, Err(TokenError::Malformed));
    }
}

#[tokio::test]
async fn a_token_ends_thirty_seconds_after_its_expiry_by_the_vaults_clock() {
    let world = World::new().await;
    let token = world.main.token(&world.claims());
    world.clock.advance(secs(HOUR + 29));
    assert!(world.verifier.verify(&token).await.is_ok());
    world.clock.advance(secs(1));
    assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Expired));

    let claims = world.claims();
    assert_eq!(world.who(&without(claims.clone(), "exp")).await, Err(TokenError::NoExpiry));
    for exp in [json!(0), json!(-1), json!(0.5), json!(world.now() - 30), json!(world.now() * 1000 / 1001)] {
        assert_eq!(world.who(&with(claims.clone(), "exp", exp.clone())).await, Err(TokenError::Expired), "{exp}");
    }
    for exp in [json!(null), json!("1924992000"), json!(true), json!([1_924_992_000]), json!(1e300)] {
        assert_eq!(world.who(&with(claims.clone(), "exp", exp.clone())).await, Err(TokenError::Malformed), "{exp}");
    }
    for exp in [json!(world.now() - 29), json!(f64::from(u32::MAX) + 0.5), json!(u64::MAX)] {
        assert!(world.who(&with(claims.clone(), "exp", exp.clone())).await.is_ok(), "{exp}");
    }
}

#[tokio::test]
async fn a_token_is_not_valid_before_its_time() {
    let world = World::new().await;
    let nbf = |value: Value| with(world.claims(), "nbf", value);
    for good in [json!(0), json!(world.now()), json!(world.now() + 30)] {
        assert!(world.who(&nbf(good)).await.is_ok());
    }
    for early in [json!(world.now() + 31), json!(u64::MAX)] {
        assert_eq!(world.who(&nbf(early)).await, Err(TokenError::NotYet));
    }
    for bad in [json!(null), json!("0"), json!(1e300)] {
        assert_eq!(world.who(&nbf(bad)).await, Err(TokenError::Malformed));
    }
}

#[tokio::test]
async fn a_runtimes_token_lives_for_at_most_a_day() {
    let world = World::new().await;
    let day = 24 * 3600;
    let exp = |claims: Value, seconds: i64| with(claims, "exp", json!(world.now() + seconds));
    assert!(world.who(&exp(world.runtime_claims(), day + 30)).await.is_ok());
    assert_eq!(world.who(&exp(world.runtime_claims(), day + 31)).await, Err(TokenError::TooLongLived));
    let forever = with(world.runtime_claims(), "exp", json!(u64::MAX));
    assert_eq!(world.who(&forever).await, Err(TokenError::TooLongLived));
    assert!(world.who(&exp(world.claims(), 365 * day)).await.is_ok());
}

#[tokio::test]
async fn a_runtimes_token_is_narrowed_by_its_claims() {
    let world = World::new().await;
    let mut claims = world.runtime_claims();
    let principal = world.verify(&claims).await.unwrap().principal;
    let id = RuntimeId::parse("ada").unwrap();
    assert_eq!(principal, Principal::Runtime(id.clone(), Narrowing::default()));

    claims["vault:project"] = json!("p-1");
    claims["vault:agent"] = json!("a:1");
    claims["vault:milestone"] = json!("m#1");
    claims["vault:names"] = json!(["B", "A", "B"]);
    let narrowing = Narrowing {
        project: ProjectId::parse("p-1").ok(),
        agent: AgentId::parse("a:1").ok(),
        milestone: MilestoneId::parse("m#1").ok(),
        names: Some(["A", "B"].map(str::to_owned).into()),
    };
    assert_eq!(world.verify(&claims).await.unwrap().principal, Principal::Runtime(id.clone(), narrowing));

    // An empty list limits the token to no names at all.
    let claims = with(world.runtime_claims(), "vault:names", json!([]));
    let narrowing = Narrowing { names: Some(std::collections::BTreeSet::new()), ..Narrowing::default() };
    assert_eq!(world.verify(&claims).await.unwrap().principal, Principal::Runtime(id, narrowing));
}

#[tokio::test]
async fn a_malformed_narrowing_is_refused_for_runtimes_and_nowhere_else() {
    let world = World::new().await;
    let long = json!("p".repeat(201));
    let ids = [json!(null), json!(1), json!(["p"]), json!({}), json!(true), json!(""), json!("a b"), long];
    let names = [json!(null), json!("A"), json!([1]), json!(["A", null]), json!({}), json!(false)];
    let bad = ["vault:project", "vault:agent", "vault:milestone"]
        .into_iter()
        .flat_map(|claim| ids.iter().map(move |value| (claim, value)))
        .chain(names.iter().map(|value| ("vault:names", value)));
    for (claim, value) in bad {
        let runtime = with(world.runtime_claims(), claim, value.clone());
        assert_eq!(world.who(&runtime).await, Err(TokenError::Narrowing), "{claim}: {value}");
        for aud in ["project-vault", "project-vault-service"] {
            assert!(world.who(&with(runtime.clone(), "aud", json!(aud))).await.is_ok(), "{claim}: {value}");
        }
    }
}

#[tokio::test]
async fn a_claim_that_is_there_twice_is_refused() {
    let world = World::new().await;
    let json = world.claims().to_string();
    for twice in [r#""sub":"eve""#, r#""aud":"project-vault-service""#, r#""exp":9999999999"#, r#""iss":"x""#] {
        let claims = format!("{{{twice},{}", json.strip_prefix('{').unwrap());
        let header = URL_SAFE_NO_PAD.encode(world.main.header().to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &world.main.key, world.main.alg).unwrap();
        let token = format!("{message}.{signature}");
        assert_eq!(world.verifier.verify(&token).await, Err(TokenError::Malformed), "{twice}");
    }
}
