//! `fsync` and `unlink` of the C library, replaced: what `std::fs` does to a disk's folders is seen too.
//!
//! The linker takes a program's own function before the C library's, so that these two serve the whole process. They
//! pass on what lies on no disk. Linux only; elsewhere the disk sees what SQLite does and no more.

use std::path::Path;

#[cfg(target_os = "linux")]
mod replaced {
    use crate::registry;
    use std::ffi::{CStr, CString, OsStr, c_char, c_int};
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    const EIO: c_int = 5;
    const AT_FDCWD: c_int = -100;

    // SAFETY: these are the declarations of the C library, which every Rust program on Linux is linked with.
    unsafe extern "C" {
        fn fdatasync(fd: c_int) -> c_int;
        fn unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int;
        fn __errno_location() -> *mut c_int;
    }

    fn failed(errno: c_int) -> c_int {
        // SAFETY: the C library returns the address of this thread's errno, which lives as long as the thread.
        unsafe { *__errno_location() = errno };
        -1
    }

    pub(super) fn unlink_past(path: &Path) -> std::io::Result<()> {
        let text = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: the string ends with a zero byte and lives until the call returns.
        match unsafe { unlinkat(AT_FDCWD, text.as_ptr(), 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Syncs a file or folder, on a disk of ours or anywhere.
    // SAFETY: same name and type as the function of the C library, which it stands for in every respect that its
    // callers rely on; a process that is no harness does not contain it.
    #[unsafe(no_mangle)]
    pub(super) extern "C" fn fsync(fd: c_int) -> c_int {
        let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        match registry::find(&path) {
            Some((drive, name)) => match drive.synced_outside(&name) {
                true => 0,
                false => failed(EIO),
            },
            // SAFETY: the number came from our caller; the C library answers EBADF for one that is not open.
            None => unsafe { fdatasync(fd) },
        }
    }

    /// Removes a name, on a disk of ours or anywhere.
    ///
    /// # Safety
    /// `path` is a string that ends with a zero byte, as the C library demands.
    // SAFETY: as for `fsync` above.
    #[unsafe(no_mangle)]
    pub(super) unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
        // SAFETY: the caller promises a valid string.
        let text = unsafe { CStr::from_ptr(path) };
        // SAFETY: the same pointer, passed on as it came.
        let really = || unsafe { unlinkat(AT_FDCWD, path, 0) };
        let path = PathBuf::from(OsStr::from_bytes(text.to_bytes()));
        match registry::find(&path) {
            Some((drive, name)) => drive.remove(&name, really).unwrap_or_else(|| failed(EIO)),
            None => really(),
        }
    }
}

/// Removes a name without asking the disk, which has been asked.
pub(crate) fn unlink_past(path: &Path) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    return replaced::unlink_past(path);
    #[cfg(not(target_os = "linux"))]
    return std::fs::remove_file(path);
}

/// Makes sure that the replacements are part of the program.
pub(crate) fn link() {
    #[cfg(target_os = "linux")]
    {
        std::hint::black_box(replaced::fsync as extern "C" fn(_) -> _);
        std::hint::black_box(replaced::unlink as unsafe extern "C" fn(_) -> _);
    }
}
