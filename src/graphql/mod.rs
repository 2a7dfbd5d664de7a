//! The GraphQL schema: turns what the vault says into the types of `schema.graphql`. No rule of the
//! product stands here; which permission a field needs stands in `permissions`.

mod answer;
mod audit;
mod connections;
mod document;
mod entities;
mod entry;
mod error;
mod executor;
mod federated_tracing;
mod inputs;
mod installation;
mod integers;
mod loaders;
mod measures;
mod mutation;
mod pacing;
mod payloads;
mod permissions;
mod platform;
mod project;
mod query;
mod references;
mod resolving;
mod rounds;
mod scalars;

pub use document::{Circumstances, DocumentError, Estimate, Inspected, Introspected, MAX_LEVELS, inspect};
pub use pacing::Concealment;

use crate::domain::{ErrorCode, Principal, RequestId};
use crate::trace::ExportedSpan;
use crate::vault::{Caller, Vault};
use async_graphql::parser::types::{BaseType, OperationType, Type};
use async_graphql::registry::Registry;
use async_graphql::{
    Context, EmptySubscription, IntrospectionMode, MergedObject, ObjectType, Request, Response, Schema, SchemaBuilder,
    ServerError, Value, Variables,
};
use bytes::Bytes;
use document::{RememberedDocuments, json_length};
use entities::{Begun, Root};
use executor::{Build, Executor, is_built_in, sdl_of};
use federated_tracing::{EXTENSION, Tracer, trace_length};
use integers::Integers;
use loaders::RequestContext;
use measures::UserErrors;
pub use measures::{count_secret, declare_metrics, error_code};
use mutation::ByPeople;
use platform::ByPlatform;
use query::Query;
use rounds::{PendingLoads, run_with_loads};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::time::Instant;

/// Changes to vaults. Each answers null with an error when the caller may not make it.
#[derive(MergedObject, Default)]
struct Mutation(ByPeople, ByPlatform);

fn build() -> SchemaBuilder<Root, Mutation, EmptySubscription> {
    Schema::build(Root(Query), Mutation::default(), EmptySubscription)
        .enable_federation()
        // Suggestions would name what is hidden.
        .disable_suggestions()
        .limit_recursive_depth(MAX_LEVELS)
}

/// The subgraph's SDL: the content of `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    sdl_of(&build().finish())
}

/// Marks the request that reads the whole schema, with what is hidden from most callers, to measure
/// introspection by it.
struct EveryType;

/// Whether the request is a runtime's, for what is hidden from everybody else's introspection.
fn is_runtime(ctx: &Context<'_>) -> bool {
    if ctx.data_opt::<EveryType>().is_some() {
        return true;
    }
    ctx.data_opt::<RequestContext>().is_some_and(|request| matches!(request.caller.principal, Principal::Runtime(..)))
}

/// The name in a type, whatever lists are around it.
fn innermost(kind: &Type) -> &str {
    match &kind.base {
        BaseType::Named(name) => name,
        BaseType::List(kind) => innermost(kind),
    }
}

/// The API: the schema over one vault. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    schema: Executor,
    inputs: Arc<InputTypes>,
    vault: Vault,
    introspection: bool,
    documents: Arc<RememberedDocuments>,
}

/// What values a request may give.
struct InputTypes {
    /// The schema's types that a variable may have.
    names: HashSet<String>,
    integers: Integers,
}

fn input_types<Q: ObjectType, M: ObjectType>() -> InputTypes {
    let mut registry = Registry::default();
    Q::create_type_info(&mut registry);
    M::create_type_info(&mut registry);
    let integers = Integers::of(&registry);
    let inputs = registry.types.into_iter().filter(|(_, kind)| kind.is_input()).map(|(name, _)| name);
    // The types that the library adds by itself.
    let names = inputs.chain(["Boolean", "Float", "ID", "Int", "String", "_Any"].map(str::to_owned)).collect();
    InputTypes { names, integers }
}

const INTROSPECTION_OFF: &str =
    "Introspection is off; read the schema from `project-vault schema` or `_service { sdl }`.";

const INTROSPECTION_UNKNOWN: &str =
    "The schema cannot be introspected; read it from `project-vault schema` or `_service { sdl }`.";

const NO_INPUT_TYPE: &str = "The type of a variable is not an input type of the schema; correct its definition.";

