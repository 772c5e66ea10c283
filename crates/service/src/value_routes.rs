//! The values that are stored apart from the events that name them, served to those who follow.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use boxes_application::{StoredValues, ValueSource};
use boxes_domain::LargeId;
use boxes_http::{DescribedRoutes, ProblemKind, Reading};
use http::HeaderMap;
use serde_json::json;

use crate::final_answer::FinalAnswer;
use crate::state::RunningBox;
use crate::{Config, Path, Problem};

struct Served {
    values: Option<StoredValues>,
    cache_control: &'static str,
}

const OCTETS: &str = "application/octet-stream";

/// `/{box}/values/{sha256}`: a value as it is stored, which is encrypted where events are; who follows has the keys.
pub(crate) fn routes(running: &RunningBox, config: &Config) -> DescribedRoutes {
    let served = Arc::new(Served {
        // Those of events that are not published are nobody's business.
        values: running
            .app
            .stored_values()
            .filter(|_| running.publishes_own_log),
        cache_control: FinalAnswer::cache_control(config),
    });
    let sha256 = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let reading = Reading::new(
        "getValue",
        "A value that is stored apart from the event that names it",
    )
    .description("As it is stored: encrypted where the events of the box are. It never changes.")
    .in_path(
        "sha256",
        "The SHA-256 of what is stored, as events name it.",
        sha256,
    )
    .gives(OCTETS, json!({}))
    .conditional()
    .refuses(&[
        &ProblemKind::MALFORMED_REQUEST,
        &ProblemKind::NOT_FOUND,
        &ProblemKind::INTERNAL,
        &ProblemKind::STORE_UNAVAILABLE,
    ]);
    let path = format!("/{}/values/{{sha256}}", running.app.name());
    DescribedRoutes::new()
        .read(&path, reading, value)
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
    let answer = FinalAnswer {
        tag: id.to_string(),
        media_type: OCTETS,
        cache_control: served.cache_control,
    };
    Ok(answer.to(&headers, stored))
}
