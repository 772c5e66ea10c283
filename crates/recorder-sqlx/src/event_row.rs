//! An event as a row that was read, from whichever database.

use boxes_recorder::{Encoding, Notification, StoredEvent};
use bytes::Bytes;
use jiff::Timestamp;

use crate::columns::Columns;
use crate::numbers::unsigned;

/// The columns of an event in the order of [`decode`], which is also that in which they are bound; a literal, to stand
/// in SQL.
macro_rules! event_columns {
    () => {
        "id, originator_id, originator_version, event_id, topic, schema_version, encoding, state, metadata, occurred_on"
    };
}
pub(crate) use event_columns;

/// Reads a row that was selected with [`event_columns`].
pub(crate) fn decode<DB: Columns>(row: &DB::Row) -> Result<Notification, sqlx::Error> {
    let id = unsigned(DB::number(row, 0)?)?;
    let event = StoredEvent {
        originator_id: DB::uuid(row, 1)?,
        originator_version: unsigned(DB::number(row, 2)?)?,
        event_id: DB::uuid(row, 3)?,
        topic: DB::text(row, 4)?.to_owned().into(),
        schema_version: u32::try_from(DB::number(row, 5)?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
        encoding: encoding(DB::text(row, 6)?),
        state: Bytes::from(DB::bytes(row, 7)?),
        metadata: Bytes::from(DB::bytes(row, 8)?),
        occurred_on: Timestamp::from_microsecond(DB::number(row, 9)?)
            .map_err(|error| sqlx::Error::Decode(error.into()))?,
    };
    Ok(Notification { id, event })
}

/// Most are JSON, which is known without a copy.
fn encoding(mark: &str) -> Encoding {
    if mark == Encoding::JSON.as_str() {
        Encoding::JSON
    } else {
        Encoding::new(mark.to_owned())
    }
}
