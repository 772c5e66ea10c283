//! All routes of a service, with what stands before them.

use std::any::Any;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use boxes_application::{App, TraceParent};
use boxes_http::{
    DescribedRoutes, OpenApiPart, ProblemKind, ServiceIndex, problem_descriptions, unknown_path,
};
use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderMap, HeaderName, HeaderValue};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{
    MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use crate::async_api::Channel;
use crate::auth::{Caller, Needed, authorize, identify};
use crate::coded_body::refuse_coded;
use crate::cors::share;
use crate::cross_site::{TrustedOrigins, refuse_cross_site};
use crate::descriptions::{Described, OF_TOKENS};
use crate::error_pages::as_problems;
use crate::expected_panic::{or_panic, panic_text};
use crate::forwarded::TrustedProxies;
use crate::known_host::{KnownHosts, MISDIRECTED, check_host};
use crate::metrics::{count_requests, time_requests};
use crate::problem::{OWN_KINDS, SLOW_BODY};
use crate::rate_limit::{RateLimiter, limit_rate, name_waiting_client};
use crate::request_progress::Unsent;
use crate::{Config, CorsOrigin, Problem, StartError, Tokens, health, index, state};

/// One box's routes, to be put together with those of the others.
pub(crate) struct BoxRoutes {
    pub(crate) app: App,
    /// Its own routes, as it declares them.
    pub(crate) own: Router<App>,
    /// What it says of them.
    pub(crate) described: OpenApiPart,
    /// Those of each of its notification logs and of what lies beside it, by the name of the log.
    pub(crate) logs: Vec<(String, DescribedRoutes)>,
    /// The streams of these logs.
    pub(crate) channels: Vec<Channel>,
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
    let built = or_panic(|| build(boxes, state, config));
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
    let document = index::index(state).document();
    let index = DescribedRoutes::new().read(
        "/",
        ServiceIndex::reading(),
        async move |headers: HeaderMap| document.answer(&headers).await,
    );
    let figures = health::figures().with_state(Arc::clone(state));
    let open = health::open_routes()
        .with_state(Arc::clone(state))
        .and(problem_descriptions(OWN_KINDS));
    let service = described([&index, &figures], &open, config);
    let mut logs = Router::new();
    let mut own = Router::new();
    for routes in boxes {
        let name = routes.app.name().to_owned();
        let path = format!("/{name}");
        let mut logs_described = OpenApiPart::new();
        for (log, of_log) in routes.logs {
            let (router, described) = of_log.into_parts();
            logs_described = logs_described.and(described);
            logs = logs.merge(with_tokens(router, &config.tokens, Needed::Of(log)));
        }
        let descriptions = Described {
            name: name.clone(),
            own: routes.described,
            logs: logs_described,
            service: service.clone(),
            channels: routes.channels,
            secured: !config.tokens.is_empty(),
            is_limited: config.rate_limit.is_some(),
            base: state.public_base.clone(),
        };
        let descriptions = descriptions.into_router();
        logs = logs.merge(with_tokens(
            descriptions,
            &config.tokens,
            Needed::Of(name.clone()),
        ));
        let nested = Router::new().nest(&path, bounded(routes.own.with_state(routes.app), config));
        own = own.merge(with_tokens(nested, &config.tokens, Needed::Of(name)));
    }
    let own = own
        .layer(from_fn(as_problems))
        .layer(from_fn_with_state(state.metrics.clone(), time_requests))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_failure(()),
        )
        .layer(from_fn(trace))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(clean_request_id));
    let rest = open
        .into_parts()
        .0
        .merge(with_tokens(
            index.into_parts().0,
            &config.tokens,
            Needed::Any,
        ))
        .merge(with_tokens(
            figures.into_parts().0,
            &config.tokens,
            Needed::Metrics,
        ))
        .fallback(unknown_path)
        .layer(from_fn(as_problems));
    let proxies = TrustedProxies::new(&config.trusted_proxies);
    let logs = logs.layer(from_fn_with_state(proxies, name_waiting_client));
    let all = own.merge(logs).merge(rest);
    let all = match config.rate_limit {
        None => all,
        Some(limit) => {
            let proxies = TrustedProxies::new(&config.trusted_proxies);
            let limiter = Arc::new(RateLimiter::new(limit, proxies));
            all.layer(from_fn_with_state(limiter, limit_rate))
        }
    };
    let all = if config.tokens.is_empty() {
        let public = config.public_url.as_ref();
        let origins = TrustedOrigins::new(public, &config.cors_origins);
        all.layer(from_fn_with_state(origins, refuse_cross_site))
            .layer(from_fn_with_state(KnownHosts::new(public), check_host))
    } else {
        all.layer(from_fn_with_state(Arc::clone(state), identify))
    };
    let all = if config.cors_origins.is_empty() {
        all
    } else {
        let origins: Arc<[CorsOrigin]> = config.cors_origins.clone().into();
        all.layer(from_fn_with_state(origins, share))
    };
    // What is served is of the type that it is said to be, and no script or page because a browser takes it for one.
    let nosniff = HeaderValue::from_static("nosniff");
    all.layer(SetResponseHeaderLayer::if_not_present(
        X_CONTENT_TYPE_OPTIONS,
        nosniff,
    ))
    .layer(from_fn_with_state(state.metrics.clone(), count_requests))
}

