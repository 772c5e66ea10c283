//! What a box says of itself to programs is valid, complete, and true.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use boxes::BoundedContext;
use boxes::http::ProblemKind;
use boxes::service::{Token, Tokens};
use boxes_testing::{RunningBoxes, python};
use serde_json::{Value, json};

/// The seed of the inputs that are tried, so that a failure is the same in each run.
const SEED: &str = "1";

/// How many inputs are tried for each operation and each way of making them.
const MAX_EXAMPLES: &str = "5";

fn contexts() -> [BoundedContext; 4] {
    [
        orders::context(),
        inventory::context(),
        payments::context(),
        shipping::context(),
    ]
}

/// All boxes, and orders that fill more than a page.
async fn start() -> RunningBoxes {
    let boxes = RunningBoxes::start(contexts()).await;
    let order = json!({
        "customer": "ALFKI",
        "lines": [{ "product": 1, "quantity": 1, "unit_price_cents": 100 }],
        "freight_cents": 0,
        "shipper": 1,
    });
    for _ in 0..12 {
        assert_eq!(boxes.post("/orders/orders", &order).await.0, 201);
    }
    let is_ahead = |page: &Value| page["last"].as_u64() > Some(20);
    boxes.eventually("/orders/notifications", is_ahead).await;
    boxes
}

/// What a program of Python's prints; what it says beside that if it fails.
async fn run(mut command: Command) -> String {
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = ran.await.unwrap().expect("Python starts");
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_descriptions_are_valid_in_their_formats_and_events_are_as_they_are_described() {
    let boxes = start().await;
    for name in ["orders", "payments"] {
        let mut command = Command::new(python());
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        command.arg(scripts.join("descriptions.py"));
        command.arg(format!("{}/{name}", boxes.base_url()));
        let found = run(command).await;
        let (found, n_events) = found.trim_end().rsplit_once(' ').unwrap();
        assert_eq!(found, "openapi []\nasyncapi []\nevents [] []");
        assert!(name != "orders" || n_events == "20", "{n_events}");
    }
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_that_is_described_is_answered_as_it_is_described() {
    let boxes = start().await;
    // All that is served for one of the boxes, and of the others what is their own.
    for (name, paths) in [
        ("orders", "^/"),
        ("inventory", "^/inventory/products"),
        ("payments", "^/payments/payments"),
        ("shipping", "^/shipping/shipments"),
    ] {
        let url = format!("{}/{name}/openapi.json", boxes.base_url());
        let folder = tempfile::tempdir().unwrap();
        // As a module: its script names Python by the folder in which it was installed.
        let mut command = Command::new(python());
        command.current_dir(&folder).args([
            "-m",
            "schemathesis.cli",
            "run",
            &url,
            "--checks",
            "all",
        ]);
        command.args(["--include-path-regex", paths]);
        // Which pages are there depends on the page size, which no schema can say: others are refused, with what is right.
        command.args(["--exclude-checks", "positive_data_acceptance"]);
        // A stream does not end; and from link to link one comes to it as well.
        command.args(["--exclude-path-regex", "/stream$"]);
        command.args(["--phases", "examples,coverage,fuzzing"]);
        command.args(["--seed", SEED, "--max-examples", MAX_EXAMPLES]);
        command.args(["--request-timeout", "60", "--no-color"]);
        let text = run(command).await;
        // It has ended well, so it has found nothing; and it has looked.
        assert!(text.contains(" generated"), "{text}");
    }
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_described_is_there_and_pages_lead_to_the_description() {
    let boxes = start().await;
    let (_, page) = boxes.get("/orders/notifications").await;
    let (status, document) = boxes
        .get(page["links"]["service-desc"].as_str().unwrap())
        .await;
    assert_eq!(
        (status, &document["info"]["title"]),
        (200, &json!("orders"))
    );
    let paths = document["paths"].as_object().unwrap();
    let epoch = page["epoch"].as_str().unwrap();
    for (template, item) in paths {
        if item.get("get").is_none() || template.ends_with("/stream") {
            continue;
        }
        let path = template
            .replace("{low},{high}", "1,20")
            .replace("{slug}", "internal");
        let path = path
            .replace("{first},{last}", "1,20")
            .replace("{log}", "orders");
        let path = path.replace("/notifications/{id}", "/notifications/1");
        let path = path
            .replace("{epoch}/{id}", "{epoch}/1")
            .replace("{epoch}", epoch);
        let (status, answer) = boxes.get(&path).await;
        let responses = &item["get"]["responses"];
        assert!(
            responses.get(status.to_string()).is_some(),
            "{path}: {status}"
        );
        let slug = answer["type"].as_str().unwrap_or_default();
        assert_ne!(slug, ProblemKind::UNKNOWN_PATH.type_path(), "{path}");
    }
    let (_, index) = boxes.get("/").await;
    let listed = &index["boxes"][0];
    for name in ["openapi", "asyncapi"] {
        assert_eq!(boxes.get(listed[name].as_str().unwrap()).await.0, 200);
    }
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_a_topic_is_a_message_of_its_stream() {
    let boxes = start().await;
    let (_, document) = boxes.get("/orders/asyncapi.json").await;
    let channel = &document["channels"]["orders"];
    assert_eq!(channel["address"], "/orders/notifications/stream");
    let messages = channel["messages"].as_object().unwrap();
    let described: BTreeSet<&str> = messages.keys().map(String::as_str).collect();
    let (_, page) = boxes.get("/orders/notifications/1,20").await;
    for item in page["items"].as_array().unwrap() {
        let topic = item["topic"].as_str().unwrap();
        let key = format!("{topic}.v{}", item["version"]);
        assert!(described.contains(&*key), "{item}");
        let message = &document["components"]["messages"][&key];
        assert_eq!(message["name"], topic);
    }
    // What is written today has a schema; an older version lies in the log as well, and is not said to be like it.
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["orders.order.cancelled.v2"]["required"],
        json!(["declined_cents"])
    );
    assert!(
        described.contains("orders.order.cancelled.v1"),
        "{described:?}"
    );
    assert!(schemas.get("orders.order.cancelled.v1").is_none());
    boxes.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tokens_are_asked_for_the_description_says_so_and_asks_for_one() {
    let token = "0123456789abcdef0123456789abcdef";
    let boxes = RunningBoxes::start_with(contexts(), |config| {
        config.tokens = Tokens::new(vec![Token::new(token).unwrap()], Vec::new());
    })
    .await;
    let url = format!("{}/orders/openapi.json", boxes.base_url());
    let client = reqwest::Client::builder().build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    let answer = client.get(&url).bearer_auth(token).send().await.unwrap();
    let document: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(document["security"], json!([{ "token": [] }]));
    assert_eq!(
        document["components"]["securitySchemes"]["token"]["scheme"],
        "bearer"
    );
    let responses = |path: &str| &document["paths"][path]["get"]["responses"];
    assert!(responses("/orders/notifications").get("401").is_some());
    assert!(responses("/healthz").get("401").is_none());
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
    boxes.stop().await;
}
