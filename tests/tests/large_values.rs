//! A picture that is too large for an event, in one box, and in another that follows it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use boxes::prelude::*;
use boxes::service::Config;
use boxes_testing::{RunningBoxes, postgres_url};
use tempfile::TempDir;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "catalogue.product")]
enum ProductEvent {
    Pictured { picture: Large },
}

#[derive(Default, Clone)]
struct Product {
    picture: Option<Large>,
}

impl Aggregate for Product {
    type Event = ProductEvent;
    fn apply(&mut self, ProductEvent::Pictured { picture }: &ProductEvent) {
        self.picture = Some(picture.clone());
    }
}

/// What the second box makes of a picture: how many bytes of it are zero.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "gallery.frame")]
enum FrameEvent {
    Hung { zeros: usize },
}

#[derive(Default, Clone)]
struct Frame;

impl Aggregate for Frame {
    type Event = FrameEvent;
    fn apply(&mut self, _: &FrameEvent) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "catalogue.product")]
enum Upstream {
    Pictured { picture: Large },
}

async fn hang(notification: Notification<Upstream>, app: App) -> Result<(), Error> {
    let Upstream::Pictured { picture } = notification.event;
    let content = app.value(&picture).await?;
    let zeros = content.iter().filter(|byte| **byte == 0).count();
    app.create(Id::<Frame>::named("frame"), FrameEvent::Hung { zeros })
        .await?;
    Ok(())
}

async fn show(State(app): State<App>) -> Result<StatusCode, Problem> {
    let picture = app.keep(vec![0; 100_000]).await?;
    let pictured = ProductEvent::Pictured { picture };
    app.create(Id::<Product>::named("lamp"), pictured).await?;
    Ok(StatusCode::CREATED)
}

async fn picture(State(app): State<App>) -> Result<String, Problem> {
    let product = app.get(Id::<Product>::named("lamp")).await?;
    let picture = product.picture.unwrap_or_else(|| Large::inline(*b""));
    Ok(app.value(&picture).await?.len().to_string())
}

fn catalogue() -> BoundedContext {
    BoundedContext::new("catalogue")
        .aggregate::<Product>()
        .route("/show", post(show))
        .route("/picture", get(picture))
}

fn gallery() -> BoundedContext {
    BoundedContext::new("gallery")
        .aggregate::<Frame>()
        .follow("catalogue", hang)
}

async fn hung(boxes: &RunningBoxes) {
    let page = boxes
        .eventually("/gallery/notifications", |page| page["last"] == 1)
        .await;
    assert_eq!(page["items"][0]["state"]["zeros"], 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_fetched_by_those_who_follow_in_the_same_process() {
    let boxes = RunningBoxes::start([catalogue(), gallery()]).await;
    let (status, _) = boxes.post("/catalogue/show", &serde_json::json!({})).await;
    assert_eq!(status, 201);
    hung(&boxes).await;
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_fetched_over_http_encrypted_and_outlives_the_process() {
    fetched_over_http(None, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_in_a_folder() {
    fetched_over_http(None, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_in_a_database_of_postgresql() {
    fetched_over_http(Some(postgres_url()), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_in_a_folder_beside_a_database_of_postgresql() {
    fetched_over_http(Some(postgres_url()), true).await;
}

/// In the store, or else in SQLite; values in a folder or in the database.
async fn fetched_over_http(store: Option<String>, in_folder: bool) {
    let data = TempDir::new().unwrap();
    let values = data.path().join("values");
    let keys: boxes::mapper::Keys = format!("1:{}", "07".repeat(32)).parse().unwrap();
    let encryption = boxes::mapper::Encryption::all(keys);
    let configure = |config: &mut Config| {
        config.stores.clear();
        if let Some(store) = &store {
            config
                .stores
                .insert("catalogue".to_owned(), store.parse().unwrap());
        }
        config.data = data.path().to_owned();
        config.values_folder = in_folder.then(|| values.clone());
        config.mapper = boxes::mapper::Mapper::default().encrypted(encryption.clone());
    };
    let near = RunningBoxes::start_with([catalogue()], configure).await;
    let (status, _) = near.post("/catalogue/show", &serde_json::json!({})).await;
    assert_eq!(status, 201);
    near.stop().await;
    let near = RunningBoxes::start_with([catalogue()], configure).await;
    assert_eq!(
        near.get("/catalogue/picture").await,
        (200, serde_json::json!(100_000))
    );
    // The event is small, and says where the picture is.
    let (_, page) = near.get("/catalogue/notifications/1").await;
    let id = page["metadata"]["values"][0].as_str().unwrap();
    assert!(page["state"].as_str().unwrap().len() < 500);
    let url = format!("{}/catalogue/values/{id}", near.base_url());
    let answer = reqwest::get(&url).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("etag"), format!("\"{id}\""));
    assert_eq!(
        header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let stored = answer.bytes().await.unwrap();
    let file = values.join("catalogue").join(&id[..2]).join(id);
    assert_eq!(file.exists(), in_folder);
    if in_folder {
        assert_eq!(std::fs::read(file).unwrap(), stored);
    }
    assert!(
        !stored.windows(16).any(|part| part == [0; 16]),
        "it is encrypted"
    );
    for (wrong, status) in [("7", 400), (&*"0".repeat(64), 404)] {
        let (answered, _) = near.get(&format!("/catalogue/values/{wrong}")).await;
        assert_eq!(answered, status);
    }
    let far = RunningBoxes::start_with([gallery()], |config| {
        let url = format!("{}/catalogue/notifications", near.base_url());
        config.follow = [("catalogue".to_owned(), url.parse().unwrap())].into();
        config.mapper =
            boxes::mapper::Mapper::default().encrypted(boxes::mapper::Encryption::none(
                format!("1:{}", "07".repeat(32))
                    .parse::<boxes::mapper::Keys>()
                    .unwrap(),
            ));
    })
    .await;
    hung(&far).await;
    far.stop().await;
    near.stop().await;
}
