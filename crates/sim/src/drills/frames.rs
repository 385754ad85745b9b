//! Random and mutated frames under a checksum that fits: the decoder behind the checksum, and the opener of a log.
//!
//! The checksum keeps damage away from the decoder; here it is computed for the damage, by code of this drill's own.
//! What must hold: no panic, no group in another order or of another lane, no allocation that the bytes do not justify.

use crate::drill::Drill;
use crate::{Random, Violation};
use change::{GroupBody, LaneId, Offset};
use connect::{Bounds, Log};
use eventlog::EventLog;
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::Duration;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![
        Drill {
            name: "frames",
            about: "mutated frames under a checksum that fits",
            seeds_in_ci: 60,
            run: mutated,
        },
        Drill {
            name: "log-files",
            about: "random and mutated files where the log's should be",
            seeds_in_ci: 60,
            run: files,
        },
    ]
}

const ALL: Bounds = Bounds { changes: 1_000_000, bytes: 1 << 30 };

/// Frames tried in a seed.
const TRIES: usize = 60;

/// What a frame says in its columns beside the body, in the order of the checksum.
struct Frame {
    offset: i64,
    changes: i64,
    commit_time: i64,
    raw_bytes: i64,
    kind: i64,
    chunk: Option<String>,
    part: i64,
    part_last: i64,
    positions: [(i64, Option<String>); 2],
    body: Vec<u8>,
}

fn mutated(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let disk = faultdisk::Disk::attach(folder.path(), seed);
    let given = written(disk.folder(), seed, &mut chance)?;
    let reader = EventLog::open_read_only(disk.folder())
        .map_err(|e| Violation::new("V live", format!("a sound log: {e}")))?;
    let connection = Connection::open(disk.folder().join("hot-0001.db")).expect("a sound file");
    let lane = LaneId::mint(1).to_i64();
    for _ in 0..TRIES {
        let offset = 1 + i64::try_from(chance.below(given.len() as u64)).expect("few frames");
        let sound = frame(&connection, offset);
        let mut wrong = frame(&connection, offset);
        let untouched = chance.once_in(12);
        if !untouched {
            mutate(&mut wrong, &mut chance);
        }
        put(&connection, lane, &wrong);
        let read = reader.read(LaneId::mint(1), Offset(offset.unsigned_abs() - 1), ALL);
        let known = &given[usize::try_from(offset - 1).expect("few frames")];
        judge(read, offset, untouched.then_some(known))?;
        put(&connection, lane, &sound);
    }
    Ok(())
}

/// Whatever was read stands in its place; what was not touched is what was given.
fn judge(
    read: connect::Result<Vec<std::sync::Arc<change::Group>>>,
    offset: i64,
    untouched: Option<&GroupBody>,
) -> Result<(), Violation> {
    let wrong = |what: String| Err(Violation::new("D damage detected", what));
    match (read, untouched) {
        (Ok(groups), _) if groups.is_empty() => wrong("nothing was read, and nothing said".into()),
        (Ok(groups), untouched) => {
            let dense = (offset.unsigned_abs()..).zip(&groups).all(|(at, g)| g.offset.0 == at);
            if !dense || groups.iter().any(|group| group.lane != LaneId::mint(1)) {
                return wrong("groups of another place were read".into());
            }
            match untouched {
                Some(known) if groups[0].body != *known => {
                    wrong("the drill's checksum fits, and another group was read".into())
                }
                _ => Ok(()),
            }
        }
        (Err(e), Some(_)) => {
            wrong(format!("a sound frame under the drill's checksum: {e} {:?}", e.found))
        }
        (Err(e), None) if e.state == Some(connect::State::LogCorrupt) => Ok(()),
        (Err(e), None) => wrong(format!("damage is called something else: {e}")),
    }
}

/// A log of some groups in one lane, closed.
fn written(dir: &Path, seed: u64, chance: &mut Random) -> Result<Vec<GroupBody>, Violation> {
    let failed = |e: connect::Error| Violation::new("V live", e.to_string());
    let settings = super::log::settings(seed, 1 << 30);
    let log = EventLog::open(dir, settings).map_err(failed)?;
    let given: Vec<GroupBody> = (1..=12).map(|n| super::log::group(n, chance)).collect();
    for body in &given {
        let offset = log.append(LaneId::mint(1), body.clone()).map_err(failed)?;
        log.durable(LaneId::mint(1), offset, Duration::from_secs(60)).map_err(failed)?;
    }
    Ok(given)
}

fn frame(connection: &Connection, offset: i64) -> Frame {
    let sql = "SELECT offset, changes, commit_time, raw_bytes, kind, chunk, part, part_last, after_sequence,
                      after_detail, upto_sequence, upto_detail, body FROM frame WHERE offset = ?1";
    connection
        .query_row(sql, [offset], |row| {
            Ok(Frame {
                offset: row.get(0)?,
                changes: row.get(1)?,
                commit_time: row.get(2)?,
                raw_bytes: row.get(3)?,
                kind: row.get(4)?,
                chunk: row.get(5)?,
                part: row.get(6)?,
                part_last: row.get(7)?,
                positions: [(row.get(8)?, row.get(9)?), (row.get(10)?, row.get(11)?)],
                body: row.get(12)?,
            })
        })
        .expect("a frame that was written")
}

