//! The state folder is its owner's alone: 0700, its files 0600. It holds rows, letters and keys of hashes.
//!
//! The folder's own mode is what keeps others out, from the moment it is made; the modes of its files hold where they
//! are copied to.

use std::io;
use std::path::Path;

/// Makes a folder that only its owner can enter.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let mut how = std::fs::DirBuilder::new();
    how.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut how, 0o700);
    how.create(folder)
}

/// Takes the rights of others away from a folder and everything in it. What somebody else owns stays as it is.
#[cfg(unix)]
pub(crate) fn close(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let narrow = |path: &Path, mode: u32| {
        let open = std::fs::symlink_metadata(path)
            .is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & 0o077 != 0);
        if open {
            // A file can be gone by now, or somebody else's: the folder around it is closed.
            let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        }
    };
    narrow(folder, 0o700);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => close(&entry.path()),
            Ok(kind) if kind.is_file() => narrow(&entry.path(), 0o600),
            _ => {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn close(_: &Path) {}
