//! A topic, for those who read its events.

use boxes_domain::Event;
use serde::Serialize;
use serde_json::Value;

/// A topic, for those who read its events without this program.
///
/// It serializes as it is listed: `{"topic":"orders.order.placed","version":2,"oldest_version":1,"aliases":[],
/// "discards":false,"schema":{…}}`, without `schema` where there is none.
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
        let kinds = E::TYPES.iter().map(|event_type| Self {
            topic: event_type.topic,
            version: event_type.version,
            oldest_version: event_type.oldest_version(),
            aliases: event_type.aliases,
            discards: event_type.discards,
            schema: schemas.next(),
        });
        kinds.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    fn same(state: Value) -> Value {
        state
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
