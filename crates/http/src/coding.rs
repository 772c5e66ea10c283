//! Bodies made smaller for the way, and whole again.
//!
//! Levels are fixed and nothing that depends on time or place goes in, so a body has one coded form: the same on
//! every replica that runs the same version of the kit, and after a restart. That is what its entity tag promises.

use std::io::{self, Read, Write as _};

use axum::http::HeaderValue;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

/// Below this a body goes as it is: it fits into one or two packets whatever is done to it.
pub(crate) const MIN_CODED_BYTES: usize = 1_024;
/// From here on the work is done where it holds up no other request: it takes a millisecond or more.
const OFFLOADED_BYTES: usize = 32 * 1_024;
/// The usual level: half the size for a fifth of the time of the best.
const GZIP_LEVEL: u32 = 6;
/// The library's own default.
const ZSTD_LEVEL: i32 = 3;
/// The highest that is about as fast as gzip.
const BROTLI_QUALITY: i32 = 5;
/// The window, as a power of two: 4 MiB, beyond which pages do not repeat themselves.
const BROTLI_WINDOW: i32 = 22;
/// The largest window that is undone, as a power of two: 8 MiB, what RFC 9659 lets senders use.
const ZSTD_MAX_WINDOW: u32 = 23;
/// How much is undone at a time.
const BUFFER_BYTES: usize = 16 * 1_024;

/// What was done to a body: a content coding (RFC 9110, 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    /// Nothing.
    Identity,
    Zstd,
    Brotli,
    Gzip,
}

/// A body can't be made whole.
#[derive(Debug, Error)]
pub(crate) enum DecodeError {
    #[error("it holds more than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("it is damaged: {0}")]
    Damaged(#[from] io::Error),
    #[error("undoing it was broken off: {0}")]
    BrokenOff(#[from] JoinError),
}

impl Coding {
    /// All that change a body, the one first that is given to those who like several equally: zstd is the
    /// quickest to undo, br the smallest, gzip the one that everybody knows.
    pub(crate) const CODED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];
    /// What a reader that can undo all of them says.
    pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("zstd, br, gzip");

    /// As it is registered with IANA.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name, in any case; `x-gzip` is gzip.
    pub(crate) fn find(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        [Self::Identity]
            .into_iter()
            .chain(Self::CODED)
            .find(|coding| coding.name().eq_ignore_ascii_case(name))
    }

    /// The body so coded; a large one is worked on by another thread.
    ///
    /// # Errors
    ///
    /// Those of the libraries, which have none for a body in memory.
    pub(crate) async fn encode(self, body: Bytes) -> io::Result<Bytes> {
        if self == Self::Identity {
            return Ok(body);
        }
        if body.len() < OFFLOADED_BYTES {
            return self.encoded(&body).map(Bytes::from);
        }
        let encoded = spawn_blocking(move || self.encoded(&body)).await;
        encoded.map_err(io::Error::other)?.map(Bytes::from)
    }

    fn encoded(self, mut body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(body.to_vec()),
            Self::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
            Self::Brotli => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW,
                    size_hint: body.len(),
                    ..BrotliEncoderParams::default()
                };
                let mut coded = Vec::with_capacity(body.len() / 2);
                brotli::BrotliCompress(&mut body, &mut coded, &params)?;
                Ok(coded)
            }
            Self::Gzip => {
                // Its header holds no time and no system.
                let coded = Vec::with_capacity(body.len() / 2);
                let mut encoder = GzEncoder::new(coded, flate2::Compression::new(GZIP_LEVEL));
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }

    /// The body that was so coded, of at most `max_bytes`; a large one is worked on by another thread.
    ///
    /// # Errors
    ///
    /// - [`DecodeError::TooLarge`] as soon as there is more: what comes after it is not looked at.
    /// - [`DecodeError::Damaged`] if it is not so coded, cut short, or followed by something else.
    pub(crate) async fn decode(self, body: Bytes, max_bytes: usize) -> Result<Bytes, DecodeError> {
        if self == Self::Identity {
            return Ok(body);
        }
        if body.len() < OFFLOADED_BYTES {
            return self.decoded(&body, max_bytes).map(Bytes::from);
        }
        spawn_blocking(move || self.decoded(&body, max_bytes).map(Bytes::from)).await?
    }

    fn decoded(self, body: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Identity => read_all(body, max_bytes),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(body)?;
                decoder.window_log_max(ZSTD_MAX_WINDOW)?;
                read_all(decoder, max_bytes)
            }
            Self::Brotli => read_all(brotli::Decompressor::new(body, BUFFER_BYTES), max_bytes),
            Self::Gzip => read_all(MultiGzDecoder::new(body), max_bytes),
        }
    }
}

fn read_all(reader: impl Read, max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    // One more tells that there is more.
    let bound = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut whole = Vec::with_capacity(BUFFER_BYTES.min(max_bytes));
    reader.take(bound).read_to_end(&mut whole)?;
    if whole.len() > max_bytes {
        return Err(DecodeError::TooLarge { max_bytes });
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> Vec<u8> {
        let item = |id| format!("{{\"id\":{id},\"topic\":\"orders.order.placed\"}},");
        (1..=2_000)
            .map(item)
            .collect::<Vec<_>>()
            .concat()
            .into_bytes()
    }

    /// The length and the CRC-32 of what a page becomes.
    fn print(coding: Coding) -> (usize, u32) {
        let coded = coding.encoded(&page()).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&coded);
        (coded.len(), crc.sum())
    }

    /// When this fails, the libraries write something else than before: replicas of two versions would then give
    /// two bodies the same entity tag. Give the coding another suffix in `EntityTag`, and take over the figures.
    #[test]
    fn what_a_body_becomes_stays_the_same() {
        assert_eq!(
            Coding::CODED.map(print),
            [
                (1_972, 3_042_719_514),
                (2_313, 1_788_711_312),
                (5_125, 1_324_305_469)
            ]
        );
    }

    #[tokio::test]
    async fn a_body_comes_back_as_it_was_up_to_the_bound() {
        let body = Bytes::from(page());
        assert!(body.len() > OFFLOADED_BYTES);
        for coding in Coding::CODED {
            let coded = coding.encode(body.clone()).await.unwrap();
            assert!(coded.len() < body.len() / 4, "{coding:?}");
            let whole = coding.decode(coded.clone(), body.len()).await.unwrap();
            assert_eq!(whole, body);
            let bounded = coding.decode(coded, body.len() - 1).await;
            assert!(
                matches!(bounded, Err(DecodeError::TooLarge { .. })),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn what_is_damaged_or_cut_short_is_not_taken_for_whole() {
        let body = page();
        for coding in Coding::CODED {
            let coded = coding.encoded(&body).unwrap();
            for cut in [1, 2, coded.len() / 2, coded.len() - 1] {
                let cut_short = coding.decoded(&coded[..cut], body.len());
                assert!(cut_short.is_err(), "{coding:?} {cut}");
            }
            assert!(coding.decoded(&body, body.len()).is_err(), "{coding:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_comes_back(body: Vec<u8>) {
            for coding in Coding::CODED {
                let coded = coding.encoded(&body).unwrap();
                prop_assert_eq!(&coding.decoded(&coded, body.len()).unwrap(), &body);
            }
        }

        #[test]
        fn whatever_comes_is_undone_within_the_bound_or_refused(body: Vec<u8>) {
            for coding in Coding::CODED {
                if let Ok(whole) = coding.decoded(&body, 64) {
                    prop_assert!(whole.len() <= 64);
                }
            }
        }
    }
}
