//! What is counted, in the text format of Prometheus.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use metrics::{
    Counter, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    with_local_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// What is counted in one service.
///
/// A service has a recorder of its own, so that several in one process don't add up. What other crates count
/// through the `metrics` facade belongs to the whole process: it goes to the process's recorder, which the
/// first service installs unless the program has one already, and every service shows it.
#[derive(Clone)]
pub(crate) struct Metrics {
    own: Arc<PrometheusRecorder>,
    requests: Arc<RwLock<HashMap<RequestKey, Counter>>>,
    /// Requests that are under way.
    under_way: Arc<AtomicU32>,
}

type RequestKey = (String, Method, u16);

/// Upper bounds of the buckets of request durations, in seconds.
const DURATION_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// How often what was measured is folded into buckets, so that it does not pile up when nobody asks for it.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The label of requests that no route takes: the paths that somebody tries are not worth a series each.
const UNMATCHED: &str = "unmatched";

impl Metrics {
    pub(crate) fn new() -> Self {
        process_recorder();
        let own = Arc::new(new_recorder());
        with_local_recorder(&*own, || {
            describe_counter!(
                "boxes_http_requests_total",
                "Requests that were answered; status 499 counts those whose client left before"
            );
            describe_gauge!(
                "boxes_http_requests_under_way",
                "Requests that are not answered yet, those who wait for news and this one included"
            );
            describe_gauge!(
                "boxes_waiting",
                "Requests that wait for news of a log, streams included"
            );
            describe_gauge!(
                "boxes_waiting_max",
                "Requests that may wait for news of a log at a time (--max-waiters)"
            );
            describe_gauge!("boxes_connections", "Connections that are served");
            describe_gauge!(
                "boxes_connections_max",
                "Connections that may be served at a time (--max-connections)"
            );
            describe_counter!(
                "boxes_connections_turned_away_total",
                "Requests that were told to come back because there were too many connections, in all or of their address"
            );
            describe_histogram!(
                "boxes_http_request_duration_seconds",
                "How long a box's own routes took"
            );
            describe_gauge!(
                "boxes_log_head",
                "Id of the newest notification of a box's log"
            );
            describe_counter!(
                "boxes_events_appended_total",
                "Events that entered a box's log since the start of this service"
            );
            describe_gauge!(
                "boxes_follower_position",
                "Last notification of the upstream whose effects are recorded"
            );
            describe_gauge!(
                "boxes_follower_lag",
                "Notifications of the upstream that are known of and not yet handled"
            );
            describe_gauge!(
                "boxes_follower_stopped",
                "1 if the follower has stopped because the upstream's log contradicts what was read of it, otherwise 0"
            );
            describe_gauge!(
                "boxes_follower_state",
                "1 for the state that the follower is in, 0 for the others"
            );
            describe_gauge!(
                "boxes_follower_seconds_since_success",
                "Seconds since the follower last recorded a step or found that there was nothing new"
            );
            describe_gauge!(
                "boxes_sealed_through",
                "Last notification of a box's log that is sealed"
            );
            describe_gauge!(
                "boxes_sealing_stopped",
                "1 if sealing has stopped because the seals don't fit the log, and a person has to verify it, otherwise 0"
            );
            describe_counter!(
                "boxes_follower_errors_total",
                "Failed attempts of a follower since the start of this service, repeated ones included"
            );
        });
        Self {
            own,
            requests: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Runs `record`, in which the macros of the `metrics` facade count for this service.
    pub(crate) fn record(&self, record: impl FnOnce()) {
        with_local_recorder(&*self.own, record);
    }

    /// All of it, in the text format of Prometheus.
    pub(crate) fn render(&self) -> String {
        let under_way = self.under_way.load(Ordering::Relaxed);
        self.record(|| gauge!("boxes_http_requests_under_way").set(f64::from(under_way)));
        let mut text = self.own.handle().render();
        if let Some(process) = process_recorder() {
            text.push_str(&process.render());
        }
        text
    }

    /// Folds what was measured into buckets; to be called now and then.
    pub(crate) fn upkeep(&self) {
        self.own.handle().run_upkeep();
        if let Some(process) = process_recorder() {
            process.run_upkeep();
        }
    }

    fn count(&self, key: RequestKey) {
        let known = self
            .requests
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let counter = known.unwrap_or_else(|| {
            let mut counter = Counter::noop();
            self.record(|| {
                let (route, method, status) = &key;
                let labels = [
                    ("route", route.clone()),
                    ("method", method.to_string()),
                    ("status", status.to_string()),
                ];
                counter = counter!("boxes_http_requests_total", &labels);
            });
            self.requests
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, counter.clone());
            counter
        });
        counter.increment(1);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Counts requests by route, method and status, and those under way.
pub(crate) async fn count_requests(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let (route, method) = (route(&request), known_method(request.method()));
    let mut under_way = UnderWay {
        metrics: &metrics,
        key: Some((route, method, CLIENT_LEFT)),
    };
    metrics.under_way.fetch_add(1, Ordering::Relaxed);
    let response = next.run(request).await;
    if let Some((_, _, status)) = &mut under_way.key {
        *status = response.status().as_u16();
    }
    response
}

/// The status under which requests are counted whose client left before they were answered; nobody is sent it.
const CLIENT_LEFT: u16 = 499;

/// One request that is under way: until it is answered, or its client has gone.
struct UnderWay<'a> {
    metrics: &'a Metrics,
    /// As what it is counted in the end.
    key: Option<RequestKey>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.metrics.under_way.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = self.key.take() {
            self.metrics.count(key);
        }
    }
}

/// Measures how long requests take, by route.
pub(crate) async fn time_requests(
    State(metrics): State<Metrics>,
    request: Request,
    next: Next,
) -> Response {
    let route = route(&request);
    let start = Instant::now();
    let response = next.run(request).await;
    metrics.record(|| {
        histogram!("boxes_http_request_duration_seconds", "route" => route)
            .record(start.elapsed().as_secs_f64());
    });
    response
}

fn route(request: &Request) -> String {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or(UNMATCHED, MatchedPath::as_str)
        .to_owned()
}

/// The method, or one for all that a client may have made up.
fn known_method(method: &Method) -> Method {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => method.clone(),
        _ => Method::TRACE,
    }
}

fn new_recorder() -> PrometheusRecorder {
    match PrometheusBuilder::new().set_buckets(&DURATION_BUCKETS) {
        Ok(builder) => builder.build_recorder(),
        // Only an empty list of buckets is refused; summaries are still right then.
        Err(_) => PrometheusBuilder::new().build_recorder(),
    }
}

/// The recorder of the whole process, unless the program has one of its own.
fn process_recorder() -> Option<&'static PrometheusHandle> {
    static PROCESS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    PROCESS
        .get_or_init(|| {
            let recorder = new_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder)
                .is_ok()
                .then_some(handle)
        })
        .as_ref()
}
