//! What one who can write to the database of a sealed log does, row by row of the table in `crates/integrity/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail a test, too"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use boxes::http::install_crypto_provider;
use boxes_testing::python;
use boxes_tests::{StartedProgram, until};
use serde_json::Value;
use tempfile::TempDir;

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----
";
const PUBLIC_HEX: &str = "8cbc24c3f6b223a82ad040682455f2f5397306df3c016de57aa9d470c949c4dc";
const KEYS: &str = "1:0101010101010101010101010101010101010101010101010101010101010101";
const ORDER: &str = r#"{"customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{"product":1,"quantity":2,"unit_price_cents":1800}]}"#;

/// Attacks by the row of the table that they belong to: each is a script of SQL, on a copy of the file. Events 1 to 11 are in pages
/// of 2, of which five are sealed; event 3 is deleted.
fn attacks() -> Vec<(&'static str, Vec<String>)> {
    let one = |sql: &str| vec![sql.to_owned()];
    let columns = [
        "event_id = randomblob(16)",
        "originator_id = randomblob(16)",
        "originator_version = 77",
        "topic = 'orders.order.paid'",
        "schema_version = 9",
        "encoding = 'json'",
        "encoding = 'json+aes-256-gcm-siv@orders'",
        "state = CAST('{}' AS BLOB)",
        "state = zeroblob(length(state))",
        "metadata = CAST('{\"correlation_id\":\"x\"}' AS BLOB)",
        "occurred_on = occurred_on + 1",
    ];
    let any_column = columns.map(|set| format!("UPDATE stored_event SET {set} WHERE id = 7"));
    // The lower 8 bytes of a seal's key are the id of its page's first event.
    let seal =
        |low: u8| format!("kind = 'seal' AND substr(entry_key, 17) = x'00000000000000{low:02x}'");
    let redact = "encoding = 'redacted', state = x'', metadata = CAST('{}' AS BLOB)";
    let keep = "(id, originator_id, originator_version, event_id, topic, schema_version, encoding, state, metadata, occurred_on)";
    let up = "UPDATE stored_event SET id = -id WHERE id > 7; UPDATE stored_event SET id = -id - 1 WHERE id < 0";
    let down = "UPDATE stored_event SET id = -id WHERE id >= 7; UPDATE stored_event SET id = -id + 1 WHERE id < 0";
    vec![
        ("changes a column of a sealed event", any_column.to_vec()),
        (
            "takes an event away, and moves the later ones up",
            vec![
                format!("DELETE FROM stored_event WHERE id = 7; {up}"),
                "DELETE FROM stored_event WHERE id = 7".to_owned(),
            ],
        ),
        (
            "inserts an event, and moves the later ones down",
            vec![format!(
                "{down}; INSERT INTO stored_event {keep} SELECT 7, randomblob(16), 1, randomblob(16), topic, schema_version, encoding, state, metadata, occurred_on FROM stored_event WHERE id = 8"
            )],
        ),
        (
            "exchanges two events",
            one(
                "UPDATE stored_event SET id = -1 WHERE id = 7; UPDATE stored_event SET id = 7 WHERE id = 9; UPDATE stored_event SET id = 9 WHERE id = -1",
            ),
        ),
        (
            "puts a withheld notification in the place of an event",
            vec![format!(
                "UPDATE stored_event SET topic = 'boxes.withheld', event_id = x'{{withheld}}', originator_id = zeroblob(16), originator_version = 7, {redact} WHERE id = 7; UPDATE notification_log SET n_redacted = n_redacted + 1"
            )],
        ),
        (
            "redacts an event",
            vec![
                format!("UPDATE stored_event SET {redact} WHERE id = 7"),
                format!("UPDATE stored_event SET {redact} WHERE id = 11"),
            ],
        ),
        (
            "redacts an event, and counts it",
            vec![format!(
                "UPDATE stored_event SET {redact} WHERE id = 7; UPDATE notification_log SET n_redacted = n_redacted + 1"
            )],
        ),
        (
            "redacts all events, and counts them",
            vec![format!(
                "UPDATE stored_event SET {redact}; UPDATE notification_log SET n_redacted = (SELECT count(*) FROM stored_event)"
            )],
        ),
        (
            "gives a redacted event metadata",
            one(
                "UPDATE stored_event SET metadata = CAST('{\"correlation_id\":\"x\"}' AS BLOB) WHERE id = 3",
            ),
        ),
        (
            "takes away what is signed about a deletion",
            one("DELETE FROM key_value WHERE kind = 'deletion'"),
        ),
        (
            "changes the number of redacted events",
            vec![
                "UPDATE notification_log SET n_redacted = 0".to_owned(),
                "UPDATE notification_log SET n_redacted = 2".to_owned(),
            ],
        ),
        (
            "brings a deleted aggregate back, and takes away what is signed about it",
            one(
                "UPDATE stored_event SET encoding = '{encoding}', state = x'{state}', metadata = x'{metadata}' WHERE id = 3; UPDATE notification_log SET n_redacted = 0; DELETE FROM key_value WHERE kind = 'deletion'",
            ),
        ),
        (
            "changes a seal",
            vec![
                format!(
                    "UPDATE key_value SET value = CAST(replace(CAST(value AS TEXT), 'a', 'b') AS BLOB) WHERE {}",
                    seal(5)
                ),
                format!("UPDATE key_value SET value = x'00' WHERE {}", seal(5)),
            ],
        ),
        (
            "takes a seal away",
            vec![format!("DELETE FROM key_value WHERE {}", seal(5))],
        ),
        (
            "puts the seal of another page in the place of one",
            vec![format!(
                "UPDATE key_value SET value = (SELECT value FROM key_value WHERE {}) WHERE {}",
                seal(3),
                seal(5)
            )],
        ),
        (
            "takes all seals but the first away",
            vec![format!(
                "DELETE FROM key_value WHERE kind = 'seal' AND NOT ({})",
                seal(1)
            )],
        ),
        (
            "takes all seals away",
            one("DELETE FROM key_value WHERE kind = 'seal'"),
        ),
        (
            "cuts the end of the log off",
            one("DELETE FROM stored_event WHERE id > 5"),
        ),
        (
            "cuts the end of the log off, with its seals",
            one(
                "DELETE FROM stored_event WHERE id > 5; DELETE FROM key_value WHERE kind = 'seal' AND substr(entry_key, 17) >= x'0000000000000005'",
            ),
        ),
        (
            "gives the log another epoch",
            one("UPDATE notification_log SET epoch = randomblob(16)"),
        ),
        (
            "gives the log another page size",
            one("UPDATE notification_log SET page_size = 3"),
        ),
        (
            "changes the newest events, whose page is not archived yet",
            one("UPDATE stored_event SET topic = 'orders.order.paid' WHERE id = 11"),
        ),
        (
            "moves the position of a follower",
            one(
                "INSERT OR REPLACE INTO tracking (follower, epoch, position) VALUES ('payments', zeroblob(16), 7)",
            ),
        ),
        (
            "takes a snapshot away, or replaces it",
            vec![
                "DELETE FROM key_value WHERE kind = 'snapshot'".to_owned(),
                "INSERT INTO key_value VALUES ('snapshot', x'00', x'00')".to_owned(),
            ],
        ),
        (
            "replaces a large value",
            one("INSERT INTO key_value VALUES ('value', zeroblob(32), x'00')"),
        ),
        (
            "takes away keys of subjects",
            one("DELETE FROM key_value WHERE kind LIKE 'subject%'"),
        ),
        (
            "puts a key of a subject there",
            one(
                "INSERT INTO key_value VALUES ('subject-key', zeroblob(16), CAST(x'01' || zeroblob(32) AS BLOB)); INSERT INTO key_value VALUES ('subject', CAST('ann' || zeroblob(17) AS BLOB), x'')",
            ),
        ),
        (
            "takes the data key away, or changes it",
            vec![
                "DELETE FROM key_value WHERE kind = 'data-key'".to_owned(),
                "UPDATE key_value SET value = CAST(substr(value, 1, 40) || zeroblob(52) AS BLOB) WHERE kind = 'data-key'".to_owned(),
            ],
        ),
        (
            "changes the check value of a key",
            one("UPDATE key_value SET value = zeroblob(16) WHERE kind = 'key-check'"),
        ),
        (
            "gives the log another name",
            one("UPDATE notification_log SET name = 'payments'"),
        ),
    ]
}

