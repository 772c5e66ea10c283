//! What the boxes of a program are called and follow, which a configuration has to fit.

use std::collections::BTreeMap;

use crate::suggestion::did_you_mean;
use crate::{BoundedContext, Config, ConfigError, Delivery, Store};

/// The boxes of a program by name, with their logs and upstreams: kept while a service runs, so that a configuration that is
/// read again is checked as at the start.
#[derive(Debug)]
pub(crate) struct Declared {
    boxes: Vec<DeclaredBox>,
}

#[derive(Debug)]
struct DeclaredBox {
    name: String,
    logs: Vec<String>,
    upstreams: Vec<String>,
}

impl Declared {
    pub(crate) fn new(contexts: &[BoundedContext]) -> Self {
        let boxes = contexts.iter().map(|context| DeclaredBox {
            name: context.name().to_owned(),
            logs: context.logs().collect(),
            upstreams: context.upstreams().map(str::to_owned).collect(),
        });
        Self {
            boxes: boxes.collect(),
        }
    }

    /// The logs of the boxes that are to be served.
    pub(crate) fn logs_here(&self, config: &Config) -> Vec<&str> {
        let here = self.boxes.iter().filter(|of| is_here(&of.name, config));
        here.flat_map(|of| of.logs.iter().map(String::as_str))
            .collect()
    }

