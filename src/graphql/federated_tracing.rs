//! Federated tracing: which field took how long, for the gateway that asks for it with
//! `apollo-federation-include-trace: ftv1`. The answer's `extensions.ftv1` is a `Trace` of Apollo's
//! `reports.proto`, base64 encoded.
//!
//! A trace holds the schema's names, the operation's response keys, indices, types and times, and
//! of errors their code and place: no value, no argument, and no message.

use super::Estimate;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo};
use async_graphql::{PathSegment, QueryPathNode, QueryPathSegment, ServerError, ServerResult, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Mutex, MutexGuard};
use prost::Message as _;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The name under which the trace stands in the answer's extensions.
pub(super) const EXTENSION: &str = "ftv1";
/// The bytes of the largest trace, before base64. A trace that would be longer leaves out the rest
/// and says so: lists in lists make many fields of few, and an alias stands in the trace of each.
const MAX_BYTES: usize = 3 * 1024 * 1024 / 2;
/// Maximum number of bytes of a node beside its names: its times, its index, and their tags and
/// lengths.
const NODE: usize = 40;
/// The longest names of types and fields of a schema, at most, of one field.
const NAMES: u64 = 120;
/// The text in place of every error's message, as in the traces of Apollo's own servers.
const MASKED: &str = "<masked>";

/// The messages of Apollo's `reports.proto` that a subgraph's trace needs.
mod proto {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub seconds: i64,
        #[prost(int32, tag = "2")]
        pub nanos: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Trace {
        #[prost(message, optional, tag = "3")]
        pub end_time: Option<Timestamp>,
        #[prost(message, optional, tag = "4")]
        pub start_time: Option<Timestamp>,
        #[prost(uint64, tag = "11")]
        pub duration_ns: u64,
        #[prost(message, optional, tag = "14")]
        pub root: Option<Node>,
        #[prost(bool, tag = "33")]
        pub is_incomplete: bool,
    }

