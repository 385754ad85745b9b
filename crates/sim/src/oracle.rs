//! Says whether an invariant was broken, from what it has seen itself.
//!
//! It keeps its own books of what was committed at each source, in plain numbers and words, and shares no decode,
//! transform or compare code with the engine or the proof. What it knows of the engine it learns at the edges: from
//! what was appended, acknowledged and committed.

mod checks;
mod ledger;

pub use checks::{Found, View, Waiting, rows_of};
pub use ledger::{Books, Row, Rows, SiteLedger};

use crate::drill::Violation;
use change::{FlowId, Generation, GroupBody, GroupKind, LaneId, Offset, SnapshotId};
use connect::Log;
use connect::memory::MemoryLog;
use std::collections::{BTreeMap, BTreeSet};

/// What the oracle keeps of one group that the log took.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The source's place behind it.
    pub upto: u64,
    /// Changes in it.
    pub changes: u64,
    /// The piece of a snapshot that it is: table, snapshot, whether the first, whether the last.
    pub chunk: Option<(String, SnapshotId, bool, bool)>,
}

/// How far a flow was seen in a lane.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Progress.
    pub offset: u64,
    /// Changes counted.
    pub read: u64,
    /// Snapshots under way, by table.
    pub chain: BTreeMap<String, SnapshotId>,
    /// Tables whose snapshot the flow has applied from its first piece to its last.
    pub covered: BTreeSet<String>,
}

/// How far each flow's generation was seen in each lane.
pub type SeenFlows = BTreeMap<(FlowId, Generation, LaneId), Seen>;

/// The oracle.
#[derive(Default)]
pub struct Oracle {
    /// What was committed, by site.
    pub sites: BTreeMap<String, SiteLedger>,
    /// What the log took, by lane and offset.
    pub groups: BTreeMap<LaneId, BTreeMap<u64, Noted>>,
    /// Lanes of sites.
    pub lanes: BTreeMap<String, LaneId>,
    /// Whether sources send only the cells of a row that changed.
    pub sends_parts: bool,
    /// Flows as they were seen last.
    pub seen: SeenFlows,
    /// Target rows that a foreign hand has changed, and nobody has mended since: table, site, key.
    pub tampered: BTreeSet<(String, String, i64)>,
    /// Offsets of lanes up to which everything is of a history that was given up.
    pub void: BTreeMap<LaneId, u64>,
    /// Situations that were reached.
    pub situations: BTreeSet<&'static str>,
    /// The log as it is open now.
    pub log: Option<MemoryLog>,
    broken: Option<Violation>,
}

impl Oracle {
    /// The site of a lane, for people.
    pub fn site_of(&self, lane: LaneId) -> &str {
        let found = self.lanes.iter().find(|(_, id)| **id == lane);
        found.map_or("a new lane", |(site, _)| site)
    }

    /// A situation was reached.
    pub fn reached(&mut self, situation: &'static str) {
        self.situations.insert(situation);
    }

    /// A situation was reached, if so.
    pub fn reached_when(&mut self, so: bool, situation: &'static str) {
        if so {
            self.reached(situation);
        }
    }

    /// An invariant is broken; the first one counts.
    pub fn broke(&mut self, invariant: &'static str, what: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Violation::new(invariant, what));
        }
    }

    /// What was broken first.
    pub fn verdict(&mut self) -> Option<Violation> {
        self.broken.take()
    }

    /// The log took a group.
    pub fn appended(&mut self, lane: LaneId, offset: Offset, body: &GroupBody) {
        let chunk = match &body.kind {
            GroupKind::Snapshot(chunk) => {
                let (first, last) = (chunk.after.is_none(), chunk.upto.is_none());
                Some((chunk.table.clone(), chunk.id, first, last))
            }
            GroupKind::Changes | GroupKind::Repair => None,
        };
        self.reached_when(chunk.is_some(), "snapshot_chunk");
        self.reached_when(!body.part.last, "transaction_in_parts");
        let noted = Noted { upto: body.upto.sequence, changes: body.changes() as u64, chunk };
        let groups = self.groups.entry(lane).or_default();
        // What lay behind was lost in a power cut: the lane goes on from here.
        groups.split_off(&offset.0);
        groups.insert(offset.0, noted);
        let newest = offset.0;
        let durable = self.durable(lane).map_or(0, |(offset, _)| offset);
        if newest.saturating_sub(durable) > checks::WAITING_MOST {
            let waiting = newest - durable;
            self.broke("M bounded", format!("{waiting} groups of one lane wait for the disk"));
        }
    }

    /// The durable end of a lane: offset and source position.
    fn durable(&self, lane: LaneId) -> Option<(u64, u64)> {
        let tail = self.log.as_ref()?.tail(lane).ok()?;
        Some((tail.durable.0, tail.position.map_or(0, |position| position.sequence)))
    }

    /// The source was told that everything up to a place is durable.
    pub fn acknowledged(&mut self, site: &str, upto: u64) {
        let Some(lane) = self.lanes.get(site).copied() else { return };
        let Some((offset, durable)) = self.durable(lane) else { return };
        if upto > durable {
            self.broke(
                "A ack after durable",
                format!(
                    "{site} was acknowledged up to {upto}; durable is {durable} (offset {offset})"
                ),
            );
        }
    }

    /// A site's history is another now: what flows have seen of it counts no more.
    pub fn forget_coverage(&mut self, site: &str) {
        let Some(lane) = self.lanes.get(site).copied() else { return };
        let newest = self.groups.get(&lane).and_then(|groups| groups.keys().next_back().copied());
        self.void.insert(lane, newest.unwrap_or(0));
        uncover(&mut self.seen, lane);
    }
}

/// What flows have seen of a lane counts no more.
pub fn uncover(seen: &mut SeenFlows, lane: LaneId) {
    for ((_, _, of), seen) in seen {
        if *of == lane {
            seen.covered.clear();
            seen.chain.clear();
        }
    }
}
