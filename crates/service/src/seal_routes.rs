//! The seals of a log, served beside its pages.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use boxes_http::{OpenApiPart, ProblemKind};
use boxes_integrity::{Seals, StoredSeals, VerifyingKey};
use boxes_notification_log::{LogError, SectionId, SectionIdError};
use boxes_recorder::LogIdentity;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::descriptions::json_operation;
use crate::problem::NOT_SEALED;
use crate::state::RunningBox;
use crate::{Config, Problem};

/// Where the seals of one log are, and who signs them here.
struct Served {
    log: LogIdentity,
    seals: Option<StoredSeals>,
    key: Option<VerifyingKey>,
    cache_control: &'static str,
}

/// `/{box}/notifications/{low},{high}/seal` and `/{box}/notifications/keys`.
///
/// Seals that are there are served whether or not this service seals.
pub(crate) fn routes(running: &RunningBox, config: &Config) -> Router {
    let recorder = running.writer.recorder();
    let served = Arc::new(Served {
        log: recorder.log().clone(),
        // Those of a log that is not published are nobody's business.
        seals: StoredSeals::of(&**recorder).filter(|_| running.publishes_own_log),
        key: config.sealing.key.as_ref().map(|key| key.verifying_key()),
        cache_control: match config.tokens.is_empty() {
            true => "public, max-age=31536000, immutable",
            false => "private, max-age=31536000, immutable",
        },
    });
    let path = format!("/{}/notifications", running.app.name());
    let other = || async { boxes_http::Problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route(
            &format!("{path}/{{page}}/seal"),
            routing::get(seal).fallback(other),
        )
        .route(&format!("{path}/keys"), routing::get(keys).fallback(other))
        .with_state(served)
}

/// What is said of these routes of the box with this name.
pub(crate) fn described(name: &str) -> OpenApiPart {
    let path = format!("/{name}/notifications");
    let id = |name: &str| json!({ "in": "path", "name": name, "required": true, "schema": { "type": "integer", "minimum": 1, "maximum": u64::MAX } });
    let mut seal = json_operation("getSeal", "The seal of an archived page, if it is sealed");
    if let Some(seal) = seal.as_object_mut() {
        seal.insert("parameters".to_owned(), json!([id("low"), id("high")]));
    }
    let keys = json_operation("getKeys", "The key by which pages are sealed here");
    OpenApiPart::new()
        .with_path(
            format!("{path}/{{low}},{{high}}/seal"),
            json!({ "get": seal }),
        )
        .with_answers(&[
            &ProblemKind::MALFORMED_PAGE_ID,
            &ProblemKind::MISALIGNED_PAGE,
            &ProblemKind::WRONG_PAGE_SIZE,
            &NOT_SEALED,
            &ProblemKind::STORE_UNAVAILABLE,
        ])
        .with_path(format!("{path}/keys"), json!({ "get": keys }))
}

async fn seal(
    State(served): State<Arc<Served>>,
    Path(page): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = page
        .parse()
        .and_then(|page: SectionId| page.on_grid(served.log.page_size));
    let page = page.map_err(|error| malformed(&error))?;
    // The same page sealed again has the same seal: the address is as good as its content.
    let tag = format!("\"{}.{}.seal\"", served.log.epoch, page.low());
    let found = match &served.seals {
        Some(seals) => seals.seal(page).await.map_err(unavailable)?,
        None => None,
    };
    let Some(bytes) = found else {
        let detail = format!("page {page} is not archived, or was not sealed yet");
        return Err(Problem::new(&NOT_SEALED, detail));
    };
    let caching = [(CACHE_CONTROL, served.cache_control), (ETAG, &*tag)];
    let knows = |value: &http::HeaderValue| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').any(|known| {
            let known = known.trim();
            known == "*" || known.trim_start_matches("W/") == tag
        })
    };
    if headers.get_all(IF_NONE_MATCH).iter().any(knows) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(CONTENT_TYPE, "application/json")], bytes).into_response())
}

fn malformed(error: &SectionIdError) -> Problem {
    let kind = match error {
        SectionIdError::WrongSize { .. } => &ProblemKind::WRONG_PAGE_SIZE,
        SectionIdError::Misaligned { .. } => &ProblemKind::MISALIGNED_PAGE,
        _ => &ProblemKind::MALFORMED_PAGE_ID,
    };
    Problem::new(kind, error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn unavailable(error: LogError) -> Problem {
    tracing::warn!(%error, "a seal can't be read");
    Problem::new(
        &ProblemKind::STORE_UNAVAILABLE,
        "the seal can't be read now",
    )
    .with_retry_after()
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    algorithm: &'static str,
    public_key: VerifyingKey,
    pem: String,
}

/// The key that signs here, for those who set up a verifier. It proves nothing by itself: who could forge the log could
/// answer this as well.
async fn keys(State(served): State<Arc<Served>>) -> Response {
    let keys = served.key.iter().map(|key| Key {
        algorithm: "Ed25519",
        public_key: *key,
        pem: key.to_pem(),
    });
    let keys = Keys {
        keys: keys.collect(),
    };
    ([(CACHE_CONTROL, "no-cache")], Json(keys)).into_response()
}
