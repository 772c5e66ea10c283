//! The command `verify` of a program.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use boxes_application::{App, AppOptions, Edge, SystemEdge};
use boxes_integrity::{Digest, Remembered, Report, Seals, StoredSeals, Verification, VerifyingKey};
use boxes_mapper::{Mapper, StoredId};
use boxes_notification_log::{LocalNotificationLog, NotificationLog, canonical_integer};
use boxes_recorder::{GroupCommit, GroupCommitBounds, Notification};
use clap::Args;
use uuid::Uuid;

use crate::layers::read_bounded;
use crate::progress_bar::progress_bar;
use crate::remote_seals::RemoteSeals;
use crate::seal_mark::{read_remembered, write_remembered};
use crate::state::PublishedLog;
use crate::store_options::{StoreArguments, StoreOfBox, StoreOptions, refused};
use crate::{BoundedContext, Result, UpstreamAddress, log_keys, logs, print_line};

/// What the command line of `verify` says.
pub type VerifyOptions = StoreOptions<VerifyArguments>;

/// What a verification relies on, and where the log is.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Ends with 0 if everything that is sealed is as it was, with 3 if something is not, or not sealed though it should be: the first notification that is wrong is named. With --event-ids content it also holds each event of the box's own log that is not encrypted against its id, also where nothing is sealed. 1 and 2 mean that the log could not be read, or not be asked for. It needs no keys of encrypted events."
)]
pub struct VerifyArguments {
    /// Verify the log that is served there, instead of the store of the box: `https://shop.example/orders/notifications`.
    #[arg(long, value_name = "URL")]
    from_url: Option<UpstreamAddress>,
    /// Verify this log that the box publishes, instead of its own one: `orders/sales`, or the name of the box where another stands
    /// in the place of its own. Without --from-url it is made anew of what is stored, which needs the keys of encrypted events.
    #[arg(long, value_name = "LOG")]
    public_log: Option<String>,
    /// A public key whose signatures count: 64 hexadecimal digits, or a file in PEM, from `openssl pkey -pubout`. May be
    /// repeated. Without one, only the chain is checked, which whoever can write the seals can make anew.
    #[arg(long, value_name = "KEY|FILE", value_parser = parse_key)]
    signed_by: Vec<VerifyingKey>,
    /// The log has to go on from what is in this file; after that, what was verified is put there. Keep it where those
    /// who can write the database can't: it shows that a log was cut, or sealed anew.
    #[arg(long, value_name = "FILE")]
    remember: Option<PathBuf>,
    /// This notification has to have this hash, which an earlier verification printed.
    #[arg(long, value_name = "ID:HASH", value_parser = parse_expected, conflicts_with = "remember")]
    expect: Option<(u64, Digest)>,
    /// Archived pages that may have no seal yet; those whose notifications are all older than a day must have one anyway
    #[arg(long, value_name = "PAGES", default_value_t = 10)]
    max_unsealed: u64,
    /// Redacted notifications that are accepted without a signed statement of the box that it deleted them, with --signed-by:
    /// what it deleted before it signed deletions
    #[arg(long, value_name = "NOTIFICATIONS", default_value_t = 0)]
    unsigned_deletions: u64,
}

impl StoreArguments for VerifyArguments {
    /// Those of the last lines are for a log that is served elsewhere.
    const MORE_SETTINGS: &'static [&'static str] = &[
        "event-ids",
        "redactable",
        "format",
        "upstream-token-file",
        "upstream-ca",
        "upstream-timeout",
    ];
}

/// A page whose notifications are older must be sealed.
const MAX_UNSEALED_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest file that a key is read from, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// How a program ends that found something wrong, as opposed to one that could not look.
const FOUND: u8 = 3;

fn parse_key(text: &str) -> std::result::Result<VerifyingKey, String> {
    let wrong = |error: boxes_integrity::SealKeyError| error.to_string();
    match text.parse() {
        Ok(key) => Ok(key),
        Err(error) if !Path::new(text).exists() => {
            Err(format!("{error}, or a file that holds one"))
        }
        Err(_) => read_bounded(Path::new(text), MAX_FILE_BYTES)?
            .parse()
            .map_err(wrong),
    }
}

fn parse_expected(text: &str) -> std::result::Result<(u64, Digest), String> {
    let expected = || "expected the id of a notification, `:`, and its hash".to_owned();
    let (id, hash) = text.split_once(':').ok_or_else(expected)?;
    let id = canonical_integer(id).map_err(|_| expected())?;
    let hash = hash.parse().map_err(|_| expected())?;
    (id > 0).then_some((id, hash)).ok_or_else(expected)
}

