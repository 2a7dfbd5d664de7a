//! The embedded authorizer's tuples.

use super::super::backend::{Connection, Db};
use super::super::schema::tuples;
use crate::store::records::TupleRow;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn tuples_of_objects(conn: &mut Connection, objects: &[(String, String)]) -> QueryResult<Vec<TupleRow>> {
    let mut query = tuples::table.into_boxed::<Db>().filter(tuples::object_type.eq("").and(tuples::object_id.eq("")));
    for (object_type, object_id) in objects {
        query = query.or_filter(tuples::object_type.eq(object_type).and(tuples::object_id.eq(object_id)));
    }
    query.load(conn).await
}

pub async fn tuples_of_users(conn: &mut Connection, users: &[(String, String)]) -> QueryResult<Vec<TupleRow>> {
    let mut query = tuples::table.into_boxed::<Db>().filter(tuples::user_type.eq("").and(tuples::user_id.eq("")));
    for (user_type, user_id) in users {
        query = query.or_filter(tuples::user_type.eq(user_type).and(tuples::user_id.eq(user_id)));
    }
    query.load(conn).await
}

pub async fn insert_tuples(conn: &mut Connection, rows: &[TupleRow]) -> QueryResult<()> {
    for t in rows {
        diesel::insert_into(tuples::table)
            .values((
                tuples::object_type.eq(&t.object_type),
                tuples::object_id.eq(&t.object_id),
                tuples::relation.eq(&t.relation),
                tuples::user_type.eq(&t.user_type),
                tuples::user_id.eq(&t.user_id),
                tuples::user_relation.eq(&t.user_relation),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(())
}

pub async fn delete_tuples(conn: &mut Connection, rows: &[TupleRow]) -> QueryResult<()> {
    for t in rows {
        diesel::delete(tuples::table.find((
            &t.object_type,
            &t.object_id,
            &t.relation,
            &t.user_type,
            &t.user_id,
            &t.user_relation,
        )))
        .execute(conn)
        .await?;
    }
    Ok(())
}
