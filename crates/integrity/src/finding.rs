//! What is wrong with a log.

use std::fmt;

use uuid::Uuid;

use crate::{Remembered, VerifyingKey};

/// The first thing that is wrong with a log: what comes before `id` is as it was sealed, what comes from it on is
/// not to be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The first notification that is not as it was, or of which that can't be told any more.
    pub id: u64,
    /// What is wrong.
    pub tampering: Tampering,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tampering {
    /// The notification is another one than was sealed.
    Changed {
        /// Whether the change is in what the event says (state, encoding, metadata), and not in what stands around it.
        content: bool,
    },
    /// The notification is gone; if others came after it, they have moved up.
    Removed,
    /// The notification was not there when the page was sealed, and those that were have moved down.
    Inserted,
    /// The notification is the one that was sealed under another id.
    Reordered {
        /// The id under which it was sealed.
        sealed_as: u64,
    },
    /// The notification has an event id that follows from another content than it has.
    ForeignId {
        /// The id that follows from it.
        expected: Uuid,
    },
    /// The page has no seal, though a later one has.
    SealRemoved,
    /// The seal of the page can't be read, or disagrees with itself.
    SealDamaged {
        /// What is wrong with it.
        reason: String,
    },
    /// A seal does not continue the chain of those before it: some of them were made anew.
    ChainBroken {
        /// The first notification of the page whose seal that is.
        at: u64,
    },
    /// The seal has no signature, nor has any later one, though one is asked for.
    Unsigned,
    /// The signature is of a key that is not trusted.
    UnknownKey {
        /// The key.
        key: VerifyingKey,
    },
    /// The signature is not that of the key that it names.
    BadSignature,
    /// The notification has lost its content, though the log is not one of which aggregates are deleted.
    Redacted,
    /// Notifications have lost their content, and nothing shows that the box itself deleted them.
    UnsignedDeletions {
        /// How many.
        n_notifications: u64,
    },
    /// The notification has its content, though its aggregate was deleted; or one that had lost it has it again.
    Restored,
    /// Another number of notifications has lost its content than the log has recorded.
    Miscounted {
        /// How many have.
        found: u64,
        /// How many the log has recorded.
        recorded: u64,
    },
    /// More archived pages than may be have no seal, or old ones.
    Unsealed {
        /// How many have none.
        n_pages: u64,
    },
    /// The box does not seal this log any more.
    SealingStopped {
        /// Why not.
        reason: String,
    },
    /// The log, or what is sealed of it, ends before what was once verified.
    Cut {
        /// What was verified then.
        remembered: Remembered,
    },
    /// The log has another history than the one that was once verified.
    Rewritten {
        /// What was verified then.
        remembered: Remembered,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.tampering {
            Tampering::Changed { content: true } => write!(
                f,
                "notification {id} was changed: its state, encoding or metadata is not what was sealed"
            ),
            Tampering::Changed { content: false } => write!(
                f,
                "notification {id} was changed: its id, originator, version, topic or time is not what was sealed"
            ),
            Tampering::Removed => write!(f, "notification {id} was removed"),
            Tampering::Inserted => write!(f, "notification {id} was inserted"),
            Tampering::Reordered { sealed_as } => write!(
                f,
                "notification {id} was moved: it was sealed as notification {sealed_as}"
            ),
            Tampering::ForeignId { expected } => write!(
                f,
                "notification {id} says something else than its event id follows from: that of what it says is {expected}"
            ),
            Tampering::SealRemoved => write!(
                f,
                "the seal of the page with notification {id} was removed: later pages have theirs"
            ),
            Tampering::SealDamaged { reason } => write!(
                f,
                "the seal of the page with notification {id} was changed: {reason}"
            ),
            Tampering::ChainBroken { at } => write!(
                f,
                "pages were sealed anew, somewhere from notification {id} on: the seal of the page with notification {at} does not continue them"
            ),
            Tampering::Unsigned => write!(
                f,
                "from notification {id} on no page is signed, and a signature is asked for"
            ),
            Tampering::UnknownKey { key } => write!(
                f,
                "the page with notification {id} is signed by {key}, which is not trusted"
            ),
            Tampering::BadSignature => write!(
                f,
                "the signature of the page with notification {id} is not that of the key that it names"
            ),
            Tampering::Redacted => write!(
                f,
                "notification {id} is redacted, and the box does not say that its log may be: no aggregate of it was deleted by the box"
            ),
            Tampering::UnsignedDeletions { n_notifications } => write!(
                f,
                "{n_notifications} notification(s), {id} first, are redacted without a signed statement that the box deleted them: if it did before it signed such statements, accept that number with --unsigned-deletions"
            ),
            Tampering::Restored => write!(
                f,
                "notification {id} has its content again, though it was deleted"
            ),
            Tampering::Miscounted { found, recorded } => write!(
                f,
                "{found} notifications are redacted, but the log has recorded {recorded}: some were redacted, or restored, past the box"
            ),
            Tampering::Unsealed { n_pages } => write!(
                f,
                "from notification {id} on {n_pages} archived page(s) have no seal: seals were removed, or the box does not seal"
            ),
            Tampering::SealingStopped { reason } => write!(
                f,
                "from notification {id} on nothing is sealed: the box has stopped sealing, because {reason}"
            ),
            Tampering::Cut { remembered } => write!(
                f,
                "from notification {id} on nothing is sealed any more, but notification {} once was: the log was cut, or its seals were removed",
                remembered.id
            ),
            Tampering::Rewritten { remembered } => write!(
                f,
                "the log has another history than the one in which notification {} had the hash {}: it was rewritten, somewhere from notification {id} on",
                remembered.id, remembered.hash
            ),
        }
    }
}
