//! The log as its engine holds it: appends, waits, reads, lets go.
//!
//! Not here: who commits what was taken (`writer`), and how (`commit`). Invariant: an offset is given under the same
//! lock that queues the frame, so that offsets are dense whatever fails.

use crate::catalog::{self, Catalog, Entry, Leftovers, Loaded};
use crate::checkpoint::{Checkpointer, is_harmless};
use crate::commit::{Committer, Copying};
use crate::failure::{disk_full, unreadable};
use crate::frame::Encoded;
use crate::hot::HotFile;
use crate::opening;
use crate::pool::Pool;
use crate::read::{Budget, Decoder, More, position_lost};
use crate::reader::LogReader;
use crate::rotate::{self, Rotation};
use crate::settings::Settings;
use crate::shared::{Queued, Shared, Space, State, wait, wait_for};
use crate::writer::Writer;
use change::planted::{Defect, is_planted};
use change::{Group, GroupBody, LaneId, LogId, Offset};
use connect::{Bounds, Error, Log, Result, Tail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Held by the one process that writes.
const WRITER_LOCK: &str = "writer.lock";

/// The embedded log, open for writing. Dropping it writes what was taken and ends its threads.
pub struct EventLog {
    dir: PathBuf,
    id: LogId,
    queue_bytes: usize,
    decoder: Decoder,
    pool: Arc<Pool>,
    pub(crate) shared: Arc<Shared>,
    writer: Writer,
    _lock: File,
}

/// What `status` shows of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// The lane.
    pub lane: LaneId,
    /// Where it stands.
    pub tail: Tail,
    /// Groups that have an offset and wait for the disk.
    pub waiting: u64,
    /// When its newest durable group was committed at the source, microseconds since 1970-01-01T00:00:00Z.
    pub commit_time: Option<i64>,
    /// What is wrong with its newest frame, if anything.
    pub damage: Option<String>,
}

impl EventLog {
    /// Opens the log in a folder, or makes one with an id minted from `settings.random`.
    ///
    /// What is durable is read from disk, and the newest frame of every lane is verified; a lane whose frame reads
    /// back wrong answers `Corrupt` from then on, the others go on.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be written or another process writes it, `Invalid` when a file of
    /// another log lies in it, `Corrupt` when a file is no log file any more.
    pub fn open(dir: &Path, settings: Settings) -> Result<EventLog> {
        let lock = lock(dir)?;
        catalog::remove_orphans(dir)?;
        let (decoder, pool) = (Decoder::default(), Arc::new(Pool::default()));
        let loaded = catalog::load(dir, &decoder.schemas, Leftovers::Remove)?;
        let (file, loaded) = match loaded {
            Some(loaded) => {
                let path = catalog::path(dir, loaded.catalog.newest());
                (HotFile::open(&path).map_err(|e| failed_to_open(&e))?, loaded)
            }
            None => create(dir, &settings)?,
        };
        settle(&file)?;
        // Also where the files were there: who made them may have died before this.
        let synced = rotate::sync_files(dir).and_then(|()| rotate::sync(dir));
        synced.and_then(|()| rotate::sync_above(dir)).map_err(|e| {
            Error::unavailable("the log cannot be synced").at(dir.display()).found(e.to_string())
        })?;
        let mut state = State::new(Catalog::default(), settings.cache_bytes);
        state.lanes = opening::lanes(&loaded, &decoder, &pool)?;
        let rotation = Rotation {
            dir: dir.to_path_buf(),
            log: loaded.log,
            clock: settings.clock,
            number: loaded.catalog.newest(),
            bytes: file.bytes().map_err(|e| failed_to_open(&e))?,
            rotate_bytes: settings.rotate_bytes,
            due_at: settings.rotate_bytes,
        };
        state.catalog = loaded.catalog;
        let shared = Arc::new(Shared::new(state));
        let writer = start(shared.clone(), pool.clone(), file, rotation)?;
        Ok(EventLog {
            dir: dir.to_path_buf(),
            id: loaded.log,
            queue_bytes: settings.queue_bytes,
            decoder,
            pool,
            shared,
            writer,
            _lock: lock,
        })
    }

    /// Opens the log of a folder for reading only, while an engine may be writing it, from any process.
    ///
    /// # Errors
    /// `Unavailable` when there is none or it cannot be read.
    pub fn open_read_only(dir: &Path) -> Result<LogReader> {
        LogReader::open(dir)
    }

    /// Bytes that the log takes on disk, write-ahead logs included.
    pub fn bytes(&self) -> u64 {
        catalog::bytes(&self.dir)
    }

    /// Every lane that was ever appended to, by id.
    pub fn lanes(&self) -> Vec<LaneStatus> {
        let state = self.shared.state();
        let mut lanes: Vec<LaneStatus> = state
            .lanes
            .iter()
            .map(|(id, lane)| LaneStatus {
                lane: *id,
                tail: lane.tail(),
                waiting: lane.taken.0 - lane.durable.0,
                commit_time: lane.commit_time,
                damage: lane.damage.clone(),
            })
            .collect();
        lanes.sort_unstable_by_key(|status| status.lane);
        lanes
    }

