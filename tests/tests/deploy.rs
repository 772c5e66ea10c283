//! What `deploy/` and the documents say of the program is so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use boxes::service::{Config, SETTINGS, ServeOptions, Setting};

/// The program's boxes with the ports that they have in `deploy/`.
const PORTS: [(&str, u16); 4] = [
    ("orders", 8081),
    ("inventory", 8082),
    ("payments", 8083),
    ("shipping", 8084),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    let file = root().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every file below a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// The words in a text that begin with `BOXES_`, but for those that tests are told.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("BOXES_") && !word.starts_with("BOXES_TEST_"))
        .map(str::to_owned)
        .collect()
}

fn known_variables() -> BTreeSet<String> {
    SETTINGS
        .iter()
        .map(|setting| setting.variable.to_owned())
        .collect()
}

/// What the program makes of variables.
fn load(variables: impl IntoIterator<Item = (String, String)>) -> Config {
    Config::load(&ServeOptions::default(), variables).expect("the program takes it")
}

/// The variables of an environment file.
fn environment(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            line.split_once('=')
                .unwrap_or_else(|| panic!("{path}: {line}"))
        })
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_variable_that_is_written_anywhere_is_one_that_the_program_knows() {
    let known = known_variables();
    let documents =
        ["README.md", "boxes/README.md", "crates/README.md"].map(|path| root().join(path));
    for file in files("deploy").into_iter().chain(documents) {
        let text = std::fs::read_to_string(&file).unwrap();
        let unknown: Vec<_> = variables(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", file.display());
    }
}

/// The table of settings as it has to be.
fn table() -> String {
    let mut table =
        "| variable | flag | value | default | what it does |\n|---|---|---|---|---|\n".to_owned();
    for Setting {
        variable,
        flag,
        key,
        value,
        default,
        help,
        ..
    } in SETTINGS
    {
        let flag = match (flag, key) {
            (Some(flag), _) => format!("`--{flag}`"),
            (None, Some(_)) => "positional".to_owned(),
            (None, None) => String::new(),
        };
        let value = value.replace('|', "\\|");
        table.push_str(&format!(
            "| `{variable}` | {flag} | `{value}` | {default} | {help} |\n"
        ));
    }
    table
}

#[test]
fn every_setting_is_documented_as_the_program_has_it() {
    let readme = read("deploy/README.md");
    let table = table();
    assert!(
        readme.contains(&table),
        "deploy/README.md has to end with this table:\n\n{table}"
    );
}

#[test]
fn the_file_in_the_readme_is_one_that_the_program_takes() {
    let readme = read("deploy/README.md");
    let example = readme
        .split("```toml\n")
        .last()
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boxes.toml");
    std::fs::write(&file, example).unwrap();
    let config = load([("BOXES_CONFIG".to_owned(), file.to_str().unwrap().to_owned())]);
    assert_eq!(config.serve, ["orders"]);
    assert_eq!(config.follow.len(), 3);
    assert_eq!(config.stores.len(), 1);
}

#[test]
fn the_environment_file_of_each_box_has_its_port_and_those_that_it_follows() {
    for (name, port) in PORTS {
        let config = load(environment(&format!("deploy/systemd/{name}.env")));
        assert_eq!(config.bind.to_string(), format!("127.0.0.1:{port}"));
        let followed: Vec<_> = monolith::contexts()
            .into_iter()
            .filter(|context| context.name() == name)
            .flat_map(|context| context.upstreams().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert_eq!(
            config.follow.keys().cloned().collect::<BTreeSet<_>>(),
            followed.into_iter().collect()
        );
        for (upstream, address) in &config.follow {
            let (_, port) = PORTS.iter().find(|(name, _)| name == upstream).unwrap();
            assert_eq!(
                address.url().as_str(),
                format!("http://127.0.0.1:{port}/{upstream}/notifications")
            );
        }
    }
}

#[test]
fn the_unit_starts_the_program_with_the_files_that_are_there() {
    let unit = read("deploy/systemd/box@.service");
    let settings: Vec<(&str, &str)> = unit
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let all = |name: &str| {
        settings
            .iter()
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| *value)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        all("ExecStart"),
        [format!("/usr/local/bin/{} serve %i", program())]
    );
    assert_eq!(all("EnvironmentFile"), ["/etc/boxes/%i.env"]);
    // Each token file that the program is told of is one that systemd hands on.
    let credentials: Vec<&str> = all("LoadCredential")
        .into_iter()
        .map(|value| value.split_once(':').unwrap().0)
        .collect();
    let told: Vec<&str> = all("Environment")
        .into_iter()
        .filter_map(|value| value.split_once("=%d/"))
        .map(|(_, name)| name)
        .collect();
    assert_eq!(credentials, told);
    assert_eq!(credentials, ["clients", "upstream-token"]);
    let seconds: u64 = all("TimeoutStopSec")[0].parse().unwrap();
    assert!(seconds > Config::default().shutdown_timeout.as_secs());
}

/// The name of the program's file.
fn program() -> String {
    let manifest: toml::Table = read("boxes/monolith/Cargo.toml").parse().unwrap();
    manifest["bin"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn the_image_is_built_from_what_is_there_and_does_not_run_as_root() {
    let dockerfile = read("deploy/Dockerfile");
    let program = program();
    assert!(dockerfile.contains(&format!("--package monolith --bin {program} ")));
    assert!(dockerfile.contains(&format!(
        "target/release/{program} /usr/local/bin/{program}"
    )));
    assert!(dockerfile.contains(&format!(
        "COPY --from=build /usr/local/bin/{program} /usr/local/bin/{program}\n"
    )));
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"/usr/local/bin/{program}\"]")));
    let rust: toml::Table = read("Cargo.toml").parse().unwrap();
    let rust = rust["workspace"]["package"]["rust-version"]
        .as_str()
        .unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{rust}-")),
        "the image has another Rust than {rust}"
    );
    let user = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("USER "))
        .unwrap();
    assert!(
        user.split(':').all(|id| id.parse::<u32>().unwrap() > 0),
        "{user}"
    );
    // What it is told binds the port that is exposed and asked for its health.
    let told: BTreeMap<String, String> = dockerfile
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(name, _)| name.starts_with("BOXES_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let config = load(told);
    let port = config.bind.port();
    assert!(dockerfile.contains(&format!("\nEXPOSE {port}\n")));
    assert!(dockerfile.contains(&format!("/dev/tcp/127.0.0.1/{port} ")));
    assert!(dockerfile.contains(&format!("\nVOLUME {}\n", config.data.display())));
    assert!(
        config.check().is_err(),
        "without tokens it must not start, as other machines can reach it"
    );
}

