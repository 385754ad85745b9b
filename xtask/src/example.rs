//! `cargo x example NAME`: builds `seamount` and the example, and runs the one with the other.

use crate::metadata::Metadata;
use crate::process::{cargo, passed_on, visibly};
use anyhow::{Result, bail};
use std::process::ExitCode;

/// How both are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// For a short wait.
    Debug,
    /// For figures.
    Release,
}

pub(crate) fn run(arguments: &[String], build: Build) -> Result<ExitCode> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("name the example: cargo x example online-retail");
    };
    let package = format!("example-{name}");
    let metadata = Metadata::read()?;
    if !metadata.members().any(|member| member.name == package) {
        bail!("there is no example `{name}`");
    }
    let mut compile =
        cargo(&["build", "--quiet", "--package", "seamount-cli", "--package", &package]);
    if build == Build::Release {
        compile.arg("--release");
    }
    let status = visibly(&mut compile)?;
    if !status.success() {
        return Ok(passed_on(status));
    }
    let folder = match build {
        Build::Debug => metadata.target_directory.join("debug"),
        Build::Release => metadata.target_directory.join("release"),
    };
    // What follows the name is `COMMAND ARGS` of the example; `run` where none is named.
    let named = rest.first().is_some_and(|first| !first.starts_with('-'));
    let (command, options) = if named { (rest[0].as_str(), &rest[1..]) } else { ("run", rest) };
    let mut example = std::process::Command::new(folder.join(&package));
    example.arg(command).arg("--seamount").arg(folder.join("seamount")).args(options);
    visibly(&mut example).map(passed_on)
}