    /// Holds that the configuration fits the program, before anything is opened.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Together`] with all that does not.
    pub(crate) fn validate(&self, config: &Config) -> Result<(), ConfigError> {
        let mut wrong: Vec<String> = Vec::new();
        wrong.extend(config.check().err().map(|error| error.to_string()));
        wrong.extend(self.unknown_boxes(config));
        wrong.extend(self.unknown_scopes(config));
        wrong.extend(self.unknown_upstreams(config));
        wrong.extend(self.unreachable_upstreams(config));
        wrong.extend(self.shared_stores(config));
        wrong.extend(self.forgetful_upstreams(config));
        if wrong.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Together {
            reason: wrong.join("; "),
        })
    }

    fn names(&self) -> Vec<&str> {
        self.boxes.iter().map(|of| of.name.as_str()).collect()
    }

    /// Names of boxes that the program does not have. Those that don't run here are fine, so that several services can share
    /// a file.
    fn unknown_boxes(&self, config: &Config) -> Vec<String> {
        let names = self.names();
        let of = |setting, named: Vec<&String>| -> Vec<(&str, String)> {
            named
                .into_iter()
                .map(|name| (setting, name.clone()))
                .collect()
        };
        let given = [
            of(TO_SERVE, config.serve.iter().collect()),
            of("in --store", config.stores.keys().collect()),
            of("in --expect-epoch", config.expected_epochs.keys().collect()),
            of("in --redactable", config.redactable.iter().collect()),
            of("in --format", config.formats.keys().collect()),
        ];
        given
            .into_iter()
            .flatten()
            .filter(|(_, name)| !name.is_empty() && !names.contains(&name.as_str()))
            .map(|(setting, name)| {
                let hint = match setting {
                    TO_SERVE => " (a command stands first, before its boxes)",
                    _ => "",
                };
                let suggestion = did_you_mean(&name, names.iter().copied());
                format!(
                    "there is no box `{name}` {setting}{suggestion}; this program has {}{hint}",
                    names.join(", ")
                )
            })
            .collect()
    }

    fn unknown_scopes(&self, config: &Config) -> Vec<String> {
        let logs: Vec<&str> = self
            .boxes
            .iter()
            .flat_map(|of| of.logs.iter().map(String::as_str))
            .collect();
        let unknown = config
            .tokens
            .names()
            .filter(|(_, name)| !logs.contains(name));
        let mut wrong: Vec<String> = unknown
            .map(|(client, name)| {
                format!(
                    "the scopes of the client `{client}` name `{name}`{}; this program has {}",
                    did_you_mean(name, logs.iter().copied()),
                    logs.join(", ")
                )
            })
            .collect();
        // A client with two tokens has its scopes twice.
        wrong.dedup();
        wrong
    }

    fn unknown_upstreams(&self, config: &Config) -> Vec<String> {
        let mut followed: Vec<&str> = self
            .boxes
            .iter()
            .flat_map(|of| of.upstreams.iter().map(String::as_str))
            .collect();
        followed.sort_unstable();
        followed.dedup();
        let by_upstream = config.follow.keys().map(|name| ("--follow", name));
        let tokens = config.upstream_tokens.keys();
        let by_upstream = by_upstream.chain(tokens.map(|name| ("a token for an upstream", name)));
        let authorities = config.upstream_authorities.keys();
        let by_upstream = by_upstream.chain(authorities.map(|name| ("--upstream-ca", name)));
        by_upstream
            .filter(|(_, name)| !name.is_empty() && !followed.contains(&name.as_str()))
            .map(|(setting, name)| {
                let suggestion = did_you_mean(name, followed.iter().copied());
                let followed = if followed.is_empty() {
                    "no other".to_owned()
                } else {
                    followed.join(", ")
                };
                format!("{setting} names `{name}`, which no box of this program follows{suggestion}; they follow {followed}")
            })
            .collect()
    }

    /// Followed logs that are neither here nor said to be somewhere.
    fn unreachable_upstreams(&self, config: &Config) -> Vec<String> {
        let here = self.logs_here(config);
        let served = self.boxes.iter().filter(|of| is_here(&of.name, config));
        let followed = served.flat_map(|of| of.upstreams.iter().map(move |name| (&of.name, name)));
        followed
            .filter_map(|(follower, name)| self.unreachable(follower, name, &here, config))
            .collect()
    }

    fn unreachable(
        &self,
        follower: &str,
        name: &str,
        here: &[&str],
        config: &Config,
    ) -> Option<String> {
        let of_box = |log: &str| log.split('/').next().map(str::to_owned);
        match config.follow.get(name) {
            Some(address) if config.delivery == Delivery::Synchronous => Some(format!(
                "synchronous delivery reaches the boxes of this process alone, and `{follower}` follows `{name}` at {address}: leave --follow away, or choose concurrent delivery"
            )),
            Some(_) => None,
            None if here.contains(&name) => None,
            None if here.iter().any(|log| of_box(log) == of_box(name)) => Some(format!(
                "`{follower}` follows `{name}`, which its box does not publish{}; the logs here are {}",
                did_you_mean(name, here.iter().copied()),
                here.join(", ")
            )),
            None => {
                let all = self
                    .boxes
                    .iter()
                    .flat_map(|of| of.logs.iter().map(String::as_str));
                let suggestion = if all.clone().any(|log| log == name) {
                    String::new()
                } else {
                    did_you_mean(name, all)
                };
                Some(format!(
                    "`{follower}` follows `{name}`, which does not run in this process{suggestion}: say where it is with --follow {name}=http://HOST:PORT/{name}/notifications"
                ))
            }
        }
    }

    /// Boxes that would keep a position in a log that has another history after each start.
    fn forgetful_upstreams(&self, config: &Config) -> Vec<String> {
        let of_box = |log: &str| log.split('/').next().unwrap_or(log).to_owned();
        let served = self.boxes.iter().filter(|of| is_here(&of.name, config));
        let lasting = served.filter(|of| config.store_of(&of.name) != Store::Memory);
        let followed = lasting.flat_map(|of| of.upstreams.iter().map(move |log| (&of.name, log)));
        followed
            .filter(|(_, log)| !config.follow.contains_key(*log))
            .filter(|(_, log)| config.store_of(&of_box(log)) == Store::Memory)
            .map(|(follower, log)| {
                let upstream = of_box(log);
                format!(
                    "`{follower}` follows `{log}`, which is in memory and has another history after each start, where `{follower}` would stop: keep both in memory (--store {follower}=memory:), or give `{upstream}` a store that lasts"
                )
            })
            .collect()
    }

    fn shared_stores(&self, config: &Config) -> Vec<String> {
        let mut files = BTreeMap::new();
        let mut wrong = Vec::new();
        for of in self.boxes.iter().filter(|of| is_here(&of.name, config)) {
            let store = config.store_of(&of.name);
            let Store::Sqlite(file) = &store else {
                continue;
            };
            if let Some(other) = files.insert(file.clone(), &of.name) {
                wrong.push(format!(
                    "`{other}` and `{}` can't share {store}: each box has a store of its own",
                    of.name
                ));
            }
        }
        wrong
    }
}

/// Where a name of [`Config::serve`] is found wanting. On a command line, that may also be a command behind options.
const TO_SERVE: &str = "to serve";

/// Whether the box is to run in this process.
pub(crate) fn is_here(name: &str, config: &Config) -> bool {
    config.serve.is_empty() || config.serve.iter().any(|served| served == name)
}
