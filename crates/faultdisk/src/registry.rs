//! The disks of this process, by folder.
//!
//! Invariant: with no disk attached, finding one costs one load.

use crate::disk::Drive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

static DRIVES: RwLock<Vec<Arc<Drive>>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn add(drive: Arc<Drive>) {
    let mut drives = DRIVES.write().unwrap_or_else(PoisonError::into_inner);
    drives.push(drive);
    COUNT.store(drives.len(), Ordering::Release);
}

pub(crate) fn remove(drive: &Arc<Drive>) {
    let mut drives = DRIVES.write().unwrap_or_else(PoisonError::into_inner);
    drives.retain(|other| !Arc::ptr_eq(other, drive));
    COUNT.store(drives.len(), Ordering::Release);
}

/// The disk that a path lies on, and the path inside of it.
pub(crate) fn find(path: &Path) -> Option<(Arc<Drive>, PathBuf)> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let drives = DRIVES.read().unwrap_or_else(PoisonError::into_inner);
    drives.iter().find_map(|drive| {
        let name = path.strip_prefix(drive.root()).ok()?;
        Some((drive.clone(), name.to_path_buf()))
    })
}
