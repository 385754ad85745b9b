//! The log on a machine that stops at any step, with or without its power.
//!
//! Invariant: the same seed takes the same steps. After every call the drill waits until the log rests, so that no two
//! threads of it are at the disk at once.

use super::model::{End, Model};
use super::sample::settings;
use crate::{Random, Violation};
use change::{LaneId, Offset};
use connect::Log;
use eventlog::EventLog;
use faultdisk::Disk;
use std::path::Path;
use std::time::Duration;

pub(super) const LONG: Duration = Duration::from_secs(60);

/// Steps of the scenario of [`every_step`], and some more: its unit test says when these are too few.
pub const STEPS: u64 = 500;

/// A file for every few groups.
const OFTEN: u64 = 2 << 10;

const ROTATE: [u64; 3] = [6 << 10, 40 << 10, 1 << 20];

/// A log of a few lanes, on a disk.
pub(super) struct Bench {
    pub(super) disk: Disk,
    pub(super) model: Model,
    seed: u64,
    rotate_bytes: u64,
    opened: u64,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) fn new(seed: u64, rotate_bytes: u64) -> Bench {
        let folder = tempfile::tempdir().expect("a folder for a drill");
        let disk = Disk::attach(folder.path(), seed);
        Bench { disk, model: Model::default(), seed, rotate_bytes, opened: 0, _folder: folder }
    }

    pub(super) fn dir(&self) -> std::path::PathBuf {
        self.disk.folder().join(Path::new("state/log"))
    }

    /// Opens the log, and compares what it holds with what it promised.
    pub(super) fn open(&mut self) -> Result<EventLog, End> {
        self.opened += 1;
        // Every opening would mint another id, if it found no log.
        let settings = settings(self.seed ^ (self.opened << 8), self.rotate_bytes);
        let log = match EventLog::open(&self.dir(), settings) {
            Ok(log) => log,
            Err(_) if self.disk.is_stopped() => return Err(End::Trouble),
            Err(e) => {
                let found = format!("the log does not open: {e} {:?}", e.found);
                return Err(Violation::new("V live", found).into());
            }
        };
        let rest = log.rest();
        self.tell(rest.map_err(|e| Violation::new("V live", format!("recovery: {e}"))))?;
        let outcome = self.model.reopened(&log);
        self.tell(outcome)?;
        Ok(log)
    }

    /// A violation, unless the machine has stopped: then everything fails.
    pub(super) fn tell<T>(&self, outcome: Result<T, Violation>) -> Result<T, End> {
        outcome.map_err(|violation| match self.disk.is_stopped() {
            true => End::Trouble,
            false => End::Broken(violation),
        })
    }

    /// Gives a group to a lane.
    pub(super) fn append(
        &mut self,
        log: &EventLog,
        lane: u64,
        chance: &mut Random,
    ) -> Result<Offset, End> {
        let body = self.model.next(lane, chance);
        let taken = log.append(LaneId::mint(lane), body.clone());
        let offset =
            self.tell(taken.map_err(|e| Violation::new("V live", format!("append: {e}"))))?;
        let known = self.model.lanes.entry(lane).or_default();
        known.given.push(body);
        let expected = known.given.len() as u64;
        if offset.0 != expected {
            let found = format!("offset {offset} was given, the next is {expected}");
            return Err(Violation::new("O order", found).into());
        }
        Ok(offset)
    }

    /// Waits until everything that was given is durable, and the log rests.
    pub(super) fn settle(&mut self, log: &EventLog) -> Result<(), End> {
        self.all_durable(log)?;
        self.tell(log.rest().map_err(|e| Violation::new("V live", format!("rest: {e}"))))
    }

    fn all_durable(&mut self, log: &EventLog) -> Result<(), End> {
        let lanes: Vec<(u64, u64)> =
            self.model.lanes.iter().map(|(n, l)| (*n, l.given.len() as u64)).collect();
        for (number, last) in lanes {
            let reached = log.durable(LaneId::mint(number), Offset(last), LONG);
            match self
                .tell(reached.map_err(|e| Violation::new("V live", format!("durable: {e}"))))?
            {
                true => self.model.lanes.entry(number).or_default().durable = last,
                false => return Err(Violation::new("V live", "a minute was not enough").into()),
            }
        }
        Ok(())
    }

    /// Several groups of which only the first is on its way to the disk; nothing of it may be seen meanwhile. A file
    /// that is full after it is finished once the others are written: beside them, no seed would take its steps again.
    fn burst(&mut self, log: &EventLog, chance: &mut Random) -> Result<(), End> {
        let finishing = self.disk.hold_thread("log-checkpoint");
        let held = self.disk.hold_syncs();
        let outcome = self.while_held(log, &mut chance.split());
        drop(held);
        outcome?;
        self.all_durable(log)?;
        self.tell(log.flush().map_err(|e| Violation::new("V live", format!("flush: {e}"))))?;
        drop(finishing);
        self.settle(log)
    }

    fn while_held(&mut self, log: &EventLog, chance: &mut Random) -> Result<(), End> {
        self.append(log, 1, chance)?;
        self.disk.wait_for_held_sync();
        if self.disk.is_stopped() {
            return Err(End::Trouble);
        }
        for lane in [2, 1, 1] {
            self.append(log, lane, chance)?;
        }
        let checked = self.model.check(log);
        self.tell(checked)
    }

    /// The machine stops where it stands, with its power or without; the log must be closed.
    pub(super) fn fall(&self, power: Power, chance: &mut Random) {
        self.disk.stop();
        match power {
            Power::Lost => self.disk.power_cut(&mut || chance.bits()),
            Power::Kept => self.disk.restart(),
        }
    }

    pub(super) fn explain(&self, mut violation: Violation) -> Violation {
        violation.trace = self.disk.trace();
        violation
    }
}

