//! What a service is told, read and checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use boxes_application::ValueFolder;
use boxes_http::{Authorities, NotificationLogOptions, RemoteOptions};
use boxes_mapper::Mapper;
use thiserror::Error;
use url::Url;
use uuid::Uuid;

use crate::access::{self, accepted_tokens, upstream_tokens};
use crate::encryption;
use crate::layers::{Layers, is_box_name, is_log_name};
use crate::sealing::{self, Sealing};
use crate::secret_file::{self, read_secret_file};
use crate::setting::{self, Setting};
use crate::store::Store;
use crate::suggestion::did_you_mean;
use crate::telemetry::LogFormat;

use crate::upstream_address::UPSTREAM_ADDRESS;
use crate::{
    BoundedContext, CorsOrigin, Network, RateLimit, ServeOptions, StartError, TlsFiles, Token,
    Tokens, UpstreamAddress,
};

/// What a service is told: every setting with its value.
///
/// [`Config::default`] is what a program runs with that is told nothing, apart from the log: a library must
/// not set that up unasked, so only a program's `run` reads `log` and `log_format`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The boxes to run, by name; empty for every box of the program.
    pub serve: Vec<String>,
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The base of the links in pages; `None` makes them paths.
    pub public_url: Option<Url>,
    /// The files with which HTTPS is spoken; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Folder of the databases that are not placed elsewhere.
    pub data: PathBuf,
    /// Where a box keeps its events, by box; `{data}/{box}.db` for those that are not named.
    pub stores: BTreeMap<String, Store>,
    /// Where a followed box publishes its log, by box; directly for boxes of this process that are not named.
    pub follow: BTreeMap<String, UpstreamAddress>,
    /// Notifications in a page of a log; `None` for what the log has, and 20 for a new one.
    pub page_size: Option<NonZeroU32>,
    /// The epochs that logs must have, by box.
    pub expected_epochs: BTreeMap<String, Uuid>,
    /// The boxes of which aggregates may be deleted, beside those that are
    /// [declared so](crate::BoundedContext::redactable).
    pub redactable: Vec<String>,
    /// How long caches may keep archived pages of those boxes before they ask again.
    pub redactable_freshness: Duration,
    /// When boxes of this process learn of each other's events.
    pub delivery: Delivery,
    /// The bearer tokens that this service accepts; none asks for none.
    pub tokens: Tokens,
    /// The bearer tokens that this service sends, by followed box; under an empty name for all others.
    pub upstream_tokens: BTreeMap<String, Token>,
    /// Who vouches for followed services at `https://`, by followed box; under an empty name for all others. The
    /// authorities of the system for those that are not named.
    pub upstream_authorities: BTreeMap<String, Authorities>,
    /// How the boxes store their events: in the clear, or compressed and encrypted.
    pub mapper: Mapper,
    /// Whether `--encrypt none` is set: a box may then write plaintext into a log whose newest events are encrypted, which is
    /// refused otherwise.
    pub encrypts_none: bool,
    /// In which format a box writes the state of its events, by box; under an empty name for all others. Those that
    /// are not named write what they declare, otherwise what `mapper` does.
    pub formats: BTreeMap<String, StateFormat>,
    /// Where keys of subjects are kept, for all boxes; `None` keeps them beside the events of each box.
    pub subject_keys: Option<Store>,
    /// Values of events of more bytes than this are stored apart from them.
    pub large_over: usize,
    /// The folder for those, with one in it for each box; `None` keeps them in the databases of the boxes.
    pub values_folder: Option<PathBuf>,
    /// Whether and how the logs of the boxes are sealed.
    pub sealing: Sealing,
    /// How long a request for news of a followed service may wait there.
    pub long_poll: Duration,
    /// How long a request to a followed service may take; what it waits for news comes on top.
    pub upstream_timeout: Duration,
    /// The largest answer of a followed service that is read, in bytes; `None` for 64 MiB, or twice `max_body` if that is
    /// more.
    pub upstream_max_body: Option<usize>,
    /// How often a follower looks for news that it was not woken for, and how long somebody who was forgotten in another
    /// process may still be known here.
    pub poll_interval: Duration,
    /// How long a request to a box's own routes may take.
    pub request_timeout: Duration,
    /// How long requests and followers may take to finish at the end.
    pub shutdown_timeout: Duration,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Connections served at a time.
    pub max_connections: usize,
    /// The part of them that one address may have, other than a trusted proxy; `None` for half.
    pub max_connections_per_address: Option<usize>,
    /// Requests that may wait for news of a log at a time.
    pub max_waiters: usize,
    /// How many requests each client may send; `None` for as many as it likes.
    pub rate_limit: Option<RateLimit>,
    /// Proxies that are believed what they say of the addresses of clients.
    pub trusted_proxies: Vec<Network>,
    /// Origins whose scripts a browser may let read and command.
    pub cors_origins: Vec<CorsOrigin>,
    /// How long a stream of events is silent before a comment is sent.
    pub heartbeat: Duration,
    /// How long a client may read nothing of what it is sent before its connection is closed.
    pub slow_client_timeout: Duration,
    /// Aggregates kept in memory by each box.
    pub aggregate_cache: usize,
    /// Archived pages kept in memory by each log, in bytes.
    pub page_cache: u64,
    /// What to log, by level and module.
    pub log: String,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What an operator should know of these settings, a sentence each: a program's `run` logs them.
    pub warnings: Vec<String>,
}

