//! One command for everything: `cargo x NAME`. Each name is one file here; none of them is needed to build the project.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bench;
mod check;
mod ci;
mod example;
mod metadata;
mod process;
mod servers;
mod sim;
mod test;
mod torture;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo x check [GATE...]            edges (of crates), files (heads and lengths), format, lints
cargo x test [ARGS]                all tests; names the ignored ones, and fails on them when CI is set
cargo x ci                         what continuous integration does: .ci/run
cargo x bench NAME [ARGS]          measures NAME against its anchor, optimised build
cargo x sim [ARGS]                 the simulator: --seed N, --seeds A..B, --drill NAME, --planted
cargo x torture NAME [ARGS]        the finished binary under kill -9, zombies, failing system calls, power cuts
cargo x example NAME [ARGS]        an example with the seamount of this checkout, e.g. example online-retail
cargo x real-run [ARGS]            the whole real run: example online-retail, optimised build, all days";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo x: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{HELP}");
        return Ok(ExitCode::from(64));
    };
    match name.as_str() {
        "check" => check::run(rest),
        "test" => test::run(rest),
        "ci" => ci::run(rest),
        "bench" => bench::run(rest),
        "sim" => sim::run(rest),
        "torture" => torture::run(rest),
        "example" => example::run(rest, example::Build::Debug),
        "real-run" => {
            let mut all = vec!["online-retail".to_string()];
            all.extend_from_slice(rest);
            example::run(&all, example::Build::Release)
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("there is no command `{other}`\n{HELP}"),
    }
}
