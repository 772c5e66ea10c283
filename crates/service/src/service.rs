//! Starts a service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use boxes_application::{
    AfterCommit, App, AppOptions, DataKeys, Follower, FollowerOptions, SynchronousDelivery,
};
use boxes_http::OpenApiPart;
use boxes_integrity::Sealer;
use boxes_notification_log::NotificationLog;
use boxes_recorder::{GroupCommit, GroupCommitBounds};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::async_api::Channel;
use crate::certificate::{ShownCertificate, acceptor};
use crate::context::Parts;
use crate::forwarded::TrustedProxies;
use crate::log_copy::LogCopy;
use crate::metrics::{Metrics, UPKEEP_INTERVAL};
use crate::observed_log::ObservedLog;
use crate::plan::{Place, Plan, PlannedBox};
use crate::remote_data_keys::RemoteDataKeys;
use crate::remote_values::RemoteValues;
use crate::routes::{BoxRoutes, assemble};
use crate::seats::Seats;
use crate::server::{Server, Socket};
use crate::state::{RunningBox, RunningFollower, State, StoreProbe, Waiting};
use crate::subject_keys::{self, KeyStores};
use crate::tokens::AcceptedTokens;
use crate::{
    BoundedContext, Config, Delivery, Running, StartError, log_keys, logs, seal_routes,
    value_routes,
};

/// Boxes in this process, with their logs, routes and followers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Service;

impl Service {
    /// Starts the boxes that `config` asks for, out of those that are declared.
    ///
    /// First everything is checked that can be without touching anything; then the address is taken, the stores are opened,
    /// the followers begin, and the service listens: whoever connects is answered. What fails undoes what came before it.
    /// A followed box that can't be reached is no failure: its follower waits for it.
    ///
    /// Telemetry is not set up: see [`init_telemetry`](crate::init_telemetry).
    ///
    /// # Errors
    ///
    /// [`StartError`], in one sentence that says what to mend.
    pub async fn start(
        contexts: impl IntoIterator<Item = BoundedContext>,
        config: Config,
    ) -> Result<Running, StartError> {
        // On the heap: opening stores has large futures, which every caller would carry along.
        Box::pin(Self::open(contexts, config)).await
    }

    async fn open(
        contexts: impl IntoIterator<Item = BoundedContext>,
        config: Config,
    ) -> Result<Running, StartError> {
        let Plan { boxes, declared } = Plan::new(contexts, &config)?;
        let certificate = config.tls.clone().map(ShownCertificate::read).transpose()?;
        let certificate = certificate.map(Arc::new);
        let tls = certificate.clone().map(acceptor).transpose()?;
        for upstream in boxes.iter().flat_map(|planned| &planned.upstreams) {
            if let Place::At { address, token } = &upstream.place {
                logs::follow(&upstream.name, address, token.as_ref(), &config)?;
            }
        }
        let socket = Socket::bind(config.bind)?;
        let address = socket.address;

        let scheme = if tls.is_some() { "https" } else { "http" };

        let stopping = CancellationToken::new();
        let metrics = Metrics::new();
        let mut started = Started {
            key_stores: KeyStores::open(&config).await?,
            ..Started::default()
        };
        for planned in boxes {
            started.open(planned, &config).await?;
        }
        for (app, upstreams, policies) in std::mem::take(&mut started.following) {
            for upstream in upstreams {
                started.follow(&app, upstream, &policies, &config)?;
            }
        }
        let seats = seats(&config);
        let (mut sealers, mut sealing) = (Vec::new(), Vec::new());
        for running in &started.boxes {
            for (sealer, status) in config.sealing.sealers(running, &config)? {
                sealers.push(sealer);
                sealing.push(status);
            }
        }
        let state = Arc::new(State {
            boxes: started.boxes,
            followers: started.watched,
            sealers: sealing,
            metrics,
            tokens: AcceptedTokens::new(config.tokens.clone()),
            seats: Arc::clone(&seats),
            waiting: Waiting::default(),
            public_base: public_base(&config),
            stopping: stopping.clone(),
        });
        let routes = box_routes(started.routes, &state, &config, &stopping)?;
        let router = assemble(routes, &state, &config)?;

        let (tasks, killing) = (TaskTracker::new(), CancellationToken::new());
        let kill_on_drop = (stopping.clone().drop_guard(), killing.clone().drop_guard());
        watch(&state, &tasks);
        for sealer in sealers {
            seal(sealer, &state, &tasks, &killing);
        }
        let delivery = run(
            started.followers,
            config.delivery,
            config.poll_interval,
            &state,
            &tasks,
            &killing,
        )
        .await;
        tasks.close();
        Ok(Running {
            server: Server::start(socket.listen()?, router, tls, &config, seats, stopping),
            state,
            declared,
            address,
            base_url: format!("{scheme}://{}", reachable(address)),
            certificate,
            shutdown_timeout: config.shutdown_timeout,
            tasks,
            killing,
            _delivery: delivery,
            _kill_on_drop: kill_on_drop,
        })
    }
}