/// A box's own routes within the bounds that hold for them.
fn bounded(own: Router, config: &Config) -> Router {
    own.layer(from_fn(refuse_coded))
        .layer(from_fn_with_state(config.request_timeout, time_out))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(RequestBodyLimitLayer::new(config.max_body))
        .layer(DefaultBodyLimit::disable())
}

/// What is said of the routes of the service: of those that ask for a token where tokens are set, and of the others.
fn described(
    closed: [&DescribedRoutes; 2],
    open: &DescribedRoutes,
    config: &Config,
) -> OpenApiPart {
    let [one, other] = closed.map(|routes| routes.description().clone());
    let (closed, open) = (one.and(other), open.description().clone());
    let (closed, open) = if config.tokens.is_empty() {
        let kinds = &[&MISDIRECTED];
        (closed.with_answers(kinds), open.with_answers(kinds))
    } else {
        let open = open.with_answers(&[&ProblemKind::MALFORMED_REQUEST]);
        (closed.with_answers(&OF_TOKENS), open)
    };
    let open = open.open_to_everyone();
    closed.and(open).tagged("service")
}

/// Asks for a token that allows what is needed, where tokens are set.
fn with_tokens(router: Router, tokens: &Tokens, needed: Needed) -> Router {
    if tokens.is_empty() {
        router
    } else {
        router.layer(from_fn_with_state(Arc::new(needed), authorize))
    }
}

async fn time_out(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let unsent = request.extensions().get::<Unsent>().cloned();
    let mut answering = pin!(next.run(request));
    let answered = tokio::time::timeout(limit, answering.as_mut()).await;
    let seconds = limit.as_secs_f64();
    match answered {
        Ok(response) => response,
        Err(_) if unsent.is_some_and(|unsent| unsent.is_waited_for()) => {
            let detail = format!("the body did not come within {seconds} s; nothing was done");
            Problem::new(&SLOW_BODY, detail).into_response()
        }
        Err(_) => {
            tracing::warn!(?limit, "a request took too long");
            let detail = format!(
                "it was not done within {seconds} s; a command that it is about may be recorded all the same: look before you send it again"
            );
            Problem::new(&ProblemKind::TIMED_OUT, detail).into_response()
        }
    }
}

/// Lets what a request commands be part of the trace that it names.
async fn trace(request: Request, next: Next) -> Response {
    let mut traces = request.headers().get_all("traceparent").iter();
    let (first, second) = (traces.next(), traces.next());
    let trace = first
        .filter(|_| second.is_none())
        .and_then(|trace| TraceParent::new(trace.to_str().ok()?));
    match trace {
        Some(trace) => trace.scope(next.run(request)).await,
        None => next.run(request).await,
    }
}

/// Drops a request id that is too long, or not plain text: it gets another one, as it is written to the log.
async fn clean_request_id(mut request: Request, next: Next) -> Response {
    let is_plain = |id: &HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:/+=".contains(byte);
        (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(plain)
    };
    let mut ids = request.headers().get_all(&X_REQUEST_ID).iter();
    if !(ids.next().is_some_and(is_plain) && ids.next().is_none()) {
        request.headers_mut().remove(&X_REQUEST_ID);
    }
    next.run(request).await
}

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[expect(clippy::needless_pass_by_value, reason = "the layer gives it so")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panic_text(&*panic), "a route panicked");
    Problem::failed().into_response()
}

/// The path without its query, who asks, and the id under which client and log can speak of the request.
fn span<B>(request: &http::Request<B>) -> tracing::Span {
    let id = request
        .extensions()
        .get::<RequestId>()
        .and_then(|id| id.header_value().to_str().ok());
    let client = match request.extensions().get::<Caller>() {
        Some(Caller::Known(grant)) => Some(grant.client()),
        _ => None,
    };
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), client, id)
}
