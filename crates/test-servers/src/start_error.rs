//! Why there is no server.

use std::fmt;

/// Why a server could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// Its programs are not here: install this package of Debian, or what corresponds to it.
    Missing {
        /// The package.
        package: &'static str,
    },
    /// It failed, in a sentence with what it said itself.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { package } => write!(
                f,
                "the package {package} is missing: `cargo xtask test` sees to it, or install it with: \
                 sudo apt-get install --no-install-recommends {package}"
            ),
            Self::Failed(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for StartError {}
