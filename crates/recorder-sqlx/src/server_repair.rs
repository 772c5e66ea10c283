//! What an administrator does to a log on a server, of either kind, after a restore.

use boxes_recorder::{Position, RecorderError};
use sqlx::Connection;
use tokio::time::timeout;
use uuid::Uuid;

use crate::NewEpoch;
use crate::new_epoch::{no_log, other_log};
use crate::numbers::unsigned;
use crate::server::Server;
use crate::server_error::{timed_out, while_opening};
use crate::server_place::Place;
use crate::server_statements::Statements;
use crate::server_transaction::decode_position;

/// Gives the log of the box `name` this epoch, under its lock: who writes with the old one in mind is refused from then on.
pub(crate) async fn set_epoch<S: Server>(
    place: &Place<S>,
    name: &str,
    epoch: Uuid,
) -> Result<NewEpoch, RecorderError> {
    let setting = async {
        let mut repair = match Repair::begin(place, name).await? {
            Ok(repair) => repair,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let query = repair.statements.set_epoch.query();
        S::fetch_all(S::bind_uuid(query, epoch), &mut repair.connection).await?;
        let renewed = NewEpoch {
            before: repair.epoch,
            now: epoch,
            head: repair.head,
        };
        repair.commit().await?;
        Ok(Ok(renewed))
    };
    within_time(place, name, setting).await
}

/// Sets the position of a follower of the box `name`, and gives the one that it had.
pub(crate) async fn set_position<S: Server>(
    place: &Place<S>,
    name: &str,
    follower: &str,
    position: Position,
) -> Result<Option<Position>, RecorderError> {
    let setting = async {
        let mut repair = match Repair::begin(place, name).await? {
            Ok(repair) => repair,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let own = &repair.statements.own;
        let rows = S::fetch_all(S::positions(own, &[follower]), &mut repair.connection).await?;
        let before = rows.first().map(decode_position::<S>).transpose()?;
        let save = S::save_positions(own, &[(follower, position)])?;
        S::fetch_all(save, &mut repair.connection).await?;
        repair.commit().await?;
        Ok(Ok(before))
    };
    within_time(place, name, setting).await
}

async fn within_time<S: Server, T>(
    place: &Place<S>,
    name: &str,
    setting: impl Future<Output = Result<Result<T, RecorderError>, sqlx::Error>>,
) -> Result<T, RecorderError> {
    match timeout(place.limits.transaction_timeout(), setting).await {
        Ok(Err(error)) if S::is_missing(&error) => Err(no_log(name)),
        Ok(done) => done.map_err(while_opening::<S>)?,
        Err(_) => Err(while_opening::<S>(timed_out())),
    }
}

/// A transaction that has the log's lock. One that is not committed goes with its connection.
struct Repair<S: Server> {
    connection: S::Connection,
    statements: Statements<S>,
    epoch: Uuid,
    head: u64,
}

impl<S: Server> Repair<S> {
    async fn begin(
        place: &Place<S>,
        name: &str,
    ) -> Result<Result<Self, RecorderError>, sqlx::Error> {
        let place = place.with_whatever_sessions();
        let statements = Statements::<S>::of(&place.tables);
        let mut connection = place.hosts.connect_to_write().await?;
        let rows = S::fetch_all_of(&statements.begin, &mut connection).await?;
        // The first row is the lock's.
        let Some(row) = rows.get(1) else {
            return Ok(Err(no_log(name)));
        };
        let (epoch, head) = (S::uuid(row, 0)?, unsigned(S::number(row, 1)?)?);
        let names = S::fetch_all(statements.name.query(), &mut connection).await?;
        let found = names.first().map_or(Ok(""), |row| S::text(row, 0))?;
        if found != name {
            return Ok(Err(other_log(name, found)));
        }
        Ok(Ok(Self {
            connection,
            statements,
            epoch,
            head,
        }))
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        S::fetch_all_of(&self.statements.commit, &mut self.connection).await?;
        // One that can't say goodbye is gone as well.
        drop(self.connection.close().await);
        Ok(())
    }
}
