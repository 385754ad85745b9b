//! Masks: whatever a source does, the log holds no value of a masked column, and everything of the others.
//!
//! The judge reads the log cell by cell, plays its changes into a book of its own, and makes hashes by hand.

use crate::Random;
use crate::drill::{Drill, Violation};
use crate::world::room::{Counting, NoSql};
use change::mask::{MaskKey, Masks, Rule, TableMask};
use change::{ChangeBatch, DigestKey, Group, Key, LogId, Op, TableSchema, Value};
use change::{Column, ColumnType};
use connect::clock::ManualClock;
use connect::memory::{Edit, MemoryLog, MemorySource, OldImages};
use connect::{
    Bounds, Capabilities, Connector, Connectors, Error, FileSite, Log, Readable, Result,
    SiteSettings, Source, Target,
};
use engine::{Assembly, CaptureOrder, Environment, LaneCapture, Orders, State, Step};
use flow::{LogSettings, Project, Site};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

const INVARIANT: &str = "S masks before the log";
const TABLE: &str = "people";
/// In every text of the table, and nowhere else.
const CANARY: &str = "canary";
/// Every number of the table but its keys.
const NUMBER: i64 = 424_242_424_242;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![Drill {
        name: "masks",
        about: "masked columns never reach the log; what is left of the rows does",
        seeds_in_ci: 40,
        run,
    }]
}

/// A source and nothing else.
struct Shop(MemorySource);

impl Connector for Shop {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            capture: true,
            old_images: true,
            transactional_target: false,
            staged_target: false,
            files: false,
        }
    }

    fn readable(&self, _: &SiteSettings) -> Result<Box<dyn Readable>> {
        Ok(Box::new(self.0.clone()))
    }

    fn source(&self, _: &SiteSettings) -> Result<Box<dyn Source>> {
        Ok(self.0.open())
    }

    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>> {
        Err(Error::invalid(format!("{} is not written", settings.site)))
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Err(Error::invalid(format!("{} holds no files", settings.site)))
    }
}

fn schema() -> TableSchema {
    let columns = [
        ("id", ColumnType::Int64),
        ("email", ColumnType::Text),
        ("Phone", ColumnType::Text),
        ("note", ColumnType::Any),
        ("salary", ColumnType::Int64),
    ];
    let columns = columns.map(|(name, ty)| Column::new(name, ty, name != "id"));
    TableSchema::new(columns.to_vec(), &["id"]).expect("the key is a column")
}

/// Rules for some columns, one at least, in any spelling.
fn some_rules(chance: &mut Random) -> TableMask {
    let mut columns = Vec::new();
    for column in ["email", "Phone", "note", "salary"] {
        if columns.is_empty() || !chance.once_in(3) {
            let spelt =
                if chance.once_in(2) { column.to_ascii_uppercase() } else { column.to_string() };
            columns.push((spelt, *chance.pick(&[Rule::Drop, Rule::Hash, Rule::Mask])));
        }
    }
    TableMask { table: TABLE.to_ascii_uppercase(), columns }
}

fn some_row(id: i64, chance: &mut Random) -> Vec<Value> {
    let mut cell = |ty: ColumnType| match (chance.below(6), ty) {
        (0, _) => Value::Null,
        (1, ColumnType::Any) | (_, ColumnType::Int64) => Value::Int(NUMBER),
        (n, _) => Value::Text(format!("{CANARY}-{n}")),
    };
    let types = [ColumnType::Text, ColumnType::Text, ColumnType::Any, ColumnType::Int64];
    let mut row = vec![Value::Int(id)];
    row.extend(types.map(&mut cell));
    row
}

/// The world of one seed.
struct World {
    source: MemorySource,
    log: MemoryLog,
    assembly: Assembly,
    site: Site,
    orders: Orders,
    /// Rows of the source.
    rows: BTreeMap<i64, Vec<Value>>,
}

