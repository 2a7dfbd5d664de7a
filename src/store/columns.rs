//! The domain's values as columns: the same for both databases, except the vault's own ids.

use super::Generation;
use crate::domain::{
    AgentId, ApprovedNames, AuditAction, AuditOutcome, Category, ChainId, DataKeyId, EntryId, EnvironmentNames,
    EventId, KeyPurpose, MilestoneId, ProjectId, ProjectStatus, Purpose, Role, Timestamp, UserId,
};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, Queryable};
use diesel::expression::AsExpression;
use diesel::internal::derives::as_expression::Bound;
use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Nullable, SingleValue, Text};
use diesel::sqlite::Sqlite;

/// Lets a type be bound to and loaded from columns of a SQL type, given its `ToSql` and `FromSql`.
macro_rules! column {
    ($ty:ty, $sql:ty) => {
        impl AsExpression<$sql> for $ty {
            type Expression = Bound<$sql, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<'a> AsExpression<$sql> for &'a $ty {
            type Expression = Bound<$sql, &'a $ty>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl AsExpression<Nullable<$sql>> for $ty {
            type Expression = Bound<Nullable<$sql>, Self>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
        impl<'a> AsExpression<Nullable<$sql>> for &'a $ty {
            type Expression = Bound<Nullable<$sql>, &'a $ty>;
            fn as_expression(self) -> Self::Expression {
                Bound::new(self)
            }
        }
    };
}

macro_rules! loadable {
    ($ty:ty) => {
        impl<ST: SingleValue, DB: Backend> Queryable<ST, DB> for $ty
        where
            Self: FromSql<ST, DB>,
        {
            type Row = Self;
            fn build(row: Self) -> deserialize::Result<Self> {
                Ok(row)
            }
        }
        impl<DB: Backend, ST> ToSql<Nullable<ST>, DB> for $ty
        where
            Self: ToSql<ST, DB>,
            ST: diesel::sql_types::SqlType<IsNull = diesel::sql_types::is_nullable::NotNull>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                ToSql::<ST, DB>::to_sql(self, out)
            }
        }
    };
}

macro_rules! text_columns {
    ($($ty:ty => $read:expr;)+) => {$(
        column!($ty, Text);
        loadable!($ty);
        impl<DB: Backend> FromSql<Text, DB> for $ty where String: FromSql<Text, DB> {
            fn from_sql(raw: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let text = String::from_sql(raw)?;
                let read: fn(String) -> Option<Self> = $read;
                read(text).ok_or_else(|| concat!("a column holds no ", stringify!($ty)).into())
            }
        }
        impl super::sqlite::Item for $ty {
            fn text(&self) -> String {
                self.as_str().to_owned()
            }
        }
        impl<DB: Backend> ToSql<Text, DB> for $ty where str: ToSql<Text, DB> {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.as_str().to_sql(out)
            }
        }
    )+};
}

text_columns! {
    ProjectId => |text| Self::parse(text).ok();
    MilestoneId => |text| Self::parse(text).ok();
    UserId => |text| Self::parse(text).ok();
    AgentId => |text| Self::parse(text).ok();
    Category => |text| Self::parse(&text);
    ProjectStatus => |text| Self::parse(&text);
    EnvironmentNames => |text| Self::parse(&text);
    ApprovedNames => |text| Self::parse(&text);
    Role => |text| Self::parse(&text);
    Purpose => |text| Self::parse(&text);
    AuditAction => |text| Self::parse(&text);
    AuditOutcome => |text| Self::parse(&text);
    KeyPurpose => |text| Self::parse(&text);
}

column!(Timestamp, BigInt);
loadable!(Timestamp);

impl FromSql<diesel::sql_types::Uuid, Pg> for Generation {
    fn from_sql(id: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        FromSql::<diesel::sql_types::Uuid, Pg>::from_sql(id).map(Self::OfProject)
    }
}

impl FromSql<BigInt, Sqlite> for Generation {
    fn from_sql(count: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        FromSql::<BigInt, Sqlite>::from_sql(count).map(Self::OfDatabase)
    }
}
loadable!(Generation);

impl<DB: Backend> FromSql<BigInt, DB> for Timestamp
where
    i64: FromSql<BigInt, DB>,
{
    fn from_sql(raw: DB::RawValue<'_>) -> deserialize::Result<Self> {
        i64::from_sql(raw).map(Self::from_millis)
    }
}

impl ToSql<BigInt, Pg> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<BigInt, Pg>::to_sql(&self.millis(), &mut out.reborrow())
    }
}

impl ToSql<BigInt, Sqlite> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.millis());
        Ok(IsNull::No)
    }
}

macro_rules! id_columns {
    ($($ty:ident),+) => {$(
        column!($ty, diesel::sql_types::Uuid);
        column!($ty, Binary);
        loadable!($ty);
        impl super::sqlite::Item for $ty {
            fn text(&self) -> String {
                self.0.simple().to_string()
            }
        }
        impl FromSql<diesel::sql_types::Uuid, Pg> for $ty {
            fn from_sql(raw: <Pg as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                <uuid::Uuid as FromSql<diesel::sql_types::Uuid, Pg>>::from_sql(raw).map(Self)
            }
        }
        impl ToSql<diesel::sql_types::Uuid, Pg> for $ty {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                ToSql::<diesel::sql_types::Uuid, Pg>::to_sql(&self.0, out)
            }
        }
        impl FromSql<Binary, Sqlite> for $ty {
            fn from_sql(raw: <Sqlite as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
                let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(raw)?;
                Ok(Self(uuid::Uuid::from_slice(&bytes)?))
            }
        }
        impl ToSql<Binary, Sqlite> for $ty {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.0.as_bytes().as_slice());
                Ok(IsNull::No)
            }
        }
    )+};
}

id_columns!(ChainId, EntryId, DataKeyId, EventId);
