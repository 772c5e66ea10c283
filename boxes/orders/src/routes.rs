//! What can be asked over HTTP.

use boxes::prelude::*;

use crate::order::{Line, Order, OrderEvent, Request, Status};

/// Steps of an order's history that are shown: an order takes a handful.
const MAX_SHOWN_STEPS: u64 = 100;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/orders", post(place))
        .route("/orders/{id}", get(show))
}

/// The body of `POST /orders/orders`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Placing {
    /// The order's id, if the caller has chosen one: then the same request may be sent again, and is taken once.
    id: Option<Id<Order>>,
    customer: String,
    lines: Vec<Line>,
    #[serde(deserialize_with = "whole_number")]
    freight_cents: u64,
    #[serde(deserialize_with = "whole_number")]
    shipper: u32,
}

#[derive(Debug, Serialize)]
struct Placed {
    id: Id<Order>,
    status: Status,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: Id<Order>,
    status: Status,
    #[serde(flatten)]
    request: Option<Request>,
    history: Vec<Step>,
}

/// One step of an order's history.
#[derive(Debug, Serialize)]
struct Step {
    version: u64,
    topic: String,
    occurred_on: String,
}

async fn place(
    State(app): State<App>,
    Json(placing): Json<Placing>,
) -> Result<impl IntoResponse, Problem> {
    let Placing {
        id,
        customer,
        lines,
        freight_cents,
        shipper,
    } = placing;
    let request = Request {
        customer,
        lines,
        freight_cents,
        shipper,
    };
    let id = id.unwrap_or_else(|| app.new_id());
    let (status, order) = match app.create(id, Order::place(request.clone())).await {
        Err(error @ Error::AlreadyExists { .. }) => match app.get(id).await? {
            // The request was only sent again.
            order if order.request.as_ref() == Some(&request) => (StatusCode::OK, order),
            _ => return Err(error.into()),
        },
        placed => (StatusCode::CREATED, placed?.state),
    };
    let location = [("location", format!("/orders/orders/{id}"))];
    Ok((
        status,
        location,
        Json(Placed {
            id,
            status: order.status,
        }),
    ))
}

async fn show(State(app): State<App>, Path(id): Path<Id<Order>>) -> Result<Json<Shown>, Problem> {
    let order = app.get(id).await?;
    let step = |r: RecordedEvent<OrderEvent>| Step {
        version: r.version,
        topic: r.topic,
        occurred_on: r.occurred_on.to_string(),
    };
    let history = app.history(id).take(MAX_SHOWN_STEPS).await?;
    let history = history.into_iter().map(step).collect();
    Ok(Json(Shown {
        id,
        status: order.status,
        request: order.request,
        history,
    }))
}
