//! The suite that every [`Log`] passes: one function for each behaviour, and [`all`].
//!
//! A harness opens one log, again and again, and lets its disk do what disks do where it can.

use super::check::{Arranged, Check, Outcome, checks, fails, run_all, stops};
use crate::error::{Kind, State};
use crate::log::{Bounds, Log, Tail};
use crate::memory::sample::{rows, shape, text};
use change::{
    ChangeBatch, ColumnType, Group, GroupBody, GroupKind, LaneId, Offset, Op, Part, SourcePosition,
    Value,
};
use std::sync::Arc;
use std::time::Duration;

mod failure;
mod order;

pub use failure::{
    a_failed_write_poisons, a_full_disk_takes_nothing, durable_tells_when,
    only_durable_groups_are_shown, the_identity_stays, what_was_shown_survives_a_crash,
};
pub use order::{
    an_empty_lane_is_no_error, bounds_are_kept, changed_grows_and_wakes, groups_read_back_exactly,
    offsets_are_dense, offsets_go_on_after_a_crash, reading_behind_a_trim_is_lost,
    the_tail_tells_where_a_lane_stands, trimming_leaves_other_lanes,
};

/// One log of a system, and what a check needs done to it.
pub trait LogHarness {
    /// Opens the log: an empty one at first, later the same one. Earlier handles are dropped by then.
    fn open(&mut self) -> Arc<dyn Log>;

    /// Lets the process die with the log open, and opens it again: what is not durable may be lost.
    fn crash(&mut self, log: Arc<dyn Log>) -> Arc<dyn Log>;

    /// Nothing becomes durable from now on, until [`LogHarness::release`].
    fn hold(&mut self) -> Arranged {
        Arranged::NotPossible
    }

    /// Ends what [`LogHarness::hold`] and [`LogHarness::fill_disk`] began.
    fn release(&mut self) {}

    /// The next write fails with an I/O error.
    fn fail_next_write(&mut self) -> Arranged {
        Arranged::NotPossible
    }

    /// The disk is full from now on, until [`LogHarness::release`].
    fn fill_disk(&mut self) -> Arranged {
        Arranged::NotPossible
    }

    /// How many groups of one change surely fill a file, so that trimming can let go of it.
    fn groups_in_a_file(&self) -> u64 {
        1
    }

    /// Names of the checks that need not be possible.
    fn excused(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Every check, in the order [`all`] runs them.
pub fn checks() -> Vec<Check<dyn LogHarness>> {
    checks![
        order::offsets_are_dense,
        order::groups_read_back_exactly,
        order::bounds_are_kept,
        order::an_empty_lane_is_no_error,
        order::the_tail_tells_where_a_lane_stands,
        order::changed_grows_and_wakes,
        order::offsets_go_on_after_a_crash,
        order::reading_behind_a_trim_is_lost,
        order::trimming_leaves_other_lanes,
        failure::the_identity_stays,
        failure::what_was_shown_survives_a_crash,
        failure::only_durable_groups_are_shown,
        failure::durable_tells_when,
        failure::a_failed_write_poisons,
        failure::a_full_disk_takes_nothing,
    ]
}

/// Runs every check, each on a harness of its own.
///
/// # Panics
/// With the first promise that is broken, and when a check was not possible that the harness does not excuse.
pub fn all(make: &mut dyn FnMut() -> Box<dyn LogHarness>) {
    run_all(&checks(), make, |harness| harness.excused());
}

/// Long enough for any disk; a check that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn lane(number: u64) -> LaneId {
    LaneId::mint(0xA000 + number)
}

fn place(sequence: u64) -> SourcePosition {
    SourcePosition { sequence, detail: Some(format!("tag {sequence}")) }
}

/// A group of `changes` inserts into one table, told from all others by `number`.
fn body(number: u64, changes: u64) -> GroupBody {
    let schema = shape(&[("id", ColumnType::Int64), ("name", ColumnType::Text)], &["id"]);
    let signed = |n: u64| i64::try_from(n).expect("small");
    let new: Vec<_> = (0..changes)
        .map(|i| vec![Value::Int(signed(number * 1000 + i)), text(&format!("row {number}.{i}"))])
        .collect();
    let old = vec![vec![Value::Null; 2]; new.len()];
    let ordinals = (0..u32::try_from(changes).expect("small")).collect();
    let ops = vec![Op::Insert; new.len()];
    let (old, new) = (rows(&schema, &old), rows(&schema, &new));
    GroupBody {
        kind: GroupKind::Changes,
        part: Part::WHOLE,
        after: place(number * 10),
        upto: place(number * 10 + 10),
        commit_time: signed(number),
        batches: vec![ChangeBatch::new("items".into(), schema, ops, ordinals, old, new)],
    }
}

/// Appends a group and waits until it is durable.
fn settle(log: &dyn Log, lane: LaneId, body: GroupBody) -> Offset {
    let offset = log.append(lane, body).expect("the log takes it");
    assert!(log.durable(lane, offset, PATIENCE).expect("the disk works"), "it never gets durable");
    offset
}

/// Everything that the log shows of a lane.
fn shown(log: &dyn Log, lane: LaneId, after: Offset) -> Vec<Arc<Group>> {
    let all = Bounds { changes: usize::MAX, bytes: usize::MAX };
    let mut groups: Vec<Arc<Group>> = Vec::new();
    loop {
        let behind = groups.last().map_or(after, |group| group.offset);
        let more = log.read(lane, behind, all).expect("the lane is readable");
        if more.is_empty() {
            return groups;
        }
        groups.extend(more);
    }
}

fn offsets(groups: &[Arc<Group>]) -> Vec<u64> {
    groups.iter().map(|group| group.offset.0).collect()
}
