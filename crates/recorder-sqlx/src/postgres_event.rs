//! An event as a row.

use boxes_recorder::{Append, Encoding, Notification, RecorderError, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::numbers::{signed, unsigned};
use crate::postgres_statements::Statements;

/// Rows in one statement, at most: beyond that nothing is won, and a message has an end.
const MAX_ROWS: usize = 8_192;

/// Bytes of state and metadata in one event, at most. PostgreSQL's values and messages end at 1 GiB.
const MAX_EVENT_BYTES: usize = 256 * 1024 * 1024;

/// Bytes of state and metadata in one statement, at most, unless it is a single event.
const MAX_STATEMENT_BYTES: usize = MAX_EVENT_BYTES;

/// Inserts the events with the ids `first`, `first` + 1, …: in one statement, unless they are very many or very large.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    statements: &Statements,
    first: u64,
    events: &[&StoredEvent],
) -> Result<(), sqlx::Error> {
    let mut id = first;
    let mut columns = Columns::default();
    for event in events {
        if columns.is_full_for(event) {
            std::mem::take(&mut columns)
                .insert(connection, statements)
                .await?;
        }
        columns.push(id, event)?;
        id = id.saturating_add(1);
    }
    columns.insert(connection, statements).await
}

/// Events, column by column.
#[derive(Default)]
struct Columns<'a> {
    bytes: usize,
    ids: Vec<i64>,
    originator_ids: Vec<Uuid>,
    originator_versions: Vec<i64>,
    event_ids: Vec<Uuid>,
    topics: Vec<&'a str>,
    schema_versions: Vec<i64>,
    encodings: Vec<&'a str>,
    states: Vec<&'a [u8]>,
    metadata: Vec<&'a [u8]>,
    occurred_on: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn is_full_for(&self, event: &StoredEvent) -> bool {
        !self.ids.is_empty()
            && (self.ids.len() >= MAX_ROWS
                || self.bytes.saturating_add(size(event)) > MAX_STATEMENT_BYTES)
    }

    fn push(&mut self, id: u64, event: &'a StoredEvent) -> Result<(), sqlx::Error> {
        self.bytes = self.bytes.saturating_add(size(event));
        self.ids.push(signed(id)?);
        self.originator_ids.push(event.originator_id);
        self.originator_versions
            .push(signed(event.originator_version)?);
        self.event_ids.push(event.event_id);
        self.topics.push(&event.topic);
        self.schema_versions.push(event.schema_version.into());
        self.encodings.push(event.encoding.as_str());
        self.states.push(&event.state);
        self.metadata.push(&event.metadata);
        self.occurred_on.push(event.occurred_on.as_microsecond());
        Ok(())
    }

    async fn insert(
        self,
        connection: &mut PgConnection,
        statements: &Statements,
    ) -> Result<(), sqlx::Error> {
        if self.ids.is_empty() {
            return Ok(());
        }
        sqlx::query(statements.insert.text())
            .bind(self.ids)
            .bind(self.originator_ids)
            .bind(self.originator_versions)
            .bind(self.event_ids)
            .bind(self.topics)
            .bind(self.schema_versions)
            .bind(self.encodings)
            .bind(self.states)
            .bind(self.metadata)
            .bind(self.occurred_on)
            .execute(connection)
            .await?;
        Ok(())
    }
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

/// Reads a row of the columns of an event.
pub(crate) fn decode(row: &PgRow) -> Result<Notification, sqlx::Error> {
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
