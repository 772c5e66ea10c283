//! Two boxes that are written with the prelude alone.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use boxes::prelude::*;
use boxes_testing::RunningBoxes;
use serde_json::json;

// The first box: letters are written, and answered once a day.

#[derive(Event, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[event(topic = "desk.letter")]
enum LetterEvent {
    Written { text: String },
    Answered {},
}

#[derive(Default, Clone)]
struct Letter {
    answered: bool,
}

impl Aggregate for Letter {
    type Event = LetterEvent;

    fn apply(&mut self, event: &LetterEvent) {
        self.answered = matches!(event, LetterEvent::Answered {});
    }
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "post.delivery")]
enum Delivery {
    Delivered { letter: Id<Letter> },
}

#[derive(Deserialize)]
struct Writing {
    text: String,
}

#[derive(Serialize)]
struct Written {
    id: Id<Letter>,
}

async fn write(
    State(app): State<App>,
    Json(writing): Json<Writing>,
) -> Result<impl IntoResponse, Problem> {
    let id = app.new_id();
    app.create(id, LetterEvent::Written { text: writing.text })
        .await?;
    Ok((StatusCode::CREATED, Json(Written { id })))
}

async fn is_answered(
    State(app): State<App>,
    Path(id): Path<Id<Letter>>,
) -> Result<Json<bool>, Problem> {
    Ok(Json(app.get(id).await?.answered))
}

async fn on_delivery(notification: Notification<Delivery>, app: App) -> Result<(), Error> {
    let Delivery::Delivered { letter } = notification.event;
    app.update(letter, |letter: &Letter| {
        (!letter.answered).then_some(LetterEvent::Answered {})
    })
    .await?;
    Ok(())
}

fn desk() -> BoundedContext {
    BoundedContext::new("desk")
        .aggregate::<Letter>()
        .follow("post", on_delivery)
        .routes(|| {
            Router::new()
                .route("/letters", post(write))
                .route("/letters/{id}", get(is_answered))
        })
}

// The second one delivers what is written in the first.

#[derive(Default, Clone)]
struct Parcel;

impl Aggregate for Parcel {
    type Event = Delivery;
    fn apply(&mut self, _: &Delivery) {}
}

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "desk.letter")]
enum Outbox {
    Written {},
}

async fn on_letter(notification: Notification<Outbox>, app: App) -> Result<(), Error> {
    let letter = Id::new(notification.originator_id);
    app.create(letter.cast::<Parcel>(), Delivery::Delivered { letter })
        .await?;
    Ok(())
}

fn post_office() -> BoundedContext {
    BoundedContext::new("post")
        .aggregate::<Parcel>()
        .follow("desk", on_letter)
}

#[tokio::test]
async fn what_is_written_in_one_box_comes_back_through_the_other() {
    for delivery in [
        boxes::service::Delivery::Concurrent,
        boxes::service::Delivery::Synchronous,
    ] {
        let boxes =
            RunningBoxes::start_with([desk(), post_office()], |config| config.delivery = delivery)
                .await;
        let (status, written) = boxes
            .post("/desk/letters", &json!({ "text": "hello" }))
            .await;
        assert_eq!(status, 201);
        let path = format!("/desk/letters/{}", written["id"].as_str().unwrap());
        if delivery == boxes::service::Delivery::Synchronous {
            assert_eq!(boxes.get(&path).await, (200, json!(true)));
        }
        assert_eq!(
            boxes.eventually(&path, |answered| answered == true).await,
            json!(true)
        );
        let (_, page) = boxes.get("/desk/notifications").await;
        let topics: Vec<_> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["topic"])
            .collect();
        assert_eq!(topics, ["desk.letter.written", "desk.letter.answered"]);
        boxes.stop().await;
    }
}

#[tokio::test]
async fn a_box_that_is_commanded_beside_its_routes_shows_it_in_its_log() {
    let boxes = RunningBoxes::start([desk(), post_office()]).await;
    let app = boxes.app("desk").unwrap();
    let id = app.new_id::<Letter>();
    app.create(
        id,
        LetterEvent::Written {
            text: "by hand".to_owned(),
        },
    )
    .await
    .unwrap();
    let (status, one) = boxes.get("/desk/notifications/1").await;
    assert_eq!((status, &one["state"]["text"]), (200, &json!("by hand")));
    assert_eq!(
        boxes
            .get(&format!("/desk/letters/{}", Id::<Letter>::named("nobody")))
            .await
            .0,
        404
    );
    boxes.stop().await;
}
