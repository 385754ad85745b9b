//! What the trait promises, on real files.

use super::sample::{LONG, MANY, fill, group, lane, open, read_all, schema, settings};
use change::{Offset, SourcePosition};
use connect::{Bounds, Kind, Log, State};
use seamount_eventlog::{EventLog, Settings};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn groups_read_back_from_memory_and_after_reopening_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let id = log.id();
    fill(&log, lane(1), 1..=20);
    fill(&log, lane(2), 1..=5);
    let recent = read_all(&log, lane(1), 0);
    drop(log);
    let log = open(dir.path());
    assert_eq!(log.id(), id);
    let stored = read_all(&log, lane(1), 0);
    assert_eq!(recent, stored);
    for (i, group_read) in stored.iter().enumerate() {
        assert_eq!(group_read.body, group(i as u64 + 1, 3));
    }
    assert_eq!(read_all(&log, lane(2), 3).len(), 2);
    let tail = log.tail(lane(1)).unwrap();
    assert_eq!((tail.oldest, tail.durable), (Offset(1), Offset(20)));
    let position = SourcePosition { sequence: 20, detail: Some("tag 20".into()) };
    assert_eq!(tail.position, Some(position));
    assert_eq!(log.append(lane(1), group(21, 1)).unwrap(), Offset(21));
}

#[test]
fn an_empty_lane_and_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let tail = log.tail(lane(9)).unwrap();
    assert_eq!((tail.oldest, tail.durable, tail.position), (Offset(1), Offset(0), None));
    assert!(log.read(lane(9), Offset::START, MANY).unwrap().is_empty());
    assert!(!log.durable(lane(9), Offset(1), Duration::ZERO).unwrap());
    fill(&log, lane(1), 1..=10);
    let some = |changes| Bounds { changes, bytes: 1 << 30 };
    for _ in 0..2 {
        assert_eq!(log.read(lane(1), Offset(2), some(1)).unwrap().len(), 1);
        assert_eq!(log.read(lane(1), Offset(2), some(7)).unwrap().len(), 2);
        let few_bytes = Bounds { changes: 1000, bytes: 1 };
        assert_eq!(log.read(lane(1), Offset(2), few_bytes).unwrap().len(), 1);
    }
    let uncached = Settings { cache_bytes: 0, ..settings() };
    drop(log);
    let log = EventLog::open(dir.path(), uncached).unwrap();
    assert_eq!(log.read(lane(1), Offset(2), some(1)).unwrap().len(), 1);
    assert_eq!(log.read(lane(1), Offset(2), some(7)).unwrap().len(), 2);
}

/// Opens a log that was closed a moment ago. A process that another test starts holds all locks of this one between its
/// fork and its exec.
fn reopened(dir: &std::path::Path, settings: Settings) -> EventLog {
    for _ in 0..100_000 {
        match EventLog::open(dir, settings.clone()) {
            Err(e) if e.kind == Kind::Unavailable => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
    EventLog::open(dir, settings).unwrap()
}

#[test]
fn rotation_trim_and_reopening_keep_offsets_dense_and_give_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let small = || Settings { rotate_bytes: 20_000, cache_bytes: 4_000, ..settings() };
    let log = EventLog::open(dir.path(), small()).unwrap();
    for number in 1..=200 {
        fill(&log, lane(1), number..=number);
        if number % 10 == 0 {
            fill(&log, lane(2), number / 10..=number / 10);
        }
    }
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    assert!(files() > 5, "{} files", files());
    assert_eq!(read_all(&log, lane(1), 0).len(), 200);
    let before = log.bytes();
    log.trim(lane(1), Offset(150)).unwrap();
    assert_eq!(log.tail(lane(1)).unwrap().oldest, Offset(151));
    let lost = log.read(lane(1), Offset(149), MANY).unwrap_err();
    assert_eq!((lost.kind, lost.state), (Kind::Invalid, Some(State::PositionLost)));
    assert_eq!(read_all(&log, lane(1), 150).len(), 50);
    // The other lane still needs every file.
    assert_eq!(read_all(&log, lane(2), 0).len(), 20);
    log.trim(lane(2), Offset(15)).unwrap();
    assert!(log.bytes() < before / 2, "{} of {before} bytes are left", log.bytes());
    drop(log);
    let log = reopened(dir.path(), small());
    assert_eq!(log.tail(lane(1)).unwrap().oldest, Offset(151));
    assert_eq!(log.tail(lane(2)).unwrap().oldest, Offset(16));
    // A lane that holds nothing any more goes on where it was.
    log.trim(lane(1), Offset(1000)).unwrap();
    fill(&log, lane(2), 21..=60);
    drop(log);
    let log = reopened(dir.path(), small());
    let tail = log.tail(lane(1)).unwrap();
    assert_eq!((tail.oldest, tail.durable), (Offset(201), Offset(200)));
    assert_eq!(tail.position.unwrap().sequence, 200);
    assert_eq!(log.append(lane(1), group(201, 1)).unwrap(), Offset(201));
}

#[test]
fn another_process_may_read_but_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(dir.path(), Settings { rotate_bytes: 20_000, ..settings() }).unwrap();
    let refused = EventLog::open(dir.path(), settings()).err().unwrap();
    assert_eq!(refused.kind, Kind::Unavailable);
    fill(&log, lane(1), 1..=3);
    let reader = EventLog::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.id(), log.id());
    assert_eq!(read_all(&reader, lane(1), 0), read_all(&log, lane(1), 0));
    let seen = reader.changed(0, Duration::ZERO);
    fill(&log, lane(1), 4..=200);
    assert_ne!(reader.changed(seen, LONG), seen);
    assert!(reader.durable(lane(1), Offset(200), LONG).unwrap());
    assert_eq!(read_all(&reader, lane(1), 0), read_all(&log, lane(1), 0));
    assert_eq!(reader.tail(lane(1)).unwrap(), log.tail(lane(1)).unwrap());
    log.trim(lane(1), Offset(150)).unwrap();
    assert_eq!(reader.tail(lane(1)).unwrap(), log.tail(lane(1)).unwrap());
    assert_eq!(reader.read(lane(1), Offset(3), MANY).unwrap_err().state, Some(State::PositionLost));
    assert_eq!(reader.append(lane(1), group(1, 1)).unwrap_err().kind, Kind::Invalid);
}

