//! What a value says, as one number: by it what was written is compared with what is read back.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// How deep values may be nested in the state of an event, in every format: what `serde_json` reads, and so do the
/// readers of a page.
pub(crate) const MAX_DEPTH: u8 = 127;

/// Makes a number of all that a value gives to serde: two values with one number are equal as far as serde sees them.
///
/// `Some(None)` and `None` are different here, which they are not in JSON. The order of the elements of a sequence does not count,
/// because that of a hash set is by chance, and formats keep it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprinter<'a> {
    depth: u8,
    found: &'a Found,
}

/// What was found on the way.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Integers of a type of 128 bits.
    wide_integers: Cell<bool>,
    /// The fingerprints of the members at the top, if they are asked for.
    members: RefCell<Option<Vec<(String, u64)>>>,
}

/// Why a value is not taken by any format.
#[derive(Debug)]
pub(crate) struct Unfit {
    reason: Cow<'static, str>,
    /// Where, the innermost first.
    path: Vec<Cow<'static, str>>,
}

impl Found {
    /// Begins with a value that nothing is around.
    pub(crate) const fn fingerprinter(&self) -> Fingerprinter<'_> {
        Fingerprinter {
            depth: 0,
            found: self,
        }
    }

    pub(crate) fn with_members() -> Self {
        Self {
            members: RefCell::new(Some(Vec::new())),
            ..Self::default()
        }
    }

    pub(crate) fn into_members(self) -> Vec<(String, u64)> {
        self.members.into_inner().unwrap_or_default()
    }

    pub(crate) const fn has_wide_integers(&self) -> bool {
        self.wide_integers.get()
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: Vec<&str> = self.path.iter().rev().map(AsRef::as_ref).collect();
            write!(f, "`{}`: ", path.join("."))?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unfit {}

impl Error for Unfit {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::because(reason.to_string())
    }
}

impl Unfit {
    fn because(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            path: Vec::new(),
        }
    }

    fn within(mut self, name: &'static str) -> Self {
        self.path.push(name.into());
        self
    }
}

/// What kind of thing is meant, so that those of two kinds differ.
mod kind {
    pub(super) const NOTHING: u64 = 1;
    pub(super) const BOOL: u64 = 2;
    pub(super) const UNSIGNED: u64 = 3;
    pub(super) const NEGATIVE: u64 = 4;
    pub(super) const WIDE: u64 = 5;
    pub(super) const FLOAT: u64 = 6;
    pub(super) const TEXT: u64 = 7;
    pub(super) const BYTES: u64 = 8;
    pub(super) const SOME: u64 = 9;
    pub(super) const LIST: u64 = 10;
    pub(super) const MAP: u64 = 11;
    pub(super) const VARIANT: u64 = 12;
}

