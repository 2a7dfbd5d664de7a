//! Where traces are sent, and which.

use crate::domain::is_loopback_host;
use http::HeaderMap;
use reqwest::Url;

/// The path of traces at a collector, below its address.
const PATH: [&str; 2] = ["v1", "traces"];

/// The address of a collector that takes OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(Url);

impl CollectorUrl {
    /// Validates a collector's base address; traces go to `v1/traces` below it. With `has_headers`, it
    /// has to be https, or http on loopback: they may hold a token.
    ///
    /// # Errors
    /// Why traces are not sent there, and what to give instead.
    pub fn parse(text: &str, has_headers: bool) -> Result<Self, &'static str> {
        const FORM: &str = "is not an address; write one such as http://127.0.0.1:4318";
        let mut url = Url::parse(text).map_err(|_| FORM)?;
        let is_loopback = is_loopback_host(url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?);
        match url.scheme() {
            "https" => {}
            "http" if is_loopback || !has_headers => {}
            "http" => return Err("is not https, and the headers may hold a token; use https, or http on loopback"),
            _ => return Err(FORM),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user name or password; give a header in OTEL_EXPORTER_OTLP_HEADERS");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query or fragment; give the address without it");
        }
        url.path_segments_mut().map_err(|()| FORM)?.pop_if_empty().extend(PATH);
        Ok(Self(url))
    }

    /// The address that traces are sent to.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

/// Which traces are exported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Whether the caller's flag decides for a trace that is continued.
    pub follows_caller: bool,
    /// The share of all other traces, from 0 to 1.
    pub share: f64,
}

/// How traces are exported.
#[derive(Clone)]
pub struct OtlpConfig {
    /// The collector's address.
    pub collector: CollectorUrl,
    /// Headers of every request to it, such as a token's. Their values are marked as sensitive.
    pub headers: HeaderMap,
    /// The attribute `service.name`.
    pub service_name: String,
    /// More attributes of this server, such as `deployment.environment.name`.
    pub resource: Vec<(String, String)>,
    /// Which traces are exported.
    pub sampling: Sampling,
}
