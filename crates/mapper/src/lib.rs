//! Between events and the bytes that are stored.
//!
//! On this side of the mapper an event is a value of the domain; on the other it is a topic and opaque
//! bytes. Nothing below knows a domain type, and nothing above knows how state is stored.
//!
//! Reading order: a [`Mapper`] makes a stored event of an event and back; [`Topics`] are the names under
//! which a box stores; [`Metadata`] is what is told about an event beside what it says.

mod error;
mod mapper;
mod metadata;
mod topics;
mod variant_de;
mod variant_ser;

pub use error::MapperError;
pub use mapper::{Envelope, Mapper};
pub use metadata::Metadata;
pub use topics::Topics;
