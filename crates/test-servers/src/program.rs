//! Where programs are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The first program of this name in the folders of `PATH`, then in these, which `PATH` may lack because only
/// administrators use them.
#[must_use]
pub fn find_program(name: &str, folders: &[&str]) -> Option<PathBuf> {
    find_program_in(name, std::env::var_os("PATH").as_deref(), folders)
}

fn find_program_in(name: &str, path: Option<&OsStr>, folders: &[&str]) -> Option<PathBuf> {
    let of_path = path.into_iter().flat_map(std::env::split_paths);
    let others = folders.iter().map(PathBuf::from);
    of_path
        .chain(others)
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.with_extension("exe").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_in_the_folders_that_are_named() {
        let here = std::env::current_exe().unwrap();
        let folder = here.parent().unwrap();
        let name = here.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            find_program_in(name, Some(folder.as_os_str()), &[]),
            Some(here.clone())
        );
        assert_eq!(find_program_in(name, None, &[]), None);
        let folders = [folder.to_str().unwrap()];
        assert_eq!(find_program_in(name, None, &folders), Some(here.clone()));
    }
}