/// The last step of `MurmurHash3`: every bit of `x` reaches every bit of the result.
const fn scramble(x: u64) -> u64 {
    let x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

const fn leaf(kind: u64, value: u64) -> u64 {
    scramble(value ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// That of two things in their order.
const fn pair(first: u64, second: u64) -> u64 {
    scramble(first.rotate_left(23) ^ second)
}

/// Not made against chosen collisions: they would only deceive the program that chose them.
fn bytes(kind: u64, bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: [u8; 8]| {
        (hash.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let hash = words.iter().fold(
        u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        |hash, word| mix(hash, *word),
    );
    leaf(kind, mix(hash, last))
}

impl Fingerprinter<'_> {
    fn deeper(self) -> Result<Self, Unfit> {
        if self.depth >= MAX_DEPTH {
            return Err(Unfit::because(format!(
                "values are nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self {
            depth: self.depth.saturating_add(1),
            ..self
        })
    }

    fn wide(self, value: Result<u64, [u8; 16]>) -> u64 {
        self.found.wide_integers.set(true);
        match value {
            Ok(value) => leaf(kind::UNSIGNED, value),
            Err(value) => bytes(kind::WIDE, &value),
        }
    }

    /// Notes one of the members at the top.
    fn note(self, name: &str, value: u64) {
        if self.depth == 1
            && let Some(members) = &mut *self.found.members.borrow_mut()
        {
            members.push((name.to_owned(), value));
        }
    }

    fn compound(self, kind: u64) -> Result<Compound<Self>, Unfit> {
        Ok(Compound {
            within: self.deeper()?,
            kind,
            sum: 0,
            n: 0,
            key: 0,
        })
    }
}

/// Elements, members or fields, under way.
pub(crate) struct Compound<F> {
    within: F,
    kind: u64,
    /// Of the elements, whose order does not count.
    sum: u64,
    n: u64,
    /// That of the key whose value comes next.
    key: u64,
}

impl Compound<Fingerprinter<'_>> {
    fn add(&mut self, fingerprint: u64) {
        self.sum = self.sum.wrapping_add(scramble(fingerprint));
        self.n = self.n.wrapping_add(1);
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let value = value.serialize(self.within)?;
        self.add(value);
        Ok(())
    }

    /// An element whose place counts.
    fn placed<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let value = value.serialize(self.within)?;
        self.add(pair(self.n, value));
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unfit> {
        let value = value.serialize(self.within).map_err(|e| e.within(name))?;
        self.within.note(name, value);
        self.add(pair(bytes(kind::TEXT, name.as_bytes()), value));
        Ok(())
    }

    const fn finish(&self) -> u64 {
        leaf(self.kind, pair(self.n, self.sum))
    }
}

macro_rules! numbers {
    ($($method:ident($type:ty, $wide:ty) => $to:ident),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<u64, Unfit> { self.$to(<$wide>::from(value)) })*
    };
}

impl Serializer for Fingerprinter<'_> {
    type Ok = u64;
    type Error = Unfit;
    type SerializeSeq = Compound<Self>;
    type SerializeTuple = Compound<Self>;
    type SerializeTupleStruct = Compound<Self>;
    type SerializeTupleVariant = Compound<Self>;
    type SerializeMap = Compound<Self>;
    type SerializeStruct = Compound<Self>;
    type SerializeStructVariant = Compound<Self>;

    numbers! {
        serialize_i8(i8, i64) => serialize_i64,
        serialize_i16(i16, i64) => serialize_i64,
        serialize_i32(i32, i64) => serialize_i64,
        serialize_u8(u8, u64) => serialize_u64,
        serialize_u16(u16, u64) => serialize_u64,
        serialize_u32(u32, u64) => serialize_u64,
        serialize_f32(f32, f64) => serialize_f64,
    }

    fn serialize_bool(self, value: bool) -> Result<u64, Unfit> {
        Ok(leaf(kind::BOOL, u64::from(value)))
    }

    fn serialize_i64(self, value: i64) -> Result<u64, Unfit> {
        Ok(u64::try_from(value).map_or_else(
            |_| leaf(kind::NEGATIVE, value.cast_unsigned()),
            |value| leaf(kind::UNSIGNED, value),
        ))
    }

    fn serialize_u64(self, value: u64) -> Result<u64, Unfit> {
        Ok(leaf(kind::UNSIGNED, value))
    }

    fn serialize_i128(self, value: i128) -> Result<u64, Unfit> {
        Ok(self.wide(u64::try_from(value).map_err(|_| value.to_le_bytes())))
    }

    fn serialize_u128(self, value: u128) -> Result<u64, Unfit> {
        Ok(self.wide(u64::try_from(value).map_err(|_| value.to_le_bytes())))
    }

    fn serialize_f64(self, value: f64) -> Result<u64, Unfit> {
        if !value.is_finite() {
            return Err(Unfit::because(
                "a number that is not finite (NaN or infinity), which JSON has no form for",
            ));
        }
        Ok(leaf(kind::FLOAT, value.to_bits()))
    }

    fn serialize_char(self, value: char) -> Result<u64, Unfit> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<u64, Unfit> {
        Ok(bytes(kind::TEXT, value.as_bytes()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<u64, Unfit> {
        Ok(bytes(kind::BYTES, value))
    }

    fn serialize_none(self) -> Result<u64, Unfit> {
        Ok(kind::NOTHING)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, Unfit> {
        Ok(leaf(kind::SOME, value.serialize(self)?))
    }

    fn serialize_unit(self) -> Result<u64, Unfit> {
        Ok(kind::NOTHING)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<u64, Unfit> {
        Ok(kind::NOTHING)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<u64, Unfit> {
        Ok(bytes(kind::VARIANT, variant.as_bytes()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<u64, Unfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, Unfit> {
        let mut content = self.compound(kind::VARIANT)?;
        content.field(variant, value)?;
        Ok(content.finish())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Unfit> {
        self.compound(kind::LIST)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unfit> {
        self.compound(kind::LIST)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unfit> {
        self.compound(kind::LIST)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unfit> {
        self.deeper()?
            .compound(bytes(kind::VARIANT, variant.as_bytes()))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unfit> {
        self.compound(kind::MAP)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Unfit> {
        self.compound(kind::MAP)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unfit> {
        self.deeper()?
            .compound(bytes(kind::VARIANT, variant.as_bytes()))
    }
}

impl SerializeSeq for Compound<Fingerprinter<'_>> {
    type Ok = u64;
    type Error = Unfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        self.element(value)
    }

    fn end(self) -> Result<u64, Unfit> {
        Ok(self.finish())
    }
}

impl SerializeMap for Compound<Fingerprinter<'_>> {
    type Ok = u64;
    type Error = Unfit;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unfit> {
        self.key = key.serialize(self.within)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
        let value = value.serialize(self.within)?;
        self.add(pair(self.key, value));
        Ok(())
    }

    fn end(self) -> Result<u64, Unfit> {
        Ok(self.finish())
    }
}

/// What has its elements in places, and what has them by name.
macro_rules! compound {
    (placed: $($trait:ident :: $method:ident),*) => {
        $(impl $trait for Compound<Fingerprinter<'_>> {
            type Ok = u64;
            type Error = Unfit;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unfit> {
                self.placed(value)
            }

            fn end(self) -> Result<u64, Unfit> {
                Ok(self.finish())
            }
        })*
    };
    (named: $($trait:ident),*) => {
        $(impl $trait for Compound<Fingerprinter<'_>> {
            type Ok = u64;
            type Error = Unfit;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unfit> {
                self.field(name, value)
            }

            fn end(self) -> Result<u64, Unfit> {
                Ok(self.finish())
            }
        })*
    };
}

compound!(placed: SerializeTuple::serialize_element, SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field);
compound!(named: SerializeStruct, SerializeStructVariant);
