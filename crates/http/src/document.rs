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
        let body = value.to_string().into_bytes();
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
