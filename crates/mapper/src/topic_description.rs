//! A topic, for those who read its events.

use std::collections::BTreeSet;

use boxes_domain::Event;
use serde::Serialize;
use serde_json::Value;

/// A topic, for those who read its events without this program.
///
/// It serializes as it is listed: `{"topic":"orders.order.placed","version":2,"oldest_version":1,"aliases":[],
/// "discards":false,"value_types":["date_iso"],"schema":{…}}`, without `schema` and `value_types` where there are none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic under which its events are stored now.
    pub topic: &'static str,
    /// The schema version in which they are stored now.
    pub version: u32,
    /// The oldest one that this program reads; such events may be in the log still, as they were written.
    pub oldest_version: u32,
    /// Older topics under which events of this kind may be stored.
    pub aliases: &'static [&'static str],
    /// Whether the aggregate ends with it.
    pub discards: bool,
    /// Whether every version is read, by the fields that the reader has. It is about the reader, so it is not listed.
    #[serde(skip)]
    pub is_tolerant: bool,
    /// The types of [named values](boxes_domain::ValueType) that its schema says stand in it, by name. What a
    /// [`Dynamic`](boxes_domain::Dynamic) value holds no schema says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub value_types: Vec<String>,
    /// The JSON Schema of its state in the current version, whatever format it is stored in; `None` if the event type
    /// derives no `JsonSchema`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

impl TopicDescription {
    /// Those of all kinds of `E`, in the order of its variants.
    #[must_use]
    pub fn all_of<E: Event>() -> Vec<Self> {
        let mut schemas = E::state_schemas().unwrap_or_default().into_iter();
        let kinds = E::TYPES.iter().map(|event_type| {
            let schema = schemas.next();
            let mut value_types = BTreeSet::new();
            find_value_types(schema.as_ref(), &mut value_types);
            Self {
                topic: event_type.topic,
                version: event_type.version,
                oldest_version: event_type.oldest_version(),
                aliases: event_type.aliases,
                discards: event_type.discards,
                is_tolerant: event_type.is_tolerant,
                value_types: value_types.into_iter().collect(),
                schema,
            }
        });
        kinds.collect()
    }
}

/// The names in a schema, wherever in it they stand.
fn find_value_types<'a>(schema: impl IntoIterator<Item = &'a Value>, found: &mut BTreeSet<String>) {
    for part in schema {
        if let Some(name) = part.pointer("/properties/_type_/const") {
            found.extend(name.as_str().map(str::to_owned));
        }
        match part {
            Value::Array(parts) => find_value_types(parts, found),
            Value::Object(members) => find_value_types(members.values(), found),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DateAsIso, UuidAsHex};
    use boxes_domain::Named;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    fn same(state: Value) -> Value {
        state
    }

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.values", crate = "boxes_domain")]
    enum Values {
        Held {
            #[serde(with = "Named::<UuidAsHex>")]
            id: uuid::Uuid,
            inner: Vec<Inner>,
        },
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Inner {
        days: Option<Named<DateAsIso>>,
    }

    #[test]
    fn the_types_of_named_values_are_listed_wherever_they_stand() {
        let [held] = &TopicDescription::all_of::<Values>()[..] else {
            panic!("one topic")
        };
        assert_eq!(held.value_types, ["date_iso", "uuid_hex"]);
        let listed = serde_json::to_value(held).unwrap();
        assert_eq!(listed["value_types"], json!(["date_iso", "uuid_hex"]));
    }

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.e", crate = "boxes_domain")]
    enum E {
        #[event(alias = "t.old", version = 3, upcast(same))]
        Named { name: String },
        #[event(discards)]
        Ended,
    }

    #[test]
    fn a_topic_is_listed_with_its_versions_aliases_and_schema() {
        let object =
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" });
        assert_eq!(
            serde_json::to_value(TopicDescription::all_of::<E>()).unwrap(),
            json!([
                {
                    "topic": "t.e.named", "version": 3, "oldest_version": 2, "aliases": ["t.old"], "discards": false,
                    "schema": {
                        "$schema": "https://json-schema.org/draft/2020-12/schema",
                        "type": "object",
                        "properties": { "name": { "type": "string" } },
                        "required": ["name"],
                    },
                },
                { "topic": "t.e.ended", "version": 1, "oldest_version": 1, "aliases": [], "discards": true, "schema": object },
            ])
        );
    }
}
