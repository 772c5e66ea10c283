//! The box as a program of its own. `--help` tells what it can be told.

#[tokio::main]
async fn main() -> boxes::Result {
    boxes::run([payments::context()]).await
}
