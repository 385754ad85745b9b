//! The binary `seamount`: the only place that knows every piece.
//!
//! `main` reads as a story: what was typed, the project it concerns, one function for each command, one exit code.

mod args;
mod assemble;
mod commands;
mod door;
mod exit;
mod inspect;
mod operator;
mod output;
mod private;
mod progress;
mod proven;
mod report;
mod time;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let typed = match args::Typed::try_parse() {
        Ok(typed) => typed,
        Err(e) => {
            let code = if e.use_stderr() { exit::USAGE } else { exit::DONE };
            // A closed pipe is no reason to fail: somebody has read enough.
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let output = output::Output::new(&typed.global);
    let code = match commands::run(&typed, &output) {
        Ok(code) => code,
        Err(failure) => failure.tell(&output),
    };
    ExitCode::from(code)
}
