//! A value that is written together with events.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::{KeyValueBounds, RecorderError};

/// A conditional change of one entry of the [`KeyValueStore`](crate::KeyValueStore) beside the log, in the transaction of
/// an [`Append`](crate::Append).
///
/// If the entry is not as expected, the whole append is refused with
/// [`RecorderError::KeyValueConflict`]. `expected` and `new` may be the same: then the entry is only checked.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValueWrite {
    /// The kind of the entry, as the store calls it.
    pub space: Cow<'static, str>,
    /// The key of the entry.
    pub key: Bytes,
    /// The value that the entry must have; `None` if there must be none.
    pub expected: Option<Bytes>,
    /// The value that it has then; `None` deletes it.
    pub new: Option<Bytes>,
}

impl KeyValueWrite {
    /// Whether a store can hold it: space, key and values are within [bounds](KeyValueBounds).
    pub(crate) fn validate(&self) -> Result<(), RecorderError> {
        KeyValueBounds::check(&self.space, &self.key)?;
        [&self.expected, &self.new]
            .into_iter()
            .flatten()
            .try_for_each(|value| KeyValueBounds::check_entry(&self.space, &self.key, value))
    }
}

// Written out: values may be secrets.
impl fmt::Debug for KeyValueWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_bytes = |value: &Option<Bytes>| value.as_ref().map(Bytes::len);
        f.debug_struct("KeyValueWrite")
            .field("space", &self.space)
            .field("key", &self.key)
            .field("expected_bytes", &n_bytes(&self.expected))
            .field("new_bytes", &n_bytes(&self.new))
            .finish()
    }
}
