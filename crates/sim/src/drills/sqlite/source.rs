//! A captured SQLite database on a disk that fails, with its application at work.
//!
//! What is captured is replayed into a map and compared with the table. An application that promises its commits less
//! than the disk needs can lose some that were captured: then the capture must refuse to go on, and never skip.
//! Not the same steps every time: the tags of changes are SQLite's own chance, and as long as they like.

use crate::{Random, Violation};
use change::{ColumnType, GroupBody, GroupKind, History, Op, SnapshotId, Value};
use connect::component::SiteSettings;
use connect::source::{ChangeReader, ReadRequest, Resume, Source};
use connect::{Bounds, State};
use connectors::sqlite::SqliteSite;
use faultdisk::Disk;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

type Rows = BTreeMap<i64, String>;

const BOUNDS: Bounds = Bounds { changes: 10_000, bytes: 1 << 24 };

/// How an application has set its database, and whether a power cut leaves it every commit.
#[derive(Clone, Copy)]
struct Mode {
    journal: &'static str,
    synchronous: &'static str,
    keeps_every_commit: bool,
}

const MODES: [Mode; 4] = [
    Mode { journal: "wal", synchronous: "full", keeps_every_commit: true },
    Mode { journal: "wal", synchronous: "normal", keeps_every_commit: false },
    Mode { journal: "delete", synchronous: "full", keeps_every_commit: false },
    Mode { journal: "delete", synchronous: "extra", keeps_every_commit: true },
];

pub(super) fn crash(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let disk = Disk::attach(folder.path(), chance.bits());
    let mut bench = Bench {
        mode: *chance.pick(&MODES),
        log: Vec::new(),
        acknowledged: 0,
        history: None,
        refused: false,
    };
    let explain = |violation: Violation| Violation { trace: disk.trace(), ..violation };
    for round in 0..4 {
        if round < 3 {
            let within = *chance.pick(&[40, 200, 400]);
            disk.stop_before(disk.steps() + 1 + chance.below(within));
        }
        match bench.round(disk.folder(), &mut chance.split()) {
            Ok(()) => {}
            Err(violation) if disk.is_stopped() && violation.invariant == UNFINISHED => {}
            Err(violation) => return Err(explain(violation)),
        }
        if bench.refused {
            return Ok(());
        }
        // What the log has not called durable yet may go with the power too.
        let kept = bench.acknowledged + usize::try_from(chance.below(4)).expect("small");
        bench.log.truncate(kept);
        disk.stop();
        disk.power_cut(&mut || chance.bits());
    }
    Ok(())
}

const UNFINISHED: &str = "V live";

struct Bench {
    mode: Mode,
    /// What was captured, and how much of it the source was told of as durable.
    log: Vec<GroupBody>,
    acknowledged: usize,
    history: Option<History>,
    /// The capture said that the history is another, and rightly.
    refused: bool,
}

impl Bench {
    fn round(&mut self, root: &Path, chance: &mut Random) -> Result<(), Violation> {
        let application = self.application(&root.join("shop.db"))?;
        let Some(mut reader) = self.capture(root)? else { return Ok(()) };
        for _ in 0..24 {
            match chance.below(8) {
                0 | 1 => self.acknowledge(reader.as_mut(), chance)?,
                2 | 3 => drop(self.poll(reader.as_mut())?),
                4 if chance.once_in(3) => {
                    let copied = application.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()));
                    copied.map_err(|e| unfinished(&e))?;
                }
                _ => transaction(&application, chance).map_err(|e| unfinished(&e))?,
            }
        }
        while self.poll(reader.as_mut())? {}
        let (there, replayed) =
            (rows(&application).map_err(|e| unfinished(&e))?, replay(&self.log));
        match there == replayed {
            true => Ok(()),
            false => Err(Violation::new(
                "C conservation",
                format!("the table holds {there:?}, captured was {replayed:?}"),
            )),
        }
    }

    fn application(&self, path: &Path) -> Result<Connection, Violation> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", self.mode.journal)?;
            connection.pragma_update(None, "synchronous", self.mode.synchronous)?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
            )?;
            Ok(connection)
        };
        open().map_err(|e| unfinished(&e))
    }

    /// Resumes the capture behind what is durable; `None` where it rightly refuses.
    fn capture(&mut self, root: &Path) -> Result<Option<Box<dyn ChangeReader>>, Violation> {
        let settings = SiteSettings {
            site: "shop".into(),
            url: "sqlite:shop.db".into(),
            root: root.to_path_buf(),
            options: Default::default(),
            masks: Default::default(),
        };
        let failed = |e: connect::Error| Violation::new(UNFINISHED, format!("{e} {:?}", e.found));
        let mut site = SqliteSite::open(&settings).map_err(failed)?;
        let resume = match (self.log.last(), &self.history) {
            (Some(last), Some(history)) => {
                Resume::After { history: history.clone(), position: last.upto.clone() }
            }
            _ => Resume::Fresh,
        };
        let mut reader = match site.capture(&["items".into()], &resume) {
            Ok(reader) => reader,
            Err(e) if matches!(e.state, Some(State::HistoryChanged | State::PositionLost)) => {
                if self.mode.keeps_every_commit {
                    let found = format!(
                        "every commit is there, and the capture refuses: {e} {:?}",
                        e.found
                    );
                    return Err(Violation::new("L loss is loud", found));
                }
                self.refused = true;
                return Ok(None);
            }
            Err(e) => return Err(failed(e)),
        };
        self.history = Some(reader.history().clone());
        let begun = |group: &GroupBody| matches!(group.kind, GroupKind::Snapshot(_));
        if !self.log.iter().any(begun) {
            let (table, id, after) = ("items".into(), SnapshotId::mint(1), None);
            reader.request(ReadRequest::Snapshot { table, id, after }).map_err(failed)?;
        }
        Ok(Some(reader))
    }

    /// Captures a group, if there is one.
    fn poll(&mut self, reader: &mut dyn ChangeReader) -> Result<bool, Violation> {
        let polled = reader.poll(BOUNDS);
        let group =
            polled.map_err(|e| Violation::new(UNFINISHED, format!("poll: {e} {:?}", e.found)))?;
        let found = group.is_some();
        self.log.extend(group);
        Ok(found)
    }

    fn acknowledge(
        &mut self,
        reader: &mut dyn ChangeReader,
        chance: &mut Random,
    ) -> Result<(), Violation> {
        let waiting = self.log.len() - self.acknowledged;
        self.acknowledged += usize::try_from(chance.below(waiting as u64 + 1)).expect("small");
        let Some(last) = self.acknowledged.checked_sub(1) else { return Ok(()) };
        let done = reader.acknowledge(&self.log[last].upto);
        done.map_err(|e| Violation::new(UNFINISHED, format!("acknowledge: {e} {:?}", e.found)))
    }
}

