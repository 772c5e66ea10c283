//! How the state of an event is written, and read.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde::{Deserializer, Serialize, Serializer};

use crate::cipher::Cipher;
use crate::{MapperError, zlib};

/// Writes the state of events, and reads what it wrote: any format that serde has.
///
/// JSON needs none: it is what a [`Mapper`](crate::Mapper) writes if nothing else is said, and the one format whose
/// state stands in pages as it is. [`MessagePack`](crate::MessagePack) is there, too, and every mapper reads it. One
/// of your own is given to [`Mapper::transcoded`](crate::Mapper::transcoded) by the box that writes with it, and to
/// [`Mapper::reading`](crate::Mapper::reading) by boxes that follow that one.
///
/// What is written is marked with [`mark`](Self::mark), so a log may hold several formats. Compression and encryption
/// come after it and know nothing of it.
///
/// The format must describe itself (as JSON, CBOR and `MessagePack` do, and bincode does not): fields have names, and
/// unknown ones are skipped. [`Upcast`](boxes_domain::Upcast) steps get its state as JSON: to let them see what
/// they see of JSON, a format should say that it is human-readable, if it can, so that a UUID is text in it.
///
/// ```
/// use boxes_mapper::{Content, ContentReader, Mapper, Transcoder, TranscoderError};
/// use serde::Serialize;
///
/// #[derive(Debug)]
/// struct Cbor;
///
/// impl Transcoder for Cbor {
///     fn mark(&self) -> &'static str {
///         "cbor"
///     }
///
///     fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
///         let mut serializer = minicbor_serde::Serializer::new(Vec::new());
///         content.serialize(serializer.serialize_unit_as_null(true))?;
///         Ok(serializer.into_encoder().into_writer())
///     }
///
///     fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
///         reader.read(&mut minicbor_serde::Deserializer::new(state))
///     }
/// }
///
/// let mapper = Mapper::default().transcoded(Cbor)?;
/// # let _ = mapper;
/// # Ok::<(), boxes_mapper::MapperError>(())
/// ```
pub trait Transcoder: fmt::Debug + Send + Sync + 'static {
    /// What stands in the mark of state that it wrote: 1 to 40 lower-case letters, digits and hyphens, and the same for
    /// ever.
    fn mark(&self) -> &'static str;

    /// The bytes of `content`, which serializes as any value does.
    ///
    /// # Errors
    ///
    /// What the format said, if it has no form for a value in it.
    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError>;

    /// Gives `reader` a deserializer of `state`, once.
    ///
    /// # Errors
    ///
    /// What the format or the reader said. Also if something is left of `state`, as far as the format can tell. Errors
    /// are logged: the reader's own are rid of values if they are passed on as they are, and a format's should have none.
    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError>;
}

/// Why state can't be written or read, in the words of the format.
pub type TranscoderError = Box<dyn Error + Send + Sync>;

impl<T: Transcoder + ?Sized> Transcoder for Arc<T> {
    fn mark(&self) -> &'static str {
        (**self).mark()
    }

    fn encode(&self, content: &Content<'_>) -> Result<Vec<u8>, TranscoderError> {
        (**self).encode(content)
    }

    fn decode(&self, state: &[u8], reader: &mut ContentReader<'_>) -> Result<(), TranscoderError> {
        (**self).decode(state, reader)
    }
}

/// What an event says, without its type: a value to serialize.
pub struct Content<'a> {
    value: &'a dyn erased_serde::Serialize,
    has_wide_integers: bool,
}

impl<'a> Content<'a> {
    pub(crate) fn new(value: &'a impl Serialize) -> Self {
        Self {
            value,
            has_wide_integers: false,
        }
    }

    pub(crate) const fn with_wide_integers(mut self, has_wide_integers: bool) -> Self {
        self.has_wide_integers = has_wide_integers;
        self
    }

    /// Whether there are integers of a type of 128 bits in it, for formats that have none.
    #[must_use]
    pub const fn has_wide_integers(&self) -> bool {
        self.has_wide_integers
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        erased_serde::serialize(self.value, serializer)
    }
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

/// Makes an event of what a deserializer gives it.
pub struct ContentReader<'a>(&'a mut Read<'a>);

type Read<'a> =
    dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error> + 'a;

impl ContentReader<'_> {
    /// Reads the event.
    ///
    /// # Errors
    ///
    /// What the deserializer said, or that its content is none of the event's type.
    pub fn read<'de, D: Deserializer<'de>>(
        &mut self,
        deserializer: D,
    ) -> Result<(), TranscoderError> {
        let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        Ok((self.0)(&mut erased)?)
    }
}

impl fmt::Debug for ContentReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentReader").finish_non_exhaustive()
    }
}

/// What `read` makes of `state`, which `transcoder` wrote.
pub(crate) fn decode<T>(
    transcoder: &dyn Transcoder,
    state: &[u8],
    read: impl Fn(&mut dyn erased_serde::Deserializer<'_>) -> Result<T, erased_serde::Error>,
) -> Result<T, TranscoderError> {
    let mut found = None;
    let mut keep = |deserializer: &mut dyn erased_serde::Deserializer<'_>| {
        found = Some(read(deserializer)?);
        Ok(())
    };
    transcoder.decode(state, &mut ContentReader(&mut keep))?;
    found.ok_or_else(|| format!("the transcoder `{}` has read nothing", transcoder.mark()).into())
}

/// Holds that the mark of `transcoder` can't be taken for anything else.
pub(crate) fn check_mark(transcoder: &dyn Transcoder) -> Result<(), MapperError> {
    let mark = transcoder.mark();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_taken = mark == "json" || mark == zlib::MARK || Cipher::of(mark).is_some();
    if is_taken || !(1..=40).contains(&mark.len()) || !mark.chars().all(fits) {
        return Err(MapperError::Mark {
            mark: mark.to_owned(),
        });
    }
    Ok(())
}