/// The places for connections.
fn seats(config: &Config) -> Arc<Seats> {
    let half = config.max_connections.div_ceil(2);
    Seats::new(
        config.max_connections,
        config.max_connections_per_address.unwrap_or(half),
        TrustedProxies::new(&config.trusted_proxies),
    )
}

/// What can be asked of each box.
fn box_routes(
    own: Vec<OwnRoutes>,
    state: &State,
    config: &Config,
    stopping: &CancellationToken,
) -> Result<Vec<BoxRoutes>, StartError> {
    let routes = own.into_iter().zip(&state.boxes).map(|(own, running)| {
        let mut of_logs = Vec::new();
        for published in &running.logs {
            let places = state.waiting.places_of(&published.name, config.max_waiters);
            // Who may read the log may read its seals.
            let routes = logs::serve(published, config, stopping, places)?;
            let routes = routes.and(seal_routes::routes(
                published,
                running.writer.recorder(),
                config,
            ));
            of_logs.push((published.name.clone(), routes));
        }
        // And the values that its events name.
        let values = value_routes::routes(running, config);
        of_logs.push((running.app.name().to_owned(), values));
        Ok(BoxRoutes {
            own: own.router,
            described: own.described,
            logs: of_logs,
            channels: running.logs.iter().map(Channel::of).collect(),
            app: running.app.clone(),
        })
    });
    routes.collect()
}

/// What a box declares of what can be asked of it.
struct OwnRoutes {
    router: axum::Router<App>,
    described: OpenApiPart,
}

/// The routes of these boxes, without a server before them.
#[cfg(test)]
pub(crate) async fn router_of(context: BoundedContext, config: &Config) -> axum::Router {
    let plan = Plan::new([context], config).unwrap();
    let mut started = Started::default();
    for planned in plan.boxes {
        started.open(planned, config).await.unwrap();
    }
    let stopping = CancellationToken::new();
    let state = Arc::new(State {
        boxes: started.boxes,
        followers: started.watched,
        sealers: Vec::new(),
        metrics: Metrics::new(),
        tokens: AcceptedTokens::new(config.tokens.clone()),
        seats: seats(config),
        waiting: Waiting::default(),
        public_base: public_base(config),
        stopping: stopping.clone(),
    });
    let routes = box_routes(started.routes, &state, config, &stopping).unwrap();
    assemble(routes, &state, config).unwrap()
}

/// What is started so far.
#[derive(Default)]
struct Started {
    key_stores: KeyStores,
    boxes: Vec<RunningBox>,
    routes: Vec<OwnRoutes>,
    following: Vec<(App, Vec<crate::plan::Upstream>, boxes_application::Policies)>,
    followers: Vec<Follower>,
    watched: Vec<RunningFollower>,
}

