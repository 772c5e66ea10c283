//! A program of boxes as a shell and an operator see it.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail a test, too"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

fn shop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    shop()
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A program that runs until it is stopped or dropped.
struct Started {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Started {
    fn new(data: &Path) -> Self {
        Self::with(data, &[])
    }

    fn with(data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = shop();
        command.envs(variables.iter().copied());
        command
            .args(["serve", "--bind", "127.0.0.1:0", "--data"])
            .arg(data);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("Listening at http://")
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned();
        Self {
            child,
            stdout,
            address,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    fn request(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect();
        let length = body.len();
        write!(stream, "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill")
                .args([signal, &self.child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    fn end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn sigterm_ends_who_waits_for_news_and_then_the_program() {
    let data = TempDir::new().unwrap();
    let mut program = Started::new(data.path());
    let page = program.request("GET /orders/notifications", "");
    let etag = page
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let mut waiting = program.connect();
    write!(waiting, "GET /orders/notifications HTTP/1.1\r\nhost: localhost\r\nprefer: wait=30\r\nif-none-match: {etag}\r\n\r\n").unwrap();
    // The request for the figures is under way itself.
    let start = Instant::now();
    while !program
        .request("GET /metrics", "")
        .contains("\nboxes_http_requests_under_way 2\n")
    {
        assert!(start.elapsed() < DEADLINE, "nobody waits");
    }
    program.signal("-TERM");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    assert_eq!(program.end(), Some(0));
}

#[test]
fn what_it_recorded_is_there_when_it_is_started_again_after_ctrl_c() {
    let data = TempDir::new().unwrap();
    let id = "0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f";
    let order = format!(
        r#"{{"id":"{id}","customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{{"product":1,"quantity":2,"unit_price_cents":1800}}]}}"#
    );
    let mut program = Started::new(data.path());
    let placed = program.request("POST /orders/orders", &order);
    assert!(placed.starts_with("HTTP/1.1 201"), "{placed}");
    program.signal("-INT");
    assert_eq!(program.end(), Some(0));
    let program = Started::new(data.path());
    let shown = program.request(&format!("GET /orders/orders/{id}"), "");
    assert!(
        shown.starts_with("HTTP/1.1 200") && shown.contains("ALFKI"),
        "{shown}"
    );
}

#[test]
fn an_operator_deletes_an_order_while_its_box_runs_and_only_by_saying_so() {
    let data = TempDir::new().unwrap();
    let id = "0190b5a4-9c1e-7cc3-98c4-dc0c0c07398f";
    let order = format!(
        r#"{{"id":"{id}","customer":"ALFKI","freight_cents":500,"shipper":1,"lines":[{{"product":1,"quantity":2,"unit_price_cents":1800}}]}}"#
    );
    let program = Started::with(data.path(), &[("BOXES_REDACTABLE", "orders")]);
    let placed = program.request("POST /orders/orders", &order);
    assert!(placed.starts_with("HTTP/1.1 201"), "{placed}");
    let delete = |more: &[&str]| {
        let data = data.path().to_str().unwrap();
        let arguments = [&["delete", "orders", id, "--data", data], more].concat();
        let output = run(&arguments, &[]);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let redactable = ["--redactable", "orders", "--yes"];
    let (code, _, error) = delete(&["--yes"]);
    assert!(
        code == Some(2) && error.contains("name it in --redactable"),
        "{error}"
    );
    let (code, _, error) = delete(&redactable[..2]);
    assert!(code == Some(2) && error.contains("add --yes"), "{error}");
    assert!(
        program
            .request("GET /orders/notifications", "")
            .contains("ALFKI")
    );
    let (code, said, error) = delete(&redactable);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        said.starts_with(&format!("deleted {id} from orders")),
        "{said}"
    );
    let gone = program.request(&format!("GET /orders/orders/{id}"), "");
    assert!(gone.starts_with("HTTP/1.1 410 "), "{gone}");
    let start = Instant::now();
    loop {
        let page = program.request("GET /orders/notifications", "");
        if page.contains("\"redacted\":true") && !page.contains("ALFKI") {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "not noticed: {page}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (code, said, _) = delete(&redactable);
    assert!(code == Some(0) && said.contains("redacted"), "{said}");
    let (code, _, error) = delete(&redactable[..2]);
    assert!(
        code == Some(2) && error.contains("was deleted from `orders` already"),
        "{error}"
    );
    let other = "0190b5a4-0000-7cc3-98c4-dc0c0c07398f";
    let arguments = [
        "delete",
        "orders",
        other,
        "--redactable",
        "orders",
        "--data",
    ];
    let output = run(
        &[&arguments[..], &[data.path().to_str().unwrap()]].concat(),
        &[],
    );
    assert!(text(&output.stderr).contains("has no events of 0190b5a4-0000"));
}

#[test]
fn it_prints_where_to_look_and_what_to_try_and_nothing_that_frightens() {
    let data = TempDir::new().unwrap();
    let mut program = Started::new(data.path());
    let base = format!("http://{}", program.address);
    program.signal("-TERM");
    let mut greeting = String::new();
    program.stdout.read_to_string(&mut greeting).unwrap();
    let page = format!("{base}/orders/notifications");
    for part in [
        &*page,
        &format!("curl -i {page}"),
        &format!("curl -i {page}/1,20"),
        &format!("curl -i -H 'If-None-Match: *' {page}"),
    ] {
        assert!(greeting.contains(part), "{part} is missing in:\n{greeting}");
    }
    let mut log = String::new();
    let mut stderr = program.child.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    assert!(log.contains("a box is open"), "{log}");
    for word in ["panicked", "WARN", "ERROR"] {
        assert!(!log.contains(word), "{word} is in:\n{log}");
    }
}

#[test]
fn what_is_wrong_is_one_sentence_on_standard_error_and_the_exit_code_says_whose_fault_it_is() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let data = TempDir::new().unwrap();
    let data = data.path().to_str().unwrap();
    // Arguments, variables, exit code, and what is said.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);
    let cases: [Case<'_>; 6] = [
        (&["--nonsense"], &[], 2, "unexpected argument '--nonsense'"),
        (
            &["--page-size", "none"],
            &[],
            2,
            "error: --page-size is `none`: expected a number",
        ),
        (
            &[],
            &[("BOXES_DELIVERY", "slow")],
            2,
            "error: BOXES_DELIVERY is `slow`: expected `concurrent` or `synchronous`",
        ),
        (
            &["--bind", "0.0.0.0:0"],
            &[],
            2,
            "--clients-file (BOXES_CLIENTS_FILE)",
        ),
        (&["serve", "cellar"], &[], 2, "there is no box `cellar`"),
        (
            &["--data", data, "--bind", &taken],
            &[],
            1,
            &format!("error: can't listen at {taken}: "),
        ),
    ];
    for (arguments, variables, code, part) in cases {
        let output = run(arguments, variables);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        let usage = arguments == ["--nonsense"];
        assert!(
            usage
                || stderr
                    .lines()
                    .filter(|line| line.starts_with("error: "))
                    .count()
                    == 1,
            "{stderr}"
        );
    }
}

#[test]
fn settings_stand_before_and_after_a_command() {
    let data = TempDir::new().unwrap();
    let data = data.path().to_str().unwrap();
    for arguments in [
        &["--data", data, "garbage", "orders"][..],
        &["garbage", "--data", data, "orders"],
        &["--data", "/nowhere", "garbage", "orders", "--data", data],
        &["--data", data, "--page-size", "7", "topics"],
    ] {
        let output = run(arguments, &[]);
        let stderr = text(&output.stderr);
        // There is no database: what is refused names the one that was meant.
        let is_understood = output.status.success() || stderr.contains(data);
        assert!(is_understood, "{arguments:?}: {stderr}");
    }
    let output = run(&["orders", "new-epoch", "orders"], &[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("a command stands first"), "{stderr}");
    let output = run(&["--bind", "0.0.0.0:0", "serve", "orders"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--clients-file"));
}

#[test]
fn the_help_of_a_command_shows_the_settings_that_it_uses() {
    for (command, flags) in [
        ("delete", &["--redactable", "--store", "--data"][..]),
        (
            "verify",
            &[
                "--upstream-token-file",
                "--upstream-ca",
                "--format",
                "--event-ids",
            ],
        ),
        (
            "reencrypt",
            &[
                "--format",
                "--values-folder",
                "--subject-keys",
                "--keys-file",
            ],
        ),
        ("import", &["--format", "--keys-file"]),
        ("garbage", &["--values-folder"]),
        ("set-position", &["--follow "]),
    ] {
        let help = text(&run(&[command, "--help"], &[]).stdout);
        for flag in flags {
            assert!(help.contains(flag), "{command} {flag}: {help}");
        }
        assert!(!help.contains("--max-connections"), "{command}: {help}");
    }
}

#[test]
fn a_refused_command_leaves_no_new_database() {
    let data = TempDir::new().unwrap();
    let folder = data.path().to_str().unwrap();
    let id = "00000000-0000-4000-8000-000000000001";
    for arguments in [
        &["delete", "orders", id, "--redactable", "orders"][..],
        &["garbage", "orders"],
        &["verify", "orders"],
        &["reencrypt", "orders", "--into", "sqlite:elsewhere.db"],
        &["import", "orders", "--from", "sqlite:nowhere.db"],
        &["new-epoch", "orders"],
    ] {
        let mut command = shop();
        command.args(arguments).args(["--data", folder]);
        let output = command.current_dir(folder).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let left: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
        assert!(left.is_empty(), "{arguments:?} leaves {left:?}");
    }
}

#[test]
fn a_server_goes_on_when_nobody_reads_what_it_prints() {
    let data = TempDir::new().unwrap();
    let mut program = Started::new(data.path());
    // As `| head -1` does. What is printed later finds nobody.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = shop();
    command.args(["serve", "--bind", "127.0.0.1:0", "--data"]);
    let other = TempDir::new().unwrap();
    let mut deaf = command
        .arg(other.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(deaf.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
    }
    let id = deaf.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(told.success());
    assert_eq!(deaf.wait().unwrap().code(), Some(0));
    program.signal("-TERM");
    assert_eq!(program.end(), Some(0));
}

#[test]
fn sighup_ends_no_program_that_has_nothing_to_read_again() {
    let data = TempDir::new().unwrap();
    let mut program = Started::new(data.path());
    program.signal("-HUP");
    let answer = program.request("GET /orders/notifications", "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    program.signal("-TERM");
    assert_eq!(program.end(), Some(0));
}

#[test]
fn a_program_whose_store_is_another_than_configured_ends_with_2() {
    let data = TempDir::new().unwrap();
    let mut program = Started::new(data.path());
    program.signal("-TERM");
    assert_eq!(program.end(), Some(0));
    let folder = data.path().to_str().unwrap();
    let output = run(&["--data", folder, "--page-size", "7"], &[]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("page size"), "{stderr}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let help = run(arguments, &[]);
        assert!(help.status.success());
        let help = text(&help.stdout);
        assert!(
            help.contains("BOXES_BIND") && help.contains("BOXES_TOKENS") && help.contains("BOX"),
            "{help}"
        );
    }
    assert!(text(&run(&["--version"], &[]).stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn topics_are_listed_without_opening_anything() {
    let all = run(&["topics"], &[]);
    assert!(all.status.success());
    let table = text(&all.stdout);
    for part in [
        "orders\n",
        "\n    orders.order.placed ",
        "\n  follows payments\n    payments.payment.captured ",
        "\nshipping\n",
    ] {
        assert!(table.contains(part), "{part:?} is missing in:\n{table}");
    }
    let one = run(&["topics", "shipping", "--json"], &[]);
    let listed: serde_json::Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["log"], "shipping");
    assert_eq!(listed[0]["topics"][0]["topic"], "shipping.shipment.shipped");
    let none = run(&["topics", "cellar"], &[]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("there is no box `cellar`; this program has orders"));
}

#[test]
fn a_misspelt_variable_is_warned_of() {
    let output = run(
        &["--bind", "0.0.0.0:0"],
        &[("BOXES_TOKEN", "0123456789abcdef")],
    );
    let stderr = text(&output.stderr);
    assert!(stderr.contains("BOXES_TOKEN is not known"), "{stderr}");
    assert!(!stderr.contains("0123456789"), "{stderr}");
}
