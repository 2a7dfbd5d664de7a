//! The embedded authorizer's tuples.

use super::super::backend::{Connection, Db, load, one_of};
use super::super::schema::tuples;
use crate::store::records::TupleRow;
use crate::store::statement::fixed;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

/// The tuples of these objects that can matter for a decision about these subjects: the subjects'
/// own, usersets, and those of relations that lead to other objects.
pub async fn tuples_about(
    conn: &mut Connection,
    objects: &[String],
    subjects: &[String],
    links: &[String],
) -> QueryResult<Vec<TupleRow>> {
    let found = tuples::table
        .filter(one_of(tuples::object, objects))
        .filter(one_of(tuples::subject, subjects).or(one_of(tuples::relation, links)).or(tuples::subject.like("%#%")));
    load!(found, conn)
}

/// What these subjects are in a tuple with: each project once, with an empty relation, and all other
/// objects with their relations. At most `limit`.
pub async fn objects_of(conn: &mut Connection, subjects: &[String], limit: i64) -> QueryResult<Vec<(String, String)>> {
    tuples::table
        .filter(one_of(tuples::subject, subjects))
        .select((tuples::object, fixed::<Text>("CASE WHEN object LIKE 'project:%' THEN '' ELSE relation END")))
        .distinct()
        .limit(limit)
        .load(conn)
        .await
}

/// The tuples of one object; with a `subject`, that subject's tuples on every object whose name
/// begins with `object`.
pub async fn read_tuples(
    conn: &mut Connection,
    object: &str,
    relation: Option<&str>,
    subject: Option<&str>,
) -> QueryResult<Vec<TupleRow>> {
    let mut query = tuples::table.into_boxed::<Db>();
    match subject {
        Some(subject) => query = query.filter(tuples::subject.eq(subject)),
        None => query = query.filter(tuples::object.eq(object)),
    }
    if let Some(relation) = relation {
        query = query.filter(tuples::relation.eq(relation));
    }
    let mut found: Vec<TupleRow> = query.order((tuples::object, tuples::relation, tuples::subject)).load(conn).await?;
    found.retain(|tuple| tuple.object.starts_with(object));
    Ok(found)
}

/// Adds tuples that do not exist yet.
pub async fn insert_tuples(conn: &mut Connection, rows: &[TupleRow]) -> QueryResult<()> {
    for row in rows {
        diesel::insert_into(tuples::table)
            .values((
                tuples::object.eq(&row.object),
                tuples::relation.eq(&row.relation),
                tuples::subject.eq(&row.subject),
            ))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Removes tuples that exist.
pub async fn delete_tuples(conn: &mut Connection, rows: &[TupleRow]) -> QueryResult<()> {
    for row in rows {
        diesel::delete(tuples::table.find((&row.object, &row.relation, &row.subject))).execute(conn).await?;
    }
    Ok(())
}
