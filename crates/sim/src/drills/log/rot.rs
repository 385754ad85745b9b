//! Damage to the log's files at rest: what is read is what was given, or an error; never anything else.
//!
//! Frames may go missing without an error of the log in one place: at the end of the newest file, where nothing in the
//! log itself can know of them. Progress of targets and positions of sources do; the engine compares both.

use super::crash::Bench;
use super::model::{End, MANY};
use super::sample::settings;
use crate::{Random, Violation};
use change::{GroupBody, LaneId, Offset};
use connect::{Log, State};
use eventlog::EventLog;
use faultdisk::{PAGE, Rot};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What became of one damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// Frames that could not be read.
    pub(super) frames: usize,
    /// The log did not open.
    pub(super) closed: bool,
    /// Frames that are missing at an end of a lane, without an error.
    pub(super) missing: usize,
}

pub(super) fn damaged(seed: u64) -> Result<(), Violation> {
    damage(seed).map(drop)
}

/// Damages a log and reads it, by a reader and by a writer.
pub(super) fn damage(seed: u64) -> Result<Noticed, Violation> {
    let mut chance = Random::new(seed);
    let rotate = *chance.pick(&[6 << 10, 40 << 10, 1 << 20]);
    let mut bench = Bench::new(chance.bits(), rotate);
    let (given, sound, older) = build(&mut bench, &mut chance)?;
    let names: Vec<&PathBuf> =
        sound.iter().filter(|(_, b)| !b.is_empty()).map(|(n, _)| n).collect();
    let name = (*chance.pick(&names)).clone();
    let is_newest = is_of_the_newest(&name, &sound);
    let mut bytes = sound[&name].clone();
    let what = spoil(&mut bytes, older.get(&name), &mut chance);
    let mut noticed = Noticed::default();
    for writes in [false, true] {
        let copy = tempfile::tempdir().expect("a folder for a drill");
        for (other, content) in &sound {
            let content = if *other == name { &bytes } else { content };
            fs::write(copy.path().join(other), content).expect("a folder of ours");
        }
        noticed = read(copy.path(), &given, rotate, writes).map_err(|v| Violation {
            what: format!("{}: {what} in {}", v.what, name.display()),
            ..v
        })?;
        if noticed.missing > 0 && noticed.frames == 0 && !is_newest {
            let found =
                format!("{} frames are missing: {what} in {}", noticed.missing, name.display());
            return Err(Violation::new("D damage detected", found));
        }
    }
    Ok(noticed)
}

/// A log's groups by lane, its files, and the same files a while before.
type Built = (BTreeMap<u64, Vec<GroupBody>>, Files, Files);

/// A log of some files: what it was given, its files, and the same files a while before.
fn build(bench: &mut Bench, chance: &mut Random) -> Result<Built, Violation> {
    let running = |end| match end {
        End::Broken(violation) => violation,
        End::Trouble => Violation::new("V live", "a machine that runs has stopped"),
    };
    let log = bench.open().map_err(running)?;
    let (mut older, count) = (Files::new(), 8 + chance.below(40));
    for number in 0..count {
        bench.append(&log, 1 + chance.below(2), chance).map_err(running)?;
        bench.settle(&log).map_err(running)?;
        if number == count - 3 {
            older = files(&bench.dir());
        }
    }
    drop(log);
    let given = bench.model.lanes.iter().map(|(n, lane)| (*n, lane.given.clone())).collect();
    Ok((given, files(&bench.dir()), older))
}

fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let hot = entries.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("hot-") && !name.ends_with("-shm")
    });
    hot.map(|entry| (entry.file_name().into(), fs::read(entry.path()).unwrap_or_default()))
        .collect()
}

fn is_of_the_newest(name: &Path, files: &Files) -> bool {
    let number = |name: &Path| name.to_string_lossy().get(..8).map(str::to_string);
    files.keys().next_back().is_some_and(|newest| number(newest) == number(name))
}

/// Damages bytes in one way or another, and says how.
fn spoil(bytes: &mut Vec<u8>, older: Option<&Vec<u8>>, chance: &mut Random) -> String {
    let older = older.filter(|older| !older.is_empty() && chance.once_in(8));
    let Some(older) = older else {
        let rot = Rot::any(bytes.len(), &mut || chance.bits());
        rot.spoil(bytes);
        return format!("{rot:?}");
    };
    let page = usize::try_from(chance.below(older.len().div_ceil(PAGE) as u64)).expect("few pages");
    let there = page * PAGE..((page + 1) * PAGE).min(older.len()).min(bytes.len());
    if there.start < there.end {
        bytes[there.clone()].copy_from_slice(&older[there]);
    }
    format!("page {page} is an older one")
}

fn read(
    dir: &Path,
    given: &BTreeMap<u64, Vec<GroupBody>>,
    rotate: u64,
    writes: bool,
) -> Result<Noticed, Violation> {
    let opened: connect::Result<Box<dyn Log>> = match writes {
        true => EventLog::open(dir, settings(1, rotate)).map(|log| Box::new(log) as Box<dyn Log>),
        false => EventLog::open_read_only(dir).map(|log| Box::new(log) as Box<dyn Log>),
    };
    let Ok(log) = opened else { return Ok(Noticed { closed: true, ..Noticed::default() }) };
    let mut noticed = Noticed::default();
    for (number, given) in given {
        read_lane(log.as_ref(), *number, given, &mut noticed)?;
    }
    Ok(noticed)
}

fn read_lane(
    log: &dyn Log,
    number: u64,
    given: &[GroupBody],
    noticed: &mut Noticed,
) -> Result<(), Violation> {
    let lane = LaneId::mint(number);
    let (mut at, all) = (0, given.len() as u64);
    let mut seen = 0;
    while at < all {
        match log.read(lane, Offset(at), MANY) {
            Ok(groups) if groups.is_empty() => break,
            Ok(groups) => {
                for group in groups {
                    at += 1;
                    let known = usize::try_from(at - 1).ok().and_then(|place| given.get(place));
                    if group.offset.0 != at || known != Some(&group.body) {
                        let found = format!("lane {number}: group {at} is another than was given");
                        return Err(Violation::new("D damage detected", found));
                    }
                    seen += 1;
                }
            }
            // What was let go of, as far as the log can tell, is told of to whoever wants it.
            Err(e) => {
                noticed.frames += 1;
                at += 1;
                if e.state.is_none() && e.kind == connect::Kind::Internal {
                    return Err(Violation::new("L loss is loud", format!("lane {number}: {e}")));
                }
                debug_assert!(e.state != Some(State::DiskFull));
            }
        }
    }
    if let Ok(tail) = log.tail(lane)
        && tail.durable.0 > all
    {
        let found = format!("lane {number}: {} groups, given were {all}", tail.durable);
        return Err(Violation::new("D damage detected", found));
    }
    noticed.missing += given.len() - seen;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints how far one damage reaches; at least some of it must not close a whole file.
    #[test]
    fn how_far_damage_reaches() {
        let (mut closed, mut none, mut one, mut more, mut short) = (0, 0, 0, 0, 0);
        for seed in 0..200 {
            let noticed = damage(seed).expect("noticed");
            match noticed {
                Noticed { closed: true, .. } => closed += 1,
                Noticed { frames: 0, missing: 0, .. } => none += 1,
                Noticed { frames: 0, .. } => short += 1,
                Noticed { frames: 1, .. } => one += 1,
                _ => more += 1,
            }
        }
        assert!(none + one + more + short > 0, "every damage closes a file");
        println!(
            "{none} harmless, {one} one frame, {more} more, {short} a shorter end, {closed} closed"
        );
    }
}
