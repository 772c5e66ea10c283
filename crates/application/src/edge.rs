//! Where time and new ids come from.

use std::fmt::Debug;
use std::io;

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

    /// 32 bytes that nobody can foretell, for a key. The system's, if nothing else is said.
    ///
    /// # Errors
    ///
    /// If the system gives none, which hardly happens.
    fn new_secret(&self) -> io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(secret)
    }
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
