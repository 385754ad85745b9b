//! Which files the log has, in order, and which offsets of which lane lie in each.
//!
//! Not here: frames. Invariant: files are numbered from 1 upwards without reuse, the newest is the only one that
//! grows, and it is never removed.

use crate::failure::unreadable;
use crate::hot::{self, Extent, Mark};
use crate::places::Places;
use crate::schemas::Schemas;
use change::{LaneId, LogId, Offset};
use connect::{Error, Result};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// One file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) lanes: HashMap<LaneId, Extent>,
    /// Where frames lie, in a file that has no index.
    pub(crate) places: Option<Places>,
}

impl Entry {
    /// A file that has no frame yet.
    pub(crate) fn empty(path: PathBuf) -> Self {
        Entry { path, lanes: HashMap::new(), places: Some(Places::default()) }
    }

    /// What a file says of itself.
    pub(crate) fn read(path: PathBuf, connection: &Connection) -> rusqlite::Result<Self> {
        let mut entry = Entry::empty(path);
        if hot::is_indexed(connection)? {
            entry.lanes = hot::extents(connection)?.into_iter().collect();
            entry.places = None;
        } else {
            entry.read_on(connection)?;
        }
        Ok(entry)
    }

    /// Takes in what was written since; says whether anything was.
    pub(crate) fn read_on(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let before = self.places.as_ref().map_or(0, Places::newest);
        hot::scan(connection, before, &mut |place, lane, offset, commit_time| {
            self.note(lane, offset, commit_time, place);
        })?;
        Ok(self.places.as_ref().map_or(0, Places::newest) > before)
    }

    /// Notes a frame.
    pub(crate) fn note(&mut self, lane: LaneId, offset: Offset, commit_time: i64, place: i64) {
        let extent =
            self.lanes.entry(lane).or_insert(Extent { first: offset, last: offset, commit_time });
        extent.first = extent.first.min(offset);
        if offset >= extent.last {
            (extent.last, extent.commit_time) = (offset, commit_time);
        }
        if let Some(places) = &mut self.places {
            places.note(lane, offset, place);
        }
    }

    /// Rows of a lane's frames, a bounded number; `None` where the file's index knows.
    pub(crate) fn rows(&self, lane: LaneId, range: (Offset, Offset)) -> Option<Vec<i64>> {
        self.places.as_ref().map(|places| places.between(lane, range, ROWS))
    }
}

/// Rows looked up at a time.
const ROWS: usize = 1024;

/// All files of a log, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) files: BTreeMap<u32, Entry>,
}

/// What the folder says of a log.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) log: LogId,
    pub(crate) catalog: Catalog,
    /// Where the newest file says that lanes stood when it began.
    pub(crate) marks: Vec<(LaneId, Mark)>,
}

/// `hot-0001.db` and so on.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("hot-{number:04}.db"))
}

/// Numbers of the files in a folder, ascending.
pub(crate) fn numbers(dir: &Path) -> Result<Vec<u32>> {
    let failed = |e: std::io::Error| {
        Error::unavailable("the folder of the log cannot be read").found(e.to_string())
    };
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("hot-")?.strip_suffix(".db"));
        numbers.extend(number.and_then(|n| n.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads the folder; `None` where no log is yet. With `Leftovers::Remove`, a newest file that a crash left before
/// its first transaction is removed: nothing durable can be in it.
pub(crate) fn load(dir: &Path, schemas: &Schemas, leftovers: Leftovers) -> Result<Option<Loaded>> {
    let mut loaded: Option<Loaded> = None;
    let numbers = numbers(dir)?;
    for &number in &numbers {
        let path = path(dir, number);
        let connection = leftovers
            .open(&path)
            .map_err(|e| unreadable(&e, "a file of the log cannot be opened").at(path.display()))?;
        let Some(log) = hot::owner(&connection).map_err(|e| e.at(path.display()))? else {
            drop(connection);
            if numbers.last() != Some(&number) {
                return Err(empty_in_the_middle(&path));
            }
            if leftovers == Leftovers::Remove {
                unlink(&path)?;
            }
            continue;
        };
        let known = loaded.get_or_insert_with(|| Loaded {
            log,
            catalog: Catalog::default(),
            marks: Vec::new(),
        });
        if known.log != log {
            return Err(foreign(&path, log, known.log));
        }
        let failed = |e| unreadable(&e, "a file of the log cannot be read").at(path.display());
        learn(&connection, schemas).map_err(failed)?;
        known.marks = hot::marks(&connection).map_err(failed)?;
        let entry = Entry::read(path.clone(), &connection).map_err(failed)?;
        known.catalog.files.insert(number, entry);
    }
    Ok(loaded)
}

/// What to do with a file that was never finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// Another process may be making it.
    Keep,
    /// We hold the log: nobody is.
    Remove,
}

impl Leftovers {
    /// Who removes leftovers must also be able to roll one back, which a reader may not.
    fn open(self, path: &Path) -> rusqlite::Result<Connection> {
        match self {
            Leftovers::Keep => hot::open_for_reading(path),
            Leftovers::Remove => hot::open_for_recovery(path),
        }
    }
}

/// Takes in a file's schemas.
pub(crate) fn learn(connection: &Connection, schemas: &Schemas) -> rusqlite::Result<()> {
    hot::schemas(connection)?.into_iter().for_each(|(number, text)| schemas.learn(number, text));
    Ok(())
}

fn empty_in_the_middle(path: &Path) -> Error {
    Error::corrupt("a file of the log has lost its content")
        .at(path.display())
        .state(connect::State::LogCorrupt)
        .fix("restore the file from a backup")
}

fn foreign(path: &Path, found: LogId, expected: LogId) -> Error {
    Error::invalid("a file of another log lies in the log's folder")
        .at(path.display())
        .found(format!("log {found}, the others are of {expected}"))
        .effect("offsets of two logs would be mixed up; nothing was opened")
        .fix("move the file out of the folder")
}

/// Removes a file with what SQLite keeps beside it. The database goes first, and durably: a WAL without one is never
/// read, but a database that a power cut brings back without its WAL may be half of one.
pub(crate) fn unlink(path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::unavailable("a file of the log cannot be removed")
            .at(path.display())
            .found(e.to_string())
    };
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Ok(()) if suffix.is_empty() => {
                let dir = path.parent().expect("a file of the log lies in its folder");
                fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
            }
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    Ok(())
}

