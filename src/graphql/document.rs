//! The inspection of a document before anything of it is validated or executed.
//!
//! async-graphql bounds neither what a document costs to parse, nor what it expands to, and it runs
//! two fields of one response key twice instead of merging them. So a document is read here first,
//! at a cost that is linear in its bytes:
//!
//! - The text is scanned before the recursive parser sees it (`scan`): its length, its tokens, how
//!   deep brackets nest, and the bytes that are no string, are bounded.
//! - Every fragment is measured once, whatever the number of its spreads, and all sums saturate.
//!   What a fragment spreads is measured before it; a fragment that reaches itself is refused.
//!   Unknown fragments are left to validation.
//! - Of a document, with fragments expanded: fields nest at most 16 deep; all operations together
//!   select at most 1,000 fields, through at most 1,000 fragments (spread or inline), with at most
//!   10,000 directives (a fragment's count for each of its fields), 12,000 values and 4 MiB of
//!   strings in arguments; no operation has more than 30 aliases. Aliases of the root field
//!   `_entities` and below it are not counted, since that is how gateways merge fetches; the 1,000
//!   fields bound them.
//! - Selection sets, with fragments expanded, nest at most [`MAX_LEVELS`] deep, since async-graphql
//!   recurses through them.
//! - Only the chosen operation, and the fragments it reaches, are handed on: what nobody asks for
//!   costs nothing more.
//! - Its root fields `resolveSecrets` and `previewSecrets` are selected at most once, and 5 times,
//!   and `sdl` at most once.
//! - Its fields of one response key are merged, or refused where they differ (`merge`).
//! - With its variables, what it would read, answer and copy is bounded (`cost`).

mod cost;
mod introspection;
mod measure;
mod merge;
mod remembered;
mod scan;
#[cfg(test)]
mod schema_fields;
mod size;
#[cfg(test)]
mod tests;

use super::measures::measured_name;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    VariableDefinition,
};
use async_graphql::parser::{Error as ParseError, parse_query};
use async_graphql::{Name, Pos, Positioned, Variables};
use measure::{Fragments, spreads};
use std::collections::HashSet;

pub use cost::{Circumstances, Estimate};
pub use introspection::{Introspected, WHOLE};
pub use measure::MAX_LEVELS;
pub(super) use remembered::RememberedDocuments;
pub use size::{MAX_SUBJECT, json_length};

/// Root fields with the maximum number of their selections in one operation, and the error beyond
/// it.
const BOUNDED: &[(&str, usize, &str)] = &[
    (RESOLVE_SECRETS, 1, "An operation selects resolveSecrets at most once; ask for all names in one selection."),
    ("previewSecrets", 5, "An operation selects previewSecrets at most 5 times; send several requests."),
    (SERVICE, 1, SDL_ONCE),
];
const RESOLVE_SECRETS: &str = "resolveSecrets";
/// The root field of a query that tells the SDL, and the field below it that does.
const SERVICE: &str = "_service";
const SDL: &str = "sdl";
const SDL_ONCE: &str = "An operation selects sdl at most once; reuse its answer.";
/// Upper bound of the memory that one lexical token of a parsed document takes, in bytes.
const TOKEN_MEMORY: usize = 288;
/// The root field in which gateways merge fetches under aliases, and whose objects are of several
/// types.
const ENTITIES: &str = "_entities";
/// The root fields of a query that tell about the schema.
const INTROSPECTION: &[&str] = &["__schema", "__type"];
/// The root fields of a query that anyone may read.
const ANONYMOUS: &[&str] = &["__typename", "__schema", "__type", SERVICE];

/// A document that may be validated and executed. It has no printed form, because secrets may stand
/// in its arguments.
#[allow(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
pub struct Inspected {
    /// The chosen operation, with the fragments that it reaches.
    pub document: ExecutableDocument,
    /// The kind of the chosen operation.
    pub kind: OperationType,
    /// Whether the chosen operation is a query of nothing but `__typename`, `__schema`, `__type`
    /// and `_service`, which are answered without a token.
    pub anonymous_only: bool,
    /// Whether the chosen operation selects the root field `resolveSecrets`.
    pub resolves: bool,
    /// Whether the chosen operation asks about the schema, with `__schema` or `__type`.
    pub introspects: bool,
    /// Whether the chosen operation is a query of nothing but `_service` and `__typename`.
    pub service_only: bool,
    /// Whether the chosen operation is `{ _service { sdl } }`, whatever its name, and nothing else.
    pub sdl_only: bool,
    /// The root fields of the chosen operation: the response key of each, and its name in metrics.
    pub(super) roots: Vec<(Name, &'static str)>,
    /// The variables of the chosen operation that must have a value: async-graphql misses one only
    /// in the field that uses it, when what stands before that field has been changed already.
    pub required: Vec<Name>,
    /// Upper bound of the memory that the document takes, in bytes.
    pub weight: usize,
}

/// Why a document is not executed. The messages say what to change and quote nothing of the
/// document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no GraphQL.
    #[error("{message}")]
    Parse {
        /// The problem, and where it is.
        message: String,
        /// The place, where it is known.
        position: Option<Pos>,
    },
    /// It is larger than the vault takes, or it would do something twice.
    #[error("{0}")]
    Limit(String),
    /// There is not exactly one operation to execute.
    #[error("{0}")]
    Operation(String),
}

