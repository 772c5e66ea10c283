//! Integers as any client may write them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads an integer that may be written with an empty fraction, `59.0`: to JSON there is one kind of number, and some
/// clients write all of them so. A fraction that is not empty is refused, and so is what does not fit.
///
/// For a member of a command: `#[serde(deserialize_with = "whole_number")]`.
///
/// # Errors
///
/// That of `deserializer`, if it is no whole number or does not fit.
pub fn whole_number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64> + TryFrom<u64>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(WholeNumber(PhantomData))
}

struct WholeNumber<T>(PhantomData<T>);

/// Above it a float has no place for a fraction, and may be another number than was meant.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

impl<T: TryFrom<i64> + TryFrom<u64>> Visitor<'_> for WholeNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that fits")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "it is whole and within what a float says exactly"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        if number.fract() == 0.0 && number.abs() <= MAX_EXACT {
            return self.visit_i64(number as i64);
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Line {
        #[serde(deserialize_with = "whole_number")]
        quantity: u8,
    }

    #[test]
    fn an_empty_fraction_is_none_and_another_is_refused() {
        let read = |number: &str| {
            let text = format!(r#"{{"quantity": {number}}}"#);
            serde_json::from_str::<Line>(&text).map(|line| line.quantity)
        };
        for (number, expected) in [
            ("59", 59),
            ("59.0", 59),
            ("5.9e1", 59),
            ("0.0", 0),
            ("-0.0", 0),
        ] {
            assert_eq!(read(number).unwrap(), expected, "{number}");
        }
        for number in [
            "59.5", "256", "256.0", "-1", "-1.0", "1e300", "\"59\"", "null",
        ] {
            assert!(read(number).is_err(), "{number}");
        }
    }
}
