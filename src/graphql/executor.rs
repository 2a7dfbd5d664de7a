//! A schema that executes requests, traced or not. Tracing a request costs something for each of its fields, so the tracing is in
//! a second build of the schema, which is made when the first request asks for it; the others do not pass by it at all.

use super::federated_tracing::FederatedTracing;
use async_graphql::{EmptySubscription, ObjectType, Request, Response, SchemaBuilder};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::sync::{Arc, LazyLock};

type Execute = Box<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;
type Traced = LazyLock<Execute, Box<dyn FnOnce() -> Execute + Send>>;

/// Executes requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Executor(Arc<Schemas>);

struct Schemas {
    plain: Execute,
    traced: Traced,
}

impl Executor {
    pub(super) fn new<Q, M>(build: fn() -> SchemaBuilder<Q, M, EmptySubscription>) -> Self
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
    {
        let traced = move || execute(build().extension(FederatedTracing));
        Self(Arc::new(Schemas { plain: execute(build()), traced: LazyLock::new(Box::new(traced)) }))
    }

    pub(super) async fn execute(&self, request: Request, traced: bool) -> Response {
        let execute = if traced { &*self.0.traced } else { &self.0.plain };
        execute(request).await
    }
}

fn execute<Q, M>(builder: SchemaBuilder<Q, M, EmptySubscription>) -> Execute
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
{
    let schema = builder.finish();
    Box::new(move |request| {
        let schema = schema.clone();
        async move { schema.execute(request).await }.boxed()
    })
}
