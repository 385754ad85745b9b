//! When a new file begins and which old ones go.
//!
//! Invariants: a new file holds where every lane stands before it takes a frame, so that old files may go; a file goes
//! only when all of its frames were let go.

use crate::catalog::{self, Entry};
use crate::hot::{HotFile, Mark};
use crate::pool::Pool;
use crate::shared::{Shared, State};
use change::planted::{Defect, is_planted};
use change::{LaneId, LogId, Offset};
use connect::Clock;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file with less in it is not worth another one in its place.
const SPENT_BYTES: u64 = 1 << 20;

/// The writer's file, and when it is full.
pub(crate) struct Rotation {
    pub(crate) dir: PathBuf,
    pub(crate) log: LogId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) number: u32,
    /// Size of the file, about.
    pub(crate) bytes: u64,
    pub(crate) rotate_bytes: u64,
    /// Grows where a new file cannot be made, so that it is not tried with every commit.
    pub(crate) due_at: u64,
}

impl Rotation {
    /// Notes what was written.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The current file.
    pub(crate) fn path(&self) -> PathBuf {
        catalog::path(&self.dir, self.number)
    }

    /// Whether the file has its size.
    pub(crate) fn is_due(&self) -> bool {
        self.bytes >= self.due_at
    }

    /// Whether the file is worth replacing because everything in it was let go.
    pub(crate) fn is_spent(&self, shared: &Shared) -> bool {
        let state = shared.state();
        let entry = state.catalog.files.get(&self.number);
        let spent = entry.is_some_and(|entry| {
            entry.lanes.iter().all(|(lane, extent)| extent.last < oldest(&state, *lane))
        });
        spent && self.bytes >= SPENT_BYTES.min(self.rotate_bytes)
    }

    /// Begins the next file. Where that fails, the log stays on the file it has: it is sound, only large.
    pub(crate) fn begin(&mut self, shared: &Shared) -> Option<HotFile> {
        let marks = marks(&shared.state());
        let number = self.number + 1;
        let path = catalog::path(&self.dir, number);
        let created = HotFile::create(&path, self.log, number, self.clock.now(), &marks);
        let synced = created.ok().filter(|_| sync(&self.dir).is_ok());
        let Some(file) = synced else {
            catalog::unlink(&path).ok();
            self.due_at = self.bytes + self.rotate_bytes / 8 + 1;
            return None;
        };
        let mut state = shared.state();
        state.catalog.files.insert(number, Entry::empty(path));
        for (lane, mark) in &marks {
            if state.trimmed.get(lane) == Some(&mark.trimmed) {
                state.trimmed.remove(lane);
            }
        }
        (self.number, self.bytes, self.due_at) = (number, 0, self.rotate_bytes);
        Some(file)
    }

    /// Removes files whose frames were all let go. What cannot be removed now is tried again with the next trim.
    pub(crate) fn remove_spent(&self, shared: &Shared, pool: &Pool) {
        let spent = {
            let state = shared.state();
            state.catalog.let_go(|lane| oldest(&state, lane))
        };
        for (number, path) in spent {
            pool.forget(number);
            if catalog::unlink(&path).is_ok() {
                shared.state().catalog.files.remove(&number);
            }
        }
    }
}

fn oldest(state: &State, lane: LaneId) -> Offset {
    state.lanes.get(&lane).map_or(Offset::START, |lane| lane.oldest)
}

/// Where every lane stands, for the beginning of a file.
pub(crate) fn marks(state: &State) -> Vec<(LaneId, Mark)> {
    let standing = state.lanes.iter().filter(|(_, lane)| lane.durable > Offset::START);
    standing
        .map(|(id, lane)| {
            let trimmed = Offset(lane.oldest.0 - 1);
            let mark = Mark { trimmed, newest: lane.durable, position: lane.position.clone() };
            (*id, mark)
        })
        .collect()
}

/// Makes the names of a folder and of all folders above it durable: a log is lost with the name of its folder, and a
/// folder that is there already may have been made a moment ago, by an engine that died before this.
pub(crate) fn sync_above(dir: &Path) -> std::io::Result<()> {
    for above in dir.canonicalize()?.ancestors().skip(1) {
        match sync(above) {
            // Folders that we may not read were not made by us.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => break,
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Makes durable what an engine that was killed has written and not synced: it is read back as committed, and would be
/// told of as durable.
pub(crate) fn sync_files(dir: &Path) -> std::io::Result<()> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        paths.push(entry?.path());
    }
    paths.sort_unstable();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("hot-") && !name.ends_with("-shm") {
            File::open(&path)?.sync_all()?;
        }
    }
    Ok(())
}

/// Makes new names in a folder durable.
pub(crate) fn sync(dir: &Path) -> std::io::Result<()> {
    match is_planted(Defect::NoDirectorySync) {
        true => Ok(()),
        false => File::open(dir)?.sync_all(),
    }
}
