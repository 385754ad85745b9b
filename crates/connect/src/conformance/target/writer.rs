//! An engine as the checks of a target play it: it prepares, claims, adopts and writes.

use super::TargetHarness;
use crate::error::{Error, Result};
use crate::memory::sample::{rows, shape, target_table, text};
use crate::read::{Owner, Readable, Scan};
use crate::target::{
    Claim, Counters, FlowProgress, LaneProgress, Load, Publish, RowWork, Target, TargetTable,
    TargetTransaction,
};
use arrow::array::RecordBatch;
use change::{
    ColumnType, FlowId, Generation, HolderId, LaneId, LogId, Offset, RunId, SourcePosition,
    TableSchema, Value,
};
use std::sync::Arc;

pub(super) const FLOW: u64 = 0x0F10;

pub(super) struct Writer {
    pub(super) target: Box<dyn Target>,
    pub(super) holder: HolderId,
    pub(super) flow: FlowId,
    pub(super) generation: Generation,
}

impl Writer {
    /// The first engine at a site that has these tables.
    pub(super) fn first(harness: &mut dyn TargetHarness, tables: &[TargetTable]) -> Writer {
        let mut writer = Writer::stranger(harness, 1);
        writer.target.prepare(tables).expect("the tables are new");
        writer.claim(&[]).expect("nobody holds the target");
        writer.adopt(1);
        writer
    }

    /// Another engine, which has done nothing yet.
    pub(super) fn stranger(harness: &mut dyn TargetHarness, number: u64) -> Writer {
        Writer {
            target: harness.open(),
            holder: HolderId::mint(0xE000 + number),
            flow: FlowId::mint(FLOW),
            generation: Generation::mint(1),
        }
    }

    pub(super) fn claim(&mut self, known: &[HolderId]) -> Result<()> {
        let claim = Claim { holder: self.holder, known: known.to_vec(), take_over: false };
        self.target.claim(&claim)
    }

    pub(super) fn take_over(&mut self) -> Result<()> {
        self.target.claim(&Claim { holder: self.holder, known: Vec::new(), take_over: true })
    }

    pub(super) fn adopt(&mut self, generation: u64) {
        self.generation = Generation::mint(generation);
        self.target.adopt(self.flow, self.generation).expect("the holder adopts");
    }

    pub(super) fn begin(&mut self) -> Result<Box<dyn TargetTransaction + '_>> {
        self.target.begin(self.flow, self.generation)
    }

    /// One write in a transaction of its own.
    pub(super) fn write(&mut self, table: &TargetTable, work: &RowWork) -> Result<u64> {
        let mut transaction = self.begin()?;
        let affected = transaction.write(table, work)?;
        transaction.commit(&[])?;
        Ok(affected)
    }

    pub(super) fn upsert(&mut self, table: &TargetTable, rows: &[Vec<Value>]) {
        self.write(table, &upsert(&table.schema, rows)).expect("the rows are good");
    }

    pub(super) fn rows(&mut self, table: &TargetTable) -> Vec<Vec<Value>> {
        read(self.target.as_mut(), &table.name, &table.schema)
    }

    pub(super) fn progress(&mut self) -> Option<FlowProgress> {
        self.target.progress(self.flow).expect("progress is readable")
    }

    pub(super) fn stage(&mut self, run: RunId, table: &TargetTable, cells: &[Vec<Value>]) {
        let batch = rows(&table.schema, cells);
        self.target.stage(run, table, &batch).expect("the rows are good");
    }

    pub(super) fn staged(&mut self, run: RunId, table: &TargetTable) -> Result<Vec<Vec<Value>>> {
        let mut staged = Vec::new();
        let counted = self.target.read_staged(run, table, &mut |batch| {
            staged.extend(cells(&batch, &table.schema));
            Ok(())
        })?;
        assert_eq!(counted, staged.len() as u64, "read_staged counts the rows it passes");
        Ok(staged)
    }

    /// A publication of these tables, all of whose rows are counted right.
    pub(super) fn publication(
        &self,
        run: RunId,
        load: Load,
        tables: &[(&TargetTable, u64)],
    ) -> Publish {
        Publish {
            flow: self.flow,
            generation: self.generation,
            run,
            interval: "2011-01-05".into(),
            content: format!("content of {run}"),
            load,
            interval_rows: None,
            tables: tables.iter().map(|(table, count)| ((*table).clone(), *count)).collect(),
            progress: Vec::new(),
            published_at: 1_700_000_000_000_000,
        }
    }
}

