//! What is to be done once a transaction is recorded, and again until it is done.

use boxes_domain::Subject;
use boxes_recorder::{Entry, KeyValueStore, KeyValueWrite, RecorderError};
use bytes::Bytes;
use uuid::Uuid;

/// The kind of the entries beside the log.
const KIND: &str = "duty";

/// How many duties are looked at, at a time.
const AT_A_TIME: u64 = 100;

/// The first byte of an entry: how the rest is to be read.
const FORGET: u8 = 1;

/// Something that a transaction decided, and that can't be a part of it: recorded beside the log in the same append, done
/// afterwards, and then taken away. What a crash cut short is found by the next who looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Duty {
    key: Bytes,
    /// Who is to be forgotten.
    pub(crate) subject: Subject,
}

impl Duty {
    /// A subject is to be forgotten.
    pub(crate) fn forget(id: Uuid, subject: Subject) -> Self {
        let key = Bytes::copy_from_slice(id.as_bytes());
        Self { key, subject }
    }

    pub(crate) fn to_write(&self) -> KeyValueWrite {
        let value = [&[FORGET], self.subject.as_str().as_bytes()].concat();
        KeyValueWrite {
            space: KIND.into(),
            key: self.key.clone(),
            expected: None,
            new: Some(value.into()),
        }
    }

    /// Duties that are recorded and not done, from the first entry after `after` on. Second, where to go on; `None` at the
    /// end.
    pub(crate) async fn recorded(
        beside: &dyn KeyValueStore,
        after: &[u8],
    ) -> Result<(Vec<Self>, Option<Bytes>), RecorderError> {
        let entries = beside.list(KIND, after, AT_A_TIME).await?;
        let next = entries.last().map(|last| last.key.clone());
        let read = |entry: Entry| {
            let subject = entry.value.strip_prefix(&[FORGET])?;
            let subject = Subject::from(std::str::from_utf8(subject).ok()?);
            Some(Self {
                key: entry.key,
                subject,
            })
        };
        // One that a later version of the kit wrote is left to it.
        Ok((entries.into_iter().filter_map(read).collect(), next))
    }

    /// Copies those that are recorded and not done, for a store that takes the place of another.
    pub(crate) async fn copy(
        from: &dyn KeyValueStore,
        into: &dyn KeyValueStore,
    ) -> Result<(), RecorderError> {
        let mut after = Bytes::new();
        loop {
            let entries = from.list(KIND, &after, AT_A_TIME).await?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            after = last.key.clone();
            for entry in entries {
                into.put(KIND, &entry.key, &entry.value).await?;
            }
        }
    }

    /// It is done: nothing is left of it, also in files, because it names a person.
    pub(crate) async fn done(&self, beside: &dyn KeyValueStore) -> Result<(), RecorderError> {
        beside.erase(KIND, &self.key).await
    }
}
