//! Flags before variables before the file, and errors that name where a value stands.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail a test, too")]

use std::path::PathBuf;
use std::time::Duration;

use boxes_domain::Event;
use boxes_service::{Config, Delivery, LogFormat, ServeOptions, StateFormat, Store};
use clap::{Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn options(flags: &[&str]) -> ServeOptions {
    let command = ServeOptions::augment_args(Command::new("shop"));
    let matches = command
        .try_get_matches_from(std::iter::once("shop").chain(flags.iter().copied()))
        .unwrap();
    ServeOptions::from_arg_matches(&matches).unwrap()
}

fn load(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&options(flags), variables).map_err(|error| error.to_string())
}

/// A configuration file, and the value of `--config` for it.
fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boxes.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn the_epoch_that_a_log_must_have_is_named_with_its_box() {
    let epoch = "5b0c0000-0000-4000-8000-000000000001";
    let flag = format!("orders={epoch}");
    let config = load(&["--expect-epoch", &flag], &[]).unwrap();
    let expected = config
        .expected_epochs
        .get("orders")
        .map(ToString::to_string);
    assert_eq!(expected.as_deref(), Some(epoch));
    let error = load(&["--expect-epoch", "orders=1"], &[]).unwrap_err();
    assert!(
        error.contains("expected an epoch, which is a UUID"),
        "{error}"
    );
}

#[test]
fn redactable_boxes_are_named_by_flags_a_variable_or_the_file() {
    let (_folder, path) = file("redactable = ['a', 'b']");
    let named =
        |flags: &[&str], variables: &[(&str, &str)]| load(flags, variables).unwrap().redactable;
    assert_eq!(
        named(&["--redactable", "a", "--redactable", "b"], &[]),
        ["a", "b"]
    );
    assert_eq!(named(&[], &[("BOXES_REDACTABLE", "a,b")]), ["a", "b"]);
    assert_eq!(named(&["--config", &path], &[]), ["a", "b"]);
    assert_eq!(named(&[], &[]), [""; 0]);
    let error = load(&["--redactable", "No Box"], &[]).unwrap_err();
    assert!(error.contains("--redactable"), "{error}");
}

