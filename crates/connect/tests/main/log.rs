//! The log in memory passes the suite, and wrong ones do not.

use super::bite::assert_bites;
use super::wrong_log::{LogDefect, WrongLogs};
use change::LogId;
use connect::Log;
use connect::conformance::Arranged;
use connect::conformance::log::{LogHarness, all, checks};
use connect::memory::MemoryLog;
use std::sync::Arc;

/// A log in memory.
pub(super) struct Memory(MemoryLog);

impl Memory {
    pub(super) fn new() -> Self {
        Memory(MemoryLog::new(LogId::mint(0x1060)))
    }
}

impl LogHarness for Memory {
    fn open(&mut self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    fn crash(&mut self, _log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.0 = self.0.crash();
        self.open()
    }

    fn hold(&mut self) -> Arranged {
        self.0.hold();
        Arranged::Done
    }

    fn release(&mut self) {
        self.0.release();
    }

    fn fail_next_write(&mut self) -> Arranged {
        self.0.fail_next_write();
        Arranged::Done
    }

    fn fill_disk(&mut self) -> Arranged {
        self.0.fill_disk();
        Arranged::Done
    }
}

#[test]
fn the_log_in_memory_passes() {
    all(&mut || Box::new(Memory::new()));
}

const CAUGHT: [(&str, LogDefect); 17] = [
    ("offsets_are_dense", LogDefect::CountsFromZero),
    ("offsets_are_dense", LogDefect::SharesOffsetsBetweenLanes),
    ("groups_read_back_exactly", LogDefect::ForgetsParts),
    ("bounds_are_kept", LogDefect::IgnoresBounds),
    ("bounds_are_kept", LogDefect::BringsNothingThatIsTooLarge),
    ("an_empty_lane_is_no_error", LogDefect::EmptyLanesAreErrors),
    ("the_tail_tells_where_a_lane_stands", LogDefect::TailForgetsThePosition),
    ("changed_grows_and_wakes", LogDefect::NeverChanges),
    ("offsets_go_on_after_a_crash", LogDefect::StartsAgainAfterACrash),
    ("reading_behind_a_trim_is_lost", LogDefect::PassesOverWhatWasTrimmed),
    ("trimming_leaves_other_lanes", LogDefect::TrimsAllLanes),
    ("the_identity_stays", LogDefect::HasAnotherIdentityAtEachOpening),
    ("what_was_shown_survives_a_crash", LogDefect::LosesTheNewestInACrash),
    ("only_durable_groups_are_shown", LogDefect::ShowsBeforeDurable),
    ("durable_tells_when", LogDefect::SaysDurableTooEarly),
    ("a_failed_write_poisons", LogDefect::TakesAFailedWriteForASuccess),
    ("a_full_disk_takes_nothing", LogDefect::TakesWhatItRefuses),
];

#[test]
fn every_check_of_a_log_bites() {
    assert_bites(&checks(), &CAUGHT, |defect| match defect {
        Some(defect) => Box::new(WrongLogs::new(defect)) as Box<dyn LogHarness>,
        None => Box::new(Memory::new()),
    });
}
