//! The real run: a year of a retailer's sales, 38 countries as 38 SQLite sites, moved and proved by a given `seamount`.
//!
//! Uses no crate of the project: what is compared here is compared by other code.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod countries;
mod data;
mod event;
mod foreign;
mod generate;
mod hybrid;
mod kill;
mod memory;
mod money;
mod options;
mod oracle;
mod project;
mod random;
mod sale;
mod scene;
mod seamount;
mod shops;

use anyhow::{Context, Result};
use options::What;
use scene::{Scene, count};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match options::read(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::from(64);
        }
    };
    let scene = match Scene::build(&options) {
        Ok(scene) => scene,
        Err(error) => {
            println!("real run: FAILED before it began: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let done = match options.what {
        What::Run => steps(&scene),
        What::KillLoop => kill_loop(&scene, options.times),
    };
    match done {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let kept = scene.project.leave();
            println!("real run: FAILED at {error:#}; see {}", kept.display());
            ExitCode::FAILURE
        }
    }
}

/// All steps, in an order in which each stands on those before.
fn steps(scene: &Scene) -> Result<String> {
    let began = Instant::now();
    let moved = event::run(scene).context("(a) event")?;
    let published = batch::run(scene).context("(b) batch")?;
    hybrid::run(scene).context("(c) hybrid")?;
    oracle::check_totals(&moved.totals, &published).context("(d) event against batch")?;
    println!(
        "(d) agree     {} totals of events and of batch are the same to the ten-thousandth",
        count(published.len() as u64)
    );
    foreign::run(scene).context("(e) foreign")?;
    Ok(format!(
        "real run: {} rows in = out at 38 sites, revenue {}, (a) to (e) hold, in {:.0} s",
        count(moved.rows),
        moved.revenue(),
        began.elapsed().as_secs_f64()
    ))
}

fn kill_loop(scene: &Scene, times: u64) -> Result<String> {
    kill::run(scene, times).context("kill-loop")?;
    Ok(format!("kill-loop: {times} kills, the centre equals the files, every change has one fate"))
}
