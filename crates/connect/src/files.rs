//! Sites that are folders of files: read by batch flows, one interval for each file or for all.

use crate::error::Result;
use arrow::array::RecordBatch;
use change::TableSchema;
use std::collections::BTreeMap;

/// A file that matches a flow's pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileEntry {
    /// What `{interval}` in the pattern stood for; `None` where the pattern has none.
    pub interval: Option<String>,
    /// Path below the site's folder.
    pub path: String,
    /// Size in bytes when it was listed.
    pub bytes: u64,
}

/// How to read delimited text; Parquet says all of this itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileOptions {
    /// Types of columns by name (`decimal(12,4)`, `int64`, ...); columns not named are text, taken as they are.
    pub types: BTreeMap<String, String>,
}

/// A folder of files.
pub trait FileSite: Send {
    /// Files that match, ordered by interval and path. `*` stands for anything within a folder; `{interval}`
    /// for the part that names the interval. Hidden and temporary names (`.x`, `x.tmp`, `x.part`) are left out.
    ///
    /// # Errors
    /// `Unavailable` when the folder is not there, `Invalid` when the pattern is wrong.
    fn list(&mut self, pattern: &str) -> Result<Vec<FileEntry>>;

    /// The shape of a file, without a key.
    ///
    /// # Errors
    /// `Invalid` when it has no readable header or footer, or names a type that is unknown.
    fn describe(&mut self, file: &FileEntry, options: &FileOptions) -> Result<TableSchema>;

    /// Fingerprint of a file's content (BLAKE3, hex).
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read or is still being written (it changes while we look).
    fn fingerprint(&mut self, file: &FileEntry) -> Result<String>;

    /// Passes the rows of a file to `sink` in batches of bounded size. Returns the number of rows.
    ///
    /// # Errors
    /// `Unavailable` when the content is no longer the one fingerprinted, `Refused` (with file and line) when a
    /// record is cut off or a value does not fit its type, or `sink`'s error.
    fn read(
        &mut self,
        file: &FileEntry,
        fingerprint: &str,
        schema: &TableSchema,
        options: &FileOptions,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64>;
}
