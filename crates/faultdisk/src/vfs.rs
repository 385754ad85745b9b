//! The file layer that SQLite calls: passes on to the platform's, and asks the disk before and tells it after.
//!
//! One layer for the process, made the default by [`install`]. Locks and shared memory are the platform's own business.
//! Invariant: a handle holds the platform's file right behind itself; `place` is a box of ours, or null for a file that
//! lies on no disk.

use crate::disk::{Drive, Trouble};
use crate::names::FileNumber;
use crate::registry;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, OnceLock};

const NAME: &CStr = c"seamount-faultdisk";

/// An open file, as SQLite sees it.
#[repr(C)]
struct Handle {
    base: sqlite3_file,
    place: *mut Place,
}

/// A file that lies on a disk.
struct Place {
    drive: Arc<Drive>,
    name: PathBuf,
    number: FileNumber,
    /// Its first sync syncs its folder too, as in the platform's own layer.
    sync_folder: bool,
}

/// The platform's layer.
struct Platform(*mut sqlite3_vfs);

// SAFETY: SQLite never frees or changes the platform's layer, and calls it from any thread itself.
unsafe impl Send for Platform {}
// SAFETY: as above.
unsafe impl Sync for Platform {}

static PLATFORM: OnceLock<Platform> = OnceLock::new();

fn platform() -> *mut sqlite3_vfs {
    PLATFORM.get().expect("the layer is only called after it was installed").0
}

/// Registers the layer and makes it the default, once.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite initialises itself here and returns a layer that lives as long as the process, or null.
        let found = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        assert!(!found.is_null(), "SQLite has a file layer on this platform");
        PLATFORM.get_or_init(|| Platform(found));
        // SAFETY: `found` is not null and valid; what is copied are plain numbers and function pointers.
        let mut layer = unsafe { *found };
        let own = c_int::try_from(size_of::<Handle>()).expect("two words");
        layer.szOsFile += own;
        layer.zName = NAME.as_ptr();
        layer.pNext = std::ptr::null_mut();
        layer.xOpen = Some(open);
        layer.xDelete = Some(delete);
        layer.xAccess = Some(access);
        // The rest is the platform's: its functions do not look at the layer they are called through.
        let layer = Box::leak(Box::new(layer));
        // SAFETY: the layer is leaked, so that it lives as long as the process, and all its functions are set.
        let answer = unsafe { ffi::sqlite3_vfs_register(layer, 1) };
        assert_eq!(answer, ffi::SQLITE_OK, "SQLite takes our file layer");
    });
}

