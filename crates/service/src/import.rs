//! Events of the Python library `eventsourcing` become the log of a box.

use std::collections::BTreeMap;

use boxes_mapper::{Mapper, MapperError, Metadata, PythonStates, PythonStatesError};
use boxes_recorder::{
    Append, Encoding, Notification, Position, Recorder, RecorderError, StoredEvent, Tracking,
};
use boxes_recorder_sqlx::{PythonEvent, PythonTable};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

use crate::import_report::{ImportReport, ImportSummary};
use crate::python_time::python_time;

/// How many events are read, and recorded in one transaction, at a time.
const BATCH: u64 = 1_000;

/// Stands for the history of a Python table, which has no epoch of its own.
const EPOCH: Uuid = Uuid::from_u128(0x8c3a_1f0e_5b5d_4d0c_9b1e_6f2f_70e1_7a9d);

/// Why an import ends early. What was imported before stays; the same import may be run again and goes on there.
#[derive(Debug, Error)]
pub(crate) enum ImportError {
    #[error(
        "the box has {head} events that no import wrote: import into a box that has none, before it is used"
    )]
    NotEmpty { head: u64 },
    #[error(
        "the event with id {old_id} is not what an earlier run imported as {new_id}: the table or --topic has changed; import into a new store"
    )]
    Changed { old_id: u64, new_id: u64 },
    #[error(
        "the earlier run came to id {position}, which the table does not have any more: it has changed; import into a new store"
    )]
    Shortened { position: u64 },
    #[error(
        "the box has recorded events of its own since the earlier run: stop it, and import into a new store"
    )]
    Used,
    #[error(
        "the aggregate of the event with id {old_id} is `{originator_id}`: boxes know aggregates by UUIDs alone"
    )]
    NoUuid { old_id: u64, originator_id: String },
    #[error(
        "the state of the event with id {old_id} ({topic}) is not JSON on one line: if the application compresses or encrypts states, say so by --compressed or --cipher-key-variable; if it has a transcoder of its own, let it write a new table as JSON first"
    )]
    NoJson { old_id: u64, topic: String },
    #[error(
        "the event with id {old_id} has the topic `{topic}`, which no aggregate of the box has, so that the box could not read it: give its event type #[event(alias = \"{topic}\")], rename it with --topic, or import it all the same with --any-topic"
    )]
    UnknownTopic { old_id: u64, topic: String },
    #[error("the state of the event with id {old_id} ({topic}) is not read")]
    State {
        old_id: u64,
        topic: String,
        source: PythonStatesError,
    },
    #[error(
        "the event with id {old_id} can't be stored, or what an earlier run stored can't be read"
    )]
    Mapper { old_id: u64, source: MapperError },
    #[error("the events with ids from {first} to {last} can't be imported")]
    Refused {
        first: u64,
        last: u64,
        source: RecorderError,
    },
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    #[error("the report can't be written")]
    Report(#[from] std::io::Error),
}

/// The follower whose position says how far the table has been imported, recorded together with the events.
pub(crate) fn follower(table: &str) -> String {
    format!("import:python:{table}")
}

/// How a row becomes an event of the box.
pub(crate) struct Translation<'a> {
    /// How states stand in the table.
    pub(crate) states: PythonStates,
    /// How they are stored in the box.
    pub(crate) mapper: &'a Mapper,
    /// New topics by old ones; others are kept.
    pub(crate) topics: BTreeMap<String, String>,
    /// Whether the box reads a topic; others are refused.
    pub(crate) reads: &'a (dyn Fn(&str) -> bool + Sync),
    /// The time of events that do not say when they happened.
    pub(crate) now: Timestamp,
}

