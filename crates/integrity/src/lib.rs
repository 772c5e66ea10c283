//! Seals over a notification log, and the verifier that finds what was changed.
//!
//! Reading order: a [`Fingerprint`] tells one event from every other; the [`Chain`] covers all fingerprints up to a
//! notification; a [`Seal`] writes down those of an archived page, signed with a [`SigningKey`] if there is one; the
//! [`Sealer`] seals a log as it grows, and keeps its seals beside it ([`StoredSeals`]). A [`Verification`] reads log
//! and [`Seals`], near or far, and gives a [`Report`], with a [`Finding`] if anything is wrong, and what to
//! [remember](Remembered) for the next time. A [`SignedDeletion`] says that the box itself deleted an aggregate, and a
//! [`HighWaterMark`] how far a log was sealed, outside of its database.
//!
//! What is hashed and signed is written down in the crate's README, for those who verify by other means.

mod chain;
mod compare;
mod deletion;
mod digest;
mod finding;
mod fingerprint;
#[cfg(test)]
mod fixture;
mod high_water_mark;
mod keys;
mod remembered;
mod seal;
mod sealer;
mod seals;
mod signing_recorder;
mod stored_seals;
mod verifier;

pub use chain::Chain;
pub use deletion::SignedDeletion;
pub use digest::{Digest, ParseDigestError};
pub use finding::{Finding, Tampering};
pub use fingerprint::Fingerprint;
pub use high_water_mark::HighWaterMark;
pub use keys::{SealKeyError, SigningKey, VerifyingKey};
pub use remembered::{ParseRememberedError, Remembered};
pub use seal::{Seal, SealError};
pub use sealer::{Sealer, SealerError, SealerStatus};
pub use seals::Seals;
pub use signing_recorder::SigningRecorder;
pub use stored_seals::StoredSeals;
pub use verifier::{Report, Verification};
