//! A resource that is read, as a program would have it described.

use axum::extract::Request;
use axum::handler::Handler;
use axum::http::header::ALLOW;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::{Map, Value, json};

use crate::open_api::problem_responses;
use crate::{Problem, ProblemKind, precondition, query};

/// The methods of what is read.
pub(crate) const METHODS: &str = "GET, HEAD, OPTIONS";

/// One resource that is read: what GET, HEAD and OPTIONS of it take and give.
///
/// It makes both, what a program is told of the resource ([`path_item`](Self::path_item)) and the methods that it has
/// ([`methods`](Self::methods)); [`DescribedRoutes`](crate::DescribedRoutes) puts them at one path.
///
/// ```
/// use boxes_http::{ProblemKind, Reading};
/// use serde_json::json;
///
/// let hours = Reading::new("getOpeningHours", "When the library is open")
///     .in_path("day", "Monday to Sunday.", json!({"type": "string"}))
///     .gives("text/plain", json!({"type": "string"}))
///     .refuses(&[&ProblemKind::NOT_FOUND]);
/// let item = hours.path_item();
/// assert_eq!(item["get"]["operationId"], "getOpeningHours");
/// assert_eq!(item["get"]["responses"].as_object().unwrap().keys().collect::<Vec<_>>(), ["200", "400", "404", "412"]);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Reading {
    /// A name of its own in the document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) description: &'static str,
    /// Parameters in the path, the query and headers.
    pub(crate) parameters: Vec<Value>,
    /// Media types with the schema of each.
    pub(crate) content: Vec<(&'static str, Value)>,
    /// Headers of the answer, with the description of each.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// Whether it has a tag, by which a request is answered with 304.
    pub(crate) is_conditional: bool,
    /// Other statuses than 200 with which it is answered with the same content, with what each means.
    pub(crate) also: Vec<(StatusCode, &'static str)>,
    pub(crate) problems: Vec<&'static ProblemKind>,
}

impl Reading {
    /// A resource that takes and gives nothing yet. `id` is its name in the document, such as `getOpeningHours`; those of HEAD
    /// and OPTIONS are made of it.
    pub const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            description: summary,
            parameters: Vec::new(),
            content: Vec::new(),
            headers: Vec::new(),
            is_conditional: false,
            also: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// With what there is to say beyond the summary; Markdown.
    pub const fn description(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// With a part of the path, as it is named in the path's template, and its JSON Schema.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a schema is written down where it is given"
    )]
    pub fn in_path(mut self, name: &str, description: &str, schema: Value) -> Self {
        self.parameters
            .push(parameter("path", name, description, &schema));
        self
    }

    /// With a media type of the body, and its JSON Schema. The one that is given to those who accept anything comes first.
    pub fn gives(mut self, media_type: &'static str, schema: Value) -> Self {
        self.content.push((media_type, schema));
        self
    }

    /// With a header of the answer, and what it says.
    pub fn with_header(mut self, name: &'static str, description: &'static str) -> Self {
        self.headers.push((name, description));
        self
    }

    /// With another status than 200 with which the same is given, and what it means.
    pub fn also_with(mut self, status: StatusCode, meaning: &'static str) -> Self {
        self.also.push((status, meaning));
        self
    }

    /// It has a tag (`ETag`), by which a request that knows the state is answered with 304.
    pub fn conditional(mut self) -> Self {
        let tag = "The tag of the state that is known, or several.";
        let any = json!({ "type": "string" });
        self.parameters
            .push(parameter("header", "If-None-Match", tag, &any));
        self.is_conditional = true;
        self.with_header("ETag", "A strong tag of the state.")
            .with_header("Cache-Control", "How long it may be kept without asking.")
    }

    /// It may be answered with these problems instead.
    pub fn refuses(mut self, kinds: &[&'static ProblemKind]) -> Self {
        self.problems.extend(kinds);
        self
    }

    /// What it says to programs: a path item of OpenAPI.
    #[must_use]
    pub fn path_item(&self) -> Value {
        json!({
            "get": self.operation(true),
            "head": self.operation(false),
            "options": {
                "operationId": format!("{}Options", self.id),
                "summary": "The methods that there are",
                "parameters": self.path_parameters(),
                "responses": {
                    "204": { "description": "The methods", "headers": header("Allow", "The methods that there are.") },
                },
            },
        })
    }

    /// Its methods: GET as `handler` answers it, HEAD the same without the body, OPTIONS with `Allow`; every other one is
    /// refused with 405. It has no parameters: a query is refused with 400 `unknown-parameter`.
    pub fn methods<S, H, T>(handler: H) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
        H: Handler<T, S>,
        T: 'static,
    {
        get(handler)
            .layer(from_fn(without_parameters))
            .options(options)
            .fallback(other_method)
    }

    /// Those in the path, whatever they are: the methods are the same.
    fn path_parameters(&self) -> Vec<Value> {
        let name = |parameter: &Value| {
            let in_path = parameter.get("in").and_then(Value::as_str) == Some("path");
            parameter
                .get("name")
                .and_then(Value::as_str)
                .filter(|_| in_path)
                .map(str::to_owned)
        };
        let names = self.parameters.iter().filter_map(name);
        let any = json!({ "type": "string" });
        names
            .map(|name| parameter("path", &name, "Of the resource.", &any))
            .collect()
    }

    fn operation(&self, with_body: bool) -> Value {
        let answer = |description: &str| {
            let mut answer = json!({ "description": description, "headers": self.headers() });
            if let Some(answer) = answer.as_object_mut().filter(|_| with_body) {
                answer.insert("content".to_owned(), self.content());
            }
            answer
        };
        let mut responses = Map::from_iter([("200".to_owned(), answer(self.summary))]);
        for (status, meaning) in &self.also {
            responses.insert(status.as_str().to_owned(), answer(meaning));
        }
        if self.is_conditional {
            let known = json!({
                "description": "The state that the request knows already, by If-None-Match",
                "headers": header("ETag", "The tag of that state."),
            });
            responses.insert("304".to_owned(), known);
        }
        let everywhere = [
            &ProblemKind::UNKNOWN_PARAMETER,
            &ProblemKind::PRECONDITION_FAILED,
        ];
        let problems: Vec<_> = everywhere
            .into_iter()
            .chain(self.problems.iter().copied())
            .collect();
        responses.extend(problem_responses(&problems, with_body));
        let (id, parameters) = (&self.id, &self.parameters);
        json!({
            "operationId": if with_body { (*id).to_owned() } else { format!("{id}Head") },
            "summary": self.summary,
            "description": self.description,
            "parameters": parameters,
            "responses": responses,
        })
    }

    fn content(&self) -> Value {
        let content = self.content.iter();
        content
            .map(|(media_type, schema)| ((*media_type).to_owned(), json!({ "schema": schema })))
            .collect::<Map<_, _>>()
            .into()
    }

    fn headers(&self) -> Value {
        let headers = self.headers.iter();
        let one = |(name, description): &(&str, &str)| {
            let described = json!({ "description": description, "schema": { "type": "string" } });
            ((*name).to_owned(), described)
        };
        Value::Object(headers.map(one).collect())
    }
}

async fn without_parameters(request: Request, next: Next) -> Result<Response, Problem> {
    query::none(request.uri().query())?;
    let headers = request.headers().clone();
    Ok(precondition::met(&headers, next.run(request).await))
}

async fn options() -> Response {
    let allow = [(ALLOW, HeaderValue::from_static(METHODS))];
    (StatusCode::NO_CONTENT, allow).into_response()
}

async fn other_method(_: Request) -> Problem {
    Problem::method_not_allowed(METHODS)
}

fn header(name: &str, description: &str) -> Value {
    json!({ name: { "description": description, "required": true, "schema": { "type": "string" } } })
}

/// A parameter that may be left out; one in the path may not.
pub(crate) fn parameter(place: &str, name: &str, description: &str, schema: &Value) -> Value {
    json!({
        "in": place,
        "name": name,
        "description": description,
        "required": place == "path",
        "schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_status_gives_the_same_and_a_state_that_is_known_gives_no_body() {
        let ready = Reading::new("getReadiness", "Whether it can work")
            .gives("application/json", json!({ "type": "object" }))
            .also_with(StatusCode::SERVICE_UNAVAILABLE, "It can't")
            .conditional()
            .refuses(&[&ProblemKind::TOO_MANY_REQUESTS]);
        let item = ready.path_item();
        let responses = |method: &str| &item[method]["responses"];
        for status in ["200", "503"] {
            let schema = &responses("get")[status]["content"]["application/json"]["schema"];
            assert_eq!(schema["type"], "object", "{status}");
            assert!(responses("head")[status].get("content").is_none());
        }
        assert!(responses("get")["304"].get("content").is_none());
        assert!(responses("get")["429"]["content"]["application/problem+json"].is_object());
        assert_eq!(item["head"]["operationId"], "getReadinessHead");
    }
}
