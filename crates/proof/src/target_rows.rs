//! Reads the target's rows of some ranges, and reads them as they are stored where they do not fit their columns.
//!
//! A proof must not be stopped by the damage that it is there to find: SQLite lets any hand store a real that is
//! no decimal, or text in a column of integers, and a reader refuses such a row. As long as nothing is refused,
//! nothing here costs anything: one read, as declared. Rows are never left out: each way reads all of the ranges
//! or says that it cannot.

use crate::fit::{StoredRow, batches, is_bound, relaxed};
use crate::narrow::range_of;
use crate::rows::{Keep, Rows};
use crate::verdict::Reason;
use change::{ColumnType, DigestKey, TableSchema, Value};
use connect::{Cut, Error, KeyRange, Kind, Result, Scan, TargetTable};

/// What is read, and into what.
pub(crate) struct TargetReading<'a> {
    pub(crate) table: &'a TargetTable,
    pub(crate) ranges: &'a [KeyRange],
    pub(crate) keep: Keep,
    pub(crate) key: DigestKey,
}

/// Rows, and how many were read.
type Read = (Rows, u64);

impl TargetReading<'_> {
    /// The rows of the ranges. A cell that is refused even as it is stored is a reason, never an error.
    ///
    /// # Errors
    /// The site is gone, or the table is not there as declared.
    pub(crate) fn read(&self, cut: &mut dyn Cut) -> Result<Result<Read, Reason>> {
        let refusal = match self.as_declared(cut) {
            Err(e) if e.kind == Kind::Refused => e,
            read => return read.map(Ok),
        };
        let refusal = match self.cells_as_stored(cut) {
            Err(e) if e.kind == Kind::Refused => e,
            // A reader without tagged values: what it said first is the reason.
            Err(e) if e.kind == Kind::Invalid => return Ok(Err(unreadable(&refusal))),
            read => return read.map(Ok),
        };
        match self.keys_as_stored(cut) {
            Ok(Some(read)) => Ok(Ok(read)),
            Ok(None) => Ok(Err(unreadable(&refusal))),
            Err(e) if e.kind == Kind::Refused => Ok(Err(unreadable(&e))),
            Err(e) if e.kind == Kind::Invalid => Ok(Err(unreadable(&refusal))),
            Err(e) => Err(e),
        }
    }

    /// The way of every day.
    fn as_declared(&self, cut: &mut dyn Cut) -> Result<Read> {
        let mut rows = Rows::new(self.table.schema.clone(), self.keep);
        let scan = self.scan(self.table.schema.as_ref().clone());
        let read = cut.read_ranges(&scan, self.ranges, &mut |batch| rows.add(self.key, &batch))?;
        Ok((rows, read))
    }

    /// Every cell but those of keys as it is stored: keys as declared keep order and ranges what they are.
    fn cells_as_stored(&self, cut: &mut dyn Cut) -> Result<Read> {
        let declared = &self.table.schema;
        let asked =
            relaxed(declared, |place| self.is_relaxable(place) && !declared.key().contains(&place));
        let mut rows = Rows::new(declared.clone(), self.keep);
        let read = cut.read_ranges(&self.scan(asked.clone()), self.ranges, &mut |batch| {
            let stored = (0..batch.num_rows())
                .map(|row| StoredRow::read(&batch, &asked, declared, row))
                .collect();
            self.add(stored, &mut rows)
        })?;
        Ok((rows, read))
    }

    /// Keys too as they are stored. No reader takes ranges of such keys, so the whole table is read and the ranges
    /// are chosen here. `None` where that shows no key in the ranges that could have been refused: the reader sorts
    /// what it refuses otherwise than we do, and the row would be missed in both places.
    fn keys_as_stored(&self, cut: &mut dyn Cut) -> Result<Option<Read>> {
        let declared = &self.table.schema;
        let asked = relaxed(declared, |place| self.is_relaxable(place));
        let keyless = asked.with_key::<&str>(&[]).expect("no key is a key of any columns");
        let mut rows = Rows::new(declared.clone(), self.keep);
        let (mut read, mut explained) = (0, false);
        cut.read(&self.scan(keyless), &mut |batch| {
            let mut stored = Vec::new();
            for row in 0..batch.num_rows() {
                let row = StoredRow::read(&batch, &asked, declared, row);
                let key = row.key(declared);
                let held = range_of(self.ranges, &key).is_some();
                // Null is in no range of a reader; wherever it is, the table is refused for it.
                explained |= key.0.contains(&Value::Null) || (held && !is_bound(&key, declared));
                if held {
                    stored.push(row);
                }
            }
            read += stored.len() as u64;
            self.add(stored, &mut rows)
        })?;
        Ok(explained.then_some((rows, read)))
    }

    fn add(&self, stored: Vec<StoredRow>, rows: &mut Rows) -> Result<()> {
        for (schema, batch) in batches(stored, &self.table.schema)? {
            rows.add_shaped(&schema, self.key, &batch)?;
        }
        Ok(())
    }

    fn scan(&self, schema: TableSchema) -> Scan {
        let mut scan = Scan::all(&self.table.name, schema);
        scan.owner.clone_from(&self.table.owner);
        scan
    }

    /// Whether cells of a column may be asked for as they are stored. The owner's are known already.
    fn is_relaxable(&self, place: usize) -> bool {
        let column = &self.table.schema.columns()[place];
        let owner = self.table.owner.as_ref().is_some_and(|owner| owner.column == column.name);
        !owner
            && matches!(
                column.ty,
                ColumnType::Int64
                    | ColumnType::Float64
                    | ColumnType::Decimal { .. }
                    | ColumnType::Text
                    | ColumnType::Bytes
            )
    }
}

fn unreadable(refusal: &Error) -> Reason {
    Reason::CellRefused { of: "target", what: refusal.to_string() }
}