    #[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
    pub(super) enum Id {
        #[prost(string, tag = "1")]
        ResponseName(String),
        #[prost(uint32, tag = "2")]
        Index(u32),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Node {
        #[prost(oneof = "Id", tags = "1, 2")]
        pub id: Option<Id>,
        /// The type of a field's value.
        #[prost(string, tag = "3")]
        pub r#type: String,
        /// In nanoseconds since the trace's start.
        #[prost(uint64, tag = "8")]
        pub start_time: u64,
        #[prost(uint64, tag = "9")]
        pub end_time: u64,
        #[prost(message, repeated, tag = "11")]
        pub error: Vec<Error>,
        #[prost(message, repeated, tag = "12")]
        pub child: Vec<Node>,
        #[prost(string, tag = "13")]
        pub parent_type: String,
        /// The field's name, where it has an alias.
        #[prost(string, tag = "14")]
        pub original_field_name: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Error {
        #[prost(string, tag = "1")]
        pub message: String,
        #[prost(message, repeated, tag = "2")]
        pub location: Vec<Location>,
        #[prost(string, tag = "4")]
        pub json: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Location {
        #[prost(uint32, tag = "1")]
        pub line: u32,
        #[prost(uint32, tag = "2")]
        pub column: u32,
    }
}

use proto::{Id, Node};

/// The trace of one operation. Cheap to clone.
#[derive(Clone)]
pub(super) struct Tracer(Arc<Begun>);

struct Begun {
    /// The wall clock's time, which only tells the gateway's operator when it was.
    at: SystemTime,
    instant: Instant,
    tree: Mutex<Tree>,
}

/// The bytes of an operation's trace, base64 encoded, at most.
pub(super) fn trace_length(of: Estimate) -> u64 {
    let nodes = of.fields.saturating_mul(2 * NODE as u64 + NAMES);
    of.bytes.saturating_add(nodes).min(MAX_BYTES as u64 + 4096) / 3 * 4
}

impl Tracer {
    pub(super) fn begin() -> Self {
        Self(Arc::new(Begun { at: SystemTime::now(), instant: Instant::now(), tree: Mutex::default() }))
    }

    fn now(&self) -> u64 {
        nanoseconds(self.0.instant.elapsed())
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.tree.lock()
    }

    /// Ends the trace: the value of the extension. Errors are told at their paths, once they have
    /// their codes. With `step`, all times are rounded up to its multiples: in an answer that
    /// conceals something they would tell it.
    pub(super) fn finish(self, errors: &[ServerError], step: Option<Duration>) -> Value {
        let step = step.map_or(1, nanoseconds);
        let duration_ns = self.now().next_multiple_of(step);
        let mut tree = std::mem::take(&mut *self.tree());
        for (node, _) in &mut tree.nodes {
            node.start_time = node.start_time.checked_next_multiple_of(step).unwrap_or(u64::MAX);
            node.end_time = node.end_time.checked_next_multiple_of(step).unwrap_or(u64::MAX);
        }
        for error in errors {
            tree.error(error);
        }
        let trace = proto::Trace {
            start_time: Some(timestamp(self.0.at)),
            end_time: Some(timestamp(self.0.at + Duration::from_nanos(duration_ns))),
            duration_ns,
            root: Some(tree.take(0)),
            is_incomplete: tree.full,
        };
        Value::String(STANDARD.encode(trace.encode_to_vec()))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn timestamp(at: SystemTime) -> proto::Timestamp {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    proto::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    }
}

fn index(index: usize) -> Id {
    Id::Index(u32::try_from(index).unwrap_or(u32::MAX))
}

fn path(mut node: &QueryPathNode<'_>) -> Vec<Id> {
    let mut path = Vec::new();
    loop {
        path.push(match node.segment {
            QueryPathSegment::Name(name) => Id::ResponseName(name.to_owned()),
            QueryPathSegment::Index(at) => index(at),
        });
        match node.parent {
            Some(parent) => node = parent,
            None => break,
        }
    }
    path.reverse();
    path
}

/// The nodes as a tree, whose root is the first.
struct Tree {
    nodes: Vec<(Node, Vec<usize>)>,
    children: HashMap<(usize, Id), usize>,
    bytes: usize,
    /// Whether something was left out.
    full: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![(Node::default(), Vec::new())], children: HashMap::new(), bytes: 0, full: false }
    }
}

impl Tree {
    /// Takes this many of the trace's bytes; none are left once it is full.
    fn take_bytes(&mut self, bytes: usize) -> Option<()> {
        self.full |= self.bytes + bytes > MAX_BYTES;
        (!self.full).then(|| self.bytes += bytes)
    }

    /// The node of this path; it and those above it are made where they are missing. None when the
    /// trace is full.
    fn place(&mut self, path: impl IntoIterator<Item = Id>) -> Option<usize> {
        path.into_iter().try_fold(0, |parent, id| {
            let name = match &id {
                Id::ResponseName(name) => name.len(),
                Id::Index(_) => 0,
            };
            let key = (parent, id);
            if let Some(known) = self.children.get(&key) {
                return Some(*known);
            }
            self.take_bytes(name + NODE)?;
            let place = self.nodes.len();
            self.nodes.push((Node { id: Some(key.1.clone()), ..Node::default() }, Vec::new()));
            self.nodes[parent].1.push(place);
            self.children.insert(key, place);
            Some(place)
        })
    }

    fn field(&mut self, path: Vec<Id>, node: Node) {
        let names = node.r#type.len() + node.parent_type.len() + node.original_field_name.len();
        let Some(place) = self.place(path) else { return };
        if self.take_bytes(names).is_some() {
            let placed = &mut self.nodes[place].0;
            *placed = Node { id: placed.id.take(), ..node };
        }
    }

    fn error(&mut self, error: &ServerError) {
        let path = error.path.iter().map(|segment| match segment {
            PathSegment::Field(name) => Id::ResponseName(name.clone()),
            PathSegment::Index(at) => index(*at),
        });
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        let json = serde_json::json!({ "message": MASKED, "extensions": { "code": code } }).to_string();
        let location = error.locations.iter().map(|place| proto::Location {
            line: u32::try_from(place.line).unwrap_or(u32::MAX),
            column: u32::try_from(place.column).unwrap_or(u32::MAX),
        });
        let Some(place) = self.place(path) else { return };
        if self.take_bytes(json.len() + 2 * NODE).is_some() {
            let message = MASKED.to_owned();
            self.nodes[place].0.error.push(proto::Error { message, location: location.collect(), json });
        }
    }

