//! Places orders over HTTP and waits until each has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use boxes::http::{RemoteError, install_crypto_provider};
use boxes::mapper::{Mapper, MapperError};
use boxes::notification_log::{Backoff, LogError, NotificationLogReader};
use boxes::recorder::Notification;
use futures::{StreamExt, TryStreamExt, stream};
use inventory::product::{Listing, ProductEvent};
use orders::order::{OrderEvent, Status};
use reqwest::{StatusCode, Url};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

use crate::northwind::{Northwind, NorthwindOrder};
use crate::{BoxName, Endpoints};

/// How long a request may take before it is sent again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a request is sent before it is given up: with the waits between, about two minutes.
const MAX_ATTEMPTS: u32 = 60;

/// How long the replay waits for news of an order before it looks again.
const WAIT: Duration = Duration::from_secs(5);

/// Why a replay was given up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A box refused what it was sent.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// Where it was sent.
        url: String,
        /// What it answered.
        status: StatusCode,
        /// What it said.
        body: String,
    },
    /// A box could not be reached for as long as was tried.
    #[error("{url} can't be reached")]
    Unreachable {
        /// Where it was sent.
        url: String,
        /// What the client said last.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The address of a box is none.
    #[error(transparent)]
    Endpoint(#[from] RemoteError),
    /// The log of a box must not be read on.
    #[error("a notification log can't be read")]
    Log(#[from] LogError),
    /// An event is none that this program knows.
    #[error("an event of a notification log can't be understood")]
    Event(#[from] MapperError),
}

/// How a replay went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Products that were added: the others were there already.
    pub n_products: usize,
    /// Orders that were placed or went on: the others had ended already.
    pub n_orders: usize,
}

/// Adds the products and places the orders, at most `in_flight` at a time, each until it has ended.
///
/// What is there already is left as it is, so a replay that was interrupted goes on where it was; requests
/// whose outcome is unknown are sent again. With `in_flight` 1 the orders come one after the other, in their
/// order. `on_ended` is told of every order that has ended.
///
/// # Errors
///
/// [`ReplayError`] if a box refuses what it is sent, or can't be reached for a long time.
pub async fn replay(
    endpoints: &Endpoints,
    northwind: &Northwind,
    in_flight: usize,
    on_ended: impl Fn(),
) -> Result<Replayed, ReplayError> {
    let http = client()?;
    let n_products = add_products(&http, endpoints, &northwind.products).await?;
    let (ends, mut orders_log) = Ends::read(endpoints).await?;
    let open: Vec<_> = northwind.orders.iter().filter(|o| !ends.has(o)).collect();
    for _ in open.len()..northwind.orders.len() {
        on_ended();
    }
    let n_orders = open.len();
    let url = endpoints.url(BoxName::Orders, "orders");
    let place_all = stream::iter(open)
        .map(Ok::<_, ReplayError>)
        .try_for_each_concurrent(in_flight, |order| {
            let (http, url, ends, on_ended) = (&http, &url, &ends, &on_ended);
            async move {
                send(http, url, order, &[StatusCode::CREATED, StatusCode::OK]).await?;
                ends.wait_for(order).await;
                on_ended();
                Ok(())
            }
        });
    tokio::select! {
        placed = place_all => placed?,
        error = ends.follow(&mut orders_log) => return Err(error),
    }
    Ok(Replayed {
        n_products,
        n_orders,
    })
}

async fn add_products(
    http: &reqwest::Client,
    endpoints: &Endpoints,
    products: &[Listing],
) -> Result<usize, ReplayError> {
    let mut reader = NotificationLogReader::new(endpoints.log(BoxName::Inventory)?, None);
    let mut there = Vec::new();
    loop {
        let batch = read(&mut reader).await?;
        if batch.is_empty() {
            break;
        }
        for notification in batch {
            if let Some(ProductEvent::Added(listing)) = endpoints
                .mapper(BoxName::Inventory)
                .to_event(&notification.event)?
            {
                there.push(listing.product);
            }
        }
    }
    let url = endpoints.url(BoxName::Inventory, "products");
    let missing: Vec<_> = products
        .iter()
        .filter(|p| !there.contains(&p.product))
        .collect();
    for listing in &missing {
        // A conflict says that it was added by a request whose answer got lost.
        send(
            http,
            &url,
            listing,
            &[StatusCode::CREATED, StatusCode::CONFLICT],
        )
        .await?;
    }
    Ok(missing.len())
}

/// Which orders have ended, as the log of orders says.
struct Ends {
    ended: watch::Sender<HashMap<Uuid, Status>>,
    mapper: Mapper,
}

impl Ends {
    /// Reads what is in the log so far.
    async fn read(endpoints: &Endpoints) -> Result<(Self, NotificationLogReader), ReplayError> {
        let ends = Self {
            ended: watch::Sender::new(HashMap::new()),
            mapper: endpoints.mapper(BoxName::Orders).clone(),
        };
        let mut reader = NotificationLogReader::new(endpoints.log(BoxName::Orders)?, None);
        loop {
            let batch = read(&mut reader).await?;
            if batch.is_empty() {
                return Ok((ends, reader));
            }
            ends.note(&batch)?;
        }
    }

    /// Reads on, until something is wrong.
    async fn follow(&self, reader: &mut NotificationLogReader) -> ReplayError {
        loop {
            let noted = match read(reader).await {
                // A wait that fails is no reason to stop: the next read tells.
                Ok(batch) if batch.is_empty() => reader.wait(WAIT).await.map(|_| ()).or(Ok(())),
                Ok(batch) => self.note(&batch),
                Err(error) => Err(error),
            };
            if let Err(error) = noted {
                return error;
            }
        }
    }

    fn note(&self, batch: &[Notification]) -> Result<(), ReplayError> {
        for notification in batch {
            let status = match self.mapper.to_event(&notification.event)? {
                Some(OrderEvent::Shipped) => Status::Shipped,
                Some(OrderEvent::Rejected { .. }) => Status::Rejected,
                Some(OrderEvent::Cancelled { .. }) => Status::Cancelled,
                _ => continue,
            };
            self.ended.send_modify(|ended| {
                ended.insert(notification.event.originator_id, status);
            });
        }
        Ok(())
    }

    fn has(&self, order: &NorthwindOrder) -> bool {
        self.ended.borrow().contains_key(&order.id.uuid())
    }

    async fn wait_for(&self, order: &NorthwindOrder) {
        // The sender lives as long as `self`, so this ends only when the order has ended.
        let mut ended = self.ended.subscribe();
        let _ended = ended
            .wait_for(|ended| ended.contains_key(&order.id.uuid()))
            .await
            .is_ok();
    }
}

/// What comes next in a log, however often it takes.
async fn read(reader: &mut NotificationLogReader) -> Result<Vec<Notification>, ReplayError> {
    let mut backoff = backoff();
    loop {
        match reader.next_batch().await {
            Err(error) if error.is_transient() && backoff.n_failures() < MAX_ATTEMPTS => {
                tokio::time::sleep(backoff.next_wait(None)).await;
            }
            done => return Ok(done?),
        }
    }
}

/// Sends `body` until it is answered with one of `expected`; sends it again when the outcome is unknown or the
/// box can't do it now.
async fn send(
    http: &reqwest::Client,
    url: &Url,
    body: &(impl Serialize + Sync),
    expected: &[StatusCode],
) -> Result<(), ReplayError> {
    let body: Arc<[u8]> = serde_json::to_vec(body).unwrap_or_default().into();
    let mut backoff = backoff();
    let mut source = None;
    while backoff.n_failures() < MAX_ATTEMPTS {
        let request = http
            .post(url.clone())
            .header("content-type", "application/json")
            .body(body.to_vec());
        match request.send().await {
            Ok(answer) if expected.contains(&answer.status()) => return Ok(()),
            Ok(answer)
                if answer.status().is_server_error()
                    || answer.status() == StatusCode::TOO_MANY_REQUESTS => {}
            Ok(answer) => {
                let status = answer.status();
                return Err(ReplayError::Refused {
                    url: url.to_string(),
                    status,
                    body: answer.text().await.unwrap_or_default(),
                });
            }
            Err(error) => source = Some(error),
        }
        tokio::time::sleep(backoff.next_wait(None)).await;
    }
    Err(ReplayError::Unreachable {
        url: url.to_string(),
        source,
    })
}

fn client() -> Result<reqwest::Client, ReplayError> {
    install_crypto_provider();
    let built = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build();
    built.map_err(|error| ReplayError::Unreachable {
        url: "the network".to_owned(),
        source: Some(error),
    })
}

const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(2))
}
