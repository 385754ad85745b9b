//! One engine for each state directory.

use connect::Kind;
use seamount_eventlog::{LockHolder, StateLock};

fn holder(pid: u32) -> LockHolder {
    LockHolder {
        pid,
        host: "till-7".into(),
        since: "2026-11-24T21:45:00Z".into(),
        command: "seamount run".into(),
    }
}

#[test]
fn the_second_engine_is_refused_and_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(StateLock::holder(dir.path()), None);
    let lock = StateLock::acquire(dir.path(), &holder(41)).unwrap();
    assert_eq!(StateLock::holder(dir.path()), Some(holder(41)));
    let refused = StateLock::acquire(dir.path(), &holder(42)).unwrap_err();
    assert_eq!(refused.kind, Kind::Unavailable);
    let found = refused.found.unwrap();
    for part in ["process 41", "till-7", "2026-11-24T21:45:00Z", "seamount run"] {
        assert!(found.contains(part), "{found}");
    }
    assert_eq!(StateLock::holder(dir.path()), Some(holder(41)), "asking does not change it");
    drop(lock);
    assert_eq!(StateLock::holder(dir.path()), None);
    drop(StateLock::acquire(dir.path(), &holder(42)).unwrap());
}

#[test]
fn what_a_dead_holder_wrote_holds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let text = serde_json::to_vec(&holder(41)).unwrap();
    std::fs::write(dir.path().join("lock"), text).unwrap();
    assert_eq!(StateLock::holder(dir.path()), None);
    StateLock::acquire(dir.path(), &holder(42)).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nowhere");
    assert_eq!(StateLock::acquire(&missing, &holder(1)).unwrap_err().kind, Kind::Unavailable);
}