impl World {
    fn build(folder: &std::path::Path, mask: TableMask, key: &MaskKey) -> Result<World> {
        let source = MemorySource::new("shop");
        source.define(TABLE, &schema());
        let log = MemoryLog::new(LogId::mint(9));
        let settings = SiteSettings {
            site: "shop".into(),
            url: "memory:".into(),
            root: folder.to_path_buf(),
            options: BTreeMap::new(),
            masks: Masks::new([mask]),
        };
        let site =
            Site { name: "shop".into(), settings, group: None, timezone: None, region: None };
        let project = Project {
            name: "masks".into(),
            root: folder.to_path_buf(),
            log: LogSettings { keep: None, max_bytes: None },
            sites: BTreeMap::from([("shop".to_string(), site.clone())]),
            groups: BTreeMap::new(),
            flows: Vec::new(),
        };
        let connectors = Connectors::new(vec![Box::new(Shop(source.clone()))]);
        let assembly = Assembly {
            project: Arc::new(project),
            connectors: Arc::new(connectors.with_mask_key(key)),
            log: Arc::new(log.clone()),
            state: State::open(&folder.join("state.db"))?,
            planner: Arc::new(NoSql),
            batch: Arc::new(NoSql),
            digest_key: DigestKey::new(3),
            environment: Environment {
                clock: Arc::new(ManualClock::at(1_000_000)),
                random: Arc::new(Counting(AtomicU64::new(1))),
            },
        };
        let (orders, rows) = (Orders::default(), BTreeMap::new());
        Ok(World { source, log, assembly, site, orders, rows })
    }

    fn open(&self) -> Result<LaneCapture> {
        LaneCapture::open(&self.assembly, &self.orders, &self.site, &[TABLE.to_string()])
    }

    /// Somebody does something at the source.
    fn trade(&mut self, chance: &mut Random) -> Result<()> {
        let table = TABLE.to_string();
        let id = i64::try_from(chance.below(30)).expect("below 30");
        let new_id = if chance.once_in(4) { id + 100 } else { id };
        let row = some_row(new_id, chance);
        let key = Key(vec![Value::Int(id)]);
        let edit = match (self.rows.contains_key(&id), chance.below(12)) {
            (_, 0) => {
                self.rows.clear();
                Edit::Truncate { table }
            }
            (true, 1..=3) => {
                self.rows.remove(&id);
                Edit::Delete { table, key }
            }
            (true, _) if new_id == id || !self.rows.contains_key(&new_id) => {
                self.rows.remove(&id);
                self.rows.insert(new_id, row.clone());
                Edit::Update { table, key, row }
            }
            (false, _) if !self.rows.contains_key(&new_id) => {
                self.rows.insert(new_id, row.clone());
                Edit::Insert { table, row }
            }
            _ => return Ok(()),
        };
        self.source.commit(&[edit])
    }

    /// Everything in the log.
    fn logged(&self, lane: change::LaneId) -> Result<Vec<Arc<Group>>> {
        let mut groups: Vec<Arc<Group>> = Vec::new();
        loop {
            let after = groups.last().map_or(change::Offset::START, |group| group.offset);
            let more = self.log.read(lane, after, Bounds::BATCH)?;
            if more.is_empty() {
                return Ok(groups);
            }
            groups.extend(more);
        }
    }
}

fn drain(capture: &mut LaneCapture) -> Result<()> {
    while capture.step()? != Step::Idle || capture.reading_snapshot() {}
    capture.settle(Duration::from_secs(5))
}

fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let folder =
        tempfile::tempdir().map_err(|e| Violation::new("harness", format!("no folder: {e}")))?;
    let key = MaskKey::new(std::array::from_fn(|_| chance.bits()));
    let mask = some_rules(&mut chance);
    let story = |e: Error| Violation::new("harness", e.to_string());
    let world = World::build(folder.path(), mask.clone(), &key).map_err(story)?;
    let (world, lane) = tell(world, &mut chance).map_err(story)?;
    let groups = world.logged(lane).map_err(story)?;
    judge(&groups, &world.rows, &mask, &key).map_err(|what| Violation {
        trace: vec![format!("{:?}", mask.columns), format!("{} groups", groups.len())],
        ..Violation::new(INVARIANT, what)
    })
}

/// Captures while the source changes; restarts, snapshots and keys that are read again included.
fn tell(mut world: World, chance: &mut Random) -> Result<(World, change::LaneId)> {
    if chance.once_in(3) {
        world.source.send_old_images(OldImages::Keys);
    }
    for _ in 0..chance.below(20) {
        world.trade(chance)?;
    }
    let mut capture = world.open()?;
    world.orders.place("shop", CaptureOrder::Snapshot { table: TABLE.into() });
    for _ in 0..60 {
        match chance.below(10) {
            0 => capture = world.open()?,
            1 => {
                let keys = (0..3).map(|_| Key(vec![Value::Int(chance.below(30).cast_signed())]));
                let keys = keys.collect();
                world.orders.place("shop", CaptureOrder::Keys { table: TABLE.into(), keys });
            }
            2..=5 => {
                capture.step()?;
            }
            _ => world.trade(chance)?,
        }
    }
    drain(&mut capture)?;
    world.orders.place("shop", CaptureOrder::Snapshot { table: TABLE.into() });
    drain(&mut capture)?;
    let lane = capture.lane();
    Ok((world, lane))
}

