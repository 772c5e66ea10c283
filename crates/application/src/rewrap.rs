//! Keys of subjects are encrypted anew, where they are kept.

use boxes_domain::Subject;
use boxes_mapper::{MapperError, SubjectKey, SubjectKeyId};
use boxes_recorder::{KeyValueStore, RecorderError};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::subject_key_provider::{SUBJECT_KEY, subjects_by_id};
use crate::{Error, StoredSubjectKeys};

/// How many keys are listed at a time.
const AT_A_TIME: u64 = 100;

/// How often a key that others change at the same time is looked at again.
const MAX_ATTEMPTS: u32 = 5;

/// What came of encrypting keys of subjects anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys of subjects that there are; forgotten ones don't count.
    pub n_keys: u64,
    /// Those of them that were not under the current key before.
    pub n_new: u64,
}

impl StoredSubjectKeys {
    /// Encrypts the keys of all its stores with the current one of the keys that
    /// [encrypt them](Self::wrapped_by), where they are not already; so that an older key can be given up, and what was
    /// kept in the clear is no longer.
    ///
    /// Boxes may use the stores meanwhile, if they have the current key, too: subjects and their ids stay as they are. Who is
    /// forgotten meanwhile stays forgotten. May be done again, also after it ended early, and goes on there.
    /// Without keys to encrypt with it only counts.
    ///
    /// # Errors
    ///
    /// - [`Error::Store`] if keys can't be reached now.
    /// - [`Error::Mapper`] if a key that is kept here can't be read.
    pub async fn rewrap(&self) -> Result<Rewrapped, Error> {
        let mut done = Rewrapped::default();
        for store in self.stores() {
            let subjects = subjects_by_id(&*store).await?;
            let mut after = Vec::new();
            loop {
                let listed = store.list_keys(SUBJECT_KEY, &after, AT_A_TIME).await?;
                let Some(last) = listed.last() else { break };
                after = last.to_vec();
                for entry_key in &listed {
                    if let Ok(id) = Uuid::from_slice(entry_key).map(SubjectKeyId) {
                        let one = self.rewrap_one(&*store, id, subjects.get(&id)).await?;
                        done.n_keys = done.n_keys.saturating_add(one.n_keys);
                        done.n_new = done.n_new.saturating_add(one.n_new);
                    }
                }
            }
            if self.wrapping().is_some() {
                // Whatever was replaced, also by an earlier run that ended before this.
                store.scrub(&[]).await?;
            }
        }
        Ok(done)
    }

    async fn rewrap_one(
        &self,
        store: &dyn KeyValueStore,
        id: SubjectKeyId,
        subject: Option<&Subject>,
    ) -> Result<Rewrapped, Error> {
        let mut n_new = 0;
        for _ in 0..MAX_ATTEMPTS {
            let Some(kept) = store.get(SUBJECT_KEY, id.0.as_bytes()).await? else {
                return Ok(Rewrapped::default());
            };
            let kept = Zeroizing::new(kept.to_vec());
            let key = self.key_in(id, &kept)?;
            if matches!(key, SubjectKey::Forgotten) {
                return Ok(Rewrapped::default());
            }
            let is_bound = subject.is_some();
            let Some(wrapping) = self
                .wrapping()
                .filter(|by| !SubjectKey::is_current(&kept, is_bound, *by))
            else {
                return Ok(Rewrapped { n_keys: 1, n_new });
            };
            let bytes = key
                .to_bytes(id, subject, Some(wrapping))
                .map_err(MapperError::from)?;
            // Only in the place of what was read: who was forgotten meanwhile must not come back.
            n_new = 1;
            if store
                .replace(SUBJECT_KEY, id.0.as_bytes(), &kept, &bytes)
                .await?
            {
                return Ok(Rewrapped { n_keys: 1, n_new });
            }
        }
        Err(RecorderError::Unavailable {
            reason: format!("encrypting the key {id} of a subject again: others keep changing it"),
            source: None,
        }
        .into())
    }
}
