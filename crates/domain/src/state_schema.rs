//! The JSON Schema of what is stored of each kind of event.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
pub use serde_json::Value;
use serde_json::{Map, json};

/// A type that may have a schema, and which of its variants hold nothing. For the derive macro.
///
/// Whether it has one is found by how methods are looked up: [`HasSchema`] is nearer to a reference to this than
/// [`HasNone`]. So nothing has to be written on a type but that it derives `JsonSchema`.
pub struct SchemaOf<T> {
    is_unit: &'static [bool],
    of: PhantomData<fn() -> T>,
}

impl<T> SchemaOf<T> {
    /// In the order of the variants.
    #[must_use]
    pub const fn new(is_unit: &'static [bool]) -> Self {
        Self {
            is_unit,
            of: PhantomData,
        }
    }
}

impl<T> fmt::Debug for SchemaOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaOf")
            .field("is_unit", &self.is_unit)
            .finish()
    }
}

/// What a type has that derives `JsonSchema`.
pub trait HasSchema {
    /// The schema of each variant's content.
    fn state_schemas(&self) -> Option<Vec<Value>>;
}

/// What any other type has.
pub trait HasNone {
    /// None.
    fn state_schemas(&self) -> Option<Vec<Value>> {
        None
    }
}

impl<T: JsonSchema> HasSchema for SchemaOf<T> {
    fn state_schemas(&self) -> Option<Vec<Value>> {
        // What is written, not what would be read as well: whoever reads it is not this program.
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let root = settings.into_generator().into_root_schema_for::<T>();
        contents(root.to_value(), self.is_unit)
    }
}

impl<T> HasNone for &SchemaOf<T> {}

/// Takes the schema of an enum as serde writes it (`{"Placed": {…}}`) apart into those of the contents of its variants.
///
/// `None` if it is another one: written by hand, or of an enum that is tagged otherwise.
fn contents(mut root: Value, is_unit: &[bool]) -> Option<Vec<Value>> {
    let definitions = root.get_mut("$defs").map_or(Value::Null, Value::take);
    let alternatives = match root.get_mut("oneOf").map(Value::take) {
        Some(Value::Array(alternatives)) => alternatives,
        Some(_) => return None,
        None => vec![root],
    };
    // Variants that hold something stand in their order. Those that don't are names: the plain ones together in front,
    // and those with a description of their own in the order of the others.
    let mut alternatives = alternatives
        .into_iter()
        .filter(|alternative| alternative.get("enum").is_none())
        .peekable();
    let mut contents = Vec::with_capacity(is_unit.len());
    for &is_unit in is_unit {
        let next_is_name = alternatives
            .peek()
            .is_some_and(|next| next.get("const").is_some());
        contents.push(match is_unit {
            true if next_is_name => with_definitions(
                described(json!({ "type": "object" }), &alternatives.next()?),
                &definitions,
            ),
            true => with_definitions(json!({ "type": "object" }), &definitions),
            false => {
                let mut variant = alternatives.next()?;
                if variant.get("additionalProperties") != Some(&Value::Bool(false)) {
                    return None;
                }
                let mut properties = match variant.get_mut("properties")?.take() {
                    Value::Object(properties) if properties.len() == 1 => properties,
                    _ => return None,
                };
                let content = properties.values_mut().next()?.take();
                with_definitions(described(content, &variant), &definitions)
            }
        });
    }
    alternatives.next().is_none().then_some(contents)
}

/// `content` with the description of its variant, if it has none of its own.
fn described(content: Value, variant: &Value) -> Value {
    let Value::Object(mut content) = content else {
        return content;
    };
    if let Some(description) = variant.get("description") {
        content
            .entry("description")
            .or_insert_with(|| description.clone());
    }
    Value::Object(content)
}

/// `content` as a schema of its own, with those of the definitions that it needs.
fn with_definitions(content: Value, definitions: &Value) -> Value {
    let mut needed = Map::new();
    gather(&content, definitions, &mut needed);
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    // Otherwise it is `true`: anything.
    if let Value::Object(content) = content {
        schema.extend(content);
    }
    if !needed.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(needed));
    }
    Value::Object(schema)
}

