//! A mask planned for one schema version of its table, and rows passed through it.
//!
//! A cell that is null, or that the source did not send, stays so: a mask says nothing about whether a value is
//! there. Key columns pass as they are, since ranges of snapshots and proofs are ranges of the source's key.

use super::{MaskKey, Rule, TableMask};
use crate::any::{self, Tagged};
use crate::batch::ChangeBatch;
use crate::canonical;
use crate::schema::{Column, ColumnType, TableSchema};
use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray, new_null_array};
use std::sync::Arc;

/// What stands in the place of a text that is masked.
const STARS: &str = "***";

/// Why a mask does not fit its table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The table has no such column.
    #[error("there is no column {0}")]
    NoColumn(String),
    /// The column is part of the table's key.
    #[error("column {0} is part of the table's key")]
    Key(String),
    /// The column can hold neither a text nor null.
    #[error("column {column} is {ty} and not null: \"mask\" has nothing to put there")]
    NotNullable {
        /// The column.
        column: String,
        /// Its type.
        ty: ColumnType,
    },
}

/// Where a column that comes out is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cells {
    Carried,
    Hashed,
    Stars,
    Nulls,
}

/// A mask for one schema version of its table.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedTable {
    input: Arc<TableSchema>,
    output: Arc<TableSchema>,
    /// For each column that comes out: its place in the input, and what becomes of it.
    columns: Vec<(usize, Cells)>,
}

impl MaskedTable {
    /// Plans a mask.
    ///
    /// # Errors
    /// The rule that cannot be kept.
    pub fn plan(mask: &TableMask, input: &Arc<TableSchema>) -> Result<MaskedTable, Unfit> {
        let is = |name: &str, column: &Column| column.name.eq_ignore_ascii_case(name);
        for (name, _) in &mask.columns {
            if !input.columns().iter().any(|column| is(name, column)) {
                return Err(Unfit::NoColumn(name.clone()));
            }
            if input.key_names().any(|key| key.eq_ignore_ascii_case(name)) {
                return Err(Unfit::Key(name.clone()));
            }
        }
        let (mut columns, mut output) = (Vec::new(), Vec::new());
        for (place, column) in input.columns().iter().enumerate() {
            let cells = match mask.rule(&column.name) {
                None => Cells::Carried,
                Some(Rule::Drop) => continue,
                Some(Rule::Hash) => Cells::Hashed,
                Some(Rule::Mask) => covering(column)?,
            };
            columns.push((place, cells));
            output.push(match cells {
                // Whole, with what its system declares it as: a target may take its cells only by that.
                Cells::Carried => column.clone(),
                Cells::Hashed => Column::new(&column.name, ColumnType::Text, column.nullable),
                Cells::Stars | Cells::Nulls => {
                    Column::new(&column.name, column.ty, column.nullable)
                }
            });
        }
        let key: Vec<&str> = input.key_names().collect();
        let output = TableSchema::new(output, &key).expect("columns stay distinct, the key stays");
        Ok(MaskedTable { input: input.clone(), output: Arc::new(output), columns })
    }

    /// The shape that goes in.
    pub fn input(&self) -> &Arc<TableSchema> {
        &self.input
    }

    /// The shape that comes out.
    pub fn output(&self) -> &Arc<TableSchema> {
        &self.output
    }

    /// Passes rows.
    ///
    /// # Panics
    /// When the rows are not of the input's shape: a connector's broken invariant.
    pub fn rows(&self, key: &MaskKey, rows: &RecordBatch) -> RecordBatch {
        assert_eq!(rows.schema_ref(), self.input.images(), "rows have the shape that was planned");
        let columns = self.columns.iter().map(|&(place, cells)| match cells {
            Cells::Carried => rows.column(place).clone(),
            Cells::Hashed => self.hashed(key, rows, place),
            Cells::Stars => stars(rows.column(place), self.input.columns()[place].ty),
            Cells::Nulls => new_null_array(rows.column(place).data_type(), rows.num_rows()),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(self.output.images().clone(), columns, &options)
            .expect("each column was made for its place")
    }

    /// Passes changes: both images, and what says which cells were not sent.
    ///
    /// # Panics
    /// As [`MaskedTable::rows`].
    #[must_use]
    pub fn changes(&self, key: &MaskKey, batch: &ChangeBatch) -> ChangeBatch {
        let masked = ChangeBatch::new(
            batch.table().clone(),
            self.output.clone(),
            batch.ops().to_vec(),
            batch.ordinals().to_vec(),
            self.rows(key, batch.old()),
            self.rows(key, batch.new_images()),
        );
        if batch.unchanged().is_empty() {
            return masked;
        }
        let unchanged = self.columns.iter().map(|(place, _)| batch.unchanged()[*place].clone());
        masked.with_unchanged(unchanged.collect())
    }

    fn hashed(&self, key: &MaskKey, rows: &RecordBatch, place: usize) -> ArrayRef {
        let cells = canonical::Rows::of(rows, &self.input, [place]);
        let mut bytes = Vec::new();
        let hashes = (0..rows.num_rows()).map(|row| {
            rows.column(place).is_valid(row).then(|| {
                bytes.clear();
                cells.encode(row, &mut bytes);
                key.hash(&bytes)
            })
        });
        Arc::new(hashes.collect::<StringArray>())
    }
}

/// What `mask` puts into a column.
fn covering(column: &Column) -> Result<Cells, Unfit> {
    match column.ty {
        ColumnType::Text | ColumnType::Any => Ok(Cells::Stars),
        _ if column.nullable => Ok(Cells::Nulls),
        ty => Err(Unfit::NotNullable { column: column.name.clone(), ty }),
    }
}

/// Stars wherever there is a value.
fn stars(cells: &ArrayRef, ty: ColumnType) -> ArrayRef {
    let there = (0..cells.len()).map(|row| cells.is_valid(row));
    if ty != ColumnType::Any {
        return Arc::new(there.map(|is| is.then_some(STARS)).collect::<StringArray>());
    }
    let mut tagged = Vec::new();
    any::encode(Tagged::Text(STARS), &mut tagged);
    Arc::new(there.map(|is| is.then_some(tagged.as_slice())).collect::<BinaryArray>())
}

#[cfg(test)]
mod tests;
