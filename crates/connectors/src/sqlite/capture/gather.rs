//! Collects rows of the change table, or of a table itself, into the batches of a group.
//!
//! One batch for each shape, ordinals over all of them. Cells go from SQLite's row straight into the columns.

use super::super::error::failed;
use super::super::names::identifier;
use super::cells::{Cells, columns};
use super::register::Shape;
use arrow::array::{RecordBatch, RecordBatchOptions};
use change::{ChangeBatch, Op, TableSchema};
use connect::{Error, Result};
use rusqlite::Row;
use std::sync::Arc;

/// Where the cells of an image stand in a row of a query.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// The first cell of the new image.
    pub(super) new: usize,
    /// The first cell of the old image.
    pub(super) old: usize,
    /// From one cell to the next.
    pub(super) step: usize,
}

/// Batches in the making.
#[derive(Default)]
pub(super) struct Gather {
    parts: Vec<Images>,
    changes: usize,
    bytes: usize,
}

struct Images {
    shape: Arc<Shape>,
    is_key: Vec<bool>,
    ops: Vec<Op>,
    ordinals: Vec<u32>,
    old: Vec<Cells>,
    new: Vec<Cells>,
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
    pub(super) fn expect(&mut self, shape: &Arc<Shape>) -> Result<()> {
        self.part(shape).map(drop)
    }

    /// Takes one row as a change.
    pub(super) fn take(
        &mut self,
        shape: &Arc<Shape>,
        op: Op,
        row: &Row<'_>,
        layout: Layout,
    ) -> Result<()> {
        let ordinal = u32::try_from(self.changes).expect("a group has fewer than 2^32 changes");
        let place = self.part(shape)?;
        let part = &mut self.parts[place];
        part.ops.push(op);
        part.ordinals.push(ordinal);
        let mut bytes = 0;
        for (image, there, first, needs_key) in [
            (&mut part.new, op.has_new(), layout.new, true),
            (&mut part.old, op.has_old(), layout.old, op == Op::Delete),
        ] {
            if !there {
                image.iter_mut().for_each(Cells::push_null);
                continue;
            }
            for (i, cells) in image.iter_mut().enumerate() {
                let cell = row
                    .get_ref(first + i * layout.step)
                    .map_err(failed("a row has too few cells"))?;
                if needs_key && part.is_key[i] && cell == rusqlite::types::ValueRef::Null {
                    return Err(null_key(shape, i));
                }
                bytes += cells.push(cell).map_err(|class| unfit(shape, i, class))?;
            }
        }
        self.changes += 1;
        self.bytes += bytes;
        Ok(())
    }

    fn part(&mut self, shape: &Arc<Shape>) -> Result<usize> {
        let known = self.parts.iter().rposition(|part| part.shape.number == shape.number);
        if let Some(place) = known {
            return Ok(place);
        }
        let count = shape.schema.columns().len();
        self.parts.push(Images {
            shape: shape.clone(),
            is_key: (0..count).map(|i| shape.schema.key().contains(&i)).collect(),
            ops: Vec::new(),
            ordinals: Vec::new(),
            old: columns(&shape.table, &shape.schema)?,
            new: columns(&shape.table, &shape.schema)?,
        });
        Ok(self.parts.len() - 1)
    }

    /// The batches.
    pub(super) fn finish(self) -> Vec<ChangeBatch> {
        self.parts.into_iter().map(Images::finish).collect()
    }
}

impl Images {
    fn finish(self) -> ChangeBatch {
        let (schema, rows) = (self.shape.schema.clone(), self.ops.len());
        let old = image(&schema, self.old, rows);
        let new = image(&schema, self.new, rows);
        ChangeBatch::new(self.shape.table.clone(), schema, self.ops, self.ordinals, old, new)
    }
}

fn image(schema: &TableSchema, cells: Vec<Cells>, rows: usize) -> RecordBatch {
    let columns = cells.into_iter().map(Cells::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.images().clone(), columns, &options)
        .expect("columns were built from the schema")
}

fn unfit(shape: &Shape, column: usize, class: &str) -> Error {
    let declared = &shape.schema.columns()[column];
    let (table, name) = (identifier(&shape.table), identifier(&declared.name));
    let stored = class.split(' ').next().unwrap_or(class);
    Error::refused(format!("a cell of {}.{} is no {}", shape.table, declared.name, declared.ty))
        .found(format!(
            "it is stored as {class}; see such rows with SELECT * FROM {table} WHERE typeof({name}) = '{stored}'"
        ))
        .effect("the capture of this site stands still in front of this change")
        .fix(format!(
            "correct such rows; then run `UPDATE _seamount_change SET n{column} = iif(typeof(n{column}) = '{stored}', NULL, n{column}), o{column} = iif(typeof(o{column}) = '{stored}', NULL, o{column}) WHERE shape = {}` in the site's database, and reconcile the table's flows",
            shape.number
        ))
}

fn null_key(shape: &Shape, column: usize) -> Error {
    let name = &shape.schema.columns()[column].name;
    Error::refused(format!("a row of {} has a null in its key", shape.table))
        .found(format!(
            "see such rows with SELECT * FROM {} WHERE {} IS NULL",
            identifier(&shape.table),
            identifier(name)
        ))
        .effect("the capture of this site stands still in front of this change")
        .fix(format!(
            "remove such rows and declare the column NOT NULL; then run `DELETE FROM _seamount_change WHERE shape = {} AND op <> 0 AND n{column} IS NULL AND o{column} IS NULL` in the site's database, and reconcile the table's flows",
            shape.number
        ))
}
