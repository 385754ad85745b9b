//! The day files of a run: the real ones where they are given, generated ones where not.

use crate::generate;
use crate::options::Options;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One day's file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day {
    /// `2010-12-01`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Brings the days of a run into a folder, oldest first, and says where they come from.
///
/// # Errors
/// Data that was asked for is not there, or cannot be copied or made.
pub(crate) fn prepare(options: &Options, folder: &Path) -> Result<(Vec<Day>, String)> {
    std::fs::create_dir_all(folder).context("the folder of the export")?;
    let Some(given) = &options.data else {
        let days = generate::days(options, folder)?;
        return Ok((days, format!("generated from seed {}", options.seed)));
    };
    let unpacked = folder.with_extension("unpacked");
    let mut found = if given.is_dir() { list(given)? } else { unpack(given, &unpacked)? };
    found.truncate(options.days.unwrap_or(usize::MAX));
    if found.is_empty() {
        bail!("there are no files like 2010-12-01.csv in {}", given.display());
    }
    let mut days = Vec::new();
    for day in found {
        let path = folder.join(format!("{}.csv", day.name));
        std::fs::copy(&day.path, &path).with_context(|| day.path.display().to_string())?;
        days.push(Day { path, ..day });
    }
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked).context("what was unpacked")?;
    }
    Ok((days, "real data".into()))
}

/// The day files of a folder, or of `by-day` in it.
fn list(folder: &Path) -> Result<Vec<Day>> {
    let below = folder.join("by-day");
    let folder = if below.is_dir() { below } else { folder.to_path_buf() };
    let mut days = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry.context("an entry of the data's folder")?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let csv = path.extension().is_some_and(|extension| extension == "csv");
        if csv && name.len() == "2010-12-01".len() {
            days.push(Day { name: name.to_string(), path });
        }
    }
    days.sort();
    Ok(days)
}

/// The day files of an archive.
fn unpack(archive: &Path, into: &Path) -> Result<Vec<Day>> {
    if !archive.is_file() {
        bail!("there is no data at {}", archive.display());
    }
    std::fs::create_dir_all(into).context("a folder to unpack into")?;
    let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(into).status();
    if !status.context("tar cannot be started")?.success() {
        bail!("{} cannot be unpacked (tar and xz are needed)", archive.display());
    }
    list(into)
}
