//! A log that is wrong in one way.

use change::{Group, GroupBody, LaneId, LogId, Offset, Part};
use connect::conformance::Arranged;
use connect::conformance::log::LogHarness;
use connect::memory::MemoryLog;
use connect::{Bounds, Error, Log, Result, State, Tail};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LogDefect {
    CountsFromZero,
    SharesOffsetsBetweenLanes,
    ForgetsParts,
    IgnoresBounds,
    BringsNothingThatIsTooLarge,
    EmptyLanesAreErrors,
    TailForgetsThePosition,
    NeverChanges,
    StartsAgainAfterACrash,
    PassesOverWhatWasTrimmed,
    TrimsAllLanes,
    HasAnotherIdentityAtEachOpening,
    LosesTheNewestInACrash,
    ShowsBeforeDurable,
    SaysDurableTooEarly,
    TakesAFailedWriteForASuccess,
    TakesWhatItRefuses,
}

/// Makes a wrong log, and the same again.
pub(crate) struct WrongLogs {
    memory: MemoryLog,
    openings: u64,
    crashed: bool,
    lanes: Arc<Mutex<BTreeSet<LaneId>>>,
    defect: LogDefect,
}

impl WrongLogs {
    pub(crate) fn new(defect: LogDefect) -> Self {
        let memory = MemoryLog::new(LogId::mint(0x1060));
        WrongLogs { memory, openings: 0, crashed: false, lanes: Arc::default(), defect }
    }
}

impl LogHarness for WrongLogs {
    fn open(&mut self) -> Arc<dyn Log> {
        self.openings += 1;
        Arc::new(WrongLog {
            memory: self.memory.clone(),
            opening: self.openings,
            crashed: self.crashed,
            lanes: self.lanes.clone(),
            defect: self.defect,
        })
    }

    fn crash(&mut self, _log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.crashed = true;
        self.memory = match self.defect {
            LogDefect::StartsAgainAfterACrash => MemoryLog::new(self.memory.id()),
            _ => self.memory.crash(),
        };
        self.open()
    }

    fn hold(&mut self) -> Arranged {
        if self.defect != LogDefect::ShowsBeforeDurable {
            self.memory.hold();
        }
        Arranged::Done
    }

    fn release(&mut self) {
        self.memory.release();
    }

    fn fail_next_write(&mut self) -> Arranged {
        if self.defect != LogDefect::TakesAFailedWriteForASuccess {
            self.memory.fail_next_write();
        }
        Arranged::Done
    }

    fn fill_disk(&mut self) -> Arranged {
        self.memory.fill_disk();
        Arranged::Done
    }
}

struct WrongLog {
    memory: MemoryLog,
    opening: u64,
    crashed: bool,
    lanes: Arc<Mutex<BTreeSet<LaneId>>>,
    defect: LogDefect,
}

impl Log for WrongLog {
    fn id(&self) -> LogId {
        match self.defect {
            LogDefect::HasAnotherIdentityAtEachOpening => LogId::mint(self.opening),
            _ => self.memory.id(),
        }
    }

    fn append(&self, lane: LaneId, body: GroupBody) -> Result<Offset> {
        let mut lanes = self.lanes.lock().unwrap();
        lanes.insert(lane);
        let others: u64 = match self.defect {
            LogDefect::SharesOffsetsBetweenLanes => {
                let others = lanes.iter().filter(|other| **other != lane);
                others.map(|other| self.memory.tail(*other).unwrap().durable.0).sum()
            }
            _ => 0,
        };
        match self.memory.append(lane, body.clone()) {
            Ok(offset) if self.defect == LogDefect::CountsFromZero => Ok(Offset(offset.0 - 1)),
            Ok(offset) if others > 0 => Ok(Offset(offset.0 + others)),
            Err(full) if self.defect == LogDefect::TakesWhatItRefuses => {
                self.memory.release();
                self.memory.append(lane, body)?;
                self.memory.fill_disk();
                Err(full)
            }
            appended => appended,
        }
    }

    fn durable(&self, lane: LaneId, offset: Offset, patience: Duration) -> Result<bool> {
        match self.defect {
            LogDefect::SaysDurableTooEarly | LogDefect::SharesOffsetsBetweenLanes => Ok(true),
            _ => self.memory.durable(lane, offset, patience),
        }
    }

    fn tail(&self, lane: LaneId) -> Result<Tail> {
        let tail = self.memory.tail(lane)?;
        match self.defect {
            LogDefect::TailForgetsThePosition => Ok(Tail { position: None, ..tail }),
            LogDefect::EmptyLanesAreErrors if tail.durable == Offset::START => {
                Err(Error::invalid("there is no such lane"))
            }
            _ => Ok(tail),
        }
    }

    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>> {
        let all = Bounds { changes: usize::MAX, bytes: usize::MAX };
        let bounds = if self.defect == LogDefect::IgnoresBounds { all } else { bounds };
        let mut groups = match self.memory.read(lane, after, bounds) {
            Err(lost) if lost.state == Some(State::PositionLost) => {
                if self.defect != LogDefect::PassesOverWhatWasTrimmed {
                    return Err(lost);
                }
                let oldest = self.memory.tail(lane)?.oldest;
                self.memory.read(lane, Offset(oldest.0 - 1), bounds)?
            }
            read => read?,
        };
        match self.defect {
            LogDefect::LosesTheNewestInACrash if self.crashed => {
                let newest = self.memory.tail(lane)?.durable;
                groups.retain(|group| group.offset < newest);
            }
            LogDefect::BringsNothingThatIsTooLarge => {
                groups.retain(|group| group.body.changes() <= bounds.changes);
            }
            LogDefect::ForgetsParts => {
                for group in &mut groups {
                    Arc::make_mut(group).body.part = Part::WHOLE;
                }
            }
            _ => {}
        }
        Ok(groups)
    }

    fn changed(&self, seen: u64, patience: Duration) -> u64 {
        match self.defect {
            LogDefect::NeverChanges => seen,
            _ => self.memory.changed(seen, patience),
        }
    }

    fn trim(&self, lane: LaneId, upto: Offset) -> Result<()> {
        if self.defect == LogDefect::TrimsAllLanes {
            for other in self.lanes.lock().unwrap().iter() {
                self.memory.trim(*other, upto)?;
            }
        }
        self.memory.trim(lane, upto)
    }
}
