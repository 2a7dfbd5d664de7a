//! How errors become errors of the API (`product.md`, section 7): message, code and request id.

use super::document::DocumentError;
use crate::domain::{Error, ErrorCode, RequestId, with_causes};
use async_graphql::{ErrorExtensionValues, ErrorExtensions as _, PathSegment, Response, ServerError};

/// How async-graphql's messages about an invalid value begin; the argument and the fault follow.
const INVALID_VALUE: &str = "Invalid value for argument ";
/// The same, of a variable's default value.
const INVALID_DEFAULT: &str = "Invalid default value for argument: ";

/// How the messages of async-graphql's validation begin that quote names and types, and no value.
/// What begins otherwise is answered by [`NOT_VALID`].
const WITHOUT_VALUES: &[&str] = &[
    "Cannot spread fragment \"",
    "Directive \"",
    "Duplicate directive \"",
    "Field \"",
    "Fields \"",
    "Fragment \"",
    "Fragment cannot ",
    "Schema is not configured for ",
    "There can only be one argument named \"",
    "There can only be one variable named \"",
    "Unknown argument \"",
    "Unknown directive \"",
    "Unknown field \"",
    "Unknown fragment: \"",
    "Unknown type \"",
    "Variable \"",
];
const NOT_VALID: &str = "The document is not valid against the schema.";

/// Maximum number of validation errors in a response.
const MAX_FAULTS: usize = 20;
/// Maximum length in bytes of a library message that is passed on: it quotes the document's names,
/// of any length.
const MAX_MESSAGE: usize = 600;

/// Turns an error of the vault into one of the API. The text of what was unexpected goes to the log
/// only.
pub(super) fn to_graphql(error: &Error) -> async_graphql::Error {
    if let Error::Internal(_) = error {
        tracing::error!(error = %with_causes(error), "internal error");
    }
    async_graphql::Error::new(error.to_string()).extend_with(|_, extensions| {
        extensions.set("code", error.code().as_str());
        match error {
            Error::InvalidInput { field, .. } | Error::LimitExceeded { field, .. } if !field.is_empty() => {
                let path: Vec<async_graphql::Value> = field.iter().map(|name| (*name).into()).collect();
                extensions.set("field", async_graphql::Value::List(path));
            }
            Error::RateLimited { retry_after } => extensions.set("retryAfterSeconds", retry_after.as_secs()),
            Error::Unavailable { will_take_effect: true, .. } => extensions.set("willTakeEffect", true),
            _ => {}
        }
    })
}

/// An error with a code and no more.
pub(super) fn coded(message: impl Into<String>, code: ErrorCode) -> ServerError {
    let mut error = ServerError::new(message, None);
    set(&mut error, "code", code.as_str());
    error
}

/// The error at a representation that names no entity.
pub(super) fn no_such_entity() -> ServerError {
    coded("This representation names no entity of the vault, or has no usable key.", ErrorCode::BadUserInput)
}

fn set(error: &mut ServerError, name: &str, value: impl Into<async_graphql::Value>) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set(name, value);
}

impl From<&DocumentError> for ServerError {
    fn from(refusal: &DocumentError) -> Self {
        match refusal {
            DocumentError::Parse { message, position } => {
                let mut error = coded(message, ErrorCode::ParseFailed);
                error.locations.extend(*position);
                error
            }
            DocumentError::Limit(message) => coded(message, ErrorCode::LimitExceeded),
            DocumentError::Operation(message) => coded(message, ErrorCode::BadUserInput),
        }
    }
}

/// Gives every error a code and the request's id, and rewords what the library says where that may
/// repeat a value.
pub(super) fn complete(mut response: Response, request: &RequestId) -> Response {
    // Errors of execution have a path, and each belongs to a field of its own.
    if response.errors.iter().all(|error| error.path.is_empty()) {
        response.errors.truncate(MAX_FAULTS);
    }
    for error in &mut response.errors {
        let code = error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some());
        if !code {
            let executed = error.path.iter().any(|segment| matches!(segment, PathSegment::Field(_)));
            let (message, code) = reword(&error.message, executed);
            error.message = message;
            set(error, "code", code.as_str());
        }
        set(error, "requestId", request.as_str());
    }
    response
}

fn reword(message: &str, executed: bool) -> (String, ErrorCode) {
    for prefix in [INVALID_VALUE, INVALID_DEFAULT] {
        if let Some(fault) = message.strip_prefix(prefix) {
            // The place is made of the schema's names, or begins with a variable's; the fault may
            // quote what was sent.
            let (place, fault) = fault.split_once(", ").unwrap_or(("", fault));
            let place = if place.len() > MAX_MESSAGE { "…" } else { place };
            let fault = if fault.starts_with("expected type") || fault.ends_with("is required but not provided") {
                fault
            } else if fault.starts_with("unknown field") {
                "its type has no such field"
            } else {
                "it is not a value of its type"
            };
            return (format!("{prefix}{place}: {fault}."), ErrorCode::BadUserInput);
        }
    }
    if executed {
        return ("The value of an argument does not have the form of its type.".to_owned(), ErrorCode::BadUserInput);
    }
    let told = message.len() <= MAX_MESSAGE && WITHOUT_VALUES.iter().any(|prefix| message.starts_with(prefix));
    (if told { message } else { NOT_VALID }.to_owned(), ErrorCode::ValidationFailed)
}
