//! The SQLite target on a disk that fails: rows, progress and counters together, stages, runs, and who may write.
//!
//! What decides is a set of lines that the database must say after the power came back: those of every call that came
//! back, and perhaps those of the one that did not.

use crate::{Random, Violation, difference};
use change::{
    Column, ColumnType, FlowId, Generation, HolderId, LaneId, LogId, Offset, RunId, SourcePosition,
    TableSchema, Value,
};
use connect::State;
use connect::component::SiteSettings;
use connect::read::Owner;
use connect::target::{Claim, Counters, LaneProgress, Load, Publish, RowWork, Target, TargetTable};
use connectors::sqlite::target::SqliteTarget;
use faultdisk::Disk;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

type Lines = BTreeSet<String>;

const GENERATION: u64 = 5;

/// The two owners of one table, each with its flow.
const OWNERS: [&str; 2] = ["a", "b"];

pub(super) fn crash(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder = tempfile::tempdir().expect("a folder for a drill");
    let disk = Disk::attach(folder.path(), chance.bits());
    let path = disk.folder().join("shop.db");
    if chance.once_in(3) {
        // An application's database in a rollback journal stays in it.
        let made = Connection::open(&path).and_then(|c| c.execute_batch("PRAGMA user_version = 1"));
        made.expect("a sound disk");
    }
    let mut bench =
        Bench { known: Lines::new(), perhaps: None, holders: Vec::new(), runs: 0, offset: 0 };
    let explain = |violation: Violation| Violation { trace: disk.trace(), ..violation };
    for round in 0..4 {
        if round < 3 {
            let within = *chance.pick(&[30, 150, 500]);
            disk.stop_before(disk.steps() + 1 + chance.below(within));
        }
        let outcome = bench.round(&disk, &path, &mut chance.split());
        match outcome {
            Err(violation) if !disk.is_stopped() => return Err(explain(violation)),
            Err(violation) if violation.invariant != UNFINISHED => return Err(explain(violation)),
            _ => {}
        }
        disk.stop();
        disk.power_cut(&mut || chance.bits());
    }
    Ok(())
}

/// A call that did not come back as it should; no violation where the machine has stopped.
const UNFINISHED: &str = "V live";

struct Bench {
    known: Lines,
    /// What the call that did not come back would have made of it.
    perhaps: Option<Lines>,
    holders: Vec<HolderId>,
    runs: u64,
    offset: u64,
}

impl Bench {
    fn round(&mut self, disk: &Disk, path: &Path, chance: &mut Random) -> Result<(), Violation> {
        self.check(path)?;
        let mut target = self.open(disk.folder(), chance)?;
        for _ in 0..14 {
            match chance.below(8) {
                0 => self.stage_and_end(&mut target, chance)?,
                1 => {
                    let next = self.open(disk.folder(), chance)?;
                    let mut zombie = std::mem::replace(&mut target, next);
                    refuse(&mut zombie)?;
                }
                _ => self.transaction(&mut target, chance)?,
            }
            if chance.once_in(3) {
                self.check(path)?;
            }
        }
        self.check(path)
    }

    /// What the database says is what is known, or what the unfinished call would have made of it.
    fn check(&mut self, path: &Path) -> Result<(), Violation> {
        let there = dump(path).map_err(|e| Violation::new(UNFINISHED, format!("reading: {e}")))?;
        if there != self.known && Some(&there) != self.perhaps.as_ref() {
            let found = difference(&self.known, &there);
            return Err(Violation::new("B batch atomic", found));
        }
        (self.known, self.perhaps) = (there, None);
        Ok(())
    }

    /// Does one call that makes `after` of what is known.
    fn call(
        &mut self,
        what: &str,
        after: Lines,
        outcome: connect::Result<()>,
    ) -> Result<(), Violation> {
        match outcome {
            Ok(()) => {
                (self.known, self.perhaps) = (after, None);
                Ok(())
            }
            Err(e) => {
                self.perhaps = Some(after);
                Err(Violation::new(UNFINISHED, format!("{what}: {e} {:?}", e.found)))
            }
        }
    }

