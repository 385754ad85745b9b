//! The finished binary under torture: `seamount-torture NAME --seamount PATH [--cycles N] [--minutes N] [--seed S]`, and
//! with `cargo x torture NAME` built before. Each scenario is one file; what it checks it with is in `oracle` and `verdict`.
//!
//! It uses no crate of the product (`servers` starts PostgreSQL for it): what it knows of Seamount is what a user knows.
//! Every run ends with one line of figures and `HELD`, or with what broke, the seed and the folder; then the exit code is 1.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod clone;
mod crew;
mod export;
mod kill;
mod ledger;
mod mount;
mod options;
mod oracle;
mod outcome;
mod postgres;
mod powercut;
mod random;
mod relay;
mod seamount;
mod second;
mod signal;
mod stage;
mod store;
mod strace;
mod verdict;
mod world;
mod zombie;

use anyhow::Result;
use options::Options;
use outcome::Outcome;
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
seamount-torture NAME --seamount PATH [--cycles N] [--minutes N] [--seed S]
  kill         kill -9 at random moments under load; SIGTERM now and then
  zombie       an engine sleeps, another takes over, the first wakes
  two-engines  a second engine on one state folder; stale locks; reused process ids
  clone        a copied state folder beside the first
  strace       the Nth system call kills the process, fails, finds no space, is slow
  powercut     images of the disk, taken while everything works
  postgres-chaos        PostgreSQL to PostgreSQL: engine, source and target are killed, links fail [--minutes 30]
  postgres-target-down  PostgreSQL to PostgreSQL: the target is gone, the source written at full rate [--minutes 60]
  postgres-proof        PostgreSQL to PostgreSQL: proofs under full load, the target comes and goes [--minutes 30] [--cycles 10]
  ci           all of them, in small
seamount-torture proxy --to HOST:PORT [--listen HOST:PORT] [--seed S]
               a TCP proxy that fails on purpose, for connectors that speak over a network";

/// A scenario.
type Scenario = fn(&Options) -> Result<Outcome>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("kill", kill::run),
    ("zombie", zombie::run),
    ("two-engines", second::run),
    ("clone", clone::run),
    ("strace", strace::run),
    ("powercut", powercut::run),
    ("postgres-chaos", postgres::chaos),
    ("postgres-target-down", postgres::target_down),
    ("postgres-proof", postgres::proof),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        println!("{HELP}");
        return ExitCode::from(64);
    };
    if name == "proxy" {
        return match relay::run(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}\n{HELP}");
                ExitCode::from(64)
            }
        };
    }
    let mut options = match options::read(rest) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error:#}\n{HELP}");
            return ExitCode::from(64);
        }
    };
    options.in_small = name == "ci";
    let asked: Vec<&(&str, Scenario)> =
        SCENARIOS.iter().filter(|(known, _)| name == "ci" || name == known).collect();
    if asked.is_empty() {
        eprintln!("there is no scenario `{name}`\n{HELP}");
        return ExitCode::from(64);
    }
    let mut broken = 0;
    for (name, scenario) in asked {
        let began = Instant::now();
        let ended = scenario(&options);
        let took = began.elapsed().as_secs_f64();
        let seed = options.seed;
        match ended {
            Ok(Outcome::Held(figures)) => {
                println!("torture {name}: {figures}; seed {seed}; {took:.0} s: HELD");
            }
            Ok(Outcome::NotRun { why, excused }) => {
                println!("torture {name}: NOT RUN: {why}");
                broken += u64::from(options.ci && !excused);
            }
            Err(error) => {
                broken += 1;
                println!("torture {name}: BROKEN: {error:#}; seed {seed}; {took:.0} s");
            }
        }
    }
    ExitCode::from(u8::from(broken > 0))
}
