//! What the columns of our tables hold, as the driver of a database takes and gives it.

use sqlx::database::HasStatementCache;
use sqlx::query::Query;
use sqlx::{ColumnIndex, Database, Decode, Encode, Row, Type};
use uuid::Uuid;

/// A statement with what fills its places.
pub(crate) type Filled<DB> = Query<'static, DB, <DB as Database>::Arguments>;

/// A database that has all the types of our columns. The bounds stand here once, so that code for several databases
/// asks for this and nothing else.
pub(crate) trait Columns: Database + HasStatementCache {
    /// The query with this in its next place.
    fn bind_number(query: Filled<Self>, number: i64) -> Filled<Self>;

    /// The query with this in its next place.
    fn bind_uuid(query: Filled<Self>, uuid: Uuid) -> Filled<Self>;

    /// The query with this in its next place.
    fn bind_text(query: Filled<Self>, text: &str) -> Filled<Self>;

    /// The query with this in its next place.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn bind_bytes(query: Filled<Self>, bytes: &[u8]) -> Filled<Self>;

    /// What a column holds, by its place from 0.
    fn number(row: &Self::Row, column: usize) -> Result<i64, sqlx::Error>;

    /// What a column holds, by its place from 0.
    fn uuid(row: &Self::Row, column: usize) -> Result<Uuid, sqlx::Error>;

    /// What a column holds, if it holds anything, by its place from 0.
    fn optional_uuid(row: &Self::Row, column: usize) -> Result<Option<Uuid>, sqlx::Error>;

    /// What a column holds, by its place from 0.
    fn text(row: &Self::Row, column: usize) -> Result<&str, sqlx::Error>;

    /// What a column holds, by its place from 0.
    fn bytes(row: &Self::Row, column: usize) -> Result<Vec<u8>, sqlx::Error>;
}

impl<DB: Database + HasStatementCache> Columns for DB
where
    i64: Type<DB> + for<'q> Encode<'q, DB> + for<'r> Decode<'r, DB>,
    Uuid: Type<DB> + for<'q> Encode<'q, DB> + for<'r> Decode<'r, DB>,
    str: Type<DB>,
    for<'q> &'q str: Type<DB> + Encode<'q, DB> + Decode<'q, DB>,
    for<'q> &'q [u8]: Type<DB> + Encode<'q, DB>,
    Vec<u8>: Type<DB> + for<'r> Decode<'r, DB>,
    usize: ColumnIndex<DB::Row>,
{
    fn bind_number(query: Filled<DB>, number: i64) -> Filled<DB> {
        query.bind(number)
    }

    fn bind_uuid(query: Filled<DB>, uuid: Uuid) -> Filled<DB> {
        query.bind(uuid)
    }

    fn bind_text(query: Filled<DB>, text: &str) -> Filled<DB> {
        query.bind(text)
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn bind_bytes(query: Filled<DB>, bytes: &[u8]) -> Filled<DB> {
        query.bind(bytes)
    }

    fn number(row: &DB::Row, column: usize) -> Result<i64, sqlx::Error> {
        row.try_get(column)
    }

    fn uuid(row: &DB::Row, column: usize) -> Result<Uuid, sqlx::Error> {
        row.try_get(column)
    }

    fn optional_uuid(row: &DB::Row, column: usize) -> Result<Option<Uuid>, sqlx::Error> {
        row.try_get(column)
    }

    fn text(row: &DB::Row, column: usize) -> Result<&str, sqlx::Error> {
        row.try_get(column)
    }

    fn bytes(row: &DB::Row, column: usize) -> Result<Vec<u8>, sqlx::Error> {
        row.try_get(column)
    }
}
