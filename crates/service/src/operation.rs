//! What one of a box's own routes takes and gives, described from its types.

use boxes_http::{OpenApiPart, PROBLEM_JSON, ProblemKind};
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::json_schema::{json_schema, request_schema};

/// What one of a box's own routes takes and gives, described from its types: a part of `/{box}/openapi.json` that can't be out of
/// date.
///
/// The schemas are those of `schemars`, which the types derive ([`JsonSchema`](schemars::JsonSchema)).
///
/// ```
/// use boxes_service::{BoundedContext, Operation};
/// use http::{Method, StatusCode};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Loan { book: String }
/// #[derive(Serialize, JsonSchema)]
/// struct Due { on: String }
///
/// # use axum::{Router, routing::post};
/// let lend = Operation::new(Method::POST, "/readers/{reader}/loans", "lendBook", "Lends a book")
///     .in_path::<u32>("reader", "The number of the reader.")
///     .takes::<Loan>()
///     .gives::<Due>(StatusCode::CREATED, "It is lent");
/// let library = BoundedContext::new("library")
///     .routes(|| Router::new().route("/readers/{reader}/loans", post(|| async { "" })))
///     .describe(lend);
/// # assert_eq!(library.name(), "library");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Operation {
    method: Method,
    path: String,
    id: String,
    summary: String,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: Map<String, Value>,
}

impl Operation {
    /// A route below the box's path, such as `/orders/{id}`. `id` is a name of its own in the document, such as `placeOrder`.
    pub fn new(
        method: Method,
        path: impl Into<String>,
        id: impl Into<String>,
        summary: impl Into<String>,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            id: id.into(),
            summary: summary.into(),
            parameters: Vec::new(),
            body: None,
            responses: Map::new(),
        }
    }

    /// With a part of the path, as it is named in the path.
    pub fn in_path<T: JsonSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>("path", name, description)
    }

    /// With a parameter of the query, which may be left out.
    pub fn in_query<T: JsonSchema>(self, name: &str, description: &str) -> Self {
        self.parameter::<T>("query", name, description)
    }

    /// With a body in JSON.
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        let content = json!({ "application/json": { "schema": request_schema::<T>() } });
        self.body = Some(json!({ "required": true, "content": content }));
        self
    }

    /// It may be answered with this status and a body in JSON.
    pub fn gives<T: JsonSchema>(self, status: StatusCode, description: &str) -> Self {
        let content = json!({ "application/json": { "schema": json_schema::<T>() } });
        self.answer(
            status,
            json!({ "description": description, "content": content }),
        )
    }

    /// It may be answered with this status and no body.
    pub fn answers(self, status: StatusCode, description: &str) -> Self {
        self.answer(status, json!({ "description": description }))
    }

    /// It may be answered with this problem; those that what stands before the routes answers with are added by themselves.
    pub fn refuses(self, kind: &ProblemKind) -> Self {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let content = json!({ PROBLEM_JSON: { "schema": schema } });
        let description = format!("{} (`{}`)", kind.title, kind.type_path());
        self.answer(
            kind.status,
            json!({ "description": description, "content": content }),
        )
    }

    fn parameter<T: JsonSchema>(mut self, place: &str, name: &str, description: &str) -> Self {
        self.parameters.push(json!({
            "in": place,
            "name": name,
            "description": description,
            "required": place == "path",
            "schema": request_schema::<T>(),
        }));
        self
    }

    fn answer(mut self, status: StatusCode, answer: Value) -> Self {
        self.responses.insert(status.as_str().to_owned(), answer);
        self
    }

    /// The path, and this operation as a part of a document.
    pub(crate) fn add_to(self, part: OpenApiPart) -> OpenApiPart {
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "description": self.summary,
            "parameters": self.parameters,
            "responses": self.responses,
        });
        if let (Some(operation), Some(body)) = (operation.as_object_mut(), self.body) {
            operation.insert("requestBody".to_owned(), body);
        }
        part.with_operation(
            self.path,
            &self.method.as_str().to_ascii_lowercase(),
            operation,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "it is described, and never read")]
    struct Ring {
        times: u32,
        #[serde(default)]
        loud: bool,
    }

    #[derive(Serialize, JsonSchema)]
    struct Rung {
        at: String,
    }

    #[test]
    fn a_route_is_described_as_its_types_are_written_and_read() {
        let ring = Operation::new(Method::POST, "/bells/{bell}/ring", "ring", "Rings a bell")
            .in_path::<u32>("bell", "Its number.")
            .takes::<Ring>()
            .gives::<Rung>(StatusCode::OK, "It rang")
            .refuses(&ProblemKind::REJECTED);
        let quiet = Operation::new(Method::DELETE, "/bells/{bell}/ring", "hush", "Silences it")
            .answers(StatusCode::NO_CONTENT, "It is silent");
        let part = quiet.add_to(ring.add_to(OpenApiPart::new()));
        assert_eq!(part.paths().collect::<Vec<_>>(), ["/bells/{bell}/ring"]);
        let document = part.into_document(&json!({}));
        let item = &document["paths"]["/bells/{bell}/ring"];
        let body = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["times"]));
        assert_eq!(body["properties"]["loud"]["type"], "boolean");
        let answer = &item["post"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(answer["required"], json!(["at"]));
        assert!(item["post"]["responses"]["422"].is_object());
        assert_eq!(item["post"]["parameters"][0]["required"], true);
        assert!(item["delete"]["responses"]["204"].is_object());
    }
}
