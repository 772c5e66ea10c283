//! Whether and how the logs of a service are sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use boxes_integrity::{Sealer, SigningKey, SigningRecorder, StoredSeals};
use boxes_notification_log::NotificationLog;
use boxes_recorder::{Recorder, RecorderError};

use crate::layers::Layers;
use crate::seal_mark::SealMarkFile;
use crate::secret_file::read_secret_file;
use crate::state::{RunningBox, RunningSealer};
use crate::{Config, ConfigError, StartError, Store, setting};

/// Whether and how the logs of a service are sealed.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// Whether they are.
    pub on: bool,
    /// What signs the seals; without it they are a chain alone.
    pub key: Option<Arc<SigningKey>>,
    /// Whether seals that the key did not sign are continued, instead of being refused.
    pub adopts: bool,
    /// The folder of the files that remember how far logs were sealed; `None` keeps them next to the file of an SQLite database,
    /// and in the folder of the data for others.
    pub marks: Option<PathBuf>,
}

/// What the settings say of it.
pub(crate) fn sealing(layers: &Layers) -> Result<Sealing, ConfigError> {
    let key = key(layers)?.map(Arc::new);
    let word = layers.one(&setting::SEAL)?;
    let (on, adopts) = match &word {
        None => (key.is_some(), false),
        Some(given) => given.parse("`on`, `off` or `adopt`", |text| match text {
            "on" => Some((true, false)),
            "off" => Some((false, false)),
            "adopt" => Some((true, true)),
            _ => None,
        })?,
    };
    if adopts && key.is_none() {
        return Err(ConfigError::Together {
            reason: "`--seal adopt` continues the seals of another key with a new one, and there is none: set BOXES_SEAL_KEY or --seal-key-file".to_owned(),
        });
    }
    let marks = layers.one(&setting::SEAL_MARKS)?;
    let marks = marks.map(|given| PathBuf::from(given.value));
    Ok(Sealing {
        on,
        key,
        adopts,
        marks,
    })
}

fn key(layers: &Layers) -> Result<Option<SigningKey>, ConfigError> {
    let read = |text: &str, origin: String| {
        SigningKey::from_pem(text).map_err(|error| ConfigError::Value {
            origin,
            problem: format!("holds no key: {error}"),
        })
    };
    match (
        layers.one(&setting::SEAL_KEY)?,
        layers.one(&setting::SEAL_KEY_FILE)?,
    ) {
        (None, None) => Ok(None),
        (Some(given), None) => read(&given.value, given.origin.to_string()).map(Some),
        (None, Some(file)) => {
            let text = read_secret_file(&file)?;
            read(&text, format!("{} ({})", file.origin, file.value)).map(Some)
        }
        (Some(_), Some(file)) => Err(ConfigError::Together {
            reason: format!(
                "the key that signs seals is given by BOXES_SEAL_KEY and by {}: leave one of them out",
                file.origin
            ),
        }),
    }
}

impl Sealing {
    /// The sealers of the logs of a box, if they are to be sealed: of its own one, which is the source of all others and is
    /// sealed also where it is not published, and of those that are published.
    ///
    /// # Errors
    ///
    /// [`StartError::Store`] if the engine has no place for seals.
    pub(crate) fn sealers(
        &self,
        running: &RunningBox,
        config: &Config,
    ) -> Result<Vec<(Sealer, RunningSealer)>, StartError> {
        if !self.on {
            return Ok(Vec::new());
        }
        let box_name = running.app.name();
        if self.adopts {
            tracing::warn!(
                box_name,
                "--seal adopt is set, so seals that another key signed, or none, are continued: leave it out after this start"
            );
        }
        let recorder = running.writer.recorder();
        let own: Arc<dyn NotificationLog> = Arc::new(running.app.notification_log());
        let own = (None, own, StoredSeals::of(&**recorder));
        let public = running
            .logs
            .iter()
            .filter(|published| published.withholds)
            .map(|published| {
                let name = Some(published.name.clone());
                (name, Arc::clone(&published.log), published.seals.clone())
            });
        std::iter::once(own)
            .chain(public)
            .map(|(public_log, log, seals)| {
                let seals = seals.ok_or_else(|| no_place(box_name))?;
                let sealer = Sealer::new(log, seals, self.key.clone());
                let sealer = match self.adopts {
                    true => sealer.adopting(),
                    false => sealer,
                };
                let sealer = match self.mark_of(box_name, public_log.as_deref(), config) {
                    Some(file) => sealer.with_mark(Arc::new(SealMarkFile(file))),
                    None => sealer,
                };
                let running = RunningSealer {
                    box_name: box_name.to_owned(),
                    public_log,
                    status: sealer.status(),
                };
                Ok((sealer, running))
            })
            .collect()
    }
}

impl Sealing {
    /// Where it is remembered how far a log was sealed; `None` for one that is gone when the process ends. A public log may have
    /// the name of its box, and has a file of its own.
    fn mark_of(
        &self,
        box_name: &str,
        public_log: Option<&str>,
        config: &Config,
    ) -> Option<PathBuf> {
        let suffix = match public_log {
            None => "-sealed".to_owned(),
            Some(log) => format!("-sealed-public-{}", log.replace('/', ".")),
        };
        match (&self.marks, config.store_of(box_name)) {
            (_, Store::Memory) => None,
            (Some(folder), _) => Some(folder.join(format!("{box_name}{suffix}"))),
            (None, Store::Sqlite(database)) => Some(named_after(&database, &suffix)),
            (None, _) => Some(config.data.join(format!("{box_name}{suffix}"))),
        }
    }

    /// The recorder of a box, which signs what is deleted if seals are signed.
    pub(crate) fn signing_deletions(&self, recorder: Arc<dyn Recorder>) -> Arc<dyn Recorder> {
        match self.key.clone().filter(|_| self.on) {
            Some(key) => SigningRecorder::wrap(recorder, key),
            None => recorder,
        }
    }
}

fn named_after(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn no_place(name: &str) -> StartError {
    StartError::Store {
        store: "its store".to_owned(),
        source: RecorderError::Mismatch {
            reason: "it has no place for seals beside the log: leave --seal out".to_owned(),
        },
        name: name.to_owned(),
    }
}
