//! Statements in plain SQL, where `diesel` has no expression for them or would prepare them on
//! every call: it keeps no prepared statement for `sql_query`, for upserts and for batches of rows.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, TypedExpressionType, ValidGrouping, is_aggregate,
};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType, SqlType};
use std::marker::PhantomData;

/// A statement that each connection prepares once.
pub struct Statement<B> {
    sql: &'static str,
    binds: B,
}

/// A statement. Each `?` of `sql` stands for the next of `binds`, a tuple, and for all parts of one
/// that is a tuple itself, with commas between them; it holds no other `?`, not even in a literal.
pub fn statement<B>(sql: &'static str, binds: B) -> Statement<B> {
    Statement { sql, binds }
}

impl<B> QueryId for Statement<B> {
    type QueryId = ();
    // It is found again by its SQL.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<B, DB> QueryFragment<DB> for Statement<B>
where
    DB: Backend,
    B: Binds<DB>,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.binds.put_into(self.sql, out)
    }
}

/// The parameters of a [`Statement`].
pub trait Binds<DB: Backend> {
    /// Writes the statement, with a parameter in the place of each `?`.
    fn put_into<'b>(&'b self, sql: &'static str, out: AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

macro_rules! binds {
    ($($bind:ident)+) => {
        impl<DB: Backend, $($bind: QueryFragment<DB>),+> Binds<DB> for ($($bind,)+) {
            fn put_into<'b>(&'b self, sql: &'static str, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
                #[allow(non_snake_case, reason = "a variable for each type")]
                let ($($bind,)+) = self;
                let mut parts = sql.split('?');
                out.push_sql(parts.next().unwrap_or_default());
                $(
                    $bind.walk_ast(out.reborrow())?;
                    out.push_sql(parts.next().unwrap_or_default());
                )+
                debug_assert_eq!(parts.next(), None, "a parameter is missing");
                Ok(())
            }
        }
    };
}

/// An expression in plain SQL. Unlike with `diesel`'s own, statements with it are kept prepared.
#[derive(Clone, Copy)]
pub struct Fixed<ST> {
    sql: &'static str,
    kind: PhantomData<ST>,
}

/// An expression in plain SQL, of the type `ST`.
pub const fn fixed<ST>(sql: &'static str) -> Fixed<ST> {
    Fixed { sql, kind: PhantomData }
}

impl<ST: SqlType + TypedExpressionType> Expression for Fixed<ST> {
    type SqlType = ST;
}
impl<ST, From> AppearsOnTable<From> for Fixed<ST> where Self: Expression {}
impl<ST, From> SelectableExpression<From> for Fixed<ST> where Self: Expression {}
impl<ST, GroupBy> ValidGrouping<GroupBy> for Fixed<ST> {
    type IsAggregate = is_aggregate::Never;
}
impl<ST> QueryId for Fixed<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<ST, DB: Backend> QueryFragment<DB> for Fixed<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.sql);
        Ok(())
    }
}

/// A condition in plain SQL about numbers. Statements with it are kept prepared.
#[derive(Clone, Copy)]
pub struct Compared {
    before: &'static str,
    number: i64,
    after: &'static str,
}

/// A condition in plain SQL: `before`, a number of 64 bits, and `after`.
pub const fn compared(before: &'static str, number: i64, after: &'static str) -> Compared {
    Compared { before, number, after }
}

impl Expression for Compared {
    type SqlType = Bool;
}
impl<From> AppearsOnTable<From> for Compared {}
impl<From> SelectableExpression<From> for Compared {}
impl<GroupBy> ValidGrouping<GroupBy> for Compared {
    type IsAggregate = is_aggregate::Never;
}
impl QueryId for Compared {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<DB> QueryFragment<DB> for Compared
where
    DB: Backend + HasSqlType<BigInt>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.before);
        out.push_bind_param::<BigInt, _>(&self.number)?;
        out.push_sql(self.after);
        Ok(())
    }
}

/// The SQL that inserts events into a table. Its parameter is a tuple of the columns in this order,
/// from which `$source` gives the rows.
macro_rules! insert_events_from {
    ($table:literal, $source:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (id, occurred_at, project_id, action, outcome, reason, count, actor, subject, role, agent_id, \
             entry_id, entry_name, entry_version, entry_revision, milestone_id, purpose, session_id, tool, \
             request_id, chain_id, seq, prev, mac) ",
            $source,
            "(?)"
        )
    };
}
pub(super) use insert_events_from;

binds! { A }
binds! { A B }
binds! { A B C }
binds! { A B C D }
