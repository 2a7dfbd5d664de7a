//! Federated tracing: which field took how long, for the gateway that asks for it with `apollo-federation-include-trace: ftv1`.
//! The answer's `extensions.ftv1` is a `Trace` of Apollo's `reports.proto`, base64 encoded.
//!
//! A trace holds the schema's names, the operation's response keys, indices, types and times, and of errors their code and place:
//! no value, no argument, and no message.

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo};
use async_graphql::{PathSegment, QueryPathNode, QueryPathSegment, ServerError, ServerResult, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The name under which the trace stands in the answer's extensions.
pub(super) const EXTENSION: &str = "ftv1";
/// A trace tells of so many fields at most, and says when there were more: lists in lists make many of few.
const MAX_FIELDS: usize = 20_000;
/// What stands for every error's message, as in the traces of Apollo's own servers.
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
    fields: Mutex<Vec<(Vec<Id>, Node)>>,
    more: AtomicBool,
}

impl Tracer {
    pub(super) fn begin() -> Self {
        Self(Arc::new(Begun {
            at: SystemTime::now(),
            instant: Instant::now(),
            fields: Mutex::default(),
            more: AtomicBool::new(false),
        }))
    }

    fn now(&self) -> u64 {
        nanoseconds(self.0.instant.elapsed())
    }

    fn field(&self, path: Vec<Id>, node: Node) {
        let mut fields = self.0.fields.lock().unwrap_or_else(PoisonError::into_inner);
        if fields.len() < MAX_FIELDS {
            fields.push((path, node));
        } else {
            self.0.more.store(true, Ordering::Relaxed);
        }
    }

    /// Ends the trace: the value of the extension. Errors are told at their paths, once they have their codes. With `step`, all
    /// times are rounded up to its multiples: of an answer that conceals something they would tell it.
    pub(super) fn finish(self, errors: &[ServerError], step: Option<Duration>) -> Value {
        let step = step.map_or(1, nanoseconds);
        let duration_ns = self.now().next_multiple_of(step);
        let fields = std::mem::take(&mut *self.0.fields.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tree = Tree::default();
        for (path, node) in fields {
            let place = tree.place(&path);
            let placed = &mut tree.nodes[place].0;
            let (start_time, end_time) = (node.start_time.next_multiple_of(step), node.end_time.next_multiple_of(step));
            *placed = Node { id: placed.id.take(), start_time, end_time, ..node };
        }
        for error in errors {
            tree.error(error);
        }
        let trace = proto::Trace {
            start_time: Some(timestamp(self.0.at)),
            end_time: Some(timestamp(self.0.at + Duration::from_nanos(duration_ns))),
            duration_ns,
            root: Some(tree.take(0)),
            is_incomplete: self.0.more.load(Ordering::Relaxed),
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
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![(Node::default(), Vec::new())], children: HashMap::new() }
    }
}

impl Tree {
    /// The node of this path; it and those above it are made where they are missing.
    fn place(&mut self, path: &[Id]) -> usize {
        path.iter().fold(0, |parent, id| {
            let key = (parent, id.clone());
            if let Some(known) = self.children.get(&key) {
                return *known;
            }
            let place = self.nodes.len();
            self.nodes.push((Node { id: Some(id.clone()), ..Node::default() }, Vec::new()));
            self.nodes[parent].1.push(place);
            self.children.insert(key, place);
            place
        })
    }

    fn error(&mut self, error: &ServerError) {
        let path: Vec<Id> = error
            .path
            .iter()
            .map(|segment| match segment {
                PathSegment::Field(name) => Id::ResponseName(name.clone()),
                PathSegment::Index(at) => index(*at),
            })
            .collect();
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        let json = serde_json::json!({ "message": MASKED, "extensions": { "code": code } });
        let location = error.locations.iter().map(|place| proto::Location {
            line: u32::try_from(place.line).unwrap_or(u32::MAX),
            column: u32::try_from(place.column).unwrap_or(u32::MAX),
        });
        let place = self.place(&path);
        self.nodes[place].0.error.push(proto::Error {
            message: MASKED.to_owned(),
            location: location.collect(),
            json: json.to_string(),
        });
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
        tracer.field(path, node);
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
    fn a_trace_of_too_many_fields_is_cut_off_and_says_so() {
        for (fields, incomplete) in [(MAX_FIELDS, false), (MAX_FIELDS + 1, true)] {
            let tracer = Tracer::begin();
            for at in 0..fields {
                let path = vec![Id::ResponseName("list".to_owned()), index(at), Id::ResponseName("id".to_owned())];
                tracer.field(path, Node::default());
            }
            let trace = decoded(tracer.finish(&[], None));
            assert_eq!(trace.is_incomplete, incomplete);
            assert_eq!(trace.root.unwrap().child[0].child.len(), MAX_FIELDS);
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
