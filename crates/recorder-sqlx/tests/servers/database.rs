//! A place for a log on a server, and what one server has other than another.

use std::sync::Arc;
use std::time::Duration;

use boxes_recorder::{GroupCommit, GroupCommitBounds, Notification, Recorder, RecorderError};
use boxes_recorder_sqlx::{MysqlRecorder, OpenLog, PostgresRecorder};
use boxes_test_servers::{NewServer, Server};
use boxes_testing::{mysql_url, postgres_url};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Mysql,
}

/// The tables of one box, made when it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) url: String,
}

/// A session of somebody else.
pub(crate) enum Session {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Database {
    /// New tables on the server that tests share.
    pub(crate) fn new(kind: Kind) -> Self {
        let url = match kind {
            Kind::Postgres => postgres_url(),
            Kind::Mysql => mysql_url(),
        };
        Self { kind, url }
    }

    /// New tables on a server of the test's own.
    pub(crate) fn on(kind: Kind, server: &Server) -> Self {
        let parameter = match kind {
            Kind::Postgres => "schema",
            Kind::Mysql => "prefix",
        };
        Self {
            kind,
            url: format!("{}?{parameter}=orders", server.url()),
        }
    }

    /// The same tables with another parameter in the URL.
    pub(crate) fn with(&self, parameter: &str) -> Self {
        Self {
            kind: self.kind,
            url: format!("{}&{parameter}", self.url),
        }
    }

    /// The same tables by another way, on which everything can be read.
    pub(crate) fn through(&self, port: u16) -> Self {
        let (before, rest) = self.url.split_once('@').unwrap();
        let (_, path) = rest.split_once('/').unwrap();
        let plain = match self.kind {
            Kind::Postgres => "sslmode=disable",
            Kind::Mysql => "ssl-mode=DISABLED",
        };
        Self {
            kind: self.kind,
            url: format!("{before}@127.0.0.1:{port}/{path}&{plain}"),
        }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        let (_, rest) = self.url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0
    }

    pub(crate) async fn open(&self) -> Result<Arc<dyn Recorder>, RecorderError> {
        let log = OpenLog::named("orders");
        Ok(match self.kind {
            Kind::Postgres => Arc::new(PostgresRecorder::open(&self.url, log).await?),
            Kind::Mysql => Arc::new(MysqlRecorder::open(&self.url, log).await?),
        })
    }

    pub(crate) async fn recorder(&self) -> Arc<dyn Recorder> {
        self.open().await.unwrap()
    }

    pub(crate) async fn commit(&self) -> GroupCommit {
        GroupCommit::start(self.recorder().await, GroupCommitBounds::default())
            .await
            .unwrap()
    }

    pub(crate) async fn whole_log(&self) -> Vec<Notification> {
        let recorder = self.recorder().await;
        recorder.select_notifications(1, u64::MAX).await.unwrap()
    }

    /// The name of the schema, or the prefix of the tables.
    pub(crate) fn name(&self) -> &str {
        let (_, parameters) = self.url.split_once('?').unwrap();
        let (_, name) = parameters
            .split('&')
            .next()
            .unwrap()
            .split_once('=')
            .unwrap();
        name
    }

    fn table(&self, table: &str) -> String {
        match self.kind {
            Kind::Postgres => format!("{}.{table}", self.name()),
            Kind::Mysql => format!("{}_{table}", self.name()),
        }
    }

    /// `{log}`, `{events}`, `{tracking}` and `{writers}` in SQL are the tables.
    pub(crate) fn sql(&self, sql: &str) -> String {
        sql.replace("{log}", &self.table("notification_log"))
            .replace("{events}", &self.table("stored_event"))
            .replace("{tracking}", &self.table("tracking"))
            .replace("{writers}", &self.table("writer"))
    }

    pub(crate) async fn session(&self) -> Session {
        let (server, _) = self.url.split_once('?').unwrap();
        match self.kind {
            Kind::Postgres => Session::Postgres(PgConnection::connect(server).await.unwrap()),
            Kind::Mysql => Session::Mysql(MySqlConnection::connect(server).await.unwrap()),
        }
    }

