//! A log in memory, whose disk a test holds in its hand: durability can wait, fail, fill up, and be lost in a crash.
//!
//! Not persistent. It keeps the log's promises to the letter: what it has shown is there after [`MemoryLog::crash`].

use crate::error::{Error, Result, State};
use crate::log::{Bounds, Log, Tail};
use change::{Group, GroupBody, LaneId, LogId, Offset, SourcePosition};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A log in memory. Clones are handles to the same log.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    id: LogId,
    /// Which opening of the log this handle belongs to.
    opening: u64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    disk: Mutex<Disk>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Disk {
    opening: u64,
    lanes: BTreeMap<LaneId, Lane>,
    writing: Writing,
    poisoned: bool,
    changes: u64,
}

/// What happens to the next write.
#[derive(Debug, Default, PartialEq, Eq)]
enum Writing {
    #[default]
    Works,
    Held,
    Fails,
    Full,
}

#[derive(Debug, Default)]
struct Lane {
    /// Offset of the newest group that was trimmed.
    trimmed: Offset,
    durable: Offset,
    position: Option<SourcePosition>,
    groups: VecDeque<Arc<Group>>,
}

impl Lane {
    fn newest(&self) -> Offset {
        Offset(self.trimmed.0 + self.groups.len() as u64)
    }

    /// Makes everything durable; says whether anything was not.
    fn settle(&mut self) -> bool {
        let moved = self.durable < self.newest();
        self.durable = self.newest();
        if let Some(newest) = self.groups.back() {
            self.position = Some(newest.body.upto.clone());
        }
        moved
    }
}

