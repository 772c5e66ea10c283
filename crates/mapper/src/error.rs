//! What can keep an event from being mapped.

use boxes_recorder::Encoding;
use thiserror::Error;

/// What can keep an event from being stored or understood.
///
/// All of them are mistakes in the program or its deployment: trying again does not help.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapperError {
    /// Two kinds of event claim one topic: rename one, with an alias for what is stored already.
    #[error("the topic `{topic}` is registered twice: by `{first}` and by `{second}`")]
    DuplicateTopic {
        /// The topic.
        topic: String,
        /// The event type that registered it first.
        first: &'static str,
        /// The one that claims it too.
        second: &'static str,
    },
    /// The event can't be written: its type has no plain derived `Serialize`, or a value of it no JSON form.
    #[error("an event of topic `{topic}` can't be written as JSON")]
    Encode {
        /// Its topic.
        topic: &'static str,
        /// What the transcoder said.
        #[source]
        source: serde_json::Error,
    },
    /// The stored state does not fit the event's type: give the type a new version, or mend it.
    #[error("version {version} of topic `{topic}` can't be read as this program's event")]
    Decode {
        /// Its topic.
        topic: String,
        /// The schema version of what is stored.
        version: u32,
        /// What the transcoder said.
        #[source]
        source: serde_json::Error,
    },
    /// No event type of this program has the topic: register it, or give the renamed one an alias.
    #[error("the topic `{topic}` is unknown here")]
    UnknownTopic {
        /// The topic.
        topic: String,
    },
    /// The event was written by a schema that this program doesn't know: update the program.
    #[error("topic `{topic}` is stored in version {stored}, this program knows version {known}")]
    UnknownVersion {
        /// The topic.
        topic: String,
        /// The schema version of what is stored.
        stored: u32,
        /// The schema version that this program knows.
        known: u32,
    },
    /// The state was written in a way that this mapper can't undo: configure what it lacks.
    #[error("the state of topic `{topic}` is encoded as `{encoding}`, which can't be undone here")]
    UnknownEncoding {
        /// The topic.
        topic: String,
        /// The mark of the encoding.
        encoding: Encoding,
    },
}
