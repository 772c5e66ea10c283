//! Which of the content codings a request takes.

use axum::http::header::{ACCEPT_ENCODING, VARY};
use axum::http::{HeaderMap, HeaderValue};

use crate::accept::{elements, thousandths};
use crate::coding::{Coding, MIN_CODED_BYTES};
use crate::{Problem, ProblemKind};

/// The quality of what a request takes without having named it: less than of anything that it names.
const UNNAMED: u16 = 0;

/// The content codings that a request takes (RFC 9110, 12.5.3).
///
/// A request that says nothing takes every one, and gets none: who wants one asks for it. So do those who say
/// `*`, unless they refuse the body as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AcceptedCodings {
    /// For each of [`Coding::CODED`] the quality in thousandths; `None` where it is not taken.
    coded: [Option<u16>; 3],
    identity: Option<u16>,
    best: Coding,
}

impl AcceptedCodings {
    const ANY: Self = Self {
        coded: [Some(UNNAMED); 3],
        identity: Some(UNNAMED),
        best: Coding::Identity,
    };

    /// # Errors
    ///
    /// 406 if the request takes none, not even the body as it is.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        if !headers.contains_key(ACCEPT_ENCODING) {
            return Ok(Self::ANY);
        }
        let mut named: [Option<u16>; 3] = [None; 3];
        let (mut identity, mut star) = (None, None);
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        for (name, quality) in texts
            .flat_map(|text| elements(text, b','))
            .filter_map(parse)
        {
            let place = match Coding::find(name) {
                _ if name == "*" => &mut star,
                Some(Coding::Identity) => &mut identity,
                Some(coding) => {
                    let mut slots = Coding::CODED.iter().zip(&mut named);
                    match slots.find(|(offered, _)| **offered == coding) {
                        Some((_, slot)) => slot,
                        None => continue,
                    }
                }
                None => continue,
            };
            // Of several the first counts.
            place.get_or_insert(quality);
        }
        let taken = |quality: u16| (quality > 0).then_some(quality);
        let by_star = star.and_then(taken).map(|_| UNNAMED);
        let coded = named.map(|quality| quality.map_or(by_star, taken));
        let identity = identity.or(star).map_or(Some(UNNAMED), taken);
        let best = best(&coded, identity).ok_or_else(not_acceptable)?;
        Ok(Self {
            coded,
            identity,
            best,
        })
    }

    /// The one that the request likes best.
    pub(crate) const fn best(&self) -> Coding {
        self.best
    }

    /// The one for a body of this length: a small one goes as it is, if the request takes that.
    pub(crate) fn for_body(&self, n_bytes: usize) -> Coding {
        if n_bytes < MIN_CODED_BYTES {
            self.plain()
        } else {
            self.best
        }
    }

    /// The one for a body that is not worth the work: none, if the request takes that.
    pub(crate) fn plain(&self) -> Coding {
        self.identity.map_or(self.best, |_| Coding::Identity)
    }

    pub(crate) fn takes(&self, coding: Coding) -> bool {
        let mut slots = Coding::CODED.iter().zip(&self.coded);
        match coding {
            Coding::Identity => self.identity.is_some(),
            coding => slots.any(|(offered, quality)| *offered == coding && quality.is_some()),
        }
    }
}

/// The highest quality; of equals a coding before none, but none before one that was not named.
fn best(coded: &[Option<u16>; 3], identity: Option<u16>) -> Option<Coding> {
    let mut best = identity.map(|quality| (quality, Coding::Identity));
    for (coding, quality) in Coding::CODED.iter().zip(coded) {
        let Some(quality) = *quality else { continue };
        let better = match best {
            None => true,
            Some((most, Coding::Identity)) => quality > UNNAMED && quality >= most,
            Some((most, _)) => quality > most,
        };
        if better {
            best = Some((quality, *coding));
        }
    }
    best.map(|(_, coding)| coding)
}

