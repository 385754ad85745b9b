//! `cargo x ci`: the very script that continuous integration runs, so that the two cannot drift apart.

use crate::process::{passed_on, root, visibly};
use anyhow::Result;
use std::process::{Command, ExitCode};

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let mut command = Command::new("bash");
    visibly(command.arg(".ci/run").args(arguments).current_dir(root())).map(passed_on)
}
