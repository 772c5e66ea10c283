//! What an administrator does to a log in a SQLite file after a restore.

use boxes_recorder::{Position, RecorderError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::new_epoch::{no_log, other_log};
use crate::sqlite_error::{is_busy, is_missing, unavailable};
use crate::sqlite_schema::find;
use crate::sqlite_writer::{head, position, save_position};
use crate::{NewEpoch, OpenLog};

/// Gives the log a new epoch, in a file that nobody else has open: a process that has would go on with the old one.
pub(crate) async fn set_epoch(
    options: SqliteConnectOptions,
    log: &OpenLog,
) -> Result<NewEpoch, RecorderError> {
    const DOING: &str = "giving the log a new epoch";
    let setting = async |connection: &mut SqliteConnection| {
        let before = match find(connection).await? {
            Some(found) if found.name == log.name => found.epoch,
            Some(found) => return Ok(Err(other_log(&log.name, &found.name))),
            None => return Ok(Err(no_log(&log.name))),
        };
        let head = head(connection).await?;
        sqlx::query("UPDATE notification_log SET epoch = ?")
            .bind(log.new_epoch)
            .execute(connection)
            .await?;
        Ok(Ok(NewEpoch {
            before,
            now: log.new_epoch,
            head,
        }))
    };
    alone(options, DOING, &log.name, setting).await
}

/// Sets the position of a follower of the box `name`, and gives the one that it had.
pub(crate) async fn set_position(
    options: SqliteConnectOptions,
    name: &str,
    follower: &str,
    to: Position,
) -> Result<Option<Position>, RecorderError> {
    const DOING: &str = "setting the position of a follower";
    let setting = async |connection: &mut SqliteConnection| {
        match find(connection).await? {
            Some(found) if found.name == name => {}
            Some(found) => return Ok(Err(other_log(name, &found.name))),
            None => return Ok(Err(no_log(name))),
        }
        let before = position(connection, follower).await?;
        save_position(connection, follower, to).await?;
        Ok(Ok(before))
    };
    alone(options, DOING, name, setting).await
}

async fn alone<T>(
    options: SqliteConnectOptions,
    doing: &'static str,
    name: &str,
    setting: impl AsyncFnOnce(&mut SqliteConnection) -> Result<Result<T, RecorderError>, sqlx::Error>,
) -> Result<T, RecorderError> {
    // With the log written ahead, this is had by none while another one has the file open.
    let options = options.locking_mode(SqliteLockingMode::Exclusive);
    let trying = async {
        let mut connection = options.connect().await?;
        let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await?;
        let done = setting(&mut transaction).await?;
        if done.is_ok() {
            transaction.commit().await?;
            connection.close().await?;
        }
        Ok(done)
    };
    match trying.await {
        Err(error) if is_busy(&error) => Err(RecorderError::unavailable(
            format!("{doing}: a process has the database open, so stop the box first"),
            error,
        )),
        Err(error) if is_missing(&error) => Err(no_log(name)),
        done => done.map_err(unavailable(doing))?,
    }
}
