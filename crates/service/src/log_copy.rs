//! Whether a log is a copy of another one, or was copied itself.

use boxes_recorder::{Recorder, RecorderError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kind of the entry next to a log, and its key: there is one.
const KIND: &str = "log-copy";
const STATE: &[u8] = b"state";

/// What is known of a log that takes part in a copy, stored next to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum LogCopy {
    /// It is to become a copy, and is not one yet: it must not be served.
    Begun(CopiedLog),
    /// It is a copy.
    Finished(CopiedLog),
    /// It was copied, and the copy takes its place: it must not be served any more.
    Left {
        /// The epoch of the copy.
        copy: Uuid,
    },
}

/// The log of which there is a copy, as it was when the copy began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopiedLog {
    pub(crate) epoch: Uuid,
    pub(crate) head: u64,
    pub(crate) n_redacted: u64,
}

impl LogCopy {
    /// What is stored next to the log, if anything is.
    pub(crate) async fn of(recorder: &dyn Recorder) -> Result<Option<Self>, RecorderError> {
        let Some(store) = recorder.key_value_store() else {
            return Ok(None);
        };
        let Some(stored) = store.get(KIND, STATE).await? else {
            return Ok(None);
        };
        let name = &recorder.log().name;
        let state = serde_json::from_slice(&stored).map_err(|error| RecorderError::Mismatch {
            reason: format!("what is stored about copies of the log `{name}` is damaged: {error}"),
        })?;
        Ok(Some(state))
    }

    pub(crate) async fn store(&self, recorder: &dyn Recorder) -> Result<(), RecorderError> {
        if let Some(store) = recorder.key_value_store() {
            // A few fields can always be written.
            let text = serde_json::to_vec(self).unwrap_or_default();
            store.put(KIND, STATE, &text).await?;
        }
        Ok(())
    }

    /// Lets a log that was copied be served again.
    pub(crate) async fn remove(recorder: &dyn Recorder) -> Result<(), RecorderError> {
        match recorder.key_value_store() {
            Some(store) => store.delete(KIND, STATE).await,
            None => Ok(()),
        }
    }

    /// Refuses a log that is a part of a copy only, or that a copy has replaced.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`], with what to do.
    pub(crate) async fn check_in_use(recorder: &dyn Recorder) -> Result<(), RecorderError> {
        let name = &recorder.log().name;
        let reason = match Self::of(recorder).await? {
            None | Some(Self::Finished(_)) => return Ok(()),
            Some(Self::Begun(source)) => format!(
                "this log is an unfinished copy of the log `{name}` with the epoch {}: remove it, and run `reencrypt` again",
                source.epoch
            ),
            Some(Self::Left { copy }) => format!(
                "the log `{name}` was copied, and its copy, which has the epoch {copy}, takes its place: configure the store of the copy and remove this one; or remove the copy, and return to this one with `reencrypt {name} --return`"
            ),
        };
        Err(RecorderError::Mismatch { reason })
    }
}
