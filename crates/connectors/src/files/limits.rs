//! How much one file may ask for. A file comes from elsewhere: what it says of itself is checked before memory is
//! given to it, and what it grows to is counted while it is read.
//!
//! The invariant: reading a file, whatever is in it, takes memory in the order of [`OPEN_PAGES_BYTES`]; what does
//! not fit is refused with its place, and nothing of the file is published.

use connect::Error;

/// Columns of a file.
pub const MOST_COLUMNS: usize = 4_096;
/// Bytes of a row: of a CSV record as it is written, of the text and bytes in a Parquet row.
pub const ROW_BYTES: usize = 16 << 20;
/// Bytes of a batch, as far as rows are not longer.
pub const BATCH_BYTES: usize = 8 << 20;
/// Bytes of the footer of a Parquet file.
pub const FOOTER_BYTES: u64 = 16 << 20;
/// Levels of groups within groups in the footer of a Parquet file.
pub const DEEPEST_SCHEMA: usize = 32;
/// Columns times row groups of a Parquet file.
pub const MOST_CHUNKS: usize = 100_000;
/// Bytes of one page of a Parquet file, packed or unpacked. Writers make pages of 1 MiB.
pub const PAGE_BYTES: u64 = 32 << 20;
/// Bytes of the unpacked pages of a row group that are open at one time: one of each column, and dictionaries.
pub const OPEN_PAGES_BYTES: u64 = 128 << 20;
/// How much more the rows of a Parquet file may take than the file does. Counts from [`ALWAYS_BYTES`] on.
pub const MOST_GROWTH: u64 = 1_000;
/// What a file may grow to however small it is.
pub const ALWAYS_BYTES: u64 = 1 << 30;

/// The error of a file that asks for too much.
pub(super) fn beyond(what: impl Into<String>, found: impl Into<String>) -> Error {
    Error::refused(what).found(found).effect("nothing of the file is published").code("E0519")
}

/// The error of a file that unpacks to far more than its size.
pub(super) fn grown(bytes: u64, of: u64) -> Error {
    beyond(
        "the file unpacks to far more than its size",
        format!("{of} bytes grow to more than {bytes}"),
    )
    .fix(format!(
        "if that is meant, split the file: rows of less than {ALWAYS_BYTES} bytes are read from one of any size"
    ))
}

/// Whether `bytes` are too much to come out of a file of `of` bytes.
pub(super) fn is_grown(bytes: u64, of: u64) -> bool {
    bytes > ALWAYS_BYTES && bytes / of.max(1) > MOST_GROWTH
}
