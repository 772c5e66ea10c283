//! How `MySQL` and `MariaDB` is read.

use boxes_recorder::RecorderError;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, MySql, MySqlConnection};

use crate::mysql_error::{is_connection_lost, unavailable};
use crate::server_readers::{self, Server};

pub(crate) type Readers = server_readers::Readers<MySql>;

/// What is said to the server at the beginning of a session that reads: under REPEATABLE READ, MySQL's default, a
/// transaction sees what was there when it began.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY";

impl Server for MySql {
    type Options = MySqlConnectOptions;

    async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, sqlx::Error> {
        let mut connection = options.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn fetch_all<'q>(
        query: Query<'q, Self, MySqlArguments>,
        connection: &mut MySqlConnection,
    ) -> Result<Vec<MySqlRow>, sqlx::Error> {
        query.fetch_all(connection).await
    }

    fn is_connection_lost(error: &sqlx::Error) -> bool {
        is_connection_lost(error)
    }

    fn unavailable(doing: &'static str, error: sqlx::Error) -> RecorderError {
        unavailable(doing)(error)
    }
}
