//! Letting go of old groups: by hand, by age, by size. Space comes back by whole files.
//!
//! Invariants: nothing behind a floor is let go; a trim works on a full disk, because files are removed even where
//! the mark of it cannot be written.

use crate::catalog;
use crate::log::EventLog;
use crate::shared::wait;
use change::{LaneId, Offset};
use connect::Result;
use std::collections::BTreeMap;

/// What may be let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Files whose newest commit is older than this go; microseconds since 1970-01-01T00:00:00Z.
    pub cutoff: Option<i64>,
    /// Oldest files go until the log takes no more than this.
    pub max_bytes: Option<u64>,
    /// The oldest offset of each lane that must stay; a lane that is not named has no floor.
    pub floors: BTreeMap<LaneId, Offset>,
}

/// Why groups were let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// They are older than the policy keeps.
    Age,
    /// The log takes more space than the policy allows.
    Size,
}

/// What was let go of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LetGo {
    /// The lane.
    pub lane: LaneId,
    /// Oldest offset let go.
    pub from: Offset,
    /// Newest offset let go.
    pub upto: Offset,
    /// Why.
    pub because: Because,
}

impl EventLog {
    /// Lets go of whole files, oldest first, as far as the policy says and the floors allow.
    ///
    /// # Errors
    /// `Corrupt` once the log is poisoned.
    pub fn trim_by_policy(&self, policy: &Policy) -> Result<Vec<LetGo>> {
        let going = self.going(policy);
        let marks: Vec<(LaneId, Offset)> = going.iter().map(|g| (g.lane, g.upto)).collect();
        self.let_go(&marks)?;
        Ok(going)
    }

    /// Moves lanes' oldest offsets on, and waits until the writer has removed what is free now.
    pub(crate) fn let_go(&self, marks: &[(LaneId, Offset)]) -> Result<()> {
        let mut state = self.shared.state();
        state.alive()?;
        let mut moved = false;
        for (lane, upto) in marks {
            let Some(standing) = state.lanes.get_mut(lane) else { continue };
            let upto = (*upto).min(standing.durable);
            if upto >= standing.oldest {
                standing.oldest = upto.next();
                state.cache.let_go(*lane, upto);
                state.trimmed.insert(*lane, upto);
                moved = true;
            }
        }
        if !moved {
            return Ok(());
        }
        state.trims.0 += 1;
        let mine = state.trims.0;
        self.shared.work.notify_one();
        let state = wait(&self.shared.room, state, |s| s.trims.1 < mine && s.dead.is_none());
        state.alive()
    }

    /// What a policy lets go, without doing it.
    fn going(&self, policy: &Policy) -> Vec<LetGo> {
        let sizes = self.sizes();
        let mut total: u64 = sizes.values().sum();
        let state = self.shared.state();
        let newest = state.catalog.newest();
        let mut going: BTreeMap<LaneId, LetGo> = BTreeMap::new();
        for (number, entry) in state.catalog.files.iter().filter(|(n, _)| **n != newest) {
            let age = entry.lanes.values().map(|e| e.commit_time).max();
            let old = policy.cutoff.is_some_and(|cutoff| age.is_none_or(|age| age < cutoff));
            let large = policy.max_bytes.is_some_and(|most| total > most);
            let held = entry.lanes.iter().any(|(lane, extent)| {
                policy.floors.get(lane).is_some_and(|floor| *floor <= extent.last)
            });
            if held || !(old || large) {
                break;
            }
            total -= sizes.get(number).copied().unwrap_or(0);
            let because = if old { Because::Age } else { Because::Size };
            for (lane, extent) in &entry.lanes {
                let oldest = state.lanes.get(lane).map_or(Offset::START, |l| l.oldest);
                let piece = LetGo { lane: *lane, from: oldest, upto: extent.last, because };
                if oldest <= extent.last {
                    going.entry(*lane).or_insert(piece).upto = extent.last;
                }
            }
        }
        going.into_values().collect()
    }

    fn sizes(&self) -> BTreeMap<u32, u64> {
        let paths: Vec<_> = {
            let state = self.shared.state();
            state.catalog.files.iter().map(|(n, entry)| (*n, entry.path.clone())).collect()
        };
        paths.into_iter().map(|(number, path)| (number, catalog::file_bytes(&path))).collect()
    }
}
