//! A folder with one file in it, read through the connector as a run reads it.

use crate::drill::Violation;
use arrow::array::{Array, AsArray, RecordBatch};
use change::TableSchema;
use connect::{Connector, Error, FileEntry, FileOptions, FileSite, Kind, Result, SiteSettings};
use connectors::files::Files;
use std::path::PathBuf;
use tempfile::TempDir;

use super::delimited::Row;

/// The invariant of this part.
pub(super) const COMPLETE: &str = "B a file counts whole, as it was fingerprinted, or not at all";

/// A folder, and the site over it.
pub(super) struct Folder {
    dir: TempDir,
    site: Box<dyn FileSite>,
}

/// A file that was described and fingerprinted.
pub(super) struct Pinned {
    pub(super) file: FileEntry,
    pub(super) fingerprint: String,
    schema: TableSchema,
}

impl Pinned {
    /// Names of its columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.schema.columns().iter().map(|column| column.name.clone()).collect()
    }
}

impl Folder {
    /// An empty folder.
    pub(super) fn new() -> Folder {
        let dir = tempfile::tempdir().expect("a folder for the drill");
        let settings = SiteSettings {
            site: "shop".into(),
            url: "files:".into(),
            root: dir.path().to_path_buf(),
            options: Default::default(),
            masks: Default::default(),
        };
        let site = Files.files(&settings).expect("the folder is there");
        Folder { dir, site }
    }

    /// Where a file lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file whole. One that was there goes first: file systems flush what is written over an old file.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let _ = std::fs::remove_file(self.path(name));
        std::fs::write(self.path(name), bytes).expect("the drill's folder takes files");
    }

    /// Describes and fingerprints a file.
    pub(super) fn pin(&mut self, name: &str) -> Result<Pinned> {
        let file = FileEntry { interval: None, path: name.into(), bytes: 0 };
        let schema = self.site.describe(&file, &FileOptions::default())?;
        let fingerprint = self.site.fingerprint(&file)?;
        Ok(Pinned { file, fingerprint, schema })
    }

    /// Reads a pinned file, and does something to the folder at its first batch.
    pub(super) fn read(
        &mut self,
        pinned: &Pinned,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Vec<Row>> {
        let (mut rows, mut first) = (Vec::new(), true);
        let options = FileOptions::default();
        let Pinned { file, fingerprint, schema } = pinned;
        let count = self.site.read(file, fingerprint, schema, &options, &mut |batch| {
            if std::mem::take(&mut first) {
                meanwhile();
            }
            rows.extend((0..batch.num_rows()).map(|row| texts(&batch, row)));
            Ok(())
        })?;
        if count == rows.len() as u64 {
            Ok(rows)
        } else {
            Err(Error::internal("it counts otherwise"))
        }
    }

    /// Describes, fingerprints and reads; counts only.
    pub(super) fn count(&mut self, name: &str) -> Result<u64> {
        let Pinned { file, fingerprint, schema } = self.pin(name)?;
        let options = FileOptions::default();
        self.site.read(&file, &fingerprint, &schema, &options, &mut |_| Ok(()))
    }
}

/// Cells of a row of a batch in which every column is text.
fn texts(batch: &RecordBatch, row: usize) -> Row {
    let cell = |column: &arrow::array::ArrayRef| {
        let column = column.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_string())
    };
    batch.columns().iter().map(cell).collect()
}

/// An error that says too little: it has to name the file and blame it, not the engine.
pub(super) fn is_clear(error: &Error, name: &str) -> std::result::Result<(), Violation> {
    let typed = matches!(error.kind, Kind::Refused | Kind::Invalid | Kind::Unavailable);
    if typed && error.to_string().contains(name) {
        return Ok(());
    }
    Err(Violation::new(
        COMPLETE,
        format!("an error that does not help: {error} ({:?})", error.kind),
    ))
}
