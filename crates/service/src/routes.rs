//! All routes of a service, with what stands before them.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use boxes_application::App;
use boxes_http::{ProblemKind, problem_descriptions, unknown_path};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::trace::TraceLayer;

use crate::auth::authorize;
use crate::error_pages::as_problems;
use crate::metrics::{count_requests, time_requests};
use crate::problem::OWN_KINDS;
use crate::{Config, Problem, StartError, Tokens, health, index, state};

/// One box's routes, to be put together with those of the others.
pub(crate) struct BoxRoutes {
    pub(crate) app: App,
    /// Its own routes, as it declares them.
    pub(crate) own: Router<App>,
    /// Those of its notification logs.
    pub(crate) logs: Router,
}

/// Puts all routes together.
///
/// What stands before a route is only what it needs: pages of logs are the many and the cheap requests, so
/// they are counted and, where tokens are set, authorized. A box's own routes also get a request id, a span, a
/// time-out, a bound on the body, and a net for panics.
pub(crate) fn assemble(
    boxes: Vec<BoxRoutes>,
    state: &Arc<state::State>,
    config: &Config,
) -> Result<Router, StartError> {
    let names: Vec<String> = boxes
        .iter()
        .map(|routes| routes.app.name().to_owned())
        .collect();
    let built = std::panic::catch_unwind(AssertUnwindSafe(|| build(boxes, state, config)));
    // Axum's way to say that two routes collide.
    built.map_err(|panic| {
        let collision = panic_text(&*panic)
            .unwrap_or("two of them are the same")
            .to_owned();
        StartError::Declaration {
            mistakes: vec![format!(
                "the routes of {} don't go together: {collision}",
                names.join(", ")
            )],
        }
    })
}

fn build(boxes: Vec<BoxRoutes>, state: &Arc<state::State>, config: &Config) -> Router {
    let mut logs = Router::new();
    let mut own = Router::new();
    for routes in boxes {
        let path = format!("/{}", routes.app.name());
        logs = logs.merge(routes.logs);
        own = own.nest(&path, routes.own.with_state(routes.app));
    }
    let own = own
        .layer(from_fn_with_state(config.request_timeout, time_out))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(RequestBodyLimitLayer::new(config.max_body))
        .layer(DefaultBodyLimit::disable());
    let own = with_tokens(own, &config.tokens)
        .layer(from_fn(as_problems))
        .layer(from_fn_with_state(state.metrics.clone(), time_requests))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_failure(()),
        )
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid));
    let closed = Router::new()
        .route("/", get(index::boxes))
        .route("/metrics", get(health::metrics))
        .with_state(Arc::clone(state));
    let open = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(Arc::clone(state))
        .merge(problem_descriptions(OWN_KINDS));
    let rest = with_tokens(closed, &config.tokens)
        .merge(open)
        .fallback(unknown_path)
        .layer(from_fn(as_problems));
    own.merge(with_tokens(logs, &config.tokens))
        .merge(rest)
        .layer(from_fn_with_state(state.metrics.clone(), count_requests))
}

/// Asks for a token, where tokens are set.
fn with_tokens(router: Router, tokens: &Tokens) -> Router {
    if tokens.is_empty() {
        router
    } else {
        router.layer(from_fn_with_state(tokens.clone(), authorize))
    }
}

async fn time_out(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(?limit, "a request took too long");
            Problem::new(
                &ProblemKind::TIMED_OUT,
                format!("it was not done within {} s", limit.as_secs_f64()),
            )
            .with_retry_after()
            .into_response()
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the layer gives it so")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panic_text(&*panic), "a route panicked");
    Problem::failed().into_response()
}

fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
}

/// The path without its query, and the id under which client and log can speak of the request.
fn span<B>(request: &http::Request<B>) -> tracing::Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}
