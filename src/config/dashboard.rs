//! Settings of the dashboard: whether it is on, what it talks to, and how people sign in to it.

use super::settings::{DashboardSettings, OidcSettings, ServerSettings};
use crate::command::{Problems, SettingReader};
use crate::domain::TokenKind;
use crate::http::dashboard::{Dashboard, OidcClient, PageUrl, SignIn};
use crate::http::tokens::IssuerConfig;
use std::ffi::OsString;

const CLIENT_ID: &str = "VAULT_OIDC_CLIENT_ID";
const ISSUER: &str = "VAULT_OIDC_ISSUER";
const SCOPE: &str = "VAULT_OIDC_SCOPE";
const ORIGINS: &str = "VAULT_OIDC_ORIGINS";
/// What a provider must be asked for (OpenID Connect Core, section 3.1.2.1), and the person's name.
const DEFAULT_SCOPE: &str = "openid profile";

/// The dashboard of a `dev` vault, but for its people.
pub struct DevDashboard {
    /// The gateway that it talks to, instead of the server itself.
    pub graphql: Option<PageUrl>,
}

/// Validates the settings of the dashboard of a `dev` vault; `None` if it is off.
///
/// # Errors
/// Every setting that is wrong, and how to correct it.
pub fn dev_dashboard(settings: &DashboardSettings) -> Result<Option<DevDashboard>, Problems> {
    let mut reader = SettingReader::default();
    let (is_on, graphql) = read_common(&mut reader, settings);
    reader.finish(Some(is_on.then_some(DevDashboard { graphql })))
}

/// The dashboard of a server that trusts these issuers, if they are known; `None` if it is off. Its
/// other settings are validated all the same.
pub(super) fn read(
    reader: &mut SettingReader,
    settings: &ServerSettings,
    issuers: Option<&[IssuerConfig]>,
) -> Option<Dashboard> {
    let (is_on, graphql) = read_common(reader, &settings.dashboard);
    let sign_in = oidc(reader, &settings.oidc, issuers).map_or(SignIn::Token, SignIn::Oidc);
    is_on.then_some(Dashboard { graphql, sign_in })
}

fn read_common(reader: &mut SettingReader, settings: &DashboardSettings) -> (bool, Option<PageUrl>) {
    const GRAPHQL_URL: &str = "VAULT_DASHBOARD_GRAPHQL_URL";
    let words = [("on", true), ("off", false)];
    let is_on = reader.choice("VAULT_DASHBOARD", settings.dashboard.as_ref(), &words).unwrap_or(true);
    let url = reader.text(GRAPHQL_URL, settings.dashboard_graphql_url.as_ref());
    let url = url.and_then(|url| PageUrl::parse(&url).map_err(|reason| reader.problem(GRAPHQL_URL, reason)).ok());
    (is_on, url)
}

/// The provider. Each of its settings needs the client's id.
fn oidc(reader: &mut SettingReader, settings: &OidcSettings, issuers: Option<&[IssuerConfig]>) -> Option<OidcClient> {
    let client_id = reader.text(CLIENT_ID, settings.oidc_client_id.as_ref());
    let issuer = reader.text(ISSUER, settings.oidc_issuer.as_ref());
    let scope = reader.text(SCOPE, settings.oidc_scope.as_ref());
    let origins = origins(reader, settings.oidc_origins.as_ref());
    let Some(client_id) = client_id else {
        for (setting, given) in [(ISSUER, issuer.is_some()), (SCOPE, scope.is_some()), (ORIGINS, !origins.is_empty())] {
            if given {
                reader
                    .problem(setting, format_args!("is given, and {CLIENT_ID} is not; give the dashboard's client id"));
            }
        }
        return None;
    };
    let scope = scope.unwrap_or_else(|| DEFAULT_SCOPE.to_owned());
    if !scope.split(' ').any(|name| name == "openid") {
        reader.problem(SCOPE, "does not have openid; add it, separated by spaces");
    }
    let issuer = provider(reader, issuer, issuers?)?;
    Some(OidcClient { issuer, client_id, scope, origins })
}

/// The `iss` of the provider, which must be an issuer of people and an address.
fn provider(reader: &mut SettingReader, given: Option<String>, issuers: &[IssuerConfig]) -> Option<String> {
    let mut of_people = issuers.iter().filter(|issuer| issuer.kinds.contains(&TokenKind::User));
    let (setting, issuer) = match given {
        Some(given) => {
            if !of_people.any(|issuer| issuer.iss == given) {
                reader.problem(ISSUER, "is not the iss of a trusted issuer of people; write it as it is there");
                return None;
            }
            (ISSUER, given)
        }
        None => match (of_people.next(), of_people.next()) {
            (Some(only), None) => (CLIENT_ID, only.iss.clone()),
            (None, _) => {
                reader.problem(CLIENT_ID, "is given, and no trusted issuer may issue tokens for people");
                return None;
            }
            (Some(_), Some(_)) => {
                reader.problem(ISSUER, "is missing; give the iss of the issuer at which people sign in");
                return None;
            }
        },
    };
    match PageUrl::parse(&issuer) {
        Ok(_) => Some(issuer),
        Err(reason) => {
            reader.problem(setting, format_args!("the issuer's iss, by which its endpoints are found, {reason}"));
            None
        }
    }
}

fn origins(reader: &mut SettingReader, given: Option<&OsString>) -> Vec<PageUrl> {
    let text = reader.text(ORIGINS, given).unwrap_or_default();
    let read = text.split_whitespace().filter_map(|origin| match PageUrl::parse(origin) {
        Ok(url) if url.is_origin() => Some(url),
        Ok(_) => {
            reader.problem(ORIGINS, "holds an address with a path; write origins, such as https://token.id.example");
            None
        }
        Err(reason) => {
            reader.problem(ORIGINS, format_args!("holds an address that {reason}"));
            None
        }
    });
    read.collect()
}
