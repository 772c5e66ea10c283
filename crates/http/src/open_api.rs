//! What routes say of themselves to programs: OpenAPI 3.1.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::{PROBLEM_JSON, ProblemKind};

/// The members of a path item that are operations.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A part of an OpenAPI document: paths, and the schemas that they refer to.
///
/// Who makes routes makes the part that describes them, from the same tables; who runs a server puts the parts together.
///
/// ```
/// use boxes_http::{OpenApiPart, ProblemKind};
/// use serde_json::json;
///
/// let books = r##"{"paths": {"/books": {"get": {"responses": {"200": {"description": "The books"}}}}}}"##;
/// let part = OpenApiPart::from_json(books)?
///     .below("/library")
///     .with_answers(&[&ProblemKind::FORBIDDEN]);
/// assert_eq!(part.paths().collect::<Vec<_>>(), ["/library/books"]);
/// let document = part.into_document(&json!({"title": "library", "version": "1"}));
/// assert_eq!(document["openapi"], "3.1.0");
/// # Ok::<(), boxes_http::InvalidOpenApi>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OpenApiPart {
    paths: BTreeMap<String, Value>,
    schemas: Map<String, Value>,
}

/// A text is no part of an OpenAPI document: mend it as this says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidOpenApi {
    /// It is no JSON.
    #[error("the description of the routes is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but not what is expected.
    #[error("the description of the routes is no part of an OpenAPI document: {reason}")]
    Shape {
        /// What is wrong with it.
        reason: String,
    },
}

impl OpenApiPart {
    /// A part without anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The part that is written down as `{"paths": …, "components": {"schemas": …}}`; other members are left out.
    ///
    /// # Errors
    ///
    /// [`InvalidOpenApi`] if it is no JSON, has no `paths`, or one of them does not begin with a slash, has no operation,
    /// or one without `responses`.
    pub fn from_json(text: &str) -> Result<Self, InvalidOpenApi> {
        let document: Value = serde_json::from_str(text)?;
        let shape = |reason: String| InvalidOpenApi::Shape { reason };
        let paths = document.get("paths").and_then(Value::as_object);
        let paths = paths.ok_or_else(|| shape("it has no `paths`".to_owned()))?;
        let mut part = Self::new();
        for (path, item) in paths {
            if !path.starts_with('/') {
                return Err(shape(format!(
                    "the path `{path}` does not begin with a slash"
                )));
            }
            let mut operations = METHODS
                .iter()
                .filter_map(|method| item.get(*method))
                .peekable();
            if operations.peek().is_none() {
                return Err(shape(format!("the path `{path}` has no operation")));
            }
            if operations.any(|operation| !operation.get("responses").is_some_and(Value::is_object))
            {
                return Err(shape(format!(
                    "an operation of `{path}` has no `responses`"
                )));
            }
            part.paths.insert(path.clone(), item.clone());
        }
        let schemas = document
            .pointer("/components/schemas")
            .and_then(Value::as_object);
        part.schemas = schemas.cloned().unwrap_or_default();
        Ok(part)
    }

