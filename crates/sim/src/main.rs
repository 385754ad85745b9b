//! `sim`: the simulator on the command line. Exit code 1 when something was broken, or a defect was not caught.

use sim::drill::{Drill, Violation, all};
use sim::runner::{Options, Tally, parse, planted, seeds, shortest};
use sim::world::plan::{Less, Plan};
use sim::world::{self, Recording, SITUATIONS};
use std::process::ExitCode;
use std::time::Instant;

/// Fewer seeds than these need not reach every situation.
const SITUATIONS_FROM: u64 = 1_000;

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("{wrong}");
            return ExitCode::from(2);
        }
    };
    if run(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: &Options) -> bool {
    let drills = all();
    if options.list {
        for drill in &drills {
            println!("{:<20} {:>6} seeds  {}", drill.name, drill.seeds_in_ci, drill.about);
        }
        let steps = sim::world::every_step::all();
        println!("every-step covers all of its scenario with {steps} seeds");
        return true;
    }
    if options.planted {
        return planted(options.defect.as_deref());
    }
    let named = options.drill.as_deref().unwrap_or("world");
    let Some(drill) = drills.iter().find(|drill| drill.name == named) else {
        eprintln!("there is no drill {named}; --list names them");
        return false;
    };
    if let Some(seed) = options.seed {
        return one(drill, seed, &options.less);
    }
    let jobs = options
        .jobs
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get));
    if options.drill.is_some() || options.seeds.is_some() {
        let range = options.seeds.clone().unwrap_or(0..drill.seeds_in_ci);
        return many(drill, range, jobs);
    }
    let mut well = true;
    for drill in &drills {
        well &= many(drill, 0..drill.seeds_in_ci, jobs);
    }
    well
}

/// One seed, with its trace.
fn one(drill: &Drill, seed: u64, less: &Less) -> bool {
    if drill.name != "world" {
        return match (drill.run)(seed) {
            Ok(()) => {
                println!("{} {seed}: well", drill.name);
                true
            }
            Err(violation) => {
                println!("{violation}");
                false
            }
        };
    }
    let ran = world::run(seed, less, Recording::Kept);
    let plan = Plan::of(seed, less);
    let features: Vec<&str> = plan.features.iter().map(|feature| feature.word()).collect();
    println!("seed {seed}: {} acts, {} sites, {}", plan.acts, plan.sites.len(), features.join(" "));
    match ran.violation {
        Some(violation) => {
            println!("{violation}");
            false
        }
        None => {
            println!("{} steps, fingerprint {:016x}: well", ran.steps, ran.fingerprint);
            true
        }
    }
}

/// Many seeds; the last line is the summary.
fn many(drill: &Drill, range: std::ops::Range<u64>, jobs: usize) -> bool {
    let began = Instant::now();
    let total = range.end.saturating_sub(range.start);
    let progress = |done: u64| {
        if done.is_multiple_of(200) && total >= 400 {
            eprintln!("{}: {done} of {total} seeds, {} s", drill.name, began.elapsed().as_secs());
        }
    };
    let tally = seeds(drill, range, jobs, &progress);
    if let Some((seed, violation)) = tally.violations.first_key_value() {
        explain(drill, *seed, violation);
    }
    let broken: Vec<String> = tally.violations.keys().map(u64::to_string).collect();
    if !broken.is_empty() {
        println!("seeds with violations: {}", broken.join(", "));
    }
    summary(drill, &tally, began)
}

fn explain(drill: &Drill, seed: u64, violation: &Violation) {
    println!("{} seed {seed}: {}: {}", drill.name, violation.invariant, violation.what);
    if drill.name != "world" {
        println!("again: cargo x sim --drill {} --seed {seed}", drill.name);
        return;
    }
    let (less, ran) = shortest(seed, violation.invariant);
    if let Some(violation) = ran.violation {
        println!("{violation}");
    }
    let plan = Plan::of(seed, &less);
    let left: Vec<&str> = plan.features.iter().map(|feature| feature.word()).collect();
    println!("what is left of the plan: {} acts, {}", plan.acts, left.join(" "));
    let mut command = format!("cargo x sim --seed {seed}");
    if let Some(acts) = less.acts {
        command.push_str(&format!(" --acts {acts}"));
    }
    if !less.without.is_empty() {
        let without: Vec<&str> = less.without.iter().map(|feature| feature.word()).collect();
        command.push_str(&format!(" --without {}", without.join(",")));
    }
    println!("again: {command}");
}

fn summary(drill: &Drill, tally: &Tally, began: Instant) -> bool {
    let well = tally.violations.is_empty();
    let (seeds, seconds) = (grouped(tally.seeds), began.elapsed().as_secs());
    let count = tally.violations.len();
    if drill.name != "world" {
        println!("sim: {}: {seeds} seeds in {seconds} s, {count} violations", drill.name);
        return well;
    }
    let reached = |situation: &&&str| tally.situations.contains_key(**situation);
    let missing: Vec<&str> = SITUATIONS.iter().filter(|s| !reached(s)).copied().collect();
    if !missing.is_empty() {
        println!("never reached: {}", missing.join(", "));
    }
    println!(
        "sim: {seeds} seeds in {seconds} s, {count} violations, {} of {} situations reached",
        SITUATIONS.len() - missing.len(),
        SITUATIONS.len()
    );
    well && (missing.is_empty() || tally.seeds < SITUATIONS_FROM)
}

/// 2000 as `2,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
