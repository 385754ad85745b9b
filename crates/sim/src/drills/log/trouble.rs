//! The log on a disk whose calls fail once, and on one without space.
//!
//! Invariant looked for: a failed write or sync is the end of the log until it is opened again; want of space is the end
//! of nothing.

use super::crash::{Bench, LONG, Power, finish};
use super::model::{End, Lane};
use crate::{Random, Violation};
use change::{LaneId, Offset};
use connect::{Log, State};
use eventlog::EventLog;
use faultdisk::Call;
use std::time::Duration;

/// Steps of looking whether the disk was found full.
const MOMENT: Duration = Duration::from_millis(2);

pub(super) fn failing(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let rotate = *chance.pick(&[6 << 10, 40 << 10]);
    let mut bench = Bench::new(chance.bits(), rotate);
    let calls = [Call::Sync, Call::Sync, Call::Write, Call::SyncFolder, Call::Truncate, Call::Read];
    let call = *chance.pick(&calls);
    let named = *chance.pick(&["", "-wal", ".db"]);
    bench.disk.fail(call, named, chance.below(40));
    let outcome = fails_once(&mut bench, call, &mut chance);
    outcome.map_err(|violation| bench.explain(violation))
}

fn fails_once(bench: &mut Bench, call: Call, chance: &mut Random) -> Result<(), Violation> {
    for _ in 0..3 {
        match until_failure(bench, call, chance) {
            Ok(()) => break,
            Err(End::Trouble) => {}
            Err(End::Broken(violation)) => return Err(violation),
        }
        if chance.once_in(2) {
            bench.fall(Power::Lost, chance);
        }
    }
    // Nothing is planned any more.
    bench.fall(Power::Lost, chance);
    finish(bench, chance)
}

/// Works until the planned failure is met, or for a while; `Trouble` asks for the log to be opened again.
fn until_failure(bench: &mut Bench, call: Call, chance: &mut Random) -> Result<(), End> {
    let mut met = bench.disk.failures();
    let log = match bench.open() {
        Ok(log) => log,
        Err(_) if bench.disk.failures() > met => return Err(End::Trouble),
        Err(end) => return Err(end),
    };
    for _ in 0..24 {
        let outcome = one_call(bench, &log, chance);
        if bench.disk.failures() == met {
            outcome?;
            continue;
        }
        if log.rest().is_ok() && outcome.is_ok() {
            require_harmless(bench, call)?;
            met = bench.disk.failures();
            continue;
        }
        // A read that failed may have failed the call alone. After a failed write nothing may succeed any more.
        let refused =
            log.append(LaneId::mint(9), bench.model.next(9, &mut chance.split())).is_err();
        if call != Call::Read && !refused {
            return Err(
                Violation::new("A ack after durable", "a log that failed takes more").into()
            );
        }
        return Err(End::Trouble);
    }
    Ok(())
}

/// One append or one trim: what failed is looked at before anything is tried again.
fn one_call(bench: &mut Bench, log: &EventLog, chance: &mut Random) -> Result<(), End> {
    let lane = 1 + chance.below(2);
    if chance.once_in(7) {
        let known = bench.model.lanes.entry(lane).or_default();
        known.trimmed = known.durable;
        let done = log.trim(LaneId::mint(lane), Offset(known.durable));
        done.map_err(|e| Violation::new("V live", format!("trim: {e}")))?;
    } else {
        bench.append(log, lane, &mut chance.split())?;
    }
    bench.settle(log)
}

/// The log went on: that is right where the failure met a file that was just being made, and is given up.
fn require_harmless(bench: &Bench, call: Call) -> Result<(), End> {
    let name = bench.disk.failed_at().unwrap_or_default();
    let is_of_a_file = matches!(call, Call::Sync | Call::Write | Call::Truncate);
    if is_of_a_file && bench.disk.folder().join(&name).exists() {
        let found = format!("a failed {call:?} of {name} was taken for done");
        return Err(Violation::new("A ack after durable", found).into());
    }
    Ok(())
}

pub(super) fn full(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let rotate = *chance.pick(&[6 << 10, 40 << 10]);
    let mut bench = Bench::new(chance.bits(), rotate);
    let outcome = fills_up(&mut bench, &mut chance);
    outcome.map_err(|violation| bench.explain(violation))
}

fn fills_up(bench: &mut Bench, chance: &mut Random) -> Result<(), Violation> {
    let running = |end| match end {
        End::Broken(violation) => violation,
        End::Trouble => Violation::new("V live", "a machine that runs has stopped"),
    };
    let mut log = bench.open().map_err(running)?;
    for _ in 0..4 + chance.below(16) {
        bench.append(&log, 1 + chance.below(2), chance).map_err(running)?;
        bench.settle(&log).map_err(running)?;
    }
    bench.disk.fill();
    fill_until_refused(bench, &log, chance)?;
    bench.model.check(&log)?;
    if chance.once_in(2) {
        deletes_without_space(bench, &log)?;
    }
    if chance.once_in(3) {
        // What waits and was not called durable may go with the process.
        drop(log);
        log = bench.open().map_err(running)?;
        bench.model.check(&log)?;
    }
    bench.disk.make_room();
    bench.settle(&log).map_err(running)?;
    bench.append(&log, 1, chance).map_err(running)?;
    bench.settle(&log).map_err(running)?;
    bench.model.check(&log)?;
    drop(log);
    bench.fall(Power::Lost, chance);
    finish(bench, chance)
}

/// Appends until the log says that there is no space; what was taken before waits.
fn fill_until_refused(
    bench: &mut Bench,
    log: &EventLog,
    chance: &mut Random,
) -> Result<(), Violation> {
    for _ in 0..400 {
        let body = bench.model.next(1, chance);
        let lane = bench.model.lanes.entry(1).or_default();
        match log.append(LaneId::mint(1), body.clone()) {
            Ok(offset) => {
                lane.given.push(body);
                lane.durable = wait(log, lane, offset)?;
            }
            Err(e) if e.state == Some(State::DiskFull) => return Ok(()),
            Err(e) => {
                return Err(Violation::new("V live", format!("a full disk: {e} {:?}", e.found)));
            }
        }
    }
    Err(Violation::new("M bounded", "a full disk is never told of"))
}

/// Until a group is durable, or the disk was found full.
fn wait(log: &EventLog, lane: &Lane, offset: Offset) -> Result<u64, Violation> {
    for _ in 0..LONG.as_millis() / MOMENT.as_millis() {
        match log.durable(LaneId::mint(1), offset, MOMENT) {
            Ok(true) => return Ok(offset.0),
            Ok(false) if log.is_disk_full() => return Ok(lane.durable),
            Ok(false) => {}
            Err(e) => return Err(Violation::new("V live", format!("a full disk: {e}"))),
        }
    }
    Err(Violation::new("V live", "neither durable nor full within a minute"))
}

/// Without any space, files whose groups are all let go are removed all the same.
fn deletes_without_space(bench: &mut Bench, log: &EventLog) -> Result<(), Violation> {
    for (number, lane) in &mut bench.model.lanes {
        lane.trimmed = lane.durable;
        let done = log.trim(LaneId::mint(*number), Offset(lane.durable));
        done.map_err(|e| Violation::new("M bounded", format!("a trim on a full disk: {e}")))?;
    }
    let names = std::fs::read_dir(bench.dir()).into_iter().flatten().flatten();
    let files = names.filter(|entry| entry.path().extension().is_some_and(|e| e == "db")).count();
    match files {
        1 => Ok(()),
        more => Err(Violation::new("M bounded", format!("{more} files stay on a full disk"))),
    }
}
