//! Folders of files as sites: CSV and Parquet, read by batch flows.
//!
//! `files:folder`, relative to the project's folder. A file's name says its format: `.csv` or `.parquet`.
//! CSV is RFC 4180 with a header, in UTF-8; see [`csv`] for what is taken as null and what is refused.
//!
//! Nothing outside of the folder is read, whatever paths and links say; see `beneath`.
//!
//! The invariant: rows count only if the bytes they came from are the bytes that were fingerprinted. What a
//! file says wrong is refused with its place; never guessed, never skipped. Nothing is written here.

mod beneath;
mod cell;
mod content;
pub mod csv;
mod exact;
pub mod limits;
mod parquet;
mod pattern;

use arrow::array::RecordBatch;
use beneath::Beneath;
use change::TableSchema;
use change::planted::{Defect, is_planted};
use connect::component::{Capabilities, Connector, SiteSettings};
use connect::read::Readable;
use connect::source::Source;
use connect::target::Target;
use connect::{Error, FileEntry, FileOptions, FileSite, Result};
use pattern::Pattern;
use std::fs::File;
use std::path::Path;

/// Rows in a batch.
pub(crate) const BATCH_ROWS: usize = 8_192;

/// The connector of folders of files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files;

impl Connector for Files {
    fn scheme(&self) -> &'static str {
        "files"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            capture: false,
            old_images: false,
            transactional_target: false,
            staged_target: false,
            files: true,
        }
    }

    fn readable(&self, settings: &SiteSettings) -> Result<Box<dyn Readable>> {
        Err(only_files(settings, "has no tables"))
    }

    fn source(&self, settings: &SiteSettings) -> Result<Box<dyn Source>> {
        Err(only_files(settings, "has no changes to capture"))
    }

    fn target(&self, settings: &SiteSettings) -> Result<Box<dyn Target>> {
        Err(only_files(settings, "cannot be written"))
    }

    fn files(&self, settings: &SiteSettings) -> Result<Box<dyn FileSite>> {
        Ok(Box::new(Folder::open(settings)?))
    }
}

fn only_files(settings: &SiteSettings, what: &str) -> Error {
    Error::invalid(format!("site {} {what}", settings.site))
        .found("it is a folder of files")
        .fix("read it in a batch flow: `[from] files = \"export/{interval}.csv\"`")
}

/// A folder that is there.
struct Folder {
    site: String,
    files: Beneath,
}

impl Folder {
    fn open(settings: &SiteSettings) -> Result<Self> {
        let (root, shown) = (settings.path()?, settings.shown_path());
        let site = settings.site.clone();
        match std::fs::metadata(&root) {
            Ok(found) if !found.is_dir() => {
                Err(Error::invalid(format!("site {site} is a file, not a folder"))
                    .found(shown)
                    .fix("url = \"files:folder\"      # the folder; the flow names the files"))
            }
            found => {
                let opened = found.and_then(|_| Beneath::open(root, shown.clone()));
                let files = opened
                    .map_err(|e| pattern::folder_gone(&shown, &e).at(format!("site {site}")))?;
                Ok(Folder { site, files })
            }
        }
    }

    fn file(&self, file: &FileEntry) -> Result<File> {
        self.files.file(&file.path)
    }
}

/// What a file's name says of its content.
enum Format {
    Csv,
    Parquet,
}

impl Format {
    fn of(file: &FileEntry) -> Result<Self> {
        let extension = Path::new(&file.path).extension().and_then(|e| e.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("parquet") => Ok(Format::Parquet),
            _ => Err(Error::invalid(format!("{} is of an unknown format", file.path))
                .found("its name ends neither in .csv nor in .parquet")
                .fix("files = \"export/*.csv\"      # name the files that are meant")),
        }
    }
}

/// Why reading a file ended early.
pub(crate) enum Stop {
    /// The file's fault, or its disk's.
    File(Error),
    /// The sink wants no more; its error goes back as it is.
    Sink(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::File(error)
    }
}

/// What came of reading a file.
pub(crate) struct Reading {
    /// Rows that were handed on, or why it ended.
    pub(crate) outcome: Result<u64, Stop>,
    /// Fingerprint of what is in the file, where that could be told.
    pub(crate) content: Result<String>,
}

impl FileSite for Folder {
    fn list(&mut self, pattern: &str) -> Result<Vec<FileEntry>> {
        Pattern::parse(pattern)?.list(&self.files).map_err(|e| e.at(format!("site {}", self.site)))
    }

    fn describe(&mut self, file: &FileEntry, options: &FileOptions) -> Result<TableSchema> {
        let content = self.file(file).map_err(|e| e.at(file.path.escape_debug()))?;
        let schema = match Format::of(file)? {
            Format::Csv => csv::describe(content, options),
            Format::Parquet => parquet::describe(content, options),
        };
        schema.map_err(|e| e.at(&file.path))
    }

    fn fingerprint(&mut self, file: &FileEntry) -> Result<String> {
        if is_planted(Defect::SameNameSameFile) {
            return Ok(file.path.clone());
        }
        content::fingerprint(|| self.file(file)).map_err(|e| e.at(file.path.escape_debug()))
    }

    fn read(
        &mut self,
        file: &FileEntry,
        fingerprint: &str,
        schema: &TableSchema,
        options: &FileOptions,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let content = self.file(file).map_err(|e| e.at(file.path.escape_debug()))?;
        let Reading { outcome, content } = match Format::of(file)? {
            Format::Csv => csv::read(content, schema, options, sink),
            Format::Parquet => {
                parquet::read(content, schema, sink).map_err(|e| e.at(&file.path))?
            }
        };
        let outcome = match outcome {
            Err(Stop::Sink(error)) => return Err(error),
            Err(Stop::File(error)) => Err(error),
            Ok(rows) => Ok(rows),
        };
        // Changed content explains every other fault, so it is looked at first.
        match content {
            Ok(found) if found == fingerprint || is_planted(Defect::SameNameSameFile) => {
                outcome.map_err(|e| e.at(&file.path))
            }
            Ok(_) => Err(content::changed().at(&file.path)),
            Err(unknown) => Err(outcome.err().unwrap_or(unknown).at(&file.path)),
        }
    }
}