/// When boxes of one process learn of each other's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Meanwhile: a command returns when its own events are stored.
    #[default]
    Concurrent,
    /// Before the command returns: all that it caused in other boxes has happened then, in one order.
    Synchronous,
}

/// A format of the kit, in which a box writes the state of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateFormat {
    /// JSON, which stands in pages as it is.
    Json,
    /// `MessagePack`, which takes fewer bytes; in JSON pages it is base64.
    MessagePack,
}

/// A setting can't be used. The message is one sentence, says where it stands, and what would be right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is none of those that the setting takes.
    #[error("{origin} {problem}")]
    Value {
        /// The flag, the variable, or the key and the file.
        origin: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A file can't be read.
    #[error("{} can't be read: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration file has a key that no setting has.
    #[error("{} has the key `{key}`, which is none of: {known}{}", path.display(), did_you_mean(key, known.split(", ")))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The keys that there are.
        known: String,
    },
    /// Settings that are right by themselves don't go together.
    #[error("{reason}")]
    Together {
        /// What does not go together, and what to set.
        reason: String,
    },
}

/// The least that may be set for answers of followed services, in KiB: a large value fits with much to spare.
const MIN_UPSTREAM_MAX_BODY_KIB: u64 = 16 * 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            serve: Vec::new(),
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            tls: None,
            data: PathBuf::from("data"),
            stores: BTreeMap::new(),
            follow: BTreeMap::new(),
            page_size: None,
            expected_epochs: BTreeMap::new(),
            redactable: Vec::new(),
            redactable_freshness: NotificationLogOptions::DEFAULT_REDACTABLE,
            delivery: Delivery::Concurrent,
            tokens: Tokens::default(),
            upstream_tokens: BTreeMap::new(),
            upstream_authorities: BTreeMap::new(),
            mapper: Mapper::default(),
            encrypts_none: false,
            formats: BTreeMap::new(),
            subject_keys: None,
            large_over: boxes_application::DEFAULT_LARGE_OVER,
            values_folder: None,
            sealing: Sealing::default(),
            long_poll: Duration::from_secs(20),
            upstream_timeout: RemoteOptions::DEFAULT_REQUEST_TIMEOUT,
            upstream_max_body: None,
            poll_interval: Duration::from_secs(1),
            request_timeout: Duration::from_secs(30),
            // Below the 10 seconds after which `docker stop` kills.
            shutdown_timeout: Duration::from_secs(8),
            max_body: 1024 * 1024,
            max_connections: 8192,
            max_connections_per_address: None,
            max_waiters: NotificationLogOptions::DEFAULT_MAX_WAITERS,
            rate_limit: None,
            trusted_proxies: Vec::new(),
            cors_origins: Vec::new(),
            heartbeat: NotificationLogOptions::DEFAULT_HEARTBEAT,
            slow_client_timeout: NotificationLogOptions::DEFAULT_SLOW_CLIENT_TIMEOUT,
            aggregate_cache: 10_000,
            page_cache: NotificationLogOptions::DEFAULT_CACHE_BYTES,
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// What the command line, the environment and the configuration file say, in that order of precedence.
    ///
    /// `variables` is the environment ([`std::env::vars`] in a program); what does not begin with `BOXES_` is
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], if a value is wrong or a file can't be read.
    pub fn load(
        options: &ServeOptions,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let layers = Layers::new(options.values().clone(), variables.into_iter().collect())?;
        let mut config = Self::default();
        for given in layers.list(&setting::SERVE)? {
            config.serve.push(given.parse("the name of a box", |text| {
                is_box_name(text).then(|| text.to_owned())
            })?);
        }
        let set = Reader { layers: &layers };
        set.value(
            &setting::BIND,
            "an address and a port, such as 127.0.0.1:8080",
            |t| t.parse().ok(),
            &mut config.bind,
        )?;
        set.value(
            &setting::PUBLIC_URL,
            HTTP_URL,
            |t| http_url(t).map(Some),
            &mut config.public_url,
        )?;
        set.value(&setting::DATA, "a folder", folder, &mut config.data)?;
        config.stores = set.entries(&setting::STORE, crate::store::STORE, |t| t.parse().ok())?;
        config.follow = set.entries(&setting::FOLLOW, UPSTREAM_ADDRESS, |t| t.parse().ok())?;
        set.value(
            &setting::PAGE_SIZE,
            "a number of notifications from 1 to 1000",
            |t| page_size(t).map(Some),
            &mut config.page_size,
        )?;
        config.expected_epochs =
            set.entries(&setting::EXPECT_EPOCH, "an epoch, which is a UUID", |t| {
                t.parse().ok()
            })?;
        for given in layers.list(&setting::REDACTABLE)? {
            config
                .redactable
                .push(given.parse("the name of a box", |text| {
                    is_box_name(text).then(|| text.to_owned())
                })?);
        }
        set.seconds(
            &setting::REDACTABLE_FRESHNESS,
            0.0,
            31_536_000.0,
            &mut config.redactable_freshness,
        )?;
        set.value(
            &setting::DELIVERY,
            "`concurrent` or `synchronous`",
            delivery,
            &mut config.delivery,
        )?;
        set.seconds(&setting::LONG_POLL, 1.0, 30.0, &mut config.long_poll)?;
        set.seconds(
            &setting::UPSTREAM_TIMEOUT,
            0.1,
            3600.0,
            &mut config.upstream_timeout,
        )?;
        set.seconds(
            &setting::POLL_INTERVAL,
            0.01,
            3600.0,
            &mut config.poll_interval,
        )?;
        set.seconds(
            &setting::REQUEST_TIMEOUT,
            0.1,
            3600.0,
            &mut config.request_timeout,
        )?;
        set.seconds(
            &setting::SHUTDOWN_TIMEOUT,
            0.1,
            3600.0,
            &mut config.shutdown_timeout,
        )?;
        set.number(
            &setting::MAX_BODY,
            "kibibytes",
            1,
            1024 * 1024,
            1024,
            &mut config.max_body,
        )?;
        let mut upstream_max_body = 0;
        set.number(
            &setting::UPSTREAM_MAX_BODY,
            "kibibytes",
            MIN_UPSTREAM_MAX_BODY_KIB,
            4 * 1024 * 1024,
            1024,
            &mut upstream_max_body,
        )?;
        config.upstream_max_body = (upstream_max_body > 0).then_some(upstream_max_body);
        set.number(
            &setting::MAX_CONNECTIONS,
            "connections",
            1,
            1_000_000,
            1,
            &mut config.max_connections,
        )?;
        let mut per_address = 0;
        set.number(
            &setting::MAX_CONNECTIONS_PER_ADDRESS,
            "connections",
            1,
            1_000_000,
            1,
            &mut per_address,
        )?;
        config.max_connections_per_address = (per_address > 0).then_some(per_address);
        set.number(
            &setting::MAX_WAITERS,
            "requests",
            0,
            1_000_000,
            1,
            &mut config.max_waiters,
        )?;
        config.rate_limit = set.rate_limit()?;
        set.list(&setting::TRUSTED_PROXIES, &mut config.trusted_proxies)?;
        set.list(&setting::CORS_ORIGIN, &mut config.cors_origins)?;
        set.seconds(&setting::HEARTBEAT, 0.1, 3600.0, &mut config.heartbeat)?;
        set.seconds(
            &setting::SLOW_CLIENT_TIMEOUT,
            0.1,
            3600.0,
            &mut config.slow_client_timeout,
        )?;
        set.number(
            &setting::AGGREGATE_CACHE,
            "aggregates",
            0,
            100_000_000,
            1,
            &mut config.aggregate_cache,
        )?;
        set.number(
            &setting::PAGE_CACHE,
            "mebibytes",
            0,
            1024 * 1024,
            1024 * 1024,
            &mut config.page_cache,
        )?;
        set.value(
            &setting::LOG,
            "levels by module, such as `info` or `warn,boxes_http=debug`",
            log_filter,
            &mut config.log,
        )?;
        set.value(
            &setting::LOG_FORMAT,
            "`text` or `json`",
            |t| t.parse().ok(),
            &mut config.log_format,
        )?;
        config.tokens = accepted_tokens(&layers)?;
        config.upstream_tokens = upstream_tokens(&layers)?;
        config.upstream_authorities = set.upstream_authorities()?;
        config.tls = set.tls()?;
        config.mapper = encryption::mapper(&layers)?;
        config.encrypts_none = encryption::is_none(&layers)?;
        let mut content_ids = false;
        set.value(
            &setting::EVENT_IDS,
            "`new` or `content`",
            |text| match text {
                "new" => Some(false),
                "content" => Some(true),
                _ => None,
            },
            &mut content_ids,
        )?;
        if content_ids {
            config.mapper = config.mapper.with_content_ids();
        }
        config.formats = encryption::formats(&layers)?;
        set.value(
            &setting::SUBJECT_KEYS,
            crate::store::STORE,
            |t| t.parse().ok().map(Some),
            &mut config.subject_keys,
        )?;
        set.number(
            &setting::LARGE_OVER,
            "kibibytes",
            1,
            8192,
            1024,
            &mut config.large_over,
        )?;
        set.value(
            &setting::VALUES_FOLDER,
            "a folder",
            |t| folder(t).map(Some),
            &mut config.values_folder,
        )?;
        config.sealing = sealing::sealing(&layers)?;
        config.warnings = secret_file::warnings(&layers)?;
        config.warnings.extend(access::warning(&layers)?);
        Ok(config)
    }

    /// Holds what must hold between settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Together`], if an address that others can reach is to be bound without tokens, or two clients have
    /// the same token.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.bind.ip().is_loopback() && self.tokens.is_empty() {
            let reason = format!(
                "{} can be reached from other machines and no clients are set: name a file of clients and their tokens with --clients-file (BOXES_CLIENTS_FILE), or bind to 127.0.0.1",
                self.bind
            );
            return Err(ConfigError::Together { reason });
        }
        self.check_upstream_max_body()?;
        if let Some((one, other)) = self.tokens.shared() {
            let reason = format!(
                "the clients `{one}` and `{other}` have the same token: give each its own, so that they can be told apart"
            );
            return Err(ConfigError::Together { reason });
        }
        Ok(())
    }

    /// The largest answer of a followed service that is read, in bytes.
    #[must_use]
    pub fn upstream_max_body(&self) -> usize {
        let default = RemoteOptions::DEFAULT_MAX_BODY_BYTES.max(self.max_body.saturating_mul(2));
        self.upstream_max_body.unwrap_or(default)
    }

    /// Whether events of the largest commands can be read by boxes with the same settings: in a page state may be base64.
    fn check_upstream_max_body(&self) -> Result<(), ConfigError> {
        let needed = self.max_body.saturating_add(self.max_body / 2);
        if self.upstream_max_body() >= needed {
            return Ok(());
        }
        Err(ConfigError::Together {
            reason: format!(
                "--upstream-max-body {} is less than one and a half times --max-body {}: the events of the largest commands could not be followed",
                self.upstream_max_body() / 1024,
                self.max_body / 1024
            ),
        })
    }

    /// Where the named box keeps its events.
    #[must_use]
    pub fn store_of(&self, name: &str) -> Store {
        self.stores
            .get(name)
            .cloned()
            .unwrap_or_else(|| Store::Sqlite(self.data.join(format!("{name}.db"))))
    }

    /// The folder in which the named box keeps values that are stored apart, if one is configured. It is made if missing.
    ///
    /// # Errors
    ///
    /// [`StartError::Folder`] if it can't be made, or nothing can be written there.
    pub fn value_folder_of(&self, name: &str) -> Result<Option<ValueFolder>, StartError> {
        let Some(folder) = &self.values_folder else {
            return Ok(None);
        };
        let path = folder.join(name);
        let opened = ValueFolder::open(&path);
        opened
            .map(Some)
            .map_err(|source| StartError::Folder { path, source })
    }

    /// The format that is configured for the named box, if one is.
    #[must_use]
    pub fn format_of(&self, name: &str) -> Option<StateFormat> {
        let format = self.formats.get(name).or_else(|| self.formats.get(""));
        format.copied()
    }

    /// Whether aggregates of the box may be deleted: by its declaration, or by [`redactable`](Self::redactable).
    #[must_use]
    pub fn is_redactable(&self, context: &BoundedContext) -> bool {
        context.is_redactable() || self.redactable.iter().any(|name| name == context.name())
    }

    /// The token to send to the named upstream.
    #[must_use]
    pub fn upstream_token(&self, name: &str) -> Option<&Token> {
        self.upstream_tokens
            .get(name)
            .or_else(|| self.upstream_tokens.get(""))
    }

    /// Who vouches for the named upstream; `None` for the authorities of the system.
    #[must_use]
    pub fn upstream_authorities(&self, name: &str) -> Option<&Authorities> {
        self.upstream_authorities
            .get(name)
            .or_else(|| self.upstream_authorities.get(""))
    }
}

