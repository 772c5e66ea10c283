//! The log that a box follows, opened by a command while the box is stopped.

use std::sync::Arc;

use boxes_application::{App, AppOptions};
use boxes_notification_log::{LogDescription, NotificationLog};
use boxes_recorder::{GroupCommit, GroupCommitBounds, Position};

use crate::store_options::{StoreOfBox, refused};
use crate::{BoundedContext, Result, Store, logs};

/// The log that a follower of a box reads: at the address that the settings give, or in the store of a box of this
/// program.
pub(crate) struct FollowedLog {
    log: Arc<dyn NotificationLog>,
    /// What the log said of itself when it was opened.
    pub(crate) description: LogDescription,
}

impl FollowedLog {
    /// The settings that say where it is and how it is reached.
    pub(crate) const SETTINGS: &'static [&'static str] =
        &["follow", "upstream-token-file", "upstream-ca"];

    /// The log of that name, which `follower` has to follow.
    pub(crate) async fn open(
        contexts: &[BoundedContext],
        follower: &StoreOfBox,
        upstream: &str,
    ) -> Result<Self> {
        check_followed(contexts, &follower.name, upstream)?;
        let config = &follower.config;
        let log = match config.follow.get(upstream) {
            Some(address) => {
                logs::follow(upstream, address, config.upstream_token(upstream), config)?
            }
            None => local(contexts, follower, upstream).await?,
        };
        let description = log.describe().await?;
        Ok(Self { log, description })
    }

    /// The position after notification `id`, with what that is recognised by.
    pub(crate) async fn position(&self, id: u64) -> Result<Position> {
        let epoch = self.description.log.epoch;
        let found = match id {
            0 => None,
            id => self.log.notification(id, epoch).await?,
        };
        let fingerprint = found.and_then(|found| self.log.fingerprint(&found));
        Ok(Position::new(epoch, id).with_event_id(fingerprint))
    }
}

/// Refuses a follower that the box does not have, and names those that it has.
fn check_followed(contexts: &[BoundedContext], name: &str, upstream: &str) -> Result<()> {
    let declared = contexts.iter().find(|context| context.name() == name);
    let followed: Vec<&str> = declared.map_or_else(Vec::new, |of| of.upstreams().collect());
    if followed.contains(&upstream) {
        return Ok(());
    }
    let has = if followed.is_empty() {
        "none".to_owned()
    } else {
        followed.join(", ")
    };
    Err(refused(format!(
        "the box `{name}` has no follower `{upstream}`; its followers are: {has}"
    )))
}

/// The log of a box of this program, in its store.
async fn local(
    contexts: &[BoundedContext],
    follower: &StoreOfBox,
    upstream: &str,
) -> Result<Arc<dyn NotificationLog>> {
    let box_name = upstream.split('/').next().unwrap_or(upstream);
    let declared = contexts.iter().find(|context| context.name() == box_name);
    let store = follower.config.store_of(box_name);
    let is_there = match &store {
        Store::Sqlite(file) => file.exists(),
        Store::Memory => false,
        _ => true,
    };
    let Some(declared) = declared.filter(|_| is_there) else {
        return Err(refused(format!(
            "the log `{upstream}` is not in a store of this program: say where it is, with --follow {upstream}=http://HOST:PORT/{upstream}/notifications or --store {box_name}=…"
        )));
    };
    let (config, page_size) = (&follower.config, follower.config.page_size);
    let epoch = config.expected_epochs.get(box_name).copied();
    let recorder = store.open(box_name, page_size, epoch).await?;
    let writer = GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default()).await?;
    let mapper = declared.mapper(config.mapper.clone(), config.format_of(box_name));
    let options = AppOptions {
        mapper: mapper.map_err(|error| refused(error.to_string()))?,
        ..AppOptions::default()
    };
    let app = App::new(writer, options);
    let logs = logs::published(
        &app,
        &*recorder,
        declared.declared_logs(),
        declared.topics(),
    );
    let log = logs.into_iter().find(|log| log.name == upstream);
    log.map(|log| log.log).ok_or_else(|| {
        refused(format!(
            "the box `{box_name}` publishes no log `{upstream}`"
        ))
    })
}
