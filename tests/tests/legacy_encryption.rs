//! What the kit encrypts in the form of 2017 opens with `PyCryptodome`, and the other way round.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::Command;

use boxes::mapper::LegacyCipher;
use boxes_testing::python;

#[test]
fn pycryptodome_opens_what_the_kit_wrote_and_the_kit_what_pycryptodome_wrote() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/legacy_cipher.py");
    let text = r#"{"a":"secret data","b":"Überraschung"}"#;
    for length in [16, 24, 32] {
        let key: Vec<u8> = (1..=length).collect();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let cipher = LegacyCipher::new(&key).unwrap();
        let output = Command::new(python())
            .arg("-X")
            .arg("utf8")
            .arg(&script)
            .args([&hex, &"5a".repeat(16)])
            .arg(cipher.seal(text.as_bytes(), [9; 16]).unwrap())
            .output()
            .unwrap();
        let (said, error) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let (opened, sealed) = said.trim_end().split_once('\n').expect(&error);
        assert_eq!(opened, text);
        assert_eq!(cipher.open(sealed, text.len()).unwrap(), text.as_bytes());
    }
}
