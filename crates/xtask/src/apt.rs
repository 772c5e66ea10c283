//! Installing what is missing, where that is allowed.

use std::process::{Command, Stdio};

/// Installs a package with apt, as root; otherwise says what to do.
pub(crate) fn install(package: &str) -> Result<(), String> {
    let command = format!("apt-get install --yes --no-install-recommends {package}");
    if !is_root() {
        return Err(format!(
            "the tests need the package {package}; install it with: sudo {command}"
        ));
    }
    println!("    {package} is missing and is installed");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["--quiet", "-o", "DPkg::Lock::Timeout=300"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null());
        apt.status().is_ok_and(|status| status.success())
    };
    // Twice, because mirrors fail for a moment. Whether the lists are new is told by the installation.
    let is_installed = (0..2).any(|_| {
        apt(&["update"]);
        apt(&["install", "--yes", "--no-install-recommends", package])
    });
    if is_installed {
        Ok(())
    } else {
        Err(format!(
            "the tests need the package {package}, which can't be installed here; it is done with: {command}"
        ))
    }
}

#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
pub(crate) fn is_root() -> bool {
    false
}