    /// Waits until nothing is under way: all that was taken is durable, and every full file has its index and no WAL.
    /// Copying a file is safe then, as long as nobody appends.
    ///
    /// # Errors
    /// `Corrupt` once the log is poisoned.
    pub fn rest(&self) -> Result<()> {
        self.wait_until(State::is_at_rest)
    }

    /// Waits until all that was taken is durable and the writer sleeps; full files may still be being finished.
    ///
    /// # Errors
    /// `Corrupt` once the log is poisoned.
    pub fn flush(&self) -> Result<()> {
        self.wait_until(State::is_flushed)
    }

    fn wait_until(&self, reached: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.shared.state();
        state.resting += 1;
        state = wait(&self.shared.rest, state, |s| s.dead.is_none() && !reached(s));
        state.resting -= 1;
        state.alive()
    }

    /// Whether groups wait because the disk is full. Writing resumes by itself.
    pub fn is_disk_full(&self) -> bool {
        self.shared.state().space == Space::Full
    }

    /// Reads cached groups under the lock; says where to go on on disk.
    fn recent(
        &self,
        lane: LaneId,
        after: Offset,
        budget: &mut Budget,
        out: &mut Vec<Arc<Group>>,
    ) -> Result<Option<Run>> {
        let state = self.shared.state();
        let Some(standing) = state.lanes.get(&lane) else { return Ok(None) };
        if after.next() < standing.oldest {
            return Err(position_lost(lane, after, standing.oldest));
        }
        let mut next = after.next();
        while let Some(group) = state.cache.get(lane, next) {
            if !budget.take(group.body.changes(), group.body.memory()) {
                return Ok(None);
            }
            out.push(group.clone());
            next = next.next();
        }
        if is_planted(Defect::ShowUndurable) {
            let waiting = state.groups.iter().map(|queued| &queued.group);
            out.extend(waiting.filter(|g| g.lane == lane && g.offset >= next).cloned());
        }
        if next > standing.durable {
            return Ok(None);
        }
        let Some((number, entry, extent)) = state.catalog.holding(lane, next) else {
            let missing = crate::damage::Damage::new("no file holds it");
            return Err(missing.at(lane, next));
        };
        let mut upto = extent.last.min(standing.durable);
        if let Some(cached) = state.cache.first(lane).filter(|first| *first > next) {
            upto = upto.min(Offset(cached.0 - 1));
        }
        let range = (Offset(next.0 - 1), upto);
        let rows = entry.rows(lane, range);
        Ok(Some(Run { number, path: entry.path.clone(), range, rows }))
    }

    /// An error of reading, in the light of what was let go meanwhile.
    fn explain(&self, lane: LaneId, after: Offset, error: Error) -> Error {
        let state = self.shared.state();
        match state.lanes.get(&lane) {
            Some(standing) if after.next() < standing.oldest => {
                position_lost(lane, after, standing.oldest)
            }
            _ => error,
        }
    }
}

/// A piece of a lane in one file.
struct Run {
    number: u32,
    path: PathBuf,
    range: (Offset, Offset),
    rows: Option<Vec<i64>>,
}