    /// Takes the log's lock, which a writer of the box has or waits for, until the session's transaction ends.
    pub(crate) async fn lock_log(&self, session: &mut Session) {
        let sql = match self.kind {
            // The writer has the only advisory lock under this schema's name in its application.
            Kind::Postgres => {
                let key = format!(
                    "SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                     WHERE l.locktype = 'advisory' AND a.application_name = '{}' LIMIT 1",
                    self.name()
                );
                let key = session.number(&key).await;
                format!("SELECT 1::bigint FROM (SELECT pg_advisory_xact_lock({key})) AS locked")
            }
            Kind::Mysql => self.sql("SELECT CAST(page_size AS SIGNED) FROM {log} FOR UPDATE"),
        };
        session.number(&sql).await;
    }

    /// The same with a name by which `lock_log` and `n_waiting` know its sessions on PostgreSQL.
    pub(crate) fn with_own_name(&self) -> Self {
        match self.kind {
            Kind::Postgres => self.with(&format!("application_name={}", self.name())),
            Kind::Mysql => self.clone(),
        }
    }

    /// How many sessions wait for a lock in a statement on these tables.
    pub(crate) async fn n_waiting(&self, session: &mut Session) -> i64 {
        let sql = match self.kind {
            Kind::Postgres => format!(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{}%'",
                self.name()
            ),
            Kind::Mysql => format!(
                "SELECT (SELECT COUNT(*) FROM information_schema.innodb_trx
                         WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%{0}%')
                      + (SELECT COUNT(*) FROM information_schema.processlist
                         WHERE id <> CONNECTION_ID() AND info LIKE '%{0}%'
                           AND state IN ('User lock', 'Waiting for table metadata lock'))",
                self.name()
            ),
        };
        session.number_of_waits(&sql).await
    }

    /// Whether these bytes, which a client sent at once, ask for a commit.
    pub(crate) fn is_commit(kind: Kind, bytes: &[u8]) -> bool {
        match kind {
            // A simple query: its letter, its length, and the text.
            Kind::Postgres => bytes.first() == Some(&b'Q') && bytes.ends_with(b"COMMIT\0"),
            // A header of four bytes, the number of the command, and the text.
            Kind::Mysql => bytes.get(4) == Some(&3) && bytes.ends_with(b"COMMIT"),
        }
    }
}

impl Kind {
    /// A server of the test's own, not yet started.
    pub(crate) fn new_server(self) -> NewServer {
        let new = match self {
            Self::Postgres => NewServer::postgres(),
            Self::Mysql => NewServer::mariadb(),
        };
        new.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Session {
    pub(crate) async fn execute(&mut self, sql: &str) {
        self.try_execute(sql).await.unwrap();
    }

    pub(crate) async fn try_execute(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres(session) => query.execute(session).await.map(|_| ()),
            Self::Mysql(session) => query.execute(session).await.map(|_| ()),
        }
    }

    /// The same of a query that looks for who waits. `InnoDB` makes its list of transactions anew only when nobody has looked for a
    /// tenth of a second: the tests look one after the other, and not all the time.
    pub(crate) async fn number_of_waits(&mut self, sql: &str) -> i64 {
        static LOOKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _looking = LOOKING.lock().await;
        if matches!(self, Self::Mysql(_)) {
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        self.number(sql).await
    }

    /// The text that a query gives.
    pub(crate) async fn text(&mut self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(session) => sqlx::query_scalar(sql).fetch_one(session).await,
            Self::Mysql(session) => sqlx::query_scalar(sql).fetch_one(session).await,
        }
        .unwrap()
    }

    /// The whole number that a query gives.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(session) => sqlx::query_scalar(sql).fetch_one(session).await,
            Self::Mysql(session) => sqlx::query_scalar(sql).fetch_one(session).await,
        }
        .unwrap()
    }
}
