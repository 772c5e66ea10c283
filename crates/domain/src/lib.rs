//! What a box decides, and nothing else: commands, aggregates and events.
//!
//! Everything here is pure and synchronous. There is no I/O, no clock and no byte in this crate, so a
//! domain can be built, commanded and inspected in a test without any infrastructure.
//!
//! Reading order: an [`Event`] is something that happened; an [`Aggregate`] is the fold of its events;
//! a command is a method that returns a [`Decision`], or a [`Rejection`]; a [`Root`] is one aggregate
//! with its identity and version, the thing that an application loads and saves; a [`Personal`] part of an
//! event can be forgotten; a [`Dynamic`] one holds whatever has a form, and values of a [`ValueType`] by name.

mod aggregate;
mod decision;
mod dynamic;
mod event;
mod id;
mod large;
mod personal;
mod rejection;
mod root;
#[doc(hidden)]
pub mod state_schema;
mod value_type;
mod value_types;

pub use aggregate::Aggregate;
pub use boxes_macros::Event;
pub use decision::Decision;
pub use dynamic::{Dynamic, NamedData};
pub use event::{Event, EventType, Upcast};
pub use id::{Id, ParseIdError};
pub use large::{Large, LargeId, ParseLargeIdError, large_ids_of};
pub use personal::{Opened, Personal, PersonalSeal, Sealed, Subject, sealed_by};
pub use rejection::Rejection;
pub use root::{ReplayError, Root, RootError};
pub use value_type::{Named, ValueType};
pub use value_types::{ValueTypeError, ValueTypes, with_value_types};
