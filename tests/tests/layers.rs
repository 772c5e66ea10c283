//! The layers of the kit, held by reading the manifests: who may know whom, and where outside crates live.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of the kit, from the bottom to the top, each with those of the kit that it may depend on. What is
/// allowed is always above in this list, so there is no way round.
const LAYERS: [(&str, &[&str]); 13] = [
    ("macros", &[]),
    ("domain", &["macros"]),
    ("recorder", &[]),
    ("recorder-sqlx", &["recorder"]),
    ("mapper", &["domain", "recorder"]),
    ("notification-log", &["recorder"]),
    ("integrity", &["notification-log", "recorder"]),
    ("http", &["notification-log", "recorder"]),
    (
        "application",
        &["domain", "mapper", "notification-log", "recorder"],
    ),
    (
        "service",
        &[
            "application",
            "domain",
            "http",
            "integrity",
            "mapper",
            "notification-log",
            "recorder",
            "recorder-sqlx",
        ],
    ),
    (
        "boxes",
        &[
            "application",
            "domain",
            "http",
            "integrity",
            "mapper",
            "notification-log",
            "recorder",
            "recorder-sqlx",
            "service",
        ],
    ),
    // For tests alone: other people's servers.
    ("test-servers", &[]),
    // For tests alone; so it may see what it tests.
    (
        "testing",
        &[
            "application",
            "domain",
            "http",
            "integrity",
            "mapper",
            "notification-log",
            "recorder",
            "recorder-sqlx",
            "service",
        ],
    ),
];

/// Outside crates that have a home: only these packages may depend on them (tests may).
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["boxes-recorder-sqlx"]),
    // The demo of the example boxes is a client like any other, and so are tests.
    ("reqwest", &["boxes-http", "boxes-testing", "monolith"]),
    ("rustls", &["boxes-http", "boxes-service"]),
    ("tokio-rustls", &["boxes-service"]),
    ("ring", &["boxes-integrity"]),
    ("axum", &["boxes-http", "boxes-service", "boxes"]),
    ("http", &["boxes-service"]),
    ("hyper", &["boxes-service"]),
    ("hyper-util", &["boxes-service"]),
    ("tower-http", &["boxes-service"]),
    (
        "url",
        &["boxes-http", "boxes-recorder-sqlx", "boxes-service"],
    ),
    ("clap", &["boxes-service", "monolith", "xtask"]),
    ("toml", &["boxes-service"]),
    ("strsim", &["boxes-service"]),
    ("subtle", &["boxes-service"]),
    ("tracing-subscriber", &["boxes-service"]),
    ("metrics-exporter-prometheus", &["boxes-service"]),
    ("syn", &["boxes-macros"]),
    ("quote", &["boxes-macros"]),
    ("proc-macro2", &["boxes-macros"]),
    ("aes", &["boxes-mapper"]),
    ("aes-gcm", &["boxes-mapper"]),
    ("aes-gcm-siv", &["boxes-mapper"]),
    ("cbc", &["boxes-mapper"]),
    ("rmp-serde", &["boxes-mapper"]),
    ("rust_decimal", &["boxes-mapper"]),
    ("csv", &["monolith"]),
    ("indicatif", &["boxes-service", "monolith"]),
];

/// What the pure crates need, and all that they may: no clock, no I/O, no runtime.
const PURE: [(&str, &[&str]); 2] = [
    (
        "boxes-domain",
        // `serde_json` for the values that upcast steps get and give: its reading and writing is not used there.
        &[
            "boxes-macros",
            "schemars",
            // A function of bytes, no more.
            "base64",
            "serde",
            "serde_json",
            "thiserror",
            "uuid",
        ],
    ),
    (
        "boxes-mapper",
        &[
            "boxes-domain",
            "boxes-recorder",
            "bytes",
            "jiff",
            "serde",
            "serde_json",
            "thiserror",
            "uuid",
            // Functions of bytes, no more: they read no clock and no source of randomness.
            "aes",
            "aes-gcm",
            "aes-gcm-siv",
            "base64",
            "cbc",
            "erased-serde",
            "flate2",
            "hmac",
            "rmp-serde",
            "rust_decimal",
            "sha2",
            "zeroize",
        ],
    ),
];

/// The example boxes, which know the facade and nothing else of the kit.
const BOXES: [&str; 4] = ["inventory", "orders", "payments", "shipping"];

/// What lies at the top, beside what begins with a dot.
const TOP_LEVEL: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "boxes",
    "crates",
    "deploy",
    "tests",
];

/// The longest source file, in lines: a reader should find one concept in it.
const MAX_LINES: usize = 850;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// One package of the workspace.
struct Package {
    /// Its folder, from the root.
    folder: String,
    name: String,
    manifest: toml::Table,
}