fn unfinished(error: &rusqlite::Error) -> Violation {
    Violation::new(UNFINISHED, format!("the application: {error}"))
}

fn transaction(application: &Connection, chance: &mut Random) -> rusqlite::Result<()> {
    let transaction = application.unchecked_transaction()?;
    for _ in 0..1 + chance.below(4) {
        let (id, other) = (chance.below(10) as i64, chance.below(10) as i64);
        let name = format!("{} {}", chance.below(1_000), "z".repeat(chance.below(900) as usize));
        let sql = match chance.below(5) {
            0 => "DELETE FROM items WHERE id = ?1",
            1 => "UPDATE OR REPLACE items SET id = ?3, name = ?2 WHERE id = ?1",
            2 => "UPDATE items SET name = ?2 WHERE id = ?1",
            3 => "INSERT INTO items VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = ?2",
            _ => "INSERT OR REPLACE INTO items VALUES (?1, ?2)",
        };
        let mut statement = transaction.prepare(sql)?;
        for (place, value) in [&id as &dyn rusqlite::ToSql, &name, &other].iter().enumerate() {
            if place < statement.parameter_count() {
                statement.raw_bind_parameter(place + 1, value)?;
            }
        }
        statement.raw_execute()?;
    }
    transaction.commit()
}

fn rows(application: &Connection) -> rusqlite::Result<Rows> {
    let mut select = application.prepare("SELECT id, name FROM items")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The table as what was captured makes it.
fn replay(log: &[GroupBody]) -> Rows {
    let mut rows = Rows::new();
    for group in log {
        if matches!(group.kind, GroupKind::Snapshot(_)) {
            // One chunk takes the whole table.
            rows.clear();
        }
        for (batch, row) in group.in_order() {
            let batch = &group.batches[batch];
            let cell = |images: &arrow::array::RecordBatch, column: usize, ty| {
                Value::read(images.column(column).as_ref(), ty, row)
            };
            let key = |images| match cell(images, 0, ColumnType::Int64) {
                Value::Int(id) => id,
                other => unreachable!("an integer key is {other:?}"),
            };
            let op = batch.ops()[row];
            if op.has_old() {
                rows.remove(&key(batch.old()));
            }
            if matches!(op, Op::Insert | Op::Update | Op::Read)
                && let Value::Text(name) = cell(batch.new_images(), 1, ColumnType::Text)
            {
                rows.insert(key(batch.new_images()), name);
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log knew a history of which the database had never heard.
    #[test]
    fn an_installed_capture_is_durable_before_its_first_change_is_told_of() {
        for mode in MODES.into_iter().filter(|mode| mode.keeps_every_commit) {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::attach(folder.path(), 1);
            let (log, history) = (Vec::new(), None);
            let mut bench = Bench { mode, log, acknowledged: 0, history, refused: false };
            let application = bench.application(&disk.folder().join("shop.db")).unwrap();
            application.execute("INSERT INTO items VALUES (1, 'nail')", []).unwrap();
            let mut reader = bench.capture(disk.folder()).unwrap().unwrap();
            assert!(bench.poll(reader.as_mut()).unwrap());
            drop((reader, application));
            disk.stop();
            disk.power_cut(&mut || 0);
            bench.application(&disk.folder().join("shop.db")).unwrap();
            assert!(bench.capture(disk.folder()).unwrap().is_some());
        }
    }
}
