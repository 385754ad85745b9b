//! Files below a folder, and nothing else: however a path is written and whatever links lie on its way.
//!
//! Not here: which files a flow means (`pattern`). The invariant: every file and folder is opened relative to the
//! handle of the site's folder, so a link that leads out of it is refused when it is opened, not by looking at names
//! before. A hard link cannot be told from the file it is a second name of: who may make one there may read the file.

use cap_fs_ext::{FileTypeExt, OpenOptionsSyncExt};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, ReadDir};
use change::planted::{Defect, is_planted};
use connect::{Error, Result};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The folder of a site.
pub(super) struct Beneath {
    folder: Dir,
    root: PathBuf,
    shown: String,
}

impl Beneath {
    /// Opens the folder; the operator says which, so links to it are followed.
    pub(super) fn open(root: PathBuf, shown: String) -> io::Result<Beneath> {
        let folder = Dir::open_ambient_dir(&root, ambient_authority())?;
        Ok(Beneath { folder, root, shown })
    }

    /// A path below the folder, for messages.
    pub(super) fn shown(&self, path: &str) -> String {
        Path::new(&self.shown).join(path).display().to_string()
    }

    /// Opens a plain file for reading.
    ///
    /// # Errors
    /// `Invalid` (E0213) when the path leaves the folder, or names a device or a pipe; `Unavailable` when it cannot be
    /// read.
    pub(super) fn file(&self, path: &str) -> Result<File> {
        require_below(path)?;
        if is_planted(Defect::FollowLinks) {
            return File::open(self.root.join(path)).map_err(|e| unreadable(&e));
        }
        // A pipe that nobody writes to would hold whoever opens it.
        let mut how = OpenOptions::new();
        how.read(true).nonblock(true);
        let file = self.folder.open_with(path, &how).map_err(|e| unreadable(&e))?;
        match file.metadata().map_err(|e| unreadable(&e))? {
            found if found.is_file() => Ok(file.into_std()),
            found => Err(no_file(&found)),
        }
    }

    /// What is at a path; `None` when nothing is there (any more).
    ///
    /// # Errors
    /// As [`Beneath::file`].
    pub(super) fn look(&self, path: &str) -> Result<Option<Found>> {
        require_below(path)?;
        if is_planted(Defect::FollowLinks) {
            let found = std::fs::metadata(self.root.join(path)).map_err(|e| unreadable(&e))?;
            return Ok(Some(if found.is_dir() { Found::Folder } else { Found::File(found.len()) }));
        }
        match self.folder.metadata(path) {
            Ok(found) if found.is_file() => Ok(Some(Found::File(found.len()))),
            Ok(found) if found.is_dir() => Ok(Some(Found::Folder)),
            Ok(found) => Err(no_file(&found)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unreadable(&e)),
        }
    }

    /// What a folder holds; an empty path is the folder itself.
    pub(super) fn entries(&self, path: &str) -> io::Result<ReadDir> {
        self.folder.read_dir(if path.is_empty() { "." } else { path })
    }
}

/// What is at a path.
pub(super) enum Found {
    /// A file of so many bytes.
    File(u64),
    /// A folder.
    Folder,
}

/// Refuses a path that is written so that it leaves the folder.
fn require_below(path: &str) -> Result<()> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !path.is_empty() && Path::new(path).components().all(inside) && !path.contains('\0') {
        return Ok(());
    }
    Err(outside("it is written so that it leads elsewhere"))
}

fn outside(found: &str) -> Error {
    Error::invalid("the path is not below the folder of its site")
        .found(found)
        .effect("nothing of it is read")
        .fix("put the file itself into the folder, or give its place a site of its own in sites.toml")
        .code("E0213")
}

fn no_file(found: &Metadata) -> Error {
    let kind = found.file_type();
    let what = match () {
        () if found.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Error::invalid("it is no file")
        .found(what)
        .effect("nothing of it is read")
        .fix("move it away, or name the files that are meant")
        .code("E0213")
}

fn unreadable(error: &io::Error) -> Error {
    // The system has numbers for what it refuses; what cap-std refuses by itself is a way out of the folder.
    if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
        return outside("a link on its way leads out of the folder");
    }
    super::content::unreadable(error)
}
