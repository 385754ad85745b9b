//! Database servers that tests start: installed from the distribution where they are missing and may be installed.

use crate::process::line;
use std::path::Path;
use std::process::Command;

/// Part of the path of every test that needs PostgreSQL.
pub(crate) const NEEDS_POSTGRES: &str = "postgres";

/// Whether PostgreSQL is there, perhaps since now.
pub(crate) fn has_postgres() -> bool {
    is_installed() || (may_install() && install("postgresql") && is_installed())
}

fn is_installed() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/initdb").exists())
}

/// Root on a Debian installs; nobody else is asked to.
fn may_install() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    root && Path::new("/usr/bin/apt-get").exists()
}

fn install(package: &str) -> bool {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        eprintln!("+ {}", line(&command));
        command.status().is_ok_and(|status| status.success())
    };
    run(&["update", "-qq"]) && run(&["install", "-y", "-qq", "--no-install-recommends", package])
}
