//! The nightly export: one CSV file a day, rewritten now and then under the same name. Every row says which version of
//! the file it belongs to and how many rows that version has, so that a mix of two shows.

use crate::random::Random;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const DAYS: [&str; 4] = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"];

/// The files of the export, and what the newest version of each holds.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    folder: PathBuf,
    /// Version and rows of each day.
    pub(crate) newest: BTreeMap<String, (i64, i64)>,
}

impl Export {
    /// An export without files.
    pub(crate) fn new(folder: &Path) -> Export {
        Export { folder: folder.to_path_buf(), newest: BTreeMap::new() }
    }

    /// The export as its files lie in the folder: what an image of a disk holds of it.
    ///
    /// # Errors
    /// A file cannot be read, or is not one of ours.
    pub(crate) fn found_there(mut self) -> Result<Export> {
        for day in DAYS {
            let path = self.folder.join(format!("{day}.csv"));
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let rows: Vec<&str> = text.lines().skip(1).collect();
            let first = rows.first().context("an export without rows")?;
            let version = first.split(',').nth(3).context("an export without a version")?;
            let count = i64::try_from(rows.len()).context("too many rows")?;
            self.newest.insert(day.to_string(), (version.parse()?, count));
        }
        Ok(self)
    }

    /// Writes a new version of some day's file, in one step: half a file is never there under its name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&mut self, random: &mut Random) -> Result<()> {
        let day = (*random.pick(&DAYS)).to_string();
        let version = self.newest.get(&day).map_or(1, |(version, _)| version + 1);
        let rows = i64::try_from(random.between(1, 300)).expect("a small number");
        let mut text = String::from("day,sku,units,version,of\n");
        for n in 0..rows {
            text.push_str(&format!("{day},sku-{n:04},{},{version},{rows}\n", n * version));
        }
        let (name, hidden) = (format!("{day}.csv"), self.folder.join(".half"));
        let mut file = File::create(&hidden).context("the export")?;
        // Whoever exports makes the file durable before it gets its name.
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).context("the export")?;
        std::fs::rename(&hidden, self.folder.join(name)).context("the export")?;
        self.newest.insert(day, (version, rows));
        Ok(())
    }
}