#[test]
fn a_file_of_another_log_is_refused() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(ours.path()));
    drop(EventLog::open(theirs.path(), Settings { random: Arc::new(|| 5), ..settings() }).unwrap());
    std::fs::copy(theirs.path().join("hot-0001.db"), ours.path().join("hot-0002.db")).unwrap();
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (format!("hot-0001.db{suffix}"), format!("hot-0002.db{suffix}"));
        std::fs::copy(theirs.path().join(from), ours.path().join(to)).unwrap();
    }
    let refused = EventLog::open(ours.path(), settings()).err().unwrap();
    assert_eq!(refused.kind, Kind::Invalid, "{refused}");
}

#[test]
fn readers_beside_rotation_see_every_group_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = EventLog::open(
        dir.path(),
        Settings { rotate_bytes: 30_000, cache_bytes: 2_000, ..settings() },
    )
    .unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut at, mut seen) = (Offset::START, 0);
                    while at < Offset(300) {
                        seen = log.changed(seen, LONG);
                        for read in log.read(lane(1), at, MANY).unwrap() {
                            assert_eq!(read.offset, at.next());
                            assert_eq!(read.body, group(read.offset.0, 3));
                            at = read.offset;
                        }
                    }
                })
            })
            .collect();
        for number in 1..=300 {
            log.append(lane(1), group(number, 3)).unwrap();
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn one_schema_is_stored_once_however_often_it_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    fill(&log, lane(1), 1..=9);
    assert!(!Arc::ptr_eq(&schema(), &schema()));
    let file = rusqlite::Connection::open(dir.path().join("hot-0001.db")).unwrap();
    let count: i64 = file.query_row("SELECT count(*) FROM schema", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 1);
}

/// Callers that commit themselves, the writer thread for those who do not wait, trims and new files, all at once.
#[test]
fn callers_that_commit_themselves_take_turns_with_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let small = || Settings { rotate_bytes: 20_000, cache_bytes: 4_000, ..settings() };
    let log = EventLog::open(dir.path(), small()).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let log = &log;
            scope.spawn(move || {
                for n in 1..=120 {
                    let offset = log.append(lane(number), group(n, 2)).unwrap();
                    assert_eq!(offset, Offset(n));
                    // Lane 1 waits each time, lane 4 only for its last.
                    if n % number == 0 && (number < 4 || n == 120) {
                        assert!(log.durable(lane(number), offset, LONG).unwrap());
                        assert!(log.tail(lane(number)).unwrap().durable >= offset);
                    }
                    if number == 2 && n % 40 == 0 {
                        log.trim(lane(2), Offset(n - 10)).unwrap();
                    }
                }
            });
        }
    });
    log.rest().unwrap();
    drop(log);
    let log = reopened(dir.path(), small());
    for (number, after) in [(1, 0), (2, 110), (3, 0), (4, 0)] {
        let all = read_all(&log, lane(number), after);
        assert_eq!(all.len() as u64, 120 - after);
        all.iter().for_each(|read| assert_eq!(read.body, group(read.offset.0, 2)));
    }
}