/// Brings all events of the table into the log, in their order, under the ids that come next.
///
/// What an earlier run brought is compared instead, so the report is always the whole one. `progress` is told
/// after each batch how many events are done.
pub(crate) async fn import(
    recorder: &dyn Recorder,
    source: &mut PythonTable,
    follower: String,
    translation: &Translation<'_>,
    mut report: ImportReport,
    mut progress: impl FnMut(u64),
) -> Result<ImportSummary, ImportError> {
    let mut position = recorder.tracking(&follower).await?;
    let head = recorder.head().await?;
    if position.is_none() && head > 0 {
        return Err(ImportError::NotEmpty { head });
    }
    let earlier = position.map_or(0, |position| position.id);
    let mut after = 0;
    let mut new_id: u64 = 0;
    loop {
        // A batch that is compared ends where the earlier run ended: `earlier` parts the pages.
        let mut rows = source.page(after, BATCH).await?;
        if after < earlier {
            rows.retain(|row| row.notification_id <= earlier);
        }
        let Some(last) = rows.last().map(|row| row.notification_id) else {
            if after < earlier {
                return Err(ImportError::Shortened { position: earlier });
            }
            break;
        };
        let events: Vec<Made> = rows
            .iter()
            .map(|row| translation.made(row))
            .collect::<Result<_, _>>()?;
        if after < earlier {
            compare(recorder, translation.mapper, &rows, &events, new_id).await?;
        } else {
            let step = Tracking {
                follower: follower.clone(),
                epoch: EPOCH,
                from: position,
                to: last,
                event_id: None,
            };
            let stored = translation.stored(&rows, &events)?;
            record(recorder, &rows, stored, new_id, step).await?;
            position = Some(Position::new(EPOCH, last));
            report.recorded(rows.len());
        }
        for (row, event) in rows.iter().zip(&events) {
            new_id = new_id.saturating_add(1);
            report.event(row, new_id, &event.plain.topic, event.has_time)?;
        }
        after = last;
        progress(new_id);
    }
    Ok(report.finish()?)
}

/// Records rows as one batch with its step, as the events after `before`.
async fn record(
    recorder: &dyn Recorder,
    rows: &[PythonEvent],
    events: Vec<StoredEvent>,
    before: u64,
    step: Tracking,
) -> Result<(), ImportError> {
    // A box that runs meanwhile would stand between two batches.
    if recorder.head().await? != before {
        return Err(ImportError::Used);
    }
    let append = Append::new(events).with_tracking(step);
    let answers = recorder.record(&[append]).await?;
    for answer in answers {
        answer.map_err(|source| ImportError::Refused {
            first: rows.first().map_or(0, |row| row.notification_id),
            last: rows.last().map_or(0, |row| row.notification_id),
            source,
        })?;
    }
    Ok(())
}

/// Holds rows against what an earlier run made of them, as the events after `before`.
async fn compare(
    recorder: &dyn Recorder,
    mapper: &Mapper,
    rows: &[PythonEvent],
    events: &[Made],
    before: u64,
) -> Result<(), ImportError> {
    let n_rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let found = recorder
        .select_notifications(before.saturating_add(1), n_rows)
        .await?;
    let mut found = found.iter();
    let mut new_id = before;
    for (row, event) in rows.iter().zip(events) {
        new_id = new_id.saturating_add(1);
        let old_id = row.notification_id;
        let is_same = match found.next() {
            Some(found) => event
                .is_in(found, mapper)
                .map_err(|source| ImportError::Mapper { old_id, source })?,
            None => false,
        };
        if !is_same {
            return Err(ImportError::Changed { old_id, new_id });
        }
    }
    Ok(())
}

/// What becomes of a row.
struct Made {
    /// Its state is plain JSON.
    plain: StoredEvent,
    /// Whether the row says when it happened.
    has_time: bool,
}

impl Made {
    /// Whether the notification was made of the same row. The time of an import is not the row's, and an earlier run may
    /// have stored states in another way. If its stream was deleted since, what is left of it is compared.
    fn is_in(&self, found: &Notification, mapper: &Mapper) -> Result<bool, MapperError> {
        let mut found = found.event.clone();
        if found.is_redacted() {
            return Ok(found.event_id == self.plain.event_id
                && found.originator_id == self.plain.originator_id
                && found.originator_version == self.plain.originator_version);
        }
        let json = mapper.read_json(&found)?;
        // In another format its values are kept, and not the text of the JSON.
        if json == self.plain.state
            || !found.encoding.is_json() && is_same(&json, &self.plain.state)
        {
            found.state = self.plain.state.clone();
        } else {
            found.state = json;
        }
        found.encoding = self.plain.encoding.clone();
        if !self.has_time {
            found.occurred_on = self.plain.occurred_on;
        }
        Ok(found == self.plain)
    }
}

