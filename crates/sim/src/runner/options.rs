//! What was asked for on the command line.

use crate::world::plan::{Feature, Less};
use std::ops::Range;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The drill; `None`: the world, or all of them where no seeds are named.
    pub drill: Option<String>,
    /// Seeds.
    pub seeds: Option<Range<u64>>,
    /// One seed, with its trace.
    pub seed: Option<u64>,
    /// Threads; `None`: as many as there are processors.
    pub jobs: Option<usize>,
    /// Whether every planted defect must be caught.
    pub planted: bool,
    /// Only this planted defect.
    pub defect: Option<String>,
    /// Only a list of drills.
    pub list: bool,
    /// How the plan of a seed is made smaller.
    pub less: Less,
}

/// How it is called.
const USAGE: &str = "\
sim                         every drill with the seeds that continuous integration runs
sim --seeds A..B            many seeds of the world (or of --drill NAME); --jobs N
sim --seed N                one seed, with its trace; --acts N, --without FEATURE,... make it smaller
sim --planted               plants every defect and shows what catches it; --defect NAME: one of them
sim --list                  the drills";

/// Understands arguments.
///
/// # Errors
/// What is not understood.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--drill" => options.drill = Some(value()?),
            "--seeds" => options.seeds = Some(range(&value()?)?),
            "--seed" => options.seed = Some(number(&value()?)?),
            "--jobs" => options.jobs = Some(number(&value()?)?.clamp(1, 64) as usize),
            "--acts" => options.less.acts = Some(number(&value()?)?),
            "--without" => {
                for word in value()?.split(',') {
                    let feature =
                        Feature::named(word).ok_or_else(|| format!("{word} is no feature"))?;
                    options.less.without.insert(feature);
                }
            }
            "--planted" => options.planted = true,
            "--defect" => options.defect = Some(value()?),
            "--list" => options.list = true,
            other => return Err(format!("{other} is not understood\n{USAGE}")),
        }
    }
    Ok(options)
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("{text} is no range A..B"))?;
    Ok(number(from)?..number(to)?)
}

fn number(text: &str) -> Result<u64, String> {
    text.replace(',', "").parse().map_err(|_| format!("{text} is no number"))
}