#[test]
fn every_service_of_compose_runs_one_box_with_a_volume_of_its_own() {
    let compose = read("deploy/compose.yaml");
    // Each secret is one of the files that the README makes, where the settings say that it is.
    for (secret, file, variable) in [
        ("clients", "clients.toml", "BOXES_CLIENTS_FILE"),
        (
            "upstream-token",
            "upstream-token",
            "BOXES_UPSTREAM_TOKEN_FILE",
        ),
    ] {
        assert!(compose.contains(&format!("\n  {secret}: {{ file: {file} }}\n")));
        assert!(compose.contains(&format!("\n  {variable}: /run/secrets/{secret}\n")));
    }
    assert!(compose.contains("\n  secrets: [clients, upstream-token]\n"));
    assert!(compose.contains("context: ..\n    dockerfile: deploy/Dockerfile\n"));
    for (name, port) in PORTS {
        let service = format!("\n  {name}:\n    <<: *box\n    command: [serve, {name}]\n");
        assert!(compose.contains(&service), "{service}");
        assert!(
            compose.contains(&format!(
                "ports: [\"127.0.0.1:{port}:8080\"]\n    volumes: [\"{name}:/data\"]\n"
            )),
            "{name}"
        );
    }
    let follow: String = compose
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("BOXES_FOLLOW:"))
        .skip(1)
        .take_while(|line| line.starts_with("    "))
        .map(|line| format!("{} ", line.trim()))
        .collect();
    for (name, _) in PORTS {
        let config = load([("BOXES_FOLLOW".to_owned(), follow.clone())]);
        assert_eq!(config.follow.len(), PORTS.len());
        assert_eq!(
            config.follow[name].url().as_str(),
            format!("http://{name}:8080/{name}/notifications")
        );
    }
}

#[test]
fn the_example_of_clients_is_taken_once_it_has_tokens_and_gives_none_away() {
    let example = read("deploy/clients.toml.example");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clients.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap().to_owned();
        let variables = [("BOXES_CLIENTS_FILE".to_owned(), path)];
        Config::load(&ServeOptions::default(), variables)
    };
    let error = load(&example).unwrap_err().to_string();
    assert!(error.contains("no usable token"), "{error}");
    // As the README makes it.
    let (token, reader) = ("11".repeat(32), "22".repeat(32));
    let made = example.replace("COMMAND_TOKEN", &token);
    let config = load(&made.replace("READ_TOKEN", &reader)).unwrap();
    config.check().unwrap();
    let allows = |token: &str| config.tokens.check(token).unwrap().scopes().to_string();
    assert_eq!(allows(&token), "command:*");
    assert_eq!(allows(&reader), "read:*");
    let ignored = read("deploy/.gitignore");
    for file in ["clients.toml", "upstream-token"] {
        assert!(ignored.lines().any(|line| line == file), "{file}");
    }
}
