//! Rows of a COPY in binary format, put into batches as they come.
//!
//! Pure but for the stream it reads. A row is decoded once, straight into Arrow builders; a piece of the stream that ends
//! in the middle of a row is put together again.

use super::decode::{Decoder, Unfit};
use super::error::failed;
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

    /// Passes on all rows of a COPY. The server sends whole rows in a piece; one that is torn all the same is put
    /// together again.
    pub(super) fn pass_on(
        &mut self,
        copy: &mut impl BufRead,
        what: &str,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let mut torn: Vec<u8> = Vec::new();
        let mut header = HEADER_BYTES;
        loop {
            let piece = copy.fill_buf().map_err(|e| copy_failed(what, e))?;
            let length = piece.len();
            if length == 0 {
                break;
            }
            let mut rest = piece;
            if !torn.is_empty() {
                torn.extend_from_slice(piece);
                rest = &torn;
            }
            let skipped = header.min(rest.len());
            header -= skipped;
            rest = &rest[skipped..];
            while let Some(row) = row(rest) {
                self.append(row)?;
                rest = &rest[row.len()..];
                if self.held == BATCH_ROWS || self.bytes >= BATCH_BYTES {
                    sink(self.finish())?;
                }
            }
            let left = if rest == END { Vec::new() } else { rest.to_vec() };
            torn = left;
            copy.consume(length);
        }
        if !torn.is_empty() || header > 0 {
            return Err(Error::unavailable(what).found("the rows ended in the middle of one"));
        }
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

/// Bytes in front of the first row, with an empty extension.
const HEADER_BYTES: usize = 19;

/// Stands behind the last row.
const END: &[u8] = &[0xff, 0xff];

/// The first whole row of some bytes.
fn row(bytes: &[u8]) -> Option<&[u8]> {
    let count = i16::from_be_bytes(bytes.get(..2)?.try_into().expect("two bytes"));
    let mut end = 2;
    for _ in 0..u16::try_from(count).ok()? {
        let length = i32::from_be_bytes(bytes.get(end..end + 4)?.try_into().expect("four bytes"));
        end += 4 + usize::try_from(length).unwrap_or(0);
    }
    bytes.get(..end)
}

fn copy_failed(what: &str, error: std::io::Error) -> Error {
    match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
        Some(error) => failed(what)(*error),
        None => Error::unavailable(what).found("the connection is gone"),
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
