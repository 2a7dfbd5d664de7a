//! The settings of the dashboard.

use super::*;
use crate::http::dashboard::SignIn;

#[test]
fn people_paste_a_token_into_the_dashboard_unless_they_have_a_provider() {
    let given = Given::good();
    let dashboard = given.read().ok().unwrap().server.dashboard.unwrap();
    assert!(dashboard.graphql.is_none() && matches!(dashboard.sign_in, SignIn::Token));

    let mut given = Given::good();
    given.server.dashboard.dashboard_graphql_url = os("https://gateway.example/graphql");
    given.server.oidc.oidc_client_id = os("vault-dashboard");
    let dashboard = given.read().ok().unwrap().server.dashboard.unwrap();
    assert_eq!(dashboard.graphql.unwrap().as_str(), "https://gateway.example/graphql");
    let SignIn::Oidc(client) = dashboard.sign_in else { panic!("people sign in at their provider") };
    assert_eq!((client.issuer.as_str(), client.client_id.as_str()), ("https://id.example", "vault-dashboard"));
    assert_eq!((client.scope.as_str(), client.origins.len()), ("openid profile", 0));

    given.server.dashboard.dashboard = os("off");
    assert!(given.read().ok().unwrap().server.dashboard.is_none());
    given.server.oidc.oidc_scope = os("profile");
    assert_eq!(given.settings(), ["VAULT_OIDC_SCOPE"], "what is off is checked all the same");
}

#[test]
fn every_setting_of_the_dashboard_is_checked() {
    let mut given = Given::good();
    given.server.dashboard.dashboard = os("yes");
    given.server.dashboard.dashboard_graphql_url = os("http://gateway.example/graphql");
    given.server.oidc.oidc_issuer = os("https://id.example");
    given.server.oidc.oidc_scope = os("openid");
    given.server.oidc.oidc_origins = os("https://a.example https://b.example/path");
    assert_eq!(
        given.settings(),
        [
            "VAULT_DASHBOARD",
            "VAULT_DASHBOARD_GRAPHQL_URL",
            "VAULT_OIDC_ORIGINS",
            "VAULT_OIDC_ISSUER",
            "VAULT_OIDC_SCOPE",
            "VAULT_OIDC_ORIGINS"
        ]
    );

    let mut given = Given::good();
    given.server.oidc.oidc_client_id = os("vault-dashboard");
    given.server.jwt_issuer = os("our-issuer");
    assert_eq!(given.settings(), ["VAULT_OIDC_CLIENT_ID"], "an iss that is no address has no endpoints");
    given.server.oidc.oidc_issuer = os("https://id.example");
    assert_eq!(given.settings(), ["VAULT_OIDC_ISSUER"], "it is no trusted issuer's");
}

#[test]
fn of_several_issuers_one_is_where_people_sign_in() {
    let issuers = |of_the_second: &str| {
        format!(
            "[[issuer]]\niss = \"https://a.example\"\njwks_url = \"https://a.example/jwks\"\nkinds = [\"user\"]\n\
             [[issuer]]\niss = \"https://b.example\"\njwks_url = \"https://b.example/jwks\"\nkinds = [{of_the_second}]\n\
             subject_prefix = \"b:\"\n"
        )
    };
    let mut given = Given::good();
    (given.server.jwt_issuer, given.server.jwks_url) = (None, None);
    given.server.issuers_file = given.file("issuers.toml", &issuers("\"user\""));
    given.server.oidc.oidc_client_id = os("vault-dashboard");
    assert_eq!(given.settings(), ["VAULT_OIDC_ISSUER"]);
    let issuer = |given: &Given| match given.read().ok().unwrap().server.dashboard.unwrap().sign_in {
        SignIn::Oidc(client) => client.issuer,
        SignIn::People(_) | SignIn::Token => panic!("people sign in at their provider"),
    };
    given.server.oidc.oidc_issuer = os("https://b.example");
    assert_eq!(issuer(&given), "https://b.example");
    given.server.oidc.oidc_issuer = None;
    given.server.issuers_file = given.file("issuers.toml", &issuers("\"runtime\""));
    assert_eq!(issuer(&given), "https://a.example", "the only one that names people");
}
