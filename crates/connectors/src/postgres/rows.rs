//! Rows of a COPY in binary format, put into batches as they come.
//!
//! Pure but for the stream it reads. A row is decoded once, straight into Arrow builders.

use super::copied::each_row;
use super::decode::{Decoder, Unfit};
use super::names::TableName;
use super::types::Wire;
use arrow::array::{RecordBatch, RecordBatchOptions};
use change::{Column, TableSchema};
use connect::{Error, Result};
use std::io::BufRead;

/// Rows handed to a sink at once.
const BATCH_ROWS: usize = 8_192;

/// Bytes handed to a sink at once, where rows are wide.
const BATCH_BYTES: usize = 8 << 20;

/// Rows of one COPY on their way into batches.
pub(super) struct Rows<'s> {
    table: &'s TableName,
    schema: &'s TableSchema,
    decoders: Vec<Decoder>,
    held: usize,
    bytes: usize,
    total: u64,
}

impl<'s> Rows<'s> {
    pub(super) fn new(table: &'s TableName, schema: &'s TableSchema, wires: &[Wire]) -> Rows<'s> {
        let decoders =
            schema.columns().iter().zip(wires).map(|(c, wire)| Decoder::new(c.ty, *wire)).collect();
        Rows { table, schema, decoders, held: 0, bytes: 0, total: 0 }
    }

    /// Passes on all rows of a COPY.
    pub(super) fn pass_on(
        &mut self,
        copy: &mut impl BufRead,
        what: &str,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        each_row(copy, what, &mut |row| {
            self.append(row)?;
            match self.held == BATCH_ROWS || self.bytes >= BATCH_BYTES {
                true => sink(self.finish()),
                false => Ok(()),
            }
        })?;
        if self.held > 0 {
            sink(self.finish())?;
        }
        Ok(self.total)
    }

    fn append(&mut self, row: &[u8]) -> Result<()> {
        let mut rest = &row[2..];
        for (i, decoder) in self.decoders.iter_mut().enumerate() {
            let (length, behind) = rest.split_at(4);
            let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
            let (cell, behind) = match usize::try_from(length) {
                Ok(length) => {
                    let (cell, behind) = behind.split_at(length);
                    (Some(cell), behind)
                }
                Err(_) => (None, behind),
            };
            rest = behind;
            decoder
                .append(cell)
                .map_err(|unfit| unfit_cell(self.table, &self.schema.columns()[i], unfit))?;
        }
        self.held += 1;
        self.bytes += row.len();
        Ok(())
    }

    fn finish(&mut self) -> RecordBatch {
        let columns = self.decoders.iter_mut().map(Decoder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.held));
        self.total += self.held as u64;
        (self.held, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(self.schema.images().clone(), columns, &options)
            .expect("columns were built from the schema")
    }
}

/// A cell that has no exact neutral value.
pub(super) fn unfit_cell(table: &TableName, column: &Column, unfit: Unfit) -> Error {
    let error =
        Error::refused(format!("a cell of {}.{} is no {}", table.shown(), column.name, column.ty))
            .found(unfit.0);
    let option = match column.ty {
        change::ColumnType::Date => "date",
        change::ColumnType::Timestamp | change::ColumnType::Instant => "timestamp",
        change::ColumnType::Decimal { .. } => "numeric",
        _ => return error,
    };
    error.fix(format!(
        "as_text = \"{option}\" for the site in sites.toml carries such values as text, exactly"
    ))
}
