//! Letting go by policy: oldest files first, never behind a floor, and the report says what went.

use super::sample::{fill, lane, read_all, settings};
use change::Offset;
use connect::Log;
use seamount_eventlog::{Because, EventLog, LetGo, Policy, Settings};
use std::collections::BTreeMap;
use std::path::Path;

/// 100 groups in each of two lanes, over many files. Commit time of group n is n * 1000.
fn filled(dir: &Path) -> EventLog {
    let log = EventLog::open(dir, Settings { rotate_bytes: 12_000, ..settings() }).unwrap();
    for number in 1..=100 {
        fill(&log, lane(1), number..=number);
        fill(&log, lane(2), number..=number);
    }
    log
}

fn none() -> Policy {
    Policy::default()
}

#[test]
fn age_lets_go_of_whole_files_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    assert_eq!(log.trim_by_policy(&none()).unwrap(), Vec::<LetGo>::new());
    let before = log.bytes();
    let gone = log.trim_by_policy(&Policy { cutoff: Some(60_000), ..none() }).unwrap();
    assert_eq!(gone.len(), 2);
    for went in &gone {
        assert_eq!((went.from, went.because), (Offset(1), Because::Age));
        assert!(went.upto > Offset(20) && went.upto < Offset(60), "{went:?}");
        assert_eq!(log.tail(went.lane).unwrap().oldest, went.upto.next());
        assert_eq!(read_all(&log, went.lane, went.upto.0).len() as u64, 100 - went.upto.0);
    }
    assert!(log.bytes() < before);
    let again = log.trim_by_policy(&Policy { cutoff: Some(60_000), ..none() }).unwrap();
    assert!(again.is_empty());
}

#[test]
fn a_floor_keeps_what_a_consumer_needs() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let floors = BTreeMap::from([(lane(2), Offset(30))]);
    let gone = log.trim_by_policy(&Policy { cutoff: Some(i64::MAX), floors, ..none() }).unwrap();
    assert!(!gone.is_empty());
    assert!(log.tail(lane(2)).unwrap().oldest <= Offset(30));
    // A floor counts for its own lane, but files are shared: lane 1 waits for lane 2.
    assert!(log.tail(lane(1)).unwrap().oldest <= Offset(31));
    assert_eq!(read_all(&log, lane(2), 29).len(), 71);
}

#[test]
fn size_lets_go_until_it_fits() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let half = log.bytes() / 2;
    let gone = log.trim_by_policy(&Policy { max_bytes: Some(half), ..none() }).unwrap();
    assert!(gone.iter().all(|went| went.because == Because::Size));
    assert!(log.bytes() <= half + 65_536, "{} bytes, allowed {half}", log.bytes());
    assert!(log.tail(lane(1)).unwrap().oldest < Offset(90), "not more than needed");
}