/// What must stand in the log for a cell; `None`: the column is not there.
fn left(cell: &Value, ty: ColumnType, rule: Option<Rule>, key: &MaskKey) -> Option<Value> {
    Some(match (rule, cell) {
        (Some(Rule::Drop), _) => return None,
        (None, cell) => cell.clone(),
        (_, Value::Null) => Value::Null,
        (Some(Rule::Mask), _) if ty == ColumnType::Int64 => Value::Null,
        (Some(Rule::Mask), _) => Value::Text("***".into()),
        (Some(Rule::Hash), cell) => Value::Text(key.hash(&canonical(cell))),
    })
}

/// Tag, length, bytes; integers without trailing zeros, with their exponent.
fn canonical(cell: &Value) -> Vec<u8> {
    let (tag, bytes) = match cell {
        Value::Text(text) => (3, text.as_bytes().to_vec()),
        Value::Int(number) => {
            let (mut digits, mut exponent) = (i128::from(*number), 0i16);
            while digits != 0 && digits % 10 == 0 {
                (digits, exponent) = (digits / 10, exponent + 1);
            }
            (1, [digits.to_le_bytes().as_slice(), &exponent.to_le_bytes()].concat())
        }
        other => panic!("the drill writes texts and integers, not {other}"),
    };
    let length = u32::try_from(bytes.len()).expect("a short cell");
    [[tag].as_slice(), &length.to_le_bytes(), &bytes].concat()
}

fn judge(
    groups: &[Arc<Group>],
    rows: &BTreeMap<i64, Vec<Value>>,
    mask: &TableMask,
    key: &MaskKey,
) -> Result<(), String> {
    let mut book: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for group in groups {
        for (batch, row) in group.body.in_order() {
            let batch = &group.body.batches[batch];
            discreet(batch, row, mask)?;
            play(batch, row, &mut book);
        }
    }
    let schema = schema();
    let expected: BTreeMap<i64, Vec<Value>> = rows
        .iter()
        .map(|(id, row)| {
            let cells = row.iter().zip(schema.columns());
            let cells = cells.filter_map(|(cell, c)| left(cell, c.ty, mask.rule(&c.name), key));
            (*id, cells.collect())
        })
        .collect();
    if book == expected {
        return Ok(());
    }
    let wrong = expected.iter().find(|(id, row)| book.get(id) != Some(row));
    Err(format!("the log comes to {} rows of {}; first wrong {wrong:?}", book.len(), rows.len()))
}

/// Neither image of a change holds a value of a masked column.
fn discreet(batch: &ChangeBatch, row: usize, mask: &TableMask) -> Result<(), String> {
    for images in [batch.old(), batch.new_images()] {
        let cells = Value::row(images, batch.schema(), row);
        for (cell, column) in cells.iter().zip(batch.schema().columns()) {
            let secret = match cell {
                Value::Text(text) => text.contains(CANARY),
                other => *other == Value::Int(NUMBER),
            };
            if secret && mask.rule(&column.name).is_some() {
                return Err(format!("column {} is in the log as it was", column.name));
            }
        }
    }
    Ok(())
}

/// Plays one change into a book.
fn play(batch: &ChangeBatch, row: usize, book: &mut BTreeMap<i64, Vec<Value>>) {
    let id = |cells: &[Value]| match cells.first() {
        Some(Value::Int(id)) => *id,
        other => panic!("the key is a number, not {other:?}"),
    };
    let op = batch.ops()[row];
    if op == Op::Truncate {
        book.clear();
    }
    if batch.has_old_image(row) {
        book.remove(&id(&Value::row(batch.old(), batch.schema(), row)));
    }
    if op.has_new() {
        let cells = Value::row(batch.new_images(), batch.schema(), row);
        book.insert(id(&cells), cells);
    }
}
