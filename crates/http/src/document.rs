//! What stays the same for as long as a process runs.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use tokio::sync::OnceCell;

use crate::accept_encoding::AcceptedCodings;
use crate::coding::Coding;
use crate::entity_tag::EntityTag;
use crate::json_page::JsonPage;
use crate::rendered::{Caching, Rendered};
use crate::representation::{self, Format};
use crate::served::GROWING;
use crate::{Problem, ProblemKind, Reading};

/// A document that stays the same for as long as a process runs: it is made once, and asked for again by its tag.
///
/// Its tag is made of its bytes, so that it is the same on every replica that gives the same, and another one after a
/// restart that changed them.
///
/// ```
/// # use boxes_http::{DescribedRoutes, Document, Reading};
/// # use serde_json::json;
/// let hours = Document::json(&json!({"monday": "from 9 to 5"}));
/// let reading = Reading::new("getOpeningHours", "When the library is open").gives("application/json", json!({"type": "object"}));
/// let routes: DescribedRoutes = DescribedRoutes::new().read(
///     "/library/hours",
///     Document::described(reading),
///     async move |headers: axum::http::HeaderMap| hours.answer(&headers).await,
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    /// The format that is given to those who accept anything comes first.
    formats: Arc<[Written]>,
}

/// The document in one format.
#[derive(Debug)]
struct Written {
    format: &'static dyn Format,
    plain: Arc<Rendered>,
    /// In each of [`Coding::CODED`], once it was asked for.
    coded: [OnceCell<Arc<Rendered>>; Coding::CODED.len()],
}

impl Written {
    /// In this coding, which is done once.
    async fn coded(&self, coding: Coding) -> Result<Arc<Rendered>, Problem> {
        let mut cells = Coding::CODED.iter().zip(&self.coded);
        let Some((_, cell)) = cells.find(|(of, _)| **of == coding) else {
            return Ok(Arc::clone(&self.plain));
        };
        let make = || Arc::clone(&self.plain).coded(coding);
        cell.get_or_try_init(make).await.map(Arc::clone)
    }
}

impl Document {
    /// A document that is offered as JSON alone. Whatever a request accepts, it is given that: there is nothing else.
    #[must_use]
    pub fn json(value: &serde_json::Value) -> Self {
        let body = json_first(value).into_bytes();
        let nowhere = HeaderValue::from_static("");
        let format: &dyn Format = &JsonPage;
        Self::new([(format, body, nowhere)])
    }

    /// The same in each of these formats, with the links of each.
    pub(crate) fn new(
        formats: impl IntoIterator<Item = (&'static dyn Format, Vec<u8>, HeaderValue)>,
    ) -> Self {
        let formats = formats.into_iter().map(|(format, body, link)| {
            let tag = EntityTag::of_body(&body, format.tag());
            let made = Rendered::in_format(body, format, link, Some(tag));
            Written {
                format,
                plain: Arc::new(made),
                coded: Default::default(),
            }
        });
        Self {
            formats: formats.collect(),
        }
    }

    /// `reading` with what is true of every document: that it has a tag, and may be refused in the content coding that is
    /// asked for.
    pub fn described(reading: Reading) -> Reading {
        reading
            .conditional()
            .refuses(&[&ProblemKind::CODING_NOT_ACCEPTABLE])
    }

    /// The document in the format that the request wants, or 304 if it has it already.
    ///
    /// # Errors
    ///
    /// 406 `not-acceptable` if it is offered in several formats and the request wants none of them, 406
    /// `coding-not-acceptable` if the request takes no content coding that there is.
    pub async fn answer(&self, request: &HeaderMap) -> Result<Response, Problem> {
        let codings = AcceptedCodings::of(request)?;
        let wanted = match &*self.formats {
            [only] => only,
            several => {
                let offered = several.iter().map(|written| written.format.media_type());
                let place = representation::place_of(request, offered)?;
                let Some(written) = several.get(place) else {
                    return Err(Problem::new(&ProblemKind::INTERNAL));
                };
                written
            }
        };
        let coding = codings.for_body(wanted.plain.n_bytes());
        let made = wanted.coded(coding).await?;
        let caching = Caching {
            cache_control: GROWING,
            vary: wanted.format.vary(false),
        };
        Ok(made.answer(request, &codings, &caching))
    }
}

/// The document as text. Members are in the order of the alphabet, but for `application/json`: of several media types programs that
/// read descriptions take the first one.
fn json_first(value: &serde_json::Value) -> String {
    use serde_json::Value;
    const FIRST: &str = "application/json";
    match value {
        Value::Object(members) => {
            let (first, others): (Vec<_>, Vec<_>) =
                members.iter().partition(|(name, _)| *name == FIRST);
            let members = first.into_iter().chain(others);
            let members: Vec<_> = members
                .map(|(name, value)| format!("{}:{}", Value::from(&**name), json_first(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(json_first).collect();
            format!("[{}]", values.join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
    use serde_json::json;

    use super::*;

    async fn ask(document: &Document, known: Option<&HeaderValue>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(tag) = known {
            headers.insert(IF_NONE_MATCH, tag.clone());
        }
        document.answer(&headers).await.unwrap()
    }

    #[test]
    fn of_several_media_types_json_is_the_first() {
        let document = json!({
            "content": { "application/atom+xml": 1, "text/html": [2, "\"x\""], "application/json": { "b": null, "a": true } },
        });
        let text = json_first(&document);
        let expected = r#"{"content":{"application/json":{"a":true,"b":null},"application/atom+xml":1,"text/html":[2,"\"x\""]}}"#;
        assert_eq!(text, expected);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            document
        );
    }

    #[tokio::test]
    async fn a_large_document_is_coded_once() {
        let document = Document::json(&json!({ "text": "x".repeat(100_000) }));
        let ask = async || {
            let mut headers = HeaderMap::new();
            headers.insert("accept-encoding", HeaderValue::from_static("gzip"));
            document.answer(&headers).await.unwrap()
        };
        let (first, second) = (ask().await, ask().await);
        assert_eq!(first.headers()["content-encoding"], "gzip");
        assert_eq!(first.headers()[ETAG], second.headers()[ETAG]);
        let cell = &document.formats[0].coded[2];
        assert!(cell.get().is_some_and(|made| made.n_bytes() < 1_000));
    }

    #[tokio::test]
    async fn a_document_is_not_sent_again_to_those_who_have_it_and_another_one_is() {
        let document = Document::json(&json!({ "monday": 9 }));
        let first = ask(&document, None).await;
        assert_eq!(first.headers()[CACHE_CONTROL], "no-cache");
        let tag = &first.headers()[ETAG];
        let again = ask(&document, Some(tag)).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(&again.headers()[ETAG], tag);
        let other = Document::json(&json!({ "monday": 10 }));
        assert_eq!(ask(&other, Some(tag)).await.status(), StatusCode::OK);
    }
}
