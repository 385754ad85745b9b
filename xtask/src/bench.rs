//! `cargo x bench NAME`: the bench crate, optimised. Its exit code is ours: 0 goals met, 2 a goal missed.

use crate::process::{cargo, passed_on, visibly};
use anyhow::{Result, bail};
use std::process::ExitCode;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    if arguments.is_empty() {
        bail!("name what to measure: cargo x bench log");
    }
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "seamount-bench", "--"]);
    visibly(command.args(arguments)).map(passed_on)
}
