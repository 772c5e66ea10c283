//! The values that are stored apart from the events that name them, served to those who follow.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use boxes_application::{StoredValues, ValueSource};
use boxes_domain::LargeId;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::state::RunningBox;
use crate::{Config, Problem};

struct Served {
    values: Option<StoredValues>,
    cache_control: &'static str,
}

/// `/{box}/values/{sha256}`: a value as it is stored, which is encrypted where events are; who follows has the keys.
pub(crate) fn routes(running: &RunningBox, config: &Config) -> Router {
    let served = Arc::new(Served {
        // Those of events that are not published are nobody's business.
        values: running
            .app
            .stored_values()
            .filter(|_| running.publishes_own_log),
        cache_control: match config.tokens.is_empty() {
            true => "public, max-age=31536000, immutable",
            false => "private, max-age=31536000, immutable",
        },
    });
    let other = || async { boxes_http::Problem::method_not_allowed("GET, HEAD") };
    let path = format!("/{}/values/{{sha256}}", running.app.name());
    Router::new()
        .route(&path, routing::get(value).fallback(other))
        .with_state(served)
}

async fn value(
    State(served): State<Arc<Served>>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id: LargeId = sha256
        .parse()
        .map_err(|error: boxes_domain::ParseLargeIdError| {
            Problem::bad_request(error.to_string())
        })?;
    let found = match &served.values {
        Some(values) => values.stored_value(id).await?,
        None => None,
    };
    let Some(stored) = found else {
        return Err(Problem::not_found(format!("there is no value {id}")));
    };
    let tag = format!("\"{id}\"");
    let caching = [(CACHE_CONTROL, served.cache_control), (ETAG, &*tag)];
    let knows = |value: &HeaderValue| {
        let tags = value.to_str().unwrap_or_default();
        tags.split(',').any(|known| {
            matches!(known.trim(), "*") || known.trim().trim_start_matches("W/") == tag
        })
    };
    if headers.get_all(IF_NONE_MATCH).iter().any(knows) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let octets = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((caching, octets, stored).into_response())
}
