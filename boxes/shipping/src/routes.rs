//! What can be asked over HTTP.

use boxes::prelude::*;

use crate::shipment::Shipment;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/shipments/{id}", get(show))
}

async fn show(
    State(app): State<App>,
    Path(id): Path<Id<Shipment>>,
) -> Result<Json<Shipment>, Problem> {
    Ok(Json(app.get(id).await?))
}