/// Reads a document and chooses the operation of this name, or its only one.
///
/// # Errors
/// When the text is no GraphQL, when the document exceeds a limit, and when no operation, or more
/// than one, is meant. The limits hold for every operation of the document; the rules on response
/// keys and root fields hold for the chosen one.
pub fn inspect(query: &str, operation_name: Option<&str>) -> Result<Inspected, DocumentError> {
    let tokens = scan::scan(query)?;
    let document = parse_query(query).map_err(|error| unreadable(&error))?;
    measure::check(&document)?;
    let ExecutableDocument { operations, mut fragments } = document;
    let mut operation = chosen(operations, operation_name)?;
    keep_reached(&operation.node, &mut fragments);
    merge::merge(&mut operation.node, &mut fragments)?;
    let kind = operation.node.ty;
    let root = Root::of(&operation.node, &fragments);
    root.check()?;
    let anonymous_only = root.anonymous_only(kind);
    let resolves = root.count(RESOLVE_SECRETS) > 0;
    let introspects = root.names().any(|name| INTROSPECTION.contains(&name));
    let service_only = root.service_only(kind);
    let sdl_only = kind == OperationType::Query && is_sdl_only(&operation.node);
    let roots = root.fields.iter().map(|field| (field.response_key().node.clone(), measured_name(&field.name.node)));
    let roots = roots.collect();
    let required = required_variables(&operation.node);
    // Without its name, which the library's messages would repeat for each fault.
    let document = ExecutableDocument { operations: DocumentOperations::Single(operation), fragments };
    let weight = tokens * TOKEN_MEMORY + query.len();
    Ok(Inspected {
        document,
        kind,
        anonymous_only,
        resolves,
        introspects,
        service_only,
        sdl_only,
        roots,
        required,
        weight,
    })
}

impl Inspected {
    /// Bounds what the operation would read, answer and copy with these values of its variables,
    /// and says what its answer amounts to at most.
    ///
    /// # Errors
    /// When it exceeds a limit.
    pub fn check_cost(
        &self,
        variables: &Variables,
        circumstances: Circumstances<'_>,
    ) -> Result<Estimate, DocumentError> {
        cost::check(&self.document, variables, circumstances)
    }

    /// The variables of the operation.
    pub(super) fn variables(&self) -> impl Iterator<Item = &VariableDefinition> {
        let operations = self.document.operations.iter();
        operations.flat_map(|(_, operation)| &operation.node.variable_definitions).map(|definition| &definition.node)
    }
}

/// Drops the fragments that an operation does not reach.
fn keep_reached(operation: &OperationDefinition, fragments: &mut Fragments) {
    let mut reached: HashSet<Name> = HashSet::new();
    let mut ahead = spreads(&operation.selection_set.node);
    while let Some(name) = ahead.pop() {
        if let Some((name, fragment)) = fragments.get_key_value(name)
            && reached.insert(name.clone())
        {
            ahead.extend(spreads(&fragment.node.selection_set.node));
        }
    }
    fragments.retain(|name, _| reached.contains(name));
}

fn required_variables(operation: &OperationDefinition) -> Vec<Name> {
    let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
    definitions
        .filter(|definition| !definition.var_type.node.nullable && definition.default_value.is_none())
        .map(|definition| definition.name.node.clone())
        .collect()
}

/// The parser's own messages quote the source.
fn unreadable(error: &ParseError) -> DocumentError {
    let problem = match error {
        ParseError::MissingOperation => {
            return DocumentError::Operation("The document has no operation; add one.".to_owned());
        }
        ParseError::RecursionLimitExceeded => return DocumentError::Limit(scan::TOO_NESTED.to_owned()),
        ParseError::MultipleOperations { .. } => "a document with several operations names each of them; see",
        ParseError::OperationDuplicated { .. } => "two operations have one name; see",
        ParseError::FragmentDuplicated { .. } => "two fragments have one name; see",
        _ => "it cannot be read at",
    };
    match error.positions().next() {
        Some(position) => invalid(problem, position),
        None => DocumentError::Parse { message: "The document is not valid GraphQL.".to_owned(), position: None },
    }
}

