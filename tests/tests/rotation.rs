//! Tokens that are replaced while the program runs.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use boxes::http::install_crypto_provider;
use boxes_tests::{StartedProgram, until};
use tempfile::TempDir;

const OLD: &str = "old-0123456789abcdef";
const NEW: &str = "new-0123456789abcdef";

#[tokio::test]
async fn tokens_and_their_scopes_are_read_again_at_sighup_and_what_can_not_be_used_changes_nothing()
{
    install_crypto_provider();
    let folder = TempDir::new().unwrap();
    let (tokens, config) = (
        folder.path().join("tokens"),
        folder.path().join("boxes.toml"),
    );
    let write_tokens = |text: &str| std::fs::write(&tokens, text).unwrap();
    let write_scopes = |scopes: &str| {
        std::fs::write(&config, format!("[scopes]\nreader = \"{scopes}\"\n")).unwrap();
    };
    write_tokens(&format!("reader={OLD}\n"));
    write_scopes("read:orders");
    let mut command = StartedProgram::command(env!("CARGO_BIN_EXE_shop-under-test"));
    command.arg("--data").arg(folder.path());
    command.arg("--tokens-file").arg(&tokens);
    command.arg("--config").arg(&config);
    let mut program = StartedProgram::start(&mut command);
    let base_url = program.base_url().to_owned();
    let status = async |name: &str, token: &str| {
        let page = format!("{base_url}/{name}/notifications");
        let request = reqwest::Client::builder().build().unwrap().get(page);
        let answer = request.bearer_auth(token).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status("orders", OLD).await, 200);
    assert_eq!(status("orders", NEW).await, 401);

    write_tokens(&format!("reader={OLD}\nreader={NEW}\n"));
    program.signal("-HUP");
    until("the new token counts", async || {
        status("orders", NEW).await == 200
    })
    .await;
    assert_eq!(status("orders", OLD).await, 200, "and so does the old one");

    write_tokens(&format!("reader={NEW}\n"));
    write_scopes("read:orders read:payments");
    program.signal("-HUP");
    until("the old token counts no more", async || {
        status("orders", OLD).await == 401
    })
    .await;
    assert_eq!(status("payments", NEW).await, 200, "the scope is wider");

    // Told of what can't be used, and then of something else: when that counts, the other has been passed over.
    write_tokens("short\n");
    program.signal("-HUP");
    write_scopes("read:ordres");
    write_tokens(&format!("reader={NEW}\n"));
    program.signal("-HUP");
    write_scopes("read:orders");
    assert_eq!(status("orders", NEW).await, 200);
    write_tokens(&format!("reader={NEW}\n"));
    program.signal("-HUP");
    until("the scope is narrower", async || {
        status("payments", NEW).await == 403
    })
    .await;
    assert_eq!(status("orders", NEW).await, 200);
    program.signal("-TERM");
    assert_eq!(program.end().await, Some(0));
}
