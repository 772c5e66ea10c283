//! Whether the process lives, whether it can work, and what it counted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use boxes_http::{DescribedRoutes, Reading};
use futures::future::join_all;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use metrics::{counter, gauge};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::auth::may_see_figures;
use crate::json_schema::json_schema;
use crate::state::{self, FOLLOWER_STATES, describe};

/// `/healthz` and `/readyz`, which are open to everyone.
pub(crate) fn open_routes() -> DescribedRoutes<Arc<state::State>> {
    let health = Reading::new("getHealth", "Whether the process lives")
        .description("Restart it if it does not answer.")
        .gives("text/plain", json!({ "type": "string" }));
    let readiness = Reading::new("getReadiness", "Whether it can work")
        .description("Where tokens are set, only those who may see the figures are told more than the status: every box with its \
            store, every follower with its position, and what exactly is in the way.")
        .gives("application/json", json_schema::<Readiness<'_>>())
        .also_with(
            StatusCode::SERVICE_UNAVAILABLE,
            "A store does not answer or does not take writes, or the service is stopping: send it no requests",
        );
    DescribedRoutes::new()
        .read("/healthz", health, healthz)
        .read("/readyz", readiness, readyz)
}

/// `/metrics`.
pub(crate) fn figures() -> DescribedRoutes<Arc<state::State>> {
    let figures = Reading::new(
        "getMetrics",
        "What was counted, in the format of Prometheus",
    )
    .gives("text/plain", json!({ "type": "string" }));
    DescribedRoutes::new().read("/metrics", figures, metrics)
}

/// `GET /healthz`: 200 as long as the process answers at all. Restart it if it does not.
///
/// Open to everyone, and says nothing else.
async fn healthz() -> Response {
    (
        [
            (CACHE_CONTROL, "no-store"),
            (CONTENT_TYPE, "text/plain; charset=utf-8"),
        ],
        "ok\n",
    )
        .into_response()
}

/// `GET /readyz`: 200 if every store answers and took the last write, 503 if one did not, or the service is stopping.
///
/// A follower that is held up or has stopped does not make the service unready: it takes commands and serves
/// its log all the same, and taking it out of service would help nobody. The status is `degraded` then.
///
/// Open to everyone, so that an orchestrator needs no token; but only those who may see the figures are told more
/// than the status.
async fn readyz(State(state): State<Arc<state::State>>, headers: HeaderMap) -> Response {
    let in_detail = may_see_figures(&state.tokens.current(), &headers);
    let boxes = state.boxes.iter().map(|running| async {
        let (store, head, error) = match running.head_if_usable().await {
            Ok(head) => ("ok", Some(head), None),
            Err((store, error)) => (store, None, Some(error)),
        };
        BoxReport {
            name: running.app.name(),
            store,
            head,
            error: error.map(|error| error.to_string()),
        }
    });
    // At once, so that an orchestrator hears of several stores that don't answer before it gives up.
    let boxes = join_all(boxes).await;
    let statuses: Vec<_> = state
        .followers
        .iter()
        .map(|follower| (follower, follower.status()))
        .collect();
    let followers: Vec<_> = statuses
        .iter()
        .map(|(follower, status)| {
            let (word, error) = describe(&status.state);
            FollowerReport {
                box_name: &follower.box_name,
                upstream: &follower.upstream,
                state: word,
                position: status.position,
                lag: follower.lag(status),
                failures: status.n_failures,
                error,
            }
        })
        .collect();
    let sealers: Vec<_> = state
        .sealers
        .iter()
        .map(|sealer| {
            let status = sealer.status.borrow().clone();
            SealerReport {
                box_name: &sealer.box_name,
                public_log: sealer.public_log.as_deref(),
                state: if status.stopped.is_some() {
                    "stopped"
                } else {
                    "sealing"
                },
                sealed_through: status.sealed_through,
                error: status.stopped,
            }
        })
        .collect();
    let (status, word) = if state.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if boxes.iter().any(|report| report.head.is_none()) {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    } else if followers
        .iter()
        .any(|report| matches!(report.state, "retrying" | "stopped"))
        || sealers.iter().any(|report| report.state == "stopped")
    {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ready")
    };
    (
        status,
        [(CACHE_CONTROL, "no-store")],
        axum::Json(Readiness {
            status: word,
            details: in_detail.then_some(Details {
                boxes,
                followers,
                sealers,
            }),
        }),
    )
        .into_response()
}

#[derive(Serialize, JsonSchema)]
struct Readiness<'a> {
    status: &'static str,
    #[serde(flatten)]
    details: Option<Details<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Details<'a> {
    boxes: Vec<BoxReport<'a>>,
    followers: Vec<FollowerReport<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sealers: Vec<SealerReport<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BoxReport<'a> {
    #[serde(rename = "box")]
    name: &'a str,
    store: &'static str,
    head: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct FollowerReport<'a> {
    #[serde(rename = "box")]
    box_name: &'a str,
    upstream: &'a str,
    state: &'static str,
    position: u64,
    lag: u64,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct SealerReport<'a> {
    #[serde(rename = "box")]
    box_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_log: Option<&'a str>,
    state: &'static str,
    sealed_through: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `GET /metrics`: what was counted, in the text format of Prometheus. Where tokens are set, asks
/// for one that allows it.
async fn metrics(State(state): State<Arc<state::State>>) -> Response {
    for running in &state.boxes {
        let name = running.app.name().to_owned();
        if let Ok(head) = running.head().await {
            state.metrics.record(|| {
                gauge!("boxes_log_head", "box" => name.clone()).set(as_f64(head));
                counter!("boxes_events_appended_total", "box" => name)
                    .absolute(head.saturating_sub(running.head_at_start));
            });
        }
    }
    for (log, places) in state.waiting.all() {
        let labels = [("log", log)];
        state.metrics.record(|| {
            gauge!("boxes_waiting", &labels)
                .set(as_f64(u64::try_from(places.n_taken()).unwrap_or(u64::MAX)));
            gauge!("boxes_waiting_max", &labels)
                .set(as_f64(u64::try_from(places.max()).unwrap_or(u64::MAX)));
        });
    }
    let (n_connections, max_connections) = state.seats.taken();
    let n_turned_away = state.seats.n_turned_away();
    state.metrics.record(|| {
        gauge!("boxes_connections").set(as_f64(u64::try_from(n_connections).unwrap_or(u64::MAX)));
        gauge!("boxes_connections_max")
            .set(as_f64(u64::try_from(max_connections).unwrap_or(u64::MAX)));
        counter!("boxes_connections_turned_away_total").absolute(n_turned_away);
    });
    for follower in &state.followers {
        let status = follower.status();
        let labels = [
            ("box", follower.box_name.clone()),
            ("upstream", follower.upstream.clone()),
        ];
        let (now, _) = describe(&status.state);
        state.metrics.record(|| {
            gauge!("boxes_follower_position", &labels).set(as_f64(status.position));
            gauge!("boxes_follower_lag", &labels).set(as_f64(follower.lag(&status)));
            gauge!("boxes_follower_stopped", &labels).set(indicator(now == "stopped"));
            gauge!("boxes_follower_seconds_since_success", &labels)
                .set(status.last_success.elapsed().as_secs_f64());
            counter!("boxes_follower_errors_total", &labels).absolute(status.n_failures);
            for word in FOLLOWER_STATES {
                let [of_box, upstream] = labels.clone();
                let labels = [of_box, upstream, ("state", word.to_owned())];
                gauge!("boxes_follower_state", &labels).set(indicator(now == word));
            }
        });
    }
    for sealer in &state.sealers {
        let status = sealer.status.borrow().clone();
        let stopped = indicator(status.stopped.is_some());
        state.metrics.record(|| {
            let public = sealer.public_log.clone().unwrap_or_default();
            let labels = [("box", sealer.box_name.clone()), ("public_log", public)];
            gauge!("boxes_sealed_through", &labels).set(as_f64(status.sealed_through));
            gauge!("boxes_sealing_stopped", &labels).set(stopped);
        });
    }
    let headers = [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
    ];
    (headers, state.metrics.render()).into_response()
}

/// 1 if it is so, otherwise 0.
const fn indicator(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// The nearest number that a gauge can show: exact up to 2^53.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "there is no other way to a float, and a gauge may round"
)]
fn as_f64(number: u64) -> f64 {
    number as f64
}
