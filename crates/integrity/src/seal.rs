//! What was written down of an archived page.

use std::num::NonZeroU32;

use boxes_notification_log::{Section, SectionId};
use boxes_recorder::LogIdentity;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::chain::identity;
use crate::digest::Parts;
use crate::keys::Signature;
use crate::{Chain, Digest, Fingerprint, SigningKey, VerifyingKey};

/// The seal of an archived page: the fingerprints of its events, the hash of the chain before and after them,
/// and, where there is a key, a signature over all of that.
///
/// The same page sealed with the same key gives the same bytes, whoever seals it and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    log: LogIdentity,
    page: SectionId,
    previous: Digest,
    events: Vec<Fingerprint>,
    hash: Digest,
    signature: Option<(VerifyingKey, Signature)>,
}

/// What is to be a seal is none: it was cut, changed, or is of another page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it is no seal of that page: {reason}")]
pub struct SealError {
    reason: String,
}

impl Seal {
    /// The seal of an archived page that continues the chain at `before`; `None` if the page is not the next one
    /// there, or not whole and archived.
    #[must_use]
    pub fn of(section: &Section, before: Chain, key: Option<&SigningKey>) -> Option<Self> {
        let follows = before.id.checked_add(1) == Some(section.id.low());
        if !section.archived || !follows || section.check().is_err() {
            return None;
        }
        let events: Vec<_> = section
            .items
            .iter()
            .map(|item| Fingerprint::of(&item.event))
            .collect();
        let hash = events.iter().fold(before, Chain::next).hash;
        let mut seal = Self {
            log: section.log.clone(),
            page: section.id,
            previous: before.hash,
            events,
            hash,
            signature: None,
        };
        seal.signature = key.map(|key| (key.verifying_key(), key.sign(&seal.signed())));
        Some(seal)
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &LogIdentity {
        &self.log
    }

    /// The page.
    #[must_use]
    pub const fn page(&self) -> SectionId {
        self.page
    }

    /// The fingerprints of its events, in their order; as many as a page has.
    #[must_use]
    pub fn events(&self) -> &[Fingerprint] {
        &self.events
    }

    /// The chain before the page, as the seal says it was.
    #[must_use]
    pub const fn before(&self) -> Chain {
        Chain {
            id: self.page.low() - 1,
            hash: self.previous,
        }
    }

    /// The chain after the page.
    #[must_use]
    pub const fn after(&self) -> Chain {
        Chain {
            id: self.page.high(),
            hash: self.hash,
        }
    }

    /// Whose signature it says it carries, if it does.
    #[must_use]
    pub fn signed_by(&self) -> Option<VerifyingKey> {
        self.signature.as_ref().map(|(key, _)| *key)
    }

    /// Whether the signature is of the key that it names; `false` without one.
    #[must_use]
    pub fn is_signature_good(&self) -> bool {
        self.signature
            .as_ref()
            .is_some_and(|(key, signature)| key.accepts(&self.signed(), signature))
    }

    /// What is signed.
    fn signed(&self) -> Vec<u8> {
        identity(Parts::collected("boxes.seal.1"), &self.log)
            .u64(self.page.low())
            .u64(self.page.high())
            .fixed(self.previous.as_bytes())
            .fixed(self.hash.as_bytes())
            .into_bytes()
    }

    /// As it is kept and served: JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = Document {
            log: self.log.name.clone(),
            epoch: self.log.epoch,
            page_size: self.log.page_size,
            page: self.page.to_string(),
            previous: self.previous,
            hash: self.hash,
            events: self.events.clone(),
            signed_by: self.signed_by(),
            signature: self.signature.as_ref().map(|(_, signature)| *signature),
        };
        // Texts and numbers alone can always be written.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// Reads the seal of this page of this log, and holds that it agrees with itself: the hash follows from the
    /// fingerprints. Whether anybody signed it is another question.
    ///
    /// # Errors
    ///
    /// [`SealError`] otherwise.
    pub fn from_bytes(bytes: &[u8], log: &LogIdentity, page: SectionId) -> Result<Self, SealError> {
        let refused = |reason: String| SealError { reason };
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        let of = LogIdentity {
            name: document.log,
            epoch: document.epoch,
            page_size: document.page_size,
        };
        if of != *log {
            return Err(refused("it names another log".to_owned()));
        }
        if document.page != page.to_string() {
            return Err(refused("it names another page".to_owned()));
        }
        if usize::try_from(log.page_size.get()) != Ok(document.events.len()) {
            return Err(refused(format!(
                "it has {} fingerprints for {} events",
                document.events.len(),
                log.page_size
            )));
        }
        let signature = match (document.signed_by, document.signature) {
            (None, None) => None,
            (Some(key), Some(signature)) => Some((key, signature)),
            _ => return Err(refused("it is signed in part".to_owned())),
        };
        let seal = Self {
            log: of,
            page,
            previous: document.previous,
            events: document.events,
            hash: document.hash,
            signature,
        };
        if seal.events.iter().fold(seal.before(), Chain::next) != seal.after() {
            return Err(refused(
                "its hash does not follow from its fingerprints".to_owned(),
            ));
        }
        Ok(seal)
    }
}

/// A seal as JSON.
#[derive(Serialize, Deserialize)]
struct Document {
    log: String,
    epoch: Uuid,
    page_size: NonZeroU32,
    page: String,
    previous: Digest,
    hash: Digest,
    events: Vec<Fingerprint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_by: Option<VerifyingKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}
