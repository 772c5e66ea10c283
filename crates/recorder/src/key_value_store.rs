//! What a box keeps beside its log.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::RecorderError;

/// The longest name of a kind, in bytes.
pub const MAX_KIND_BYTES: usize = 32;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The longest value, in bytes: half of what a database server takes in one message if nobody configured it.
pub const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;

/// An entry of a [`KeyValueStore`].
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
}

// Written out: a value may be a secret.
impl Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .finish()
    }
}

/// A small store of bytes by key, beside the log of a box and in the same database: for what belongs to a log and is not
/// an event, such as keys of subjects, seals, snapshots, values that are too large for an event.
///
/// Entries are of kinds, which know nothing of each other: who keeps something here chooses a kind of its own, such as
/// `subject-key`. Values are opaque. Each operation here is a transaction of its own, durable when it returns, and seen
/// by all that work on the store. What has to be written together with events is part of their
/// [append](crate::Append::key_values).
///
/// The contract is held by the suite in `boxes-testing` that every engine runs. [`Recorder::key_value_store`] gives that of
/// a box.
///
/// ```
/// # use boxes_recorder::{KeyValueStore, RecorderError};
/// # async fn example(store: &dyn KeyValueStore) -> Result<(), RecorderError> {
/// store.put("greeting", b"en", b"hello").await?;
/// assert!(!store.put_if_absent("greeting", b"en", b"hi").await?);
/// assert_eq!(store.get("greeting", b"en").await?.as_deref(), Some(&b"hello"[..]));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap()
/// #     .block_on(example(&boxes_recorder::MemoryKeyValueStore::default())).unwrap();
/// ```
///
/// [`Recorder::key_value_store`]: crate::Recorder::key_value_store
#[async_trait]
pub trait KeyValueStore: Debug + Send + Sync + 'static {
    /// The value of a key, if it has one.
    ///
    /// # Errors
    ///
    /// - [`RecorderError::Invalid`] if `kind` or `key` are [out of bounds](KeyValueBounds): mend the caller.
    /// - [`RecorderError::Unavailable`] if the store does not answer: try later.
    async fn get(&self, kind: &str, key: &[u8]) -> Result<Option<Bytes>, RecorderError>;

    /// Gives a key a value, unless it has one. Of several that try at once, one succeeds.
    ///
    /// Says whether this value is new there. `false` may also mean that this very call did it: when a connection breaks, the
    /// store tries again. [`get`](Self::get) tells whose value it is.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), and [`RecorderError::OutcomeUnknown`] if it may have been done: do it again, or look.
    async fn put_if_absent(
        &self,
        kind: &str,
        key: &[u8],
        value: &[u8],
    ) -> Result<bool, RecorderError>;

    /// Gives a key a value, in the place of the one that it has, if it has one.
    ///
    /// # Errors
    ///
    /// As [`put_if_absent`](Self::put_if_absent).
    async fn put(&self, kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError>;

    /// Gives a key the value `to` in the place of `from`, if that is what it has: for who read a value, makes another of it, and
    /// must not undo what others did meanwhile. Of several that try at once, one succeeds.
    ///
    /// Says whether it did; not if the key has no value. `false` may also mean that this very call did it, as with
    /// [`put_if_absent`](Self::put_if_absent): [`get`](Self::get) tells what is there now.
    ///
    /// # Errors
    ///
    /// As [`put_if_absent`](Self::put_if_absent).
    async fn replace(
        &self,
        kind: &str,
        key: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<bool, RecorderError>;

    /// Takes a key and its value away; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// As [`put_if_absent`](Self::put_if_absent).
    async fn delete(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError>;

    /// As [`delete`](Self::delete), and also out of the files of the store as far as it has them in its own hands, so that
    /// nobody who takes these files afterwards finds the value: for secrets. What was deleted or replaced before is out of
    /// them as well then, also if this key has no value.
    ///
    /// What it can't reach are copies elsewhere: backups, replicas, and what a database server keeps of the past.
    ///
    /// # Errors
    ///
    /// As [`put_if_absent`](Self::put_if_absent). After [`RecorderError::Unavailable`] the value may be deleted and still be in
    /// the files: do it again.
    async fn erase(&self, kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        self.delete(kind, key).await
    }

    /// Takes these values, which were deleted or replaced before, out of the files of the store as far as it has them in its own
    /// hands, also out of places that the engine itself does not use any more; without any, everything that was deleted or
    /// replaced. Parts of 8 bytes count, so a value should be a secret that occurs nowhere else.
    ///
    /// May take as long as rewriting all of the store, while others can't write.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Unavailable`] if it can't be done now, or was not: do it again.
    async fn scrub(&self, values: &[&[u8]]) -> Result<(), RecorderError> {
        let _ = values;
        Ok(())
    }

    /// The entries of a kind whose keys come after `after`, in the order of the keys' bytes, at most `limit`; all of
    /// them come after the empty key. Fewer than `limit` only at the end.
    ///
    /// They are in memory at once: take a `limit` that fits the size of the values.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    async fn list(&self, kind: &str, after: &[u8], limit: u64)
    -> Result<Vec<Entry>, RecorderError>;

    /// As [`list`](Self::list), without the values.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    async fn list_keys(
        &self,
        kind: &str,
        after: &[u8],
        limit: u64,
    ) -> Result<Vec<Bytes>, RecorderError>;
}

/// What fits into a [`KeyValueStore`]: for those who implement one.
#[derive(Debug, Clone, Copy)]
pub struct KeyValueBounds;

impl KeyValueBounds {
    /// Whether a kind is 1 to [`MAX_KIND_BYTES`] lower-case letters, digits and hyphens.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Invalid`], naming it.
    pub fn check_kind(kind: &str) -> Result<(), RecorderError> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if kind.is_empty() || kind.len() > MAX_KIND_BYTES || !kind.bytes().all(fits) {
            return invalid(format!(
                "`{kind}` can't be a kind: it is 1 to {MAX_KIND_BYTES} lower-case letters, digits and hyphens"
            ));
        }
        Ok(())
    }

    /// Whether a kind is one, and a key has 1 to [`MAX_KEY_BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Invalid`], naming what does not fit.
    pub fn check(kind: &str, key: &[u8]) -> Result<(), RecorderError> {
        Self::check_kind(kind)?;
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return invalid(format!(
                "a key of kind `{kind}` has {} bytes: it can have 1 to {MAX_KEY_BYTES}",
                key.len()
            ));
        }
        Ok(())
    }

    /// The same, and whether a value has at most [`MAX_VALUE_BYTES`] bytes.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Invalid`], naming what does not fit.
    pub fn check_entry(kind: &str, key: &[u8], value: &[u8]) -> Result<(), RecorderError> {
        Self::check(kind, key)?;
        if value.len() > MAX_VALUE_BYTES {
            return invalid(format!(
                "a value of kind `{kind}` has {} bytes: it can have up to {MAX_VALUE_BYTES}",
                value.len()
            ));
        }
        Ok(())
    }
}

const fn invalid(reason: String) -> Result<(), RecorderError> {
    Err(RecorderError::Invalid { reason })
}
