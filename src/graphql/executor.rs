//! A schema that executes requests, traced or not. Tracing costs something for each field, so it is
//! in a second build of the schema, which is made for the first traced request. Other requests do
//! not pay for it.
//!
//! async-graphql answers `_service` before any resolver of ours runs, and renders the SDL each
//! time. Callers without a token may ask for it, so that must be cheap. Three paths answer it:
//!
//! - `{ _service { sdl } }`, which gateways send, gets bytes that all untraced responses share.
//! - Other selections of `_service` and `__typename` alone run on a schema that holds the rendered
//!   SDL.
//! - `_service` beside other fields is rendered by the whole schema. Without a token, only
//!   introspection may stand beside it, and only where it is on.

use super::document::{Introspected, WHOLE, json_length};
use super::federated_tracing::FederatedTracing;
use super::{EveryType, MAX_LEVELS};
use async_graphql::parser::types::BaseType;
use async_graphql::parser::types::VariableDefinition;
use async_graphql::{
    EmptyMutation, EmptySubscription, Object, ObjectType, Request, Response, SDLExportOptions, Schema, SchemaBuilder,
};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, LazyLock};
use tokio::sync::OnceCell;

type Execute = Box<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;
type Traced = LazyLock<Execute, Box<dyn FnOnce() -> Execute + Send>>;

/// Which build of the schema executes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// The whole schema.
    Plain,
    /// The same, with the times of its fields noted.
    Traced,
    /// Nothing but `_service` and `__typename`.
    Service,
}

/// Executes requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Executor(Arc<Schemas>);

struct Schemas {
    plain: Execute,
    traced: Traced,
    service: Execute,
    sdl_length: u64,
    sdl_answer: Bytes,
    introspected: OnceCell<Option<Introspected>>,
}

impl Executor {
    /// Executes the schema that `build` makes, and answers its SDL as `edit` returns it.
    pub(super) fn new<Q, M>(build: fn() -> SchemaBuilder<Q, M, EmptySubscription>, edit: fn(&str) -> String) -> Self
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
    {
        let schema = build().finish();
        let sdl: Arc<str> = edit(&sdl_of(&schema)).into();
        let sdl_answer = serde_json::json!({ "data": { "_service": { "sdl": &*sdl } } }).to_string();
        let sdl_length = json_length(&sdl);
        let service = Schema::build(ServiceRoot { sdl }, EmptyMutation, EmptySubscription)
            .disable_suggestions()
            .limit_recursive_depth(MAX_LEVELS)
            .finish();
        let traced = move || execute(build().extension(FederatedTracing).finish());
        Self(Arc::new(Schemas {
            plain: execute(schema),
            traced: LazyLock::new(Box::new(traced)),
            service: execute(service),
            sdl_length,
            sdl_answer: sdl_answer.into(),
            introspected: OnceCell::new(),
        }))
    }

    pub(super) async fn execute(&self, request: Request, build: Build) -> Response {
        let execute = match build {
            Build::Plain => &self.0.plain,
            Build::Traced => &*self.0.traced,
            Build::Service => &self.0.service,
        };
        execute(request).await
    }

    /// The bytes of the SDL as JSON.
    pub(super) fn sdl_length(&self) -> u64 {
        self.0.sdl_length
    }

    /// The answer to `{ _service { sdl } }`, which all requests share.
    pub(super) fn sdl_answer(&self) -> Bytes {
        self.0.sdl_answer.clone()
    }

    /// What the schema tells about itself, with what is hidden from most; none when it tells
    /// nothing.
    pub(super) async fn introspected(&self) -> Option<&Introspected> {
        let introspect = || async {
            let response = (self.0.plain)(Request::new(WHOLE).data(EveryType)).await;
            Introspected::of(&response.data).filter(|_| response.errors.is_empty())
        };
        self.0.introspected.get_or_init(introspect).await.as_ref()
    }
}

/// A schema's SDL, with what federation adds.
pub(super) fn sdl_of<Q, M>(schema: &Schema<Q, M, EmptySubscription>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
{
    schema.sdl_with_options(SDLExportOptions::new().federation().compose_directive())
}

fn execute<Q, M>(schema: Schema<Q, M, EmptySubscription>) -> Execute
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
{
    Box::new(move |request| {
        let schema = schema.clone();
        async move { schema.execute(request).await }.boxed()
    })
}

/// Whether the schema of the service knows a variable's type: it has the built-in scalars alone.
pub(super) fn is_built_in(variable: &VariableDefinition) -> bool {
    let BaseType::Named(name) = &variable.var_type.node.base else { return false };
    ["Boolean", "Float", "ID", "Int", "String"].contains(&name.as_str())
}

/// The root of a schema that tells another one's SDL.
struct ServiceRoot {
    sdl: Arc<str>,
}

/// Reads vaults, entries and audit events, and resolves secrets.
#[Object(name = "Query")]
impl ServiceRoot {
    #[graphql(name = "_service")]
    #[allow(clippy::used_underscore_items, reason = "the name is the specification's")]
    async fn service(&self) -> Service {
        Service { sdl: self.sdl.clone() }
    }
}

struct Service {
    sdl: Arc<str>,
}

/// The subgraph, as gateways ask about it.
#[Object(name = "_Service")]
impl Service {
    async fn sdl(&self) -> Option<&str> {
        Some(&self.sdl)
    }
}
