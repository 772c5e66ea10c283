//! Where time and new ids come from.

use std::fmt::Debug;

use jiff::Timestamp;
use uuid::Uuid;

/// Where time and new ids come from: the edge between a box and the world that can't be repeated.
///
/// Tests give one that counts, and get the same events every time.
pub trait Edge: Debug + Send + Sync + 'static {
    /// What time it is. The recorder keeps whole microseconds.
    fn now(&self) -> Timestamp;

    /// A new id, different from every other one anywhere.
    fn new_id(&self) -> Uuid;
}

/// The system's clock, and ids that ascend with it (UUID version 7): what was made later is stored later,
/// which keeps an index compact.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEdge;

impl Edge for SystemEdge {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where time comes in"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where ids come in"
    )]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