fn put(connection: &Connection, lane: i64, frame: &Frame) {
    let [after, upto] = &frame.positions;
    let sql = "UPDATE frame SET changes = ?2, commit_time = ?3, raw_bytes = ?4, kind = ?5, chunk = ?6, part = ?7,
                      part_last = ?8, after_sequence = ?9, after_detail = ?10, upto_sequence = ?11,
                      upto_detail = ?12, body = ?13, checksum = ?14 WHERE offset = ?1";
    let values = params![
        frame.offset,
        frame.changes,
        frame.commit_time,
        frame.raw_bytes,
        frame.kind,
        frame.chunk,
        frame.part,
        frame.part_last,
        after.0,
        after.1,
        upto.0,
        upto.1,
        frame.body,
        checksum(lane, frame)
    ];
    connection.execute(sql, values).expect("a sound file");
}

/// The checksum of a frame, written down a second time: body, then layout and header.
fn checksum(lane: i64, frame: &Frame) -> u32 {
    let low32 = |n: i64| u32::try_from(n & 0xffff_ffff).expect("32 bits").to_le_bytes();
    let mut bytes = frame.body.clone();
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(lane.to_le_bytes());
    bytes.extend(frame.offset.to_le_bytes());
    bytes.extend(low32(frame.changes));
    bytes.extend(frame.commit_time.to_le_bytes());
    bytes.extend(low32(frame.raw_bytes));
    bytes.push(u8::try_from(frame.kind & 0xff).expect("8 bits"));
    text(frame.chunk.as_deref(), &mut bytes);
    bytes.extend(low32(frame.part));
    bytes.push(u8::from(frame.part_last == 1));
    for (sequence, detail) in &frame.positions {
        bytes.extend(sequence.to_le_bytes());
        text(detail.as_deref(), &mut bytes);
    }
    // CRC-32C, bit by bit.
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

fn text(text: Option<&str>, out: &mut Vec<u8>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    }
}

fn mutate(frame: &mut Frame, chance: &mut Random) {
    for _ in 0..1 + chance.below(3) {
        match chance.below(14) {
            0 => frame.changes = number(chance) & 0xffff_ffff,
            1 => frame.kind = number(chance) & 0xff,
            2 => frame.raw_bytes = number(chance) & 0xffff_ffff,
            3 => frame.chunk = Some("{\"id\":1}".into()),
            4 => frame.body.truncate(place(&frame.body, chance)),
            5 => frame.body.extend_from_slice(&chance.bits().to_le_bytes()),
            6 => {
                // Plain bytes, none of which the encoder made.
                frame.raw_bytes = 0;
                frame.body = (0..chance.below(200)).map(|_| (chance.bits() & 0xff) as u8).collect();
            }
            _ if frame.body.is_empty() => {}
            7 | 8 => {
                // Lengths stand in front, and are small: a large one instead.
                let at =
                    usize::try_from(chance.below(frame.body.len().min(120) as u64)).expect("small");
                let end = (at + 4).min(frame.body.len());
                let large =
                    u32::try_from(number(chance) & 0xffff_ffff).expect("32 bits").to_le_bytes();
                frame.body[at..end].copy_from_slice(&large[..end - at]);
            }
            _ => {
                let at = place(&frame.body, chance);
                frame.body[at] ^= 1 << chance.below(8);
            }
        }
    }
}

fn place(body: &[u8], chance: &mut Random) -> usize {
    usize::try_from(chance.below((body.len() as u64).max(1))).expect("an index")
}

/// A number that likes the edges.
fn number(chance: &mut Random) -> i64 {
    let near = i64::try_from(chance.below(3)).expect("small") - 1;
    let edge = *chance.pick(&[
        0,
        1,
        2,
        8,
        255,
        256,
        65_535,
        1 << 16,
        1 << 20,
        i64::from(i32::MAX),
        0xffff_ffff,
    ]);
    match chance.once_in(4) {
        true => chance.bits().cast_signed(),
        false => edge + near,
    }
}

/// Files of chance where the log's should be: an error or a log, never a panic.
fn files(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let disk = faultdisk::Disk::attach(folder.path(), seed);
    let dir = disk.folder().join("log");
    let given = written(&dir, seed, &mut chance)?;
    for name in ["hot-0001.db", "hot-0001.db-wal", "hot-0002.db", "hot-0000.db", "hot-9999.db-wal"]
    {
        if chance.once_in(3) {
            let length = usize::try_from(chance.below(20_000)).expect("small");
            let mut bytes = std::fs::read(dir.join(name)).unwrap_or_default();
            for _ in 0..chance.below(4) {
                match chance.below(3) {
                    0 => bytes.truncate(length),
                    1 => bytes.extend((0..length).map(|_| (chance.bits() & 0xff) as u8)),
                    _ if bytes.is_empty() => {}
                    _ => {
                        let at = place(&bytes, &mut chance);
                        bytes[at] ^= 0x55;
                    }
                }
            }
            std::fs::write(dir.join(name), bytes).expect("a folder of ours");
        }
    }
    for writes in [false, true] {
        let opened: connect::Result<Box<dyn Log>> = match writes {
            true => EventLog::open(&dir, super::log::settings(seed, 1 << 30))
                .map(|l| Box::new(l) as Box<dyn Log>),
            false => EventLog::open_read_only(&dir).map(|l| Box::new(l) as Box<dyn Log>),
        };
        let Ok(log) = opened else { continue };
        let mut at = 0;
        while let Ok(groups) = log.read(LaneId::mint(1), Offset(at), ALL) {
            let Some(last) = groups.last() else { break };
            for group in &groups {
                let known = usize::try_from(group.offset.0).ok().and_then(|n| given.get(n - 1));
                if known != Some(&group.body) {
                    let found = format!("group {} is another than was given", group.offset);
                    return Err(Violation::new("D damage detected", found));
                }
            }
            at = last.offset.0;
        }
    }
    Ok(())
}