impl Translation<'_> {
    fn made(&self, row: &PythonEvent) -> Result<Made, ImportError> {
        let old_id = row.notification_id;
        let originator_id =
            Uuid::try_parse(&row.originator_id).map_err(|_| ImportError::NoUuid {
                old_id,
                originator_id: row.originator_id.clone(),
            })?;
        let state = self
            .states
            .read(&row.state)
            .map_err(|source| ImportError::State {
                old_id,
                topic: row.topic.clone(),
                source,
            })?;
        if !is_json_on_one_line(&state) {
            return Err(ImportError::NoJson {
                old_id,
                topic: row.topic.clone(),
            });
        }
        let time = python_time(&state);
        let topic = self.topics.get(&row.topic).unwrap_or(&row.topic).clone();
        if !(self.reads)(&topic) {
            return Err(ImportError::UnknownTopic { old_id, topic });
        }
        Ok(Made {
            plain: StoredEvent {
                // The same in every run.
                event_id: Uuid::new_v5(&originator_id, &row.originator_version.to_be_bytes()),
                originator_id,
                originator_version: row.originator_version,
                topic: topic.into(),
                schema_version: 1,
                encoding: Encoding::JSON,
                state,
                metadata: Metadata::default().to_bytes(),
                occurred_on: time.unwrap_or(self.now),
            },
            has_time: time.is_some(),
        })
    }

    /// The events as the box stores them.
    fn stored(
        &self,
        rows: &[PythonEvent],
        events: &[Made],
    ) -> Result<Vec<StoredEvent>, ImportError> {
        let store = |(row, event): (&PythonEvent, &Made)| {
            let stored = self.mapper.write_json(event.plain.clone());
            stored.map_err(|source| ImportError::Mapper {
                old_id: row.notification_id,
                source,
            })
        };
        rows.iter().zip(events).map(store).collect()
    }
}

/// Whether both texts are JSON of one value.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let value = |json| serde_json::from_slice::<Value>(json);
    matches!((value(one), value(other)), (Ok(one), Ok(other)) if one == other)
}

fn is_json_on_one_line(state: &[u8]) -> bool {
    std::str::from_utf8(state).is_ok_and(|text| {
        !text.contains(['\n', '\r']) && serde_json::from_str::<IgnoredAny>(text).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: &'static [u8]) -> PythonEvent {
        PythonEvent {
            notification_id: 7,
            originator_id: "d1ff6d071ab640b6aa1bf431b1cc40ff".to_owned(),
            originator_version: 1,
            topic: "kennel:Dog.Registered".to_owned(),
            state: state.into(),
        }
    }

    fn made(row: &PythonEvent) -> Result<Made, ImportError> {
        let translation = Translation {
            states: PythonStates::default(),
            mapper: &Mapper::default(),
            topics: BTreeMap::new(),
            reads: &|_| true,
            now: Timestamp::UNIX_EPOCH,
        };
        translation.made(row)
    }

    #[test]
    fn the_time_of_a_state_is_kept_and_one_without_gets_that_of_the_import() {
        let state = br#"{"timestamp":{"_type_":"datetime_iso","_data_":"2026-01-02T03:04:05.678901+00:00"}}"#;
        let timed = made(&row(state)).unwrap();
        assert_eq!(
            timed.plain.occurred_on.to_string(),
            "2026-01-02T03:04:05.678901Z"
        );
        assert!(timed.has_time);
        let untimed = made(&row(b"{}")).unwrap();
        assert_eq!(untimed.plain.occurred_on, Timestamp::UNIX_EPOCH);
        assert!(!untimed.has_time);
    }

    #[test]
    fn a_state_is_kept_byte_for_byte_and_refused_where_a_page_could_not_hold_it() {
        let state = b"{ \"n\" : 1.50 }";
        let kept = made(&row(state)).unwrap();
        assert_eq!(kept.plain.state, &state[..]);
        for state in [
            &b"x\x9c\xabV\xca"[..],
            b"{\"n\":\n1}",
            b"",
            b"{} {}",
            b"\"\xff\"",
        ] {
            let refused = made(&row(state));
            assert!(matches!(
                refused,
                Err(ImportError::NoJson { old_id: 7, .. })
            ));
        }
    }
}
