//! What the documentation says of `/metrics`, `/readyz` and alarms is so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use boxes_tests::{StartedProgram, until};

const DOCS: &str = include_str!("../../deploy/README.md");
const ALERTS: &str = include_str!("../../deploy/alerts.yaml");

/// The program with all its boxes, which seals what it publishes.
fn shop(data: &std::path::Path) -> StartedProgram {
    let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
    command.env("BOXES_SEAL", "on").env("BOXES_DATA", data);
    StartedProgram::start(&mut command)
}

async fn get(program: &StartedProgram, path: &str) -> String {
    boxes_http::install_crypto_provider();
    let url = format!("{}{path}", program.base_url());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

/// The labels of each metric in the text format of Prometheus.
fn metrics(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: Vec<&str> = described
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut found: BTreeMap<_, BTreeSet<String>> = names
        .iter()
        .map(|name| ((*name).to_owned(), BTreeSet::new()))
        .collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, labels)) = line.split_once('{') else {
            continue;
        };
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|part| {
                names
                    .iter()
                    .find(|name| series.strip_suffix(part) == Some(*name))
            })
            .map_or(series, |name| name);
        let labels = labels
            .split("\",")
            .filter_map(|pair| pair.split('=').next());
        let labels = labels.map(|label| label.trim_matches(['"', ' ', '}']).to_owned());
        found.get_mut(name).unwrap().extend(labels);
    }
    found
}

/// The rows of the table below a heading, as cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = DOCS.split_once(heading).unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The words between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[tokio::test]
async fn the_table_of_metrics_and_the_alarms_name_what_a_running_program_shows() {
    let data = tempfile::tempdir().unwrap();
    let program = shop(data.path());
    // A route of a box, so that its duration is measured.
    get(&program, "/orders/orders/none").await;
    let mut shown = BTreeMap::new();
    until("everything is shown", async || {
        shown = metrics(&get(&program, "/metrics").await);
        shown.contains_key("boxes_http_request_duration_seconds")
            && shown.contains_key("boxes_sealed_through")
    })
    .await;
    let documented: BTreeMap<String, BTreeSet<String>> = table("### Metrics")
        .into_iter()
        .map(|row| (quoted(row[0]).next().unwrap(), quoted(row[1]).collect()))
        .collect();
    assert_eq!(documented, shown);

    let expressions: Vec<&str> = ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
        .collect();
    assert!(expressions.len() >= 5, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<&str> = words.filter(|word| word.starts_with("boxes_")).collect();
        assert_eq!(named.len(), 1, "{expression}");
        assert!(shown.contains_key(named[0]), "{expression}");
    }
    for state in [
        "retrying",
        "stopped",
        "following",
        "catching-up",
        "starting",
    ] {
        let series = format!("state=\"{state}\"");
        assert!(get(&program, "/metrics").await.contains(&series), "{state}");
    }
    assert!(ALERTS.contains("boxes_follower_state{state=\"retrying\"}"));
}

#[tokio::test]
async fn the_words_of_readiness_are_documented() {
    let data = tempfile::tempdir().unwrap();
    let program = shop(data.path());
    let mut words: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut member = String::new();
    for row in table("### The words of `/readyz`") {
        if let Some(named) = quoted(row[0]).next() {
            member = named;
        }
        let word = quoted(row[1]).next().unwrap();
        words.entry(member.clone()).or_default().insert(word);
    }
    // Those of followers are the labels of their states.
    let figures = get(&program, "/metrics").await;
    let states: BTreeSet<String> = figures
        .lines()
        .filter(|line| line.starts_with("boxes_follower_state{"))
        .filter_map(|line| line.split("state=\"").nth(1)?.split('"').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(words["followers[].state"], states);
    let ready: serde_json::Value = serde_json::from_str(&get(&program, "/readyz").await).unwrap();
    for (member, words) in &words {
        let value = match member.split_once("[].") {
            Some((list, member)) => &ready[list][0][member],
            None => &ready[member],
        };
        assert!(words.contains(value.as_str().unwrap()), "{member}: {value}");
    }
}
