//! A source that is written all the time, a log, an applier that lags, and a target that was damaged.
//!
//! Keys below [`FIRST_QUIET`] are hot: every step changes some of them. Those from there on rest, so that what is
//! wrong with them is known exactly. The applier here is the drill's own, one transaction after the other, and right.

use crate::random::Random;
use change::{
    ColumnType, DigestKey, FlowId, Generation, Group, HolderId, LaneId, LogId, Offset, Op,
    SnapshotId, SourcePosition, TableSchema, Value,
};
use connect::clock::ManualClock;
use connect::memory::sample::{keys, rows, shape, target_table};
use connect::memory::{Edit, MemoryLog, MemorySource};
use connect::{
    Bounds, ChangeReader, Claim, Connector, Counters, Cut, LaneProgress, Log, ReadRequest,
    Readable, Result, Resume, RowWork, SiteSettings, Source, Target, TargetTable,
};
use connectors::sqlite::Sqlite;
use proof::{
    Ledger, Prover, Reached, RowPath, Settings, Subject, Surroundings, TableProof, Writer,
};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The first key that nobody but the damage touches.
pub(super) const FIRST_QUIET: i64 = 100;
/// How many of them are taken: every second number.
pub(super) const QUIET: u64 = 120;
/// Keys that are changed all the time.
const HOT: u64 = 30;
const MONEY: ColumnType = ColumnType::Decimal { precision: 12, scale: 4 };

/// The number in a row or key.
pub(super) fn id_of(row: &[Value]) -> i64 {
    match row.first() {
        Some(Value::Int(id)) => *id,
        _ => i64::MIN,
    }
}

/// Everything around one proof.
pub(super) struct World {
    chance: Random,
    source: MemorySource,
    reader: Box<dyn ChangeReader>,
    log: MemoryLog,
    target: Box<dyn Target>,
    dir: tempfile::TempDir,
    schema: Arc<TableSchema>,
    applied: Offset,
    now: BTreeMap<i64, Vec<Value>>,
    resting: bool,
}

impl World {
    /// A table that was filled, captured and applied.
    pub(super) fn new(mut chance: Random) -> World {
        let schema = shape(
            &[
                ("id", ColumnType::Int64),
                ("name", ColumnType::Text),
                ("note", ColumnType::Text),
                ("quantity", ColumnType::Int64),
                ("price", MONEY),
            ],
            &["id"],
        );
        let mut source = MemorySource::new("drill");
        source.define("item", &schema);
        let mut now = BTreeMap::new();
        let quiet = (0..QUIET).map(|n| FIRST_QUIET + 2 * whole(n));
        for id in (0..whole(HOT)).chain(quiet) {
            let row = row(id, &mut chance);
            source.commit(&[Edit::insert("item", row.clone())]).expect("a new key");
            now.insert(id, row);
        }
        let mut reader = source.capture(&["item".into()], &Resume::Fresh).expect("a model");
        let table = "item".into();
        let all = ReadRequest::Snapshot { table, id: SnapshotId::mint(1), after: None };
        reader.request(all).expect("a model");
        let dir = tempfile::tempdir().expect("a folder for the drill");
        let target = open(&dir, &table_of(&schema)).expect("a new database");
        let log = MemoryLog::new(LogId::mint(3));
        let applied = Offset::START;
        let resting = false;
        let mut world =
            World { chance, source, reader, log, target, dir, schema, applied, now, resting };
        world.capture(u64::MAX);
        while world.apply_next() {}
        world
    }

    /// Stops the writes, and brings the target up to date.
    pub(super) fn rest(&mut self) {
        self.resting = true;
        self.capture(u64::MAX);
        while self.apply_next() {}
    }

    /// Gives a resting key another row, and brings the target up to date with it.
    pub(super) fn change(&mut self, id: i64) {
        let row = row(id, &mut self.chance);
        let edit = match self.now.insert(id, row.clone()) {
            Some(_) => Edit::update("item", vec![Value::Int(id)], row),
            None => Edit::insert("item", row),
        };
        self.source.commit(&[edit]).expect("an edit that fits");
        self.catch_up();
    }

    /// Deletes a resting key, and brings the target up to date with it.
    pub(super) fn delete(&mut self, id: i64) {
        if self.now.remove(&id).is_some() {
            let edit = Edit::delete("item", vec![Value::Int(id)]);
            self.source.commit(&[edit]).expect("an edit that fits");
            self.catch_up();
        }
    }

    fn catch_up(&mut self) {
        self.capture(u64::MAX);
        while self.apply_next() {}
    }

    /// Runs SQL in the target's file, as nobody should.
    pub(super) fn tamper(&self, sql: &str) {
        self.file().execute_batch(sql).expect("the damage is SQL");
    }

    fn file(&self) -> Connection {
        let file = Connection::open(self.dir.path().join("site.db")).expect("the target's file");
        file.busy_timeout(std::time::Duration::from_secs(5)).expect("a time");
        file
    }

