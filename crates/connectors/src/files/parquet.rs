//! Parquet: the footer says the columns; values come out in exact types or the file is refused.

use super::content::{hash, open, unreadable};
use super::exact::exact_schema;
use super::{BATCH_ROWS, Reading, Stop};
use arrow::array::RecordBatch;
use change::TableSchema;
use connect::exact::exact_batch;
use connect::{Error, FileOptions, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const MAGIC: &[u8; 4] = b"PAR1";
/// Magic, length of the footer, magic.
const LEAST_BYTES: u64 = 12;

/// The columns of a file.
///
/// # Errors
/// `Unavailable` when it has no footer yet, `Invalid` when the footer cannot be read or a type is not exact.
pub(super) fn describe(path: &Path, options: &FileOptions) -> Result<TableSchema> {
    let schema = exact_schema(builder(open(path)?)?.schema())?;
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
/// `Unavailable` when it cannot be opened; everything later is in the outcome.
pub(super) fn read(
    path: &Path,
    schema: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<Reading> {
    let mut file = open(path)?;
    let outcome = rows(file.try_clone().map_err(|e| unreadable(&e))?, schema, sink);
    // Hashed last, through the same handle: what was read before is what is hashed now.
    let rewound = file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(&e));
    let content = rewound.and_then(|_| hash(file)).map(|(hash, _)| hash);
    Ok(Reading { outcome, content })
}

fn rows(
    file: File,
    schema: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64, Stop> {
    let broken = || Error::refused("the file is damaged: its pages cannot be read");
    let builder = builder(file)?;
    if exact_schema(builder.schema())?.columns() != schema.columns() {
        return Err(Error::invalid("the file has other columns than were described").into());
    }
    let mut reader = guarded(|| builder.with_batch_size(BATCH_ROWS).build()).ok_or_else(broken)?;
    let mut rows = 0;
    while let Some(batch) = guarded(|| reader.next().transpose()).ok_or_else(broken)? {
        let batch = exact_batch(&batch, schema)?;
        rows += batch.num_rows() as u64;
        sink(batch).map_err(Stop::Sink)?;
    }
    Ok(rows)
}

fn builder(mut file: File) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    if !has_footer(&mut file).map_err(|e| unreadable(&e))? {
        return Err(Error::unavailable("the file has no footer")
            .found("it is still being written, or was cut off")
            .effect("nothing of it is published; it is looked at again later")
            .fix(
                "write files under a name that ends in .tmp and rename them when they are complete",
            ));
    }
    guarded(|| ParquetRecordBatchReaderBuilder::try_new(file))
        .ok_or_else(|| Error::invalid("the footer of the file cannot be read"))
}

/// What the decoder says; `None` where it fails or trips over damaged bytes.
fn guarded<T, E>(decode: impl FnOnce() -> Result<T, E>) -> Option<T> {
    // Nothing that was being decoded is used after a panic.
    catch_unwind(AssertUnwindSafe(decode)).ok()?.ok()
}

fn has_footer(file: &mut File) -> std::io::Result<bool> {
    let mut end = [0; 4];
    if file.metadata()?.len() < LEAST_BYTES {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut end)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(end == *MAGIC)
}
