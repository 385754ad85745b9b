//! The engine's `state.db` under power cuts, and the lock of its folder.
//!
//! What decides is a set of lines: the file must say exactly what every call that came back had said, and perhaps what
//! the call said that did not come back. It is read with SQL of this drill's own.

use crate::{Random, Violation, difference};
use change::{DigestKey, FlowId, Generation, HolderId, LaneId, Offset, Op, SnapshotId, Value};
use engine::{LetterStatus, NewLetter, SnapshotState, State};
use eventlog::{LockHolder, StateLock};
use faultdisk::Disk;
use proof::{About, Certificate, Head, Reason, TableProof, Writer};
use std::collections::BTreeSet;
use std::path::Path;

type Lines = BTreeSet<String>;

const DUMP: &str = "
    select 'setting ' || name || ' ' || value from setting union all
    select 'stream ' || lane || ' ' || source_table || ' ' || coalesce(begin_offset, '-') || ' ' || complete
        from stream union all
    select 'letter ' || flow || ' ' || log_offset || ' ' || ordinal || ' ' || status || ' ' || length(reason)
        from letter union all
    select 'holder ' || target || ' ' || holder from holder union all
    select 'certificate ' || number || ' ' || verdict || ' ' || length(body) from certificate";

pub(super) fn crash(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let disk = Disk::attach(folder.path(), chance.bits());
    let path = disk.folder().join("state.db");
    let explain = |what: String| Violation {
        trace: disk.trace(),
        ..Violation::new("A ack after durable", what)
    };
    let (mut known, mut perhaps) = (Lines::new(), None);
    for round in 0..4 {
        if round < 3 {
            disk.stop_before(disk.steps() + 1 + chance.below(160));
        }
        match State::open(&path) {
            Ok(state) => {
                let there = dump(&path);
                match there {
                    Some(there) if there == known || Some(&there) == perhaps.as_ref() => {
                        known = there;
                    }
                    Some(there) => return Err(explain(difference(&known, &there))),
                    None if disk.is_stopped() => {}
                    None => return Err(explain("state.db cannot be read".into())),
                }
                if !disk.is_stopped() {
                    perhaps = work(&state, &mut known, &mut chance.split());
                }
            }
            Err(_) if disk.is_stopped() => {}
            Err(e) => return Err(explain(format!("state.db does not open: {e}"))),
        }
        if perhaps.is_some() && !disk.is_stopped() {
            return Err(explain("a call failed on a sound disk".into()));
        }
        disk.stop();
        disk.power_cut(&mut || chance.bits());
    }
    Ok(())
}

fn dump(path: &Path) -> Option<Lines> {
    let connection = rusqlite::Connection::open(path).ok()?;
    let mut select = connection.prepare(DUMP).ok()?;
    select.query_map([], |row| row.get(0)).ok()?.collect::<rusqlite::Result<_>>().ok()
}

/// Calls until one fails; returns what would then be known if it had come back.
fn work(state: &State, known: &mut Lines, chance: &mut Random) -> Option<Lines> {
    for _ in 0..20 {
        let mut after = known.clone();
        if call(state, &mut after, chance).is_err() {
            return Some(after);
        }
        *known = after;
    }
    None
}

