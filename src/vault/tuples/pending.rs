//! Rows that stay in the outbox, and which later rows of their partition may overtake them.
//!
//! A row stays because it cannot be applied and was set aside, or because it must not overtake such
//! a row. What takes access away never waits for it, not even in a row that also grants some; what
//! grants access again that a row before it takes away does. If a later row takes away what one
//! before it grants, it is struck from that one, so that no retry brings it back.

use super::outbox::Step;
use crate::authz::Tuple;
use crate::store::records::OutboxRow;

/// A row that stays. Nobody knows what it does if it cannot be read, or was not written by the
/// vault.
struct PendingRow {
    row: OutboxRow,
    step: Option<Step>,
}

/// The rows of one partition that stay, in their order.
#[derive(Default)]
pub(super) struct PendingRows(Vec<PendingRow>);

impl PendingRows {
    pub(super) fn push(&mut self, row: OutboxRow, step: Option<Step>) {
        self.0.push(PendingRow { row, step });
    }

    pub(super) fn contains(&self, seq: i64) -> bool {
        self.0.iter().any(|pending| pending.row.seq == seq)
    }

    /// Whether a later row must wait: it grants what one of these takes away, or may.
    pub(super) fn hold_back(&self, later: &Step) -> bool {
        let Step::Change(later) = later else { return false };
        let takes_away = |pending: &PendingRow, tuple: &Tuple| match &pending.step {
            None => true,
            Some(Step::Change(change)) => change.delete.contains(tuple),
            Some(Step::Erase { object, last }) => tuple.object() == object || last.as_ref() == Some(tuple),
        };
        later.write.iter().any(|tuple| self.0.iter().any(|pending| takes_away(pending, tuple)))
    }

    /// Strikes what a later step takes away from what these grant. Gives the rows that this
    /// changes, each with what it still does.
    pub(super) fn strike(&mut self, later: &Step) -> Vec<(&OutboxRow, &Step)> {
        let is_taken_away = |tuple: &Tuple| match later {
            Step::Change(change) => change.delete.contains(tuple),
            Step::Erase { object, .. } => tuple.object() == object,
        };
        let mut changed = Vec::new();
        for PendingRow { row, step } in &mut self.0 {
            let Some(Step::Change(change)) = step else { continue };
            let before = change.write.len();
            change.write.retain(|tuple| !is_taken_away(tuple));
            if change.write.len() < before
                && let Some(step) = step
            {
                changed.push((&*row, &*step));
            }
        }
        changed
    }

    /// The tuples that these would delete. One that erases an object may delete any of its tuples,
    /// and one that cannot be read any at all; those are not among them.
    pub(super) fn deletes(&self) -> impl Iterator<Item = &Tuple> {
        self.0.iter().flat_map(|pending| match &pending.step {
            Some(Step::Change(change)) => change.delete.as_slice(),
            Some(Step::Erase { .. }) | None => &[],
        })
    }

    /// The tuples that these would write.
    pub(super) fn writes(&self) -> impl Iterator<Item = &Tuple> {
        self.0.iter().flat_map(|pending| match &pending.step {
            Some(Step::Change(change)) => change.write.as_slice(),
            Some(Step::Erase { .. }) | None => &[],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::TupleChange;

    fn tuple(subject: &str) -> Tuple {
        Tuple::new(subject, "informed", "project:p")
    }

    fn change(write: &[&str], delete: &[&str]) -> Step {
        let tuples = |subjects: &[&str]| subjects.iter().map(|subject| tuple(subject)).collect();
        Step::Change(TupleChange { write: tuples(write), delete: tuples(delete) })
    }

    fn row() -> OutboxRow {
        let (partition, text) = ("project:p".to_owned(), String::new());
        OutboxRow {
            seq: 1,
            partition,
            change: text,
            mac: vec![],
            created_at: crate::domain::Timestamp::from_millis(0),
            set_aside_at: None,
            reason: None,
        }
    }

    fn pending(step: Option<Step>) -> PendingRows {
        let mut rows = PendingRows::default();
        rows.push(row(), step);
        rows
    }

    #[test]
    fn a_grant_waits_for_what_takes_the_same_away_and_nothing_else_waits() {
        let erases = Step::Erase { object: "project:p".to_owned(), last: None };
        for (before, later, waits) in [
            (Some(change(&[], &["user:a"])), change(&["user:a"], &[]), true),
            (Some(change(&[], &["user:a"])), change(&["user:b"], &[]), false),
            (Some(change(&[], &["user:a"])), change(&[], &["user:a"]), false),
            (Some(change(&["user:a"], &[])), change(&["user:a"], &[]), false),
            (Some(change(&["user:a"], &[])), change(&[], &["user:a"]), false),
            (Some(Step::Erase { object: "project:p".to_owned(), last: None }), change(&["user:a"], &[]), true),
            (None, change(&["user:a"], &[]), true),
            (None, change(&[], &["user:a"]), false),
            (None, erases, false),
        ] {
            let rows = pending(before);
            assert_eq!(rows.hold_back(&later), waits, "{later:?}");
        }
    }

    #[test]
    fn what_is_taken_away_later_is_struck_from_what_was_to_be_granted() {
        let mut rows = pending(Some(change(&["user:a", "user:b"], &["user:c"])));
        assert!(rows.strike(&change(&[], &["user:c"])).is_empty());
        assert_eq!(rows.strike(&change(&[], &["user:a"])).len(), 1);
        assert_eq!(rows.writes().collect::<Vec<_>>(), [&tuple("user:b")]);
        assert_eq!(rows.strike(&Step::Erase { object: "project:p".to_owned(), last: None }).len(), 1);
        assert_eq!(rows.writes().count(), 0);
    }
}