/// How a machine stops.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Lost,
    /// `kill -9`.
    Kept,
}

/// Runs a seed, every fiftieth twice: it must take the same steps.
pub(super) fn anywhere(seed: u64) -> Result<(), Violation> {
    let (outcome, first) = once(seed);
    outcome?;
    if seed.is_multiple_of(50) {
        let second = once(seed).1;
        if second.0 != first.0 {
            let mut violation = Violation::new("the same seed", "the second run took other steps");
            let parting = first.1.iter().zip(&second.1).take_while(|(a, b)| a == b).count();
            violation.trace = [("first", &first.1), ("second", &second.1)]
                .into_iter()
                .flat_map(|(run, steps)| {
                    steps.iter().skip(parting).map(move |s| format!("{run}: {s}"))
                })
                .collect();
            return Err(violation);
        }
    }
    Ok(())
}

/// What became of a seed; the digest of its steps, and the last of them.
fn once(seed: u64) -> (Result<(), Violation>, (u64, Vec<String>)) {
    let mut chance = Random::new(seed);
    let rotate = *chance.pick(&ROTATE);
    let mut bench = Bench::new(chance.bits(), rotate);
    let outcome = crashes(&mut bench, &mut chance).map_err(|violation| bench.explain(violation));
    (outcome, (bench.disk.trace_hash(), bench.disk.trace()))
}

fn crashes(bench: &mut Bench, chance: &mut Random) -> Result<(), Violation> {
    for _ in 0..1 + chance.below(4) {
        // Often in the middle of recovery, or of the very first steps.
        let within = *chance.pick(&[12, 40, 200, 400]);
        bench.disk.stop_before(bench.disk.steps() + 1 + chance.below(within));
        match work(bench, chance, 30) {
            Ok(()) | Err(End::Trouble) => {}
            Err(End::Broken(violation)) => return Err(violation),
        }
        let power = if chance.once_in(4) { Power::Kept } else { Power::Lost };
        bench.fall(power, chance);
    }
    finish(bench, chance)
}

/// Opens once more on a sound disk: everything is there, and work goes on.
pub(super) fn finish(bench: &mut Bench, chance: &mut Random) -> Result<(), Violation> {
    match work(bench, chance, 4) {
        Ok(()) => Ok(()),
        Err(End::Broken(violation)) => Err(violation),
        Err(End::Trouble) => Err(Violation::new("V live", "a machine that runs has stopped")),
    }
}

