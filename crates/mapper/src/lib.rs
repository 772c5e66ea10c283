//! Between events and the bytes that are stored.
//!
//! On this side of the mapper an event is a value of the domain; on the other it is a topic and opaque
//! bytes. Nothing below knows a domain type, and nothing above knows how state is stored.
//!
//! Reading order: a [`Mapper`] makes a stored event of an event and back; [`Topics`] are the names under
//! which a box stores; [`Metadata`] is what is told about an event beside what it says. [`Encryption`] says
//! which events are encrypted, a [`SubjectKeyring`] has the keys for the personal parts of them; a [`Transcoder`] writes
//! state in another format than JSON; the crate's README has a guide to all of it.

mod cipher;
mod content_id;
mod data_key;
mod encryption;
mod error;
mod fingerprint;
mod json_text;
mod json_tree;
mod keys;
mod legacy_cipher;
mod mapper;
mod message_pack;
mod metadata;
mod named_ids;
mod personal;
mod python_states;
mod ready_value_types;
mod snapshot;
mod state;
mod subject_key;
mod topic_description;
mod topics;
mod transcoder;
mod transcoding;
mod untyped;
mod upcasting;
mod value;
mod variant_de;
mod variant_ser;
mod without_values;
mod written;
mod zlib;

pub use cipher::Cipher;
pub use content_id::StoredId;
pub use data_key::{DataKey, DataKeyError, DataKeyring, WrappedDataKeys};
pub use encryption::Encryption;
pub use error::MapperError;
pub use keys::{CHECK_VALUE_BYTES, KEY_BYTES, Key, KeyId, KeyProvider, Keys, KeysError};
pub use legacy_cipher::{LegacyCipher, LegacyCipherError};
pub use mapper::{Envelope, Mapper};
pub use message_pack::MessagePack;
pub use metadata::Metadata;
pub use named_ids::NamedIds;
pub use python_states::{PythonStates, PythonStatesError};
#[cfg(feature = "decimal")]
pub use ready_value_types::DecimalAsStr;
pub use ready_value_types::{DateAsIso, DatetimeAsIso, UuidAsHex};
pub use subject_key::{
    MissingSubjectKeys, SubjectKey, SubjectKeyError, SubjectKeyId, SubjectKeyring,
};
pub use topic_description::TopicDescription;
pub use topics::Topics;
pub use transcoder::{Content, ContentReader, Transcoder, TranscoderError};
pub use transcoding::{DEFAULT_MAX_INFLATED, StateKey};
pub use value::large_id;

/// The guide, whose examples are compiled here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
