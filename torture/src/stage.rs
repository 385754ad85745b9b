//! The folder of a run: gone with it when everything held, kept when something broke.

use crate::world::World;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A run's scratch folder.
pub(crate) struct Stage {
    folder: TempDir,
}

impl Stage {
    /// A new folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new() -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("seamount-torture-").tempdir();
        Ok(Stage { folder: folder.context("a scratch folder")? })
    }

    /// A place in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new world in it.
    ///
    /// # Errors
    /// It cannot be built.
    pub(crate) fn world(&self, name: &str) -> Result<World> {
        World::build(&self.path(name))
    }

    /// Runs work in a folder of its own; where it breaks, the folder is kept and named.
    ///
    /// # Errors
    /// What the work says.
    pub(crate) fn with<T>(work: impl FnOnce(&Stage) -> Result<T>) -> Result<T> {
        let stage = Stage::new()?;
        let done = work(&stage);
        match done {
            Ok(done) => Ok(done),
            Err(error) => {
                let kept = keep(stage.folder);
                Err(error.context(format!("(everything is kept in {})", kept.display())))
            }
        }
    }
}

fn keep(folder: TempDir) -> PathBuf {
    folder.keep()
}

/// Oldest and newest file of an engine's log, and how many there are.
pub(crate) fn log_files(state: &Path) -> Option<(u32, u32, usize)> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(state.join("log")).ok()? {
        let name = entry.ok()?.file_name().to_string_lossy().into_owned();
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        if let (true, Ok(number)) =
            (!name.contains("-wal") && !name.contains("-shm"), digits.parse())
        {
            numbers.push(number);
        }
    }
    Some((*numbers.iter().min()?, *numbers.iter().max()?, numbers.len()))
}
