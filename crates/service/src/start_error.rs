//! Why a service does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use boxes_recorder::RecorderError;
use thiserror::Error;

use crate::{CertificateError, ConfigError};

/// Why a service does not start; nothing runs then. The message and those of its sources make one sentence that
/// says what to mend, as [`Failure`](crate::Failure) prints it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The boxes are declared wrongly: mend the program.
    #[error("{}", mistakes.join("; "))]
    Declaration {
        /// Each thing that is wrong.
        mistakes: Vec<String>,
    },
    /// The configuration does not fit: mend it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate of the service or its key can't be used: mend the files, or name others.
    #[error("HTTPS can't be spoken")]
    Certificate(#[from] CertificateError),
    /// The folder of a database or of values can't be made, or nothing can be written there: mend its permissions, or name
    /// another.
    #[error("the folder {} can't be made or written to", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A box's store can't be opened, or is not the one that is expected.
    #[error("the box `{name}` can't use {store}")]
    Store {
        /// The box.
        name: String,
        /// Where its events are to be kept.
        store: String,
        /// What the recorder says.
        source: RecorderError,
    },
    /// The log of a followed box can't be reached with what is configured.
    #[error("the log of `{upstream}` at {url} can't be followed: {reason}")]
    Upstream {
        /// The followed box.
        upstream: String,
        /// Where its log is said to be.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The address can't be listened at.
    #[error("can't listen at {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl StartError {
    /// Whether the program, its configuration or its files have to be changed: to start it again as it is would fail again.
    #[must_use]
    pub fn is_of_configuration(&self) -> bool {
        match self {
            Self::Declaration { .. }
            | Self::Config(_)
            | Self::Certificate(_)
            | Self::Folder { .. }
            | Self::Upstream { .. } => true,
            // Another history, page size or schema than expected, or no permission to change that.
            Self::Store { source, .. } => matches!(
                source,
                RecorderError::Mismatch { .. } | RecorderError::Broken { .. }
            ),
            // Somebody else may give the address up.
            Self::Bind { .. } => false,
        }
    }
}
