//! The seals of a log, served beside its pages.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use boxes_application::DataKeys;
use boxes_http::{
    AddressedPage, DescribedRoutes, ProblemKind, Reading, archived_freshness, check_resume_point,
    tag_of_body,
};
use boxes_integrity::{Seals, StoredSeals, VerifyingKey};
use boxes_notification_log::{LogError, NotificationLog};
use boxes_recorder::{LogIdentity, Recorder};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use url::Url;

use crate::final_answer::FinalAnswer;
use crate::json_schema::json_schema;
use crate::problem::NOT_SEALED;
use crate::state::PublishedLog;
use crate::{Config, Json, Problem};

/// Where the seals of one log are, and who signs them here.
struct Served {
    identity: LogIdentity,
    log: Arc<dyn NotificationLog>,
    base: Option<Url>,
    seals: Option<StoredSeals>,
    key: Option<VerifyingKey>,
    /// Where the data keys of the events are.
    recorder: Arc<dyn Recorder>,
    /// At an address that carries the epoch.
    cache_control: HeaderValue,
}

/// `/{log}/notifications/{epoch}/{low},{high}/seal`, the same without the epoch, and `/{log}/notifications/keys`.
///
/// Seals that are there are served whether or not this service seals.
pub(crate) fn routes(
    published: &PublishedLog,
    recorder: &Arc<dyn Recorder>,
    config: &Config,
) -> DescribedRoutes {
    let redactable = published.is_redactable;
    let redactable = redactable.then_some(config.redactable_freshness);
    let served = Arc::new(Served {
        identity: published.identity.clone(),
        log: Arc::clone(&published.log),
        base: config.public_url.clone(),
        seals: published.seals.clone(),
        key: config.sealing.key.as_ref().map(|key| key.verifying_key()),
        recorder: Arc::clone(recorder),
        cache_control: archived_freshness(!config.tokens.is_empty(), redactable),
    });
    let path = format!("/{}/notifications", published.name);
    DescribedRoutes::new()
        .read_as(
            &format!("{path}/{{page}}/seal"),
            &format!("{path}/{{low}},{{high}}/seal"),
            reading_of_seal("getSeal"),
            seal,
        )
        .read_as(
            &format!("{path}/{{epoch}}/{{page}}/seal"),
            &format!("{path}/{{epoch}}/{{low}},{{high}}/seal"),
            reading_of_seal("getSealOfEpoch").in_path(
                "epoch",
                "The epoch of the log, in lower case.",
                json!({ "type": "string", "format": "uuid" }),
            ),
            seal_of_epoch,
        )
        .read(&format!("{path}/keys"), reading_of_keys(), keys)
        .with_state(served)
}

fn reading_of_seal(id: &'static str) -> Reading {
    let number = || json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX });
    Reading::new(id, "The seal of an archived page, if it is sealed")
        .description("Digests of its notifications, chained to the seal before it, and signed. It never changes.")
        .in_path("low", "The id of the page's first notification.", number())
        .in_path("high", "The id of its last one.", number())
        .gives("application/json", json!({ "type": "object" }))
        .conditional()
        .refuses(&[
            &ProblemKind::MALFORMED_RESUME_POINT,
            &ProblemKind::EPOCH_CHANGED,
            &ProblemKind::AHEAD_OF_LOG,
            &ProblemKind::MALFORMED_PAGE_ID,
            &ProblemKind::MISALIGNED_PAGE,
            &ProblemKind::WRONG_PAGE_SIZE,
            &NOT_SEALED,
            &ProblemKind::STORE_UNAVAILABLE,
        ])
}

fn reading_of_keys() -> Reading {
    Reading::new("getKeys", "The key by which pages are sealed here, and the wrapped data keys of the events")
        .description("The public key proves nothing by itself: one who could forge the log could answer this as well. Get it once, \
            from someone you trust. The data keys are encrypted with a configured key that followers have.")
        .gives("application/json", json_schema::<Keys>())
        .with_header("Cache-Control", "It is asked for again each time.")
        .refuses(&[&ProblemKind::STORE_UNAVAILABLE])
}

async fn seal(
    State(served): State<Arc<Served>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    served.seal(&uri, false, &headers).await
}

async fn seal_of_epoch(
    State(served): State<Arc<Served>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    served.seal(&uri, true, &headers).await
}

impl Served {
    /// The seal at an address, with the errors, redirects and freshness of its page.
    async fn seal(
        &self,
        uri: &Uri,
        has_epoch: bool,
        request: &HeaderMap,
    ) -> Result<Response, Problem> {
        check_resume_point(&*self.log, request).await?;
        let base = self.base.as_ref();
        let page = match AddressedPage::of(&self.identity, base, uri, "/seal", has_epoch)? {
            AddressedPage::Page { id, .. } => id,
            AddressedPage::Moved(response) => return Ok(response),
        };
        let found = match &self.seals {
            Some(seals) => seals.seal(page).await.map_err(unavailable)?,
            None => None,
        };
        let Some(bytes) = found else {
            let detail = format!("page {page} is not archived, or was not sealed yet");
            return Err(Problem::new(&NOT_SEALED, detail));
        };
        let answer = FinalAnswer {
            tag: tag_of_body(&bytes, "seal"),
            media_type: "application/json",
            cache_control: if has_epoch {
                self.cache_control.clone()
            } else {
                HeaderValue::from_static("no-cache")
            },
        };
        Ok(answer.to(request, bytes))
    }
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
    /// The data keys of the log, each encrypted with a configured key, in base64; absent where events are not encrypted so.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_keys: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Key {
    algorithm: &'static str,
    #[schemars(with = "String")]
    public_key: VerifyingKey,
    pem: String,
}

/// The key that signs here, for those who set up a verifier, and the wrapped data keys, for those who follow. The first proves
/// nothing by itself: who could forge the log could answer this as well.
async fn keys(State(served): State<Arc<Served>>) -> Result<Response, Problem> {
    let keys = served.key.iter().map(|key| Key {
        algorithm: "Ed25519",
        public_key: *key,
        pem: key.to_pem(),
    });
    let data_keys = DataKeys::stored(&*served.recorder).await?;
    let keys = Keys {
        keys: keys.collect(),
        data_keys: data_keys.map(|keys| STANDARD.encode(keys.as_bytes())),
    };
    Ok(([(CACHE_CONTROL, "no-cache")], Json(keys)).into_response())
}
