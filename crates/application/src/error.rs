//! What can keep a command or a policy from being done.

use boxes_domain::{LargeId, Rejection, RootError};
use boxes_mapper::MapperError;
use boxes_recorder::RecorderError;
use thiserror::Error;
use uuid::Uuid;

use crate::repository::aggregate_name;

/// What can keep a command or a policy from being done, by what the caller does next.
///
/// Nothing was recorded in any of these cases, except where [`Store`](Self::Store) says that it is unknown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The domain refused the command: mend the command. The text is the domain's own.
    #[error("{0}")]
    Rejected(Rejection),
    /// Something that this depends on has not happened yet, such as an event of another upstream: try again later.
    /// A follower waits for it as it waits for a store that is away.
    #[error("not yet: {reason}")]
    NotYet {
        /// What has not happened yet.
        reason: String,
    },
    /// There is no such aggregate: mend the id, or create it.
    #[error("{aggregate} {id} does not exist")]
    NotFound {
        /// The aggregate's type.
        aggregate: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The aggregate was discarded: it takes no command any more.
    #[error("{aggregate} {id} was discarded")]
    Discarded {
        /// The aggregate's type.
        aggregate: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The aggregate was deleted for good: let it be, or take another id.
    #[error("{id} was deleted, and its id is not used again")]
    Deleted {
        /// Its id.
        id: Uuid,
    },
    /// The box does not say that its log may be redacted: declare it `.redactable()`, or set it.
    #[error(
        "the log of the box `{name}` is not redactable, so caches may keep its pages for a year: declare the box `.redactable()`, or name it in --redactable"
    )]
    NotRedactable {
        /// The box.
        name: String,
    },
    /// An aggregate with this id exists: take another id, or treat it as done.
    #[error("{aggregate} {id} exists already")]
    AlreadyExists {
        /// The aggregate's type.
        aggregate: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The id belongs to an aggregate of another kind, or belonged to one that was discarded: take another id.
    #[error("{id} is the id of a `{found}`, so no {aggregate} can be created with it")]
    OtherKind {
        /// The type of aggregate that was to be created.
        aggregate: &'static str,
        /// Its id.
        id: Uuid,
        /// The [kind](boxes_domain::Event::KIND) of aggregate that has the id.
        found: &'static str,
    },
    /// Others kept changing the same aggregate for as long as was tried: try again.
    #[error("{id} was changed by others at the same time, {attempts} times over")]
    Conflict {
        /// The aggregate's id.
        id: Uuid,
        /// How often it was tried.
        attempts: u32,
    },
    /// The aggregate is not declared in this box: add `.aggregate::<…>()` to it.
    #[error(
        "the aggregate {aggregate} is not declared in the box `{name}`: add `.aggregate::<{aggregate}>()` to it"
    )]
    Undeclared {
        /// The aggregate's type.
        aggregate: &'static str,
        /// The box.
        name: String,
    },
    /// There are no snapshots of the aggregate: add `.snapshots::<…>()` to the box.
    #[error(
        "the box `{name}` declares no snapshots of {aggregate}: add `.snapshots::<{aggregate}, …>(…)` to it"
    )]
    NoSnapshots {
        /// The aggregate's type.
        aggregate: &'static str,
        /// The box.
        name: String,
    },
    /// A value is larger than any store takes: refuse it, or keep it elsewhere.
    #[error("the value has {size} bytes; {max} are the most")]
    TooLarge {
        /// How many bytes it has.
        size: usize,
        /// How many it may have.
        max: usize,
    },
    /// A value that is stored apart is in none of the places where it may be.
    #[error("the value {id} is neither here nor with a box that this one follows")]
    NoValue {
        /// Its id.
        id: LargeId,
    },
    /// A policy kept its `App` beyond its end, and commanded on it: await what it does.
    #[error("the transaction has ended: a policy has to await every command before it returns")]
    TransactionEnded,
    /// An event could not be stored or understood: mend the program.
    #[error(transparent)]
    Mapper(#[from] MapperError),
    /// Stored events do not follow one another: the store is damaged.
    #[error("the events of {aggregate} {id} are damaged: {reason}")]
    Damaged {
        /// The aggregate's type.
        aggregate: &'static str,
        /// Its id.
        id: Uuid,
        /// What is wrong.
        reason: String,
    },
    /// The store can't do it now: try later. With [`RecorderError::OutcomeUnknown`] it may have been done: as a whole, or not at
    /// all. Look before you command it again, unless it is refused then.
    #[error(transparent)]
    Store(RecorderError),
}

impl Error {
    /// What a policy returns when something that it depends on has not happened yet: the notification is tried again
    /// for as long as it takes. `reason` is shown in `/readyz` and in the log.
    ///
    /// ```
    /// use boxes_application::Error;
    ///
    /// let error = Error::not_yet("the price list has not been read");
    /// assert!(error.is_transient());
    /// ```
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self::NotYet {
            reason: reason.into(),
        }
    }

    /// Whether trying the same again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::NotYet { .. }
                | Self::Conflict { .. }
                | Self::Store(
                    RecorderError::Unavailable { .. } | RecorderError::OutcomeUnknown { .. }
                )
        )
    }

    pub(crate) fn other_kind<A>(id: Uuid, found: &'static str) -> Self {
        let aggregate = aggregate_name::<A>();
        Self::OtherKind {
            aggregate,
            id,
            found,
        }
    }

    pub(crate) fn of_root(error: RootError, aggregate: &'static str, id: Uuid) -> Self {
        match error {
            RootError::Rejected(rejection) => Self::Rejected(rejection),
            RootError::Discarded => Self::Discarded { aggregate, id },
            RootError::AlreadyExists => Self::AlreadyExists { aggregate, id },
            _ => Self::NotFound { aggregate, id },
        }
    }
}

/// What was deleted is told apart from what the store can't do now.
impl From<RecorderError> for Error {
    fn from(error: RecorderError) -> Self {
        match error {
            RecorderError::StreamDeleted { originator_id } => Self::Deleted { id: originator_id },
            error => Self::Store(error),
        }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}
