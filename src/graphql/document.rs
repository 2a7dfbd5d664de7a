//! The inspection of a document before anything of it is validated or executed.
//!
//! async-graphql bounds neither what a document costs to parse, nor what it expands to, and it runs two fields of one
//! response key twice instead of merging them. So a document is read here first, at a cost that is linear in its bytes:
//!
//! - The text is scanned before the recursive parser sees it (`scan`): nesting, and the bytes that are no string, are bounded.
//! - Every fragment is measured once, whatever the number of its spreads, and all sums saturate. What a fragment spreads is
//!   measured before it; a fragment that reaches itself is refused. Unknown fragments are left to validation.
//! - Of a document, with fragments expanded: fields nest at most 16 deep; all operations together select at most 1,000
//!   fields, through at most 1,000 fragments (spread or inline), with at most 4 MiB of string arguments; no operation has
//!   more than 30 aliases. Aliases of the root field `_entities` and below it are not counted, since that is how gateways
//!   merge fetches; the 1,000 fields bound them.
//! - Selection sets, with fragments expanded, nest at most [`MAX_LEVELS`] deep, since async-graphql recurses through them.
//! - An argument holds one variable at most 4 times, because every use is a copy of the variable's value.
//! - `resolveSecrets` is selected at most once in an operation.
//! - Fields of one response key are merged, or refused where they differ (`merge`).

mod measure;
mod merge;
mod scan;
#[cfg(test)]
mod tests;

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, OperationDefinition, OperationType, Selection,
};
use async_graphql::parser::{Error as ParseError, parse_query};
use async_graphql::{Name, Pos};

pub use measure::MAX_LEVELS;

const RESOLVE_SECRETS: &str = "resolveSecrets";
/// The root fields of a query that tell about the schema.
const INTROSPECTION: &[&str] = &["__schema", "__type"];
/// The root fields of a query that anyone may read.
const ANONYMOUS: &[&str] = &["__typename", "__schema", "__type", "_service"];

/// A document that may be validated and executed. It has no printed form, because secrets may stand in its arguments.
pub struct Inspected {
    /// The whole document, with the operations that were not chosen.
    pub document: ExecutableDocument,
    /// What the chosen operation is.
    pub kind: OperationType,
    /// Whether the chosen operation is a query of nothing but `__typename`, `__schema`, `__type` and `_service`, which are
    /// answered without a token.
    pub anonymous_only: bool,
    /// Whether the chosen operation selects the root field `resolveSecrets`.
    pub resolves: bool,
    /// Whether the chosen operation asks about the schema, with `__schema` or `__type`.
    pub introspects: bool,
    /// The variables of the chosen operation that must have a value: async-graphql misses one only in the field that uses it,
    /// when what stands before that field has been changed already.
    pub required: Vec<Name>,
}

/// Why a document is not executed. The messages say what to change and quote nothing of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no GraphQL.
    #[error("{message}")]
    Parse {
        /// What is wrong, and where.
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
/// When the text is no GraphQL, when the document exceeds a limit, and when no operation, or more than one, is meant. The
/// limits hold for every operation of the document; the rules on root fields hold for the chosen one.
pub fn inspect(query: &str, operation_name: Option<&str>) -> Result<Inspected, Refusal> {
    scan::scan(query)?;
    let mut document = parse_query(query).map_err(|error| unreadable(&error))?;
    measure::check(&document)?;
    merge::merge(&mut document)?;
    let operation = chosen(&document.operations, operation_name)?;
    let kind = operation.ty;
    let root = Root::of(operation, &document);
    let anonymous_only = root.anonymous_only(kind);
    let resolves = root.resolves()?;
    let introspects = root.names().any(|name| INTROSPECTION.contains(&name));
    let required = required_variables(operation);
    Ok(Inspected { document, kind, anonymous_only, resolves, introspects, required })
}

fn required_variables(operation: &OperationDefinition) -> Vec<Name> {
    let definitions = operation.variable_definitions.iter().map(|definition| &definition.node);
    definitions
        .filter(|definition| !definition.var_type.node.nullable && definition.default_value.is_none())
        .map(|definition| definition.name.node.clone())
        .collect()
}

/// The parser's own messages quote the source.
fn unreadable(error: &ParseError) -> Refusal {
    let problem = match error {
        ParseError::MissingOperation => {
            return Refusal::Operation("The document has no operation; add one.".to_owned());
        }
        ParseError::RecursionLimitExceeded => return Refusal::Limit(scan::TOO_NESTED.to_owned()),
        ParseError::MultipleOperations { .. } => "a document with several operations names each of them; see",
        ParseError::OperationDuplicated { .. } => "two operations have one name; see",
        ParseError::FragmentDuplicated { .. } => "two fragments have one name; see",
        _ => "it cannot be read at",
    };
    match error.positions().next() {
        Some(position) => invalid(problem, position),
        None => Refusal::Parse { message: "The document is not valid GraphQL.".to_owned(), position: None },
    }
}

fn invalid(problem: &str, position: Pos) -> Refusal {
    let Pos { line, column } = position;
    Refusal::Parse {
        message: format!("The document is not valid GraphQL: {problem} line {line}, column {column}."),
        position: Some(position),
    }
}

fn chosen<'a>(operations: &'a DocumentOperations, name: Option<&str>) -> Result<&'a OperationDefinition, Refusal> {
    let refusal = |message: &str| Err(Refusal::Operation(message.to_owned()));
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(&operation.node),
        (DocumentOperations::Single(_), Some(_)) => {
            refusal("The only operation of the document has no name; leave out operationName, or name the operation.")
        }
        (DocumentOperations::Multiple(named), Some(name)) => match named.get(name) {
            Some(operation) => Ok(&operation.node),
            None => refusal("The document has no operation of the name in operationName."),
        },
        (DocumentOperations::Multiple(named), None) => match (named.values().next(), named.len()) {
            (Some(operation), 1) => Ok(&operation.node),
            _ => refusal("The document has several operations; choose one with operationName."),
        },
    }
}

/// The root fields of one operation, out of all fragments.
struct Root<'a> {
    fields: Vec<&'a Field>,
    /// Whether a fragment is missing, so that more may be meant than is known.
    incomplete: bool,
}

impl<'a> Root<'a> {
    /// The document has been measured, so what is expanded here is bounded.
    fn of(operation: &'a OperationDefinition, document: &'a ExecutableDocument) -> Self {
        let mut root = Self { fields: Vec::new(), incomplete: false };
        let mut sets = vec![&operation.selection_set.node];
        while let Some(set) = sets.pop() {
            for selection in &set.items {
                match &selection.node {
                    Selection::Field(field) => root.fields.push(&field.node),
                    Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                    Selection::FragmentSpread(spread) => {
                        match document.fragments.get(&spread.node.fragment_name.node) {
                            Some(fragment) => sets.push(&fragment.node.selection_set.node),
                            None => root.incomplete = true,
                        }
                    }
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

    fn resolves(&self) -> Result<bool, Refusal> {
        match self.names().filter(|name| *name == RESOLVE_SECRETS).count() {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Refusal::Limit(
                "An operation selects resolveSecrets at most once; ask for all names in one selection.".to_owned(),
            )),
        }
    }
}
