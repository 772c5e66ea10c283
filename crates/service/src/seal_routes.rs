//! The seals of a log, served beside its pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boxes_http::{DescribedRoutes, ProblemKind, Reading};
use boxes_integrity::{Seals, StoredSeals, VerifyingKey};
use boxes_notification_log::{LogError, SectionId, SectionIdError};
use boxes_recorder::LogIdentity;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::final_answer::FinalAnswer;
use crate::json_schema::json_schema;
use crate::problem::NOT_SEALED;
use crate::state::PublishedLog;
use crate::{Config, Json, Path, Problem};

/// Where the seals of one log are, and who signs them here.
struct Served {
    log: LogIdentity,
    seals: Option<StoredSeals>,
    key: Option<VerifyingKey>,
    cache_control: &'static str,
}

/// `/{log}/notifications/{low},{high}/seal` and `/{log}/notifications/keys`.
///
/// Seals that are there are served whether or not this service seals.
pub(crate) fn routes(published: &PublishedLog, config: &Config) -> DescribedRoutes {
    let served = Arc::new(Served {
        log: published.identity.clone(),
        seals: published.seals.clone(),
        key: config.sealing.key.as_ref().map(|key| key.verifying_key()),
        cache_control: FinalAnswer::cache_control(config),
    });
    let path = format!("/{}/notifications", published.name);
    DescribedRoutes::new()
        .read_as(
            &format!("{path}/{{page}}/seal"),
            &format!("{path}/{{low}},{{high}}/seal"),
            reading_of_seal(),
            seal,
        )
        .read(&format!("{path}/keys"), reading_of_keys(), keys)
        .with_state(served)
}

fn reading_of_seal() -> Reading {
    let id = || json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX });
    Reading::new("getSeal", "The seal of an archived page, if it is sealed")
        .description("Digests of its notifications, chained to the seal before it, and signed. It never changes.")
        .in_path("low", "The id of the page's first notification.", id())
        .in_path("high", "The id of its last one.", id())
        .gives("application/json", json!({ "type": "object" }))
        .conditional()
        .refuses(&[
            &ProblemKind::MALFORMED_REQUEST,
            &ProblemKind::MALFORMED_PAGE_ID,
            &ProblemKind::MISALIGNED_PAGE,
            &ProblemKind::WRONG_PAGE_SIZE,
            &NOT_SEALED,
            &ProblemKind::STORE_UNAVAILABLE,
        ])
}

fn reading_of_keys() -> Reading {
    Reading::new("getKeys", "The key by which pages are sealed here, if they are")
        .description("It proves nothing by itself: who could forge the log could answer this as well. Get it once, from \
            somebody you trust.")
        .gives("application/json", json_schema::<Keys>())
        .with_header("Cache-Control", "It is asked for again each time.")
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
    let tag = format!("{}.{}.seal", served.log.epoch, page.low());
    let found = match &served.seals {
        Some(seals) => seals.seal(page).await.map_err(unavailable)?,
        None => None,
    };
    let Some(bytes) = found else {
        let detail = format!("page {page} is not archived, or was not sealed yet");
        return Err(Problem::new(&NOT_SEALED, detail));
    };
    let answer = FinalAnswer {
        tag,
        media_type: "application/json",
        cache_control: served.cache_control,
    };
    Ok(answer.to(&headers, bytes))
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

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Key {
    algorithm: &'static str,
    #[schemars(with = "String")]
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
