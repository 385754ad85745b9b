//! A plain SQLite database on a failing disk: what it promises must hold, and what it does not promise must show.

use crate::{Call, Disk, Rot};
use rusqlite::{Connection, Result};
use std::path::Path;

/// What a database is set to, and what its commits survive.
#[derive(Clone, Copy)]
struct Mode {
    journal: &'static str,
    synchronous: &'static str,
    keeps_every_commit: bool,
}

const WAL_FULL: Mode = Mode { journal: "wal", synchronous: "full", keeps_every_commit: true };
const WAL_NORMAL: Mode = Mode { journal: "wal", synchronous: "normal", keeps_every_commit: false };
const WAL_OFF: Mode = Mode { journal: "wal", synchronous: "off", keeps_every_commit: false };
const DELETE_FULL: Mode =
    Mode { journal: "delete", synchronous: "full", keeps_every_commit: false };
const DELETE_EXTRA: Mode =
    Mode { journal: "delete", synchronous: "extra", keeps_every_commit: true };

struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ (self.0 >> 17)
    }
}

fn connect(path: &Path, mode: Mode) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", mode.journal)?;
    connection.pragma_update(None, "synchronous", mode.synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 20)?;
    Ok(connection)
}

/// Two rows in two tables in each transaction; returns how many were committed.
fn work(path: &Path, mode: Mode, from: i64, count: i64) -> i64 {
    let mut done = from;
    let Ok(mut connection) = connect(path, mode) else { return done };
    let tables = "CREATE TABLE IF NOT EXISTS a(n INTEGER PRIMARY KEY, t TEXT);
                  CREATE TABLE IF NOT EXISTS b(n INTEGER PRIMARY KEY, t TEXT)";
    if connection.execute_batch(tables).is_err() {
        return done;
    }
    for number in from + 1..=from + count {
        let text = format!("{number} ").repeat(300);
        let outcome = connection.transaction().and_then(|transaction| {
            transaction.execute("INSERT INTO a VALUES (?1, ?2)", (number, &text))?;
            transaction.execute("INSERT INTO b VALUES (?1, ?2)", (number, &text))?;
            transaction.commit()
        });
        if outcome.is_err() {
            break;
        }
        done = number;
    }
    done
}

/// Numbers that are there; they must be dense, the same in both tables, and the file must be whole.
fn survivors(path: &Path) -> Result<i64> {
    let connection = Connection::open(path)?;
    let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    assert_eq!(check, "ok");
    let there = connection.prepare("SELECT 1 FROM a").is_ok();
    if !there || connection.prepare("SELECT 1 FROM b").is_err() {
        return Ok(0);
    }
    let ends = |table| {
        let sql = format!("SELECT count(*), coalesce(max(n), 0) FROM {table}");
        connection.query_row(&sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
    };
    let (a, b) = (ends("a")?, ends("b")?);
    assert!(a == b && a.0 == a.1, "transactions are whole and in order: {a:?} {b:?}");
    Ok(a.1)
}

/// Cuts the power at any step, twice; returns how many commits that were told of were lost.
fn cut_power(mode: Mode, seed: u64) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), seed);
    let path = disk.folder().join("some.db");
    let mut chance = Chance(seed);
    let mut known = work(&path, mode, 0, 3);
    let mut lost = 0;
    for _ in 0..2 {
        disk.stop_before(disk.steps() + 1 + chance.bits() % 120);
        known = work(&path, mode, known, 30);
        disk.stop();
        disk.power_cut(&mut || chance.bits());
        let there = survivors(&path).unwrap();
        if mode.keeps_every_commit {
            assert!(there >= known, "seed {seed}: {there} of {known} are there");
        }
        // One more may be there: its commit was durable and could not be told of.
        assert!(there <= known + 1);
        lost += (known - there).max(0);
        known = there;
    }
    lost
}

fn lost(mode: Mode) -> i64 {
    (0..100).map(|seed| cut_power(mode, seed)).sum()
}

#[test]
fn commits_that_are_promised_survive_and_others_show_that_the_disk_bites() {
    assert_eq!(lost(WAL_FULL), 0);
    assert_eq!(lost(DELETE_EXTRA), 0);
    assert!(lost(WAL_NORMAL) > 100, "a commit in a WAL that is not synced is lost");
    assert!(lost(DELETE_FULL) > 0, "a journal whose removal is not durable comes back");
}

#[test]
fn a_database_that_never_syncs_breaks() {
    let broken = (0..60).filter(|seed| {
        let seed = *seed;
        std::panic::catch_unwind(move || cut_power(WAL_OFF, seed)).map_or(true, |lost| lost > 20)
    });
    assert!(broken.count() > 10);
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::attach(folder.path(), seed);
        disk.stop_before(90);
        work(&disk.folder().join("some.db"), WAL_FULL, 0, 30);
        disk.stop();
        (disk.trace_hash(), disk.steps())
    };
    assert_eq!(run(7), run(7));
    assert_eq!(run(7).1, 89);
}

