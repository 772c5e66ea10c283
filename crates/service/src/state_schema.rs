//! The schema of an event's state, as a part of an AsyncAPI document.

use schemars::Schema;
use schemars::transform::{
    RemoveRefSiblings, ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform as _,
};
use serde_json::{Map, Value, json};

/// Where a schema has those that it is made of, and how it refers to them.
const DEFINITIONS: &str = "$defs";
const TO_DEFINITIONS: &str = "#/$defs/";
/// Where a document has them.
const TO_COMPONENTS: &str = "#/components/schemas/";

/// A schema that refers to nothing but what a document has for it under keys that begin with its own.
///
/// Schemas of AsyncAPI are those of draft 7 of JSON Schema; what a topic has is of 2020-12, and says it as draft 7 does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StateSchema {
    key: String,
    schema: Value,
    definitions: Map<String, Value>,
}

impl StateSchema {
    /// `schema`, to be a component under `key`.
    pub(crate) fn new(key: String, schema: &Value) -> Self {
        let mut schema = in_draft_7(schema.clone());
        let mut definitions = Map::new();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            if let Some(Value::Object(own)) = schema.remove(DEFINITIONS) {
                definitions = own;
            }
        }
        refer(&mut schema, &key);
        for definition in definitions.values_mut() {
            refer(definition, &key);
        }
        Self {
            key,
            schema,
            definitions,
        }
    }

    /// The reference to it.
    pub(crate) fn reference(&self) -> Value {
        json!({ "$ref": format!("{TO_COMPONENTS}{}", self.key) })
    }

    /// It and what it refers to, by the keys of the components.
    pub(crate) fn into_components(self) -> impl Iterator<Item = (String, Value)> {
        let Self {
            key,
            schema,
            definitions,
        } = self;
        let own = std::iter::once((key.clone(), schema));
        own.chain(
            definitions
                .into_iter()
                .map(move |(name, definition)| (component(&key, &name), definition)),
        )
    }
}

/// The key of a component that `name` is among the definitions of the one with the key `of`.
fn component(of: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    format!("{of}.{name}")
}

fn in_draft_7(schema: Value) -> Value {
    let Ok(mut schema) = Schema::try_from(schema) else {
        return Value::Bool(true);
    };
    ReplaceUnevaluatedProperties::default().transform(&mut schema);
    RemoveRefSiblings::default().transform(&mut schema);
    ReplacePrefixItems::default().transform(&mut schema);
    schema.to_value()
}

/// Lets references to definitions be such to components.
fn refer(schema: &mut Value, key: &str) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                let definition = match member {
                    Value::String(reference) if name == "$ref" => {
                        reference.strip_prefix(TO_DEFINITIONS).map(str::to_owned)
                    }
                    _ => None,
                };
                match definition {
                    // As a part of a JSON pointer a name has these two escaped.
                    Some(name) => {
                        let name = name.replace("~1", "/").replace("~0", "~");
                        *member = format!("{TO_COMPONENTS}{}", component(key, &name)).into();
                    }
                    None => refer(member, key),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, key)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "it is described, and never made")]
    struct Placed {
        /// The first one.
        line: Line,
        others: Vec<Line>,
        place: (u8, bool),
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "it is described, and never made")]
    struct Line {
        within: Option<Box<Self>>,
    }

    #[test]
    fn what_a_schema_refers_to_goes_with_it_and_is_found_in_the_document() {
        let schema = StateSchema::new(
            "a.b.v2".to_owned(),
            &schemars::schema_for!(Placed).to_value(),
        );
        assert_eq!(
            schema.reference(),
            json!({ "$ref": "#/components/schemas/a.b.v2" })
        );
        let components: Map<_, _> = schema.into_components().collect();
        assert_eq!(
            components.keys().collect::<Vec<_>>(),
            ["a.b.v2", "a.b.v2.Line"]
        );
        let line = json!({ "$ref": "#/components/schemas/a.b.v2.Line" });
        let properties = &components["a.b.v2"]["properties"];
        assert_eq!(properties["others"]["items"], line);
        // Beside a reference draft 7 reads nothing.
        assert_eq!(
            properties["line"],
            json!({ "allOf": [line], "description": "The first one." })
        );
        assert_eq!(
            properties["place"]["items"][1],
            json!({ "type": "boolean" })
        );
        let text = components["a.b.v2.Line"].to_string();
        assert!(text.contains("#/components/schemas/a.b.v2.Line"), "{text}");
        assert!(!text.contains("$defs"), "{text}");
    }
}
