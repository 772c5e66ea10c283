//! What can be asked over HTTP.

use boxes::prelude::*;

use crate::product::{Listing, Product};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/products", post(add))
        .route("/products/{number}", get(show))
}

async fn add(
    State(app): State<App>,
    Json(listing): Json<Listing>,
) -> Result<impl IntoResponse, Problem> {
    let number = listing.product;
    app.create(Product::id(number), Product::add(listing))
        .await?;
    Ok((
        StatusCode::CREATED,
        [("location", format!("/inventory/products/{number}"))],
    ))
}

async fn show(State(app): State<App>, Path(number): Path<u32>) -> Result<Json<Product>, Problem> {
    Ok(Json(app.get(Product::id(number)).await?))
}
