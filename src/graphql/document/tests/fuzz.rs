//! Hostile documents: what is handed on keeps the limits, counted here in the simplest way.

use super::*;
use crate::fuzzing::fuzz;
use async_graphql::parser::types::FragmentDefinition;
use std::collections::HashMap;

/// The fields of a selection set, its fragments expanded, and how deep they nest.
fn measured(set: &SelectionSet, fragments: &HashMap<Name, Positioned<FragmentDefinition>>) -> (usize, usize) {
    let (mut fields, mut depth) = (0, 0);
    for selection in &set.items {
        let (more, deep) = match &selection.node {
            Selection::Field(field) => {
                let (below, deep) = measured(&field.node.selection_set.node, fragments);
                (below + 1, deep + 1)
            }
            Selection::InlineFragment(inline) => measured(&inline.node.selection_set.node, fragments),
            Selection::FragmentSpread(spread) => match fragments.get(&spread.node.fragment_name.node) {
                Some(fragment) => measured(&fragment.node.selection_set.node, fragments),
                None => (0, 0),
            },
        };
        fields += more;
        depth = depth.max(deep);
    }
    (fields, depth)
}

#[test]
fn fuzz_documents() {
    fuzz("documents", &[], |input| {
        let text = String::from_utf8_lossy(input);
        let began = Instant::now();
        let inspected = inspect(&text, None);
        // Linear in 16 KiB, with room for a busy machine.
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let inspected = match inspected {
            Ok(inspected) => inspected,
            Err(
                DocumentError::Parse { message, .. }
                | DocumentError::Limit(message)
                | DocumentError::Operation(message),
            ) => {
                assert!(message.len() < 1_000, "{message}");
                return false;
            }
        };
        let ExecutableDocument { operations, fragments } = &inspected.document;
        let operations: Vec<_> = operations.iter().collect();
        assert_eq!(operations.len(), 1, "one operation is handed on");
        let (_, operation) = operations[0];
        let (fields, depth) = measured(&operation.node.selection_set.node, fragments);
        assert!(fields <= 1_000 && depth <= 16, "{fields} fields, {depth} deep");
        assert!(!inspected.anonymous_only || !inspected.resolves);
        assert!(inspected.anonymous_only || !inspected.sdl_only);
        assert!(!inspected.anonymous_only || inspected.kind == OperationType::Query);
        let resolves = text.matches(RESOLVE_SECRETS).count();
        assert!(!inspected.resolves || resolves > 0);
        // It is decided in the same way each time.
        assert!(inspect(&text, None).is_ok_and(|same| same.weight == inspected.weight));
        true
    });
}
