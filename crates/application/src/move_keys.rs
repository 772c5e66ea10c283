//! Keys of subjects are moved into the store that several services share.

use std::collections::BTreeMap;

use boxes_mapper::{SubjectKey, SubjectKeyId};
use boxes_recorder::{KeyValueStore, RecorderError};
use bytes::Bytes;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::subject_key_provider::{FORGETTING, LAST, SUBJECT, SUBJECT_KEY};
use crate::{Edge, Error, StoredSubjectKeys, SystemEdge};

/// How many keys are listed at a time.
const AT_A_TIME: u64 = 100;

/// How often a key that others change at the same time is looked at again.
const MAX_ATTEMPTS: u32 = 5;

/// An entry that is there for a moment, by which a store is told from another.
const PROBE: &str = "probe";

/// An entry that never is, by which a store is asked to take what was deleted out of its files.
const MOVED: &[u8] = b"moved";

/// The bytes of an id at the end of an entry that leads from a subject to its key.
const ID_BYTES: usize = 16;

/// The outcome of moving keys of subjects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MovedKeys {
    /// Keys that were moved.
    pub n_keys: u64,
    /// Marks of forgotten subjects that were moved.
    pub n_forgotten: u64,
}

/// What leads from subjects to their keys, by the ids of those.
type Entries = BTreeMap<SubjectKeyId, Vec<Bytes>>;

impl StoredSubjectKeys {
    /// Moves the keys of its other stores, as they are, into the one in which new ones are made.
    ///
    /// A box may use the stores at the same time if it looks in all of them, as one does that is started with the shared store. A
    /// subject that is forgotten in either store stays forgotten. May be repeated, also after it was cut short, and continues there.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Invalid`] if one of the others is the same store.
    /// - [`Error::Store`] if keys can't be reached now: do it again.
    pub async fn move_here(&self) -> Result<MovedKeys, Error> {
        let stores = self.stores();
        let mut moved = MovedKeys::default();
        let Some((to, others)) = stores.split_first() else {
            return Ok(moved);
        };
        for from in others {
            check_is_another(&**from, &**to).await?;
            let n_before = moved;
            let entries = entries_of(&**from).await?;
            let mut after = Vec::new();
            loop {
                let ids = from.list_keys(SUBJECT_KEY, &after, AT_A_TIME).await?;
                let Some(last) = ids.last() else { break };
                after = last.to_vec();
                for id in &ids {
                    if let Ok(id) = Uuid::from_slice(id) {
                        move_key(&**from, &**to, SubjectKeyId(id), &entries, &mut moved).await?;
                    }
                }
            }
            if moved != n_before {
                from.erase(SUBJECT_KEY, MOVED).await?;
            }
        }
        Ok(moved)
    }
}

async fn move_key(
    from: &dyn KeyValueStore,
    to: &dyn KeyValueStore,
    id: SubjectKeyId,
    entries: &Entries,
    moved: &mut MovedKeys,
) -> Result<(), Error> {
    let entries = entries.get(&id).map(Vec::as_slice).unwrap_or_default();
    let key = id.0.as_bytes();
    for _ in 0..MAX_ATTEMPTS {
        let Some(kept) = kept(from, id).await? else {
            return Ok(());
        };
        let is_forgotten = is_forgotten(id, &kept);
        if is_forgotten {
            forget(to, id, &kept).await?;
        } else {
            // If it is forgotten there, it stays so.
            to.put_if_absent(SUBJECT_KEY, key, &kept).await?;
            let is_there = self::kept(to, id).await?;
            if is_there.is_some_and(|there| !self::is_forgotten(id, &there)) {
                for entry in entries {
                    to.put(SUBJECT, entry, &[]).await?;
                }
            }
        }
        // Somebody may have been forgotten meanwhile.
        if self::kept(from, id).await?.is_none_or(|now| *now != *kept) {
            continue;
        }
        for entry in entries {
            from.delete(SUBJECT, entry).await?;
        }
        from.delete(SUBJECT_KEY, key).await?;
        let n = match is_forgotten {
            true => &mut moved.n_forgotten,
            false => &mut moved.n_keys,
        };
        *n = n.saturating_add(1);
        return Ok(());
    }
    Err(RecorderError::Unavailable {
        reason: format!(
            "moving the key {id} of a subject: it is changed at the same time, again and again"
        ),
        source: None,
    }
    .into())
}

/// Puts the mark of a forgotten key where the key may be.
async fn forget(to: &dyn KeyValueStore, id: SubjectKeyId, mark: &[u8]) -> Result<(), Error> {
    let there = kept(to, id).await?;
    if there.as_ref().is_some_and(|there| is_forgotten(id, there)) {
        return Ok(());
    }
    to.put(SUBJECT_KEY, id.0.as_bytes(), mark).await?;
    if there.is_none() {
        return Ok(());
    }
    to.put(FORGETTING, LAST, SystemEdge.new_id().as_bytes())
        .await?;
    for entry in entries_of(to).await?.remove(&id).unwrap_or_default() {
        to.delete(SUBJECT, &entry).await?;
    }
    Ok(to.erase(SUBJECT_KEY, MOVED).await?)
}

async fn kept(
    store: &dyn KeyValueStore,
    id: SubjectKeyId,
) -> Result<Option<Zeroizing<Vec<u8>>>, RecorderError> {
    let kept = store.get(SUBJECT_KEY, id.0.as_bytes()).await?;
    // It may be the key itself.
    Ok(kept.map(|kept| Zeroizing::new(kept.to_vec())))
}

fn is_forgotten(id: SubjectKeyId, kept: &[u8]) -> bool {
    matches!(
        SubjectKey::from_bytes(id, kept, None),
        Ok(SubjectKey::Forgotten)
    )
}

/// Moving within one store would delete what it has just put there.
async fn check_is_another(from: &dyn KeyValueStore, to: &dyn KeyValueStore) -> Result<(), Error> {
    let probe = SystemEdge.new_id();
    to.put(PROBE, probe.as_bytes(), &[]).await?;
    let is_same = from.get(PROBE, probe.as_bytes()).await;
    to.delete(PROBE, probe.as_bytes()).await?;
    if is_same?.is_some() {
        return Err(RecorderError::Invalid {
            reason: "the keys of subjects are in this store already: it is that of one of the boxes, or a store is named twice"
                .to_owned(),
        }
        .into());
    }
    Ok(())
}

async fn entries_of(store: &dyn KeyValueStore) -> Result<Entries, Error> {
    let mut entries = Entries::new();
    let mut after = Vec::new();
    loop {
        let listed = store.list_keys(SUBJECT, &after, AT_A_TIME).await?;
        let Some(last) = listed.last() else {
            return Ok(entries);
        };
        after = last.to_vec();
        for entry in listed {
            if let Some((_, id)) = entry.split_last_chunk::<ID_BYTES>() {
                let id = SubjectKeyId(Uuid::from_bytes(*id));
                entries.entry(id).or_default().push(entry);
            }
        }
    }
}
