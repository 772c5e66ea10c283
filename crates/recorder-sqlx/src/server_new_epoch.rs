//! A new epoch for a log on a server, of either kind.

use boxes_recorder::RecorderError;
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;
use uuid::Uuid;

use crate::NewEpoch;
use crate::new_epoch::{no_log, other_log};
use crate::numbers::unsigned;
use crate::server::Server;
use crate::server_error::{timed_out, while_opening};
use crate::server_place::Place;
use crate::server_statements::Statements;
use crate::sql::Sql;

/// Gives the log of the box `name` this epoch, under its lock: who writes with the old one in mind is refused from then on.
pub(crate) async fn set_epoch<S: Server>(
    place: &Place<S>,
    name: &str,
    epoch: Uuid,
) -> Result<NewEpoch, RecorderError> {
    let setting = try_set(place, name, epoch);
    match timeout(place.limits.transaction_timeout(), setting).await {
        Ok(Err(error)) if S::is_missing(&error) => Err(no_log(name)),
        Ok(done) => done.map_err(while_opening::<S>)?,
        Err(_) => Err(while_opening::<S>(timed_out())),
    }
}

/// A connection that is not given back to the end takes its transaction with it.
async fn try_set<S: Server>(
    place: &Place<S>,
    name: &str,
    epoch: Uuid,
) -> Result<Result<NewEpoch, RecorderError>, sqlx::Error> {
    let statements = Statements::<S>::of(&place.tables);
    let mut connection = place.options.connect().await?;
    S::fetch_all_of(&Sql::new(S::writing(&place.limits)), &mut connection).await?;
    let rows = S::fetch_all_of(&statements.begin, &mut connection).await?;
    // The first row is the lock's.
    let Some(row) = rows.get(1) else {
        return Ok(Err(no_log(name)));
    };
    let (before, head) = (S::uuid(row, 0)?, unsigned(S::number(row, 1)?)?);
    let names = S::fetch_all(sqlx::query(statements.name.text()), &mut connection).await?;
    let found = names.first().map_or(Ok(""), |row| S::text(row, 0))?;
    if found != name {
        return Ok(Err(other_log(name, found)));
    }
    let query = S::bind_uuid(sqlx::query(statements.set_epoch.text()), epoch);
    S::fetch_all(query, &mut connection).await?;
    S::fetch_all_of(&statements.commit, &mut connection).await?;
    // One that can't say goodbye is gone as well.
    drop(connection.close().await);
    Ok(Ok(NewEpoch {
        before,
        now: epoch,
        head,
    }))
}
