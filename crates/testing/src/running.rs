//! Boxes that run on a free port, with an HTTP client at hand.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use boxes_http::install_crypto_provider;
use boxes_service::{BoundedContext, Config, Running, Service, Stopped, Store};
use reqwest::{Client, Method};
use serde_json::Value;

/// How long anything in a test may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Boxes that run in this process on a free port of the loopback, and keep their events in memory. What they
/// have is in the [`Running`] beneath: `service.app("orders")` is the box itself.
///
/// ```
/// use boxes_service::BoundedContext;
/// use boxes_testing::RunningBoxes;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let boxes = RunningBoxes::start([BoundedContext::new("library")]).await;
/// let (status, page) = boxes.get("/library/notifications").await;
/// assert_eq!((status, page["last"].as_u64()), (200, Some(0)));
/// boxes.stop().await;
/// # });
/// ```
#[derive(Debug)]
pub struct RunningBoxes {
    running: Running,
    client: Client,
}

impl RunningBoxes {
    /// Starts all of these.
    pub async fn start(contexts: impl IntoIterator<Item = BoundedContext>) -> Self {
        Self::start_with(contexts, |_| {}).await
    }

    /// Starts all of these, with what `change` makes of the configuration.
    pub async fn start_with(
        contexts: impl IntoIterator<Item = BoundedContext>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let contexts: Vec<BoundedContext> = contexts.into_iter().collect();
        let stores: BTreeMap<_, _> = contexts
            .iter()
            .map(|context| (context.name().to_owned(), Store::Memory))
            .collect();
        let mut config = Config {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            stores,
            poll_interval: Duration::from_millis(100),
            ..Config::default()
        };
        change(&mut config);
        install_crypto_provider();
        let client = Client::builder()
            .timeout(DEADLINE)
            .build()
            .expect("HTTP can be set up");
        let running = Service::start(contexts, config)
            .await
            .expect("the boxes start");
        Self { running, client }
    }

    /// The status and the body of `GET path`; a body that is no JSON as a string.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.request(Method::GET, path, None).await
    }

    /// The status and the body of `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request(Method::POST, path, Some(body)).await
    }

    /// The status and the body of a request; a body that is no JSON as a string.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.running.base_url()));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.expect("the service answers");
        let status = response.status().as_u16();
        let text = response.text().await.expect("the answer is whole");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, body)
    }

    /// Asks `GET path` until `is_right` of its body, and gives that body.
    ///
    /// # Panics
    ///
    /// If it is not within 30 seconds; with the body that was there instead.
    pub async fn eventually(&self, path: &str, is_right: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let (_, body) = self.get(path).await;
            if is_right(&body) {
                return body;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "not within {DEADLINE:?}: {path} is still {body}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops, and holds that everything under way was finished.
    pub async fn stop(self) {
        assert_eq!(self.running.shutdown().await, Stopped::Drained);
    }
}

impl Deref for RunningBoxes {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}