/// The rows of the table, each with what it says becomes of it.
fn table() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/integrity/README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, table) = text
        .split_once("| what an attacker does in the database | is |\n|---|---|\n")
        .unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').splitn(2, " | ");
        let (attack, is) = (cells.next().unwrap(), cells.next().unwrap());
        (attack.trim().to_owned(), is.trim().to_owned())
    })
    .collect()
}

struct Shop {
    folder: TempDir,
}

impl Shop {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
        command.args(arguments);
        command.args(["--redactable", "orders"]);
        command.env("BOXES_KEYS", KEYS);
        command
    }

    fn serve(&self, data: &str) -> Command {
        let seal = self.path("seal.pem");
        let arguments = [
            "serve",
            "orders",
            "--page-size",
            "2",
            "--data",
            data,
            "--seal-key-file",
            &seal,
        ];
        let mut command = self.command(&arguments);
        for upstream in ["inventory", "payments", "shipping"] {
            let nowhere = "http://127.0.0.1:9/";
            command.arg(format!(
                "--follow={upstream}={nowhere}{upstream}/notifications"
            ));
        }
        command
    }

    /// Eleven orders, of which the third is deleted, sealed through the tenth. Gives what was stored of the third, and the epoch.
    async fn fill(&self) -> [String; 4] {
        std::fs::write(self.path("seal.pem"), KEY).unwrap();
        let data = self.path("data");
        let mut program = StartedProgram::start(&mut self.serve(&data));
        let client = reqwest::Client::builder().build().unwrap();
        let base = program.base_url().to_owned();
        for _ in 0..11 {
            let placed = client
                .post(format!("{base}/orders/orders"))
                .header("content-type", "application/json")
                .body(ORDER)
                .send();
            assert_eq!(placed.await.unwrap().status(), 201);
        }
        until("ten are sealed", async || {
            let ready = reqwest::get(format!("{base}/readyz")).await.unwrap();
            let ready: Value = serde_json::from_slice(&ready.bytes().await.unwrap()).unwrap();
            ready["sealers"][0]["sealed_through"] == 10
        })
        .await;
        program.signal("-TERM");
        assert_eq!(program.end().await, Some(0));
        let file = format!("{data}/orders.db");
        let sql = "SELECT encoding, hex(state), hex(metadata), hex(originator_id), (SELECT hex(epoch) FROM notification_log) FROM stored_event WHERE id = 3";
        let stored = execute(Path::new(&file), sql);
        let mut stored = stored.split_whitespace().map(str::to_owned);
        let [encoding, state, metadata, originator, epoch] =
            std::array::from_fn(|_| stored.next().unwrap());
        let id = originator.parse::<uuid::Uuid>().unwrap().to_string();
        let deleted = self
            .command(&["delete", "orders", &id, "--yes", "--data", &data])
            .args(["--seal-key-file", &self.path("seal.pem")])
            .output()
            .unwrap();
        assert!(deleted.status.success(), "{}", text(&deleted));
        [encoding, state, metadata, epoch]
    }

    fn verify(&self, data: &str) -> Output {
        let memory = self.path("memory");
        let kept = std::fs::read(&memory).ok();
        let output = self
            .command(&[
                "verify",
                "orders",
                "--signed-by",
                PUBLIC_HEX,
                "--max-unsealed",
                "1",
            ])
            .args(["--remember", &memory, "--data", data])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // Each attack is one on the log that was verified before.
        if let Some(kept) = kept {
            std::fs::write(&memory, kept).unwrap();
        }
        output
    }
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