/// The variables that begin with `BOXES_` and are none of the program's: probably misspelt.
pub(crate) fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = |name: &String| {
        setting::SETTINGS
            .iter()
            .any(|setting| setting.variable == name)
    };
    names
        .into_iter()
        .filter(|name| name.starts_with("BOXES_") && !known(name))
        .collect()
}

const HTTP_URL: &str =
    "an address that begins with http:// or https://, without user, query and fragment";

struct Reader<'a> {
    layers: &'a Layers,
}

impl Reader<'_> {
    fn value<T>(
        &self,
        setting: &Setting,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
        target: &mut T,
    ) -> Result<(), ConfigError> {
        if let Some(given) = self.layers.one(setting)? {
            *target = given.parse(expected, read)?;
        }
        Ok(())
    }

    fn seconds(
        &self,
        setting: &Setting,
        min: f64,
        max: f64,
        target: &mut Duration,
    ) -> Result<(), ConfigError> {
        let read = |text: &str| {
            let seconds: f64 = text.parse().ok()?;
            if (min..=max).contains(&seconds) {
                Duration::try_from_secs_f64(seconds).ok()
            } else {
                None
            }
        };
        self.value(
            setting,
            &format!("a number of seconds from {min} to {max}"),
            read,
            target,
        )
    }

    /// A number of `unit`s, of which each counts as `scale`.
    fn number<T: TryFrom<u64>>(
        &self,
        setting: &Setting,
        unit: &str,
        min: u64,
        max: u64,
        scale: u64,
        target: &mut T,
    ) -> Result<(), ConfigError> {
        let read = |text: &str| {
            let number: u64 = text.parse().ok()?;
            if (min..=max).contains(&number) {
                T::try_from(number * scale).ok()
            } else {
                None
            }
        };
        self.value(
            setting,
            &format!("a number of {unit} from {min} to {max}"),
            read,
            target,
        )
    }

    /// Values that say themselves what would be right.
    fn list<T: FromStr<Err: fmt::Display>>(
        &self,
        setting: &Setting,
        target: &mut Vec<T>,
    ) -> Result<(), ConfigError> {
        for given in self.layers.list(setting)? {
            let read = given.value.trim().parse();
            target.push(read.map_err(|error: T::Err| ConfigError::Value {
                origin: given.origin.to_string(),
                problem: format!("is `{}`: {error}", given.value),
            })?);
        }
        Ok(())
    }

    fn rate_limit(&self) -> Result<Option<RateLimit>, ConfigError> {
        let (mut per_second, mut burst) = (0, 0);
        let (limit, at_once) = (&setting::RATE_LIMIT, &setting::RATE_BURST);
        self.number(limit, "requests", 1, 1_000_000, 1, &mut per_second)?;
        self.number(at_once, "requests", 1, 10_000_000, 1, &mut burst)?;
        match (per_second, burst) {
            (0, 0) => Ok(None),
            (0, _) => Err(ConfigError::Together {
                reason: "--rate-burst says how many requests may come at once, and nothing says how many a second: set --rate-limit".to_owned(),
            }),
            (per_second, 0) => Ok(Some(RateLimit::per_second(per_second))),
            (per_second, burst) => Ok(Some(RateLimit { per_second, burst })),
        }
    }

    fn entries<T>(
        &self,
        setting: &Setting,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<BTreeMap<String, T>, ConfigError> {
        let mut entries = BTreeMap::new();
        for (name, given) in self.layers.entries(setting)? {
            if !is_log_name(&name) {
                return Err(ConfigError::Value {
                    origin: given.origin.to_string(),
                    problem: format!("names `{name}`, which can't be a box or a log of one"),
                });
            }
            let value = given.parse(expected, &read)?;
            entries.insert(name, value);
        }
        Ok(entries)
    }

    /// The authorities that vouch for each upstream.
    fn upstream_authorities(&self) -> Result<BTreeMap<String, Authorities>, ConfigError> {
        let mut authorities = BTreeMap::new();
        for (name, given) in self.layers.entries(&setting::UPSTREAM_CA)? {
            let text = read_secret_file(&given)?;
            let found =
                Authorities::from_pem(text.as_bytes()).map_err(|error| ConfigError::Value {
                    origin: given.origin.to_string(),
                    problem: format!("names {}, which can't be used: {error}", given.value),
                })?;
            authorities.insert(name, found);
        }
        Ok(authorities)
    }

    fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let file = |setting| {
            let given = self.layers.one(setting)?;
            let path = given.map(|given| given.parse("a file", folder));
            path.transpose()
        };
        match (file(&setting::TLS_CERTIFICATE)?, file(&setting::TLS_KEY)?) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (Some(_), None) => Err(ConfigError::Together {
                reason: "a certificate is given and no key: set --tls-key or BOXES_TLS_KEY, too"
                    .to_owned(),
            }),
            (None, Some(_)) => Err(ConfigError::Together {
                reason: "a key for TLS is given and no certificate: set --tls-certificate or BOXES_TLS_CERTIFICATE, too".to_owned(),
            }),
        }
    }
}

/// A path that is not empty.
fn folder(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

pub(crate) fn http_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}

fn page_size(text: &str) -> Option<NonZeroU32> {
    text.parse()
        .ok()
        .filter(|size: &NonZeroU32| size.get() <= 1000)
}

fn delivery(text: &str) -> Option<Delivery> {
    match text {
        "concurrent" => Some(Delivery::Concurrent),
        "synchronous" => Some(Delivery::Synchronous),
        _ => None,
    }
}

fn log_filter(text: &str) -> Option<String> {
    text.parse::<tracing_subscriber::filter::Targets>()
        .is_ok()
        .then(|| text.to_owned())
}
