//! Copies, restores and rewinds are noticed; what only looks like one is not. The application is left alone.

use crate::sqlite_site::{Place, failure, settings};
use change::{GroupBody, HolderId, SourcePosition};
use connect::log::Bounds;
use connect::source::{ChangeReader, ReadRequest, Resume, Source};
use connect::{Claim, Kind, Result, State};
use rusqlite::Connection;
use seamount_connectors::sqlite::SqliteSite;
use std::path::Path;

pub(crate) const SHOP: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
    CREATE TABLE sales (id INTEGER PRIMARY KEY, sku INT, note TEXT)";

/// Starts to capture `sales` of the database in a folder.
pub(crate) fn capture_in(folder: &Path, resume: &Resume) -> Result<Box<dyn ChangeReader>> {
    SqliteSite::open(&settings(folder)).unwrap().capture(&["sales".into()], resume)
}

pub(crate) fn capture(place: &Place, resume: &Resume) -> Result<Box<dyn ChangeReader>> {
    capture_in(place.file().parent().unwrap(), resume)
}

pub(crate) fn drain(reader: &mut dyn ChangeReader) -> Vec<GroupBody> {
    std::iter::from_fn(|| reader.poll(Bounds::BATCH).unwrap()).collect()
}

pub(crate) fn behind(reader: &dyn ChangeReader, position: &SourcePosition) -> Resume {
    Resume::After { history: reader.history().clone(), position: position.clone() }
}

/// A shop of which everything was captured and acknowledged.
fn captured(place: &Place) -> (Connection, Resume) {
    let application = place.application(SHOP);
    let mut reader = capture(place, &Resume::Fresh).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 10, 'a'), (2, 20, 'b')").unwrap();
    let upto = drain(reader.as_mut()).pop().unwrap().upto;
    reader.acknowledge(&upto).unwrap();
    let resume = behind(reader.as_ref(), &upto);
    (application, resume)
}

fn assert_noticed(result: Result<Box<dyn ChangeReader>>, state: State) {
    let error = failure(result);
    assert_eq!((error.kind, error.state), (Kind::Invalid, Some(state)), "{error}");
    assert!(error.fix.is_some());
}

#[test]
fn a_copy_is_noticed_and_the_original_goes_on() {
    let (original, copy) = (Place::new(), Place::new());
    let (application, resume) = captured(&original);
    application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(original.file(), copy.file()).unwrap();
    assert_noticed(capture(&copy, &resume), State::HistoryChanged);
    let own = capture(&copy, &Resume::Fresh).unwrap().history().clone();
    let still = capture(&original, &resume).unwrap().history().clone();
    assert_ne!(own, still, "a copy that is captured by itself has a history of its own");
    assert_noticed(capture(&copy, &resume), State::HistoryChanged);
}

#[test]
fn a_move_and_a_vacuum_are_harmless() {
    let place = Place::new();
    let (application, resume) = captured(&place);
    application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM").unwrap();
    drop(application);
    let elsewhere = place.file().parent().unwrap().join("moved");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(place.file(), elsewhere.join("site.db")).unwrap();
    let mut reader = capture_in(&elsewhere, &resume).unwrap();
    let application = Connection::open(elsewhere.join("site.db")).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (3, 1, 'c')").unwrap();
    assert_eq!(drain(reader.as_mut()).iter().map(GroupBody::changes).sum::<usize>(), 1);
}

#[test]
fn an_operator_can_say_that_a_file_is_the_one() {
    let (original, copy) = (Place::new(), Place::new());
    let (application, resume) = captured(&original);
    application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(original.file(), copy.file()).unwrap();
    copy.application("UPDATE _seamount_capture SET file = NULL");
    drop(capture(&copy, &resume).unwrap());
    let file: Option<String> = copy
        .application("")
        .query_row("SELECT file FROM _seamount_capture", [], |row| row.get(0))
        .unwrap();
    assert!(file.is_some(), "the file is registered");
}

#[test]
fn a_change_table_that_was_emptied_reset_or_dropped_is_noticed() {
    let place = Place::new();
    let (application, resume) = captured(&place);
    application.execute_batch("DELETE FROM _seamount_change WHERE id > 0").unwrap();
    assert_noticed(capture(&place, &resume), State::PositionLost);
    application
        .execute_batch("DELETE FROM sqlite_sequence; INSERT INTO sales VALUES (7, 7, 'x'), (8, 8, 'y'), (9, 9, 'z')")
        .unwrap();
    assert_noticed(capture(&place, &resume), State::HistoryChanged);
    application.execute_batch("DELETE FROM sales; DROP TABLE _seamount_change").unwrap();
    assert_noticed(capture(&place, &resume), State::HistoryChanged);
    drop(capture(&place, &Resume::Fresh).unwrap());
    drop(application);
    place.application("INSERT INTO sales VALUES (5, 5, 'e')");
}

