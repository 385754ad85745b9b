//! What every bench needs: medians, time on the processor, memory, and the goal lines at the end.
//!
//! A figure is the median of runs that alternate with runs of its anchor, so that a busy machine slows both.

use anyhow::{Context, Result};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs of each figure.
pub(crate) const RUNS: usize = 5;

/// The middle of the values.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value below which `percent` of the values lie.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    assert!(!values.is_empty(), "something was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    // Rounding to the nearest place is all that is wanted of the fraction.
    sorted[((last as f64) * percent / 100.0).round() as usize]
}

/// Runs the thing and its anchor in turn; returns the figures of both.
pub(crate) fn alternate(
    mut thing: impl FnMut() -> Result<f64>,
    mut anchor: impl FnMut() -> Result<f64>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut things, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        anchors.push(anchor()?);
        things.push(thing()?);
    }
    Ok((things, anchors))
}

/// Wall time and processor time of a piece of work.
pub(crate) struct Spent {
    /// Wall time.
    pub(crate) wall: Duration,
    /// Time of all threads on the processors, in steps of 10 ms.
    pub(crate) cpu: Duration,
}

/// Measures a piece of work.
pub(crate) fn spend<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Spent)> {
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let done = work()?;
    Ok((done, Spent { wall: started.elapsed(), cpu: cpu_time()?.saturating_sub(cpu) }))
}

/// Processor time of this process so far (Linux).
pub(crate) fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("processor time")?;
    // Fields are counted behind the program's name, which may hold spaces.
    let fields = stat.rsplit_once(')').context("processor time")?.1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Most memory this process ever had, in MiB (Linux).
pub(crate) fn peak_rss_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("memory")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("memory")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("memory")?;
    Ok(kib / 1024)
}

/// The goal lines, said last.
#[derive(Default)]
pub(crate) struct Goals {
    lines: Vec<String>,
    missed: usize,
}

impl Goals {
    /// Notes a figure: `G6 append`, `1.4 M changes/s`, `>= 1 M`.
    pub(crate) fn note(&mut self, name: &str, figure: &str, goal: &str, reached: Reached) {
        let verdict = match reached {
            Reached::Met => "MET",
            Reached::Missed => "MISSED",
        };
        self.missed += usize::from(reached == Reached::Missed);
        self.lines.push(format!("GOAL {name} {figure} (goal {goal}) {verdict}"));
    }

    /// Says all of them; exit code 0 where every goal is met, 2 where one is missed.
    pub(crate) fn finish(self) -> ExitCode {
        self.lines.iter().for_each(|line| println!("{line}"));
        ExitCode::from(if self.missed == 0 { 0 } else { 2 })
    }
}

/// Whether a goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Met,
    Missed,
}

impl Reached {
    /// The figure must be at least the goal.
    pub(crate) fn at_least(figure: f64, goal: f64) -> Self {
        if figure >= goal { Reached::Met } else { Reached::Missed }
    }

    /// The figure must be at most the goal.
    pub(crate) fn at_most(figure: f64, goal: f64) -> Self {
        if figure <= goal { Reached::Met } else { Reached::Missed }
    }
}