impl Started {
    async fn open(&mut self, planned: PlannedBox, config: &Config) -> Result<(), StartError> {
        let name = planned.context.name().to_owned();
        let recorder = planned
            .store
            .open(
                &name,
                config.page_size,
                config.expected_epochs.get(&name).copied(),
            )
            .await?;
        let unusable = |source| StartError::Store {
            name: name.clone(),
            store: planned.store.to_string(),
            source,
        };
        LogCopy::check_in_use(&*recorder).await.map_err(unusable)?;
        let recorder = config.sealing.signing_deletions(recorder);
        let writer = GroupCommit::start(recorder, GroupCommitBounds::default())
            .await
            .map_err(unusable)?;
        let head_at_start = writer.recorder().head().await.map_err(unusable)?;
        let mapper = planned
            .context
            .mapper(config.mapper.clone(), config.format_of(&name));
        let mapper = mapper.map_err(|error| StartError::Declaration {
            mistakes: vec![format!("the box `{name}` can't run: {error}")],
        })?;
        let encrypts_none = config.encrypts_none;
        let data_keys = log_keys::data_keys(&**writer.recorder(), &mapper, encrypts_none).await;
        let data_keys = data_keys.map_err(unusable)?;
        let listed = planned.context.topics();
        let follows_elsewhere: Vec<&str> = planned.followed_elsewhere().collect();
        if let Some(warning) = subject_keys::not_shared(config, &listed, &follows_elsewhere) {
            tracing::warn!(name, "{warning}");
        }
        let Parts {
            topics,
            policies,
            routes,
            described,
            logs: declared,
            snapshots,
        } = planned.context.into_parts();
        let value_folder = config.value_folder_of(&name)?;
        let app = App::new(
            writer.clone(),
            AppOptions {
                topics,
                snapshots,
                max_cached_aggregates: config.aggregate_cache,
                large_over: config.large_over,
                value_folder,
                mapper,
                data_keys,
                subject_keys: self
                    .key_stores
                    .of_box(writer.recorder().key_value_store(), config),
                redactable: planned.is_redactable,
                ..AppOptions::default()
            },
        );
        app.finish_in_background();
        logs::check_encryption(app.mapper(), &declared)?;
        tracing::info!(name, store = %planned.store, head = head_at_start, "a box is open");
        self.following
            .push((app.clone(), planned.upstreams, policies));
        self.routes.push(OwnRoutes {
            router: routes,
            described,
        });
        self.boxes.push(RunningBox {
            logs: logs::published(&app, &**writer.recorder(), &declared, listed),
            publishes_own_log: declared.instead.is_none(),
            app,
            writer,
            head_at_start,
            probe: StoreProbe::default(),
        });
        Ok(())
    }

    fn follow(
        &mut self,
        app: &App,
        upstream: crate::plan::Upstream,
        policies: &boxes_application::Policies,
        config: &Config,
    ) -> Result<(), StartError> {
        let (log, poll_interval): (Arc<dyn NotificationLog>, _) = match &upstream.place {
            Place::At { address, token } => {
                let (name, token) = (&upstream.name, token.as_ref());
                if address.dialect().is_none() {
                    let log = Arc::new(logs::remote(name, address, token, config)?);
                    let its_box = name.split('/').next().unwrap_or_default();
                    if let Some(keys) = config.mapper.keys() {
                        let source = Arc::new(RemoteDataKeys(Arc::clone(&log)));
                        app.follow_data_keys(its_box, DataKeys::of(its_box, keys, source));
                    }
                    app.look_for_values_in(its_box, Arc::new(RemoteValues(log)));
                }
                let log = logs::follow(name, address, token, config)?;
                (log, config.long_poll)
            }
            Place::Here => {
                let here = self
                    .boxes
                    .iter()
                    .flat_map(|running| &running.logs)
                    .find(|published| published.name == upstream.name);
                let Some(here) = here else {
                    // The plan says that it is here.
                    return Ok(());
                };
                let (log, its_box) = (Arc::clone(&here.log), upstream.name.split('/').next());
                let its_box = self
                    .boxes
                    .iter()
                    .find(|running| Some(running.app.name()) == its_box);
                if let Some(its_box) = its_box.map(|running| &running.app) {
                    if let Some(keys) = its_box.data_keys() {
                        app.follow_data_keys(its_box.name(), keys);
                    }
                    if let Some(values) = its_box.stored_values() {
                        app.look_for_values_in(its_box.name(), Arc::new(values));
                    }
                }
                (log, config.poll_interval)
            }
        };
        let log = ObservedLog::new(log);
        let options = FollowerOptions {
            poll_interval,
            ..FollowerOptions::default()
        };
        let read: Arc<dyn NotificationLog> = Arc::<ObservedLog>::clone(&log);
        let follower = Follower::new(app.clone(), upstream.name.clone(), policies, read, options);
        self.watched.push(RunningFollower {
            box_name: app.name().to_owned(),
            upstream: upstream.name,
            status: follower.status(),
            log,
            poll_interval,
        });
        self.followers.push(follower);
        Ok(())
    }
}

