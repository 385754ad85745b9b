//! The log for those who only read it, beside the engine that writes it, in this process or another.
//!
//! Not here: the cache of recent groups; every group is read from disk. Invariant: only committed frames are seen,
//! and those are durable.

use crate::catalog::{self, Catalog, Entry, Leftovers, Loaded};
use crate::failure::unreadable;
use crate::hot::{self, Mark};
use crate::opening;
use crate::pool::Pool;
use crate::read::{Budget, Decoder, More, position_lost};
use crate::shared::Lane;
use change::{Group, GroupBody, LaneId, LogId, Offset};
use connect::{Bounds, Clock, Error, Log, Result, SystemClock, Tail};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a waiting reader looks.
const POLL: Duration = Duration::from_millis(20);

/// A log open for reading only.
pub struct LogReader {
    dir: PathBuf,
    id: LogId,
    decoder: Decoder,
    pool: Pool,
    clock: SystemClock,
    view: Mutex<View>,
}

/// What was last seen of the folder.
struct View {
    loaded: Loaded,
    /// The newest file, held open, and the version of its content that was looked at.
    newest: Option<(u32, Connection, i64)>,
    /// Grows with every look that found something new.
    changes: u64,
}

impl LogReader {
    /// See [`crate::EventLog::open_read_only`].
    pub(crate) fn open(dir: &Path) -> Result<LogReader> {
        let none = || Error::unavailable("there is no log here").at(dir.display());
        if !dir.is_dir() {
            return Err(none());
        }
        let decoder = Decoder::default();
        let loaded = catalog::load(dir, &decoder.schemas, Leftovers::Keep)?.ok_or_else(none)?;
        Ok(LogReader {
            dir: dir.to_path_buf(),
            id: loaded.log,
            decoder,
            pool: Pool::default(),
            clock: SystemClock::default(),
            view: Mutex::new(View { loaded, newest: None, changes: 0 }),
        })
    }

    /// Bytes that the log takes on disk, write-ahead logs included.
    pub fn bytes(&self) -> u64 {
        catalog::bytes(&self.dir)
    }

    /// Every lane the log knows, by id.
    ///
    /// # Errors
    /// Storage cannot be read.
    pub fn lanes(&self) -> Result<Vec<LaneId>> {
        let view = self.look()?;
        let mut lanes = view.loaded.catalog.lanes();
        lanes.extend(view.loaded.marks.iter().map(|(lane, _)| *lane));
        lanes.sort_unstable();
        lanes.dedup();
        Ok(lanes)
    }

    /// The folder as it is now.
    fn look(&self) -> Result<MutexGuard<'_, View>> {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let there = catalog::numbers(&self.dir)?;
        let gone: Vec<u32> =
            view.loaded.catalog.files.keys().filter(|n| !there.contains(n)).copied().collect();
        for number in gone {
            view.loaded.catalog.files.remove(&number);
            self.pool.forget(number);
        }
        let known = view.loaded.catalog.newest();
        for number in there.into_iter().filter(|n| *n >= known) {
            if view.look_at(&self.dir, number, &self.decoder)? {
                view.changes += 1;
            }
        }
        Ok(view)
    }

    fn standing(&self, view: &View, lane: LaneId) -> Result<Lane> {
        let loaded = &view.loaded;
        let mut lanes = opening::lanes_of(loaded, &[lane], &self.decoder, &self.pool)?;
        Ok(lanes.remove(&lane).unwrap_or_default())
    }

    fn read_run(
        &self,
        lane: LaneId,
        after: Offset,
        budget: &mut Budget,
        out: &mut Vec<Arc<Group>>,
    ) -> Result<More> {
        let (number, path, upto, rows) = {
            let view = self.look()?;
            let (oldest, durable) = view.ends(lane);
            if after.next() < oldest {
                return Err(position_lost(lane, after, oldest));
            }
            if after >= durable {
                return Ok(More::No);
            }
            let Some((number, entry, extent)) = view.loaded.catalog.holding(lane, after.next())
            else {
                let missing = crate::damage::Damage::new("no file holds it");
                return Err(missing.at(lane, after.next()));
            };
            (number, entry.path.clone(), extent.last, entry.rows(lane, (after, extent.last)))
        };
        self.pool.with(number, &path, |connection| {
            self.decoder.run(connection, lane, (after, upto), rows.as_deref(), budget, out)
        })
    }
}

