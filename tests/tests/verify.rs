//! A sealed log, verified by the program: where it lies, and from afar.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use boxes_testing::python;
use boxes_tests::{BoxProcess, Fault, FaultProxy, until};
use serde_json::Value;
use tempfile::TempDir;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----
";
/// What belongs to it, from `openssl pkey -pubout`.
const PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAjLwkw/ayI6gq0EBoJFXy9TlzBt88AW3leqnUcMlJxNw=
-----END PUBLIC KEY-----
";
const PUBLIC_HEX: &str = "8cbc24c3f6b223a82ad040682455f2f5397306df3c016de57aa9d470c949c4dc";
const OTHER_HEX: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// A service of the box `orders` in pages of 2, which seals and signs, with its database in `folder`.
struct Shop {
    folder: TempDir,
    process: BoxProcess,
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("seal.pem"), KEY).unwrap();
        std::fs::write(folder.path().join("seal.pub"), PUBLIC_KEY).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let nowhere = "http://127.0.0.1:9/";
        let mut arguments: Vec<String> = ["serve", "orders", "--page-size", "2", "--data"]
            .map(str::to_owned)
            .into();
        arguments.extend([path("data"), "--redactable".to_owned(), "orders".to_owned()]);
        arguments.extend(["--seal-key-file".to_owned(), path("seal.pem")]);
        for upstream in ["inventory", "payments", "shipping"] {
            let url = format!("{upstream}={nowhere}{upstream}/notifications");
            arguments.extend(["--follow".to_owned(), url]);
        }
        let process = BoxProcess::new(env!("CARGO_BIN_EXE_shop-under-test"), arguments);
        Self { folder, process }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let answer = reqwest::get(format!("{}{path}", self.process.base_url()))
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Places orders, and waits until all full pages but the last one are sealed.
    async fn place(&self, n_orders: u64) {
        let client = client();
        let order = r#"{"customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{"product":1,"quantity":2,"unit_price_cents":1800}]}"#;
        for _ in 0..n_orders {
            let placed = client
                .post(format!("{}/orders/orders", self.process.base_url()))
                .header("content-type", "application/json")
                .body(order)
                .send()
                .await
                .unwrap();
            assert_eq!(placed.status(), 201);
        }
        until("the archived pages are sealed", async || {
            let (_, ready) = self.get("/readyz").await;
            let head = ready["boxes"][0]["head"].as_u64().unwrap();
            ready["sealers"][0]["sealed_through"].as_u64() == Some((head - 1) / 2 * 2)
        })
        .await;
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn verify(&self, arguments: &[&str]) -> Output {
        self.run("verify", arguments)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let told = command;
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        command.args([told, "orders", "--data", &self.path("data")]);
        command.args(["--redactable", "orders"]);
        if told == "delete" {
            command.args(["--seal-key-file", &self.path("seal.pem")]);
        }
        command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn write_to_database(&self, sql: &str) {
        let file = self.folder.path().join("data").join("orders.db");
        execute(&file, sql);
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

fn execute(file: &Path, sql: &str) {
    let program =
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()";
    let done = Command::new(python())
        .args(["-c", program])
        .arg(file)
        .arg(sql)
        .status()
        .unwrap();
    assert!(done.success());
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, says: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in says {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_verified_near_and_far_until_somebody_changes_it() {
    let mut shop = Shop::new();
    shop.process.start_and_wait().await;
    shop.place(7).await;
    let url = format!("{}/orders/notifications", shop.process.base_url());
    let far = ["--from-url", &url, "--signed-by", PUBLIC_HEX];
    ends(
        &shop.verify(&far),
        0,
        &["verified   1 to 6 of 7", "signed     1 to 6, by 8cbc24c3"],
    );
    // Near, while the service runs, with the key in a file, and remembered for later.
    let (key, memory) = (shop.path("seal.pub"), shop.path("memory"));
    let near = ["--signed-by", &key, "--remember", &memory];
    ends(&shop.verify(&near), 0, &["verified   1 to 6 of 7"]);
    let remembered = std::fs::read_to_string(&memory).unwrap();
    assert!(remembered.starts_with("orders "), "{remembered}");
    shop.place(4).await;
    ends(&shop.verify(&near), 0, &["verified   1 to 10 of 11"]);
    assert_ne!(std::fs::read_to_string(&memory).unwrap(), remembered);
    // Who trusts nobody is told whom to trust; who trusts another is told so.
    ends(&shop.verify(&[]), 0, &["by 8cbc24c3", "--signed-by"]);
    let mistrusting = shop.verify(&["--signed-by", OTHER_HEX]);
    ends(
        &mistrusting,
        3,
        &["notification 1 ", "8cbc24c3", "not trusted"],
    );
    // On the way.
    let address = url.strip_prefix("http://").unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    let proxy = FaultProxy::start(address).await;
    proxy.set(Fault::Replaced(
        "\"quantity\":2".to_owned(),
        "\"quantity\":9".to_owned(),
    ));
    let through = format!("{}/orders/notifications", proxy.base_url());
    let forged = shop.verify(&["--from-url", &through, "--signed-by", PUBLIC_HEX]);
    ends(
        &forged,
        3,
        &["error: notification 1 was changed: its state"],
    );
    // In the database: and the service that starts there again does not go on sealing.
    shop.process.kill();
    shop.write_to_database("UPDATE stored_event SET topic = 'orders.order.paid' WHERE id = 9");
    ends(
        &shop.verify(&near),
        3,
        &["error: notification 9 was changed", "topic"],
    );
    shop.process.start_and_wait().await;
    until("sealing has stopped", async || {
        let (_, ready) = shop.get("/readyz").await;
        ready["status"] == "degraded" && ready["sealers"][0]["state"] == "stopped"
    })
    .await;
    let (_, ready) = shop.get("/readyz").await;
    let error = ready["sealers"][0]["error"].as_str().unwrap();
    assert!(error.contains("notification 9 was changed"), "{error}");
    // Cut, with its seals: the memory shows it.
    shop.process.kill();
    shop.write_to_database("DELETE FROM stored_event WHERE id > 5");
    shop.write_to_database(
        "DELETE FROM key_value WHERE kind = 'seal' AND substr(entry_key, 17) > x'0000000000000003'",
    );
    shop.write_to_database("DELETE FROM key_value WHERE kind = 'sealing-stopped'");
    ends(
        &shop.verify(&["--signed-by", &key]),
        0,
        &["verified   1 to 4 of 5"],
    );
    ends(&shop.verify(&near), 3, &["from notification 5 on", "cut"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_are_served_beside_the_pages() {
    let mut shop = Shop::new();
    shop.process.start_and_wait().await;
    shop.place(3).await;
    let (status, seal) = shop.get("/orders/notifications/1,2/seal").await;
    assert_eq!((status, seal["page"].as_str()), (200, Some("1,2")));
    assert_eq!(seal["signed_by"], PUBLIC_HEX);
    assert_eq!(seal["events"].as_array().map(Vec::len), Some(2));
    let url = format!("{}/orders/notifications/1,2/seal", shop.process.base_url());
    let answer = reqwest::get(&url).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "no-cache");
    let (_, log) = shop.get("/orders/notifications/log").await;
    let for_ever = log["seal_uri_template"].as_str().unwrap();
    let for_ever = for_ever.replace("{low},{high}", "1,2");
    let for_ever = format!("{}{for_ever}", shop.process.base_url());
    let same = reqwest::get(&for_ever).await.unwrap();
    // Its log may be redacted.
    assert_eq!(
        same.headers()["cache-control"],
        "public, max-age=3600, must-revalidate"
    );
    assert_eq!(same.headers()["etag"], header("etag"));
    let again = client().get(&url).header("if-none-match", header("etag"));
    assert_eq!(again.send().await.unwrap().status(), 304);
    for (page, status, slug) in [
        ("3,4", 404, "not-sealed"),
        ("3,5", 400, "wrong-page-size"),
        ("2,3", 400, "misaligned-page"),
        ("x", 400, "malformed-page-id"),
        ("2,21", 400, "wrong-page-size"),
        (
            "00000000-0000-4000-8000-000000000009/1,2",
            409,
            "epoch-changed",
        ),
    ] {
        let (answered, problem) = shop
            .get(&format!("/orders/notifications/{page}/seal"))
            .await;
        let kind = problem["type"].as_str().unwrap();
        assert_eq!(answered, status, "{page}");
        assert!(kind.ends_with(slug), "{page}: {kind}");
    }
    let encoded = url.replace("1,2", "1%2C2");
    let moved = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let moved = moved.build().unwrap().get(encoded).send().await.unwrap();
    assert_eq!(moved.status(), 308);
    assert_eq!(
        moved.headers()["location"],
        "/orders/notifications/1,2/seal"
    );
    let (_, keys) = shop.get("/orders/notifications/keys").await;
    assert_eq!(keys["keys"][0]["pem"], PUBLIC_KEY);
    assert_eq!(keys["keys"][0]["public_key"], PUBLIC_HEX);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_aggregate_was_deleted_is_as_it_was_sealed_and_its_deletions_are_counted() {
    let mut shop = Shop::new();
    shop.process.start_and_wait().await;
    shop.place(7).await;
    let (_, third) = shop.get("/orders/notifications/3").await;
    let order = third["originator_id"].as_str().unwrap().to_owned();
    let deleted = shop.run("delete", &[&order, "--yes"]);
    ends(&deleted, 0, &["1 notification redacted"]);
    let url = format!("{}/orders/notifications", shop.process.base_url());
    let far = ["--from-url", &url, "--signed-by", PUBLIC_HEX];
    let says = [
        "verified   1 to 6 of 7",
        "deleted    1 notification",
        "3 first",
    ];
    until("the service has noticed", async || {
        text(&shop.verify(&far)).contains("deleted")
    })
    .await;
    ends(&shop.verify(&far), 0, &says);
    ends(&shop.verify(&["--signed-by", PUBLIC_HEX]), 0, &says);
    // It goes on from there; and what stays of the notification is held to its seal.
    shop.place(2).await;
    ends(
        &shop.verify(&far),
        0,
        &["verified   1 to 8 of 9", "1 notification"],
    );
    shop.process.kill();
    shop.write_to_database("UPDATE stored_event SET occurred_on = 0 WHERE id = 3");
    ends(
        &shop.verify(&[]),
        3,
        &["error: notification 3 was changed", "time"],
    );
}

/// By what is written down in crates/integrity/README.md, and other people's cryptography.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_can_be_verified_in_another_language() {
    let mut shop = Shop::new();
    shop.process.start_and_wait().await;
    shop.place(7).await;
    let url = format!("{}/orders/notifications", shop.process.base_url());
    let verify = |key: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_seals.py");
        let output = Command::new(python())
            .arg(script)
            .args([&url, key])
            .output()
            .unwrap();
        (output.status.success(), text(&output))
    };
    let (good, said) = verify(PUBLIC_HEX);
    assert!(good && said.trim() == "1 to 6", "{said}");
    let (good, said) = verify(OTHER_HEX);
    assert!(!good && said.contains("InvalidSignature"), "{said}");
}

#[test]
fn what_can_not_be_verified_is_told_in_a_sentence() {
    let shop = Shop::new();
    ends(
        &shop.verify(&[]),
        2,
        &["error: there is no database", "--data"],
    );
    let unknown = shop.verify(&["--signed-by", "nobody"]);
    ends(&unknown, 2, &["expected a public Ed25519 key", "a file"]);
    ends(
        &shop.verify(&["--expect", "7"]),
        2,
        &["the id of a notification, `:`"],
    );
    let nowhere = ["--from-url", "http://127.0.0.1:9/orders/notifications"];
    ends(
        &shop.verify(&nowhere),
        1,
        &["error: the log is unavailable"],
    );
}
