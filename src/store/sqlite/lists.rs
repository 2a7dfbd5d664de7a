//! Lists in conditions. `diesel` binds each item of `IN (?, ?, ...)` by itself and prepares such a
//! statement anew on every call. Here a list is one parameter, a JSON array, so that a connection
//! prepares the statement once, whatever the list's length.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Bool, Nullable, SqlType, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, QuerySource};

/// A type of column that a list can hold: the SQL that makes an item from a value of a JSON array.
pub trait ColumnType {
    /// The expression of the item.
    const ITEM: &'static str;
}

impl ColumnType for Text {
    const ITEM: &'static str = "value";
}

impl ColumnType for Binary {
    const ITEM: &'static str = "unhex(value)";
}

impl<T: ColumnType + SqlType> ColumnType for Nullable<T> {
    const ITEM: &'static str = T::ITEM;
}

/// A value as it stands in a JSON array: text as it is, bytes in hex.
pub trait Item {
    /// The text.
    fn text(&self) -> String;
}

impl<T: Item + ?Sized> Item for &T {
    fn text(&self) -> String {
        (*self).text()
    }
}

impl Item for str {
    fn text(&self) -> String {
        self.to_owned()
    }
}

impl Item for String {
    fn text(&self) -> String {
        self.clone()
    }
}

/// The condition that a column's value is an item of a list.
#[derive(Debug, Clone)]
pub struct InList<C> {
    column: C,
    list: String,
}

/// Whether the column's value is an item of the list.
pub fn one_of<C: Expression, T: Item>(column: C, list: impl IntoIterator<Item = T>) -> InList<C> {
    InList { column, list: json(list) }
}

fn json<T: Item>(list: impl IntoIterator<Item = T>) -> String {
    let items: Vec<serde_json::Value> = list.into_iter().map(|item| item.text().into()).collect();
    serde_json::Value::Array(items).to_string()
}

impl<C> Expression for InList<C>
where
    C: Expression,
{
    type SqlType = Bool;
}

impl<C> QueryFragment<Sqlite> for InList<C>
where
    C: Expression + QueryFragment<Sqlite>,
    C::SqlType: ColumnType,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (SELECT ");
        out.push_sql(C::SqlType::ITEM);
        out.push_sql(" FROM json_each(");
        out.push_bind_param::<Text, _>(&self.list)?;
        out.push_sql("))");
        Ok(())
    }
}

impl<C: QueryId> QueryId for InList<C> {
    type QueryId = InList<C::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = C::HAS_STATIC_QUERY_ID;
}

impl<C, S> AppearsOnTable<S> for InList<C>
where
    C: AppearsOnTable<S>,
    Self: Expression,
{
}

impl<C, S: QuerySource> SelectableExpression<S> for InList<C>
where
    C: SelectableExpression<S>,
    Self: AppearsOnTable<S>,
{
}

impl<C, G> ValidGrouping<G> for InList<C> {
    type IsAggregate = is_aggregate::Never;
}
