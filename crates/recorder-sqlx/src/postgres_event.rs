//! An event as a row.

use std::borrow::Cow;

use boxes_recorder::{Append, RecorderError, StoredEvent};
use sqlx::Postgres;

use crate::columns::Filled;
use crate::numbers::signed;
use crate::postgres_statements::Statements;

/// Bytes of state and metadata in one event, at most. PostgreSQL's values and messages end at 1 GiB.
pub(crate) const MAX_EVENT_BYTES: usize = 256 * 1024 * 1024;

/// Inserts the events with the ids `first`, `first` + 1, …, column by column.
pub(crate) fn insert(
    statements: &Statements,
    first: u64,
    events: &[Cow<'_, StoredEvent>],
) -> Result<Filled<Postgres>, sqlx::Error> {
    fn column<T>(
        events: &[Cow<'_, StoredEvent>],
        of: impl FnMut(&Cow<'_, StoredEvent>) -> T,
    ) -> Vec<T> {
        events.iter().map(of).collect()
    }
    let ids: Vec<i64> = (first..)
        .zip(events)
        .map(|(id, _)| signed(id))
        .collect::<Result<_, _>>()?;
    let versions: Vec<i64> = events
        .iter()
        .map(|event| signed(event.originator_version))
        .collect::<Result<_, _>>()?;
    let topics: Vec<&str> = events.iter().map(|event| &*event.topic).collect();
    let encodings: Vec<&str> = events.iter().map(|event| event.encoding.as_str()).collect();
    let states: Vec<&[u8]> = events.iter().map(|event| &*event.state).collect();
    let metadata: Vec<&[u8]> = events.iter().map(|event| &*event.metadata).collect();
    Ok(statements
        .insert
        .query()
        .bind(ids)
        .bind(column(events, |event| event.originator_id))
        .bind(versions)
        .bind(column(events, |event| event.event_id))
        .bind(topics)
        .bind(column(events, |event| i64::from(event.schema_version)))
        .bind(encodings)
        .bind(states)
        .bind(metadata)
        .bind(column(events, |event| event.occurred_on.as_microsecond())))
}

fn size(event: &StoredEvent) -> usize {
    event.state.len().saturating_add(event.metadata.len())
}

/// Whether PostgreSQL can keep it: its numbers have a sign, its texts no NUL, its values an end.
pub(crate) fn storable(append: &Append) -> Result<(), RecorderError> {
    let invalid = |reason: String| Err(RecorderError::Invalid { reason });
    for event in &append.events {
        if i64::try_from(event.originator_version).is_err() {
            return invalid(format!("PostgreSQL keeps versions up to {}", i64::MAX));
        }
        if event.topic.contains('\0') || event.encoding.as_str().contains('\0') {
            return invalid("PostgreSQL keeps no NUL in a topic or an encoding".to_owned());
        }
        if size(event) > MAX_EVENT_BYTES {
            return invalid(format!(
                "an event of {} bytes is larger than {MAX_EVENT_BYTES}",
                size(event)
            ));
        }
    }
    if let Some(step) = &append.tracking {
        if i64::try_from(step.to).is_err() {
            return invalid(format!("PostgreSQL keeps positions up to {}", i64::MAX));
        }
        if step.follower.contains('\0') {
            return invalid("PostgreSQL keeps no NUL in the name of a follower".to_owned());
        }
    }
    Ok(())
}
