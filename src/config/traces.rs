//! Settings of traces, by the names that OpenTelemetry has for them.

use super::settings::{Secrets, ServerSettings};
use crate::command::SettingReader;
use crate::trace::{CollectorUrl, OtlpConfig, Sampling};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PAIRS: &str = "is not a list of NAME=VALUE with commas between them; percent-encode what else a value contains";
const SHARE: &str = "is not a number from 0 to 1, such as 0.05";
/// Maximum number of headers, and of attributes.
const MAX_PAIRS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    None,
    Given,
}

/// How traces are exported; none without a collector. The other settings are read only with one: other
/// programs of a machine may use them, too.
pub(super) fn read(reader: &mut SettingReader, settings: &ServerSettings, secrets: &Secrets) -> Option<OtlpConfig> {
    let endpoint = reader.text(ENDPOINT, settings.otlp_endpoint.as_ref())?;
    if !cfg!(feature = "otlp") {
        reader.problem(ENDPOINT, "is given, and this program is built without the feature otlp; leave it out");
    }
    // The protocol of collectors at port 4317, gRPC, is another one.
    let protocols = [("http/protobuf", ())];
    reader.choice(PROTOCOL, settings.otlp_protocol.as_ref(), &protocols);
    let headers = reader.secret(HEADERS, secrets.otlp_headers.as_ref(), settings.otlp_headers_file.as_ref());
    let headers = match headers.as_ref().map(|text| parse_headers(text.expose_secret())) {
        Some(None) => {
            reader.problem(HEADERS, PAIRS);
            None
        }
        Some(parsed) => parsed,
        None => Some(HeaderMap::new()),
    };
    let collector = CollectorUrl::parse(&endpoint, headers.as_ref().is_none_or(|headers| !headers.is_empty()));
    let collector = collector.inspect_err(|reason| reader.problem(ENDPOINT, reason)).ok();
    let service_name = reader.text("OTEL_SERVICE_NAME", settings.otlp_service_name.as_ref());
    let resource = reader.text(RESOURCE, settings.otlp_resource_attributes.as_ref());
    let resource = resource.map_or(Some(Vec::new()), |text| pairs(&text));
    if resource.is_none() {
        reader.problem(RESOURCE, PAIRS);
    }
    let sampling = sampling(reader, settings);
    Some(OtlpConfig {
        collector: collector?,
        headers: headers?,
        service_name: service_name.unwrap_or_else(|| "project-vault".to_owned()),
        resource: resource?,
        sampling,
    })
}

fn sampling(reader: &mut SettingReader, settings: &ServerSettings) -> Sampling {
    let words = [
        ("always_on", (false, Share::All)),
        ("always_off", (false, Share::None)),
        ("traceidratio", (false, Share::Given)),
        ("parentbased_always_on", (true, Share::All)),
        ("parentbased_always_off", (true, Share::None)),
        ("parentbased_traceidratio", (true, Share::Given)),
    ];
    let chosen = reader.choice(SAMPLER, settings.otlp_sampler.as_ref(), &words);
    let (follows_caller, share) = chosen.unwrap_or((true, Share::All));
    let share = match share {
        Share::All => 1.0,
        Share::None => 0.0,
        Share::Given => {
            let given: f64 = reader.parsed(SAMPLER_ARG, settings.otlp_sampler_arg.as_ref(), SHARE).unwrap_or(1.0);
            if !(0.0..=1.0).contains(&given) {
                reader.problem(SAMPLER_ARG, SHARE);
            }
            given
        }
    };
    Sampling { follows_caller, share }
}

fn parse_headers(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(text)? {
        let value = Zeroizing::new(value);
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(headers)
}

/// Reads `NAME=VALUE` with commas between them; values are percent-encoded. `None` for another form.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        pairs.push((name.trim().to_owned(), value.into_owned()));
    }
    (pairs.len() <= MAX_PAIRS && pairs.iter().all(|(name, _)| !name.is_empty())).then_some(pairs)
}
