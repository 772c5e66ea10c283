//! Everything that a service can be told, in one table.

/// How many values a setting takes, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    One,
    /// Several values: positional on the command line, separated by commas in a variable, an array in a file.
    List,
    /// Values by name: `NAME=VALUE`, the flag repeated, separated by commas in a variable, a table in a file.
    Entries,
    /// As [`Entries`](Self::Entries), and a value without a name stands for all names that have none of their own.
    EntriesOrAll,
}

/// One thing that a service can be told: its names, its unit, its default.
///
/// A setting is looked up on the command line, then in the environment, then in the configuration file; the
/// first that has it decides. Settings by name are looked up name by name, so a flag may replace one entry
/// of a table and leave the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the configuration file; `None` where it may not stand there.
    pub key: Option<&'static str>,
    /// Its flag, without the hyphens; `None` for what is positional or must not stand on a command line.
    pub flag: Option<&'static str>,
    /// Its environment variable.
    pub variable: &'static str,
    /// What to write, as `--help` shows it; it says the unit.
    pub value: &'static str,
    /// How many values it takes.
    pub shape: Shape,
    /// What holds when nothing is given, in words.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Setting {
    /// The name that identifies it in this program: its flag, or else its variable.
    pub(crate) const fn id(&self) -> &'static str {
        match self.flag {
            Some(flag) => flag,
            None => self.variable,
        }
    }
}