    /// Opens the target as a new engine that knows its predecessors.
    fn open(&mut self, root: &Path, chance: &mut Random) -> Result<SqliteTarget, Violation> {
        let settings = SiteSettings {
            site: "shop".into(),
            url: "sqlite:shop.db".into(),
            root: root.to_path_buf(),
            options: Default::default(),
            masks: Default::default(),
        };
        let failed = |e: connect::Error| Violation::new(UNFINISHED, format!("{e} {:?}", e.found));
        let mut target = SqliteTarget::open(&settings).map_err(failed)?;
        target.prepare(&[items("a"), parts()]).map_err(failed)?;
        let holder = HolderId::mint(chance.bits());
        let claim = Claim { holder, known: self.holders.clone(), take_over: false };
        self.holders.push(holder);
        let mut after = self.known.clone();
        after.retain(|line| !line.starts_with("epoch"));
        after.insert(format!("epoch {}", holder.to_i64()));
        let outcome = target.claim(&claim);
        self.call("claim", after, outcome)?;
        for owner in 0..OWNERS.len() {
            target.adopt(flow(owner), Generation::mint(GENERATION)).map_err(failed)?;
        }
        Ok(target)
    }

    fn transaction(
        &mut self,
        target: &mut SqliteTarget,
        chance: &mut Random,
    ) -> Result<(), Violation> {
        let owner = usize::try_from(chance.below(2)).expect("one of two");
        let mut after = self.known.clone();
        let outcome = self.write(target, owner, &mut after, chance);
        self.call("transaction", after, outcome)
    }

    fn write(
        &mut self,
        target: &mut SqliteTarget,
        owner: usize,
        after: &mut Lines,
        chance: &mut Random,
    ) -> connect::Result<()> {
        let table = items(OWNERS[owner]);
        let mut transaction = target.begin(flow(owner), Generation::mint(GENERATION))?;
        if chance.once_in(8) {
            after.retain(|line| !line.starts_with(&format!("item {} ", OWNERS[owner])));
            transaction.clear(&table)?;
        }
        for _ in 0..1 + chance.below(3) {
            let ids: BTreeSet<i64> = (0..1 + chance.below(5)).map(|_| id(chance)).collect();
            for id in &ids {
                after.retain(|line| !line.starts_with(&format!("item {} {id} ", OWNERS[owner])));
            }
            if chance.once_in(3) {
                transaction.write(&table, &RowWork::Delete(keys(&table, OWNERS[owner], &ids)))?;
                continue;
            }
            let rows = rows(OWNERS[owner], &ids, after, chance);
            transaction.write(&table, &RowWork::Upsert(batch(&table, &rows)))?;
        }
        // The second table of the same transaction.
        let part = id(chance);
        after.retain(|line| !line.starts_with(&format!("part {part} ")));
        after.insert(format!("part {part} {}", self.offset));
        let row = vec![Value::Int(part), Value::Text(self.offset.to_string())];
        transaction.write(&parts(), &RowWork::Upsert(batch(&parts(), &[row])))?;
        let progress = self.progress(owner, after);
        transaction.commit(&[progress])
    }

    /// The next progress of a flow.
    fn progress(&mut self, owner: usize, after: &mut Lines) -> LaneProgress {
        self.offset += 1;
        let flow = flow(owner).to_i64();
        after.retain(|line| !line.starts_with(&format!("progress {flow} ")));
        after.insert(format!("progress {flow} {} {}", self.offset, self.offset * 3));
        let counters =
            Counters { read: self.offset * 3, applied: self.offset * 3, ..Counters::default() };
        LaneProgress {
            log: LogId::mint(8),
            lane: LaneId::mint(9),
            offset: Offset(self.offset),
            position: SourcePosition::at(self.offset),
            counters,
        }
    }

