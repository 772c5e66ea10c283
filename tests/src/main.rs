//! The program `shop`, under a name of its own: a test can only find the programs of its own package.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    monolith::run().await
}
