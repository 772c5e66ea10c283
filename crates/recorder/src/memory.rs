//! A recorder in memory. (To be written.)

/// Placeholder until written.
#[derive(Debug)]
pub struct MemoryRecorder;
