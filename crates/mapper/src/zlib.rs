//! Compression of one event's state, and inflating with a bound.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

thread_local! {
    // An event is small, and to make the tables anew for it (some 300 KiB) costs several times what compressing it does.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), true));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

/// By how much the room for what comes out grows at least, in bytes.
const STEP: usize = 256;

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
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut compressed = Vec::with_capacity(text.len().saturating_add(STEP));
        loop {
            let rest = text.get(taken(compress.total_in())..)?;
            match compress.compress_vec(rest, &mut compressed, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Some(compressed),
                Ok(Status::Ok | Status::BufError) => compressed.reserve(compressed.len().max(STEP)),
                Err(_) => return None,
            }
        }
    })
}

/// What was compressed, if it has no more than `max_bytes`. Never takes much more memory than that.
pub(crate) fn inflate(compressed: &[u8], max_bytes: usize) -> Result<Vec<u8>, Refusal> {
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(true);
        let mut text = Vec::new();
        loop {
            // One byte more than is allowed shows that there is more.
            let room = max_bytes.saturating_add(1).saturating_sub(text.len());
            if room == 0 {
                return Err(Refusal::TooLarge);
            }
            let wanted = compressed.len().saturating_mul(2).max(text.len()).max(STEP);
            text.reserve_exact(wanted.min(room));
            let rest = compressed.get(taken(decompress.total_in())..);
            let before = (decompress.total_in(), decompress.total_out());
            let status = decompress.decompress_vec(
                rest.unwrap_or_default(),
                &mut text,
                FlushDecompress::None,
            );
            match status {
                Ok(Status::StreamEnd) if text.len() > max_bytes => return Err(Refusal::TooLarge),
                Ok(Status::StreamEnd) if taken(decompress.total_in()) == compressed.len() => {
                    return Ok(text);
                }
                // There was room, and nothing went on: the end is missing.
                Ok(Status::Ok | Status::BufError)
                    if before != (decompress.total_in(), decompress.total_out()) => {}
                _ => return Err(Refusal::Damaged),
            }
        }
    })
}

fn taken(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_before_it_on_the_thread_does_not_matter() {
        let texts = [0_usize, 1, 150, 32 * 1024, 400_000].map(|length| {
            let bytes = (0..length).map(|n| u8::try_from(n * n % 251).unwrap());
            bytes.collect::<Vec<_>>()
        });
        let alone = texts.clone().map(|text| {
            let thread = std::thread::spawn(move || compress(&text).unwrap());
            thread.join().unwrap()
        });
        for (text, alone) in texts.iter().zip(&alone) {
            let compressed = compress(text).unwrap();
            assert!(compressed == *alone, "{} bytes", text.len());
            // Refused in all ways, and in between read whole.
            let cut = compressed.get(..compressed.len() - 1).unwrap();
            assert!(matches!(inflate(cut, usize::MAX), Err(Refusal::Damaged)));
            assert_eq!(inflate(&compressed, text.len()).unwrap(), *text);
            if let Some(less) = text.len().checked_sub(1) {
                assert!(matches!(inflate(&compressed, less), Err(Refusal::TooLarge)));
            }
            assert!(matches!(inflate(b"no zlib", 100), Err(Refusal::Damaged)));
            assert_eq!(inflate(&compressed, usize::MAX).unwrap(), *text);
            let followed = [&*compressed, b"x"].concat();
            assert!(matches!(
                inflate(&followed, usize::MAX),
                Err(Refusal::Damaged)
            ));
        }
    }
}
