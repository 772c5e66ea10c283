//! Notification logs, served and followed.

use std::sync::Arc;

use boxes_application::{App, PublicLog};
use boxes_http::{
    BearerToken, DescribedRoutes, Dialects, ForeignNotificationLog, InvalidPath,
    NotificationLogOptions, NotificationLogResource, RemoteNotificationLog, RemoteOptions,
    WaitingPlaces,
};
use boxes_integrity::StoredSeals;
use boxes_mapper::Mapper;
use boxes_notification_log::NotificationLog;
use boxes_recorder::Recorder;
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use crate::context::Logs;
use crate::descriptions::open_api_path;
use crate::python_time::python_time;
use crate::state::PublishedLog;
use crate::topics::LogTopics;
use crate::{Config, StartError, Token, UpstreamAddress};

/// The log of a box that is not its own one, but made of it.
fn derived(
    app: &App,
    recorder: &dyn Recorder,
    name: String,
    public: &PublicLog,
    topics: LogTopics,
) -> PublishedLog {
    let log = app.public_log(&name, public);
    let identity = log.identity(recorder.log());
    PublishedLog {
        seals: StoredSeals::of_derived(recorder, &identity),
        name,
        log: Arc::new(log),
        identity,
        topics,
        is_redactable: app.is_redactable(),
        withholds: true,
    }
}

/// The logs of a box that others may read, the one that is named after the box first, each with its `topics`.
pub(crate) fn published(
    app: &App,
    recorder: &dyn Recorder,
    logs: &Logs,
    topics: Vec<LogTopics>,
) -> Vec<PublishedLog> {
    let beside = logs.beside.iter().map(|(name, public)| {
        let name = format!("{}/{name}", app.name());
        (name, Some(public))
    });
    std::iter::once((app.name().to_owned(), logs.instead.as_ref()))
        .chain(beside)
        .zip(topics)
        .map(|((name, public), topics)| match public {
            Some(public) => derived(app, recorder, name, public, topics),
            None => PublishedLog {
                name,
                log: Arc::new(app.notification_log()),
                identity: recorder.log().clone(),
                seals: StoredSeals::of(recorder),
                topics,
                is_redactable: app.is_redactable(),
                withholds: false,
            },
        })
        .collect()
}

/// Whether what these logs publish can be encrypted as it is to be.
pub(crate) fn check_encryption(mapper: &Mapper, logs: &Logs) -> Result<(), StartError> {
    let public = logs.instead.iter();
    let mut public = public.chain(logs.beside.iter().map(|(_, public)| public));
    if let Some((public, source)) = public.find_map(|public| public.encrypted_alone(mapper)) {
        let reason = format!(
            "events of the topic `{public}` are to be encrypted, and those that they are published of, `{source}`, are not: add `{source}` to --encrypt, or take \
             `{public}` out"
        );
        return Err(StartError::Declaration {
            mistakes: vec![reason],
        });
    }
    Ok(())
}

/// The routes of a log, `/{log}/notifications` and what is below it, and the same in the dialects of older systems below
/// `/{log}/compat`; and the topics of the log.
pub(crate) fn serve(
    published: &PublishedLog,
    config: &Config,
    stopping: &CancellationToken,
    waiting_places: WaitingPlaces,
) -> Result<DescribedRoutes, StartError> {
    let name = &published.name;
    let box_name = name.split('/').next().unwrap_or(name);
    let options = NotificationLogOptions {
        atom: Some(format!("/{name}/atom")),
        public_base: config.public_url.clone(),
        restricted: !config.tokens.is_empty(),
        redactable: published
            .is_redactable
            .then_some(config.redactable_freshness),
        cache_bytes: config.page_cache,
        waiting_places: Some(waiting_places),
        heartbeat: config.heartbeat,
        slow_client_timeout: config.slow_client_timeout,
        shutdown: stopping.clone(),
        topics: Some(format!("/{name}/topics")),
        service_description: Some(open_api_path(box_name)),
        seals: published.seals.is_some(),
        ..NotificationLogOptions::new(format!("/{name}/notifications"))
    };
    let log = Arc::clone(&published.log);
    let invalid = |error: InvalidPath| StartError::Declaration {
        mistakes: vec![error.to_string()],
    };
    let base = options.public_base.clone();
    let resource = NotificationLogResource::new(log, options).map_err(invalid)?;
    let dialects = Dialects::of(&resource, format!("/{name}/compat"));
    let dialects = dialects.map_err(invalid)?.public_base(base);
    let routes = resource
        .into_described_routes()
        .and(
            dialects
                .into_described_routes()
                .described_as(|part| part.tagged("older systems")),
        )
        .and(published.topics.routes(&published.log));
    // In one document each operation has a name of its own.
    Ok(match name.split_once('/') {
        Some((_, log)) => routes.described_as(|part| part.with_operations_of(log)),
        None => routes,
    })
}

/// The log of a box that runs elsewhere.
pub(crate) fn follow(
    upstream: &str,
    address: &UpstreamAddress,
    token: Option<&Token>,
    config: &Config,
) -> Result<Arc<dyn NotificationLog>, StartError> {
    let Some(dialect) = address.dialect() else {
        return Ok(Arc::new(remote(upstream, address, token, config)?));
    };
    let unusable = unusable(upstream, address);
    let options = options(upstream, address, token, config).map_err(&unusable)?;
    let url = address.url().clone();
    let log = ForeignNotificationLog::new(upstream, url, dialect, options);
    let log = log.map_err(|error| unusable(error.to_string()))?;
    Ok(Arc::new(log.with_times(python_time)))
}

/// The same in the kit's own words, with what lies beside it.
pub(crate) fn remote(
    upstream: &str,
    address: &UpstreamAddress,
    token: Option<&Token>,
    config: &Config,
) -> Result<RemoteNotificationLog, StartError> {
    let unusable = unusable(upstream, address);
    let options = options(upstream, address, token, config).map_err(&unusable)?;
    RemoteNotificationLog::new(address.url().clone(), options)
        .map_err(|error| unusable(error.to_string()))
}

fn unusable(upstream: &str, address: &UpstreamAddress) -> impl Fn(String) -> StartError {
    let (upstream, url) = (upstream.to_owned(), address.to_string());
    move |reason| StartError::Upstream {
        upstream: upstream.clone(),
        url: url.clone(),
        reason,
    }
}

fn options(
    upstream: &str,
    address: &UpstreamAddress,
    token: Option<&Token>,
    config: &Config,
) -> Result<RemoteOptions, String> {
    let token = token
        .map(|token| BearerToken::new(token.expose()))
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(RemoteOptions {
        token,
        authorities: config.upstream_authorities(upstream).cloned(),
        // An address that leads to another box is a mistake that no reader would notice by itself.
        expected_name: Some(upstream.to_owned()),
        request_timeout: config.upstream_timeout,
        max_body_bytes: config.upstream_max_body(),
        compressed: !is_this_machine(address.url()),
        poll_interval: config.poll_interval,
        ..RemoteOptions::default()
    })
}

/// Whether the address is one of this machine's own, by which no other can be reached.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
