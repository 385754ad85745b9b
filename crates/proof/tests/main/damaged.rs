//! A target whose cells somebody damaged, seen as a SQLite cut shows it: a cell that does not fit the type asked for
//! is refused, one that is asked for as `any` comes with its own class. It shares nothing with the proof.

use crate::world::id_of;
use arrow::array::RecordBatch;
use change::value::{FloatBits, decimal_text, parse_decimal};
use change::{ColumnType, FlowId, Group, SourcePosition, TableSchema, Value};
use connect::memory::sample::rows;
use connect::target::FlowProgress;
use connect::{Cut, Error, KeyRange, Result, Scan, Sees};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A cell as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Is(Value),
    /// Not even its class can be told: text that is no UTF-8.
    Unreadable,
}

/// What was damaged: cells by id and column.
#[derive(Clone, Default)]
pub(crate) struct Damage {
    pub(crate) cells: BTreeMap<(i64, usize), Cell>,
    /// The reader puts text before numbers.
    pub(crate) text_first: bool,
    /// Reads that asked for cells as they are stored.
    pub(crate) relaxed: Arc<AtomicU64>,
}

impl Damage {
    pub(crate) fn put(&mut self, id: i64, column: usize, value: Value) {
        self.cells.insert((id, column), Cell::Is(value));
    }

    /// A row that is written anew is whole again.
    pub(crate) fn forget(&mut self, id: i64) {
        self.cells.retain(|(damaged, _), _| *damaged != id);
    }

    fn stored(&self, row: &[Value]) -> Vec<Cell> {
        let id = id_of(row);
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| match (self.cells.get(&(id, column)), cell) {
            (Some(damaged), _) => damaged.clone(),
            // SQLite keeps decimals as the nearest real.
            (None, Value::Decimal { unscaled, scale }) => {
                Cell::Is(Value::float(decimal_text(*unscaled, *scale).parse().unwrap()))
            }
            (None, other) => Cell::Is(other.clone()),
        });
        cells.collect()
    }

    fn place(&self, cell: &Cell) -> (u8, f64, String) {
        match cell {
            Cell::Is(Value::Null) => (0, 0.0, String::new()),
            Cell::Is(Value::Int(i)) => (2, *i as f64, String::new()),
            Cell::Is(Value::Float(FloatBits(bits))) => (2, f64::from_bits(*bits), String::new()),
            Cell::Is(Value::Text(text)) => (if self.text_first { 1 } else { 3 }, 0.0, text.clone()),
            other => panic!("{other:?} is in no key of these tests"),
        }
    }
}

/// A cut of a damaged target.
pub(crate) struct DamagedCut {
    pub(crate) inner: Box<dyn Cut>,
    pub(crate) damage: Damage,
    pub(crate) declared: Arc<TableSchema>,
}

impl DamagedCut {
    /// Rows of a scan in the reader's order, all cells as stored.
    fn rows(&mut self, scan: &Scan) -> Result<Vec<Vec<Cell>>> {
        let mut all = Scan::all(&scan.table, self.declared.as_ref().clone());
        all.owner.clone_from(&scan.owner);
        let batch = all.collect(self.inner.as_mut())?;
        let rows = (0..batch.num_rows()).map(|row| Value::row(&batch, &self.declared, row));
        let mut rows: Vec<Vec<Cell>> = rows.map(|row| self.damage.stored(&row)).collect();
        let schema = &scan.schema;
        if schema.key().is_empty() {
            assert_eq!(scan.range, KeyRange::default(), "without a key there are no ranges");
            return Ok(rows);
        }
        let keys_typed =
            schema.key().iter().all(|&place| schema.columns()[place].ty != ColumnType::Any);
        assert!(keys_typed, "no reader takes ranges of keys without a type");
        let key = |row: &[Cell]| -> Vec<(u8, f64, String)> {
            schema.key().iter().map(|&place| self.damage.place(&row[place])).collect()
        };
        if scan.range != KeyRange::default() {
            let null =
                |row: &Vec<Cell>| schema.key().iter().any(|&k| row[k] == Cell::Is(Value::Null));
            if rows.iter().any(null) {
                return Err(Error::refused("table stock has rows with null in their key"));
            }
        }
        for (bound, lower) in [(&scan.range.after, true), (&scan.range.upto, false)] {
            let Some(bound) = bound else { continue };
            for (cell, &place) in bound.0.iter().zip(schema.key()) {
                assert!(exactly(&Cell::Is(cell.clone()), schema.columns()[place].ty).is_some());
            }
            let bound: Vec<_> =
                bound.0.iter().map(|cell| self.damage.place(&Cell::Is(cell.clone()))).collect();
            rows.retain(|row| (key(row) > bound) == lower);
        }
        rows.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap());
        Ok(rows)
    }
}

