//! Keys of subjects are moved into a store that services share, by the command of the program.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

use std::path::Path;
use std::process::Command;

use boxes::mapper::SubjectKey;
use boxes::recorder::Recorder;
use boxes_application::{StoredSubjectKeys, SubjectKeyProvider};
use boxes_recorder_sqlx::{OpenLog, SqliteRecorder};
use tempfile::TempDir;

async fn keys_in(file: &Path, log: &str) -> StoredSubjectKeys {
    let opened = SqliteRecorder::open(file.to_str().unwrap(), OpenLog::named(log)).await;
    StoredSubjectKeys::new(opened.unwrap().key_value_store().unwrap())
}

fn move_keys(data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop-under-test"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BOXES_")) {
        command.env_remove(name);
    }
    let output = command
        .arg("move-keys")
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_program_moves_the_keys_of_its_boxes_to_the_shared_store() {
    let data = TempDir::new().unwrap();
    let shared = data.path().join("shared.db");
    let store = format!("sqlite:{}", shared.display());
    let orders = keys_in(&data.path().join("orders.db"), "orders").await;
    let shipping = keys_in(&data.path().join("shipping.db"), "shipping").await;
    let (ann, _) = orders.key_of(&"ann".into()).await.unwrap();
    let (bob, _) = shipping.key_of(&"bob".into()).await.unwrap();
    shipping.forget(&"bob".into()).await.unwrap();

    let (code, said) = move_keys(data.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--subject-keys"), "{said}");

    let (code, said) = move_keys(data.path(), &["--subject-keys", &store]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("Moved 1 keys of subjects and 1 marks of forgotten ones to sqlite:"),
        "{said}"
    );
    assert!(orders.key(ann).await.unwrap().is_none());
    let moved = keys_in(&shared, "subject-keys").await;
    let found = moved.key(ann).await.unwrap();
    assert!(matches!(found, Some(SubjectKey::Key(_))), "{found:?}");
    assert_eq!(moved.key_of(&"ann".into()).await.unwrap().0, ann);
    assert!(matches!(
        moved.key(bob).await.unwrap(),
        Some(SubjectKey::Forgotten)
    ));

    let (code, said) = move_keys(data.path(), &["--subject-keys", &store]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Moved 0 keys"), "{said}");
}
