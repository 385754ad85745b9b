//! Parquet: the footer says the columns; values come out in exact types or the file is refused.
//!
//! What the file says of itself is looked at first ([`footer`], [`weigh`]): the decoder trusts it. Rows count only
//! when there are as many as the footer says.

mod compact;
mod footer;
mod weigh;

use super::content::{hash, unreadable};
use super::exact::exact_schema;
use super::limits::{ROW_BYTES, beyond, grown, is_grown};
use super::{Reading, Stop};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use change::TableSchema;
use change::planted::{Defect, is_planted};
use connect::exact::exact_batch;
use connect::{Error, FileOptions, Result};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use weigh::damaged;

/// The columns of a file.
///
/// # Errors
/// `Unavailable` when it has no footer yet, `Invalid` when the footer cannot be read or a type is not exact,
/// `Refused` when it asks for too much.
pub(super) fn describe(mut file: File, options: &FileOptions) -> Result<TableSchema> {
    let schema = exact_schema(metadata(&mut file)?.schema())?;
    match options.types.keys().next() {
        None => Ok(schema),
        Some(name) => Err(Error::invalid(format!("column {name} cannot be given a type"))
            .found("a Parquet file says the types of its columns itself")
            .fix("leave the types out, and cast in the flow's SQL")),
    }
}

/// Reads a file to its end, or to its first fault.
///
/// # Errors
/// `Unavailable` when its handle cannot be copied; everything else is in the outcome.
pub(super) fn read(
    mut file: File,
    schema: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<Reading> {
    let outcome = rows(file.try_clone().map_err(|e| unreadable(&e))?, schema, sink);
    // Hashed last, through the same handle: what was read before is what is hashed now.
    let rewound = file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(&e));
    let content = rewound.and_then(|_| hash(file)).map(|(hash, _)| hash);
    Ok(Reading { outcome, content })
}

fn rows(
    mut file: File,
    schema: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64, Stop> {
    let metadata = metadata(&mut file)?;
    if exact_schema(metadata.schema())?.columns() != schema.columns() {
        return Err(Error::invalid("the file has other columns than were described").into());
    }
    let length = file.metadata().map_err(|e| unreadable(&e))?.len();
    let (mut rows, mut unpacked, mut decoded) = (0, 0, 0);
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let weighed = weigh::row_group(&mut file, group)
            .map_err(|e| e.at(format!("row group {}", number + 1)))?;
        unpacked += weighed.unpacked;
        let before = rows;
        let file = file.try_clone().map_err(|e| unreadable(&e))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
            .with_row_groups(vec![number])
            .with_batch_size(weighed.rows);
        let mut reader = guarded(|| builder.build()).ok_or_else(damaged)?;
        while let Some(batch) = guarded(|| reader.next().transpose()).ok_or_else(damaged)? {
            let batch = exact_batch(&batch, schema)?;
            decoded += bytes_of(&batch, rows)?;
            if is_grown(unpacked.max(decoded), length) {
                return Err(grown(unpacked.max(decoded), length).into());
            }
            rows += batch.num_rows() as u64;
            sink(batch).map_err(Stop::Sink)?;
        }
        let promised = u64::try_from(group.num_rows()).unwrap_or(0);
        if rows - before != promised && !is_planted(Defect::EndIsComplete) {
            let what = format!("row group {} is not complete", number + 1);
            let found = format!("{} rows, the footer says {promised}", rows - before);
            return Err(not_complete(what, found).into());
        }
    }
    let promised = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    if rows != promised {
        let found = format!("{rows} rows, its footer says {promised}");
        return Err(not_complete("the file is not complete", found).into());
    }
    Ok(rows)
}

/// The error of a file or row group that has other rows than the footer says.
fn not_complete(what: impl Into<String>, found: String) -> Error {
    Error::refused(what)
        .found(found)
        .effect("nothing of the file is published")
        .fix("deliver the file again, complete")
}

/// Bytes that a batch takes; a row that is too long is refused. `before` rows were read before it.
fn bytes_of(batch: &RecordBatch, before: u64) -> Result<u64> {
    let bytes = batch.get_array_memory_size();
    if bytes <= ROW_BYTES {
        return Ok(bytes as u64);
    }
    let mut rows = vec![0usize; batch.num_rows()];
    for column in batch.columns() {
        lengths(column, &mut rows);
    }
    match rows.iter().position(|bytes| *bytes > ROW_BYTES) {
        None => Ok(bytes as u64),
        Some(row) => Err(beyond(
            format!("row {} of the file is too long", before + row as u64 + 1),
            format!("{} bytes", rows[row]),
        )
        .fix(format!("write rows of at most {ROW_BYTES} bytes"))),
    }
}

/// Adds the lengths of a column's texts.
fn lengths(column: &ArrayRef, rows: &mut [usize]) {
    let offsets = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().offsets(),
        DataType::Binary => column.as_binary::<i32>().offsets(),
        _ => return,
    };
    rows.iter_mut().zip(offsets.lengths()).for_each(|(row, length)| *row += length);
}

/// What the footer says, once it has been looked at.
fn metadata(file: &mut File) -> Result<ArrowReaderMetadata> {
    footer::check(file)?;
    guarded(|| ArrowReaderMetadata::load(&*file, ArrowReaderOptions::new()))
        .ok_or_else(footer::damaged)
}

/// What the decoder says; `None` where it fails or trips over damaged bytes.
fn guarded<T, E>(decode: impl FnOnce() -> Result<T, E>) -> Option<T> {
    // Nothing that was being decoded is used after a panic.
    catch_unwind(AssertUnwindSafe(decode)).ok()?.ok()
}