impl Package {
    /// What it depends on, for its own code or its build.
    fn dependencies(&self) -> BTreeSet<&str> {
        ["dependencies", "build-dependencies"]
            .into_iter()
            .flat_map(|kind| self.table(kind))
            .collect()
    }

    /// Whether it is there to test the others.
    fn is_of_tests(&self) -> bool {
        self.folder.starts_with("tests")
    }

    fn table(&self, kind: &str) -> Vec<&str> {
        assert!(
            !self.manifest.contains_key("target"),
            "{}: dependencies of a platform are not looked at here",
            self.folder
        );
        let table = self.manifest.get(kind).and_then(toml::Value::as_table);
        table
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str))
            .collect()
    }
}

fn packages() -> Vec<Package> {
    let mut folders = vec!["tests".to_owned(), "tests/fuzz".to_owned()];
    for parent in ["boxes", "crates"] {
        let names = names_in(&root().join(parent));
        folders.extend(names.into_iter().map(|name| format!("{parent}/{name}")));
    }
    folders.retain(|folder| root().join(folder).is_dir());
    let package = |folder: String| {
        let text = std::fs::read_to_string(root().join(&folder).join("Cargo.toml"));
        let manifest: toml::Table = text
            .unwrap_or_else(|error| panic!("{folder}: {error}"))
            .parse()
            .unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        Package {
            folder,
            name,
            manifest,
        }
    };
    folders.into_iter().map(package).collect()
}

/// A crate's package: `boxes-x` for `crates/x`.
fn package_name(folder: &str) -> String {
    match folder {
        "boxes" | "xtask" => folder.to_owned(),
        other => format!("boxes-{other}"),
    }
}

#[test]
fn a_package_is_named_after_its_folder() {
    for package in packages() {
        let expected = match package.folder.split_once('/') {
            Some(("crates", folder)) => package_name(folder),
            Some(("tests", folder)) => format!("boxes-{folder}"),
            Some((_, folder)) => folder.to_owned(),
            None => "boxes-tests".to_owned(),
        };
        assert_eq!(package.name, expected, "{}", package.folder);
    }
}