fn call(state: &State, lines: &mut Lines, chance: &mut Random) -> connect::Result<()> {
    let (flow, lane) = (FlowId::mint(3), LaneId::mint(4));
    let count = |lines: &Lines, kind: &str| lines.iter().filter(|l| l.starts_with(kind)).count();
    match chance.below(6) {
        0 => {
            let (name, value) = (format!("name{}", chance.below(4)), chance.bits().to_string());
            lines.retain(|line| !line.starts_with(&format!("setting {name} ")));
            lines.insert(format!("setting {name} {value}"));
            state.set_setting(&name, &value)
        }
        1 => {
            let holder = HolderId::mint(chance.bits());
            lines.insert(format!("holder shop {}", holder.to_i64()));
            state.intend_holder("shop", holder)
        }
        2 => {
            let number = count(lines, "certificate") + 1;
            let certify = |previous: Option<Head>| {
                let certificate = certificate(flow, previous, chance)?;
                let length = certificate.to_bytes().len();
                lines.insert(format!("certificate {number} UNPROVEN {length}"));
                Ok(certificate)
            };
            state.chain_certificate(flow, certify).map(drop)
        }
        3 => {
            let table = format!("t{}", chance.below(3));
            let begin = chance.below(1_000);
            lines.retain(|line| !line.starts_with(&format!("stream {} {table} ", lane.to_i64())));
            lines.insert(format!("stream {} {table} {begin} 1", lane.to_i64()));
            let snapshot = SnapshotState {
                id: SnapshotId::mint(5),
                begin: Some(Offset(begin)),
                after: None,
                complete: true,
                end: Some(Offset(begin + 1)),
            };
            state.set_snapshot(lane, &table, &snapshot)
        }
        4 if count(lines, "letter") > 0 => settle(state, lines, flow),
        _ => {
            let offset = count(lines, "letter") as u64 + 1;
            let letters: Vec<NewLetter> =
                (0..1 + chance.below(3)).map(|i| letter(lane, offset, i, chance)).collect();
            for letter in &letters {
                let length = letter.reason.len();
                let (flow, ordinal) = (flow.to_i64(), letter.ordinal);
                lines.insert(format!("letter {flow} {offset} {ordinal} parked {length}"));
            }
            state.park(flow, &letters, 1)
        }
    }
}

/// Every letter that waits is settled, in one call.
fn settle(state: &State, lines: &mut Lines, flow: FlowId) -> connect::Result<()> {
    let waiting = state.letters(flow, Some(LetterStatus::Parked))?;
    let ids: Vec<i64> = waiting.iter().map(|letter| letter.id).collect();
    *lines = lines.iter().map(|line| line.replace(" parked ", " replayed ")).collect();
    state.settle(&ids, LetterStatus::Replayed, "by a drill", 2)
}

/// A certificate of a site that is away, with a reason of any length.
fn certificate(
    flow: FlowId,
    previous: Option<Head>,
    chance: &mut Random,
) -> connect::Result<Certificate> {
    let away = "away ".repeat(usize::try_from(chance.below(1_000)).expect("small"));
    let proof = TableProof::unseen("shop", "item", "stock", Reason::Unavailable(away), 1);
    let about = About {
        flow_name: "stock",
        flow,
        generation: Generation::mint(6),
        lane: None,
        path: None,
        writer: Writer::Flow,
        excluded: &[],
        key: DigestKey::new(1),
        previous,
        mended: None,
    };
    Certificate::seal(&proof, &about)
}

fn letter(lane: LaneId, offset: u64, ordinal: u64, chance: &mut Random) -> NewLetter {
    let text = "x".repeat(usize::try_from(chance.below(900)).expect("small"));
    NewLetter {
        lane,
        offset: Offset(offset),
        ordinal: u32::try_from(ordinal).expect("small"),
        table: "items".into(),
        key: vec![1],
        row: vec![Value::Int(1), Value::Text("nail".into())],
        op: Op::Insert,
        reason: text,
        columns: Vec::new(),
        in_part: false,
        moved_from: None,
    }
}

/// One folder, one holder: the second is refused and told who the first is; a holder that is gone holds nothing.
pub(super) fn locked(seed: u64) -> Result<(), Violation> {
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let holder = |pid| LockHolder {
        pid,
        host: "here".into(),
        since: "2026-11-24T00:00:00Z".into(),
        command: "a drill".into(),
    };
    let pid = u32::try_from(Random::new(seed).below(1 << 22)).expect("22 bits");
    let fencing = |what: &str| Err(Violation::new("F fencing", what));
    for _ in 0..2 {
        let Ok(held) = StateLock::acquire(folder.path(), &holder(pid)) else {
            return fencing("a folder that nobody holds is refused");
        };
        match StateLock::acquire(folder.path(), &holder(pid + 1)) {
            Ok(_) => return fencing("two engines hold one state folder"),
            Err(e) if !e.found.as_deref().unwrap_or_default().contains(&pid.to_string()) => {
                return fencing("the second is not told who the first is");
            }
            Err(_) => {}
        }
        drop(held);
        if StateLock::holder(folder.path()).is_some() {
            return fencing("a holder that is gone is named");
        }
    }
    Ok(())
}
