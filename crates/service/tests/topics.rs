//! The topics of a log, as those who read it find them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::net::SocketAddr;
use std::time::Duration;

use boxes_application::{App, Error, Notification, PublicLog};
use boxes_domain::{Aggregate, Event, Named};
use boxes_mapper::UuidAsHex;
use boxes_service::{BoundedContext, Config, Service, Store, Token, Tokens};
use reqwest::{Client, Method, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Event, Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[event(topic = "bells.bell", crate = "boxes_domain")]
enum BellEvent {
    Rung {
        loudness: u8,
    },
    #[event(version = 2, upcast(same), alias = "bells.bell.hung", discards)]
    Fallen,
}

fn same(state: Value) -> Value {
    state
}

#[derive(Default, Clone)]
struct Bell;

impl Aggregate for Bell {
    type Event = BellEvent;
    fn apply(&mut self, _: &BellEvent) {}
}

/// What others may know of it, without a schema.
#[derive(Event, Debug, Clone, Serialize, Deserialize)]
#[event(topic = "tower.noise", crate = "boxes_domain")]
enum Noise {
    Heard,
}

fn public(_: Notification<BellEvent>) -> Option<Noise> {
    Some(Noise::Heard)
}

async fn ignore(_: Notification<Noise>, _: App) -> Result<(), Error> {
    Ok(())
}

async fn ignore_too(_: Notification<BellEvent>, _: App) -> Result<(), Error> {
    Ok(())
}

fn bells() -> BoundedContext {
    BoundedContext::new("bells")
        .aggregate::<Bell>()
        .publish("noises", PublicLog::revision(1).translate(public))
}

fn ears() -> BoundedContext {
    BoundedContext::new("ears")
        .follow("bells", ignore_too)
        .follow("bells/noises", ignore)
        .follow("bells/noises", ignore)
}

fn config() -> Config {
    let memory = |name: &str| (name.to_owned(), Store::Memory);
    Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: [memory("bells"), memory("ears")].into(),
        ..Config::default()
    }
}

