//! Compression of one event's state, and inflating with a bound.

use std::io::Read;

use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};

/// Its part of the mark of an encoding.
pub(crate) const MARK: &str = "zlib";

/// Why something is not inflated.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It holds more than is allowed.
    TooLarge,
    /// It is not what zlib writes, or something follows it.
    Damaged,
}

/// `text`, compressed (RFC 1950), if that makes it smaller.
pub(crate) fn deflate(text: &[u8]) -> Option<Vec<u8>> {
    let compressed = compress(text)?;
    (compressed.len() < text.len()).then_some(compressed)
}

/// `text`, compressed (RFC 1950), whatever comes of it.
pub(crate) fn compress(text: &[u8]) -> Option<Vec<u8>> {
    let mut compressed = Vec::with_capacity(text.len());
    ZlibEncoder::new(text, Compression::default())
        .read_to_end(&mut compressed)
        .ok()?;
    Some(compressed)
}

/// What was compressed, if it has no more than `max_bytes`. Never takes much more memory than that.
pub(crate) fn inflate(compressed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    let mut decoder = ZlibDecoder::new(compressed);
    let mut text = Vec::new();
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    decoder
        .by_ref()
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|_| Refusal::Damaged)?;
    if text.len() > max_bytes {
        return Err(Refusal::TooLarge);
    }
    match usize::try_from(decoder.total_in()) {
        Ok(used) if used == compressed.len() => Ok(text),
        _ => Err(Refusal::Damaged),
    }
}
