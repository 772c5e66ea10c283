//! How PostgreSQL is read.

use boxes_recorder::RecorderError;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, PgConnection, Postgres};

use crate::postgres_error::{is_connection_lost, unavailable};
use crate::server_readers::{self, Server};

pub(crate) type Readers = server_readers::Readers<Postgres>;

/// What is said to the server at the beginning of a session that reads. The time-out is shorter than [`READ_TIMEOUT`](server_readers::READ_TIMEOUT),
/// so that the server is the first to give up, and says why.
const SESSION: &str = "SELECT set_config('default_transaction_read_only', 'on', false), set_config('statement_timeout', '15s', false)";

impl Server for Postgres {
    type Options = PgConnectOptions;

    async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
        let mut connection = options.connect().await?;
        sqlx::raw_sql(SESSION).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn fetch_all<'q>(
        query: Query<'q, Self, PgArguments>,
        connection: &mut PgConnection,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        query.fetch_all(connection).await
    }

    fn is_connection_lost(error: &sqlx::Error) -> bool {
        is_connection_lost(error)
    }

    fn unavailable(doing: &'static str, error: sqlx::Error) -> RecorderError {
        unavailable(doing)(error)
    }
}