fn exactly(cell: &Cell, ty: ColumnType) -> Option<Value> {
    let Cell::Is(value) = cell else { return None };
    match (ty, value) {
        (ColumnType::Any, _) | (_, Value::Null) => Some(value.clone()),
        (ColumnType::Int64, Value::Int(_)) | (ColumnType::Text, Value::Text(_)) => {
            Some(value.clone())
        }
        (ColumnType::Decimal { precision, scale }, Value::Float(FloatBits(bits))) => {
            let digits = f64::from_bits(*bits).to_string();
            let unscaled = parse_decimal(&digits, precision, scale)?;
            Some(Value::Decimal { unscaled, scale })
        }
        (ColumnType::Decimal { precision, scale }, Value::Text(digits)) => {
            let unscaled = parse_decimal(digits, precision, scale)?;
            Some(Value::Decimal { unscaled, scale })
        }
        _ => None,
    }
}

impl Cut for DamagedCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        if scan.schema.columns().iter().any(|column| column.ty == ColumnType::Any) {
            self.damage.relaxed.fetch_add(1, Ordering::Relaxed);
        }
        let stored = self.rows(scan)?;
        // Some batches arrive before one is refused.
        for lot in stored.chunks(5) {
            let mut batch = Vec::new();
            for row in lot {
                let cells = row.iter().zip(scan.schema.columns()).map(|(cell, column)| {
                    exactly(cell, column.ty).ok_or_else(|| {
                        let (name, ty) = (&column.name, column.ty);
                        Error::refused(format!("a cell of {}.{name} is no {ty}", scan.table))
                    })
                });
                batch.push(cells.collect::<Result<Vec<Value>>>()?);
            }
            sink(rows(&scan.schema, &batch))?;
        }
        Ok(stored.len() as u64)
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.inner.closing()
    }

    fn sees(&self, group: &Group) -> Sees {
        self.inner.sees(group)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.inner.progress(flow)
    }
}

/// A cut of a source one of whose cells is refused.
pub(crate) struct RefusingCut(pub(crate) Box<dyn Cut>);

impl Cut for RefusingCut {
    fn read(&mut self, scan: &Scan, _: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<u64> {
        Err(Error::refused(format!("a cell of {}.price is no int64", scan.table)))
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.0.closing()
    }

    fn sees(&self, group: &Group) -> Sees {
        self.0.sees(group)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.0.progress(flow)
    }
}

/// A cut that somebody else reads, as a server does: the proof may read it on a thread of its own. Once it was let go
/// nothing may be asked of it but what it contains.
pub(crate) struct ApartCut {
    pub(crate) inner: Box<dyn Cut>,
    pub(crate) gone: bool,
}

impl Cut for ApartCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        assert!(!self.gone, "a cut is read that was let go");
        self.inner.read(scan, sink)
    }

    fn reads_apart(&self) -> bool {
        true
    }

    fn let_go(&mut self) {
        self.gone = true;
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.inner.closing()
    }

    fn sees(&self, group: &Group) -> Sees {
        assert!(self.gone, "the site keeps old versions while the log is waited for");
        self.inner.sees(group)
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.inner.progress(flow)
    }
}
