//! Which names a folder durably has, and which file each stands for.
//!
//! Paths are relative to the disk's folder. Invariant: a name is durable only by a sync of its own folder, or because it
//! was there when the disk was attached.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that SQLite has opened, by number.
pub(crate) type FileNumber = usize;

#[derive(Debug, Default)]
pub(crate) struct Names {
    /// What SQLite has opened, by its present name.
    pub(crate) now: BTreeMap<PathBuf, FileNumber>,
    /// What would be there without power; `None` stands for a folder, or a file that SQLite never opened.
    pub(crate) durable: BTreeMap<PathBuf, Option<FileNumber>>,
}

impl Names {
    /// Everything that is in a folder is durable.
    pub(crate) fn settle(&mut self, root: &Path) {
        let there = present(root);
        self.now.retain(|name, _| there.contains(name));
        self.durable =
            there.into_iter().map(|name| (name.clone(), self.now.get(&name).copied())).collect();
    }

    /// A file was opened for the first time.
    pub(crate) fn opened(&mut self, name: &Path, number: FileNumber, created: bool) {
        self.now.insert(name.to_path_buf(), number);
        if !created && let Some(known) = self.durable.get_mut(name) {
            *known = Some(number);
        }
    }

    /// A folder was synced.
    pub(crate) fn synced(&mut self, root: &Path, folder: &Path) {
        let there: Vec<PathBuf> = list(root, folder);
        let is_child = |name: &PathBuf| name.parent() == Some(folder);
        self.durable.retain(|name, _| !is_child(name) || there.contains(name));
        for name in there {
            let number = self.now.get(&name).copied();
            self.durable.insert(name, number);
        }
    }
}

/// Whether a name belongs to shared memory.
pub(crate) fn is_shared_memory(name: &Path) -> bool {
    name.as_os_str().to_str().is_some_and(|name| name.ends_with("-shm"))
}

/// Everything below a folder, folders before what is in them.
pub(crate) fn present(root: &Path) -> Vec<PathBuf> {
    let mut found = list(root, Path::new(""));
    let mut at = 0;
    while at < found.len() {
        if root.join(&found[at]).is_dir() {
            let below = list(root, &found[at].clone());
            found.extend(below);
        }
        at += 1;
    }
    found
}

fn list(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries
        .map(|entry| folder.join(entry.file_name()))
        .filter(|name| !is_shared_memory(name))
        .collect();
    names.sort_unstable();
    names
}
