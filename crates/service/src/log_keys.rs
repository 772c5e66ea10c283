//! Whether the configured keys are those of a log, and the log's data keys.

use std::collections::BTreeMap;

use boxes_application::{DataKeys, Error, SystemEdge};
use boxes_mapper::{KeyId, KeyProvider, Mapper, MapperError, StateKey};
use boxes_recorder::{KeyValueStore, Notification, Recorder, RecorderError};

/// The kind of the entries next to a log by which a key is recognised, each under the number of its key.
const KEY_CHECK: &str = "key-check";

/// How many events are looked at, at the beginning and at the end of a log.
const SAMPLE: u64 = 100;

/// The data keys of the log of `recorder`, which is that of a box whose events `mapper` reads and writes; `None` if no keys are
/// configured, or the store has no place for them.
///
/// `encrypts_none` says that what is written in the clear into an encrypted log is meant to be.
///
/// # Errors
///
/// [`RecorderError::Mismatch`] if the configured keys are not those of the log, or none are and the log is encrypted;
/// [`RecorderError::Unavailable`] if that can't be read now.
pub(crate) async fn data_keys(
    recorder: &dyn Recorder,
    mapper: &Mapper,
    encrypts_none: bool,
) -> Result<Option<DataKeys>, RecorderError> {
    let sample = sample(recorder).await?;
    let name = &recorder.log().name;
    if !mapper.encrypts_any() && !encrypts_none && is_encrypted(&sample) {
        return Err(RecorderError::Mismatch {
            reason: format!(
                "the newest events of the log `{name}` are encrypted, and this program would write others in the clear: set BOXES_KEYS or --keys-file, or --encrypt none if that is intended"
            ),
        });
    }
    let Some(keys) = mapper.keys() else {
        return Ok(None);
    };
    check_data_key(recorder, &sample).await?;
    if let Some(store) = recorder.key_value_store() {
        let mapper = mapper.clone().of_box(name).without_data_keys();
        check_keys(name, &*keys, &*store, &mapper, &sample).await?;
    }
    DataKeys::open(recorder, keys, &SystemEdge)
        .await
        .map_err(mismatch)
}

/// Holds that the data key is there if it is needed: a new one under the same number would hide the loss until a backup is restored,
/// and then what was written with it could not be read.
async fn check_data_key(
    recorder: &dyn Recorder,
    sample: &[Notification],
) -> Result<(), RecorderError> {
    let is_needed = sample
        .iter()
        .any(|item| matches!(Mapper::key_of(&item.event), Some(StateKey::Data(_))));
    if !is_needed {
        return Ok(());
    }
    let stored = DataKeys::stored(recorder).await.map_err(mismatch)?;
    if stored.is_some() {
        return Ok(());
    }
    Err(RecorderError::Mismatch {
        reason: format!(
            "the data key of the log `{}` is missing, and events are encrypted with it: restore the row of kind `data-key` in the table `key_value` from a backup",
            recorder.log().name
        ),
    })
}

fn mismatch(error: Error) -> RecorderError {
    match error {
        Error::Store(error) => error,
        other => RecorderError::Mismatch {
            reason: other.to_string(),
        },
    }
}

/// The first and the last events of a log.
async fn sample(recorder: &dyn Recorder) -> Result<Vec<Notification>, RecorderError> {
    let head = recorder.head().await?;
    let mut sample = recorder.select_notifications(1, SAMPLE).await?;
    let last = sample.last().map_or(0, |last| last.id);
    if head > last {
        let first = head.saturating_sub(SAMPLE - 1).max(last.saturating_add(1));
        sample.extend(recorder.select_notifications(first, SAMPLE).await?);
    }
    Ok(sample)
}

/// Whether any of the newest events is encrypted.
fn is_encrypted(sample: &[Notification]) -> bool {
    let newest = sample
        .iter()
        .rev()
        .take(usize::try_from(SAMPLE).unwrap_or(usize::MAX));
    newest
        .into_iter()
        .any(|item| Mapper::key_of(&item.event).is_some())
}

/// Compares each configured key with the one that the log knows under its number; one that it does not know yet is compared with
/// what was encrypted under that number before there were check values, and becomes known.
async fn check_keys(
    log: &str,
    keys: &dyn KeyProvider,
    store: &dyn KeyValueStore,
    mapper: &Mapper,
    sample: &[Notification],
) -> Result<(), RecorderError> {
    let other = |id: KeyId| RecorderError::Mismatch {
        reason: format!(
            "key {id} has a different value here than the key {id} with which the log `{log}` was written: configure that one, and give a new key a new number"
        ),
    };
    let opened = opened_by_number(mapper, sample);
    for id in keys.ids() {
        let Some(key) = keys.key(id) else { continue };
        let value = key.check_value(log);
        let entry = id.0.to_be_bytes();
        let known = store.get(KEY_CHECK, &entry).await?;
        let is_known = known.is_some();
        match known {
            Some(known) if *known != value => return Err(other(id)),
            None if opened.get(&id) == Some(&false) => return Err(other(id)),
            _ => {}
        }
        if !is_known && !store.put_if_absent(KEY_CHECK, &entry, &value).await? {
            let known = store.get(KEY_CHECK, &entry).await?;
            if known.is_some_and(|known| *known != value) {
                return Err(other(id));
            }
        }
    }
    Ok(())
}

/// Of each configured key with which any of these events were encrypted, whether it opens one of them.
fn opened_by_number(mapper: &Mapper, sample: &[Notification]) -> BTreeMap<KeyId, bool> {
    let mut opened = BTreeMap::new();
    for item in sample {
        let Some(StateKey::Configured(id)) = Mapper::key_of(&item.event) else {
            continue;
        };
        let is_opened = opened.entry(id).or_insert(false);
        if !*is_opened {
            let read = mapper.check_authentic(&item.event);
            *is_opened = !matches!(read, Err(MapperError::NotAuthentic { .. }));
        }
    }
    opened
}