macro_rules! settings {
    ($($name:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        $(pub(crate) const $name: Setting = Setting { $($field: $value),* };)*

        /// Every setting, in the order in which `--help` lists them.
        pub const SETTINGS: &[Setting] = &[$($name),*];
    };
}

settings! {
    SERVE {
        key: Some("serve"), flag: None, variable: "BOXES_SERVE", value: "BOX", shape: Shape::List,
        default: "every box of the program",
        help: "The boxes to run in this process",
    }
    CONFIG {
        key: None, flag: Some("config"), variable: "BOXES_CONFIG", value: "FILE", shape: Shape::One,
        default: "none",
        help: "Configuration file (TOML) with the settings below: `page_size = 20`, and tables such as `[follow]`",
    }
    BIND {
        key: Some("bind"), flag: Some("bind"), variable: "BOXES_BIND", value: "ADDRESS:PORT", shape: Shape::One,
        default: "127.0.0.1:8080",
        help: "Where to listen; port 0 takes a free one. An address that others can reach needs tokens",
    }
    PUBLIC_URL {
        key: Some("public_url"), flag: Some("public-url"), variable: "BOXES_PUBLIC_URL", value: "URL", shape: Shape::One,
        default: "none: links are paths",
        help: "The base of the links in pages, where clients reach this service by another address than it binds",
    }
    TLS_CERTIFICATE {
        key: Some("tls_certificate"), flag: Some("tls-certificate"), variable: "BOXES_TLS_CERTIFICATE", value: "FILE", shape: Shape::One,
        default: "none: plain HTTP",
        help: "File with the certificate of this service (PEM), and those between it and an authority that clients know; with --tls-key, HTTPS is spoken. Read again at SIGHUP",
    }
    TLS_KEY {
        key: Some("tls_key"), flag: Some("tls-key"), variable: "BOXES_TLS_KEY", value: "FILE", shape: Shape::One,
        default: "none",
        help: "File with the private key of the certificate (PEM)",
    }
    DATA {
        key: Some("data"), flag: Some("data"), variable: "BOXES_DATA", value: "FOLDER", shape: Shape::One,
        default: "data",
        help: "Folder of the databases that `--store` does not place elsewhere; made if missing",
    }
    STORE {
        key: Some("store"), flag: Some("store"), variable: "BOXES_STORE", value: "BOX=STORE", shape: Shape::Entries,
        default: "sqlite:{data}/{box}.db",
        help: "Where a box keeps its events: `sqlite:FILE`, `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE`, or `memory:` to lose them at the end. Repeatable",
    }
    FOLLOW {
        key: Some("follow"), flag: Some("follow"), variable: "BOXES_FOLLOW", value: "BOX=URL", shape: Shape::Entries,
        default: "boxes of this process directly",
        help: "Where a followed box publishes its log: `payments=http://host:8080/payments/notifications`; `kennel=eventsourcing-9+http://…` if it is an application of the Python library, version 9, or 8. Repeatable",
    }
    PAGE_SIZE {
        key: Some("page_size"), flag: Some("page-size"), variable: "BOXES_PAGE_SIZE", value: "NOTIFICATIONS", shape: Shape::One,
        default: "20 for a new log, its own for one that is there",
        help: "Notifications in a page of a log, 1 to 1000; fixed when the log is made, and refused if it has another",
    }
    EXPECT_EPOCH {
        key: Some("expect_epoch"), flag: Some("expect-epoch"), variable: "BOXES_EXPECT_EPOCH", value: "BOX=EPOCH", shape: Shape::Entries,
        default: "none: whatever epoch the log has",
        help: "The epoch that the log of a box must have: a database with another history, or none, is refused. Repeatable",
    }
    REDACTABLE {
        key: Some("redactable"), flag: Some("redactable"), variable: "BOXES_REDACTABLE", value: "BOX", shape: Shape::List,
        default: "the boxes that are declared so",
        help: "Boxes of which aggregates may be deleted, which redacts their notifications: caches then keep archived pages for a while only. Say so from the start. Repeatable",
    }
    REDACTABLE_FRESHNESS {
        key: Some("redactable_freshness"), flag: Some("redactable-freshness"), variable: "BOXES_REDACTABLE_FRESHNESS", value: "SECONDS", shape: Shape::One,
        default: "3600",
        help: "How long caches may keep archived pages of redactable logs before they ask again, 0 to 31536000: so long a deletion may take to reach them",
    }
    DELIVERY {
        key: Some("delivery"), flag: Some("delivery"), variable: "BOXES_DELIVERY", value: "concurrent|synchronous", shape: Shape::One,
        default: "concurrent",
        help: "When boxes of this process learn of each other's events: meanwhile, or before the command that caused them returns",
    }
    CLIENTS_FILE {
        key: Some("clients_file"), flag: Some("clients-file"), variable: "BOXES_CLIENTS_FILE", value: "FILE", shape: Shape::One,
        default: "none: everyone who reaches the address may read and command",
        help: "File (TOML) of the clients that may use this service: a table `[clients.NAME]` for each, with its `tokens` and its `scopes`: `read:BOX` for its logs and what its routes show, `read:LOG` for one log, `command:BOX` to command and read it, `*` for every box, `metrics`. Read again at SIGHUP",
    }
    TOKENS {
        key: None, flag: None, variable: "BOXES_TOKENS", value: "[NAME=]TOKEN", shape: Shape::List,
        default: "none",
        help: "Replaced by --clients-file, and read with a warning: bearer tokens that may read and command, or with `NAME=` do what --scopes says of that name; several are separated by commas",
    }
    TOKENS_FILE {
        key: Some("tokens_file"), flag: Some("tokens-file"), variable: "BOXES_TOKENS_FILE", value: "FILE", shape: Shape::One,
        default: "none",
        help: "Replaced by --clients-file, and read with a warning: file of bearer tokens, one per line, same format as BOXES_TOKENS; used in addition to it",
    }
    READ_TOKENS {
        key: None, flag: None, variable: "BOXES_READ_TOKENS", value: "TOKEN", shape: Shape::List,
        default: "none",
        help: "Replaced by --clients-file, and read with a warning: bearer tokens that may only read (GET and HEAD)",
    }
    READ_TOKENS_FILE {
        key: Some("read_tokens_file"), flag: Some("read-tokens-file"), variable: "BOXES_READ_TOKENS_FILE", value: "FILE", shape: Shape::One,
        default: "none",
        help: "Replaced by --clients-file, and read with a warning: file of bearer tokens that may only read, one per line; used in addition to BOXES_READ_TOKENS",
    }
    SCOPES {
        key: Some("scopes"), flag: Some("scopes"), variable: "BOXES_SCOPES", value: "NAME=SCOPES", shape: Shape::Entries,
        default: "none",
        help: "Replaced by --clients-file, and read with a warning: what the tokens of a name allow, scopes with spaces between them. Repeatable",
    }
    UPSTREAM_TOKEN {
        key: None, flag: None, variable: "BOXES_UPSTREAM_TOKEN", value: "[BOX=]TOKEN", shape: Shape::EntriesOrAll,
        default: "none",
        help: "Bearer token to send to followed services; with `BOX=`, to that one only",
    }
    UPSTREAM_TOKEN_FILE {
        key: Some("upstream_token_file"), flag: Some("upstream-token-file"), variable: "BOXES_UPSTREAM_TOKEN_FILE", value: "[BOX=]FILE", shape: Shape::EntriesOrAll,
        default: "none",
        help: "File with the bearer token to send to followed services; with `BOX=`, to that one only. Repeatable",
    }
    UPSTREAM_CA {
        key: Some("upstream_ca"), flag: Some("upstream-ca"), variable: "BOXES_UPSTREAM_CA", value: "[BOX=]FILE", shape: Shape::EntriesOrAll,
        default: "the authorities that the system trusts",
        help: "File with the certificates of the authorities (PEM) that vouch for followed services at https://, instead of those of the system; with `BOX=`, for that one only. Repeatable",
    }
    KEYS {
        key: None, flag: None, variable: "BOXES_KEYS", value: "NUMBER:KEY", shape: Shape::One,
        default: "none: events are stored in the clear",
        help: "Keys of encrypted events, `1:` and 64 hexadecimal digits (`openssl rand -hex 32`); several, separated by commas: the first encrypts, all decrypt",
    }
    KEYS_FILE {
        key: Some("keys_file"), flag: Some("keys-file"), variable: "BOXES_KEYS_FILE", value: "FILE", shape: Shape::One,
        default: "none",
        help: "File of keys, one a line, instead of BOXES_KEYS",
    }
    ENCRYPT {
        key: Some("encrypt"), flag: Some("encrypt"), variable: "BOXES_ENCRYPT", value: "all|none|TOPIC", shape: Shape::List,
        default: "all if there are keys, otherwise none",
        help: "Which events are stored encrypted: `orders.order` stands for all topics below it, too. Metadata stays in the clear. Repeatable",
    }
    IN_THE_CLEAR {
        key: Some("in_the_clear"), flag: Some("in-the-clear"), variable: "BOXES_IN_THE_CLEAR", value: "read|refuse", shape: Shape::One,
        default: "read",
        help: "What to do with stored events that `--encrypt` would encrypt and that are not: refuse them as soon as there are none, so that nobody can slip one in",
    }
    FORMAT {
        key: Some("format"), flag: Some("format"), variable: "BOXES_FORMAT", value: "[BOX=]json|messagepack", shape: Shape::EntriesOrAll,
        default: "what the box declares, otherwise json",
        help: "How the state of events is written; with `BOX=`, by that box only. JSON stands in pages as it is, MessagePack takes fewer bytes; what is stored is read in either. Repeatable",
    }
    COMPRESS {
        key: Some("compress"), flag: Some("compress"), variable: "BOXES_COMPRESS", value: "none|zlib", shape: Shape::One,
        default: "none",
        help: "How events are compressed before they are encrypted and stored, where that makes them smaller",
    }
    EVENT_IDS {
        key: Some("event_ids"), flag: Some("event-ids"), variable: "BOXES_EVENT_IDS", value: "new|content", shape: Shape::One,
        default: "new",
        help: "Where the ids of events come from: each is a new one that ascends with time, or follows from what the event says, so that the same event decided twice has one id. Events that are encrypted or have personal parts always get new ones",
    }
    LARGE_OVER {
        key: Some("large_over"), flag: Some("large-over"), variable: "BOXES_LARGE_OVER", value: "KIBIBYTES", shape: Shape::One,
        default: "16",
        help: "Values of events that may be large (`Large`) are stored apart from them if they have more, 1 to 8192",
    }
    VALUES_FOLDER {
        key: Some("values_folder"), flag: Some("values-folder"), variable: "BOXES_VALUES_FOLDER", value: "FOLDER", shape: Shape::One,
        default: "none: in the database of each box",
        help: "Folder for values that are stored apart, those of each box in a folder of its name in it; made if missing. Replicas have to share it. What was kept in the database before is found there still",
    }
    SUBJECT_KEYS {
        key: Some("subject_keys"), flag: Some("subject-keys"), variable: "BOXES_SUBJECT_KEYS", value: "STORE", shape: Shape::One,
        default: "beside the events of each box",
        help: "One store for the keys of subjects of all boxes, so that personal data can be forgotten in all of them at once: for services that follow each other",
    }
    SEAL {
        key: Some("seal"), flag: Some("seal"), variable: "BOXES_SEAL", value: "on|off|adopt", shape: Shape::One,
        default: "on if there is a key that signs, otherwise off",
        help: "Whether archived pages are sealed, so that `verify` finds what was changed: a hash chain, signed if there is a key. `adopt` continues seals that another key signed, or none: once, with a new key, after `verify`",
    }
    SEAL_KEY {
        key: None, flag: None, variable: "BOXES_SEAL_KEY", value: "PEM", shape: Shape::One,
        default: "none: seals are not signed",
        help: "The private key that signs seals, as `openssl genpkey -algorithm ed25519` prints it",
    }
    SEAL_KEY_FILE {
        key: Some("seal_key_file"), flag: Some("seal-key-file"), variable: "BOXES_SEAL_KEY_FILE", value: "FILE", shape: Shape::One,
        default: "none",
        help: "File with the private key that signs seals, instead of BOXES_SEAL_KEY",
    }
    SEAL_MARKS {
        key: Some("seal_marks"), flag: Some("seal-marks"), variable: "BOXES_SEAL_MARKS", value: "FOLDER", shape: Shape::One,
        default: "next to the file of an SQLite database, otherwise the folder of --data",
        help: "Folder for files that remember how far logs were sealed. Choose one that those who can write to the databases can't: sealing stops where the seals in a database are behind that",
    }
    LONG_POLL {
        key: Some("long_poll"), flag: Some("long-poll"), variable: "BOXES_LONG_POLL", value: "SECONDS", shape: Shape::One,
        default: "20",
        help: "How long a request for news of a followed service may wait there, 1 to 30",
    }
    UPSTREAM_TIMEOUT {
        key: Some("upstream_timeout"), flag: Some("upstream-timeout"), variable: "BOXES_UPSTREAM_TIMEOUT", value: "SECONDS", shape: Shape::One,
        default: "30",
        help: "How long a request to a followed service may take, 0.1 to 3600; what it waits for news comes on top",
    }
    UPSTREAM_MAX_BODY {
        key: Some("upstream_max_body"), flag: Some("upstream-max-body"), variable: "BOXES_UPSTREAM_MAX_BODY", value: "KIBIBYTES", shape: Shape::One,
        default: "65536, or twice --max-body if that is more",
        help: "The largest answer of a followed service that is read, 16384 to 4194304: a larger page is read by its single notifications. At least one and a half times --max-body, so that the largest event fits",
    }
    POLL_INTERVAL {
        key: Some("poll_interval"), flag: Some("poll-interval"), variable: "BOXES_POLL_INTERVAL", value: "SECONDS", shape: Shape::One,
        default: "1",
        help: "How often a follower looks for news that it was not woken for, and how soon somebody who was forgotten elsewhere is so here, 0.01 to 3600",
    }
    REQUEST_TIMEOUT {
        key: Some("request_timeout"), flag: Some("request-timeout"), variable: "BOXES_REQUEST_TIMEOUT", value: "SECONDS", shape: Shape::One,
        default: "30",
        help: "How long a request to a box's own routes may take, 0.1 to 3600",
    }
    SHUTDOWN_TIMEOUT {
        key: Some("shutdown_timeout"), flag: Some("shutdown-timeout"), variable: "BOXES_SHUTDOWN_TIMEOUT", value: "SECONDS", shape: Shape::One,
        default: "8",
        help: "How long requests and followers may take to finish after SIGTERM or ctrl-c, 0.1 to 3600",
    }
    MAX_BODY {
        key: Some("max_body"), flag: Some("max-body"), variable: "BOXES_MAX_BODY", value: "KIBIBYTES", shape: Shape::One,
        default: "1024",
        help: "The largest request body, 1 to 1048576",
    }
    MAX_CONNECTIONS {
        key: Some("max_connections"), flag: Some("max-connections"), variable: "BOXES_MAX_CONNECTIONS", value: "CONNECTIONS", shape: Shape::One,
        default: "8192",
        help: "Connections served at a time, 1 to 1000000. Beyond that, only health checks are answered; other requests are told to come back (503)",
    }
    MAX_CONNECTIONS_PER_ADDRESS {
        key: Some("max_connections_per_address"), flag: Some("max-connections-per-address"), variable: "BOXES_MAX_CONNECTIONS_PER_ADDRESS", value: "CONNECTIONS", shape: Shape::One,
        default: "half of --max-connections",
        help: "The part of them that one address may have, 1 to 1000000; in IPv6 one network of 64 bits. Addresses of --trusted-proxies have no such limit",
    }
    RATE_LIMIT {
        key: Some("rate_limit"), flag: Some("rate-limit"), variable: "BOXES_RATE_LIMIT", value: "REQUESTS", shape: Shape::One,
        default: "none",
        help: "Requests a second that one client may send in the long run, by its token or else by its address, 1 to 1000000; more are told to come back (429)",
    }
    RATE_BURST {
        key: Some("rate_burst"), flag: Some("rate-burst"), variable: "BOXES_RATE_BURST", value: "REQUESTS", shape: Shape::One,
        default: "10 times --rate-limit",
        help: "Requests that one client may send at once after a pause, 1 to 10000000",
    }
    TRUSTED_PROXIES {
        key: Some("trusted_proxies"), flag: Some("trusted-proxies"), variable: "BOXES_TRUSTED_PROXIES", value: "NETWORK", shape: Shape::List,
        default: "none: X-Forwarded-For is ignored",
        help: "Proxies that are believed what they say in X-Forwarded-For of the addresses of clients: `127.0.0.1`, `10.0.0.0/8`. Repeatable",
    }
    CORS_ORIGIN {
        key: Some("cors_origin"), flag: Some("cors-origin"), variable: "BOXES_CORS_ORIGIN", value: "ORIGIN", shape: Shape::List,
        default: "none",
        help: "Origins whose scripts a browser may let read and command: `https://shop.example`, or `*` for any. Repeatable",
    }
    MAX_WAITERS {
        key: Some("max_waiters"), flag: Some("max-waiters"), variable: "BOXES_MAX_WAITERS", value: "REQUESTS", shape: Shape::One,
        default: "1024",
        help: "Requests that may wait for news of a log at a time, 0 to 1000000; more are told to come back",
    }
    HEARTBEAT {
        key: Some("heartbeat"), flag: Some("heartbeat"), variable: "BOXES_HEARTBEAT", value: "SECONDS", shape: Shape::One,
        default: "15",
        help: "How long a stream of events is silent before a comment is sent, 0.1 to 3600; less than what proxies on the way take for dead",
    }
    SLOW_CLIENT_TIMEOUT {
        key: Some("slow_client_timeout"), flag: Some("slow-client-timeout"), variable: "BOXES_SLOW_CLIENT_TIMEOUT", value: "SECONDS", shape: Shape::One,
        default: "30",
        help: "How long a client may read nothing of what it is sent before its connection is closed, 0.1 to 3600",
    }
    AGGREGATE_CACHE {
        key: Some("aggregate_cache"), flag: Some("aggregate-cache"), variable: "BOXES_AGGREGATE_CACHE", value: "AGGREGATES", shape: Shape::One,
        default: "10000",
        help: "Aggregates kept in memory by each box, 0 to 100000000",
    }
    PAGE_CACHE {
        key: Some("page_cache"), flag: Some("page-cache"), variable: "BOXES_PAGE_CACHE", value: "MEBIBYTES", shape: Shape::One,
        default: "64",
        help: "Archived pages kept in memory by each log, 0 to 1048576",
    }
    LOG {
        key: Some("log"), flag: Some("log"), variable: "BOXES_LOG", value: "FILTER", shape: Shape::One,
        default: "info",
        help: "What to log, by level and module: `info`, or `warn,boxes_http=debug`",
    }
    LOG_FORMAT {
        key: Some("log_format"), flag: Some("log-format"), variable: "BOXES_LOG_FORMAT", value: "text|json", shape: Shape::One,
        default: "text",
        help: "How log lines are written to standard error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_setting_follow_from_each_other() {
        for setting in SETTINGS {
            let word = setting
                .variable
                .strip_prefix("BOXES_")
                .unwrap()
                .to_lowercase();
            assert!(setting.key.is_none_or(|key| key == word), "{setting:?}");
            assert!(
                setting
                    .flag
                    .is_none_or(|flag| flag == word.replace('_', "-")),
                "{setting:?}"
            );
        }
    }

    #[test]
    fn a_secret_stands_neither_on_a_command_line_nor_in_the_configuration_file() {
        for setting in SETTINGS
            .iter()
            .filter(|s| s.value.contains("TOKEN") || s.value.contains(":KEY"))
        {
            assert_eq!(
                (setting.flag, setting.key),
                (None, None),
                "{}",
                setting.variable
            );
        }
    }
}
