//! What can keep an event from being mapped.

use boxes_domain::ValueTypeError;
use boxes_recorder::Encoding;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    DataKeyError, KeyId, MissingSubjectKeys, SubjectKeyError, SubjectKeyId, TranscoderError,
};

/// What can keep an event from being stored or understood.
///
/// All of them are mistakes in the program or its deployment, so that trying again does not help; but for
/// [`MissingSubjectKeys`](Self::MissingSubjectKeys), which asks for keys to be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapperError {
    /// A value that is stored apart is not the one that its id names: it was damaged or exchanged.
    #[error("the value {id} is not what was stored under this id")]
    DamagedValue {
        /// The id.
        id: boxes_domain::LargeId,
    },
    /// Two kinds of event claim one topic, or one of them reads it as an alias: give one another topic, and an alias
    /// for what is stored already under the one that it had.
    #[error(
        "the topic `{topic}` is claimed twice: by {first} and by {second}: give one of them another topic, with #[event(topic = \"…\")]"
    )]
    DuplicateTopic {
        /// The topic.
        topic: String,
        /// The event type that was registered first, and whether the topic is an alias there.
        first: String,
        /// The one that claims it too, in the same way.
        second: String,
    },
    /// A transcoder calls itself what can be taken for something else: give it another mark.
    #[error(
        "`{mark}` can't be the mark of a transcoder: it has to be 1 to 40 lower-case letters, digits and hyphens, and neither json, zlib, nor a cipher"
    )]
    Mark {
        /// The mark.
        mark: String,
    },
    /// The event can't be written: its type has no plain derived `Serialize`, or a value of it no form in the format.
    #[error("an event of topic `{topic}` can't be written")]
    Encode {
        /// Its topic.
        topic: &'static str,
        /// What the transcoder said.
        #[source]
        source: TranscoderError,
    },
    /// The stored state does not fit the event's type: give the type a new version, or mend it.
    #[error("version {version} of topic `{topic}` can't be read as this program's event")]
    Decode {
        /// Its topic.
        topic: String,
        /// The schema version of what is stored.
        version: u32,
        /// What the transcoder said, without values: it is logged, and what events say is not.
        #[source]
        source: TranscoderError,
    },
    /// A value of a named type in the event is none that is known here, or none that its type takes: see what it says.
    #[error("an event of topic `{topic}` holds a named value that is not taken")]
    ValueType {
        /// The topic.
        topic: String,
        /// What is wrong with it, with the name of the type.
        #[source]
        source: ValueTypeError,
    },
    /// No event type of this program has the topic: register it, or give the renamed one an alias.
    #[error("the topic `{topic}` is unknown here")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The event was written by a schema that this program doesn't know: update the program, or give the event type
    /// the upcast steps that lead from there.
    #[error(
        "topic `{topic}` is stored in version {stored}, this program reads {}",
        if oldest == known { format!("version {known}") } else { format!("versions {oldest} to {known}") }
    )]
    UnknownVersion {
        /// The topic.
        topic: String,
        /// The schema version of what is stored.
        stored: u32,
        /// The oldest schema version that this program reads.
        oldest: u32,
        /// The schema version that this program writes.
        known: u32,
    },
    /// The state was written in a way that this mapper can't undo: give it the transcoder that it lacks.
    #[error(
        "the state of topic `{topic}` is encoded as `{encoding}`, which can't be undone here: the program lacks what reads that"
    )]
    UnknownEncoding {
        /// The topic.
        topic: String,
        /// The mark of the encoding.
        encoding: Encoding,
    },
    /// The event is encrypted, and no key was given: give the keys that it was written with.
    #[error(
        "an event of topic `{topic}` is encrypted with key {key}, and no keys are configured here"
    )]
    NoKeys {
        /// The topic.
        topic: String,
        /// The number of the key.
        key: KeyId,
    },
    /// The event is encrypted with a key that is none of those given: give it too, behind the current one.
    #[error(
        "an event of topic `{topic}` is encrypted with key {key}, which is none of the keys that are configured here"
    )]
    UnknownKey {
        /// The topic.
        topic: String,
        /// The number of the key, as it stands in the record.
        key: KeyId,
    },
    /// The event is encrypted with a data key of its log that is not at hand: fetch the log's data keys, and do the same again.
    #[error(
        "an event of topic `{topic}` is encrypted with data key {key} of its log, which this program does not have"
    )]
    UnknownDataKey {
        /// The topic.
        topic: String,
        /// The number of the data key.
        key: KeyId,
    },
    /// The data keys of a log can't be had.
    #[error(transparent)]
    DataKey(#[from] DataKeyError),
    /// The event is shorter than any that is encrypted so: the store or the way from it has lost a part.
    #[error(
        "version {version} of {originator} (topic `{topic}`) has {length} bytes, too few to be what was encrypted"
    )]
    Cut {
        /// The topic.
        topic: String,
        /// The aggregate.
        originator: Uuid,
        /// Its version.
        version: u64,
        /// Bytes of the state.
        length: usize,
    },
    /// The event is not as it was written, or not where it was written, or the key is another one than it was
    /// written with under that number. Which of them can't be told.
    #[error(
        "version {version} of {originator} (topic `{topic}`) was altered or moved since it was encrypted, or key {key} is another here than it was there"
    )]
    NotAuthentic {
        /// The topic.
        topic: String,
        /// The aggregate.
        originator: Uuid,
        /// Its version.
        version: u64,
        /// The number of the key.
        key: KeyId,
    },
    /// The event was encrypted by another box than the one whose log it is in: somebody who can write to the store has copied
    /// it; or a box is followed under a name that is not its own: follow it under that.
    #[error(
        "version {version} of {originator} (topic `{topic}`) was encrypted by the box `{written}`, and stands among the events of `{read}`: it was copied there, or `{written}` is followed under a wrong name"
    )]
    OtherBox {
        /// The topic.
        topic: String,
        /// The aggregate.
        originator: Uuid,
        /// Its version.
        version: u64,
        /// The box that encrypted it.
        written: String,
        /// The box whose event it should be.
        read: String,
    },
    /// The event is in the clear, where encryption is required.
    #[error(
        "version {version} of {originator} (topic `{topic}`) is not encrypted, which is required here"
    )]
    NotEncrypted {
        /// The topic.
        topic: String,
        /// The aggregate.
        originator: Uuid,
        /// Its version.
        version: u64,
    },
    /// The event can't be encrypted: it is too long.
    #[error("an event of topic `{topic}` with {length} bytes is too long to be encrypted")]
    Encrypt {
        /// The topic.
        topic: String,
        /// Bytes of its state.
        length: usize,
    },
    /// A part of the event is personal, and this mapper has no keys of subjects: give it a
    /// [`SubjectKeyring`](crate::SubjectKeyring). A box that is run by the kit has one.
    #[error(
        "an event of topic `{topic}` has a personal part, and there are no keys of subjects here"
    )]
    NoSubjectKeys {
        /// The topic.
        topic: String,
    },
    /// Keys of subjects are needed that are not at hand: fetch them, and do the same again.
    #[error("{} keys of subjects are to be fetched", .0.subjects.len() + .0.ids.len())]
    MissingSubjectKeys(MissingSubjectKeys),
    /// A part of the event is encrypted with the key of a subject that was never here: give this program the place where
    /// the box that wrote it keeps its keys. Services share one store, which is set by `--subject-keys`.
    #[error(
        "a personal part is encrypted with the subject's key {id}, which is not where this program looks for keys of subjects: start all services that read it with the same --subject-keys, and move the keys that there are to it with `move-keys`"
    )]
    UnknownSubjectKey {
        /// The key.
        id: SubjectKeyId,
    },
    /// What is kept of a subject's key is of no use.
    #[error(transparent)]
    SubjectKey(#[from] SubjectKeyError),
    /// A personal part of the event is not as it was written, or not where it was written.
    #[error(
        "a personal part of version {version} of {originator} (topic `{topic}`) was altered or moved since it was encrypted"
    )]
    PersonalNotAuthentic {
        /// The topic.
        topic: String,
        /// The aggregate.
        originator: Uuid,
        /// Its version.
        version: u64,
    },
    /// The event inflates to more than is allowed: raise the bound, if it is honest.
    #[error("an event of topic `{topic}` inflates to more than {max} bytes")]
    TooLarge {
        /// The topic.
        topic: String,
        /// What is allowed.
        max: usize,
    },
    /// The event was redacted, because its stream was deleted: nobody can read it any more.
    #[error("an event of topic `{topic}` was redacted: its stream was deleted")]
    Redacted {
        /// The topic.
        topic: String,
    },
    /// The event is marked as compressed, and can't be inflated: the store or the way from it has damaged it.
    #[error("an event of topic `{topic}` is damaged: it can't be inflated")]
    Inflate {
        /// The topic.
        topic: String,
    },
}
