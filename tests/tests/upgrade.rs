//! What the first version left behind is opened by this one, and goes on where it stopped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boxes_recorder::{Position, Recorder};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use boxes_tests::{BoxProcess, until};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// Each box with the head of its log when the first version stopped.
const HEADS: [(&str, u64); 4] = [
    ("orders", 2_677),
    ("inventory", 2_402),
    ("payments", 511),
    ("shipping", 506),
];

/// Who follows whom: each was at the upstream's head.
const FOLLOWERS: [(&str, &str); 6] = [
    ("orders", "inventory"),
    ("orders", "payments"),
    ("orders", "shipping"),
    ("inventory", "orders"),
    ("payments", "orders"),
    ("shipping", "orders"),
];

/// A product that the demonstration does not sell.
const PRODUCT: u32 = 4_711;

/// The four boxes in one process, on data of the first version.
struct Shop {
    folder: TempDir,
    process: BoxProcess,
}

impl Shop {
    fn on(data: &str, more_arguments: impl Fn(&Path) -> Vec<String>) -> Self {
        let folder = TempDir::new().unwrap();
        let into = folder.path().join("data");
        fs::create_dir(&into).unwrap();
        for (name, _) in HEADS {
            let packed = fs::File::open(fixture(&format!("{data}/{name}.db.gz"))).unwrap();
            let mut file = fs::File::create(into.join(format!("{name}.db"))).unwrap();
            std::io::copy(&mut GzDecoder::new(packed), &mut file).unwrap();
        }
        let mut arguments = vec!["serve".to_owned(), "--data".to_owned()];
        arguments.push(into.to_str().unwrap().to_owned());
        arguments.extend(more_arguments(folder.path()));
        let process = BoxProcess::new(env!("CARGO_BIN_EXE_shop-under-test"), arguments);
        Self { folder, process }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = reqwest::get(format!("{}{path}", self.process.base_url())).await;
        let answer = answer.unwrap();
        assert!(
            answer.status().is_success(),
            "{path}: {:?}",
            answer.text().await
        );
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.process.base_url());
        let request = reqwest::Client::builder().build().unwrap().post(url);
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{:?}", answer.text().await);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    /// Waits until every follower is where its upstream ends, and gives the heads.
    async fn heads_when_all_follow(&self) -> Vec<(String, u64)> {
        let mut heads = Vec::new();
        until("all boxes follow each other", async || {
            let ready = self.get("/readyz").await;
            let head = |report: &Value| {
                let name = report["box"].as_str().unwrap().to_owned();
                (name, report["head"].as_u64().unwrap())
            };
            heads = ready["boxes"]
                .as_array()
                .unwrap()
                .iter()
                .map(head)
                .collect();
            let followers = ready["followers"].as_array().unwrap();
            followers.len() == FOLLOWERS.len()
                && followers.iter().all(|follower| {
                    let upstream = follower["upstream"].as_str().unwrap();
                    let end = heads.iter().find(|(name, _)| name == upstream).unwrap().1;
                    follower["state"] == "following" && follower["position"] == end
                })
        })
        .await;
        heads
    }