#[test]
fn a_file_that_takes_the_place_of_a_captured_one_is_noticed() {
    let (place, other) = (Place::new(), Place::new());
    let (_application, resume) = captured(&place);
    let mut reader = capture(&place, &resume).unwrap();
    drop(other.application(SHOP));
    std::fs::rename(other.file(), place.file()).unwrap();
    let error = failure(reader.poll(Bounds::BATCH));
    assert_eq!(error.state, Some(State::HistoryChanged));
}

#[test]
fn acknowledged_changes_are_trimmed_and_the_newest_stays() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    application
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO sales SELECT i, i, 'note' FROM n",
        )
        .unwrap();
    let before = reader.retained().unwrap();
    assert_eq!(before.changes, 9000);
    assert!(before.bytes.unwrap() > 9000 * 10);
    let groups = drain(reader.as_mut());
    reader.acknowledge(&groups[0].upto).unwrap();
    assert_eq!(reader.retained().unwrap().changes, 0);
    let kept: (i64, i64) = application
        .query_row("SELECT count(*), max(id) FROM _seamount_change", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert!(kept.0 > 0 && kept.0 <= 2000, "{kept:?}");
    let resume = behind(reader.as_ref(), &groups[0].upto);
    assert_noticed(
        capture(&place, &behind(reader.as_ref(), &groups[0].after)),
        State::PositionLost,
    );
    drop(capture(&place, &resume).unwrap());
}

/// An engine that slept while another took over woke, read on, and let go of changes that its successor had not read.
#[test]
fn a_reader_whose_place_was_taken_lets_go_of_nothing() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut first = capture(&place, &Resume::Fresh).unwrap();
    let holder = |n: u64| HolderId::mint(n);
    let claim = |n: u64, known: &[u64], take_over| Claim {
        holder: holder(n),
        known: known.iter().copied().map(holder).collect(),
        take_over,
    };
    first.claim(&claim(1, &[], false)).unwrap();
    application.execute_batch("INSERT INTO sales VALUES (1, 1, 'a')").unwrap();
    let upto = drain(first.as_mut()).pop().unwrap().upto;
    first.acknowledge(&upto).unwrap();
    let resume = behind(first.as_ref(), &upto);
    let mut second = capture(&place, &resume).unwrap();
    let refused = second.claim(&claim(2, &[7], false)).unwrap_err();
    assert_eq!((refused.kind, refused.state), (Kind::Conflict, Some(State::Fenced)));
    second.claim(&claim(2, &[7], true)).unwrap();
    application
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO sales SELECT i, i, 'note' FROM n",
        )
        .unwrap();
    let read = drain(first.as_mut()).pop().unwrap().upto;
    let refused = first.acknowledge(&read).unwrap_err();
    assert_eq!((refused.kind, refused.state), (Kind::Conflict, Some(State::Fenced)));
    drop(second);
    // The successor's next start is known to it, and finds everything.
    let mut second = capture(&place, &resume).unwrap();
    second.claim(&claim(3, &[2], false)).unwrap();
    let groups = drain(second.as_mut());
    assert_eq!(groups.iter().map(GroupBody::changes).sum::<usize>(), 8999);
    second.acknowledge(&groups.last().unwrap().upto).unwrap();
}

/// A poll asks for no lock. Still a statement that waits for nothing was refused, in two of some hundred runs, on a
/// machine that was overloaded. What is known to do that is SQLite's own: a reader that sees two different copies of
/// the WAL's header takes the write lock for its third look. It was not caught in the act; the error is printed.
#[test]
fn a_writer_that_waits_for_nothing_is_hardly_ever_disturbed_by_polling() {
    let place = Place::new();
    let application = place.application(SHOP);
    let mut reader = capture(&place, &Resume::Fresh).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut refused = Vec::new();
            for id in 1..=1500 {
                let sql = format!("INSERT OR REPLACE INTO sales VALUES ({}, {id}, 'x')", id % 300);
                for attempt in 0.. {
                    let Err(error) = application.execute_batch(&sql) else { break };
                    let code = error.sqlite_error_code();
                    assert_eq!(code, Some(rusqlite::ErrorCode::DatabaseBusy), "{error}");
                    if attempt == 0 {
                        refused.push((id, error.to_string()));
                    }
                    assert!(attempt < 10_000, "a poll keeps a lock: {refused:?}");
                }
            }
            assert!(refused.len() <= 3, "a poll takes a lock: {refused:?}");
        });
        let mut snapshots = 0;
        while !writer.is_finished() {
            let group = reader.poll(Bounds { changes: 100, bytes: 1 << 20 }).unwrap();
            if group.is_none() && snapshots < 20 {
                snapshots += 1;
                let id = change::SnapshotId::mint(snapshots);
                reader
                    .request(ReadRequest::Snapshot { table: "sales".into(), id, after: None })
                    .unwrap();
            }
        }
        writer.join().unwrap();
    });
    drain(reader.as_mut());
    assert_eq!(reader.retained().unwrap().changes, 1500 + 1200, "300 inserts, 1200 replacements");
}
