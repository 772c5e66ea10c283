//! What is wrong with a state, without what the state holds.

use crate::TranscoderError;

/// What is said where it can't be told apart from what the state holds.
const UNTOLD: &str = "it holds something that the type refuses";

/// The same error without values: errors are logged, and shown to operators, and what events say is not for them.
///
/// Members that are missing, types, what was expected and where are kept: those are of the program. What a type of the
/// program says itself is not, because it may repeat what it refuses. What a transcoder says of its format is kept as it
/// is.
pub(crate) fn without_values(error: TranscoderError) -> TranscoderError {
    let of_json = error.downcast_ref::<serde_json::Error>();
    let of_type = of_json.is_some_and(serde_json::Error::is_data);
    if !of_type && !error.is::<erased_serde::Error>() {
        return error;
    }
    let message = error.to_string();
    let place = of_json.filter(|error| error.line() > 0);
    let place = place.map(|error| format!(" at line {} column {}", error.line(), error.column()));
    let place = place.unwrap_or_default();
    let told = message.strip_suffix(&*place).unwrap_or(&message);
    let told = told_of_types(told).unwrap_or_else(|| UNTOLD.to_owned());
    format!("{told}{place}").into()
}

/// The part of one of serde's messages that is about types, if it is one.
fn told_of_types(message: &str) -> Option<String> {
    for prefix in ["missing field ", "duplicate field "] {
        if let Some(name) = message.strip_prefix(prefix) {
            return is_name(name).then(|| message.to_owned());
        }
    }
    // What was expected comes last, so that no value can pass for it.
    let (found, expected) = message.rsplit_once(", expected ")?;
    let (what, value) = match found.split_once(": ") {
        Some((what @ ("invalid type" | "invalid value"), value)) => (what, value),
        _ => ("", found),
    };
    if !what.is_empty() {
        let kind = value.split(['"', '`']).next().unwrap_or_default().trim();
        return KINDS
            .contains(&kind)
            .then(|| format!("{what}: {kind}, expected {expected}"));
    }
    for what in ["unknown variant", "unknown field"] {
        if found
            .strip_prefix(what)
            .is_some_and(|rest| rest.starts_with(" `"))
        {
            return Some(format!("{what}, expected {expected}"));
        }
    }
    let length = found.strip_prefix("invalid length ")?;
    length
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| message.to_owned())
}

/// What serde calls the values that it finds.
const KINDS: [&str; 17] = [
    "Option value",
    "boolean",
    "byte array",
    "character",
    "enum",
    "floating point",
    "integer",
    "map",
    "newtype struct",
    "newtype variant",
    "null",
    "sequence",
    "string",
    "struct variant",
    "tuple variant",
    "unit value",
    "unit variant",
];

/// A name between backticks and nothing else: serde writes those of the type.
fn is_name(text: &str) -> bool {
    let name = text
        .strip_prefix('`')
        .and_then(|text| text.strip_suffix('`'));
    name.is_some_and(|name| !name.contains('`'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde::de::{DeserializeOwned, Error};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "it is only read")]
    struct Person {
        name: String,
        #[serde(default)]
        age: u8,
        #[serde(default)]
        mood: Option<Mood>,
        #[serde(default)]
        mail: Option<Mail>,
    }

    #[derive(Debug, Deserialize)]
    enum Mood {
        Glad,
    }

    /// A type that repeats what it refuses.
    #[derive(Debug)]
    struct Mail;

    impl<'de> Deserialize<'de> for Mail {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(D::Error::custom(format!("{text} is no address")))
        }
    }

    fn said<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
        let error = serde_json::from_str::<T>(json).unwrap_err();
        without_values(TranscoderError::from(error)).to_string()
    }

    #[test]
    fn what_is_said_is_of_types_and_places_and_of_no_value() {
        let cases = [
            (
                r#"{"name":5551234}"#,
                "invalid type: integer, expected a string at line 1 column 15",
            ),
            (
                r#"{"name":"Ann","age":"secret"}"#,
                "invalid type: string, expected u8 at line 1 column 28",
            ),
            (
                r#"{"name":"Ann","age":5551}"#,
                "invalid value: integer, expected u8 at line 1 column 24",
            ),
            (
                r#"{"name":"Ann","age":1.5551}"#,
                "invalid type: floating point, expected u8 at line 1 column 26",
            ),
            (
                r#"{"name":null}"#,
                "invalid type: null, expected a string at line 1 column 12",
            ),
            (
                r#"{"name":["secret"]}"#,
                "invalid type: sequence, expected a string at line 1 column 8",
            ),
            (
                r#"{"name":"Ann","mood":"secret"}"#,
                "unknown variant, expected `Glad` at line 1 column 29",
            ),
            (
                r#"{"secret":1}"#,
                "unknown field, expected one of `name`, `age`, `mood`, `mail` at line 1 column 9",
            ),
            (r#"{"age":1}"#, "missing field `name` at line 1 column 9"),
            (
                r#"{"name":"Ann","mail":"secret"}"#,
                "it holds something that the type refuses at line 1 column 30",
            ),
            (
                r#"{"name":"Ann""#,
                "EOF while parsing an object at line 1 column 13",
            ),
        ];
        for (json, sentence) in cases {
            assert_eq!(said::<Person>(json), sentence, "{json}");
        }
    }

    #[test]
    fn what_other_formats_say_of_types_has_no_values_either_and_what_they_say_of_themselves_is_kept()
     {
        let mut json = serde_json::Deserializer::from_str(r#"{"name":"Ann","age":"secret"}"#);
        let mut erased = <dyn erased_serde::Deserializer<'_>>::erase(&mut json);
        let read = erased_serde::deserialize::<Person>(&mut erased);
        let sentence = without_values(read.unwrap_err().into()).to_string();
        assert!(
            sentence.starts_with("invalid type: string, expected u8"),
            "{sentence}"
        );
        let own = without_values("3 bytes are left".into()).to_string();
        assert_eq!(own, "3 bytes are left");
    }

    #[test]
    fn a_value_that_reads_like_a_message_is_no_message() {
        for value in [
            r#"x, expected secret"#,
            r#"a\", expected secret"#,
            r#"missing field `secret`"#,
        ] {
            let json = format!("{{\"name\":\"Ann\",\"age\":\"{value}\"}}");
            let sentence = said::<Person>(&json);
            assert!(
                sentence.starts_with("invalid type: string, expected u8"),
                "{sentence}"
            );
            let json = format!("{{\"name\":\"Ann\",\"mail\":\"{value}\"}}");
            let sentence = said::<Person>(&json);
            assert!(!sentence.contains("secret"), "{sentence}");
        }
        let map = said::<BTreeMap<u8, u8>>(r#"{"secret":1}"#);
        assert!(!map.contains("secret"), "{map}");
    }
}
