//! What JSON a type is written as, for the descriptions of routes.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema of `T` as it is written: in one piece, so that it can stand anywhere in a document.
pub(crate) fn json_schema<T: JsonSchema>() -> Value {
    in_one_piece::<T>(SchemaSettings::draft2020_12().for_serialize())
}

/// The same of `T` as it is read: what has a default may be left out.
pub(crate) fn request_schema<T: JsonSchema>() -> Value {
    in_one_piece::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

fn in_one_piece<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "it is described, and never made")]
    struct Outer {
        inner: Vec<Inner>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seldom: Option<bool>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "it is described, and never made")]
    struct Inner {
        name: Option<String>,
    }

    #[test]
    fn a_schema_refers_to_nothing_and_asks_for_what_is_always_written() {
        let schema = json_schema::<Outer>();
        assert_eq!(schema["required"], json!(["inner"]));
        let inner = &schema["properties"]["inner"]["items"];
        assert_eq!(inner["required"], json!(["name"]));
        assert!(!schema.to_string().contains("$"), "{schema}");
    }
}
