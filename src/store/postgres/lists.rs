//! Lists in conditions, by the names that they have for SQLite. `diesel` binds a list as one array
//! here, so a connection prepares the statement once, whatever the list's length.

use diesel::ExpressionMethods;
use diesel::dsl::EqAny;
use diesel::internal::derives::multiconnection::array_comparison::AsInExpression;
use diesel::sql_types::SqlType;

/// Whether the column's value is an item of the list.
pub fn one_of<C, L>(column: C, list: L) -> EqAny<C, L>
where
    C: ExpressionMethods,
    C::SqlType: SqlType,
    L: AsInExpression<C::SqlType>,
{
    column.eq_any(list)
}