/// Seals a log beside everything else, until the service ends or the seals don't fit.
fn seal(sealer: Sealer, state: &Arc<State>, tasks: &TaskTracker, killing: &CancellationToken) {
    let (stopping, killing) = (state.stopping.clone(), killing.clone());
    tasks.spawn(async move {
        let ended = tokio::select! {
            () = killing.cancelled() => return,
            ended = sealer.run(stopping) => ended,
        };
        if let Err(error) = ended {
            tracing::error!(%error, "sealing has stopped");
        }
    });
}

/// Keeps looking at the logs that are followed, and keeps what was measured in bounds.
fn watch(state: &Arc<State>, tasks: &TaskTracker) {
    for follower in &state.followers {
        let stopping = state.stopping.clone();
        let (log, interval) = (Arc::clone(&follower.log), follower.poll_interval);
        tasks.spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = log.keep_looking(interval) => {}
            }
        });
    }
    let (metrics, stopping) = (state.metrics.clone(), state.stopping.clone());
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => metrics.upkeep(),
            }
        }
    });
}

/// Lets the followers run: concurrently, or within the commands of this process.
async fn run(
    followers: Vec<Follower>,
    delivery: Delivery,
    poll_interval: std::time::Duration,
    state: &Arc<State>,
    tasks: &TaskTracker,
    killing: &CancellationToken,
) -> Option<Arc<SynchronousDelivery>> {
    match delivery {
        Delivery::Concurrent => {
            for follower in followers {
                let (stopping, killing) = (state.stopping.clone(), killing.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = killing.cancelled() => {}
                        () = follower.run(stopping) => {}
                    }
                });
            }
            None
        }
        Delivery::Synchronous => {
            let delivery = Arc::new(SynchronousDelivery::new(followers));
            let after_commit: Arc<dyn AfterCommit> = Arc::<SynchronousDelivery>::clone(&delivery);
            for running in &state.boxes {
                running.app.set_after_commit(Arc::downgrade(&after_commit));
            }
            // What was left undone when the process last ended. A follower that can't go on has said so itself.
            if let Err(error) = delivery.settle().await {
                tracing::warn!(%error, "not everything that was left undone could be delivered");
            }
            let (stopping, killing) = (state.stopping.clone(), killing.clone());
            let settling = Arc::clone(&delivery);
            tasks.spawn(async move {
                tokio::select! {
                    () = killing.cancelled() => {}
                    () = settling.keep_settled(poll_interval, stopping) => {}
                }
            });
            Some(delivery)
        }
    }
}

/// The configured public base without a slash at the end; empty for none.
fn public_base(config: &Config) -> String {
    config.public_url.as_ref().map_or_else(String::new, |url| {
        url.as_str().trim_end_matches('/').to_owned()
    })
}

/// Where this machine reaches what listens there: at every address of it means at its own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        _ => {}
    }
    address
}
