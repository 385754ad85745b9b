//! Starts other programs, cargo above all, where everybody can see what is started.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

/// The root of the checkout: the one cargo runs us for, since a kept target folder may hold a program built in another.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
        .parent()
        .expect("xtask lies in the checkout")
        .to_path_buf()
}

/// The cargo that runs us, at the root of the checkout.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    command
}

/// Runs to the end, with our own input and output; says first what is run.
///
/// # Errors
/// The program cannot be started.
pub(crate) fn visibly(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("+ {}", line(command));
    command.status().with_context(|| format!("cannot start {}", line(command)))
}

/// What the command would be at a prompt.
pub(crate) fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy();
    let arguments = command.get_args().map(|a| a.to_string_lossy());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// The same code as the child's; 1 where a signal ended it.
pub(crate) fn passed_on(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
