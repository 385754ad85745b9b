//! `cargo x torture NAME`: builds `seamount` and tortures it. `--release` takes the optimised one.

use crate::metadata::Metadata;
use crate::process::{cargo, passed_on, visibly};
use anyhow::Result;
use std::process::ExitCode;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let release = arguments.iter().any(|argument| argument == "--release");
    let rest = arguments.iter().filter(|argument| *argument != "--release");
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut build =
        cargo(&["build", "--quiet", "--package", "seamount-cli", "--package", "seamount-torture"]);
    let status = visibly(build.args(profile))?;
    if !status.success() {
        return Ok(passed_on(status));
    }
    let folder = if release { "release" } else { "debug" };
    let folder = Metadata::read()?.target_directory.join(folder);
    let mut torture = std::process::Command::new(folder.join("seamount-torture"));
    torture.args(rest);
    // The proxy stands before other servers, and without a name there is only help.
    if !matches!(arguments.first().map(String::as_str), None | Some("proxy")) {
        torture.arg("--seamount").arg(folder.join("seamount"));
    }
    visibly(&mut torture).map(passed_on)
}
