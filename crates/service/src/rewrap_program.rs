//! The command `rewrap-keys` of a program.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use boxes_application::{DataKeys, Rewrapped, StoredValues, SystemEdge};
use boxes_mapper::{KeyId, Mapper, StateKey};
use boxes_recorder::Recorder;
use bytes::Bytes;
use clap::Args;

use crate::key_store_options::{KeyStoreOptions, OpenKeyStores};
use crate::store_options::{StoreArguments, refused};
use crate::{BoundedContext, Result, print_line, setting};

/// What the command line of `rewrap-keys` says.
pub type RewrapKeysOptions = KeyStoreOptions<RewrapKeysArguments>;

/// What is to be done besides.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "The current key is the first of BOXES_KEYS or --keys-file; list the older ones after it. Give it to every service that uses these stores first: one without it can't read their keys any more. May be run while the boxes run, and again: subjects forgotten in the meantime stay forgotten. No event, page, seal or public log changes. Events that were encrypted before logs had data keys are counted: they need their key until the log is copied by reencrypt."
)]
pub struct RewrapKeysArguments {
    /// Also encrypt keys of subjects that are stored in plaintext, from before there were `BOXES_KEYS`. Without it they are refused:
    /// anyone who can write to the store could have put them there
    #[arg(long)]
    plain: bool,
    /// Give each log a new data key for the events from now on, because the old one was disclosed. Restart the boxes afterwards
    #[arg(long)]
    new_data_keys: bool,
}

impl StoreArguments for RewrapKeysArguments {
    const MORE_SETTINGS: &'static [&'static str] = &["keys-file", setting::VALUES_FOLDER.id()];
}

/// How many events are read at a time.
const BATCH: u64 = 1_000;

/// Encrypts the keys of subjects and of logs with the current key wherever these boxes keep them, and prints how many that were.
pub(crate) async fn rewrap_keys(
    contexts: &[BoundedContext],
    options: &RewrapKeysOptions,
) -> Result {
    let stores = options.open(contexts).await?;
    let Some(wrapping) = stores.config.mapper.keys() else {
        return Err(refused(
            "there is no key to encrypt them with: set BOXES_KEYS or --keys-file".to_owned(),
        ));
    };
    let (current, _) = wrapping.current();
    let OpenKeyStores {
        config,
        keys,
        looked_in,
        recorders,
    } = stores;
    let keys = keys.wrapped_by(Arc::clone(&wrapping));
    let keys = match options.own.plain {
        true => keys.taking_plain_keys(),
        false => keys,
    };
    let Rewrapped { n_keys, n_new } = keys.rewrap().await?;
    print_line(format_args!(
        "{n_keys} keys of subjects are encrypted with key {current} in {}; this run did {n_new} of them.",
        looked_in.join(", ")
    ))?;
    for (name, recorder) in &recorders {
        let successor = options.own.new_data_keys;
        let is_new = DataKeys::rewrap(&**recorder, &*wrapping, &SystemEdge, successor).await?;
        let Some(data_keys) = DataKeys::stored(&**recorder).await? else {
            continue;
        };
        let n_data_keys = data_keys.unwrap_with(name, &*wrapping)?.len();
        let said = match is_new {
            true => "",
            false => " already",
        };
        print_line(format_args!(
            "The log `{name}` has {n_data_keys} data key(s), encrypted with key {current}{said}."
        ))?;
        let mapper = config.mapper.clone().of_box(name);
        let Some(ring) = DataKeys::open(&**recorder, Arc::clone(&wrapping), &SystemEdge).await?
        else {
            continue;
        };
        let mapper = mapper.with_data_keys(ring.ring());
        let folder = config.value_folder_of(name)?;
        if let Some(values) = StoredValues::of(&**recorder, folder, Arc::new(SystemEdge)) {
            rewrite_values(&values, &mapper).await?;
        }
        for (id, n_events) in under_configured_keys(&**recorder).await? {
            print_line(format_args!(
                "{n_events} of its events are encrypted with key {id} itself: keep that key until the log was copied by `reencrypt`."
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Values that a configured key encrypts get the data key, where they are: their ids stay.
async fn rewrite_values(values: &StoredValues, mapper: &Mapper) -> Result<()> {
    let rewrite = |id, stored: &Bytes| {
        if !matches!(Mapper::key_of_value(stored), Some(StateKey::Configured(_))) {
            return Ok(stored.clone());
        }
        let content = mapper.read_value(id, stored)?;
        Ok(mapper.write_value_for_copy(id, content)?)
    };
    values.rewrite(values, rewrite).await?;
    Ok(())
}

/// How many events of a log are encrypted with each configured key itself.
async fn under_configured_keys(recorder: &dyn Recorder) -> Result<BTreeMap<KeyId, u64>> {
    let mut counted = BTreeMap::new();
    let mut after = 0_u64;
    loop {
        let read = recorder
            .select_notifications(after.saturating_add(1), BATCH)
            .await?;
        let Some(last) = read.last() else {
            return Ok(counted);
        };
        after = last.id;
        for item in &read {
            if let Some(StateKey::Configured(id)) = Mapper::key_of(&item.event) {
                let n: &mut u64 = counted.entry(id).or_default();
                *n = n.saturating_add(1);
            }
        }
    }
}