    /// The node with all that is below it. A document nests no deeper than the vault lets it.
    fn take(&mut self, place: usize) -> Node {
        let (node, children) = std::mem::take(&mut self.nodes[place]);
        Node { child: children.into_iter().map(|child| self.take(child)).collect(), ..node }
    }
}

/// Notes when each field's resolver begins and ends, in the request's [`Tracer`].
pub(super) struct FederatedTracing;

impl ExtensionFactory for FederatedTracing {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for FederatedTracing {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let is_field = matches!(info.path_node.segment, QueryPathSegment::Name(_)) && !info.is_for_introspection;
        let Some(tracer) = ctx.data_opt::<Tracer>().filter(|_| is_field) else { return next.run(ctx, info).await };
        let path = path(info.path_node);
        let mut node = Node {
            r#type: info.return_type.to_owned(),
            parent_type: info.parent_type.to_owned(),
            original_field_name: info.alias.map(|_| info.name.to_owned()).unwrap_or_default(),
            start_time: tracer.now(),
            ..Node::default()
        };
        let resolved = next.run(ctx, info).await;
        node.end_time = tracer.now();
        tracer.tree().field(path, node);
        resolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(value: Value) -> proto::Trace {
        let Value::String(text) = value else { panic!("{value:?}") };
        proto::Trace::decode(&*STANDARD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn a_trace_that_would_be_too_long_is_cut_off_and_says_so() {
        for alias in [1, 200] {
            let mut complete = 0;
            for (fields, incomplete) in [(2_000, false), (60_000, true)] {
                let tracer = Tracer::begin();
                for at in 0..fields {
                    let key = Id::ResponseName("a".repeat(alias));
                    let node = Node { r#type: "String!".to_owned(), end_time: u64::MAX, ..Node::default() };
                    tracer.tree().field(vec![Id::ResponseName("list".to_owned()), index(at), key], node);
                }
                for at in 0..fields {
                    let mut error = ServerError::new("sk-live-0123456789", None);
                    error.path = vec![PathSegment::Field("list".to_owned()), PathSegment::Index(at)];
                    tracer.tree().error(&error);
                }
                let value = tracer.finish(&[], None);
                let Value::String(text) = &value else { panic!() };
                assert!(text.len() <= MAX_BYTES / 3 * 4 + 4096, "{}", text.len());
                let trace = decoded(value);
                assert_eq!(trace.is_incomplete, incomplete);
                let told = trace.root.unwrap().child[0].child.len();
                assert!(if incomplete { told > complete } else { told == fields }, "{told}");
                complete = told;
            }
        }
    }

    #[test]
    fn a_trace_is_no_longer_than_expected() {
        for (names, fields) in [(10, 100), (200, 100), (200, 10_000)] {
            let tracer = Tracer::begin();
            let mut bytes = 0;
            for at in 0..fields {
                let key = "a".repeat(names);
                bytes += key.len();
                let node = Node {
                    r#type: "T".repeat(40),
                    parent_type: "T".repeat(40),
                    start_time: u64::MAX,
                    ..Node::default()
                };
                tracer.tree().field(vec![index(at), Id::ResponseName(key)], node);
            }
            let Value::String(text) = tracer.finish(&[], None) else { panic!() };
            let expected = trace_length(Estimate { bytes: bytes as u64, fields: fields as u64, lists: 0 });
            assert!(text.len() as u64 <= expected, "{} > {expected}", text.len());
        }
    }

    #[test]
    fn an_error_without_a_path_is_the_operations_own() {
        let error = ServerError::new("sk-live-0123456789", None);
        let root = decoded(Tracer::begin().finish(&[error], None)).root.unwrap();
        assert_eq!(root.error[0].message, MASKED);
        assert_eq!(root.error[0].json, r#"{"extensions":{"code":null},"message":"<masked>"}"#);
    }
}
