//! Where a server lives.

use std::path::{Path, PathBuf};

use crate::StartError;
use crate::user::User;

/// A new folder, which is removed with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder that belongs to this user.
    pub(crate) fn new(name: &str, user: Option<&User>) -> Result<Self, StartError> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nanoseconds = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |time| time.subsec_nanos());
        let folder = std::env::temp_dir().join(format!(
            "boxes-{name}-{}-{}-{nanoseconds}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir(&folder)
            .and_then(|()| give_to(&folder, user))
            .map_err(|error| {
                StartError::Failed(format!("{} can't be made: {error}", folder.display()))
            })?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file that this user may read, and nobody else.
    pub(crate) fn write(
        &self,
        name: &str,
        content: &[u8],
        user: Option<&User>,
    ) -> Result<PathBuf, StartError> {
        let file = self.0.join(name);
        std::fs::write(&file, content)
            .and_then(|()| keep_private(&file))
            .and_then(|()| give_to(&file, user))
            .map_err(|error| {
                StartError::Failed(format!("{} can't be written: {error}", file.display()))
            })?;
        Ok(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} can't be removed: {error}", self.0.display());
        }
    }
}

#[cfg(unix)]
fn give_to(path: &Path, user: Option<&User>) -> std::io::Result<()> {
    user.map_or(Ok(()), |user| {
        std::os::unix::fs::chown(path, Some(user.id), Some(user.group))
    })
}

#[cfg(not(unix))]
fn give_to(_: &Path, _: Option<&User>) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn keep_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}