#[test]
fn a_flag_is_stronger_than_its_variable_and_a_variable_than_the_file() {
    // Flag, variable, key, then how each of the three is written, and a way to see which one held.
    type Case = (
        &'static str,
        &'static str,
        &'static str,
        [&'static str; 3],
        fn(&Config) -> String,
    );
    let cases: &[Case] = &[
        (
            "--bind",
            "BOXES_BIND",
            "bind",
            ["127.0.0.1:1", "127.0.0.1:2", "'127.0.0.1:3'"],
            |c| c.bind.to_string(),
        ),
        (
            "--public-url",
            "BOXES_PUBLIC_URL",
            "public_url",
            ["http://a/", "http://b/", "'http://c/'"],
            |c| c.public_url.clone().unwrap().to_string(),
        ),
        ("--data", "BOXES_DATA", "data", ["a", "b", "'c'"], |c| {
            c.data.display().to_string()
        }),
        (
            "--page-size",
            "BOXES_PAGE_SIZE",
            "page_size",
            ["5", "6", "7"],
            |c| c.page_size.unwrap().to_string(),
        ),
        (
            "--redactable-freshness",
            "BOXES_REDACTABLE_FRESHNESS",
            "redactable_freshness",
            ["1", "2", "3"],
            |c| c.redactable_freshness.as_secs().to_string(),
        ),
        (
            "--delivery",
            "BOXES_DELIVERY",
            "delivery",
            ["synchronous", "concurrent", "'synchronous'"],
            |c| format!("{:?}", c.delivery).to_lowercase(),
        ),
        (
            "--upstream-timeout",
            "BOXES_UPSTREAM_TIMEOUT",
            "upstream_timeout",
            ["5", "6", "7"],
            |c| c.upstream_timeout.as_secs().to_string(),
        ),
        (
            "--upstream-max-body",
            "BOXES_UPSTREAM_MAX_BODY",
            "upstream_max_body",
            ["20000", "30000", "40000"],
            |c| (c.upstream_max_body() / 1024).to_string(),
        ),
        (
            "--long-poll",
            "BOXES_LONG_POLL",
            "long_poll",
            ["5", "6", "7"],
            |c| c.long_poll.as_secs().to_string(),
        ),
        (
            "--poll-interval",
            "BOXES_POLL_INTERVAL",
            "poll_interval",
            ["0.5", "0.25", "0.125"],
            |c| c.poll_interval.as_secs_f64().to_string(),
        ),
        (
            "--request-timeout",
            "BOXES_REQUEST_TIMEOUT",
            "request_timeout",
            ["5", "6", "7"],
            |c| c.request_timeout.as_secs().to_string(),
        ),
        (
            "--shutdown-timeout",
            "BOXES_SHUTDOWN_TIMEOUT",
            "shutdown_timeout",
            ["5", "6", "7"],
            |c| c.shutdown_timeout.as_secs().to_string(),
        ),
        (
            "--max-body",
            "BOXES_MAX_BODY",
            "max_body",
            ["5", "6", "7"],
            |c| (c.max_body / 1024).to_string(),
        ),
        (
            "--max-connections",
            "BOXES_MAX_CONNECTIONS",
            "max_connections",
            ["5", "6", "7"],
            |c| c.max_connections.to_string(),
        ),
        (
            "--max-waiters",
            "BOXES_MAX_WAITERS",
            "max_waiters",
            ["5", "6", "7"],
            |c| c.max_waiters.to_string(),
        ),
        (
            "--aggregate-cache",
            "BOXES_AGGREGATE_CACHE",
            "aggregate_cache",
            ["5", "6", "7"],
            |c| c.aggregate_cache.to_string(),
        ),
        (
            "--page-cache",
            "BOXES_PAGE_CACHE",
            "page_cache",
            ["5", "6", "7"],
            |c| (c.page_cache >> 20).to_string(),
        ),
        (
            "--log",
            "BOXES_LOG",
            "log",
            ["warn", "error", "'debug'"],
            |c| c.log.clone(),
        ),
        (
            "--log-format",
            "BOXES_LOG_FORMAT",
            "log_format",
            ["json", "text", "'json'"],
            |c| format!("{:?}", c.log_format).to_lowercase(),
        ),
    ];
    for (flag, variable, key, [by_flag, by_variable, in_file], held) in cases {
        let (_folder, path) = file(&format!("{key} = {in_file}"));
        let unquoted = in_file.trim_matches('\'');
        let with_file = ["--config", &path];
        assert_eq!(held(&load(&with_file, &[]).unwrap()), unquoted, "{key}");
        assert_eq!(
            held(&load(&[], &[("BOXES_CONFIG", &path)]).unwrap()),
            unquoted,
            "{key}"
        );
        assert_eq!(
            held(&load(&with_file, &[(variable, by_variable)]).unwrap()),
            *by_variable,
            "{variable}"
        );
        assert_eq!(
            held(
                &load(
                    &["--config", &path, flag, by_flag],
                    &[(variable, by_variable)]
                )
                .unwrap()
            ),
            *by_flag,
            "{flag}"
        );
        assert_eq!(
            held(&load(&with_file, &[(variable, "")]).unwrap()),
            unquoted,
            "an empty {variable} is as if it were not there"
        );
    }
}

#[test]
fn what_is_not_given_is_as_help_says() {
    let config = load(&[], &[]).unwrap();
    for setting in boxes_service::SETTINGS {
        let default = match setting.variable {
            "BOXES_BIND" => config.bind.to_string(),
            "BOXES_DATA" => config.data.display().to_string(),
            "BOXES_STORE" => config
                .store_of("orders")
                .to_string()
                .replace("data/orders", "{data}/{box}"),
            "BOXES_LONG_POLL" => config.long_poll.as_secs().to_string(),
            "BOXES_UPSTREAM_TIMEOUT" => config.upstream_timeout.as_secs().to_string(),
            "BOXES_UPSTREAM_MAX_BODY" => {
                let kibibytes = config.upstream_max_body() / 1024;
                format!("{kibibytes}, or twice --max-body if that is more")
            }
            "BOXES_POLL_INTERVAL" => config.poll_interval.as_secs().to_string(),
            "BOXES_REQUEST_TIMEOUT" => config.request_timeout.as_secs().to_string(),
            "BOXES_SHUTDOWN_TIMEOUT" => config.shutdown_timeout.as_secs().to_string(),
            "BOXES_MAX_BODY" => (config.max_body / 1024).to_string(),
            "BOXES_MAX_CONNECTIONS" => config.max_connections.to_string(),
            "BOXES_MAX_WAITERS" => config.max_waiters.to_string(),
            "BOXES_AGGREGATE_CACHE" => config.aggregate_cache.to_string(),
            "BOXES_PAGE_CACHE" => (config.page_cache >> 20).to_string(),
            "BOXES_LARGE_OVER" => (config.large_over / 1024).to_string(),
            "BOXES_LOG" => config.log.clone(),
            _ => continue,
        };
        assert_eq!(default, setting.default, "{}", setting.variable);
    }
    assert_eq!(
        (config.delivery, config.log_format),
        (Delivery::Concurrent, LogFormat::Text)
    );
    assert!(
        config.serve.is_empty()
            && config.follow.is_empty()
            && config.tokens.is_empty()
            && config.public_url.is_none()
    );
}

#[test]
fn entries_of_a_table_are_replaced_one_by_one() {
    let (_folder, path) = file(
        "[store]\norders = 'sqlite:file.db'\npayments = 'sqlite:file.db'\nshipping = 'sqlite:file.db'",
    );
    let flags = [
        "--config",
        &path,
        "--store",
        "orders=memory:",
        "--store",
        "inventory=sqlite:flag.db",
    ];
    let config = load(
        &flags,
        &[(
            "BOXES_STORE",
            "orders=sqlite:variable.db, payments=sqlite:variable.db",
        )],
    )
    .unwrap();
    let sqlite = |file: &str| Store::Sqlite(PathBuf::from(file));
    assert_eq!(
        ["orders", "payments", "shipping", "inventory", "other"].map(|name| config.store_of(name)),
        [
            Store::Memory,
            sqlite("variable.db"),
            sqlite("file.db"),
            sqlite("flag.db"),
            sqlite("data/other.db")
        ]
    );
}

#[test]
fn an_error_about_a_store_does_not_repeat_a_password() {
    for given in [
        "orders=postgres://shop:secret@db:port/shop",
        "orders=postgres://shop:sec,ret@db/shop",
        "orders=mysql://shop:sec,ret@db/shop",
        "orders=mysql://shop:12,sec,ret@db/shop",
        "orders=mariadb://shop:12,sec=ret,ret@db/shop",
        "orders=postgres://shop:1,sec=x,sec=y,ret@db/shop",
        "orders=mysql:/shop:secret",
        "postgres://shop:secret@db/shop",
        "postgres//shop:secret@db/shop",
    ] {
        let error = load(&[], &[("BOXES_STORE", given)])
            .unwrap_err()
            .to_string();
        assert!(!error.contains("sec") && !error.contains("ret@"), "{error}");
    }
}

#[test]
fn the_boxes_to_serve_come_whole_from_the_strongest_source() {
    let (_folder, path) = file("serve = ['orders', 'payments']");
    assert_eq!(
        load(&["--config", &path], &[]).unwrap().serve,
        ["orders", "payments"]
    );
    assert_eq!(
        load(&["--config", &path], &[("BOXES_SERVE", "shipping")])
            .unwrap()
            .serve,
        ["shipping"]
    );
    assert_eq!(
        load(
            &["inventory", "orders", "--config", &path],
            &[("BOXES_SERVE", "shipping")]
        )
        .unwrap()
        .serve,
        ["inventory", "orders"]
    );
}

#[test]
fn a_wrong_value_is_named_with_where_it_stands_and_what_would_be_right() {
    let wrong = |flags: &[&str], variables: &[(&str, &str)]| load(flags, variables).unwrap_err();
    assert_eq!(
        wrong(&["--page-size", "0"], &[]),
        "--page-size is `0`: expected a number of notifications from 1 to 1000"
    );
    assert_eq!(
        wrong(&[], &[("BOXES_BIND", "8080")]),
        "BOXES_BIND is `8080`: expected an address and a port, such as 127.0.0.1:8080"
    );
    assert_eq!(
        wrong(&["Orders"], &[]),
        "[BOX] is `Orders`: expected the name of a box"
    );
    assert_eq!(
        wrong(&["--store", "orders"], &[]),
        "--store is `orders`: expected BOX=STORE"
    );
    assert!(
        wrong(&["--store", "orders=orders.db"], &[])
            .starts_with("--store is `orders.db`: expected `sqlite:FILE`")
    );
    for url in [
        "payments=host/x",
        "payments=ftp://host/x",
        "payments=http://user:secret@host/x",
        "payments=http://host/x?a=b",
    ] {
        assert!(
            wrong(&["--follow", url], &[]).contains("expected an address that begins with http"),
            "{url}"
        );
    }
    for seconds in ["-1", "0", "NaN", "inf", "ten", "31"] {
        assert!(
            wrong(&["--long-poll", seconds], &[]).contains("from 1 to 30"),
            "{seconds}"
        );
    }

    let (_folder, path) = file("bind = '127.0.0.1:1'\npage_size = 'many'");
    assert_eq!(
        wrong(&["--config", &path], &[]),
        format!(
            "`page_size` in {path} is `many`: expected a number of notifications from 1 to 1000"
        )
    );
    let (_folder, path) = file("[follow]\npayments = 1");
    assert!(
        wrong(&["--config", &path], &[])
            .starts_with(&format!("`follow.payments` in {path} is `1`: expected"))
    );
    let (_folder, path) = file("follow = 'payments'");
    assert_eq!(
        wrong(&["--config", &path], &[]),
        format!("`follow` in {path} has the wrong type: expected a table")
    );
    let (_folder, path) = file("[store]\nOrders = 'memory:'");
    assert!(wrong(&["--config", &path], &[]).contains("names `Orders`, which can't be a box"));
}

#[test]
fn a_file_that_is_missing_broken_or_has_a_key_too_many_is_refused() {
    let wrong = |path: &str| load(&["--config", path], &[]).unwrap_err();
    assert!(wrong("/nowhere/boxes.toml").starts_with("/nowhere/boxes.toml can't be read: "));
    let (_folder, path) = file("page_size = 5\n\nbind = = 3");
    let error = wrong(&path);
    assert!(
        error.contains("line 3: ") && !error.contains('\n'),
        "{error}"
    );
    for key in ["colour", "tokens", "config"] {
        let (_folder, path) = file(&format!("{key} = 'x'"));
        assert!(
            wrong(&path).starts_with(&format!(
                "{path} has the key `{key}`, which is none of: serve, bind, "
            )),
            "{key}"
        );
    }
}

#[test]
fn tokens_come_from_the_environment_and_from_files_together_so_that_one_can_replace_another() {
    let (_folder, path) = file(&format!(
        "# from the first of May\n{TOKEN}-file\n\n{TOKEN}-next\n"
    ));
    let config = load(
        &["--tokens-file", &path],
        &[
            ("BOXES_TOKENS", &format!("{TOKEN}-a, {TOKEN}-b")),
            ("BOXES_READ_TOKENS", &format!("{TOKEN}-r")),
        ],
    )
    .unwrap();
    let scopes = |suffix: &str| {
        let grant = config.tokens.check(&format!("{TOKEN}{suffix}"))?;
        Some(grant.scopes().to_string())
    };
    for suffix in ["-a", "-b", "-file", "-next"] {
        assert_eq!(scopes(suffix).as_deref(), Some("command:*"), "{suffix}");
    }
    assert_eq!(scopes("-r").as_deref(), Some("read:*"));
    assert_eq!(scopes(""), None);
    assert!(
        !format!("{config:?}").contains("0123"),
        "a token is never printed"
    );
}

#[test]
fn tokens_with_a_name_allow_what_the_scopes_of_that_name_say() {
    let (_folder, tokens) = file(&format!(
        "shipping={TOKEN}-old\nshipping = {TOKEN}-new==\n{TOKEN}=\n"
    ));
    let (_config_folder, path) =
        file("[scopes]\nshipping = 'read:orders command:payments'\nbilling = 'metrics'\n");
    let flags = [
        "--config",
        &path,
        "--tokens-file",
        &tokens,
        "--scopes",
        "billing=read:*",
    ];
    let config = load(&flags, &[("BOXES_TOKENS", &format!("billing={TOKEN}-b"))]).unwrap();
    let found = |suffix: &str| {
        let grant = config.tokens.check(&format!("{TOKEN}{suffix}")).unwrap();
        format!("{}: {}", grant.client(), grant.scopes())
    };
    assert_eq!(found("-old"), "shipping: read:orders command:payments");
    assert_eq!(found("-new=="), found("-old"));
    assert_eq!(found("-b"), "billing: read:*");
    assert_eq!(found("="), "command-1: command:*");

    let unsaid = load(&["--tokens-file", &tokens], &[]).unwrap_err();
    assert!(
        unsaid.starts_with("--tokens-file (")
            && unsaid.contains("set --scopes shipping=read:BOX")
            && !unsaid.contains("0123"),
        "{unsaid}"
    );
    for wrong in ["shipping=write:orders", "shipping=read:orders;metrics"] {
        let error = load(&["--scopes", wrong], &[]).unwrap_err();
        assert!(
            error.contains("--scopes is `") && error.contains("`read:BOX`"),
            "{error}"
        );
    }
}

const CLIENTS: &str = r#"
[clients.shipping]
tokens = ["shipping-0123456789-old", "shipping-0123456789-new"]
scopes = "read:orders command:payments"

[clients.prometheus]
tokens = ["prometheus-0123456789"]
scopes = ["metrics"]
"#;

#[test]
fn one_file_lists_the_clients_with_their_tokens_and_scopes() {
    let (_folder, path) = file(CLIENTS);
    for (flags, variables) in [
        (vec!["--clients-file", &*path], vec![]),
        (vec![], vec![("BOXES_CLIENTS_FILE", &*path)]),
    ] {
        let config = load(&flags, &variables).unwrap();
        let found = |token: &str| {
            let grant = config.tokens.check(token)?;
            Some(format!("{}: {}", grant.client(), grant.scopes()))
        };
        let shipping = Some("shipping: read:orders command:payments".to_owned());
        assert_eq!(found("shipping-0123456789-old"), shipping);
        assert_eq!(found("shipping-0123456789-new"), shipping);
        let prometheus = Some("prometheus: metrics".to_owned());
        assert_eq!(found("prometheus-0123456789"), prometheus);
        assert_eq!(found("shipping-0123456789"), None);
        assert!(
            !config
                .warnings
                .iter()
                .any(|warning| warning.contains("old settings"))
        );
    }
}

#[test]
fn a_file_of_clients_is_taken_as_a_whole_or_refused_without_repeating_a_token() {
    let secret = "secret-0123456789";
    let one = |tokens: &str, scopes: &str| {
        format!("[clients.shipping]\ntokens = {tokens}\nscopes = {scopes}\n")
    };
    let tokens = format!("['{secret}']");
    for (text, said) in [
        (String::new(), "missing field `clients`"),
        ("[clients]\n".to_owned(), "names no client"),
        (
            one(&tokens, "'write:orders'"),
            "has the scopes `write:orders` for `shipping`",
        ),
        (
            one(&tokens, "''"),
            "for `shipping`: expected one or more of",
        ),
        (
            one("['secret']", "'read:*'"),
            "holds no usable token for `shipping`",
        ),
        (one("[]", "'read:*'"), "has no token for `shipping`"),
        (
            one(&format!("'{secret}'"), "'read:*'"),
            "line 2: expected tables",
        ),
        (
            format!("[clients.Shipping]\ntokens = {tokens}\nscopes = '*'"),
            "`Shipping`",
        ),
        (
            format!("[clients.shipping]\ntokens = {tokens}\nscope = '*'"),
            "unknown field `scope`",
        ),
        (
            format!("[clients.shipping]\ntokens = {tokens}\n"),
            "missing field `scopes`",
        ),
        (format!("tokens = {tokens}"), "unknown field `tokens`"),
        (format!("[clients.shipping\ntokens = {tokens}"), "line 1: "),
        (
            format!("[clients.shipping]\ntokens = ['{secret}"),
            "line 2: ",
        ),
    ] {
        let (_folder, path) = file(&text);
        let error = load(&["--clients-file", &path], &[]).unwrap_err();
        assert!(
            error.starts_with("--clients-file (") && error.contains(said),
            "{said} is missing in: {error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn two_clients_with_one_token_are_refused() {
    let (_folder, path) = file(
        "[clients.one]\ntokens = ['same-0123456789abcdef']\nscopes = 'read:*'\n\
         [clients.other]\ntokens = ['same-0123456789abcdef']\nscopes = 'command:*'\n",
    );
    let config = load(&["--clients-file", &path], &[]).unwrap();
    let error = config.check().unwrap_err().to_string();
    assert!(
        error.contains("`one` and `other`") && !error.contains("same-"),
        "{error}"
    );
    let variables = [("BOXES_TOKENS", TOKEN), ("BOXES_READ_TOKENS", TOKEN)];
    let error = load(&[], &variables).unwrap().check().unwrap_err();
    assert!(error.to_string().contains("the same token"), "{error}");
    // A line too many in an old file is no second client.
    let twice = format!("{TOKEN},{TOKEN}");
    let config = load(&[], &[("BOXES_TOKENS", &twice)]).unwrap();
    config.check().unwrap();
}

#[test]
fn the_settings_before_the_file_of_clients_are_read_with_a_warning_and_not_beside_it() {
    let (_folder, path) = file(CLIENTS);
    for (flags, variable) in [
        (vec![], ("BOXES_TOKENS", TOKEN)),
        (vec![], ("BOXES_READ_TOKENS", TOKEN)),
        (vec!["--scopes", "shipping=read:*"], ("BOXES_NONE", "")),
    ] {
        let config = load(&flags, &[variable]).unwrap();
        let warnings = config.warnings.join("\n");
        assert!(warnings.contains("--clients-file"), "{warnings}");
        let both: Vec<_> = flags
            .iter()
            .chain(&["--clients-file", &*path])
            .copied()
            .collect();
        let error = load(&both, &[variable]).unwrap_err();
        assert!(error.contains("move all of them into the file"), "{error}");
    }
    assert_eq!(load(&[], &[]).unwrap().warnings, [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_can_write_is_refused_and_one_that_they_can_read_is_warned_of() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let (_tokens, tokens) = file(&format!("{TOKEN}\n"));
    let (_clients, clients) = file(CLIENTS);
    let (_keys, keys) = file(&format!("1:{KEY}\n"));
    let (_seal_key, seal_key) = file(SEAL_KEY);
    for (flag, path) in [
        ("--clients-file", &clients),
        ("--tokens-file", &tokens),
        ("--read-tokens-file", &tokens),
        ("--upstream-token-file", &tokens),
        ("--keys-file", &keys),
        ("--seal-key-file", &seal_key),
    ] {
        let with_mode = |mode| {
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
            load(&[flag, path], &[])
        };
        for mode in [0o602, 0o666] {
            let error = with_mode(mode).unwrap_err();
            assert!(
                error.starts_with(&format!(
                    "{flag} names {path}, which other users can write to"
                )),
                "{error}"
            );
        }
        let readable = |warnings: &[String]| {
            let about = format!("{flag} names {path}, which other users can read");
            warnings.iter().any(|warning| warning.starts_with(&about))
        };
        assert!(readable(&with_mode(0o644).unwrap().warnings), "{flag}");
        assert!(!readable(&with_mode(0o640).unwrap().warnings), "{flag}");
        assert!(!readable(&with_mode(0o600).unwrap().warnings), "{flag}");
    }
}

#[test]
fn a_name_with_two_values_in_one_place_is_refused() {
    for (flags, variables) in [
        (
            vec!["--store", "orders=memory:", "--store", "orders=sqlite:a.db"],
            vec![],
        ),
        (
            vec![],
            vec![("BOXES_STORE", "orders=memory:,orders=memory:")],
        ),
        (vec!["--format", "json", "--format", "messagepack"], vec![]),
        (vec![], vec![("BOXES_FOLLOW", "a=http://x/a,a=http://x/b")]),
    ] {
        let error = load(&flags, &variables).unwrap_err();
        assert!(error.contains("has two values"), "{error}");
    }
}

#[test]
fn an_upstream_may_have_a_token_of_its_own() {
    let (_folder, path) = file(&format!("{TOKEN}-file\n"));
    let variables = [(
        "BOXES_UPSTREAM_TOKEN",
        &*format!("{TOKEN}==, payments={TOKEN}-p="),
    )];
    let config = load(
        &[
            "--upstream-token-file",
            &format!("shipping={path}"),
            "--upstream-token-file",
            &format!("payments={path}"),
        ],
        &variables,
    )
    .unwrap();
    let sent = |name| {
        config
            .upstream_token(name)
            .map(|token| token.expose().to_owned())
    };
    assert_eq!(sent("payments"), Some(format!("{TOKEN}-p=")));
    assert_eq!(sent("shipping"), Some(format!("{TOKEN}-file")));
    assert_eq!(sent("orders"), Some(format!("{TOKEN}==")));
}

#[test]
fn a_token_that_is_wrong_is_not_repeated_in_the_error() {
    let (_folder, path) = file("secret one\n");
    for (variables, flags, origin) in [
        (
            vec![("BOXES_TOKENS", "secret")],
            vec![],
            "BOXES_TOKENS holds",
        ),
        (
            vec![("BOXES_UPSTREAM_TOKEN", "payments=secret")],
            vec![],
            "BOXES_UPSTREAM_TOKEN holds",
        ),
        (
            vec![],
            vec!["--read-tokens-file", &path],
            "--read-tokens-file (",
        ),
    ] {
        let error = load(&flags, &variables).unwrap_err();
        assert!(
            error.starts_with(origin) && error.contains("16 to 256") && !error.contains("secret"),
            "{error}"
        );
    }
    let (_folder, path) = file("# none yet\n");
    assert!(
        load(&["--tokens-file", &path], &[])
            .unwrap_err()
            .contains("holds no token")
    );
    assert!(
        load(&["--tokens-file", "/nowhere"], &[])
            .unwrap_err()
            .starts_with("--tokens-file names /nowhere, which can't be read")
    );
}

#[test]
fn an_address_that_others_can_reach_needs_tokens() {
    for bind in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80"] {
        let error = load(&["--bind", bind], &[])
            .unwrap()
            .check()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(bind)
                && error.contains("BOXES_CLIENTS_FILE")
                && error.contains("127.0.0.1"),
            "{error}"
        );
        load(&["--bind", bind], &[("BOXES_TOKENS", TOKEN)])
            .unwrap()
            .check()
            .unwrap();
    }
    for bind in ["127.0.0.1:0", "[::1]:0", "127.8.8.8:1"] {
        load(&["--bind", bind], &[]).unwrap().check().unwrap();
    }
}

#[test]
fn seconds_may_have_a_fraction() {
    assert_eq!(
        load(&["--poll-interval", "0.25"], &[])
            .unwrap()
            .poll_interval,
        Duration::from_millis(250)
    );
}

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn keys_come_from_the_environment_or_a_file_and_are_not_printed() {
    let other = KEY.replace("00", "0f");
    let (_folder, path) = file(&format!("# newest first\n2:{other}\n1:{KEY}\n"));
    let by_variable = format!("2:{other}, 1:{KEY}");
    for (flags, variables) in [
        (vec![], vec![("BOXES_KEYS", &*by_variable)]),
        (vec!["--keys-file", &*path], vec![]),
        (vec![], vec![("BOXES_KEYS_FILE", &*path)]),
    ] {
        let printed = format!("{:?}", load(&flags, &variables).unwrap());
        assert!(
            printed.contains("KeyId(2)") && printed.contains("KeyId(1)"),
            "{printed}"
        );
        assert!(
            !printed.contains("2233") && !printed.contains("34, 51"),
            "{printed}"
        );
    }
    let error = load(&["--keys-file", &path], &[("BOXES_KEYS", &by_variable)]).unwrap_err();
    assert!(error.contains("BOXES_KEYS and by --keys-file"), "{error}");
}

#[test]
fn what_is_said_of_encryption_and_can_not_be_is_refused_in_a_sentence_without_a_key() {
    let keys = format!("1:{KEY}");
    let short = format!("1:{}", &KEY[1..]);
    let (_folder, path) = file(&short);
    let with_keys = vec![("BOXES_KEYS", &*keys)];
    for (flags, variables, said) in [
        (
            vec![],
            vec![("BOXES_KEYS", &*short)],
            "BOXES_KEYS entry 1 is no key",
        ),
        (
            vec![],
            vec![("BOXES_KEYS", "")],
            "BOXES_KEYS is set and empty",
        ),
        (vec!["--keys-file", &path], vec![], "--keys-file ("),
        (vec!["--keys-file", "/nowhere"], vec![], "can't be read"),
        (
            vec!["--encrypt", "all"],
            vec![],
            "set BOXES_KEYS or --keys-file",
        ),
        (
            vec!["--in-the-clear", "refuse"],
            vec![],
            "set BOXES_KEYS or --keys-file",
        ),
        (
            vec!["--in-the-clear", "no"],
            with_keys.clone(),
            "`refuse` or `read`",
        ),
        (vec!["--compress", "zip"], vec![], "`zlib` or `none`"),
        (
            vec!["--encrypt", "all", "--encrypt", "t"],
            with_keys.clone(),
            "topics alone",
        ),
        (
            vec!["--encrypt", "two words"],
            with_keys.clone(),
            "expected `all`, `none`",
        ),
    ] {
        let error = load(&flags, &variables).unwrap_err();
        assert!(error.contains(said), "{said} is missing in: {error}");
        assert!(!error.contains("2233"), "{error}");
    }
    for flags in [
        vec!["--encrypt", "none"],
        vec![
            "--encrypt",
            "none",
            "--in-the-clear",
            "read",
            "--compress",
            "none",
        ],
    ] {
        assert!(load(&flags, &[]).is_ok(), "{flags:?}");
    }
}

#[test]
fn a_format_holds_for_one_box_or_for_all_that_have_none_of_their_own() {
    let config = load(
        &["--format", "orders=json"],
        &[("BOXES_FORMAT", "messagepack,orders=messagepack")],
    );
    let config = config.unwrap();
    assert_eq!(config.format_of("orders"), Some(StateFormat::Json));
    assert_eq!(config.format_of("other"), Some(StateFormat::MessagePack));
    assert_eq!(load(&[], &[]).unwrap().format_of("orders"), None);
    for (given, said) in [
        ("xml", "--format is `xml`: expected `json` or `messagepack`"),
        ("Orders=json", "--format is `Orders=json`: expected"),
    ] {
        let error = load(&["--format", given], &[]).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

const SEAL_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIA5rZN5RZcX/YDfrQrXncQPP8qp3B+GUaqLq5sjBYxhH
-----END PRIVATE KEY-----";

#[test]
fn logs_are_sealed_if_there_is_a_key_or_if_it_is_said_so() {
    let sealing = |arguments: &[&str], variables: &[(&str, &str)]| {
        let sealing = load(arguments, variables).unwrap().sealing;
        (sealing.on, sealing.key.is_some(), sealing.adopts)
    };
    let key = [("BOXES_SEAL_KEY", SEAL_KEY)];
    assert_eq!(sealing(&[], &[]), (false, false, false));
    assert_eq!(sealing(&["--seal", "on"], &[]), (true, false, false));
    assert_eq!(sealing(&[], &key), (true, true, false));
    assert_eq!(sealing(&["--seal", "off"], &key), (false, true, false));
    assert_eq!(sealing(&["--seal", "adopt"], &key), (true, true, true));
    let (_folder, path) = file(SEAL_KEY);
    let from_file = ["--seal-key-file", path.as_str()];
    assert_eq!(sealing(&from_file, &[]), (true, true, false));
}

#[test]
fn what_is_said_of_seals_and_can_not_be_is_refused_in_a_sentence_without_the_key() {
    let (_folder, path) = file("MC4CAQA");
    for (arguments, variables, parts) in [
        (
            vec!["--seal", "yes"],
            vec![],
            vec!["--seal", "`on`, `off` or `adopt`"],
        ),
        (
            vec!["--seal", "adopt"],
            vec![],
            vec!["BOXES_SEAL_KEY", "--seal-key-file"],
        ),
        (
            vec![],
            vec![("BOXES_SEAL_KEY", "MC4CAQA")],
            vec!["BOXES_SEAL_KEY", "openssl genpkey"],
        ),
        (
            vec!["--seal-key-file", &path],
            vec![],
            vec!["--seal-key-file", "openssl genpkey"],
        ),
        (
            vec!["--seal-key-file", &path],
            vec![("BOXES_SEAL_KEY", SEAL_KEY)],
            vec!["BOXES_SEAL_KEY", "--seal-key-file", "leave one"],
        ),
    ] {
        let error = load(&arguments, &variables).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
        assert!(!error.contains("MC4CAQA"), "{error}");
    }
}

#[test]
fn ids_of_events_follow_from_what_they_say_only_if_it_is_said_so() {
    #[derive(Event, Serialize, Deserialize, Clone)]
    #[event(topic = "t.thing", crate = "boxes_domain")]
    enum Thing {
        Happened,
    }
    let has_id = |flags: &[&str]| {
        let mapper = load(flags, &[]).unwrap().mapper;
        let id = mapper.content_id(&Thing::Happened, uuid::Uuid::nil(), 1);
        id.unwrap().is_some()
    };
    assert!(!has_id(&[]) && !has_id(&["--event-ids", "new"]));
    assert!(has_id(&["--event-ids", "content"]));
    let error = load(&["--event-ids", "hash"], &[]).unwrap_err();
    assert!(
        error.contains("--event-ids is `hash`: expected `new` or `content`"),
        "{error}"
    );
}

#[test]
fn a_bound_of_answers_below_what_a_command_may_become_is_refused() {
    let bounds = |max_body: &str, upstream: Option<&str>| {
        let mut arguments = vec!["--max-body", max_body];
        arguments.extend(
            upstream
                .iter()
                .flat_map(|upstream| ["--upstream-max-body", upstream]),
        );
        let config = load(&arguments, &[]).unwrap();
        config.check().map(|()| config.upstream_max_body() / 1024)
    };
    assert_eq!(bounds("1024", None).unwrap(), 65_536);
    // A service of larger commands reads larger events without being told.
    assert_eq!(bounds("65536", None).unwrap(), 131_072);
    assert_eq!(bounds("65536", Some("98304")).unwrap(), 98_304);
    let refused = bounds("65536", Some("98303")).unwrap_err().to_string();
    assert!(refused.contains("--upstream-max-body 98303"), "{refused}");
}
