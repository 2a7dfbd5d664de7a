//! The metric of operations: each root field of an answer, with the code of its first error.

use crate::domain::{ErrorCode, SecretOutcome};
use crate::measures::{Kind, declare};
use async_graphql::{Name, PathSegment, Response, ServerError, Value};
use parking_lot::Mutex;
use std::sync::Arc;

const OPERATIONS: &str = "vault_operations_total";
/// The code of an operation without an error.
const OK: &str = "OK";
/// The operation of requests that were refused before any was executed.
const NONE: &str = "none";
/// The operation of the REST view.
const SECRET: &str = "GET secret";

/// The root fields of the schema.
const ROOT_FIELDS: &[&str] = &[
    "__schema",
    "__type",
    "__typename",
    "_entities",
    "_service",
    "addVaultParticipant",
    "assignVaultAgent",
    "assignVaultRole",
    "closeVaultMilestone",
    "createVaultEntry",
    "deleteProjectVault",
    "deleteVaultEntry",
    "deleteVaultMilestone",
    "disableVaultEntry",
    "enableVaultEntry",
    "importVaultEntries",
    "previewSecrets",
    "previewVaultImport",
    "projectVault",
    "purgeVaultEntry",
    "putVaultMilestone",
    "registerProjectVault",
    "registerVaultAgent",
    "registerVaultRuntime",
    "removeVaultParticipant",
    "resolveSecrets",
    "restoreVaultEntry",
    "revokeVaultRole",
    "rollbackVaultEntry",
    "rotateVaultEntry",
    "setProjectVaultStatus",
    "setVaultEnvironmentNames",
    "unassignVaultAgent",
    "unregisterVaultAgent",
    "unregisterVaultRuntime",
    "updateVaultEntry",
    "vaultAuditEvents",
    "vaultEntry",
    "vaultInstallation",
    "vaultProjects",
];

/// Declares the metric of operations.
pub fn declare_metrics() {
    let help = "Root fields of GraphQL operations, requests of the REST view (GET secret), and requests that were \
                refused before anything was executed (none), by the code of their first error, or OK.";
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).chain([OK]).collect();
    let operations: Vec<&str> = ROOT_FIELDS.iter().copied().chain([NONE]).collect();
    declare(Kind::Counter, OPERATIONS, help, &[("operation", &operations), ("code", &codes)]);
    let codes: Vec<&str> = codes.into_iter().chain([SecretOutcome::Expired.as_str()]).collect();
    declare(Kind::Counter, OPERATIONS, help, &[("operation", &[SECRET]), ("code", &codes)]);
}

/// The name of a root field in metrics; that of requests that are refused for a field that the
/// schema does not have.
pub(super) fn measured_name(field: &str) -> &'static str {
    ROOT_FIELDS.binary_search(&field).map_or(NONE, |at| ROOT_FIELDS[at])
}

/// Counts a request of the REST view; `code` is that of its error, if it has one.
pub fn count_secret(code: Option<&'static str>) {
    count(SECRET, code.unwrap_or(OK));
}

/// The codes of the `userErrors` in an answer, by the response keys of their mutations. Clones share
/// them.
#[derive(Clone, Default)]
pub(super) struct UserErrors(Arc<Mutex<Vec<(Name, ErrorCode)>>>);

impl UserErrors {
    pub(super) fn note(&self, key: &Name, code: ErrorCode) {
        self.0.lock().push((key.clone(), code));
    }
}

/// Counts the root fields of an answer; gives the code of its first error, or of its first user error.
pub(super) fn count_response(
    roots: &[(Name, &'static str)],
    response: &Response,
    user_errors: &UserErrors,
) -> Option<&'static str> {
    // What has no path concerns the whole request.
    if let Some(error) = response.errors.iter().find(|error| error.path.is_empty()) {
        let code = code_of(error);
        count(NONE, code);
        return Some(code);
    }
    let at = |key: &Name| {
        let is_below =
            |error: &&ServerError| matches!(error.path.first(), Some(PathSegment::Field(field)) if field == key);
        response.errors.iter().find(is_below)
    };
    let user_errors = user_errors.0.lock();
    let first = error_code(response).or_else(|| user_errors.first().map(|(_, code)| code.as_str()));
    for (key, name) in roots {
        let noted = || user_errors.iter().find(|(of, _)| of == key).map_or(OK, |(_, code)| code.as_str());
        count(name, at(key).map_or_else(noted, code_of));
    }
    first
}

/// The code of the first error of an answer.
pub fn error_code(response: &Response) -> Option<&'static str> {
    response.errors.first().map(code_of)
}

fn count(operation: &'static str, code: &'static str) {
    metrics::counter!(OPERATIONS, "operation" => operation, "code" => code).increment(1);
}

fn code_of(error: &ServerError) -> &'static str {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => ErrorCode::parse(code).unwrap_or(ErrorCode::Internal).as_str(),
        _ => ErrorCode::Internal.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::document::inspect;
    use crate::graphql::{Mutation, Root};
    use async_graphql::OutputType;
    use async_graphql::registry::{MetaType, Registry};

    #[test]
    fn every_root_field_of_the_schema_has_its_name_in_metrics() {
        let mut registry = Registry::default();
        Root::create_type_info(&mut registry);
        Mutation::create_type_info(&mut registry);
        let names = [Root::type_name(), Mutation::type_name()];
        let fields = names.iter().flat_map(|name| match &registry.types[&**name] {
            MetaType::Object { fields, .. } => fields.keys().cloned().collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let mut expected: Vec<String> = fields.collect();
        expected.extend(["__schema", "__type", "__typename", "_entities", "_service"].map(str::to_owned));
        expected.sort();
        expected.dedup();
        assert_eq!(ROOT_FIELDS, expected);
    }

    #[test]
    fn what_is_no_field_of_the_schema_becomes_no_label() {
        let document =
            "query q { a: projectVault(projectId: \"p\") { id } ...F sk_live } fragment F on Query { b: sk }";
        let roots = inspect(document, None).ok().unwrap().roots;
        let mut roots: Vec<_> = roots.iter().map(|(key, name)| (key.as_str(), *name)).collect();
        roots.sort_unstable();
        assert_eq!(roots, [("a", "projectVault"), ("b", "none"), ("sk_live", "none")]);
    }
}