/// Verifies the log of a box, near or far, and prints what came of it.
pub(crate) async fn verify(contexts: &[BoundedContext], options: &VerifyOptions) -> Result {
    let own = &options.own;
    let mut counted_in = None;
    let (log, seals): (Arc<dyn NotificationLog>, Box<dyn Seals>) = match &own.from_url {
        Some(address) if address.dialect().is_some() => {
            return Err(refused(
                "another system's log has no seals: name that of a box".to_owned(),
            ));
        }
        Some(address) => {
            let (config, name) = options.load()?;
            let name = own.public_log.clone().unwrap_or(name);
            let token = config.upstream_token(&name);
            let log = Arc::new(logs::remote(&name, address, token, &config)?);
            (
                Arc::<boxes_http::RemoteNotificationLog>::clone(&log),
                Box::new(RemoteSeals(log)),
            )
        }
        None => {
            let store = options.find(contexts)?;
            if !store.is_there() {
                return Err(refused(format!(
                    "there is no database of the box `{}` at that place: see --data and --store",
                    store.name
                )));
            }
            let recorder = store.open_as_it_is().await?;
            let n_redacted = recorder.n_redacted().await?;
            counted_in = Some((Arc::clone(&recorder), n_redacted));
            let no_place = || refused("this store has no place for seals".to_owned());
            let writer =
                GroupCommit::start(Arc::clone(&recorder), GroupCommitBounds::default()).await?;
            match &own.public_log {
                None => {
                    let seals = StoredSeals::of(&*recorder).ok_or_else(no_place)?;
                    let log = LocalNotificationLog::new(&writer);
                    (Arc::new(log), Box::new(seals))
                }
                Some(name) => {
                    let published = published(contexts, &store, writer, name).await?;
                    let seals = published.seals.ok_or_else(no_place)?;
                    (published.log, Box::new(seals))
                }
            }
        }
    };
    let description = log.describe().await?;
    let verification = Verification {
        trusted: own.signed_by.clone(),
        remembered: match (&own.remember, own.expect) {
            (Some(file), _) => {
                let unusable = |reason| refused(format!("{}: {reason}", file.display()));
                read_remembered(file).map_err(unusable)?
            }
            (None, Some((id, hash))) => Some(Remembered {
                log: description.log.name.clone(),
                epoch: description.log.epoch,
                id,
                hash,
                n_deleted: 0,
            }),
            (None, None) => None,
        },
        derived: own.public_log.is_some(),
        redactable: redactable(contexts, options)?,
        unsigned_deletions: own.unsigned_deletions,
        max_unsealed: Some(own.max_unsealed),
        sealed_before: SystemEdge.now().checked_sub(MAX_UNSEALED_AGE).ok(),
    };
    let bar = progress_bar("verifying notifications", description.last);
    let mut ids = Ids::of(contexts, options, &description.log.name)?;
    let wrong_id = |item: &Notification| ids.as_mut()?.wrong(item);
    let report = verification.run_with_ids(&*log, &*seals, wrong_id, |read, newest| {
        bar.set_length(newest);
        bar.set_position(read);
    });
    let mut report = report.await?;
    if let Some((recorder, before)) = counted_in {
        report = report.counted(before..=recorder.n_redacted().await?);
    }
    bar.finish_and_clear();
    print_line(text(&report, &verification).trim_end())?;
    if let Some(ids) = &ids {
        print_line(format_args!("{ids}"))?;
    }
    if let Some(finding) = &report.finding {
        eprintln!("error: {finding}");
        return Ok(ExitCode::from(FOUND));
    }
    if let (Some(file), Some(remembered)) = (&own.remember, report.to_remember()) {
        write_remembered(file, &remembered)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Holds the ids of events against what they say, and counts.
struct Ids {
    mapper: Mapper,
    n_fit: u64,
    n_unknown: u64,
    n_new: u64,
}

impl Ids {
    /// For a box whose events have such ids; not for what it publishes in other words, under the ids of what it is made of.
    fn of(contexts: &[BoundedContext], options: &VerifyOptions, log: &str) -> Result<Option<Self>> {
        let (config, name) = options.load()?;
        let context = contexts.iter().find(|context| context.name() == name);
        let is_own = log == name
            && context.is_none_or(|context| {
                let is_replaced = context.declared_logs().instead.is_some();
                // Near it is the own log, unless the other one is asked for.
                !is_replaced || (options.own.from_url.is_none() && options.own.public_log.is_none())
            });
        let mapper = match context {
            Some(context) => {
                let mapper = config.mapper.clone().of_box(&name);
                let mapper = context.mapper(mapper, config.format_of(&name));
                mapper.map_err(|error| refused(error.to_string()))?
            }
            None => config.mapper,
        };
        Ok((is_own && mapper.has_content_ids()).then_some(Self {
            mapper,
            n_fit: 0,
            n_unknown: 0,
            n_new: 0,
        }))
    }

    /// The id that the event should have, if it has another one.
    fn wrong(&mut self, item: &Notification) -> Option<Uuid> {
        let count = match self.mapper.stored_id(&item.event) {
            StoredId::OfOther { expected } => return Some(expected),
            StoredId::OfContent => &mut self.n_fit,
            StoredId::New => &mut self.n_new,
            StoredId::Unknown => &mut self.n_unknown,
        };
        *count = count.saturating_add(1);
        None
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ids        {} follow from what the events say",
            self.n_fit
        )?;
        if self.n_unknown > 0 {
            write!(
                f,
                "; of {} that can't be told: redacted, encrypted, or not in JSON",
                self.n_unknown
            )?;
        }
        if self.n_new > 0 {
            write!(f, "; {} are new ones", self.n_new)?;
        }
        Ok(())
    }
}

/// The log of this name, as the box publishes it.
async fn published(
    contexts: &[BoundedContext],
    store: &StoreOfBox,
    writer: GroupCommit,
    name: &str,
) -> Result<PublishedLog> {
    let recorder = Arc::clone(writer.recorder());
    let mapper = store.mapper(contexts)?;
    let encrypts_none = true;
    let options = AppOptions {
        data_keys: log_keys::data_keys(&*recorder, &mapper, encrypts_none).await?,
        mapper,
        ..AppOptions::default()
    };
    let app = App::new(writer, options);
    let logs: Vec<PublishedLog> = contexts
        .iter()
        .filter(|context| context.name() == store.name)
        .flat_map(|context| {
            logs::published(&app, &*recorder, context.declared_logs(), context.topics())
        })
        .collect();
    let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
    let unknown = refused(format!(
        "the box `{}` publishes no log `{name}`; it has: {}",
        store.name,
        names.join(", ")
    ));
    logs.into_iter().find(|log| log.name == name).ok_or(unknown)
}

/// Whether aggregates of the box may be deleted, if it is one of this program.
fn redactable(contexts: &[BoundedContext], options: &VerifyOptions) -> Result<Option<bool>> {
    let (config, name) = options.load()?;
    let context = contexts.iter().find(|context| context.name() == name);
    Ok(context.map(|context| config.is_redactable(context)))
}

/// What was verified, for people.
fn text(report: &Report, verification: &Verification) -> String {
    let Report {
        log,
        last,
        verified,
        ..
    } = report;
    let mut lines = vec![format!("log        {} {}", log.name, log.epoch)];
    let verified = verified.id;
    lines.push(match (verified, last.saturating_sub(verified)) {
        (0, 0) => "verified   nothing: the log is empty".to_owned(),
        (0, _) => format!("verified   none of {last} notifications: no page is sealed"),
        (_, 0) => format!("verified   1 to {verified}"),
        (_, _) => {
            format!("verified   1 to {verified} of {last}; what comes after it is not sealed yet")
        }
    });
    let signers: Vec<String> = report.signers.iter().map(ToString::to_string).collect();
    lines.push(
        match (verification.trusted.is_empty(), signers.as_slice()) {
            (_, []) => "signed     no".to_owned(),
            (false, _) if report.signed_through == 0 => {
                "signed     nothing by these keys".to_owned()
            }
            (true, signers) => format!(
                "signed     by {}; if that is whose log it is, say so with --signed-by",
                signers.join(", ")
            ),
            (false, signers) => format!(
                "signed     1 to {}, by {}",
                report.signed_through,
                signers.join(", ")
            ),
        },
    );
    if let Some(first) = report.first_deleted {
        lines.push(format!(
            "deleted    {} by now redacted, {first} first",
            match report.n_deleted {
                1 => "1 notification".to_owned(),
                n => format!("{n} notifications"),
            }
        ));
    }
    if let Some(remembered) = report.to_remember() {
        lines.push(format!("hash       {}:{}", remembered.id, remembered.hash));
    }
    lines.push(String::new());
    lines.join("\n")
}