/// The disk of a path that SQLite names; null is a file without a name.
///
/// # Safety
/// `name` is null or a string that ends with a zero byte.
unsafe fn find(name: *const c_char) -> Option<(Arc<Drive>, PathBuf)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: it is not null, and the caller promises a string.
    let text = unsafe { CStr::from_ptr(name) };
    #[cfg(unix)]
    let path = Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(text.to_bytes()));
    #[cfg(not(unix))]
    let path = Path::new(text.to_str().ok()?);
    registry::find(path)
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let handle = file.cast::<Handle>();
    // SAFETY: SQLite gives `szOsFile` bytes, of which the first are our handle.
    unsafe { (*handle).base.pMethods = std::ptr::null() };
    // SAFETY: SQLite promises null or a string.
    let found = unsafe { find(name) };
    let mut created = false;
    if let Some((drive, name)) = &found {
        match drive.opening(name, flags & ffi::SQLITE_OPEN_CREATE != 0) {
            Ok(creates) => created = creates,
            Err(_) => return ffi::SQLITE_CANTOPEN,
        }
    }
    // SAFETY: the platform's file lies behind our handle in the same memory; all else is passed on as it came.
    let answer = unsafe {
        let really = (*platform()).xOpen.expect("every layer opens");
        really(platform(), name, beneath(file), flags, out_flags)
    };
    if answer != ffi::SQLITE_OK {
        return answer;
    }
    const JOURNALS: c_int =
        ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
    let creating_journal = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & JOURNALS != 0;
    let place = found.map(|(drive, name)| {
        let number = drive.opened(&name, created);
        Box::into_raw(Box::new(Place { drive, name, number, sync_folder: creating_journal }))
    });
    // SAFETY: as above; the handle is ours to fill.
    unsafe {
        (*handle).place = place.unwrap_or(std::ptr::null_mut());
        (*handle).base.pMethods = &METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite promises a string.
    let Some((drive, found)) = (unsafe { find(name) }) else {
        // SAFETY: passed on as it came.
        return unsafe {
            let really = (*platform()).xDelete.expect("every layer deletes");
            really(platform(), name, sync)
        };
    };
    let path = drive.root().join(&found);
    let removed = drive.remove(&found, || i32::from(crate::posix::unlink_past(&path).is_err()));
    match removed {
        None => return ffi::SQLITE_IOERR_DELETE,
        Some(0) => {}
        Some(_) if !path.exists() => return ffi::SQLITE_IOERR_DELETE_NOENT,
        Some(_) => return ffi::SQLITE_IOERR_DELETE,
    }
    if sync & 1 != 0 && drive.sync_folder_of(&found).is_err() {
        return ffi::SQLITE_IOERR_DIR_FSYNC;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn access(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite promises a string.
    if unsafe { find(name) }.is_some_and(|(drive, _)| drive.is_stopped()) {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    // SAFETY: passed on as it came.
    unsafe {
        let really = (*platform()).xAccess.expect("every layer looks for names");
        really(platform(), name, flags, answer)
    }
}

/// The platform's file behind a handle.
///
/// # Safety
/// `file` is the memory of a handle of this layer.
unsafe fn beneath(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite gave the memory of both; a handle is two words, so that what follows is aligned as it must be.
    unsafe { file.cast::<Handle>().add(1).cast() }
}

/// The platform's functions for the file behind a handle.
///
/// # Safety
/// `file` is an open handle of this layer.
unsafe fn methods<'a>(file: *mut sqlite3_file) -> &'a sqlite3_io_methods {
    // SAFETY: an open handle has an open file of the platform behind it, whose table is static.
    unsafe { &*(*beneath(file)).pMethods }
}

/// Where an open file lies, if on a disk.
///
/// # Safety
/// `file` is an open handle of this layer, used by one thread at a time, as SQLite does.
unsafe fn place<'a>(file: *mut sqlite3_file) -> Option<&'a mut Place> {
    // SAFETY: `place` is null or the box that `open` made, which lives until `close`.
    unsafe { (*file.cast::<Handle>()).place.as_mut() }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open handle once; the box is taken out before it is dropped.
    unsafe {
        let place = std::mem::replace(&mut (*file.cast::<Handle>()).place, std::ptr::null_mut());
        let answer = methods(file).xClose.expect("every file closes")(beneath(file));
        if !place.is_null() {
            Box::from_raw(place).drive.closed();
        }
        (*file).pMethods = std::ptr::null();
        answer
    }
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: an open handle; the buffer is passed on as it came.
    unsafe {
        if place(file).is_some_and(|place| place.drive.may_read(&place.name).is_err()) {
            return ffi::SQLITE_IOERR_READ;
        }
        methods(file).xRead.expect("every file reads")(beneath(file), into, amount, offset)
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: an open handle; the buffer is passed on as it came.
    let really = || unsafe {
        methods(file).xWrite.expect("every file writes")(beneath(file), from, amount, offset)
    };
    // SAFETY: an open handle.
    let Some(place) = (unsafe { place(file) }) else { return really() };
    let length = usize::try_from(amount).expect("SQLite writes no negative amount");
    // SAFETY: SQLite gives as many bytes as it says, and does not change them during the call.
    let data = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
    let offset = usize::try_from(offset).expect("SQLite writes to no negative offset");
    let at = (place.name.as_path(), place.number);
    answer(
        place.drive.write(at, offset, data, || really() == ffi::SQLITE_OK),
        ffi::SQLITE_IOERR_WRITE,
    )
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: an open handle.
    let really =
        || unsafe { methods(file).xTruncate.expect("every file truncates")(beneath(file), size) };
    // SAFETY: an open handle.
    let Some(place) = (unsafe { place(file) }) else { return really() };
    let length = usize::try_from(size).expect("SQLite sets no negative length");
    let at = (place.name.as_path(), place.number);
    let done = place.drive.truncate(at, length, || really() == ffi::SQLITE_OK);
    answer(done, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: an open handle.
    let Some(place) = (unsafe { place(file) }) else {
        // SAFETY: an open handle.
        return unsafe { methods(file).xSync.expect("every file syncs")(beneath(file), flags) };
    };
    if place.drive.sync((&place.name, place.number)).is_err() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    if std::mem::take(&mut place.sync_folder) {
        // The platform's layer does not look at what becomes of it either: some systems cannot do it.
        place.drive.sync_folder_of(&place.name).ok();
    }
    ffi::SQLITE_OK
}

fn answer(done: Result<(), Trouble>, failed: c_int) -> c_int {
    match done {
        Ok(()) => ffi::SQLITE_OK,
        Err(Trouble::Full) => ffi::SQLITE_FULL,
        Err(Trouble::Io) => failed,
    }
}

/// Functions that are passed on as they come.
macro_rules! passed_on {
    ($($name:ident = $method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => { $(
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $arg: $ty)*) -> $out {
            // SAFETY: SQLite calls this on an open handle, and the arguments are passed on as they came.
            unsafe { methods(file).$method.expect("SQLite asks files for what they can")(beneath(file) $(, $arg)*) }
        }
    )* };
}

passed_on! {
    file_size = xFileSize(size: *mut sqlite3_int64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(answer: *mut c_int) -> c_int;
    file_control = xFileControl(op: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier() -> ();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

/// Version 2: no memory-mapped reading, which would go past us.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
