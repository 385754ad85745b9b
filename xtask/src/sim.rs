//! `cargo x sim`: the simulator. `--planted` builds it with the defects it must find, apart from every other build.
//!
//! Both are built with the features that the whole workspace agrees on, so that nothing below our crates is compiled
//! again beside `cargo x test`.

use crate::metadata::Metadata;
use crate::process::{cargo, passed_on, visibly};
use anyhow::Result;
use std::process::ExitCode;

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut build = cargo(&["build", "--quiet", "--workspace", "--bin", "sim"]);
    if arguments.iter().any(|argument| argument == "--planted") {
        build.args(["--features", "seamount-sim/planted"]);
    }
    let status = visibly(&mut build)?;
    if !status.success() {
        return Ok(passed_on(status));
    }
    let sim = Metadata::read()?.target_directory.join("debug").join("sim");
    visibly(std::process::Command::new(sim).args(arguments)).map(passed_on)
}
