//! Where commands are run: a folder for each document, with `shop` and `curl` on the path.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use boxes_tests::StartedProgram;
use tempfile::TempDir;
use tokio::process::Command;

use crate::block::Block;

const DEADLINE: Duration = Duration::from_secs(120);

/// `shop`: a server is stopped once it listens, and has to end well; every other command runs to its end.
const SHOP: &str = r#"#!/usr/bin/env bash
set -u
serves=yes
for word in "$@"; do
    case "$word" in
        serve | demo) break ;;
        -*) serves=no ;;
        *) serves=no; break ;;
    esac
done
case " $* " in *" --help "* | *" help "*) serves=no ;; esac
if [ "$serves" = no ]; then
    "$PROGRAM" "$@"
    code=$?
    [ $code = 0 ] || echo "shop $*: exit code $code" >> "$FAILURES"
    exit $code
fi
said=$(mktemp)
BOXES_BIND=127.0.0.1:0 "$PROGRAM" "$@" > "$said" 2>&1 &
server=$!
for _ in $(seq 600); do
    grep -q '^Listening at ' "$said" && break
    kill -0 $server 2> /dev/null || break
    sleep 0.1
done
kill -TERM $server 2> /dev/null
wait $server
code=$?
cat "$said"
if [ $code != 0 ] || ! grep -q '^Listening at ' "$said"; then
    { echo "shop $*: exit code $code"; cat "$said"; } >> "$FAILURES"
    exit 1
fi
"#;

/// `curl`: asks the boxes under test; a stream ends after a moment, and so does waiting for news. A status that the line before it
/// does not lead to expect is a failure, because curl itself does not care.
const CURL: &str = r#"#!/usr/bin/env bash
set -u
arguments=() seconds=60
for word in "$@"; do
    word=${word//http:\/\/127.0.0.1:8080/$BASE_URL}
    arguments+=("${word//wait=20/wait=1}")
    case "$word" in */stream*) seconds=2 ;; esac
done
errors=$(mktemp)
"$REAL_CURL" --max-time $seconds --write-out '%{stderr}\nstatus %{http_code}\n' "${arguments[@]}" 2> "$errors"
code=$?
status=$(sed -n 's/^status //p' "$errors")
[ $code = 28 ] && [ $seconds = 2 ] && code=0
case "$status" in
    2?? | 3??) ;;
    400) case "$*" in */2,21) ;; *) echo "curl $*: status $status" >> "$FAILURES" ;; esac ;;
    *) { echo "curl $*: status $status"; cat "$errors"; } >> "$FAILURES" ;;
esac
exit $code
"#;

/// The programs, and the boxes with their orders.
pub(crate) struct Stage {
    programs: TempDir,
    _data: TempDir,
    shop: StartedProgram,
}

impl Stage {
    /// Makes the programs, and starts the boxes.
    pub(crate) async fn set() -> Self {
        let programs = tempfile::tempdir().unwrap();
        for (name, text) in [("shop", SHOP), ("curl", CURL)] {
            let path = programs.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let data = tempfile::tempdir().unwrap();
        let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
        command.arg("demo").arg("--data").arg(data.path());
        let shop = StartedProgram::start(&mut command);
        let url = format!("{}/orders/notifications/100", shop.base_url());
        boxes_tests::until("the first orders are there", async || {
            boxes::http::install_crypto_provider();
            let answer = reqwest::get(&url).await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self {
            programs,
            _data: data,
            shop,
        }
    }

    /// Runs a block to its end in this folder; the error is what went wrong, and where.
    pub(crate) async fn run(&self, block: &Block, folder: &Path) -> Result<(), String> {
        let failures = self.programs.path().join("failures");
        std::fs::write(&failures, "").unwrap();
        let mut bash = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
            bash.env_remove(name);
        }
        let path = format!(
            "{}:{}",
            self.programs.path().display(),
            std::env::var("PATH").unwrap()
        );
        bash.args(["-e", "-u", "-o", "pipefail", "-c", &block.commands])
            .current_dir(folder)
            .env("PATH", path)
            .env("PROGRAM", env!("CARGO_BIN_EXE_shop-under-test"))
            .env("REAL_CURL", real_curl())
            .env("BASE_URL", self.shop.base_url())
            .env("FAILURES", &failures)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, bash.output()).await;
        let output = output
            .map_err(|_| format!("{}: it does not end", block.place))?
            .unwrap();
        let failed = std::fs::read_to_string(&failures).unwrap();
        if output.status.success() && failed.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}: {}\n{failed}{}{}",
            block.place,
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// The program that the wrapper stands before.
fn real_curl() -> String {
    let path = std::env::var("PATH").unwrap();
    let found = path
        .split(':')
        .map(|folder| Path::new(folder).join("curl"))
        .find(|program| program.is_file());
    found
        .unwrap_or_else(|| panic!("there is no curl: apt-get install curl"))
        .display()
        .to_string()
}
