//! `cargo x bench NAME`: the bench crate, optimised. Its exit code is ours: 0 goals met, 2 a goal missed.

use crate::metadata::Metadata;
use crate::process::{cargo, passed_on, visibly};
use anyhow::{Result, bail};
use std::process::{Command, ExitCode};

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if arguments.is_empty() {
        bail!("name what to measure: cargo x bench log");
    }
    // Together, so that both are built with the same features.
    let packages = ["--package", "seamount-cli", "--package", "seamount-bench"];
    let status = visibly(cargo(&["build", "--quiet", "--release"]).args(packages))?;
    if !status.success() {
        return Ok(passed_on(status));
    }
    let folder = Metadata::read()?.target_directory.join("release");
    visibly(Command::new(folder.join("seamount-bench")).args(arguments)).map(passed_on)
}
