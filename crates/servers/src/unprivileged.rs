//! Whom a server runs as: PostgreSQL refuses to run as root, so root lends it to the user that its package made.

use anyhow::{Context, Result, bail};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The user that runs servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// Whoever we are.
    Us,
    /// Another, since we are root.
    Other { user: u32, group: u32 },
}

impl Runner {
    /// Finds whom to run as.
    pub(crate) fn find() -> Result<Runner> {
        let ours = std::fs::metadata("/proc/self").context("cannot tell who we are")?.uid();
        if ours != 0 {
            return Ok(Runner::Us);
        }
        let users = std::fs::read_to_string("/etc/passwd").context("cannot read the users")?;
        for wanted in ["postgres", "nobody"] {
            let line = users.lines().find(|line| line.split(':').next() == Some(wanted));
            if let Some([user, group]) = line.map(ids) {
                return Ok(Runner::Other { user, group });
            }
        }
        bail!("there is no user that a server could run as; make one named postgres");
    }

    /// Gives a folder to the runner.
    pub(crate) fn owns(self, folder: &Path) -> Result<()> {
        match self {
            Runner::Us => Ok(()),
            Runner::Other { user, group } => chown(folder, Some(user), Some(group))
                .with_context(|| format!("cannot give {} away", folder.display())),
        }
    }

    /// Makes a command run as the runner.
    pub(crate) fn runs(self, command: &mut Command) {
        if let Runner::Other { user, group } = self {
            command.uid(user).gid(group);
        }
    }
}

/// User and group of a line of the user table.
fn ids(line: &str) -> [u32; 2] {
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap_or(u32::MAX));
    [fields.next().unwrap_or(u32::MAX), fields.next().unwrap_or(u32::MAX)]
}
