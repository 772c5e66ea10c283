//! A log is stored anew, encrypted as its box encrypts now.

use boxes_application::{StoredSubjectKeys, StoredValues};
use boxes_mapper::{Mapper, MapperError};
use boxes_recorder::{Append, Notification, Recorder, RecorderError, Tracking};
use bytes::Bytes;
use thiserror::Error;

/// How many events are read, and recorded in one transaction, at a time.
const BATCH: u64 = 100;

/// Why it ends early. What was stored before stays; the same may be run again and goes on there.
#[derive(Debug, Error)]
pub(crate) enum ReencryptError {
    #[error(
        "the store that was named for the new log holds events that are none of this one: name another, which is made"
    )]
    Another,
    #[error("event {id} can't be read with the keys that are configured, or not be stored")]
    Mapper { id: u64, source: MapperError },
    #[error("the events from {first} to {last} can't be stored")]
    Refused {
        first: u64,
        last: u64,
        source: RecorderError,
    },
    #[error("the log ends before event {id}, which was there a moment ago")]
    Cut { id: u64 },
    #[error("the keys of subjects can't be copied")]
    Keys(#[from] boxes_application::Error),
    #[error("the values that are stored apart from events can't be copied")]
    Values(#[source] boxes_application::Error),
    #[error(transparent)]
    Recorder(#[from] RecorderError),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reencrypted {
    /// Events that were stored by this run.
    pub(crate) n_new: u64,
    /// Events in the new log.
    pub(crate) head: u64,
    /// Events that the box has recorded meanwhile, which another run has to bring.
    pub(crate) n_left: u64,
    /// Keys of subjects in the new store.
    pub(crate) n_keys: u64,
    /// Values that are stored apart from the events that name them, in the new store or in the folder of both.
    pub(crate) n_values: u64,
}

/// Stores the events of `source` in `target`, under the same ids, as `mapper` writes them now; and how far the box has come in
/// the logs of `upstreams`.
///
/// Goes on behind what `target` has already, after a look whether it is the same log. `progress` is told after each
/// batch how many events are done. What the source gets meanwhile is left for another run.
pub(crate) async fn reencrypt(
    source: &dyn Recorder,
    target: &dyn Recorder,
    mapper: &Mapper,
    upstreams: impl IntoIterator<Item = &str>,
    values: Option<(StoredValues, StoredValues)>,
    mut progress: impl FnMut(u64),
) -> Result<Reencrypted, ReencryptError> {
    // Before the head: what a step caused is copied with it, or neither.
    let mut steps = Vec::new();
    for upstream in upstreams {
        if let Some(position) = source.tracking(upstream).await? {
            steps.push((upstream, position));
        }
    }
    let head = source.head().await?;
    let before = target.head().await?;
    check_is_same(source, target, before.min(head), before > head).await?;
    let mut done = before;
    progress(done);
    while done < head {
        let first = done.saturating_add(1);
        let limit = BATCH.min(head.saturating_sub(done));
        let read = source.select_notifications(first, limit).await?;
        let last = read.last().ok_or(ReencryptError::Cut { id: first })?.id;
        let events = read
            .iter()
            .map(|notification| {
                let rewritten = mapper.rewrite(&notification.event);
                rewritten.map_err(|source| ReencryptError::Mapper {
                    id: notification.id,
                    source,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let refused = |source| ReencryptError::Refused {
            first,
            last,
            source,
        };
        record(target, Append::new(events)).await.map_err(refused)?;
        done = last;
        progress(done);
    }
    for (upstream, position) in steps {
        let from = target.tracking(upstream).await?;
        if from.is_none_or(|from| from.id < position.id) {
            let step = Tracking {
                follower: upstream.to_owned(),
                epoch: position.epoch,
                from,
                to: position.id,
                event_id: position.event_id,
            };
            record(target, Append::default().with_tracking(step)).await?;
        }
    }
    Ok(Reencrypted {
        n_new: head.saturating_sub(before),
        head,
        n_left: source.head().await?.saturating_sub(head),
        n_keys: copy_keys(source, target, mapper).await?,
        n_values: match values {
            Some((from, into)) => copy_values(&from, &into, mapper).await?,
            None => 0,
        },
    })
}

/// Holds that what the target has is the beginning of the source.
async fn check_is_same(
    source: &dyn Recorder,
    target: &dyn Recorder,
    last: u64,
    is_longer: bool,
) -> Result<(), ReencryptError> {
    if is_longer {
        return Err(ReencryptError::Another);
    }
    if last == 0 {
        return Ok(());
    }
    let one = source.select_notifications(last, 1).await?;
    let other = target.select_notifications(last, 1).await?;
    let id = |read: &[Notification]| read.first().map(|read| read.event.event_id);
    if id(&one) != id(&other) {
        return Err(ReencryptError::Another);
    }
    Ok(())
}

async fn record(target: &dyn Recorder, append: Append) -> Result<(), RecorderError> {
    let outcomes = target.record(&[append]).await?;
    outcomes
        .into_iter()
        .try_for_each(|outcome| outcome.map(drop))
}

/// The values that are stored apart from the events, as `mapper` writes them now.
async fn copy_values(
    from: &StoredValues,
    into: &StoredValues,
    mapper: &Mapper,
) -> Result<u64, ReencryptError> {
    let rewrite = |id, stored: &Bytes| {
        let content = mapper.read_value(id, stored)?;
        Ok(mapper.write_value(id, content)?)
    };
    from.rewrite(into, rewrite)
        .await
        .map_err(ReencryptError::Values)
}

/// The keys of subjects that lie beside the events.
async fn copy_keys(
    source: &dyn Recorder,
    target: &dyn Recorder,
    mapper: &Mapper,
) -> Result<u64, ReencryptError> {
    let (Some(from), Some(into)) = (source.key_value_store(), target.key_value_store()) else {
        return Ok(0);
    };
    let keys = |store| {
        let keys = StoredSubjectKeys::new(store);
        match mapper.keys() {
            Some(wrapping) => keys.wrapped_by(wrapping),
            None => keys,
        }
    };
    Ok(keys(from).copy_into(&keys(into)).await?)
}