/// Runs SQL past the box, and gives the words of the rows of the last statement.
fn execute(file: &Path, sql: &str) -> String {
    let program = "
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
if sys.argv[2].startswith('SELECT'):
    print(*database.execute(sys.argv[2]).fetchone())
else:
    database.executescript(sys.argv[2])
database.commit()
";
    let done = Command::new(python())
        .args(["-c", program])
        .arg(file)
        .arg(sql)
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{sql}: {}", text(&done));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_of_attacks_is_as_it_says() {
    install_crypto_provider();
    let shop = Shop {
        folder: TempDir::new().unwrap(),
    };
    let [encoding, state, metadata, epoch] = shop.fill().await;
    let untouched = shop.verify(&shop.path("data"));
    assert_eq!(untouched.status.code(), Some(0), "{}", text(&untouched));
    let epoch = epoch.parse::<uuid::Uuid>().unwrap();
    let withheld = uuid::Uuid::new_v5(&epoch, &7_u64.to_be_bytes());

    let table = table();
    let attacks = attacks();
    let rows: BTreeSet<&str> = table.iter().map(|(attack, _)| attack.as_str()).collect();
    let known: BTreeSet<&str> = attacks.iter().map(|(attack, _)| *attack).collect();
    assert_eq!(
        rows, known,
        "each row has its attacks, and each attack its row"
    );

    let mut wrong = Vec::new();
    for (attack, scripts) in &attacks {
        let (_, is) = table.iter().find(|(row, _)| row == attack).unwrap();
        for (n, script) in scripts.iter().enumerate() {
            let data = shop.path(&format!("copy-{}-{n}", attack.replace([' ', ','], "-")));
            std::fs::create_dir(&data).unwrap();
            std::fs::copy(shop.path("data/orders.db"), format!("{data}/orders.db")).unwrap();
            let script = script
                .replace("{withheld}", &withheld.simple().to_string())
                .replace("{encoding}", &encoding)
                .replace("{state}", &state)
                .replace("{metadata}", &metadata);
            execute(Path::new(&format!("{data}/orders.db")), &script);
            let (says, output) = if is.starts_with("refused") {
                ("refused", shop.serve(&data).output().unwrap())
            } else {
                (is.split(':').next().unwrap(), shop.verify(&data))
            };
            let code = output.status.code();
            let is_right = match says {
                "found" => code == Some(3),
                "unseen" => code == Some(0),
                "refused" => code == Some(2),
                other => panic!("`{other}` is none of found, unseen, refused"),
            };
            if !is_right {
                wrong.push(format!(
                    "{attack} ({script}) is not {says}: {code:?} {}",
                    text(&output)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