fn invalid(problem: &str, position: Pos) -> DocumentError {
    let Pos { line, column } = position;
    DocumentError::Parse {
        message: format!("The document is not valid GraphQL: {problem} line {line}, column {column}."),
        position: Some(position),
    }
}

fn chosen(
    operations: DocumentOperations,
    name: Option<&str>,
) -> Result<Positioned<OperationDefinition>, DocumentError> {
    let refusal = |message: &str| Err(DocumentError::Operation(message.to_owned()));
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Single(_), Some(_)) => {
            refusal("The only operation of the document has no name; leave out operationName, or name the operation.")
        }
        (DocumentOperations::Multiple(mut named), Some(name)) => match named.remove(name) {
            Some(operation) => Ok(operation),
            None => refusal("The document has no operation of the name in operationName."),
        },
        (DocumentOperations::Multiple(named), None) => {
            let only = named.len() == 1;
            match named.into_values().next() {
                Some(operation) if only => Ok(operation),
                _ => refusal("The document has several operations; choose one with operationName."),
            }
        }
    }
}

/// Whether an operation is `{ _service { sdl } }`, without anything that would have to be
/// validated.
fn is_sdl_only(operation: &OperationDefinition) -> bool {
    let only = |set: &SelectionSet, name: &str| match set.items.as_slice() {
        [Positioned { node: Selection::Field(field), .. }] => {
            let Field { alias, name: own, arguments, directives, selection_set } = &field.node;
            let bare = alias.is_none() && arguments.is_empty() && directives.is_empty();
            (bare && own.node == name).then(|| selection_set.node.clone())
        }
        _ => None,
    };
    operation.variable_definitions.is_empty()
        && operation.directives.is_empty()
        && only(&operation.selection_set.node, SERVICE)
            .and_then(|service| only(&service, SDL))
            .is_some_and(|sdl| sdl.items.is_empty())
}

/// The fields of a selection set, out of all fragments.
struct Root<'a> {
    fields: Vec<&'a Field>,
    /// Whether a fragment is missing, so that more may be meant than is known.
    incomplete: bool,
    fragments: &'a Fragments,
}

impl<'a> Root<'a> {
    /// The root fields of one operation. The document has been measured, so what is expanded here
    /// is bounded.
    fn of(operation: &'a OperationDefinition, fragments: &'a Fragments) -> Self {
        Self::of_set(&operation.selection_set.node, fragments)
    }

    fn of_set(set: &'a SelectionSet, fragments: &'a Fragments) -> Self {
        let mut root = Self { fields: Vec::new(), incomplete: false, fragments };
        let mut sets = vec![set];
        while let Some(set) = sets.pop() {
            for selection in &set.items {
                match &selection.node {
                    Selection::Field(field) => root.fields.push(&field.node),
                    Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                    Selection::FragmentSpread(spread) => match fragments.get(&spread.node.fragment_name.node) {
                        Some(fragment) => sets.push(&fragment.node.selection_set.node),
                        None => root.incomplete = true,
                    },
                }
            }
        }
        root
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.node.as_str())
    }

    fn anonymous_only(&self, kind: OperationType) -> bool {
        kind == OperationType::Query && !self.incomplete && self.names().all(|name| ANONYMOUS.contains(&name))
    }

    fn service_only(&self, kind: OperationType) -> bool {
        self.anonymous_only(kind)
            && self.names().any(|name| name == SERVICE)
            && self.names().all(|name| !INTROSPECTION.contains(&name))
    }

    fn count(&self, field: &str) -> usize {
        self.names().filter(|name| *name == field).count()
    }

    /// Number of times the SDL is selected.
    fn sdl_count(&self) -> usize {
        let services = self.fields.iter().filter(|field| field.name.node == SERVICE);
        services.map(|field| Self::of_set(&field.selection_set.node, self.fragments).count(SDL)).sum()
    }

    fn check(&self) -> Result<(), DocumentError> {
        match BOUNDED.iter().find(|(field, most, _)| self.count(field) > *most) {
            Some((_, _, message)) => Err(DocumentError::Limit((*message).to_owned())),
            None if self.sdl_count() > 1 => Err(DocumentError::Limit(SDL_ONCE.to_owned())),
            None => Ok(()),
        }
    }
}