    /// With a path, and the path item that describes it.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<String>, item: Value) -> Self {
        self.paths.insert(path.into(), item);
        self
    }

    /// With one more operation at a path, `get` or another method in lower case.
    #[must_use]
    pub fn with_operation(
        mut self,
        path: impl Into<String>,
        method: &str,
        operation: Value,
    ) -> Self {
        let item = self.paths.entry(path.into()).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(method.to_owned(), operation);
        }
        self
    }

    /// With a schema, for references to `#/components/schemas/{name}`.
    #[must_use]
    pub fn with_schema(mut self, name: &str, schema: Value) -> Self {
        self.schemas.insert(name.to_owned(), schema);
        self
    }

    /// The same, with all paths below this one.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        let paths = std::mem::take(&mut self.paths).into_iter();
        self.paths = paths
            .map(|(path, item)| (format!("{prefix}{path}"), item))
            .collect();
        self
    }

    /// Both. What both have is taken from `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.paths.extend(other.paths);
        self.schemas.extend(other.schemas);
        self
    }

    /// Every operation of it may be answered with these problems as well: what stands before the routes gives them.
    ///
    /// A status that an operation describes already stays as it is described.
    #[must_use]
    pub fn with_answers(mut self, kinds: &[&ProblemKind]) -> Self {
        for (method, operation) in self.operations() {
            let responses = operation
                .get_mut("responses")
                .and_then(Value::as_object_mut);
            let Some(responses) = responses else { continue };
            for (status, response) in problem_responses(kinds, method != "head") {
                responses.entry(status).or_insert(response);
            }
        }
        self
    }

    /// Every operation of it may be called without credentials, whatever the document asks for.
    #[must_use]
    pub fn open_to_everyone(mut self) -> Self {
        for (_, operation) in self.operations() {
            if let Some(operation) = operation.as_object_mut() {
                operation.insert("security".to_owned(), json!([]));
            }
        }
        self
    }

    /// Every operation of it that has no tag yet has this one, by which tools group operations.
    #[must_use]
    pub fn tagged(mut self, tag: &str) -> Self {
        for (_, operation) in self.operations() {
            if let Some(operation) = operation.as_object_mut() {
                operation.entry("tags").or_insert_with(|| json!([tag]));
            }
        }
        self
    }

    /// The names of its operations end with this one: in one document each has a name of its own.
    #[must_use]
    pub fn with_operations_of(mut self, name: &str) -> Self {
        for (_, operation) in self.operations() {
            if let Some(Value::String(id)) = operation.get_mut("operationId") {
                id.push('_');
                id.push_str(name);
            }
        }
        self
    }

    /// Its paths, in the order of the alphabet.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }

    /// The schema of this name.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&Value> {
        self.schemas.get(name)
    }

    /// The document that consists of this part. `info` has at least `title` and `version`.
    #[must_use]
    pub fn into_document(mut self, info: &Value) -> Value {
        self.schemas.insert("Problem".to_owned(), problem_schema());
        json!({
            "openapi": "3.1.0",
            "info": info,
            "paths": self.paths,
            "components": { "schemas": self.schemas },
        })
    }

    fn operations(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        let items = self.paths.values_mut().filter_map(Value::as_object_mut);
        items
            .flatten()
            .map(|(method, operation)| (method.as_str(), operation))
            .filter(|(method, _)| METHODS.contains(method))
    }
}

/// The answers with these problems, by status; without a body, for HEAD.
pub(crate) fn problem_responses(
    kinds: &[&ProblemKind],
    with_body: bool,
) -> impl Iterator<Item = (String, Value)> {
    let mut by_status: BTreeMap<u16, Vec<&ProblemKind>> = BTreeMap::new();
    for kind in kinds {
        let of_status = by_status.entry(kind.status.as_u16()).or_default();
        of_status.push(kind);
    }
    by_status.into_iter().map(move |(status, kinds)| {
        let said = kinds
            .iter()
            .map(|kind| format!("{} (`{}`)", kind.title, kind.type_path()));
        let said: Vec<_> = said.collect();
        let mut response = json!({ "description": said.join("; ") });
        if let Some(response) = response.as_object_mut().filter(|_| with_body) {
            // One schema for all, so that a client that is generated has one type for all.
            let schema = json!({ "$ref": "#/components/schemas/Problem" });
            let content = json!({ PROBLEM_JSON: { "schema": schema } });
            response.insert("content".to_owned(), content);
        }
        (status.to_string(), response)
    })
}

/// What a problem document is (RFC 9457).
fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong, for a program: tell kinds apart by `type`, which has a description at its own address.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "The kind of problem." },
            "title": { "type": "string", "description": "What it is, in a few words: the same for each of its kind." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "What happened on this occasion." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_part_of_a_document_is_told_what_is_wrong_with_it() {
        for (text, reason) in [
            ("{", "no JSON"),
            ("{}", "no `paths`"),
            (
                r#"{"paths": {"books": {}}}"#,
                "`books` does not begin with a slash",
            ),
            (
                r#"{"paths": {"/books": {"summary": "x"}}}"#,
                "`/books` has no operation",
            ),
            (
                r#"{"paths": {"/books": {"get": {}}}}"#,
                "`/books` has no `responses`",
            ),
        ] {
            let error = OpenApiPart::from_json(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn what_an_operation_says_itself_stays() {
        let text = r#"{"paths": {"/a": {"get": {"responses": {"409": {"description": "own"}}}, "head": {"responses": {}}}}}"#;
        let part = OpenApiPart::from_json(text).unwrap();
        let part = part.with_answers(&[&ProblemKind::CONFLICT, &ProblemKind::EPOCH_CHANGED]);
        let document = part.into_document(&json!({}));
        let responses = |method| &document["paths"]["/a"][method]["responses"]["409"];
        assert_eq!(responses("get")["description"], "own");
        let both = format!(
            "{} (`/problems/conflict`); {} (`/problems/epoch-changed`)",
            ProblemKind::CONFLICT.title,
            ProblemKind::EPOCH_CHANGED.title
        );
        assert_eq!(responses("head")["description"], both);
        assert!(responses("head").get("content").is_none());
    }
}
