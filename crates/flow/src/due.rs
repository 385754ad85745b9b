//! When a schedule that is being served is due, and what is remembered of it.
//!
//! An engine remembers one instant for each schedule: the fire whose run it started last. Fires after it are due
//! as the flow's `catch_up` says; a run that takes longer than the interval only makes them wait. The invariant: a
//! fire that was remembered never starts a run again, and making up for missed fires moves no later one.
//!
//! A schedule that was edited goes on from the fire that ran last under the old one.

use crate::flow::CatchUp;
use crate::schedule::Schedule;
use change::planted::{Defect, is_planted};

/// What an engine knows of a schedule it serves, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The fire whose run was started last; before the first, when the schedule was seen first.
    pub last_us: i64,
    /// Since when this engine is looking: what came before was missed.
    pub since_us: i64,
}

impl Schedule {
    /// The fire whose run is to be started at `now_us`, if any.
    ///
    /// `all` gives the oldest that has not run, so that all run in order; `latest` the newest, which covers those
    /// before it; `none` the newest of those that came while this engine was looking.
    pub fn due(&self, served: Served, now_us: i64, catch_up: CatchUp) -> Option<i64> {
        let newest = || self.last_before(now_us.saturating_add(1));
        match catch_up {
            CatchUp::All => self.next_after(served.last_us).filter(|fire| *fire <= now_us),
            CatchUp::Latest => newest().filter(|fire| *fire > served.last_us),
            CatchUp::None => newest().filter(|fire| *fire > served.last_us.max(served.since_us)),
        }
    }

    /// What to remember as [`Served::last_us`] once the run of a fire was started: the fire, not the time of its
    /// start, or the regular fires between both would be passed over.
    pub fn started(&self, fire_us: i64, served: Served, now_us: i64) -> i64 {
        if is_planted(Defect::BackfillMovesNext) && fire_us <= served.since_us {
            return self.next_after(now_us).unwrap_or(now_us);
        }
        fire_us
    }
}
