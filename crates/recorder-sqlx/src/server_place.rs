//! Where in which database.

use std::str::FromStr;

use boxes_recorder::RecorderError;
use sqlx::ConnectOptions;
use url::Url;

use crate::server::{Options, Server};
use crate::server_hosts::Hosts;
use crate::server_limits::Limits;

/// The tables of a box in a database, and how to get there.
pub(crate) struct Place<S: Server> {
    pub(crate) hosts: Hosts<S>,
    pub(crate) tables: S::Tables,
    pub(crate) limits: Limits,
}

impl<S: Server> Place<S> {
    /// Reads `postgres://…/db?schema=…&max_readers=…`, or likewise for another server. Whatever is left out has a default,
    /// and the parameters that are not ours are the driver's.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Mismatch`], which never repeats the URL: mend it.
    pub(crate) fn parse(location: &str, box_name: &str) -> Result<Self, RecorderError> {
        let mut hosts = Vec::new();
        let mut place = None;
        for location in one_host_each(location) {
            let (options, tables, limits) = Self::parse_one(&location, box_name)?;
            hosts.push(options);
            place = Some((tables, limits));
        }
        let (tables, limits) = place.ok_or_else(|| mismatch("the URL names no host".to_owned()))?;
        let place = Self {
            hosts: Hosts::new(hosts, limits),
            tables,
            limits,
        };
        Ok(place.with_limits(limits))
    }

    /// The same, where sessions are shared or not.
    pub(crate) fn with_limits(&self, limits: Limits) -> Self {
        Self {
            hosts: self.hosts.with_limits(limits),
            tables: S::with_limits(&self.tables, &limits),
            limits,
        }
    }

    /// The same in a way that works whether sessions are shared or not, as long as that is not known.
    pub(crate) fn with_whatever_sessions(&self) -> Self {
        self.with_limits(Limits {
            shares_sessions: Some(self.limits.shares_sessions.unwrap_or(S::MAY_SHARE_SESSIONS)),
            ..self.limits
        })
    }

    fn parse_one(
        location: &str,
        box_name: &str,
    ) -> Result<(Options<S>, S::Tables, Limits), RecorderError> {
        let mut url = Url::parse(location)
            .map_err(|error| mismatch(format!("the URL of the database is malformed: {error}")))?;
        if !S::URL_SCHEMES.contains(&url.scheme()) {
            return Err(mismatch(format!(
                "the URL of a {} database begins with {}://",
                S::NAME,
                S::URL_SCHEMES.join(":// or ")
            )));
        }
        let mut name = box_name.to_owned();
        let mut limits = Limits::new(S::LOCK_SECS);
        let mut of_driver = Vec::new();
        for (key, value) in url.query_pairs().into_owned() {
            if key == S::TABLES_PARAMETER {
                name = value;
            } else if !limits.take(&key, &value)? {
                of_driver.push((key, value));
            }
        }
        url.set_query(None);
        if !of_driver.is_empty() {
            url.query_pairs_mut().extend_pairs(of_driver);
        }
        let options = Options::<S>::from_str(url.as_str())
            .map_err(|_| {
                mismatch(
                    "the URL of the database has a parameter that the driver can't read".to_owned(),
                )
            })?
            .disable_statement_logging();
        let (tables, options) = S::tables(name, box_name, options)?;
        Ok((options, tables, limits))
    }
}

/// The URL, once for each host that it names: `postgres://u@a:5432,b:5432/db` names two.
fn one_host_each(location: &str) -> Vec<String> {
    let Some((scheme, rest)) = location.split_once("://") else {
        return vec![location.to_owned()];
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let at = if authority.contains('@') { "@" } else { "" };
    let hosts = hosts.split(',');
    hosts
        .map(|host| format!("{scheme}://{user}{at}{host}{path}"))
        .collect()
}

pub(crate) const fn mismatch(reason: String) -> RecorderError {
    RecorderError::Mismatch { reason }
}

/// What holds for the URL of any server.
#[cfg(test)]
pub(crate) fn assert_refused_without_the_password<S: Server>(location: &str) {
    let Err(error) = Place::<S>::parse(location, "orders") else {
        panic!("accepted: {location}")
    };
    assert!(matches!(error, RecorderError::Mismatch { .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}