impl Disk {
    fn settle(&mut self) {
        let moved = self.lanes.values_mut().map(Lane::settle).filter(|moved| *moved).count();
        self.changes += u64::from(moved > 0);
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new(id: LogId) -> Self {
        MemoryLog { id, opening: 0, shared: Arc::default() }
    }

    /// From now on nothing becomes durable, until [`MemoryLog::release`].
    pub fn hold(&self) {
        self.disk().writing = Writing::Held;
    }

    /// Everything taken becomes durable, and so does what follows. Ends a full disk too.
    pub fn release(&self) {
        let mut disk = self.disk();
        disk.writing = Writing::Works;
        if !disk.poisoned {
            disk.settle();
        }
        self.shared.moved.notify_all();
    }

    /// The write of the next group fails, and of those that wait for the disk with it.
    pub fn fail_next_write(&self) {
        self.disk().writing = Writing::Fails;
    }

    /// The disk is full, until [`MemoryLog::release`].
    pub fn fill_disk(&self) {
        self.disk().writing = Writing::Full;
    }

    /// The machine loses power: what is not durable is gone. Returns the log as it is opened again; older handles
    /// are dead.
    #[must_use]
    pub fn crash(&self) -> MemoryLog {
        let mut disk = self.disk();
        for lane in disk.lanes.values_mut() {
            let kept = usize::try_from(lane.durable.0 - lane.trimmed.0).expect("groups in memory");
            lane.groups.truncate(kept);
        }
        disk.opening += 1;
        disk.poisoned = false;
        disk.writing = Writing::Works;
        let opening = disk.opening;
        drop(disk);
        self.shared.moved.notify_all();
        MemoryLog { id: self.id, opening, shared: self.shared.clone() }
    }

    /// What a copy of the log's folder would hold: the durable groups, as a log of their own under the same id.
    #[must_use]
    pub fn copy(&self) -> MemoryLog {
        let disk = self.disk();
        let lanes = disk.lanes.iter().map(|(id, lane)| {
            let kept = usize::try_from(lane.durable.0 - lane.trimmed.0).expect("groups in memory");
            let groups = lane.groups.iter().take(kept).cloned().collect();
            let (trimmed, durable) = (lane.trimmed, lane.durable);
            (*id, Lane { trimmed, durable, position: lane.position.clone(), groups })
        });
        let copied = Disk { lanes: lanes.collect(), ..Disk::default() };
        let shared = Shared { disk: Mutex::new(copied), moved: Condvar::new() };
        MemoryLog { id: self.id, opening: 0, shared: Arc::new(shared) }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.shared.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, as long as this handle is of its newest opening.
    fn open(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.disk();
        self.alive(&disk)?;
        Ok(disk)
    }

    fn alive(&self, disk: &Disk) -> Result<()> {
        if disk.opening == self.opening {
            return Ok(());
        }
        Err(Error::corrupt("this handle is of a log that crashed").state(State::LogCorrupt))
    }

    /// Waits on the disk until `done` gives an answer or the patience is at its end.
    fn wait<T>(
        &self,
        patience: Duration,
        mut done: impl FnMut(&Disk) -> Option<T>,
    ) -> Result<T, MutexGuard<'_, Disk>> {
        let started = Instant::now();
        let mut disk = self.disk();
        loop {
            if let Some(answer) = done(&disk) {
                return Ok(answer);
            }
            let Some(left) = patience.checked_sub(started.elapsed()).filter(|l| !l.is_zero())
            else {
                return Err(disk);
            };
            disk = match self.shared.moved.wait_timeout(disk, left) {
                Ok((disk, _)) => disk,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

fn poisoned() -> Error {
    Error::corrupt("a write to the log failed")
        .state(State::LogCorrupt)
        .effect("nothing more is taken until the log is opened again and read from disk")
}

impl Log for MemoryLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn append(&self, lane: LaneId, body: GroupBody) -> Result<Offset> {
        let mut disk = self.open()?;
        if disk.poisoned {
            return Err(poisoned());
        }
        if disk.writing == Writing::Full {
            return Err(Error::unavailable("the disk of the log is full").state(State::DiskFull));
        }
        let in_lane = disk.lanes.entry(lane).or_default();
        let offset = in_lane.newest().next();
        in_lane.groups.push_back(Arc::new(Group { lane, offset, body }));
        match disk.writing {
            Writing::Works => disk.settle(),
            Writing::Fails => disk.poisoned = true,
            Writing::Held | Writing::Full => return Ok(offset),
        }
        self.shared.moved.notify_all();
        Ok(offset)
    }

    fn durable(&self, lane: LaneId, offset: Offset, patience: Duration) -> Result<bool> {
        let answer = self.wait(patience, |disk| {
            if let Err(dead) = self.alive(disk) {
                return Some(Err(dead));
            }
            let durable = disk.lanes.get(&lane).map_or(Offset::START, |lane| lane.durable);
            match () {
                () if durable >= offset => Some(Ok(true)),
                () if disk.poisoned => Some(Err(poisoned())),
                () => None,
            }
        });
        answer.unwrap_or(Ok(false))
    }

    fn tail(&self, lane: LaneId) -> Result<Tail> {
        let disk = self.open()?;
        Ok(match disk.lanes.get(&lane) {
            Some(lane) => Tail {
                oldest: lane.trimmed.next(),
                durable: lane.durable,
                position: lane.position.clone(),
            },
            None => Tail { oldest: Offset::START.next(), durable: Offset::START, position: None },
        })
    }

    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>> {
        let disk = self.open()?;
        let Some(lane) = disk.lanes.get(&lane) else { return Ok(Vec::new()) };
        if after < lane.trimmed {
            return Err(Error::invalid("the log no longer holds this place")
                .found(format!("wanted behind {after}, oldest is {}", lane.trimmed.next()))
                .state(State::PositionLost));
        }
        let (mut changes, mut bytes) = (0, 0);
        let skipped = usize::try_from(after.0 - lane.trimmed.0).unwrap_or(usize::MAX);
        let durable = lane.groups.iter().skip(skipped).take_while(|g| g.offset <= lane.durable);
        let fitting = durable.enumerate().take_while(|(i, group)| {
            changes += group.body.changes();
            bytes += group.body.memory();
            *i == 0 || (changes <= bounds.changes && bytes <= bounds.bytes)
        });
        Ok(fitting.map(|(_, group)| group.clone()).collect())
    }

    fn changed(&self, seen: u64, patience: Duration) -> u64 {
        self.wait(patience, |disk| (disk.changes != seen).then_some(disk.changes))
            .unwrap_or_else(|disk| disk.changes)
    }

    fn trim(&self, lane: LaneId, upto: Offset) -> Result<()> {
        let mut disk = self.open()?;
        if let Some(lane) = disk.lanes.get_mut(&lane) {
            while lane.trimmed < upto.min(lane.durable) {
                lane.groups.pop_front();
                lane.trimmed = lane.trimmed.next();
            }
        }
        Ok(())
    }
}