/// `gzip;q=0.5`, as the name and the quality in thousandths.
fn parse(element: &str) -> Option<(&str, u16)> {
    let mut parts = elements(element, b';');
    let name = parts.next()?;
    match parts.next() {
        None => Some((name, 1_000)),
        Some(parameter) => {
            let (weight, value) = parameter.split_once('=')?;
            let is_quality = weight.trim().eq_ignore_ascii_case("q");
            is_quality
                .then(|| thousandths(value.trim()))?
                .map(|quality| (name, quality))
        }
    }
}

fn not_acceptable() -> Problem {
    let offered = [Coding::Identity, Coding::Zstd, Coding::Brotli, Coding::Gzip];
    let offered = offered.map(Coding::name);
    Problem::new(&ProblemKind::CODING_NOT_ACCEPTABLE)
        .with_detail(format!("offered: {}", offered.join(", ")))
        .with_member("offered", offered.to_vec())
        .with_header(VARY, HeaderValue::from_static("Accept, Accept-Encoding"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted(lines: &[&str]) -> Option<AcceptedCodings> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        AcceptedCodings::of(&headers).ok()
    }

    #[test]
    fn the_best_that_is_taken_is_given() {
        use Coding::{Brotli, Gzip, Identity, Zstd};
        for (lines, large, small) in [
            (&[][..], Identity, Identity),
            (&[""], Identity, Identity),
            (&["gzip"], Gzip, Identity),
            (&["x-GZIP"], Gzip, Identity),
            (&["gzip, deflate, br, zstd"], Zstd, Identity),
            (&["gzip, br"], Brotli, Identity),
            (&["gzip", "br;q=0.9"], Gzip, Identity),
            (&["gzip;q=0.001"], Gzip, Identity),
            (&["gzip;q=0.5, identity"], Identity, Identity),
            (&["gzip;q=0.5, *"], Identity, Identity),
            (&["gzip;q=0, *"], Identity, Identity),
            (&["gzip, identity"], Gzip, Identity),
            (&["deflate"], Identity, Identity),
            (&["*"], Identity, Identity),
            (&["gzip;q=2, br;q=x, zstd;x=1"], Identity, Identity),
            (&["gzip, identity;q=0"], Gzip, Gzip),
            (&["br;q=0.1, *;q=0"], Brotli, Brotli),
            (&["*, identity;q=0, zstd;q=0"], Brotli, Brotli),
            (&["identity, *;q=0"], Identity, Identity),
        ] {
            let accepted = accepted(lines).unwrap();
            let given = [accepted.for_body(MIN_CODED_BYTES), accepted.for_body(0)];
            assert_eq!(given, [large, small], "{lines:?}");
            assert_eq!([accepted.best(), accepted.plain()], given);
        }
        for lines in [
            &["identity;q=0"][..],
            &["*;q=0"],
            &["deflate, identity;q=0"],
            &["gzip;q=0.0", "*;q=0.000"],
        ] {
            assert_eq!(accepted(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn what_is_taken_is_known_besides_what_is_given() {
        let takes = |lines: &[&str]| {
            let accepted = accepted(lines).unwrap();
            let all = [Coding::Identity, Coding::Zstd, Coding::Brotli, Coding::Gzip];
            all.map(|coding| accepted.takes(coding))
        };
        assert_eq!(takes(&[]), [true; 4]);
        assert_eq!(takes(&["*"]), [true; 4]);
        assert_eq!(takes(&["gzip"]), [true, false, false, true]);
        assert_eq!(
            takes(&["*, br;q=0, identity;q=0"]),
            [false, true, false, true]
        );
    }

    proptest! {
        #[test]
        fn what_is_given_is_taken(text in "[a-z*;=q.0-1, ]{0,20}(gzip|br|zstd|identity|\\*)?[;=q.0-1, ]{0,8}(gzip|br)?") {
            if let Some(accepted) = accepted(&[&text]) {
                prop_assert!(accepted.takes(accepted.best()));
                prop_assert!(accepted.takes(accepted.plain()));
            }
        }
    }
}