    /// Proves the table while the world goes on.
    pub(super) fn prove(&mut self) -> Result<TableProof> {
        let (subject, settings) = self.asked()?;
        let (log, clock) = (self.log.clone(), ManualClock::at(1_000_000));
        let key = DigestKey::new(self.chance.bits());
        Prover { log: &log, clock: &clock, key, settings }.prove(&subject, self)
    }

    /// Folds a ledger on: one group, a few, or all.
    pub(super) fn fold(&mut self, ledger: &mut Ledger, key: DigestKey) -> Result<()> {
        let path = self.asked()?.0.path;
        let changes = match self.chance.below(3) {
            0 => 1,
            1 => 10,
            _ => usize::MAX,
        };
        let bounds = Bounds { changes, bytes: usize::MAX };
        for group in self.log.read(lane(), ledger.offset(), bounds)? {
            ledger.fold(&path, key, &group)?;
        }
        Ok(())
    }

    /// Proves the table by its ledger while the world goes on.
    pub(super) fn prove_by_ledger(
        &mut self,
        ledger: &Ledger,
        key: DigestKey,
    ) -> Result<TableProof> {
        let (subject, settings) = self.asked()?;
        let (log, clock) = (self.log.clone(), ManualClock::at(1_000_000));
        let prover = Prover { log: &log, clock: &clock, key, settings };
        Ok(prover.prove_by_ledger(&subject, ledger, self)?.0)
    }

    fn asked(&mut self) -> Result<(Subject, Settings)> {
        let subject = Subject {
            flow: flow(),
            flow_name: "stock".into(),
            generation: generation(),
            site: "north".into(),
            lane: lane(),
            path: RowPath::new("item", self.schema.clone(), None, None, table_of(&self.schema))?,
            writer: Writer::Flow,
            excluded: Vec::new(),
        };
        let chunk_rows = 20 + usize::try_from(self.chance.below(200)).expect("small");
        Ok((subject, Settings { chunk_rows, leaf_rows: 8, ..Settings::default() }))
    }

    /// Resting keys whose rows differ, cell by cell, with the class of each cell as the database tells it.
    pub(super) fn differences(&self) -> BTreeSet<i64> {
        let file = self.file();
        let mut read = file.prepare("SELECT * FROM stock").expect("the target's table");
        let mut stored = read.query([]).expect("the target's table");
        let mut there: BTreeMap<i64, bool> = BTreeMap::new();
        while let Some(row) = stored.next().expect("a row of the target") {
            let id: i64 = row.get(0).expect("a number");
            let cell = |place: usize| row.get_ref(place).expect("a cell");
            let same = self.now.get(&id).is_some_and(|expected| {
                expected.iter().enumerate().all(|(place, value)| is_same(value, cell(place)))
            });
            there.insert(id, same);
        }
        let quiet = |id: &&i64| **id >= FIRST_QUIET;
        let missing = self.now.keys().filter(quiet).filter(|id| !there.contains_key(*id));
        let wrong = there.iter().filter(|(_, same)| !**same).map(|(id, _)| id).filter(quiet);
        missing.chain(wrong).copied().collect()
    }

    /// The world goes on for a moment.
    fn step(&mut self) {
        if self.resting {
            return;
        }
        for _ in 0..self.chance.below(5) {
            let id = whole(self.chance.below(HOT));
            let key = vec![Value::Int(id)];
            let row = row(id, &mut self.chance);
            let edit = match self.now.contains_key(&id) {
                true if self.chance.once_in(4) => {
                    self.now.remove(&id);
                    Edit::delete("item", key)
                }
                there => {
                    self.now.insert(id, row.clone());
                    if there { Edit::update("item", key, row) } else { Edit::insert("item", row) }
                }
            };
            self.source.commit(&[edit]).expect("an edit that fits");
        }
        let groups = self.chance.below(4);
        self.capture(groups);
    }

    fn capture(&mut self, groups: u64) {
        for _ in 0..groups {
            let bounds = Bounds { changes: 20, bytes: 1 << 20 };
            let Some(body) = self.reader.poll(bounds).expect("a model") else { return };
            self.log.append(lane(), body).expect("a log in memory");
        }
    }

    /// Applies whole transactions, all that stand in the next few groups.
    fn apply_next(&mut self) -> bool {
        let bounds = Bounds {
            changes: 1 + usize::try_from(self.chance.below(40)).expect("small"),
            bytes: 1 << 20,
        };
        let groups = self.log.read(lane(), self.applied, bounds).expect("a log in memory");
        let last = groups.iter().rposition(|group| group.body.part.last);
        let Some(last) = last else {
            assert!(groups.is_empty(), "transactions here are small");
            return false;
        };
        let mut net: BTreeMap<i64, Option<Vec<Value>>> = BTreeMap::new();
        for group in &groups[..=last] {
            effects(group, &mut net);
        }
        let puts: Vec<Vec<Value>> = net.values().flatten().cloned().collect();
        let gone = net.iter().filter(|(_, row)| row.is_none()).map(|(id, _)| vec![Value::Int(*id)]);
        let gone: Vec<Vec<Value>> = gone.collect();
        let group = &groups[last];
        let progress = LaneProgress {
            log: self.log.id(),
            lane: lane(),
            offset: group.offset,
            position: group.body.upto.clone(),
            counters: Counters::default(),
        };
        let table = table_of(&self.schema);
        let mut transaction = self.target.begin(flow(), generation()).expect("our own target");
        let works = [
            RowWork::Delete(keys(&self.schema, &gone)),
            RowWork::Upsert(rows(&self.schema, &puts)),
        ];
        for work in works.iter().filter(|work| work.rows() > 0) {
            transaction.write(&table, work).expect("rows that fit");
        }
        transaction.commit(&[progress]).expect("our own target");
        self.applied = group.offset;
        true
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).expect("a small number")
}