async fn send(url: String, method: Method, token: Option<&str>) -> Response {
    boxes_http::install_crypto_provider();
    let client = Client::builder().timeout(Duration::from_secs(20));
    let mut request = client.build().unwrap().request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn each_log_lists_its_topics_with_versions_and_schemas_and_its_description_leads_there() {
    let running = Service::start([bells(), ears()], config()).await.unwrap();
    let at = |path: &str| format!("{}{path}", running.base_url());
    let get = async |path: &str| json(send(at(path), Method::GET, None).await).await;

    let listed = get("/bells/topics").await;
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let rung = json!({
        "$schema": draft,
        "type": "object",
        "properties": { "loudness": { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 } },
        "required": ["loudness"],
    });
    let topics = json!([
        {
            "topic": "bells.bell.fallen", "version": 2, "oldest_version": 1, "aliases": ["bells.bell.hung"],
            "discards": true, "schema": { "$schema": draft, "type": "object" },
        },
        {
            "topic": "bells.bell.rung", "version": 1, "oldest_version": 1, "aliases": [], "discards": false,
            "schema": rung,
        },
    ]);
    assert_eq!(listed, json!({ "log": "bells", "topics": topics }));

    // Of a log beside it: what is published there, and nothing of what it is made of.
    let noise = json!([
        { "topic": "tower.noise.heard", "version": 1, "oldest_version": 1, "aliases": [], "discards": false },
    ]);
    assert_eq!(
        get("/bells/noises/topics").await,
        json!({ "log": "bells/noises", "topics": noise })
    );

    // What a box reads of others, once for all its policies.
    assert_eq!(
        get("/ears/topics").await,
        json!({
            "log": "ears",
            "topics": [],
            "follows": [{ "log": "bells", "topics": topics }, { "log": "bells/noises", "topics": noise }],
        })
    );

    let description = send(at("/bells/notifications/log"), Method::GET, None).await;
    let link = description.headers()["link"].to_str().unwrap().to_owned();
    assert!(
        link.contains("</bells/topics>; rel=\"describedby\""),
        "{link}"
    );
    let description = json(description).await;
    assert_eq!(description["links"]["topics"], "/bells/topics");
    // Where its seals are, whether or not there are any yet; those of a log beside it are beside that.
    assert_eq!(
        description["seal_uri_template"],
        format!(
            "/bells/notifications/{}/{{low}},{{high}}/seal",
            description["epoch"].as_str().unwrap()
        )
    );
    assert_eq!(description["links"]["keys"], "/bells/notifications/keys");
    assert!(
        link.contains("</bells/notifications/keys>; rel=\"related\""),
        "{link}"
    );
    let beside = get("/bells/noises/notifications/log").await;
    let epoch = beside["epoch"].as_str().unwrap();
    let seals = format!("/bells/noises/notifications/{epoch}/{{low}},{{high}}/seal");
    assert_eq!(
        (&beside["seal_uri_template"], &beside["links"]["keys"]),
        (&json!(seals), &json!("/bells/noises/notifications/keys"))
    );
    let page = send(at("/bells/notifications"), Method::GET, None).await;
    assert!(!page.text().await.unwrap().contains("/topics"));

    let head = send(at("/bells/topics"), Method::HEAD, None).await;
    assert_eq!(
        (head.status().as_u16(), &head.headers()["cache-control"]),
        (200, &"no-cache".parse().unwrap())
    );
    let tag = head.headers()["etag"].clone();
    let client = Client::builder().timeout(Duration::from_secs(20));
    let again = client.build().unwrap().get(at("/bells/topics"));
    let again = again.header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(
        (again.status().as_u16(), &again.headers()["etag"]),
        (304, &tag)
    );
    assert_eq!(again.headers()["cache-control"], "no-cache");
    assert_eq!(again.text().await.unwrap(), "");
    let other = send(at("/ears/topics"), Method::HEAD, None).await;
    assert_ne!(other.headers()["etag"], tag);
    let methods = send(at("/bells/topics"), Method::OPTIONS, None).await;
    assert_eq!(methods.headers()["allow"], "GET, HEAD, OPTIONS");
    let post = send(at("/bells/topics"), Method::POST, None).await;
    assert_eq!(post.status(), 405);
    assert_eq!(post.headers()["content-type"], "application/problem+json");
    running.shutdown().await;
}

#[tokio::test]
async fn a_log_that_stands_in_the_place_of_the_own_one_lists_what_it_publishes() {
    let hidden = BoundedContext::new("bells")
        .aggregate::<Bell>()
        .publish_instead(PublicLog::revision(1).translate(public));
    let [topics] = &hidden.topics()[..] else {
        unreachable!("it has one log")
    };
    assert_eq!(topics.topics[0].topic, "tower.noise.heard");
    assert_eq!(topics.topics.len(), 1);
}

#[tokio::test]
async fn where_tokens_are_set_topics_are_for_those_who_have_one() {
    let token = "read-0123456789abcdef";
    let config = Config {
        tokens: Tokens::new(vec![], vec![Token::new(token).unwrap()]),
        ..config()
    };
    let running = Service::start([bells(), ears()], config).await.unwrap();
    let url = || format!("{}/bells/topics", running.base_url());
    assert_eq!(send(url(), Method::GET, None).await.status(), 401);
    assert_eq!(send(url(), Method::GET, Some(token)).await.status(), 200);
    running.shutdown().await;
}

#[test]
fn for_people_they_are_a_table() {
    let tables: Vec<String> = [bells(), ears()]
        .iter()
        .flat_map(BoundedContext::topics)
        .map(|topics| topics.to_string())
        .collect();
    assert_eq!(
        tables.join("\n"),
        "\
bells
    bells.bell.fallen  version 2    schema  reads from version 1; also bells.bell.hung; ends the aggregate
    bells.bell.rung    version 1    schema

bells/noises
    tower.noise.heard  version 1

ears
    no topics
  follows bells
    bells.bell.fallen  version 2    schema  reads from version 1; also bells.bell.hung; ends the aggregate
    bells.bell.rung    version 1    schema
  follows bells/noises
    tower.noise.heard  version 1
"
    );
}

#[test]
fn the_table_says_which_types_of_values_stand_in_a_topic_by_name() {
    #[derive(Event, Clone, Serialize, Deserialize, JsonSchema)]
    #[event(topic = "tower.guest", crate = "boxes_domain")]
    enum GuestEvent {
        Came { id: Named<UuidAsHex> },
    }

    #[derive(Default, Clone)]
    struct Guest;

    impl Aggregate for Guest {
        type Event = GuestEvent;
        fn apply(&mut self, _: &GuestEvent) {}
    }

    let tower = BoundedContext::new("tower").aggregate::<Guest>();
    let tables: Vec<String> = tower.topics().iter().map(ToString::to_string).collect();
    assert_eq!(
        tables,
        ["tower\n    tower.guest.came  version 1    schema  has uuid_hex by name\n"]
    );
}
