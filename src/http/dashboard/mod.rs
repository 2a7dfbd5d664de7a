//! The dashboard: a page for people, served from files in the program. The page talks to `/graphql`
//! or a gateway as any other client does; nothing here reads the vault.
//!
//! `settings` says what the page talks to and how people sign in, `assets` holds its files, and
//! `sign_in` gives the people of a `dev` vault tokens.

mod assets;
mod settings;
mod sign_in;

use self::assets::{Assets, asset};
pub use self::settings::{Dashboard, OidcClient, PageUrl, PeopleSignIn, Person, SignIn};
use self::sign_in::sign_in;
use super::budget::MemoryBudget;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;

/// The page.
pub(super) const PAGE: &str = "/";
/// A file of the page.
pub(super) const ASSET: &str = "/assets/{hash}/{*path}";
/// What the page has to know of this server.
pub(super) const CONFIG: &str = "/dashboard/config.json";
/// Where the people of a `dev` vault sign in.
pub(super) const SIGN_IN: &str = "/dashboard/sign-in";

/// The API that the page talks to unless it has a gateway.
const GRAPHQL: &str = "/graphql";
/// The keys of the vault's signed statements, with which the page verifies receipts.
pub(super) const KEYS: &str = "/.well-known/project-vault/jwks.json";

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The page and its configuration, as they are answered.
struct Page {
    html: Bytes,
    headers: HeaderMap,
    config: Bytes,
}

/// What the page reads first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageConfig<'a> {
    graphql: &'a str,
    version: &'a str,
    keys: &'a str,
    sign_in: SignInConfig<'a>,
}

/// How people sign in.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SignInConfig<'a> {
    /// By choosing one of these.
    People { people: &'a [Person] },
    /// At their OpenID provider.
    #[serde(rename_all = "camelCase")]
    Oidc { issuer: &'a str, client_id: &'a str, scope: &'a str, audience: &'static str },
    /// By pasting a token.
    Token,
}

/// The routes of the dashboard on a server that listens on `address`.
///
/// People sign in by name only on a loopback address, since whoever reaches it gets their tokens.
pub(super) fn routes(dashboard: &Dashboard, address: SocketAddr, requests: &MemoryBudget) -> Router {
    let people = match &dashboard.sign_in {
        SignIn::People(people) if address.ip().is_loopback() && !people.people.is_empty() => Some(people),
        SignIn::People(_) | SignIn::Oidc(_) | SignIn::Token => None,
    };
    let page = Arc::new(Page::new(dashboard, people));
    let routes = Router::new()
        .route(PAGE, get(html).with_state(page.clone()))
        .route(ASSET, get(asset))
        .route(CONFIG, get(config).with_state(page));
    match people {
        Some(people) => routes.route(SIGN_IN, post(sign_in).with_state((people.clone(), requests.clone()))),
        None => routes,
    }
}

impl Page {
    fn new(dashboard: &Dashboard, people: Option<&Arc<PeopleSignIn>>) -> Self {
        let sign_in = match (&dashboard.sign_in, people) {
            (_, Some(people)) => SignInConfig::People { people: &people.people },
            (SignIn::Oidc(client), None) => SignInConfig::Oidc {
                issuer: &client.issuer,
                client_id: &client.client_id,
                scope: &client.scope,
                audience: crate::domain::TokenKind::User.audience(),
            },
            (SignIn::People(_) | SignIn::Token, None) => SignInConfig::Token,
        };
        let graphql = dashboard.graphql.as_ref().map_or(GRAPHQL, PageUrl::as_str);
        let config = PageConfig { graphql, version: env!("CARGO_PKG_VERSION"), keys: KEYS, sign_in };
        Self {
            html: Assets::all().page(),
            headers: page_headers(dashboard),
            // Serializing cannot fail: all keys are strings, and no type in it returns an error.
            config: serde_json::to_vec(&config).unwrap_or_default().into(),
        }
    }
}

/// The headers of the page. Its scripts are its own files, write no HTML from text, and reach no
/// origin but those that the settings name. No other page can embed or open it with a handle to it.
fn page_headers(dashboard: &Dashboard) -> HeaderMap {
    let mut origins: Vec<String> = dashboard.foreign_origins();
    origins.sort();
    origins.dedup();
    let origins: String = origins.iter().map(|origin| format!(" {origin}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'{origins}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    // An origin is ASCII, so this cannot fail; the fallback lets the page load nothing.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (PERMISSIONS_POLICY, HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()")),
        (OPENER_POLICY, HeaderValue::from_static("same-origin")),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ])
}

/// Answers with the page.
async fn html(State(page): State<Arc<Page>>) -> Response {
    (page.headers.clone(), page.html.clone()).into_response()
}

/// Answers with the page's configuration.
async fn config(State(page): State<Arc<Page>>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, page.config.clone()).into_response()
}
