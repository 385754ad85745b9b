//! The audit log: every edit is found and the first bad entry named; a crash at any point leaves it whole (S7).

use crate::drill::Violation;
use crate::random::Random;
use engine::{Act, AuditEntry, Author, State, kept_heads, verify_audit};
use proof::{Head, LinkFault};
use std::path::Path;

/// Edits a seed.
const EDITS: u64 = 20;

const ACTS: [&str; 6] = ["run", "pause", "resume", "resync", "certificate", "engine start"];

pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let heads = folder.path().join("audit.heads");
    let state = State::open(&folder.path().join("state.db")).unwrap().signed(Author {
        who: "ada@hub".into(),
        command: "seamount".into(),
        heads: Some(heads.clone()),
    });
    let mut marks = vec![mark(folder.path())];
    let acts = 3 + random.below(10);
    for n in 0..acts {
        act(&state, &mut random, n);
        marks.push(mark(folder.path()));
    }
    let entries = state.audit_entries().unwrap();
    let kept = kept_heads(&heads).unwrap();
    whole(&entries, &kept, acts)?;
    for _ in 0..EDITS {
        edit(&mut random, &entries, &kept)?;
    }
    crash(&mut random, folder.path(), &marks)
}

fn act(state: &State, random: &mut Random, n: u64) {
    let what = *random.pick(&ACTS);
    let at = i64::try_from(1_700_000_000_000_000 + n * 1_000_000).unwrap();
    state.audit(Act { at, what, detail: format!("flow stock, {}", random.below(1000)) }).unwrap();
}

fn broken(what: String) -> Violation {
    Violation::new("S7 audit", what)
}

fn whole(entries: &[AuditEntry], kept: &[Head], acts: u64) -> Result<(), Violation> {
    match verify_audit(entries, kept) {
        Ok(Some(head)) if head.number.unsigned_abs() == acts => Ok(()),
        other => Err(broken(format!("{acts} acts were made, and the walk says {other:?}"))),
    }
}

/// One edit of somebody who can write the file; the walk must name the entry that it begins at.
fn edit(random: &mut Random, entries: &[AuditEntry], kept: &[Head]) -> Result<(), Violation> {
    let mut edited = entries.to_vec();
    let count = entries.len() as u64;
    let place = random.below(count) as usize;
    let at = entries[place].number;
    let (how, named) = match random.below(6) {
        0 => ("changed", change(random, &mut edited[place]).then_some(at)),
        1 if place + 1 < entries.len() => {
            edited.remove(place);
            ("deleted", Some(at))
        }
        2 if place + 1 < entries.len() => {
            let other = place + 1 + random.below(count - place as u64 - 1) as usize;
            edited.swap(place, other);
            ("reordered", Some(at))
        }
        // With their numbers put right: only the chain tells.
        3 if place + 1 < entries.len() => {
            edited.swap(place, place + 1);
            (edited[place].number, edited[place + 1].number) = (at, at + 1);
            ("reordered and renumbered", Some(at))
        }
        4 => {
            edited.truncate(place);
            ("cut off", Some(at))
        }
        _ => ("written anew", fork(random, &mut edited, place).then_some(at)),
    };
    let Some(named) = named else { return Ok(()) };
    match verify_audit(&edited, kept) {
        Err(fault) if fault.number() == named => Ok(()),
        other => Err(broken(format!("entry {named} was {how}, and the walk says {other:?}"))),
    }
}

/// Changes one field; says whether it is another now.
fn change(random: &mut Random, entry: &mut AuditEntry) -> bool {
    let before = entry.clone();
    match random.below(7) {
        0 => entry.at += 1,
        1 => entry.who = "eve@hub".into(),
        2 => entry.what = (*random.pick(&ACTS)).into(),
        3 => entry.detail.push(' '),
        4 => entry.command.clear(),
        // A byte goes from one field to the next: the hash must not see one text.
        5 => {
            let moved = entry.what.pop().unwrap_or('x');
            entry.detail.insert(0, moved);
        }
        _ => entry.hash = entry.hash.chars().rev().collect(),
    }
    *entry != before
}

/// Changes an entry and chains everything behind it anew, as somebody would who knows how.
fn fork(random: &mut Random, entries: &mut [AuditEntry], place: usize) -> bool {
    let before = entries[place].clone();
    entries[place].detail = format!("flow other, {}", random.below(1000));
    for n in place..entries.len() {
        entries[n].previous = match n {
            0 => String::new(),
            _ => entries[n - 1].hash.clone(),
        };
        entries[n].hash = entries[n].computed_hash();
    }
    entries[place] != before
}

/// How far the files had grown.
struct Mark {
    log: u64,
    heads: u64,
}

fn mark(folder: &Path) -> Mark {
    let length = |name: &str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    Mark { log: length("state.db-wal"), heads: length("audit.heads") }
}

/// The files as a crash between two points leaves them: the log's tail cut anywhere behind the last commit, the heads
/// perhaps without the last line, or with half of it.
fn crash(random: &mut Random, folder: &Path, marks: &[Mark]) -> Result<(), Violation> {
    let step = random.below(marks.len() as u64 - 1) as usize;
    let (before, after) = (&marks[step], &marks[step + 1]);
    if after.log <= before.log {
        return Ok(()); // The log began anew in between.
    }
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("state.db"), copy.path().join("state.db")).unwrap();
    let cut = before.log + random.below(after.log - before.log + 1);
    let committed = step + usize::from(cut == after.log);
    let torn = match committed > step {
        true => before.heads + random.below(after.heads - before.heads + 1),
        false => before.heads,
    };
    for (name, length) in [("state.db-wal", cut), ("audit.heads", torn)] {
        let bytes = std::fs::read(folder.join(name)).unwrap_or_default();
        let length = usize::try_from(length).unwrap().min(bytes.len());
        std::fs::write(copy.path().join(name), &bytes[..length]).unwrap();
    }
    let heads = copy.path().join("audit.heads");
    let state = State::open(&copy.path().join("state.db")).unwrap().signed(Author {
        who: "ada@hub".into(),
        command: "seamount".into(),
        heads: Some(heads.clone()),
    });
    let told =
        |state: &State| verify_audit(&state.audit_entries().unwrap(), &kept_heads(&heads).unwrap());
    let number =
        |head: Result<Option<Head>, LinkFault>| head.map(|head| head.map_or(0, |h| h.number));
    if number(told(&state)) != Ok(i64::try_from(committed).unwrap()) {
        let what = format!("a crash behind act {committed}: {:?}", told(&state));
        return Err(broken(what));
    }
    act(&state, random, committed as u64);
    match number(told(&state)) {
        Ok(n) if n == i64::try_from(committed + 1).unwrap() => Ok(()),
        other => Err(broken(format!("the act after a crash behind {committed}: {other:?}"))),
    }
}
