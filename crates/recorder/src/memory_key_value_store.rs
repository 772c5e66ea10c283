//! Entries in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Entry, KeyValueBounds, KeyValueStore, RecorderError};

/// Keys and values in the memory of this process. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryKeyValueStore {
    kinds: Arc<RwLock<Kinds>>,
}

type Entries = BTreeMap<Bytes, Bytes>;

/// Entries by their kind.
pub(crate) type Kinds = BTreeMap<String, Entries>;

impl MemoryKeyValueStore {
    fn read(&self) -> RwLockReadGuard<'_, Kinds> {
        // A map is whole between two of its operations.
        self.kinds.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Kinds> {
        self.kinds.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyValueStore for MemoryKeyValueStore {
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError> {
        KeyValueBounds::check(kind, key)?;
        let kinds = self.read();
        Ok(kinds
            .get(kind)
            .and_then(|entries| entries.get(key))
            .cloned())
    }

    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        let mut kinds = self.write();
        let entries = kinds.entry(kind.to_owned()).or_default();
        let is_new = !entries.contains_key(key);
        if is_new {
            entries.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        }
        Ok(is_new)
    }

    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check_entry(kind, key, value)?;
        self.write()
            .entry(kind.to_owned())
            .or_default()
            .insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        Ok(())
    }

    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError> {
        KeyValueBounds::check_entry(kind, key, from)?;
        KeyValueBounds::check_entry(kind, key, to)?;
        let mut kinds = self.write();
        let value = kinds
            .get_mut(kind)
            .and_then(|entries| entries.get_mut(key))
            .filter(|value| value[..] == *from);
        let is_there = value.is_some();
        if let Some(value) = value {
            *value = Bytes::copy_from_slice(to);
        }
        Ok(is_there)
    }

    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        KeyValueBounds::check(kind, key)?;
        if let Some(entries) = self.write().get_mut(kind) {
            entries.remove(key);
        }
        Ok(())
    }

    async fn list(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Entry>, RecorderError> {
        KeyValueBounds::check_kind(kind)?;
        let kinds = self.read();
        let Some(entries) = kinds.get(kind) else {
            return Ok(Vec::new());
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(entries
            .range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded))
            .take(limit)
            .map(|(key, value)| Entry {
                key: key.clone(),
                value: value.clone(),
            })
            .collect())
    }

    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError> {
        let entries = self.list(kind, after, limit).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }
}

// Written out: values may be secrets.
impl fmt::Debug for MemoryKeyValueStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.read()
                    .iter()
                    .map(|(kind, entries)| (kind, entries.len())),
            )
            .finish()
    }
}
