//! `cargo x sim`: the simulator. `--planted` builds it with the defects it must find, apart from every other build.

use crate::process::{cargo, passed_on, visibly};
use anyhow::Result;
use std::process::ExitCode;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut command = cargo(&["run", "--quiet", "--package", "seamount-sim"]);
    if arguments.iter().any(|argument| argument == "--planted") {
        command.args(["--features", "planted"]);
    }
    visibly(command.arg("--").args(arguments)).map(passed_on)
}