/// Opens the log and works with it for a while.
fn work(bench: &mut Bench, chance: &mut Random, calls: u64) -> Result<(), End> {
    let mut log = bench.open()?;
    for _ in 0..calls {
        match chance.below(16) {
            0 | 1 => {
                let (lane, upto) = (1 + chance.below(3), chance.bits());
                if let Some(known) = bench.model.lanes.get_mut(&lane).filter(|l| l.durable > 0) {
                    let upto = if upto.is_multiple_of(3) {
                        known.durable
                    } else {
                        upto % known.durable + 1
                    };
                    known.trimmed = known.trimmed.max(upto);
                    let done = log.trim(LaneId::mint(lane), Offset(upto));
                    bench.tell(done.map_err(|e| Violation::new("V live", format!("trim: {e}"))))?;
                }
                bench.settle(&log)?;
            }
            2 => {
                drop(log);
                log = bench.open()?;
            }
            3 | 4 => bench.burst(&log, chance)?,
            5 => {
                let checked = bench.model.check(&log);
                bench.tell(checked)?;
            }
            _ => {
                bench.append(&log, 1 + chance.below(3), chance)?;
                bench.settle(&log)?;
            }
        }
    }
    let checked = bench.model.check(&log);
    bench.tell(checked)
}

/// The scenario that is stopped before each of its steps; the seed says where, first with the loss of power, then
/// with a second stop so many steps into the recovery.
pub(super) fn every_step(seed: u64) -> Result<(), Violation> {
    let (step, deeper) = (seed % STEPS + 1, seed / STEPS);
    for power in [Power::Lost, Power::Kept] {
        let mut bench = Bench::new(7, OFTEN);
        let mut chance = Random::new(seed);
        let outcome = stopped_at(&mut bench, step, deeper, power, &mut chance);
        outcome.map_err(|violation| bench.explain(violation))?;
    }
    Ok(())
}

fn stopped_at(
    bench: &mut Bench,
    step: u64,
    deeper: u64,
    power: Power,
    chance: &mut Random,
) -> Result<(), Violation> {
    bench.disk.stop_before(step);
    if let Err(End::Broken(violation)) = scenario(bench) {
        return Err(violation);
    }
    bench.fall(power, chance);
    if deeper > 0 {
        bench.disk.stop_before(bench.disk.steps() + deeper);
        if let Err(End::Broken(violation)) = bench.open().map(drop) {
            return Err(violation);
        }
        bench.fall(power, chance);
    }
    finish(bench, chance)
}

/// Appends over several files, trims, appends again; always the same.
fn scenario(bench: &mut Bench) -> Result<(), End> {
    let mut chance = Random::new(2);
    let mut log = bench.open()?;
    for round in 0..24 {
        // One lane at first: a trim of another would write, and sync, what its file is to be removed for.
        bench.append(&log, 1 + round / 12, &mut chance)?;
        bench.settle(&log)?;
        // Everything is let go of as soon as a file is full: only the new one says then where lanes stand.
        let files = std::fs::read_dir(bench.dir()).into_iter().flatten().flatten();
        let full = files.filter(|f| f.path().extension().is_some_and(|e| e == "db")).count();
        if full > 1 && round % 3 > 0 {
            for (number, lane) in &mut bench.model.lanes {
                lane.trimmed = lane.durable;
                if log.trim(LaneId::mint(*number), Offset(lane.durable)).is_err() {
                    return Err(End::Trouble);
                }
            }
            bench.settle(&log)?;
        }
        if round == 15 {
            drop(log);
            log = bench.open()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenario_has_no_more_steps_than_are_tried() {
        let mut bench = Bench::new(7, OFTEN);
        assert!(scenario(&mut bench).is_ok());
        let steps = bench.disk.steps();
        assert!(steps <= STEPS && STEPS < steps + 60, "{steps} steps");
    }

    #[test]
    fn a_seed_takes_the_same_steps_again() {
        for seed in [1, 2, 3, 50] {
            let run = |seed| {
                let mut chance = Random::new(seed);
                let rotate = *chance.pick(&ROTATE);
                let mut bench = Bench::new(chance.bits(), rotate);
                let outcome = crashes(&mut bench, &mut chance);
                assert!(outcome.is_ok());
                bench.disk.trace()
            };
            assert_eq!(run(seed), run(seed), "seed {seed}");
        }
    }
}
