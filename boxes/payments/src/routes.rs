//! What can be asked over HTTP.

use boxes::prelude::*;

use crate::payment::Payment;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/payments/{id}", get(show))
}

async fn show(
    State(app): State<App>,
    Path(id): Path<Id<Payment>>,
) -> Result<Json<Payment>, Problem> {
    Ok(Json(app.get(id).await?))
}