const VARIABLE_MISSING: &str = "A required variable has no value; give it one in variables.";

const INTEGER_TOO_LONG: &str = "An integer has more than 32 bits; give one between -2147483648 and 2147483647.";

/// An operation that may be executed.
pub struct Call {
    /// The caller; none without a token, for operations that [`Api::answers_anyone`] allows.
    pub caller: Option<Caller>,
    /// The request, as it is named in answers, logs and events.
    pub request_id: RequestId,
    /// The document.
    pub operation: Arc<Inspected>,
    /// The values of its variables.
    pub variables: Variables,
    /// Whether the answer tells which field took how long, in `extensions.ftv1`.
    pub traced: bool,
}

/// An operation that was checked and may be executed.
pub struct ValidatedOperation {
    api: Api,
    call: Call,
    answer_bytes: usize,
    lists: u64,
}

impl ValidatedOperation {
    /// The bytes of the largest answer that is expected: JSON with all characters escaped, but for
    /// released values, and lists without pages as long as they usually are.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Maximum number of lists that it reads, and of entries by name.
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_mutation(&self) -> bool {
        self.call.operation.kind == OperationType::Mutation
    }

    /// Validates and executes it. Every error of the answer has a code and the request's id.
    pub async fn execute(self) -> Response {
        self.api.run(self.call).await
    }
}

impl Api {
    /// Puts the schema over a vault.
    #[must_use]
    pub fn new(vault: Vault, introspection: bool) -> Self {
        let inputs = Arc::new(input_types::<Root, Mutation>());
        Self { schema: Executor::new(build, str::to_owned), inputs, vault, introspection, documents: Arc::default() }
    }

    /// Executes another schema in the place of the vault's, under the same rules, and answers its
    /// SDL as `edit` returns it: for suites of tests that bring their own schema.
    #[must_use]
    pub fn with_schema<Q, M>(
        self,
        build: fn() -> SchemaBuilder<Q, M, EmptySubscription>,
        edit: fn(&str) -> String,
    ) -> Self
    where
        Q: ObjectType + 'static,
        M: ObjectType + 'static,
    {
        Self { schema: Executor::new(build, edit), inputs: Arc::new(input_types::<Q, M>()), ..self }
    }

    /// The vault.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads a document and checks its size, at a cost that is linear in its bytes. With
    /// `has_token`, keeps queries of up to 4 KiB for the next time; never mutations, whose
    /// arguments may hold secrets.
    ///
    /// # Errors
    /// When it is no GraphQL, or more than the vault takes.
    pub fn inspect(
        &self,
        query: &str,
        operation_name: Option<&str>,
        has_token: bool,
    ) -> Result<Arc<Inspected>, DocumentError> {
        if has_token {
            self.documents.inspect(query, operation_name)
        } else {
            inspect(query, operation_name).map(Arc::new)
        }
    }

    /// Whether an operation is answered without a token: a query of nothing but `__typename`,
    /// `_service` and, where it is on, introspection.
    #[must_use]
    pub fn answers_anyone(&self, operation: &Inspected) -> bool {
        operation.anonymous_only && (self.introspection || !operation.introspects)
    }

    /// The answer to `{ _service { sdl } }`, as JSON, which all requests share; none for any other
    /// operation.
    #[must_use]
    pub fn shared_answer(&self, operation: &Inspected) -> Option<Bytes> {
        operation.sdl_only.then(|| self.schema.sdl_answer())
    }

    /// What the schema tells about itself, with what is hidden from most callers, to measure
    /// introspection by; none when it cannot be read.
    pub async fn introspected(&self) -> Option<&Introspected> {
        self.schema.introspected().await
    }

    /// Judges whether an operation may be executed, and how large its answer can be.
    ///
    /// # Errors
    /// The answer to an operation that may not.
    pub async fn prepare(&self, call: Call) -> Result<ValidatedOperation, Box<Response>> {
        match self.check(&call).await {
            Ok(estimate) => {
                let trace = if call.traced { trace_length(estimate) } else { 0 };
                let bytes = estimate.bytes.saturating_add(trace);
                let answer_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                Ok(ValidatedOperation { api: self.clone(), call, answer_bytes, lists: estimate.lists })
            }
            Err(error) => Err(Box::new(Self::refuse(error, &call.request_id))),
        }
    }

