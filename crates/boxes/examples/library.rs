//! A box as short as can be: a library that lends its books. `cargo run -p boxes --example library`
//!
//! ```sh
//! curl -X PUT http://127.0.0.1:8080/library/books/0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f \
//!      -H 'content-type: application/json' -d '{"title": "Middlemarch"}'
//! curl -X POST http://127.0.0.1:8080/library/books/0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f/lend/ann
//! curl http://127.0.0.1:8080/library/notifications
//! ```

use boxes::prelude::*;

#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "library.book")]
enum BookEvent {
    Acquired { title: String },
    Lent { reader: String },
    Returned,
}

#[derive(Default, Clone)]
struct Book {
    reader: Option<String>,
}

impl Aggregate for Book {
    type Event = BookEvent;

    fn apply(&mut self, event: &BookEvent) {
        self.reader = match event {
            BookEvent::Lent { reader } => Some(reader.clone()),
            BookEvent::Acquired { .. } | BookEvent::Returned => None,
        };
    }
}

impl Book {
    fn lend(&self, reader: &str) -> Result<BookEvent, Lent> {
        match &self.reader {
            Some(reader) => Err(Lent {
                reader: reader.clone(),
            }),
            None => Ok(BookEvent::Lent {
                reader: reader.to_owned(),
            }),
        }
    }

    fn give_back(&self) -> Option<BookEvent> {
        self.reader.as_ref().map(|_| BookEvent::Returned)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{reader} has it")]
struct Lent {
    reader: String,
}

#[derive(Deserialize)]
struct NewBook {
    title: String,
}

async fn acquire(
    State(app): State<App>,
    Path(id): Path<Id<Book>>,
    Json(book): Json<NewBook>,
) -> Result<StatusCode, Problem> {
    app.create(id, BookEvent::Acquired { title: book.title })
        .await?;
    Ok(StatusCode::CREATED)
}

async fn lend(
    State(app): State<App>,
    Path((id, reader)): Path<(Id<Book>, String)>,
) -> Result<StatusCode, Problem> {
    app.update(id, |book: &Book| book.lend(&reader)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn give_back(
    State(app): State<App>,
    Path(id): Path<Id<Book>>,
) -> Result<StatusCode, Problem> {
    app.update(id, Book::give_back).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn routes() -> Router<App> {
    Router::new()
        .route("/books/{id}", put(acquire))
        .route("/books/{id}/lend/{reader}", post(lend))
        .route("/books/{id}/return", post(give_back))
}

#[tokio::main]
async fn main() -> boxes::Result {
    boxes::run([BoundedContext::new("library")
        .aggregate::<Book>()
        .routes(routes)])
    .await
}
