//! Collects changes into the batches of a group: one batch for each shape, ordinals over all of them.
//!
//! Cells go from the bytes that were received straight into the columns. A cell that the source did not send, since it
//! is stored aside and has not changed, is filled from the old row where that came whole, and else marked as unchanged.

use super::super::decode::Unfit;
use super::super::rows::unfit_cell;
use super::cells::Cells;
use super::pgoutput::{Cell, Old, Tuple};
use super::shapes::Shape;
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use change::{ChangeBatch, Op, TableSchema};
use connect::{Error, Result};
use std::sync::Arc;

/// Batches in the making.
#[derive(Default)]
pub(super) struct Gather {
    parts: Vec<Images>,
    changes: usize,
    bytes: usize,
}

struct Images {
    shape: Arc<Shape>,
    ops: Vec<Op>,
    ordinals: Vec<u32>,
    old: Vec<Cells>,
    new: Vec<Cells>,
    /// Rows whose cell in a column is unchanged, column by column.
    unchanged: Vec<Vec<usize>>,
}

impl Gather {
    /// Number of changes so far.
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// Bytes of their cells, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes sure that there is a batch of a shape, even without rows.
    pub(super) fn expect(&mut self, shape: &Arc<Shape>) {
        self.part(shape);
    }

    /// Takes a change.
    ///
    /// # Errors
    /// `Refused` when a cell is no value of its column's type, or a key has a null.
    pub(super) fn take(
        &mut self,
        shape: &Arc<Shape>,
        op: Op,
        old: Option<&Old<'_>>,
        new: Option<Tuple<'_>>,
    ) -> Result<()> {
        let width = shape.wires.len();
        let fits = |tuple: &Tuple<'_>| tuple.count == width;
        if !new.as_ref().is_none_or(fits) || !old.is_none_or(|old| fits(&old.tuple)) {
            return Err(Error::internal(format!("a row of {} has another width", shape.table)));
        }
        let whole = old.is_some_and(|old| old.whole);
        let mut olds = old.map(|old| old.tuple.cells());
        let mut news = new.map(Tuple::cells);
        self.row(shape, op, |_| {
            let before = olds.as_mut().and_then(Iterator::next);
            let now = news.as_mut().and_then(Iterator::next);
            let now = match (now, before) {
                (Some(Cell::Unchanged), Some(before)) if whole => Some(before),
                (now, _) => now,
            };
            (before, now)
        })
    }

    /// Takes a row that was read: its cells as text.
    ///
    /// # Errors
    /// As [`Gather::take`].
    pub(super) fn take_read<'a>(
        &mut self,
        shape: &Arc<Shape>,
        op: Op,
        cell: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<()> {
        self.row(shape, op, |i| {
            let cell = cell(i).map_or(Cell::Null, |text| Cell::Text(text.as_bytes()));
            if op.has_new() { (None, Some(cell)) } else { (Some(cell), None) }
        })
    }

    /// Takes a row whose cells, before and now, are handed out column by column.
    fn row<'a>(
        &mut self,
        shape: &Arc<Shape>,
        op: Op,
        mut cells: impl FnMut(usize) -> (Option<Cell<'a>>, Option<Cell<'a>>),
    ) -> Result<()> {
        let ordinal = u32::try_from(self.changes).expect("a group has fewer than 2^32 changes");
        let place = self.part(shape);
        let part = &mut self.parts[place];
        let row = part.ops.len();
        let mut bytes = 0;
        for i in 0..shape.wires.len() {
            let (before, now) = cells(i);
            // A whole old row of an insert or a truncate does not exist; its cells are null.
            bytes += put(&mut part.old[i], before).map_err(|why| unfit(shape, i, why))?;
            bytes += put(&mut part.new[i], now).map_err(|why| unfit(shape, i, why))?;
            if now == Some(Cell::Unchanged) {
                part.unchanged[i].push(row);
            }
            let key = if op == Op::Delete { before } else { now };
            if shape.is_key[i] && op != Op::Truncate && !matches!(key, Some(Cell::Text(_))) {
                return Err(null_key(shape, i));
            }
        }
        part.ops.push(op);
        part.ordinals.push(ordinal);
        self.changes += 1;
        self.bytes += bytes;
        Ok(())
    }

    fn part(&mut self, shape: &Arc<Shape>) -> usize {
        let known = self.parts.iter().rposition(|part| Arc::ptr_eq(&part.shape, shape));
        if let Some(place) = known {
            return place;
        }
        let columns = || {
            let columns = shape.schema.columns().iter().zip(&shape.wires);
            columns.map(|(column, wire)| Cells::new(column.ty, *wire)).collect()
        };
        self.parts.push(Images {
            shape: shape.clone(),
            ops: Vec::new(),
            ordinals: Vec::new(),
            old: columns(),
            new: columns(),
            unchanged: vec![Vec::new(); shape.wires.len()],
        });
        self.parts.len() - 1
    }

    /// The batches.
    pub(super) fn finish(self) -> Vec<ChangeBatch> {
        self.parts.into_iter().map(Images::finish).collect()
    }
}

#[inline]
fn put(cells: &mut Cells, cell: Option<Cell<'_>>) -> Result<usize, &'static str> {
    match cell {
        Some(Cell::Text(text)) => cells.push(text),
        _ => {
            cells.push_null();
            Ok(0)
        }
    }
}

impl Images {
    fn finish(self) -> ChangeBatch {
        let (schema, rows) = (self.shape.schema.clone(), self.ops.len());
        let old = image(&schema, self.old, rows);
        let new = image(&schema, self.new, rows);
        let masks = self.unchanged.into_iter().map(|marked| {
            let mut mask = vec![false; if marked.is_empty() { 0 } else { rows }];
            marked.iter().for_each(|row| mask[*row] = true);
            (!marked.is_empty()).then(|| BooleanArray::from(mask))
        });
        ChangeBatch::new(self.shape.table.clone(), schema, self.ops, self.ordinals, old, new)
            .with_unchanged(masks.collect())
    }
}

fn image(schema: &TableSchema, cells: Vec<Cells>, rows: usize) -> RecordBatch {
    let columns = cells.into_iter().map(Cells::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.images().clone(), columns, &options)
        .expect("columns were built from the schema")
}

fn unfit(shape: &Shape, column: usize, why: &'static str) -> Error {
    unfit_cell(&shape.name, &shape.schema.columns()[column], Unfit(why))
        .effect("the capture of this site stands still in front of this change; nothing is lost")
}

fn null_key(shape: &Shape, column: usize) -> Error {
    let name = &shape.schema.columns()[column].name;
    Error::refused(format!("a change of {} has no value in its key column {name}", shape.table))
        .effect("the capture of this site stands still in front of this change; nothing is lost")
}
