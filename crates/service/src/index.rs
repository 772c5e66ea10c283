//! What is here.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use serde_json::json;

use crate::descriptions::{async_api_path, open_api_path};
use crate::state;

/// `GET /`: the boxes of this service and where they are.
///
/// The addresses are paths, unless a public base is configured.
pub(crate) async fn boxes(State(state): State<Arc<state::State>>) -> Response {
    let base = &state.public_base;
    let boxes: Vec<_> = state
        .boxes
        .iter()
        .map(|running| {
            let name = running.app.name();
            let logs = running.logs.iter().map(|published| {
                let log = &published.name;
                json!({ "log": log, "notifications": format!("{base}/{log}/notifications") })
            });
            json!({
                "box": name,
                "url": format!("{base}/{name}"),
                "notifications": format!("{base}/{name}/notifications"),
                "logs": logs.collect::<Vec<_>>(),
                "openapi": format!("{base}{}", open_api_path(name)),
                "asyncapi": format!("{base}{}", async_api_path(name)),
            })
        })
        .collect();
    let body = json!({
        "boxes": boxes,
        "healthz": format!("{base}/healthz"),
        "readyz": format!("{base}/readyz"),
        "metrics": format!("{base}/metrics"),
        "problems": format!("{base}/problems"),
    });
    ([(CACHE_CONTROL, "no-cache")], axum::Json(body)).into_response()
}