    /// What was there goes on: nothing is done again, and a new order passes through all four boxes.
    async fn goes_on(&mut self) {
        let epochs = self.epochs().await;
        self.process.start_and_wait().await;
        let mut heads = self.heads_when_all_follow().await;
        heads.sort();
        let mut expected = HEADS.map(|(name, head)| (name.to_owned(), head));
        expected.sort();
        assert_eq!(heads, expected, "nothing was done again");

        let page = self.get("/orders/notifications/1,20").await;
        let old = page["items"][0]["originator_id"].as_str().unwrap();
        let old = self.get(&format!("/orders/orders/{old}")).await;
        assert!(old["customer"].is_string(), "{old}");

        let product = json!({
            "product": PRODUCT, "name": "New", "units_in_stock": 50, "reorder_level": 1, "discontinued": false,
        });
        self.post("/inventory/products", product).await;
        let order = json!({
            "customer": "ALFKI", "freight_cents": 500, "shipper": 1,
            "lines": [{ "product": PRODUCT, "quantity": 2, "unit_price_cents": 1_800 }],
        });
        for _ in 0..3 {
            let placed = self.post("/orders/orders", order.clone()).await;
            let path = format!("/orders/orders/{}", placed["id"].as_str().unwrap());
            until("the order is shipped", async || {
                self.get(&path).await["status"] == "shipped"
            })
            .await;
        }
        let after = self.heads_when_all_follow().await;
        for (name, head) in &after {
            let before = expected.iter().find(|(of, _)| of == name).unwrap().1;
            // Three orders are at least an event each, in every box.
            assert!(*head >= before + 3, "{name}: {before} to {head}");
        }

        // And again after a restart, with what this version wrote.
        assert_eq!(self.process.terminate().await, Some(0));
        assert_eq!(self.epochs().await, epochs);
        self.process.start_and_wait().await;
        assert_eq!(self.heads_when_all_follow().await, after);
        assert_eq!(self.process.terminate().await, Some(0));
        self.positions_are_where_the_logs_end().await;
    }

    fn database(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(format!("{name}.db"))
    }

    async fn open(&self, name: &str) -> SqliteRecorder {
        let file = self.database(name);
        SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named(name))
            .await
            .unwrap()
    }

    async fn epochs(&self) -> Vec<Uuid> {
        let mut epochs = Vec::new();
        for (name, _) in HEADS {
            let recorder = self.open(name).await;
            epochs.push(recorder.log().epoch);
            recorder.close().await.unwrap();
        }
        epochs
    }

    async fn positions_are_where_the_logs_end(&self) {
        for (name, upstream) in FOLLOWERS {
            let (follows, followed) = (self.open(name).await, self.open(upstream).await);
            let position = follows.tracking(upstream).await.unwrap().unwrap();
            let head = followed.head().await.unwrap();
            let at = followed.select_notifications(head, 1).await.unwrap();
            let expected = Position::new(followed.log().epoch, at[0].id);
            assert!(position.is_same_place(&expected), "{name}: {position:?}");
            // Those of the first version had none.
            let event_id = position.event_id.unwrap_or(at[0].event.event_id);
            assert_eq!(event_id, at[0].event.event_id, "{name}: {position:?}");
        }
    }

    /// What `shop verify` says of a log.
    fn verify(&self, name: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            command.env_remove(name);
        }
        let output = command
            .args(["verify", name, "--data"])
            .arg(self.folder.path().join("data"))
            .arg("--signed-by")
            .arg(fixture("seal.pub"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        said
    }
}

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join("first_version").join(name)
}

/// A file that nobody else may read, as keys are kept.
fn secret(file: &Path, bytes: &[u8]) -> String {
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_the_first_version_are_opened_and_gone_on_with() {
    let mut shop = Shop::on("plain", |_| Vec::new());
    shop.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_and_sealed_data_of_the_first_version_are_opened_and_gone_on_with() {
    let mut shop = Shop::on("encrypted", |folder| {
        let keys = b"1:3031323334353637383930313233343536373839303132333435363738393031\n";
        let seal = fs::read(fixture("seal.pem")).unwrap();
        let pairs = [
            ("--keys-file", secret(&folder.join("keys"), keys)),
            ("--redactable", "orders".to_owned()),
            ("--seal-key-file", secret(&folder.join("seal.pem"), &seal)),
        ];
        let pairs = pairs.into_iter();
        pairs
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    });
    for (name, head) in HEADS {
        let said = shop.verify(name);
        assert!(said.contains(&format!("of {head}")), "{name}: {said}");
    }
    shop.goes_on().await;
    for (name, _) in HEADS {
        assert!(shop.verify(name).contains("signed"), "{name}");
    }
}