#[test]
fn every_crate_has_its_layer_and_depends_on_lower_ones_alone() {
    let mut lower: Vec<&str> = Vec::new();
    for (layer, allowed) in LAYERS {
        assert!(
            allowed.iter().all(|below| lower.contains(below)),
            "{layer} has to come after all that it may know"
        );
        lower.push(layer);
    }
    let layers = BTreeMap::from(LAYERS);
    let kit: BTreeSet<String> = layers.keys().map(|layer| package_name(layer)).collect();
    for package in packages() {
        let Some(folder) = package
            .folder
            .strip_prefix("crates/")
            .filter(|folder| *folder != "xtask")
        else {
            continue;
        };
        let allowed = layers
            .get(folder)
            .unwrap_or_else(|| panic!("crates/{folder} has no layer yet: give it one here"));
        let allowed: BTreeSet<String> = allowed.iter().map(|below| package_name(below)).collect();
        for dependency in package
            .dependencies()
            .into_iter()
            .filter(|name| kit.contains(*name))
        {
            assert!(
                allowed.contains(dependency),
                "{} must not know {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn outside_crates_stay_in_their_homes() {
    for package in packages().iter().filter(|package| !package.is_of_tests()) {
        for (outside, homes) in HOMES {
            let is_home = homes.contains(&package.name.as_str());
            assert!(
                is_home || !package.dependencies().contains(outside),
                "{} must not depend on {outside}: its home is {homes:?}",
                package.name
            );
        }
        if let Some((_, allowed)) = PURE.iter().find(|(name, _)| *name == package.name) {
            let unknown: Vec<_> = package
                .dependencies()
                .into_iter()
                .filter(|name| !allowed.contains(name))
                .collect();
            assert!(
                unknown.is_empty(),
                "{} is pure, and must not depend on {unknown:?}",
                package.name
            );
        }
    }
}

#[test]
fn a_home_is_one_that_is_lived_in() {
    let packages = packages();
    for (outside, homes) in HOMES {
        for home in *homes {
            let package = packages
                .iter()
                .find(|package| package.name == *home)
                .unwrap();
            assert!(
                package.dependencies().contains(outside),
                "{home} does not depend on {outside} any more: take it out of the list"
            );
        }
    }
}

#[test]
fn boxes_know_the_facade_and_neither_each_other_nor_what_is_behind_it() {
    let layers: BTreeSet<String> = LAYERS
        .iter()
        .map(|(layer, _)| package_name(layer))
        .collect();
    for package in packages()
        .iter()
        .filter(|package| package.folder.starts_with("boxes/"))
    {
        let is_monolith = package.name == "monolith";
        assert!(
            is_monolith || BOXES.contains(&package.name.as_str()),
            "boxes/{} is new: add it here",
            package.name
        );
        for dependency in package.dependencies() {
            assert!(
                !layers.contains(dependency) || dependency == "boxes",
                "{} must not look behind the facade, at {dependency}",
                package.name
            );
            assert!(
                is_monolith || !BOXES.contains(&dependency),
                "{} must not know {dependency}",
                package.name
            );
            assert_ne!(dependency, "monolith", "{}", package.name);
        }
        for dependency in package.table("dev-dependencies") {
            assert!(
                !BOXES.contains(&dependency),
                "{} must not know {dependency}, even in tests",
                package.name
            );
        }
    }
}

#[test]
fn the_testing_crate_is_for_tests_alone() {
    for package in packages().iter().filter(|package| !package.is_of_tests()) {
        assert!(
            !package.dependencies().contains("boxes-testing"),
            "{} ships what is for tests",
            package.name
        );
    }
}

#[test]
fn every_package_takes_its_version_its_licence_and_its_lints_from_the_workspace() {
    for package in packages() {
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert_eq!(
                package.manifest["package"][key]["workspace"].as_bool(),
                Some(true),
                "{}: {key}",
                package.name
            );
        }
        assert!(
            package.manifest["package"]["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{}",
            package.name
        );
        assert_eq!(
            package.manifest["lints"]["workspace"].as_bool(),
            Some(true),
            "{}",
            package.name
        );
    }
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        workspace["workspace"]["package"]["license"].as_str(),
        Some("MIT OR Apache-2.0")
    );
}

#[test]
fn nothing_else_lies_at_the_top() {
    let text = std::fs::read_to_string(root().join(".gitignore")).unwrap();
    let ignored: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .collect();
    let found: Vec<String> = names_in(&root())
        .into_iter()
        .filter(|name| !name.starts_with('.') && !ignored.contains(name.as_str()))
        .collect();
    assert_eq!(found, TOP_LEVEL);
}

#[test]
fn the_map_of_the_crates_has_all_of_them() {
    let map = std::fs::read_to_string(root().join("crates/README.md")).unwrap();
    for package in packages() {
        if let Some(folder) = package.folder.strip_prefix("crates/") {
            assert!(
                map.contains(&format!("\n| `{folder}` |")),
                "crates/README.md does not list {folder}"
            );
        }
    }
}

/// Every file that is kept in the project, from the root, with its text; without what is no text.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for name in names_in(&folder) {
            let path = folder.join(&name);
            let is_kept = !matches!(name.as_str(), "target" | "data" | ".git");
            if path.is_dir() && is_kept {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((
                    path.strip_prefix(root()).unwrap().display().to_string(),
                    text,
                ));
            }
        }
    }
    assert!(found.len() > 100, "the files are somewhere else");
    found
}

#[test]
fn a_source_file_is_short_enough_to_be_one_concept() {
    for (path, text) in files()
        .iter()
        .filter(|(path, _)| path.ends_with(".rs") && path.contains("/src/"))
    {
        let n_lines = text.lines().count();
        assert!(
            n_lines <= MAX_LINES,
            "{path} has {n_lines} lines: part it by concept"
        );
    }
}

#[test]
fn no_file_speaks_of_the_machine_that_it_was_written_on() {
    // Where this is checked out, where cargo keeps its things, and what lies beside the project.
    let places = [
        Some(root()),
        std::env::var_os("CARGO_HOME").map(PathBuf::from),
        std::env::home_dir().map(|home| home.join(".cargo")),
    ];
    let mut places: BTreeSet<String> = places
        .into_iter()
        .flatten()
        .filter(|place| place.components().count() > 2)
        .map(|place| place.display().to_string())
        .collect();
    places.insert(["..", "shared", ""].join("/"));
    for (path, text) in files() {
        for place in &places {
            assert!(!text.contains(place), "{path} speaks of {place}");
        }
    }
}

#[test]
fn a_program_compiles_the_drivers_of_its_databases_and_no_other() {
    let tree = |features: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(root()).args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "boxes",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        let output = command.args(features).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let drivers = |features: &[&str]| {
        let tree = tree(features);
        ["sqlx-sqlite", "sqlx-postgres", "sqlx-mysql", "sqlx"].map(|name| {
            tree.lines()
                .any(|line| line.split(' ').next() == Some(name))
        })
    };
    assert_eq!(drivers(&[]), [true, false, false, true]);
    let postgres = ["--no-default-features", "--features", "postgres"];
    assert_eq!(drivers(&postgres), [false, true, false, true]);
    let mysql = ["--no-default-features", "--features", "mysql"];
    assert_eq!(drivers(&mysql), [false, false, true, true]);
    assert_eq!(drivers(&["--no-default-features"]), [false; 4]);
}