#[test]
fn a_stopped_machine_changes_nothing_when_its_connections_close() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), 1);
    let path = disk.folder().join("some.db");
    let mut connection = connect(&path, WAL_FULL).unwrap();
    connection.execute_batch("CREATE TABLE a(n)").unwrap();
    let wal = disk.folder().join("some.db-wal");
    let before = std::fs::read(&wal).unwrap();
    disk.stop();
    assert!(connection.execute("INSERT INTO a VALUES (1)", []).is_err());
    assert!(connection.transaction().and_then(|t| t.commit()).is_ok(), "nothing is asked of it");
    drop(connection);
    assert_eq!(disk.open_files(), 0);
    assert_eq!(std::fs::read(&wal).unwrap(), before);
    assert!(Connection::open(&path).and_then(|c| c.execute_batch("SELECT * FROM a")).is_err());
    disk.restart();
    assert_eq!(Connection::open(&path).unwrap().execute("INSERT INTO a VALUES (1)", []), Ok(1));
}

#[test]
fn names_are_durable_by_a_sync_of_their_folder_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), 1);
    let (kept, lost) = (disk.folder().join("kept"), disk.folder().join("lost"));
    for file in [&kept, &lost] {
        std::fs::write(file, "x").unwrap();
        std::fs::File::open(file).unwrap().sync_all().unwrap();
        if file == &kept {
            std::fs::File::open(disk.folder()).unwrap().sync_all().unwrap();
        }
    }
    // No change of a name is kept that needs not be.
    disk.power_cut(&mut || u64::MAX / 2);
    assert!(kept.exists() && !lost.exists());
}

#[test]
fn a_removal_that_was_not_synced_comes_back_with_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), 1);
    let path = disk.folder().join("some.db");
    assert_eq!(work(&path, DELETE_EXTRA, 0, 5), 5);
    std::fs::remove_file(&path).unwrap();
    assert!(!path.exists());
    disk.power_cut(&mut || u64::MAX / 2);
    assert_eq!(survivors(&path).unwrap(), 5);
    std::fs::remove_file(&path).unwrap();
    std::fs::File::open(disk.folder()).unwrap().sync_all().unwrap();
    disk.power_cut(&mut || u64::MAX / 2);
    assert!(!path.exists());
}

#[test]
fn a_failed_sync_has_lost_something_for_good() {
    let lost = (0..40).filter(|seed| {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::attach(folder.path(), *seed);
        let path = disk.folder().join("some.db");
        assert_eq!(work(&path, WAL_FULL, 0, 3), 3);
        disk.fail(Call::Sync, "-wal", 2);
        let told = work(&path, WAL_FULL, 3, 9);
        assert_eq!(disk.failures(), 1);
        assert!(told < 12, "it is told");
        disk.stop();
        disk.power_cut(&mut || u64::MAX / 2);
        let there = survivors(&path).unwrap();
        assert!(there >= told);
        there == told
    });
    assert!(lost.count() > 5);
}

#[test]
fn a_full_disk_takes_nothing_and_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), 1);
    let path = disk.folder().join("some.db");
    assert_eq!(work(&path, WAL_FULL, 0, 3), 3);
    let connection = connect(&path, WAL_FULL).unwrap();
    disk.fill();
    let refused = connection.execute("INSERT INTO a VALUES (9, 'x')", []).unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    disk.make_room();
    assert_eq!(connection.execute("INSERT INTO a VALUES (9, 'x')", []), Ok(1));
}

#[test]
fn held_syncs_wait() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::attach(folder.path(), 1);
    let path = disk.folder().join("some.db");
    assert_eq!(work(&path, WAL_FULL, 0, 1), 1);
    let held = disk.hold_syncs();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&path, WAL_FULL, 1, 1));
        disk.wait_for_held_sync();
        assert!(!worker.is_finished());
        drop(held);
        assert_eq!(worker.join().unwrap(), 2);
    });
}

#[test]
fn rot_changes_what_it_says() {
    let sound: Vec<u8> = (0..3 * 4096usize).map(|i| (i / 4096 + 1) as u8).collect();
    let spoilt = |rot: Rot| {
        let mut bytes = sound.clone();
        rot.spoil(&mut bytes);
        [bytes.len(), usize::from(bytes[0]), usize::from(*bytes.get(8191).unwrap_or(&0))]
    };
    assert_eq!(spoilt(Rot::Flip { byte: 0, bit: 7 }), [12288, 129, 2]);
    assert_eq!(spoilt(Rot::Zero { page: 1 }), [12288, 1, 0]);
    assert_eq!(spoilt(Rot::Swap { page: 0, with: 1 }), [12288, 2, 1]);
    assert_eq!(spoilt(Rot::Duplicate { page: 2, over: 1 }), [12288, 1, 3]);
    assert_eq!(spoilt(Rot::Cut { length: 9 }), [9, 1, 0]);
}
