//! What the kinds of problems mean, for those who met one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::{DescribedRoutes, Document, Problem, ProblemKind, Reading};

/// `GET /problems/{slug}`: what each kind means and what to do, for people who followed the `type` of a problem;
/// and `GET /problems`, the list.
///
/// `own` are kinds beyond [`ProblemKind::ALL`].
pub fn problem_descriptions<S>(own: &'static [ProblemKind]) -> DescribedRoutes<S>
where
    S: Clone + Send + Sync + 'static,
{
    let all = || ProblemKind::ALL.iter().chain(own);
    let list = Document::json(&all().map(described).collect());
    let by_slug: BTreeMap<&str, Document> = all()
        .map(|kind| (kind.slug, Document::json(&described(kind))))
        .collect();
    let by_slug = Arc::new(by_slug);

    let of_list = Reading::new("getProblems", "All kinds of problems").gives(
        "application/json",
        json!({ "type": "array", "items": schema() }),
    );
    let slug =
        json!({ "type": "string", "pattern": "^[a-z0-9-]+$", "examples": ["epoch-changed"] });
    let of_one = Reading::new("getProblem", "What a kind of problem means, and what to do")
        .in_path("slug", "The last part of a problem's `type`.", slug)
        .gives("application/json", schema())
        .refuses(&[&ProblemKind::UNKNOWN_PATH]);
    // What is no text when its percent signs are undone is no slug either.
    let one = async move |slug: Result<Path<String>, PathRejection>, headers: HeaderMap| {
        let found = match &slug {
            Ok(Path(slug)) => by_slug.get(&**slug),
            Err(_) => None,
        };
        match found {
            Some(document) => document.answer(&headers).await,
            None => Err(Problem::new(&ProblemKind::UNKNOWN_PATH)),
        }
    };
    DescribedRoutes::new()
        .read(
            "/problems",
            Document::described(of_list),
            async move |headers: HeaderMap| list.answer(&headers).await,
        )
        .read("/problems/{slug}", Document::described(of_one), one)
}

/// As it is served.
fn described(kind: &ProblemKind) -> Value {
    json!({ "slug": kind.slug, "status": kind.status.as_u16(), "title": kind.title, "advice": kind.advice })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["slug", "status", "title", "advice"],
        "additionalProperties": false,
        "properties": {
            "slug": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "title": { "type": "string" },
            "advice": { "type": "string", "description": "What the caller can do about it." },
        },
    })
}