impl View {
    /// Looks at a file that is new or may have grown; says whether it has.
    fn look_at(&mut self, dir: &Path, number: u32, decoder: &Decoder) -> Result<bool> {
        let failed = |e| unreadable(&e, "a file of the log cannot be read");
        let path = catalog::path(dir, number);
        if self.newest.as_ref().is_none_or(|(held, ..)| *held != number) {
            let connection = hot::open_for_reading(&path).map_err(failed)?;
            if hot::owner(&connection)? != Some(self.loaded.log) {
                return Ok(false);
            }
            self.newest = Some((number, connection, -1));
        }
        let Some((_, connection, seen)) = &mut self.newest else { return Ok(false) };
        let version = connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(failed)?;
        if *seen == version {
            return Ok(false);
        }
        catalog::learn(connection, &decoder.schemas).map_err(failed)?;
        self.loaded.marks = hot::marks(connection).map_err(failed)?;
        let files = &mut self.loaded.catalog.files;
        let entry = files.entry(number).or_insert_with(|| Entry::empty(path.clone()));
        match entry.places.is_some() && !hot::is_indexed(connection).map_err(failed)? {
            true => drop(entry.read_on(connection).map_err(failed)?),
            false => *entry = Entry::read(path, connection).map_err(failed)?,
        }
        *seen = version;
        Ok(true)
    }

    fn mark(&self, lane: LaneId) -> Mark {
        let marks = &self.loaded.marks;
        marks.iter().find(|(id, _)| *id == lane).map(|(_, mark)| mark.clone()).unwrap_or_default()
    }

    /// Oldest and newest offset of a lane.
    fn ends(&self, lane: LaneId) -> (Offset, Offset) {
        let (mark, catalog): (Mark, &Catalog) = (self.mark(lane), &self.loaded.catalog);
        match catalog.run(lane).filter(|run| run.last >= mark.newest) {
            Some(run) => (run.first.max(mark.trimmed.next()), run.last),
            None => (mark.newest.next(), mark.newest),
        }
    }
}

impl Log for LogReader {
    fn id(&self) -> LogId {
        self.id
    }

    fn append(&self, _: LaneId, _: GroupBody) -> Result<Offset> {
        Err(Error::invalid("the log is open for reading only"))
    }

    fn durable(&self, lane: LaneId, offset: Offset, patience: Duration) -> Result<bool> {
        let started = self.clock.steady();
        loop {
            if self.look()?.ends(lane).1 >= offset {
                return Ok(true);
            }
            if self.clock.steady() - started >= patience {
                return Ok(false);
            }
            self.clock.sleep(POLL.min(patience));
        }
    }

    fn tail(&self, lane: LaneId) -> Result<Tail> {
        let view = self.look()?;
        let standing = self.standing(&view, lane)?;
        standing.sound(lane).map(|()| standing.tail())
    }

    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>> {
        let mut budget = Budget::new(bounds);
        let mut out: Vec<Arc<Group>> = Vec::new();
        loop {
            let at = out.last().map_or(after, |group| group.offset);
            match self.read_run(lane, at, &mut budget, &mut out) {
                Ok(More::Perhaps) => {}
                Ok(More::No) => return Ok(out),
                Err(_) if !out.is_empty() => return Ok(out),
                Err(error) => return Err(error),
            }
        }
    }

    fn changed(&self, seen: u64, patience: Duration) -> u64 {
        let started = self.clock.steady();
        loop {
            // A folder that cannot be read now has nothing new to show; `read` says why.
            let changes = self.look().map_or(seen, |view| view.changes);
            if changes != seen || self.clock.steady() - started >= patience {
                return changes;
            }
            self.clock.sleep(POLL.min(patience));
        }
    }

    fn trim(&self, _: LaneId, _: Offset) -> Result<()> {
        Err(Error::invalid("the log is open for reading only"))
    }
}