fn flow() -> FlowId {
    FlowId::mint(5)
}

fn generation() -> Generation {
    Generation::mint(6)
}

fn lane() -> LaneId {
    LaneId::mint(7)
}

fn table_of(schema: &Arc<TableSchema>) -> TargetTable {
    target_table("stock", schema)
}

fn open(dir: &tempfile::TempDir, table: &TargetTable) -> Result<Box<dyn Target>> {
    // Nothing here crashes: the file need not reach the disk.
    let file = Connection::open(dir.path().join("site.db")).expect("a new file");
    file.execute_batch("PRAGMA journal_mode = WAL").expect("a new file");
    let settings = SiteSettings {
        site: "central".into(),
        url: "sqlite:site.db".into(),
        root: dir.path().to_path_buf(),
        options: Default::default(),
        masks: Default::default(),
    };
    let mut target = Sqlite.target(&settings)?;
    target.prepare(std::slice::from_ref(table))?;
    let holder = HolderId::mint(1);
    target.claim(&Claim { holder, known: vec![], take_over: false })?;
    target.adopt(flow(), generation())?;
    Ok(target)
}

fn row(id: i64, chance: &mut Random) -> Vec<Value> {
    let note = match chance.below(3) {
        0 => Value::Null,
        1 => Value::Text("".into()),
        _ => Value::Text("noted".into()),
    };
    let name = format!("n{}é", chance.below(1 << 40));
    let unscaled = i128::from(chance.below(10_000_000));
    let quantity = Value::Int(whole(chance.below(50)));
    vec![Value::Int(id), Value::Text(name), note, quantity, Value::Decimal { unscaled, scale: 4 }]
}

/// What the changes of a group leave of each key.
fn effects(group: &Group, net: &mut BTreeMap<i64, Option<Vec<Value>>>) {
    for (batch, row) in group.body.in_order() {
        let batch = &group.body.batches[batch];
        let image = |images| Value::row(images, batch.schema(), row);
        let op: Op = batch.ops()[row];
        if batch.has_old_image(row) {
            net.insert(id_of(&image(batch.old())), None);
        }
        if op.has_new() {
            let new = image(batch.new_images());
            net.insert(id_of(&new), Some(new));
        }
    }
}

/// Whether a stored cell is a value, its class too.
fn is_same(value: &Value, cell: ValueRef<'_>) -> bool {
    match (value, cell) {
        (Value::Null, ValueRef::Null) => true,
        (Value::Int(a), ValueRef::Integer(b)) => *a == b,
        (Value::Text(a), ValueRef::Text(b)) => a.as_bytes() == b,
        // Decimals of few digits are stored as the nearest number.
        (Value::Decimal { unscaled, scale: 4 }, ValueRef::Real(b)) => nearest(*unscaled) == b,
        (Value::Decimal { unscaled, scale: 4 }, ValueRef::Integer(b)) => {
            *unscaled == i128::from(b) * 10_000
        }
        _ => false,
    }
}

fn nearest(unscaled: i128) -> f64 {
    format!("{}.{:04}", unscaled / 10_000, unscaled % 10_000).parse().expect("digits")
}

impl Surroundings for World {
    fn source_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.step();
        let cut = self.source.cut()?;
        self.step();
        Ok(cut)
    }

    fn target_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.step();
        self.target.cut()
    }

    fn captured(&mut self, closing: &SourcePosition) -> Result<Reached> {
        loop {
            let tail = self.log.tail(lane())?;
            if tail.position.is_some_and(|position| position.sequence >= closing.sequence) {
                return Ok(Reached::At(tail.durable));
            }
            self.step();
            self.capture(1);
        }
    }

    fn applied(&mut self, offset: Offset) -> Result<Reached> {
        while self.applied < offset {
            self.step();
            self.capture(1);
            self.apply_next();
        }
        // The applier runs on, sometimes far beyond the source cut.
        for _ in 0..self.chance.below(4) {
            self.step();
            self.capture(1);
            self.apply_next();
        }
        Ok(Reached::At(self.applied))
    }

    fn parked(&mut self) -> Result<BTreeSet<Vec<u8>>> {
        Ok(BTreeSet::new())
    }
}
