//! The program `shop`. `--help` tells what it can be told.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    monolith::run().await
}