/// Whole rows of a table, in key order, at a cut of now.
pub(super) fn read<R: Readable + ?Sized>(
    site: &mut R,
    table: &str,
    schema: &TableSchema,
) -> Vec<Vec<Value>> {
    let mut cut = site.cut().expect("a cut can be made");
    let rows = Scan::all(table, schema.clone()).collect(cut.as_mut()).expect("the table is read");
    cells(&rows, schema)
}

pub(super) fn cells(batch: &RecordBatch, schema: &TableSchema) -> Vec<Vec<Value>> {
    (0..batch.num_rows()).map(|row| Value::row(batch, schema, row)).collect()
}

pub(super) fn upsert(schema: &TableSchema, cells: &[Vec<Value>]) -> RowWork {
    RowWork::Upsert(rows(schema, cells))
}

/// A table with some of its columns only.
pub(super) fn narrowed(table: &TargetTable, names: &[&str]) -> TargetTable {
    let mut columns = table.schema.columns().to_vec();
    columns.retain(|column| names.contains(&column.name.as_str()));
    let key: Vec<&str> = table.schema.key_names().collect();
    let schema = Arc::new(TableSchema::new(columns, &key).expect("the key is among them"));
    TargetTable { schema, ..table.clone() }
}

pub(super) fn run(number: u64) -> RunId {
    RunId::mint(0x5000 + number)
}

/// Progress of lane `lane` at `offset`, with counters that differ from each other.
pub(super) fn progress(lane: u64, offset: u64) -> LaneProgress {
    LaneProgress {
        log: LogId::mint(0x1060),
        lane: LaneId::mint(lane),
        offset: Offset(offset),
        position: SourcePosition { sequence: offset * 10, detail: Some(format!("tag {offset}")) },
        counters: Counters {
            read: 21,
            applied: 1,
            superseded: 2,
            filtered: 3,
            deduplicated: 4,
            stale: 5,
            parked: 6,
            swept: 7,
            repaired: offset,
        },
    }
}

/// Stock by article; the name may not be null.
pub(super) fn stock(name: &str) -> TargetTable {
    let wide = shape(
        &[
            ("sku", ColumnType::Int64),
            ("site", ColumnType::Text),
            ("name", ColumnType::Text),
            ("amount", ColumnType::Int64),
        ],
        &["sku"],
    );
    let mut columns = wide.columns().to_vec();
    columns[2].nullable = false;
    target_table(name, &Arc::new(TableSchema::new(columns, &["sku"]).expect("a good shape")))
}

/// The share of one site in a stock table.
pub(super) fn share(table: &TargetTable, site: &str) -> TargetTable {
    let owner = Some(Owner { column: "site".into(), value: text(site) });
    TargetTable { owner, ..table.clone() }
}

/// A row of a stock table.
pub(super) fn article(sku: i64, site: &str, name: &str, amount: i64) -> Vec<Value> {
    vec![Value::Int(sku), text(site), text(name), Value::Int(amount)]
}

/// A row that a stock table refuses.
pub(super) fn nameless(sku: i64, site: &str) -> Vec<Value> {
    vec![Value::Int(sku), text(site), Value::Null, Value::Int(0)]
}

pub(super) fn skus(rows: &[Vec<Value>]) -> Vec<i64> {
    let sku = |row: &Vec<Value>| match row[0] {
        Value::Int(sku) => sku,
        _ => panic!("articles are numbered"),
    };
    rows.iter().map(sku).collect()
}

pub(super) fn sink_error() -> Error {
    Error::internal("the sink has had enough")
}
