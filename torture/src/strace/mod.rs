//! `strace`: system calls of the shipped binary fail on purpose. A run without faults tells which calls there are; then
//! the process is killed at the Nth of them (F1), a sync fails (F6), there is no space (F5), a sync is slow; after each
//! of them a start without faults must bring everything to its right end.
//!
//! strace counts calls by thread: the Nth call is that of the thread that comes to it first.

mod run;
mod steps;
mod trace;

use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::stage::Stage;
use anyhow::{Context, Result, anyhow, bail};
use run::Ended;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use steps::{Fault, Step, Work};

/// Steps where nobody says how many.
const SAMPLE: u64 = 120;

/// What kills are called in the figures.
const KILLS: &str = "kills";

/// Steps that are tried at the same time.
const AT_ONCE: usize = 2;

/// Why strace cannot be used here, and whether that is the machine's rule and not a thing to install.
fn cannot() -> Option<(String, bool)> {
    let tried = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output();
    match tried {
        Err(_) => Some(("strace is not installed".into(), false)),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Some((format!("ptrace is forbidden on this machine ({said})"), true))
        }
    }
}

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if let Some((why, excused)) = cannot() {
        return Ok(Outcome::NotRun { why, excused });
    }
    let most = usize::try_from(options.cycles.unwrap_or(SAMPLE)).unwrap_or(usize::MAX);
    Stage::with(|stage| {
        let mut runs = BTreeMap::new();
        for work in Work::ALL {
            let root = stage.path(&format!("without-faults-{work:?}"));
            std::fs::create_dir(&root)?;
            let rooms = run::baseline(&root, &options.seamount, work, options.seed)?;
            runs.insert(work, rooms);
        }
        let all = steps::all(&runs);
        let (kinds, known) = (by_fault(&all), all.len());
        let chosen = steps::sample(all.clone(), most, &mut Random::part(options.seed, "strace"));
        eprintln!("strace: {known} steps are known ({kinds}), {} are tried", chosen.len());
        let tally = Trial { stage, options, all: &all, chosen: &chosen }.go()?;
        let due = chosen.iter().filter(|step| step.fault == Fault::Kill).count();
        let killed = tally.reached.get(KILLS).copied().unwrap_or_default();
        if killed * 2 < due {
            bail!("only {killed} of {due} kills were reached: the run does not do what it is for");
        }
        Ok(Outcome::Held(tally.figures(chosen.len(), known)))
    })
}

fn by_fault(steps: &[Step]) -> String {
    let count = |is_it: fn(&Fault) -> bool| steps.iter().filter(|s| is_it(&s.fault)).count();
    format!(
        "{} kills, {} failing syncs, {} times no space, {} slow syncs",
        count(|f| *f == Fault::Kill),
        count(|f| *f == Fault::SyncFails),
        count(|f| matches!(f, Fault::NoSpace | Fault::NoSpaceFor(_))),
        count(|f| matches!(f, Fault::Slow(_)))
    )
}

/// All chosen steps, a few at the same time.
struct Trial<'a> {
    stage: &'a Stage,
    options: &'a Options,
    all: &'a [Step],
    chosen: &'a [Step],
}

#[derive(Debug, Default)]
struct Tally {
    reached: BTreeMap<&'static str, usize>,
    healed: BTreeMap<&'static str, usize>,
    twice: usize,
    recovered: Vec<Duration>,
}

impl Trial<'_> {
    fn go(&self) -> Result<Tally> {
        let next = AtomicUsize::new(0);
        let tally = Mutex::new(Tally::default());
        let broken: Mutex<Option<anyhow::Error>> = Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while broken.lock().is_ok_and(|broken| broken.is_none()) {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let Some(step) = self.chosen.get(number) else { return };
                        let done = self.one(number, step, &tally);
                        if let (Err(error), Ok(mut broken)) = (done, broken.lock()) {
                            broken.get_or_insert(error);
                        }
                    }
                });
            }
        });
        if let Some(error) = broken.into_inner().map_err(|_| anyhow!("a trial panicked"))? {
            return Err(error);
        }
        tally.into_inner().map_err(|_| anyhow!("a trial panicked"))
    }

    fn one(&self, number: usize, step: &Step, tally: &Mutex<Tally>) -> Result<()> {
        let root = self.stage.path(&format!("step-{number}"));
        std::fs::create_dir(&root)?;
        let seed = self.options.seed.wrapping_add(number as u64);
        let mut random = Random::part(seed, "again");
        let again = self.second(step, &mut random);
        let ended = run::run(&root, &self.options.seamount, step, again.as_ref(), seed)
            .with_context(|| told(number, step, again.as_ref()))?;
        remove(&root);
        let mut tally = tally.lock().map_err(|_| anyhow!("a trial panicked"))?;
        tally.add(step, again.is_some(), ended);
        if tally.recovered.len().is_multiple_of(25) {
            eprintln!("strace: {} of {} steps", tally.recovered.len(), self.chosen.len());
        }
        Ok(())
    }

    /// A kill in the recovery, for one kill in four.
    fn second(&self, step: &Step, random: &mut Random) -> Option<Step> {
        let kills = |s: &&Step| s.fault == Fault::Kill && s.work == Work::Changes && s.number <= 40;
        if step.fault != Fault::Kill || !random.percent(25) {
            return None;
        }
        let candidates: Vec<&Step> = self.all.iter().filter(kills).collect();
        (!candidates.is_empty()).then(|| (*random.pick(&candidates)).clone())
    }
}

fn told(number: usize, step: &Step, again: Option<&Step>) -> String {
    let again = again.map(|again| format!(", then {again}")).unwrap_or_default();
    format!("step {number}: {step}{again}")
}

fn remove(root: &Path) {
    // What is left goes with the run's folder.
    let _ = std::fs::remove_dir_all(root);
}

impl Tally {
    fn add(&mut self, step: &Step, twice: bool, ended: Ended) {
        let kind = match step.fault {
            Fault::Kill => KILLS,
            Fault::SyncFails => "failed syncs",
            Fault::NoSpace => "full disks",
            Fault::NoSpaceFor(_) => "disks full for a while",
            Fault::Slow(_) => "slow syncs",
        };
        *self.reached.entry(kind).or_default() += usize::from(ended.reached);
        *self.healed.entry(kind).or_default() += usize::from(ended.reached && ended.healed);
        self.twice += usize::from(twice && ended.reached);
        self.recovered.push(ended.recovered);
    }

    fn figures(mut self, tried: usize, known: usize) -> String {
        self.recovered.sort_unstable();
        let longest = self.recovered.last().copied().unwrap_or_default();
        let median = self.recovered.get(self.recovered.len() / 2).copied().unwrap_or_default();
        let reached: Vec<String> = self
            .reached
            .iter()
            .map(|(kind, count)| match self.healed.get(kind) {
                Some(healed) if *healed > 0 => {
                    format!("{count} {kind} ({healed} went on by itself)")
                }
                _ => format!("{count} {kind}"),
            })
            .collect();
        format!(
            "{tried} of {known} steps: {}; {} killed again in recovery; 0 lost, 0 doubled; next start p50 {:.2} s, longest {:.2} s",
            reached.join(", "),
            self.twice,
            median.as_secs_f64(),
            longest.as_secs_f64()
        )
    }
}
