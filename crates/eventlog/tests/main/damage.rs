//! Bits that flip on the disk: noticed, named, and no harm to the neighbours.

use super::sample::{MANY, fill, group, lane, open, read_all, settings};
use change::Offset;
use connect::{Kind, Log, State};
use rusqlite::Connection;
use seamount_eventlog::EventLog;
use std::path::Path;

const NUMBERS: [&str; 11] = [
    "lane",
    "offset",
    "changes",
    "commit_time",
    "kind",
    "part",
    "part_last",
    "after_sequence",
    "upto_sequence",
    "raw_bytes",
    "checksum",
];

fn damaged(log: &dyn Log, what: &str) {
    let error = match log.read(lane(1), Offset(1), MANY) {
        Err(error) => error,
        Ok(groups) => panic!("{what}: {} groups were read", groups.len()),
    };
    assert_eq!((error.kind, error.state), (Kind::Corrupt, Some(State::LogCorrupt)), "{what}");
    let text = error.to_string();
    assert!(text.contains("frame 2 of lane 0000000000000001"), "{what}: {text}");
    let before = log.read(lane(1), Offset(0), MANY).unwrap();
    assert_eq!(before.len(), 1, "{what}");
    assert_eq!(before[0].body, group(1, 3));
}

#[test]
fn every_bit_of_a_header_in_its_table_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, lane(1), 1..=3);
    drop(log);
    let reader = EventLog::open_read_only(dir.path()).unwrap();
    let disk = Connection::open(dir.path().join("hot-0001.db")).unwrap();
    disk.pragma_update(None, "synchronous", "OFF").unwrap();
    for column in NUMBERS {
        for bit in 0..63 {
            let flip = |place: &str| {
                let mask = 1i64 << bit;
                let set = format!("{column} = ({column} | {mask}) - ({column} & {mask})");
                disk.execute(&format!("UPDATE OR IGNORE frame SET {set} WHERE {place}"), [])
                    .unwrap()
            };
            if flip("upto_sequence = 2 AND lane = 1") == 0 {
                continue;
            }
            damaged(&reader, &format!("{column} bit {bit}"));
            if column != "offset" {
                assert_eq!(reader.read(lane(1), Offset(2), MANY).unwrap()[0].body, group(3, 3));
            }
            // Back again, wherever the row has gone.
            assert_eq!(flip("upto_detail = 'tag 2'"), 1);
            assert_eq!(read_all(&reader, lane(1), 0).len(), 3);
        }
    }
}

#[test]
fn every_64th_byte_of_a_body_and_of_the_schema_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    log.append(lane(1), group(1, 3)).unwrap();
    log.append(lane(1), group(2, 300)).unwrap();
    fill(&log, lane(1), 3..=3);
    drop(log);
    let disk = Connection::open(dir.path().join("hot-0001.db")).unwrap();
    let sql = "SELECT body FROM frame WHERE offset = 2";
    let body: Vec<u8> = disk.query_row(sql, [], |row| row.get(0)).unwrap();
    let reader = EventLog::open_read_only(dir.path()).unwrap();
    let put = |bytes: &[u8]| disk.execute("UPDATE frame SET body = ?1 WHERE offset = 2", [bytes]);
    for place in (0..body.len()).step_by(64) {
        let mut wrong = body.clone();
        wrong[place] ^= 1 << (place / 64 % 8);
        put(&wrong).unwrap();
        damaged(&reader, &format!("byte {place}"));
        assert_eq!(reader.read(lane(1), Offset(2), MANY).unwrap()[0].body, group(3, 3));
    }
    for cut in [0, 1, body.len() / 2, body.len() - 1] {
        put(&body[..cut]).unwrap();
        damaged(&reader, &format!("cut at {cut}"));
    }
    put(&body).unwrap();
    drop(reader);
    disk.execute("UPDATE schema SET text = replace(text, 'name\"', 'nome\"')", []).unwrap();
    let reader = EventLog::open_read_only(dir.path()).unwrap();
    for after in 0..3 {
        let error = reader.read(lane(1), Offset(after), MANY).unwrap_err();
        assert_eq!(error.state, Some(State::LogCorrupt), "another schema than at writing");
    }
}

/// Whatever byte of the file is wrong, what is read is what was written, or an error.
#[test]
fn no_flipped_byte_of_the_file_changes_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, lane(1), 1..=30);
    drop(log);
    let path = dir.path().join("hot-0001.db");
    let disk = Connection::open(&path).unwrap();
    disk.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    disk.close().unwrap();
    let sound = std::fs::read(&path).unwrap();
    let (mut noticed, mut flips) = (0, 0);
    for place in (0..sound.len()).step_by(61) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("hot-0001.db"), &bytes).unwrap();
        flips += 1;
        noticed += usize::from(!reads_back(copy.path()));
    }
    // Most of the file is frames; the rest is unused space, where a flip means nothing.
    assert!(noticed * 3 > flips, "{noticed} of {flips} were noticed");
}

/// Whether everything reads back; whatever does is checked to be what was written.
fn reads_back(dir: &Path) -> bool {
    let Ok(reader) = EventLog::open_read_only(dir) else { return false };
    let mut sound = reader.tail(lane(1)).is_ok_and(|tail| tail.durable == Offset(30));
    for after in 0..30 {
        match reader.read(lane(1), Offset(after), MANY) {
            Ok(groups) => {
                sound &= !groups.is_empty();
                for read in groups {
                    assert_eq!(read.body, group(read.offset.0, 3), "a wrong group was read");
                }
            }
            Err(_) => sound = false,
        }
    }
    sound
}

#[test]
fn a_lane_whose_end_is_damaged_stops_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, lane(1), 1..=3);
    fill(&log, lane(2), 1..=3);
    drop(log);
    let disk = Connection::open(dir.path().join("hot-0001.db")).unwrap();
    disk.execute("UPDATE frame SET commit_time = 1 WHERE lane = 1 AND offset = 3", []).unwrap();
    drop(disk);
    let log = EventLog::open(dir.path(), settings()).unwrap();
    for error in [log.tail(lane(1)).unwrap_err(), log.append(lane(1), group(4, 1)).unwrap_err()] {
        assert_eq!((error.kind, error.state), (Kind::Corrupt, Some(State::LogCorrupt)));
    }
    assert_eq!(log.read(lane(1), Offset(0), MANY).unwrap().len(), 2);
    fill(&log, lane(2), 4..=5);
    assert!(log.lanes()[0].damage.is_some());
    assert!(log.lanes()[1].damage.is_none());
}