    /// Stages rows in two calls, then publishes or discards them.
    fn stage_and_end(
        &mut self,
        target: &mut SqliteTarget,
        chance: &mut Random,
    ) -> Result<(), Violation> {
        self.runs += 1;
        let (run, owner) =
            (RunId::mint(self.runs), usize::try_from(chance.below(2)).expect("one of two"));
        let table = items(OWNERS[owner]);
        let mut published = Lines::new();
        let ids: BTreeSet<i64> = (0..2 + chance.below(6)).map(|_| id(chance)).collect();
        let all = rows(OWNERS[owner], &ids, &mut published, chance);
        let half = all.len() / 2;
        for (staged, rows) in [(half, &all[..half]), (all.len(), &all[half..])] {
            let mut after = self.known.clone();
            after.retain(|line| !line.starts_with(&format!("stage {} ", run.to_i64())));
            after.insert(format!("stage {} {staged}", run.to_i64()));
            let outcome = target.stage(run, &table, &batch(&table, rows));
            self.call("stage", after, outcome)?;
        }
        if chance.once_in(3) {
            // Older runs may have been left behind by a crash.
            let staged = target.staged().map_err(|e| Violation::new(UNFINISHED, e.to_string()))?;
            for run in staged {
                let mut after = self.known.clone();
                after.retain(|line| !line.starts_with(&format!("stage {} ", run.to_i64())));
                let outcome = target.discard(run);
                self.call("discard", after, outcome)?;
            }
            return Ok(());
        }
        let mut after = self.known.clone();
        after.retain(|line| {
            !line.starts_with(&format!("stage {} ", run.to_i64()))
                && !line.starts_with(&format!("item {} ", OWNERS[owner]))
        });
        after.extend(published);
        after.insert(format!("run {} {} {}", flow(owner).to_i64(), run.to_i64(), all.len()));
        let publish = Publish {
            flow: flow(owner),
            generation: Generation::mint(GENERATION),
            run,
            interval: format!("interval {}", chance.below(3)),
            content: format!("content {}", self.runs),
            load: Load::Replace,
            interval_rows: None,
            tables: vec![(table, all.len() as u64)],
            progress: vec![self.progress(owner, &mut after)],
            published_at: 1,
        };
        let outcome = target.publish(&publish).map(drop);
        self.call("publish", after, outcome)
    }
}

/// An engine that another has followed may not write.
fn refuse(zombie: &mut SqliteTarget) -> Result<(), Violation> {
    match zombie.begin(flow(0), Generation::mint(GENERATION)).map(drop) {
        Err(e) if e.state == Some(State::Fenced) => Ok(()),
        Err(e) => Err(Violation::new(UNFINISHED, format!("a zombie: {e}"))),
        Ok(()) => Err(Violation::new("F fencing", "an engine that was followed may write")),
    }
}

fn flow(owner: usize) -> FlowId {
    FlowId::mint(owner as u64 + 1)
}

fn id(chance: &mut Random) -> i64 {
    i64::try_from(chance.below(12)).expect("small")
}

fn items(owner: &str) -> TargetTable {
    let columns = vec![
        Column::new("owner", ColumnType::Text, false),
        Column::new("id", ColumnType::Int64, false),
        Column::new("name", ColumnType::Text, true),
    ];
    let schema = TableSchema::new(columns, &["owner", "id"]).expect("a key that is there");
    let owner = Owner { column: "owner".into(), value: Value::Text(owner.into()) };
    TargetTable { name: "items".into(), schema: Arc::new(schema), owner: Some(owner) }
}

fn parts() -> TargetTable {
    let columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("name", ColumnType::Text, true),
    ];
    let schema = TableSchema::new(columns, &["id"]).expect("a key that is there");
    TargetTable { name: "parts".into(), schema: Arc::new(schema), owner: None }
}

fn rows(
    owner: &str,
    ids: &BTreeSet<i64>,
    lines: &mut Lines,
    chance: &mut Random,
) -> Vec<Vec<Value>> {
    let row = |id: &i64| {
        let long = "y".repeat(usize::try_from(chance.below(1_500)).expect("small"));
        let name = format!("{}{long}", chance.below(1_000));
        lines.insert(format!("item {owner} {id} {name}"));
        vec![Value::Text(owner.into()), Value::Int(*id), Value::Text(name)]
    };
    ids.iter().map(row).collect()
}

