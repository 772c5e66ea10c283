//! An event as a row.

use boxes_recorder::{Append, Encoding, Notification, RecorderError, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, Row};

use crate::mysql_statements::Statements;
use crate::numbers::{signed, unsigned};

/// Rows in one statement, at most: a statement has up to 65,535 parameters, and an event has ten.
pub(crate) const MAX_ROWS: usize = 1_000;

/// Bytes that a row may have beside its texts and values: numbers, ids, lengths.
const ROW_BYTES: usize = 256;

/// Bytes of the name of a follower, at most: it is a key.
const MAX_FOLLOWER_BYTES: usize = 1_024;

/// Bytes of a topic or an encoding, at most: those of a `MEDIUMTEXT`.
const MAX_TEXT_BYTES: usize = 16_777_215;

/// Inserts the events with the ids `first`, `first` + 1, …: in one statement of up to `max_bytes`, unless they are very
/// many or very large.
pub(crate) async fn insert(
    connection: &mut MySqlConnection,
    statements: &Statements,
    first: u64,
    events: &[&StoredEvent],
    max_bytes: usize,
) -> Result<(), sqlx::Error> {
    let mut id = first;
    let mut rest = events;
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fitting = rest.iter().take(MAX_ROWS).take_while(|event| {
            bytes = bytes.saturating_add(size(event));
            bytes <= max_bytes
        });
        // One that alone is too large was refused before.
        let (now, later) = rest.split_at(fitting.count().max(1));
        let mut query = statements.insert.of_rows(now.len());
        for event in now {
            query = query
                .bind(signed(id)?)
                .bind(event.originator_id)
                .bind(signed(event.originator_version)?)
                .bind(event.event_id)
                .bind(&*event.topic)
                .bind(i64::from(event.schema_version))
                .bind(event.encoding.as_str())
                .bind(&*event.state)
                .bind(&*event.metadata)
                .bind(event.occurred_on.as_microsecond());
            id = id.saturating_add(1);
        }
        query.execute(&mut *connection).await?;
        rest = later;
    }
    Ok(())
}

fn size(event: &StoredEvent) -> usize {
    [
        event.state.len(),
        event.metadata.len(),
        event.topic.len(),
        event.encoding.as_str().len(),
    ]
    .into_iter()
    .fold(ROW_BYTES, usize::saturating_add)
}

/// Whether MySQL can keep it: its numbers have a sign, its keys and its messages an end.
pub(crate) fn storable(append: &Append, max_bytes: usize) -> Result<(), RecorderError> {
    let invalid = |reason: String| Err(RecorderError::Invalid { reason });
    for event in &append.events {
        if i64::try_from(event.originator_version).is_err() {
            return invalid(format!("MySQL keeps versions up to {}", i64::MAX));
        }
        if event.topic.len().max(event.encoding.as_str().len()) > MAX_TEXT_BYTES {
            return invalid(format!(
                "MySQL keeps topics and encodings of up to {MAX_TEXT_BYTES} bytes"
            ));
        }
        if size(event) > max_bytes {
            return invalid(format!(
                "an event of {} bytes is larger than the {max_bytes} that the server takes: \
                 raise its `max_allowed_packet`, and start again",
                size(event)
            ));
        }
    }
    if let Some(step) = &append.tracking {
        if i64::try_from(step.to).is_err() {
            return invalid(format!("MySQL keeps positions up to {}", i64::MAX));
        }
        if step.follower.len() > MAX_FOLLOWER_BYTES {
            return invalid(format!(
                "MySQL keeps names of followers of up to {MAX_FOLLOWER_BYTES} bytes"
            ));
        }
    }
    Ok(())
}

/// Reads a row of the columns of an event.
pub(crate) fn decode(row: &MySqlRow) -> Result<Notification, sqlx::Error> {
    let id = unsigned(row.try_get(0)?)?;
    let event = StoredEvent {
        originator_id: row.try_get(1)?,
        originator_version: unsigned(row.try_get(2)?)?,
        event_id: row.try_get(3)?,
        topic: row.try_get::<String, _>(4)?.into(),
        schema_version: u32::try_from(row.try_get::<i64, _>(5)?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
        encoding: encoding(row.try_get(6)?),
        state: Bytes::from(row.try_get::<Vec<u8>, _>(7)?),
        metadata: Bytes::from(row.try_get::<Vec<u8>, _>(8)?),
        occurred_on: Timestamp::from_microsecond(row.try_get(9)?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
    };
    Ok(Notification { id, event })
}

fn encoding(mark: &str) -> Encoding {
    if mark == Encoding::JSON.as_str() {
        Encoding::JSON
    } else {
        Encoding::new(mark.to_owned())
    }
}
