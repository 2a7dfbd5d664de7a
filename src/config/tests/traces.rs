//! The settings of traces.

use super::*;

#[test]
fn traces_need_a_collector_and_keep_its_headers_from_the_network() {
    let mut given = Given::good();
    // Other programs of a machine may have these.
    given.server.otlp_sampler = os("jaeger_remote");
    given.server.otlp_protocol = os("grpc");
    assert!(given.read().ok().unwrap().server.traces.is_none());
    given.server.otlp_endpoint = os("http://collector:4318");
    given.server.otlp_sampler_arg = os("2");
    given.server.otlp_resource_attributes = os("no pair");
    given.secrets.otlp_headers = os("authorization=Bearer hunter2\u{7f}");
    let all = [
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_TRACES_SAMPLER",
    ];
    assert_eq!(given.settings(), all);
    assert!(!given.problems().concat().contains("hunter2"));

    given.server.otlp_protocol = os("http/protobuf");
    given.server.otlp_sampler = os("parentbased_traceidratio");
    given.server.otlp_resource_attributes = os("a=1, b=%2C");
    given.secrets.otlp_headers = None;
    assert_eq!(given.settings(), ["OTEL_TRACES_SAMPLER_ARG"]);
    given.server.otlp_sampler_arg = os("0.25");
    let traces = given.read().ok().unwrap().server.traces.unwrap();
    assert_eq!(traces.sampling, crate::trace::Sampling { follows_caller: true, share: 0.25 });
    assert_eq!(traces.resource, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), ",".to_owned())]);
    assert_eq!((traces.service_name.as_str(), traces.headers.len()), ("project-vault", 0));

    given.secrets.otlp_headers = os("Authorization=Bearer%20hunter2");
    assert_eq!(given.settings(), ["OTEL_EXPORTER_OTLP_ENDPOINT"], "the network would see the token");
    for good in ["http://127.0.0.1:4318", "https://collector.example/otlp/"] {
        given.server.otlp_endpoint = os(good);
        let traces = given.read().ok().unwrap().server.traces.unwrap();
        assert_eq!(traces.headers["authorization"], "Bearer hunter2");
        assert!(!format!("{:?}", traces.headers).contains("hunter2"));
    }
    for bad in ["collector:4318", "https://u:hunter2@collector", "https://collector/?key=hunter2", "grpc://collector"] {
        given.server.otlp_endpoint = os(bad);
        assert_eq!(given.settings(), ["OTEL_EXPORTER_OTLP_ENDPOINT"], "{bad}");
        assert!(!given.problems()[0].contains("hunter2"), "{bad}");
    }
}
