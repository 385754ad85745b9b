//! The groups appended last, so that a consumer that keeps up never decodes a frame.
//!
//! Bounded in bytes; a lane's cached groups are always a run without a gap that ends at its newest durable one.

use change::{Group, LaneId, Offset};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A bounded set of groups.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    bytes: usize,
    /// Order of arrival over all lanes, with the bytes of each.
    order: VecDeque<(LaneId, usize)>,
    lanes: HashMap<LaneId, VecDeque<Arc<Group>>>,
}

impl Cache {
    /// An empty cache of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Cache { limit, bytes: 0, order: VecDeque::new(), lanes: HashMap::new() }
    }

    /// Takes in the newest durable group of a lane; lets go of the oldest of all lanes where space is short.
    pub(crate) fn push(&mut self, group: Arc<Group>, bytes: usize) {
        let lane = group.lane;
        self.lanes.entry(lane).or_default().push_back(group);
        self.order.push_back((lane, bytes));
        self.bytes += bytes;
        while self.bytes > self.limit {
            let Some((lane, bytes)) = self.order.pop_front() else { break };
            self.bytes -= bytes;
            if let Some(groups) = self.lanes.get_mut(&lane) {
                groups.pop_front();
                if groups.is_empty() {
                    self.lanes.remove(&lane);
                }
            }
        }
    }

    /// The group at an offset, if it is here.
    pub(crate) fn get(&self, lane: LaneId, offset: Offset) -> Option<&Arc<Group>> {
        let groups = self.lanes.get(&lane)?;
        let first = groups.front()?.offset;
        let place = offset.0.checked_sub(first.0)?;
        groups.get(usize::try_from(place).ok()?)
    }

    /// Drops a lane's groups up to and including `upto`; their bytes are given back in the order of arrival.
    pub(crate) fn let_go(&mut self, lane: LaneId, upto: Offset) {
        let Some(groups) = self.lanes.get_mut(&lane) else { return };
        let gone = groups.iter().take_while(|group| group.offset <= upto).count();
        groups.drain(..gone);
        if groups.is_empty() {
            self.lanes.remove(&lane);
        }
        let mut left = gone;
        let bytes = &mut self.bytes;
        self.order.retain(|(owner, size)| {
            let goes = *owner == lane && left > 0;
            if goes {
                left -= 1;
                *bytes -= size;
            }
            !goes
        });
    }

    /// The oldest offset of a lane that is here.
    pub(crate) fn first(&self, lane: LaneId) -> Option<Offset> {
        Some(self.lanes.get(&lane)?.front()?.offset)
    }
}
