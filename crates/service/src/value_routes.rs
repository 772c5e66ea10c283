//! The values that are stored apart from the events that name them, served to those who follow.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use boxes_application::{StoredValues, ValueSource};
use boxes_domain::LargeId;
use boxes_http::{DescribedRoutes, ProblemKind, Reading, archived_freshness, check_resume_point};
use boxes_notification_log::NotificationLog;
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::final_answer::FinalAnswer;
use crate::state::RunningBox;
use crate::{Config, Path, Problem};

struct Served {
    log: Arc<dyn NotificationLog>,
    values: Option<StoredValues>,
    cache_control: HeaderValue,
}

const OCTETS: &str = "application/octet-stream";

/// `/{box}/values/{sha256}`: a value as it is stored, which is encrypted where events are; who follows has the keys.
pub(crate) fn routes(running: &RunningBox, config: &Config) -> DescribedRoutes {
    let redactable = running.app.is_redactable();
    let redactable = redactable.then_some(config.redactable_freshness);
    let served = Arc::new(Served {
        log: match running.logs.first() {
            Some(published) => Arc::clone(&published.log),
            None => Arc::new(running.app.notification_log()),
        },
        // Those of events that are not published are nobody's business.
        values: running
            .app
            .stored_values()
            .filter(|_| running.publishes_own_log),
        // A value of an aggregate that is deleted leaves caches as its events do.
        cache_control: archived_freshness(!config.tokens.is_empty(), redactable),
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
        &ProblemKind::MALFORMED_RESUME_POINT,
        &ProblemKind::EPOCH_CHANGED,
        &ProblemKind::AHEAD_OF_LOG,
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
    check_resume_point(&*served.log, &headers).await?;
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
        tag: HeaderValue::try_from(format!("\"{id}\""))
            .map_err(|error| Problem::internal(&error))?,
        media_type: OCTETS,
        cache_control: served.cache_control.clone(),
    };
    Ok(answer.to(&headers, stored))
}
