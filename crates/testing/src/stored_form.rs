//! What of a JSON Schema says how state is stored, and how two of them differ.

use serde_json::{Map, Value};

/// What stands in a schema for people, and for what is read rather than written.
const WORDS: [&str; 6] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "examples",
    "default",
];

/// The part of `schema` that says how state is stored: without words, and with definitions in the places where they are
/// used, so that neither a comment nor the name of a Rust type is part of it. A definition that holds itself is named by
/// how far up it began.
pub(crate) fn stored_form(schema: &Value) -> Value {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    form(schema, &definitions, &mut Vec::new())
}

fn form(schema: &Value, definitions: &Value, above: &mut Vec<String>) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut formed = Map::new();
    for (key, member) in members {
        match (key.as_str(), member) {
            (key, _) if WORDS.contains(&key) => {}
            ("$ref", Value::String(reference)) => {
                let name = reference.trim_start_matches("#/$defs/");
                let depth = above.iter().rev().position(|one| one == name);
                match (depth, definitions.get(name)) {
                    (Some(depth), _) => {
                        formed.insert("$ref".to_owned(), Value::from(format!("{depth} up")));
                    }
                    (None, Some(definition)) => {
                        above.push(name.to_owned());
                        let definition = form(definition, definitions, above);
                        above.pop();
                        if let Value::Object(definition) = definition {
                            formed.extend(definition);
                        }
                    }
                    (None, None) => {
                        formed.insert("$ref".to_owned(), member.clone());
                    }
                }
            }
            // Here the keys are names of the user's.
            ("properties" | "patternProperties", Value::Object(properties)) => {
                let properties = properties
                    .iter()
                    .map(|(name, property)| (name.clone(), form(property, definitions, above)));
                formed.insert(key.clone(), Value::Object(properties.collect()));
            }
            // In whatever order they are declared.
            ("required" | "enum" | "oneOf" | "anyOf" | "allOf", Value::Array(items)) => {
                let mut items: Vec<Value> = items
                    .iter()
                    .map(|item| form(item, definitions, above))
                    .collect();
                items.sort_by_key(ToString::to_string);
                formed.insert(key.clone(), Value::Array(items));
            }
            (_, Value::Array(items)) => {
                let items = items.iter().map(|item| form(item, definitions, above));
                formed.insert(key.clone(), Value::Array(items.collect()));
            }
            _ => {
                formed.insert(key.clone(), form(member, definitions, above));
            }
        }
    }
    Value::Object(formed)
}

/// Where `new` differs from `old`, one line for each place.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(old, new, "", &mut found);
    found
}

fn compare(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => {
            for (key, old) in old {
                match new.get(key) {
                    Some(new) => compare(old, new, &below(key), found),
                    None => found.push(format!("{} is gone", below(key))),
                }
            }
            for key in new.keys().filter(|key| !old.contains_key(*key)) {
                found.push(format!("{} is new", below(key)));
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                compare(old, new, &below(&place.to_string()), found);
            }
        }
        _ => found.push(format!("{path} was {old}, and is {new}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_names_of_types_and_the_order_of_fields_are_no_part_of_it() {
        let one = json!({
            "$schema": "s", "title": "Placed", "description": "Old words.",
            "properties": {
                "title": { "type": "string", "description": "words" },
                "line": { "$ref": "#/$defs/Line" },
            },
            "required": ["title", "line"],
            "$defs": { "Line": { "type": "object", "properties": { "parts": { "items": { "$ref": "#/$defs/Line" } } } } },
        });
        let other = json!({
            "properties": {
                "line": { "$ref": "#/$defs/OrderLine", "description": "A line." },
                "title": { "type": "string", "default": "none" },
            },
            "required": ["line", "title"],
            "$defs": { "OrderLine": { "type": "object", "properties": { "parts": { "items": { "$ref": "#/$defs/OrderLine" } } } } },
        });
        assert_eq!(stored_form(&one), stored_form(&other));
        assert_eq!(
            stored_form(&one),
            json!({
                "properties": {
                    "title": { "type": "string" },
                    "line": { "type": "object", "properties": { "parts": { "items": { "$ref": "0 up" } } } },
                },
                "required": ["line", "title"],
            })
        );
    }

    #[test]
    fn what_differs_is_named_by_its_place() {
        let old =
            json!({ "properties": { "a": { "type": "string" }, "b": {} }, "required": ["a"] });
        let new = json!({ "properties": { "a": { "type": "integer" }, "c": {} }, "required": ["a", "c"] });
        assert_eq!(
            differences(&old, &new),
            [
                "properties.a.type was \"string\", and is \"integer\"",
                "properties.b is gone",
                "properties.c is new",
                "required was [\"a\"], and is [\"a\",\"c\"]",
            ]
        );
        assert!(differences(&old, &old).is_empty());
    }
}
