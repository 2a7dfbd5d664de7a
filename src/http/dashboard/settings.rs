//! What the dashboard talks to, and how people sign in to it.

use crate::domain::Clock;
use crate::http::tokens::{Signer, trustworthy_url};
use serde::Serialize;
use std::sync::Arc;

/// The dashboard of a server.
#[derive(Clone)]
pub struct Dashboard {
    /// The gateway that the page talks to, instead of this server's own `/graphql`.
    pub graphql: Option<PageUrl>,
    /// How people sign in.
    pub sign_in: SignIn,
}

/// How people sign in to the dashboard.
#[derive(Clone)]
pub enum SignIn {
    /// By choosing one of the people of a `dev` vault.
    People(Arc<PeopleSignIn>),
    /// At an OpenID provider, by the authorization code flow with PKCE.
    Oidc(OidcClient),
    /// By pasting a token.
    Token,
}

/// The people of a `dev` vault, and what signs their tokens.
pub struct PeopleSignIn {
    /// The people who can sign in. If empty, nobody signs in by name.
    pub people: Vec<Person>,
    /// Signs their tokens.
    pub signer: Signer,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The time of the tokens.
    pub clock: Arc<dyn Clock>,
}

/// One of the people of a `dev` vault.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    /// The id, the `sub` of the person's tokens.
    pub id: &'static str,
    /// What the person may do, in a few words.
    pub about: &'static str,
}

/// The dashboard as a public client of an OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcClient {
    /// The provider's `iss`, at which the page finds its endpoints (OpenID Connect Discovery).
    pub issuer: String,
    /// The client's id at the provider. It has no secret.
    pub client_id: String,
    /// The scopes that are asked for, separated by spaces.
    pub scope: String,
    /// Where else the provider has endpoints that the page calls, besides the issuer's origin.
    pub origins: Vec<PageUrl>,
}

/// An address that the page calls: `https`, or `http` on this machine, without a user's name,
/// password or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageUrl {
    url: String,
    origin: String,
}

impl PageUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = trustworthy_url(text)?;
        if url.fragment().is_some() {
            return Err("must not have a fragment");
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url: url.into(), origin })
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether the address is that of an origin alone, such as `https://id.example`.
    #[must_use]
    pub fn is_origin(&self) -> bool {
        self.url.trim_end_matches('/') == self.origin
    }
}

impl Dashboard {
    /// The origins besides its own that the page calls.
    pub(super) fn foreign_origins(&self) -> Vec<String> {
        let gateway = self.graphql.iter().map(|url| url.origin.clone());
        let provider = match &self.sign_in {
            SignIn::Oidc(client) => {
                let issuer = PageUrl::parse(&client.issuer).into_iter();
                issuer.chain(client.origins.iter().cloned()).map(|url| url.origin).collect()
            }
            SignIn::People(_) | SignIn::Token => Vec::new(),
        };
        gateway.chain(provider).collect()
    }
}
