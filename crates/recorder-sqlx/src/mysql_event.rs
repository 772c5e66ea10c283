//! An event as a row.

use std::borrow::Cow;

use boxes_recorder::{Append, RecorderError, StoredEvent};
use sqlx::MySql;

use crate::columns::Filled;
use crate::mysql_statements::Statements;
use crate::numbers::signed;
use crate::server_transaction::row_bytes;

/// Bytes of the name of a follower, at most: it is a key.
const MAX_FOLLOWER_BYTES: usize = 1_024;

/// Bytes of a topic or an encoding, at most: those of a `MEDIUMTEXT`.
const MAX_TEXT_BYTES: usize = 16_777_215;

/// Inserts the events with the ids `first`, `first` + 1, ….
pub(crate) fn insert(
    statements: &Statements,
    first: u64,
    events: &[Cow<'_, StoredEvent>],
) -> Result<Filled<MySql>, sqlx::Error> {
    let mut query = statements.insert.of_rows(events.len());
    for (id, event) in (first..).zip(events) {
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
    }
    Ok(query)
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
        if row_bytes(event) > max_bytes {
            return invalid(format!(
                "an event of {} bytes is larger than the {max_bytes} that the server takes: \
                 raise its `max_allowed_packet`, and start again",
                row_bytes(event)
            ));
        }
    }
    let values = append
        .key_values
        .iter()
        .filter_map(|write| write.new.as_ref());
    if let Some(value) = values.max_by_key(|value| value.len())
        && value.len() > max_bytes
    {
        return invalid(format!(
            "a value of {} bytes is larger than the {max_bytes} that the server takes: \
             raise its `max_allowed_packet`, and start again",
            value.len()
        ));
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