/// Adds to `needed` what `schema` refers to, and what that refers to.
fn gather(schema: &Value, definitions: &Value, needed: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
                && !needed.contains_key(name)
                && let Some(definition) = definitions.get(name)
            {
                needed.insert(name.to_owned(), definition.clone());
                gather(definition, definitions, needed);
            }
            members
                .values()
                .for_each(|member| gather(member, definitions, needed));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| gather(item, definitions, needed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Id};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.order", crate = "crate")]
    #[serde(rename_all = "kebab-case")]
    enum Order {
        Bare,
        /// A customer placed it.
        Placed(Request),
        /// It ended.
        Ended,
        Moved(u8, Id<Self>),
        Noted {
            #[serde(rename = "text", default)]
            note: Option<String>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            lines: Vec<Line>,
        },
        Plain,
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Request {
        lines: Vec<Line>,
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Line {
        product: u32,
        parts: Vec<Self>,
    }

    #[derive(Event, Clone, Serialize, Deserialize)]
    #[event(topic = "t.other", crate = "crate")]
    enum WithoutSchema {
        One,
    }

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.names", crate = "crate")]
    enum Names {
        One,
        Two,
    }

    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "t.only", crate = "crate")]
    enum Only {
        Anything { value: Value },
    }

    const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

    #[test]
    fn each_kind_has_the_schema_of_its_content_with_what_that_refers_to() {
        let schemas = Order::state_schemas().unwrap();
        let line = json!({
            "type": "object",
            "properties": {
                "product": { "type": "integer", "format": "uint32", "minimum": 0 },
                "parts": { "type": "array", "items": { "$ref": "#/$defs/Line" } },
            },
            "required": ["product", "parts"],
        });
        let lines = json!({ "type": "array", "items": { "$ref": "#/$defs/Line" } });
        let object = json!({ "$schema": DRAFT, "type": "object" });
        let [bare, placed, ended, moved, noted, plain] = &schemas[..] else {
            panic!("{schemas:?}")
        };
        assert_eq!((bare, plain), (&object, &object));
        assert_eq!(
            *placed,
            json!({
                "$schema": DRAFT,
                "$ref": "#/$defs/Request",
                "description": "A customer placed it.",
                "$defs": {
                    "Line": line,
                    "Request": { "type": "object", "properties": { "lines": lines }, "required": ["lines"] },
                },
            })
        );
        assert_eq!(
            *ended,
            json!({ "$schema": DRAFT, "type": "object", "description": "It ended." })
        );
        assert_eq!(
            moved["prefixItems"],
            json!([
                { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 },
                { "type": "string", "format": "uuid" },
            ])
        );
        assert_eq!(moved.get("$defs"), None);
        assert_eq!(noted["properties"]["lines"], lines);
        assert_eq!(noted["required"], json!(["text"]));
        assert_eq!(noted["$defs"], json!({ "Line": line }));
    }

    #[test]
    fn an_enum_of_names_alone_or_of_one_kind_has_them_too_and_one_that_derives_none_has_none() {
        let object = json!({ "$schema": DRAFT, "type": "object" });
        assert_eq!(Names::state_schemas(), Some(vec![object.clone(), object]));
        let only = Only::state_schemas().unwrap();
        assert_eq!(only.len(), 1);
        assert_eq!(only[0]["properties"], json!({ "value": true }));
        assert_eq!(WithoutSchema::state_schemas(), None);
    }

    #[test]
    fn an_event_that_is_not_written_as_its_schema_is_taken_to_be_has_none() {
        #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
        #[event(topic = "t.tagged", crate = "crate")]
        #[serde(tag = "type")]
        enum Tagged {
            A { x: u8 },
            B { x: u8 },
        }
        assert_eq!(Tagged::state_schemas(), None);
    }
}
