//! The suite that every log passes, on real files.
//!
//! The disk is held by a lock from outside, fails by a trigger that refuses frames, and fills up by SQLite's own limit
//! of pages: the same paths through SQLite that the real things take.

use crate::log::EventLog;
use crate::settings::Settings;
use change::{GroupBody, GroupKind, LaneId, Part, SourcePosition};
use connect::Log;
use connect::clock::ManualClock;
use connect::conformance::Arranged;
use connect::conformance::log::{LogHarness, all};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Files {
    _home: TempDir,
    dir: PathBuf,
    crashes: u32,
    current: Option<Arc<EventLog>>,
    holding: Option<Connection>,
}

impl Files {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("log-0");
        Files { _home: home, dir, crashes: 0, current: None, holding: None }
    }

    fn newest(&self) -> Connection {
        let number = crate::catalog::numbers(&self.dir).unwrap().pop().unwrap();
        Connection::open(crate::catalog::path(&self.dir, number)).unwrap()
    }

    fn copy(&self, to: &Path) {
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(&self.dir).unwrap().map(Result::unwrap) {
            if !entry.file_name().to_str().unwrap().ends_with("-shm") {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
}

impl LogHarness for Files {
    fn open(&mut self) -> Arc<dyn Log> {
        self.current = None;
        let clock = Arc::new(ManualClock::at(1));
        let settings = Settings { rotate_bytes: 64 << 10, ..Settings::new(clock, Arc::new(|| 3)) };
        let log = Arc::new(EventLog::open(&self.dir, settings).unwrap());
        self.current = Some(log.clone());
        log
    }

    /// What is on disk at this moment is what another process would find.
    fn crash(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.crashes += 1;
        let next = self.dir.with_file_name(format!("log-{}", self.crashes));
        self.copy(&next);
        self.release();
        drop(log);
        self.dir = next;
        self.newest().execute_batch("DROP TRIGGER IF EXISTS refuse").unwrap();
        self.open()
    }

    fn hold(&mut self) -> Arranged {
        let connection = self.newest();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        self.holding = Some(connection);
        Arranged::Done
    }

    fn release(&mut self) {
        self.holding = None;
        if let Some(log) = &self.current
            && log.is_disk_full()
        {
            log.shared.state().page_limit = Some(1 << 30);
            while log.is_disk_full() {
                log.changed(log.changed(0, Duration::ZERO), Duration::from_millis(10));
            }
        }
    }

    fn fail_next_write(&mut self) -> Arranged {
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON frame
            BEGIN SELECT RAISE(ABORT, 'the disk says no'); END";
        self.newest().execute_batch(refuse).unwrap();
        Arranged::Done
    }

    /// A lane of our own meets the full disk; then everybody does.
    fn fill_disk(&mut self) -> Arranged {
        let log = self.current.clone().unwrap();
        log.shared.state().page_limit = Some(1);
        let mut number = 0;
        while !log.is_disk_full() {
            number += 1;
            log.append(LaneId::mint(999), empty(number)).ok();
            log.changed(log.changed(0, Duration::ZERO), Duration::from_millis(10));
        }
        Arranged::Done
    }

    fn groups_in_a_file(&self) -> u64 {
        200
    }
}

fn empty(number: u64) -> GroupBody {
    GroupBody {
        kind: GroupKind::Repair,
        part: Part::WHOLE,
        after: SourcePosition { sequence: number, detail: Some("x".repeat(3000)) },
        upto: SourcePosition::at(number),
        commit_time: 0,
        batches: Vec::new(),
    }
}

#[test]
fn the_log_keeps_every_promise_of_a_log() {
    all(&mut || Box::new(Files::new()));
}

#[test]
fn what_has_an_offset_outlives_a_full_disk_in_order() {
    let mut files = Files::new();
    let log = files.open();
    let ours = LaneId::mint(999);
    let first = log.append(ours, empty(1)).unwrap();
    assert!(log.durable(ours, first, Duration::from_secs(60)).unwrap());
    files.fill_disk();
    let waiting = files.current.as_ref().unwrap().lanes().pop().unwrap();
    assert!(waiting.waiting > 0);
    let newest = change::Offset(waiting.tail.durable.0 + waiting.waiting);
    // It is neither lost nor durable, and trimming goes on.
    assert!(!log.durable(ours, newest, Duration::from_millis(1)).unwrap());
    log.trim(ours, first).unwrap();
    assert_eq!(log.tail(ours).unwrap().oldest, first.next());
    files.release();
    assert!(log.durable(ours, newest, Duration::from_secs(60)).unwrap());
    let next = log.append(ours, empty(newest.0 + 1)).unwrap();
    assert_eq!(next, newest.next());
    drop((log, files.current.take()));
    let log = files.open();
    assert_eq!(log.tail(ours).unwrap().durable, next);
    assert_eq!(log.tail(ours).unwrap().position, Some(SourcePosition::at(next.0)));
}
