//! The keys with which a box is started are those of its log, or it does not start.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::process::Command;

use boxes::http::install_crypto_provider;
use boxes_tests::{StartedProgram, until};
use serde_json::Value;
use tempfile::TempDir;

const ONE: &str = "1:0101010101010101010101010101010101010101010101010101010101010101";
const OTHER_ONE: &str = "1:0303030303030303030303030303030303030303030303030303030303030303";
const TWO: &str = "2:0202020202020202020202020202020202020202020202020202020202020202";
const ORDER: &str = r#"{"customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{"product":1,"quantity":2,"unit_price_cents":1800}]}"#;

struct Shop {
    data: TempDir,
}

impl Shop {
    fn command(&self, variables: &[(&str, &str)]) -> Command {
        let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
        command.args(["serve", "orders", "--data"]);
        command.arg(self.data.path());
        for upstream in ["inventory", "payments", "shipping"] {
            let nowhere = "http://127.0.0.1:9/";
            command.arg(format!(
                "--follow={upstream}={nowhere}{upstream}/notifications"
            ));
        }
        command.envs(variables.iter().copied());
        command
    }

    /// Places an order, and stops.
    async fn place(&self, variables: &[(&str, &str)]) {
        let mut program = StartedProgram::start(&mut self.command(variables));
        let placed = reqwest::Client::builder()
            .build()
            .unwrap()
            .post(format!("{}/orders/orders", program.base_url()))
            .header("content-type", "application/json")
            .body(ORDER)
            .send();
        assert_eq!(placed.await.unwrap().status(), 201);
        program.signal("-TERM");
        assert_eq!(program.end().await, Some(0));
    }

    #[track_caller]
    fn is_refused(&self, variables: &[(&str, &str)], code: i32, says: &str) {
        let output = self.command(variables).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "`{says}` is missing in: {said}");
        assert!(!said.contains("0101010101"), "a key is told: {said}");
    }

    /// The states of the events, as a page shows them.
    async fn states(&self, variables: &[(&str, &str)]) -> Vec<Value> {
        let program = StartedProgram::start(&mut self.command(variables));
        let page = reqwest::get(format!("{}/orders/notifications", program.base_url()));
        let page = page.await.unwrap().bytes().await.unwrap();
        let page: Value = serde_json::from_slice(&page).unwrap();
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["state"].clone()).collect()
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_noticed_at_the_start() {
    install_crypto_provider();
    let shop = Shop {
        data: TempDir::new().unwrap(),
    };
    shop.place(&[("BOXES_KEYS", ONE)]).await;
    shop.is_refused(
        &[],
        2,
        "the newest events of the log `orders` are encrypted",
    );
    shop.is_refused(&[("BOXES_KEYS", "")], 2, "BOXES_KEYS is set and empty");
    shop.is_refused(&[("BOXES_KEYS", " ")], 2, "BOXES_KEYS is set and empty");
    shop.is_refused(
        &[("BOXES_KEYS_FILE", "")],
        2,
        "BOXES_KEYS_FILE is set and empty",
    );
    shop.is_refused(
        &[("BOXES_KEYS", OTHER_ONE)],
        2,
        "key 1 has a different value here",
    );
    shop.is_refused(
        &[("BOXES_KEYS", TWO)],
        2,
        "is encrypted with key 1, which is not among",
    );
    // Also one that does not write.
    let behind = format!("{TWO},{OTHER_ONE}");
    shop.is_refused(
        &[("BOXES_KEYS", &behind)],
        2,
        "key 1 has a different value here",
    );
    // Nothing was written by any of these, and what is meant is done.
    let keys = [("BOXES_KEYS", ONE)];
    assert_eq!(shop.states(&keys).await.len(), 1);
    shop.place(&[("BOXES_ENCRYPT", "none")]).await;
    shop.place(&keys).await;
    let states = shop.states(&keys).await;
    let is_clear: Vec<bool> = states.iter().map(Value::is_object).collect();
    assert_eq!(is_clear, [false, true, false]);
}

#[tokio::test]
async fn a_log_of_the_first_version_is_read_with_its_key_alone_and_goes_on_with_a_data_key() {
    install_crypto_provider();
    let shop = Shop {
        data: TempDir::new().unwrap(),
    };
    const OLD: &str = "1:3031323334353637383930313233343536373839303132333435363738393031";
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/first_version/encrypted/orders.db.gz"
    );
    let file = shop.data.path().join("orders.db");
    let unpacked = Command::new("gzip")
        .args(["-dc", fixture])
        .output()
        .unwrap();
    assert!(unpacked.status.success());
    std::fs::write(&file, unpacked.stdout).unwrap();
    // Its seals are good as they are.
    let verify = || {
        let key = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/first_version/seal.pub"
        );
        let mut verify = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
        verify.args([
            "verify",
            "orders",
            "--redactable",
            "orders",
            "--signed-by",
            key,
        ]);
        let output = verify.arg("--data").arg(shop.data.path()).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("signed     1 to "), "{said}");
    };
    verify();
    shop.is_refused(
        &[],
        2,
        "the newest events of the log `orders` are encrypted",
    );
    // There are no check values yet.
    shop.is_refused(
        &[("BOXES_KEYS", OTHER_ONE)],
        2,
        "key 1 has a different value here",
    );
    shop.place(&[("BOXES_KEYS", OLD)]).await;
    let program = StartedProgram::start(&mut shop.command(&[("BOXES_KEYS", OLD)]));
    let get = async |path: &str| -> Value {
        let answer = reqwest::get(format!("{}{path}", program.base_url())).await;
        serde_json::from_slice(&answer.unwrap().bytes().await.unwrap()).unwrap()
    };
    let first = get("/orders/notifications/1").await;
    let newest = get("/orders/notifications/log").await["last"].clone();
    let newest = get(&format!("/orders/notifications/{newest}")).await;
    let mark = |item: &Value| item["content_encoding"].to_string();
    assert!(
        mark(&first).ends_with("aes-256-gcm-siv@orders\""),
        "{first}"
    );
    assert!(
        mark(&newest).ends_with("aes-256-gcm-siv-data-key@orders\""),
        "{newest}"
    );
    for item in [&first, &newest] {
        let id = item["originator_id"].as_str().unwrap();
        until("the order can be read", async || {
            get(&format!("/orders/orders/{id}")).await["customer"].is_string()
        })
        .await;
    }
    verify();
}