fn lock(dir: &Path) -> Result<File> {
    let failed = |e: std::io::Error| {
        Error::unavailable("the folder of the log cannot be written")
            .at(dir.display())
            .found(e.to_string())
    };
    fs::create_dir_all(dir).map_err(failed)?;
    let lock = File::create(dir.join(WRITER_LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::unavailable("another engine writes this log").at(dir.display()))
        }
        Err(fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// Writes what is read back to another place, the file itself, and begins the WAL anew. After a sync that failed, the
/// system's memory shows frames that the disk has lost, and no second sync writes them; frames behind them would be
/// lost with them. Without space for it, or beside a reader, a sync must do.
fn settle(file: &HotFile) -> Result<()> {
    match file.checkpoint_all() {
        Err(e) if !is_harmless(&e) => Err(failed_to_open(&e)),
        _ => Ok(()),
    }
}

fn failed_to_open(error: &rusqlite::Error) -> Error {
    unreadable(error, "the newest file of the log cannot be opened")
}

fn create(dir: &Path, settings: &Settings) -> Result<(HotFile, Loaded)> {
    let log = LogId::mint((settings.random)());
    let path = catalog::path(dir, 1);
    let file = HotFile::create(&path, log, 1, settings.clock.now(), &[])
        .map_err(|e| failed_to_open(&e))?;
    let mut catalog = Catalog::default();
    catalog.files.insert(1, Entry::empty(path));
    Ok((file, Loaded { log, catalog, marks: Vec::new() }))
}

fn start(
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    file: HotFile,
    rotation: Rotation,
) -> Result<Writer> {
    let failed = |e: std::io::Error| {
        Error::unavailable("a thread of the log cannot be started").found(e.to_string())
    };
    let checkpointer = Checkpointer::start(shared.clone()).map_err(failed)?;
    let unfinished = shared.state().catalog.unindexed();
    // All are open before one is finished: nothing of an opening happens beside another thread.
    let open = |(number, path): (u32, PathBuf)| HotFile::open(&path).map(|file| (number, file));
    let files = unfinished.into_iter().map(open).collect::<rusqlite::Result<Vec<_>>>();
    for (number, file) in files.map_err(|e| failed_to_open(&e))? {
        checkpointer.seal(number, file);
    }
    let committer = Committer {
        shared: shared.clone(),
        pool,
        file,
        rotation,
        checkpointer,
        frames: Vec::new(),
        groups: Vec::new(),
        wal_bytes: 0,
        copying: Copying::NotYet,
        space: Space::Enough,
        took: Duration::ZERO,
    };
    Writer::start(shared, committer).map_err(failed)
}

impl Log for EventLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn append(&self, lane: LaneId, body: GroupBody) -> Result<Offset> {
        let encoded = Encoded::new(&body, &self.decoder.schemas, &self.decoder.squeezer);
        let memory = body.memory();
        let weight = memory + encoded.len();
        let mut state = self.shared.state();
        state = wait(&self.shared.room, state, |s| {
            let crowded = s.waiting > 0 && s.waiting + weight > self.queue_bytes;
            crowded && s.dead.is_none() && s.space == Space::Enough
        });
        state.alive()?;
        if state.space == Space::Full {
            return Err(disk_full());
        }
        let standing = state.lanes.entry(lane).or_default();
        standing.sound(lane)?;
        let offset = standing.taken.next();
        standing.taken = offset;
        state.frames.push(encoded.place(lane, offset, &body));
        let group = Arc::new(Group { lane, offset, body });
        state.groups.push(Queued { group, memory, weight });
        state.waiting += weight;
        let wanted = state.idle.filter(|_| !state.is_committing);
        if wanted.is_some_and(|wanted| state.frames.len() >= wanted) {
            state.idle = None;
            drop(state);
            self.shared.work.notify_one();
        }
        Ok(offset)
    }

    fn durable(&self, lane: LaneId, offset: Offset, patience: Duration) -> Result<bool> {
        let reached = |s: &State| s.lanes.get(&lane).is_some_and(|l| l.durable >= offset);
        let waits = |s: &mut State| s.dead.is_none() && !reached(s);
        let mut state = self.shared.state();
        if offset > Offset::START && waits(&mut state) {
            state = self.writer.commit_here(state, patience);
        }
        if offset > Offset::START && waits(&mut state) {
            state = match state.lanes.get_mut(&lane) {
                Some(standing) => {
                    standing.waiters += 1;
                    let moved = standing.moved.clone();
                    let mut state = wait_for(&moved, state, patience, waits);
                    let standing = state.lanes.get_mut(&lane).expect("lanes never go");
                    standing.waiters -= 1;
                    state
                }
                None => wait_for(&self.shared.news, state, patience, waits),
            };
        }
        if offset == Offset::START || reached(&state) {
            return Ok(true);
        }
        state.alive().map(|()| false)
    }

    fn tail(&self, lane: LaneId) -> Result<Tail> {
        let state = self.shared.state();
        match state.lanes.get(&lane) {
            Some(standing) => standing.sound(lane).map(|()| standing.tail()),
            None => Ok(Tail { oldest: Offset::START.next(), ..Tail::default() }),
        }
    }

    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>> {
        let mut budget = Budget::new(bounds);
        let mut out = Vec::new();
        loop {
            let at = out.last().map_or(after, |group: &Arc<Group>| group.offset);
            let run = match self.recent(lane, at, &mut budget, &mut out) {
                Ok(Some(run)) => run,
                Ok(None) => return Ok(out),
                Err(_) if !out.is_empty() => return Ok(out),
                Err(error) => return Err(error),
            };
            let (pool, decoder) = (&self.pool, &self.decoder);
            let read = pool.with(run.number, &run.path, |connection| {
                let rows = run.rows.as_deref();
                decoder.run(connection, lane, run.range, rows, &mut budget, &mut out)
            });
            match read {
                Ok(More::Perhaps) => {}
                Ok(More::No) => return Ok(out),
                Err(_) if !out.is_empty() => return Ok(out),
                Err(error) => return Err(self.explain(lane, run.range.0, error)),
            }
        }
    }

    fn changed(&self, seen: u64, patience: Duration) -> u64 {
        let state = self.shared.state();
        let unchanged = |s: &mut State| s.changes == seen && s.dead.is_none();
        wait_for(&self.shared.news, state, patience, unchanged).changes
    }

    fn trim(&self, lane: LaneId, upto: Offset) -> Result<()> {
        self.let_go(&[(lane, upto)])
    }
}
