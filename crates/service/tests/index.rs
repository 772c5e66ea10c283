//! What a service says is here, to programs and to people.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::net::SocketAddr;
use std::time::Duration;

use boxes_service::{BoundedContext, Config, Running, Service, Store};
use reqwest::{Client, Response};
use serde_json::{Value, json};

async fn start() -> Running {
    let names = ["bells", "ears"];
    let config = Config {
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        stores: names
            .map(|name| (name.to_owned(), Store::Memory))
            .into_iter()
            .collect(),
        ..Config::default()
    };
    Service::start(names.map(BoundedContext::new), config)
        .await
        .unwrap()
}

async fn get(running: &Running, headers: &[(&str, &str)]) -> Response {
    boxes_http::install_crypto_provider();
    let client = Client::builder().timeout(Duration::from_secs(20));
    let url = format!("{}/", running.base_url());
    let mut request = client.build().unwrap().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_program_is_told_in_json_and_a_browser_in_html_which_boxes_are_here() {
    let running = start().await;
    // As curl asks.
    let json = get(&running, &[("accept", "*/*")]).await;
    assert_eq!(header(&json, "content-type"), "application/json");
    assert_eq!(header(&json, "vary"), "Accept, Accept-Encoding");
    assert!(header(&json, "link").contains("rel=\"alternate\"; type=\"text/html\""));
    let tag = header(&json, "etag");
    let index: Value = serde_json::from_str(&json.text().await.unwrap()).unwrap();
    let names = index["boxes"].as_array().unwrap().iter();
    assert_eq!(
        names.map(|indexed| &indexed["box"]).collect::<Vec<_>>(),
        ["bells", "ears"]
    );
    assert_eq!(get(&running, &[]).await.headers()["etag"], tag);

    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let html = get(&running, &[("accept", browser)]).await;
    assert_eq!(header(&html, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&html, "vary"), "Accept, Accept-Encoding");
    assert!(header(&html, "content-security-policy").contains("default-src 'none'"));
    assert_ne!(header(&html, "etag"), tag);
    let text = html.text().await.unwrap();
    for href in [
        "/bells/notifications",
        "/ears/topics",
        "/ears/openapi.json",
        "/problems",
    ] {
        assert!(text.contains(&format!("href=\"{href}\"")), "{href}: {text}");
    }
    assert!(text.contains("bells and ears run here."), "{text}");
    running.shutdown().await;
}

#[tokio::test]
async fn who_knows_the_index_is_told_so_and_who_takes_no_format_which_there_are() {
    let running = start().await;
    let known = header(&get(&running, &[]).await, "etag");
    let again = get(&running, &[("if-none-match", &known)]).await;
    assert_eq!(again.status(), 304);
    // In another format it is not what is known.
    let html = get(
        &running,
        &[("if-none-match", &known), ("accept", "text/html")],
    )
    .await;
    assert_eq!(html.status(), 200);

    let none = get(&running, &[("accept", "image/png")]).await;
    assert_eq!(none.status(), 406);
    assert_eq!(header(&none, "vary"), "Accept, Accept-Encoding");
    let problem: Value = serde_json::from_str(&none.text().await.unwrap()).unwrap();
    assert_eq!(problem["offered"], json!(["application/json", "text/html"]));
    running.shutdown().await;
}