fn keys(table: &TargetTable, owner: &str, ids: &BTreeSet<i64>) -> arrow::array::RecordBatch {
    let rows: Vec<Vec<Value>> =
        ids.iter().map(|id| vec![Value::Text(owner.into()), Value::Int(*id)]).collect();
    change::value::batch(&table.schema.key_schema(), &rows).expect("cells of their columns' types")
}

fn batch(table: &TargetTable, rows: &[Vec<Value>]) -> arrow::array::RecordBatch {
    change::value::batch(&table.schema, rows).expect("cells of their columns' types")
}

/// Everything that the drill knows of, as the database says it; a table that is not there says nothing.
fn dump(path: &Path) -> rusqlite::Result<Lines> {
    let connection = Connection::open(path)?;
    let mut lines = Lines::new();
    for (table, sql) in [
        ("items", "SELECT 'item ' || owner || ' ' || id || ' ' || name FROM items"),
        ("parts", "SELECT 'part ' || id || ' ' || name FROM parts"),
        ("_seamount_epoch", "SELECT 'epoch ' || holder FROM _seamount_epoch"),
        (
            "_seamount_progress",
            "SELECT 'progress ' || flow || ' ' || \"offset\" || ' ' || read FROM _seamount_progress",
        ),
        ("_seamount_run", "SELECT 'run ' || flow || ' ' || run || ' ' || rows FROM _seamount_run"),
    ] {
        if exists(&connection, table)? {
            lines.extend(texts(&connection, sql)?);
        }
    }
    for table in
        texts(&connection, "SELECT name FROM sqlite_schema WHERE name GLOB '_seamount_stage_*_1'")?
    {
        let sql = format!("SELECT count(*) FROM \"{table}\"");
        let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        let run = texts(&connection, "SELECT DISTINCT run || '' FROM _seamount_stage")?;
        let run = run.into_iter().find(|run| {
            let id = run.parse().map(RunId::from_i64);
            id.is_ok_and(|id| table == format!("_seamount_stage_{id}_1"))
        });
        lines.insert(format!("stage {} {count}", run.unwrap_or_else(|| "nobody's".into())));
    }
    Ok(lines)
}

fn exists(connection: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)";
    connection.query_row(sql, [table], |row| row.get(0))
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(sql)?;
    select.query_map([], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faultdisk::Call;

    /// After a failed sync the system's memory shows a commit that the disk has lost. An engine that is killed there
    /// leaves it to the next one, which would commit behind it.
    #[test]
    fn what_is_committed_behind_a_failed_sync_is_not_lost_by_a_power_cut() {
        for seed in 0..40 {
            let mut chance = Random::new(seed);
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::attach(folder.path(), chance.bits());
            let path = disk.folder().join("shop.db");
            let mut bench =
                Bench { known: Lines::new(), perhaps: None, holders: vec![], runs: 0, offset: 0 };
            let mut target = bench.open(disk.folder(), &mut chance).unwrap();
            bench.transaction(&mut target, &mut chance).unwrap();
            disk.fail(Call::Sync, "-wal", 0);
            assert!(bench.transaction(&mut target, &mut chance).is_err());
            disk.stop();
            drop(target);
            disk.restart();
            let reader = Connection::open(&path).unwrap();
            assert!(exists(&reader, "items").unwrap());
            bench.check(&path).unwrap();
            let mut target = bench.open(disk.folder(), &mut chance).unwrap();
            for _ in 0..3 {
                bench.transaction(&mut target, &mut chance).unwrap();
            }
            disk.stop();
            drop((target, reader));
            disk.power_cut(&mut || chance.bits());
            bench.check(&path).map_err(|e| format!("seed {seed}: {e}")).unwrap();
        }
    }
}
