//! When an event of the Python library `eventsourcing` happened.

use jiff::Timestamp;
use serde::Deserialize;

/// The `timestamp` of a state, as the transcoders of the library's versions 8 and 9 write it, in whole microseconds.
pub(crate) fn python_time(state: &[u8]) -> Option<Timestamp> {
    let timed: Timed = serde_json::from_slice(state).ok()?;
    match timed.timestamp {
        Marked::Nine { data } => Timestamp::from_microsecond(data.as_microsecond()).ok(),
        Marked::Eight { decimal } => {
            let (seconds, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
            let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
            let (seconds, microseconds): (i64, i64) = (seconds.parse().ok()?, digits.parse().ok()?);
            let whole = seconds.checked_mul(1_000_000)?;
            Timestamp::from_microsecond(whole.checked_add(microseconds)?).ok()
        }
    }
}

#[derive(Deserialize)]
struct Timed {
    timestamp: Marked,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Marked {
    Nine {
        #[serde(rename = "_data_")]
        data: Timestamp,
    },
    /// Seconds since 1970.
    Eight {
        #[serde(rename = "__decimal__")]
        decimal: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_others_are_none() {
        let time = |state: &str| python_time(state.as_bytes()).map(|time| time.to_string());
        let nine = r#"{"timestamp":{"_type_":"datetime_iso","_data_":"2026-01-02T03:04:05.678901+00:00"}}"#;
        assert_eq!(time(nine).unwrap(), "2026-01-02T03:04:05.678901Z");
        let eight = r#"{"timestamp":{"__decimal__":"1795523299.48656"}}"#;
        assert_eq!(time(eight).unwrap(), "2026-11-24T12:28:19.48656Z");
        for state in [
            "{}",
            "[]",
            r#"{"timestamp":1}"#,
            r#"{"timestamp":{"__decimal__":"99999999999999999999"}}"#,
        ] {
            assert_eq!(time(state), None);
        }
    }
}