/// Removes a WAL whose database is gone: a crash in the middle of [`unlink`].
pub(crate) fn remove_orphans(dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::unavailable("the folder of the log cannot be read").found(e.to_string())
    };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.to_str().filter(|n| n.starts_with("hot-")) else { continue };
        let owner = name.strip_suffix("-wal").or_else(|| name.strip_suffix("-shm"));
        if let Some(owner) = owner.filter(|owner| !dir.join(owner).exists()) {
            unlink(&dir.join(owner))?;
        }
    }
    Ok(())
}

/// Bytes that the log's files take, their WALs included.
pub(crate) fn bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let ours = entries.filter(|e| e.file_name().to_str().is_some_and(|n| n.starts_with("hot-")));
    ours.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}

/// Bytes of one file, its WAL included.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
    size(path) + size(Path::new(&wal))
}

impl Catalog {
    /// The newest file's number.
    pub(crate) fn newest(&self) -> u32 {
        self.files.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The file that holds an offset, and the extent of the lane there.
    pub(crate) fn holding(&self, lane: LaneId, offset: Offset) -> Option<(u32, &Entry, Extent)> {
        self.files.iter().find_map(|(number, entry)| {
            let extent = entry.lanes.get(&lane)?;
            let inside = extent.first <= offset && offset <= extent.last;
            inside.then_some((*number, entry, *extent))
        })
    }

    /// The newest frame of a lane, and the oldest from which all frames up to it are there.
    pub(crate) fn run(&self, lane: LaneId) -> Option<Extent> {
        let mut run: Option<Extent> = None;
        for entry in self.files.values().rev() {
            let Some(extent) = entry.lanes.get(&lane) else { continue };
            match &mut run {
                None => run = Some(*extent),
                Some(run) if extent.last.next() == run.first => run.first = extent.first,
                Some(_) => break,
            }
        }
        run
    }

    /// Every lane that has a frame.
    pub(crate) fn lanes(&self) -> Vec<LaneId> {
        let mut lanes: Vec<LaneId> =
            self.files.values().flat_map(|entry| entry.lanes.keys().copied()).collect();
        lanes.sort_unstable();
        lanes.dedup();
        lanes
    }

    /// Files but the newest whose frames are all let go; `oldest` says what each lane still holds.
    pub(crate) fn let_go(&self, oldest: impl Fn(LaneId) -> Offset) -> Vec<(u32, PathBuf)> {
        let newest = self.newest();
        self.files
            .iter()
            .filter(|(number, _)| **number != newest)
            .filter(|(_, entry)| entry.lanes.iter().all(|(lane, e)| e.last < oldest(*lane)))
            .map(|(number, entry)| (*number, entry.path.clone()))
            .collect()
    }

    /// Notes a frame of the newest file.
    pub(crate) fn note(&mut self, lane: LaneId, offset: Offset, commit_time: i64, place: i64) {
        let mut newest = self.files.last_entry().expect("a log has at least one file");
        newest.get_mut().note(lane, offset, commit_time, place);
    }

    /// Files but the newest that still have no index.
    pub(crate) fn unindexed(&self) -> Vec<(u32, PathBuf)> {
        let older = self.files.range(..self.newest());
        let bare = older.filter(|(_, entry)| entry.places.is_some());
        bare.map(|(number, entry)| (*number, entry.path.clone())).collect()
    }
}