    /// Validates and executes an operation. Every error of the answer has a code and the request's
    /// id.
    pub async fn execute(&self, call: Call) -> Response {
        match self.prepare(call).await {
            Ok(prepared) => prepared.execute().await,
            Err(refused) => *refused,
        }
    }

    async fn run(&self, call: Call) -> Response {
        let kind = match call.operation.kind {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        };
        let span = ExportedSpan::operation(kind, call.operation.roots.iter().map(|(_, name)| *name));
        let (response, code) = span.around(self.respond(call)).await;
        if let Some(code) = code {
            span.failed(code);
        }
        response
    }

    /// The response, and the code of its first error.
    async fn respond(&self, call: Call) -> (Response, Option<&'static str>) {
        let (began, concealment) = (Instant::now(), Concealment::default());
        let build = Self::build_for(&call);
        let mut request = Request::new("").variables(call.variables).data(Begun::default());
        request.introspection_mode =
            if self.introspection { IntrospectionMode::Enabled } else { IntrospectionMode::Disabled };
        request.set_parsed_query(call.operation.document.clone());
        let (loads, user_errors) = (PendingLoads::default(), UserErrors::default());
        if let Some(caller) = call.caller {
            request = request.data(RequestContext::new(
                self.vault.clone(),
                caller,
                loads.clone(),
                concealment.clone(),
                user_errors.clone(),
            ));
        }
        let tracer = call.traced.then(Tracer::begin);
        if let Some(tracer) = &tracer {
            request = request.data(tracer.clone());
        }
        let response = run_with_loads(self.schema.execute(request, build), &loads).await;
        let mut response = error::complete(response, &call.request_id);
        let code = measures::count_response(&call.operation.roots, &response, &user_errors);
        let conceals = concealment.wait(began).await;
        if let Some(tracer) = tracer {
            let trace = tracer.finish(&response.errors, conceals.then_some(pacing::STEP));
            response = response.extension(EXTENSION, trace);
        }
        (response, code)
    }

    fn build_for(call: &Call) -> Build {
        // Variables of other types are for validation by the whole schema to refuse: nothing here
        // takes them.
        if call.operation.service_only && call.operation.variables().all(is_built_in) {
            Build::Service
        } else if call.traced {
            Build::Traced
        } else {
            Build::Plain
        }
    }

    /// Checks that have to pass before the library validates an operation.
    async fn check(&self, call: &Call) -> Result<Estimate, ServerError> {
        let Call { operation, variables, .. } = call;
        if operation.introspects && !self.introspection {
            return Err(server_error(INTROSPECTION_OFF, ErrorCode::ValidationFailed));
        }
        // The library's validation panics over the default value of a type that it does not know.
        for variable in operation.variables() {
            if !self.inputs.names.contains(innermost(&variable.var_type.node)) {
                let mut refusal = server_error(NO_INPUT_TYPE, ErrorCode::ValidationFailed);
                refusal.locations.push(variable.var_type.pos);
                return Err(refusal);
            }
        }
        // By the specification variables are coerced before anything is executed.
        let given = |name| variables.get(name).is_some_and(|value| *value != Value::Null);
        if !operation.required.iter().all(given) {
            return Err(server_error(VARIABLE_MISSING, ErrorCode::BadUserInput));
        }
        if !self.inputs.integers.fit(operation, variables) {
            return Err(server_error(INTEGER_TOO_LONG, ErrorCode::ValidationFailed));
        }
        let introspected = if operation.introspects { self.introspected().await } else { None };
        if operation.introspects && introspected.is_none() {
            return Err(server_error(INTROSPECTION_UNKNOWN, ErrorCode::Internal));
        }
        let circumstances = Circumstances {
            anonymous: call.caller.is_none(),
            sdl: self.schema.sdl_length(),
            request_id: json_length(call.request_id.as_str()),
            introspected,
        };
        operation.check_cost(variables, circumstances).map_err(|refusal| (&refusal).into())
    }

    /// The answer to a request that never reached execution.
    #[must_use]
    pub fn refuse(error: ServerError, request: &RequestId) -> Response {
        let response = error::complete(Response::from_errors(vec![error]), request);
        measures::count_response(&[], &response, &UserErrors::default());
        response
    }
}

/// An error of the API for what stops a request before it is executed.
#[must_use]
pub fn server_error(message: impl Into<String>, code: ErrorCode) -> ServerError {
    error::coded(message, code)
}
