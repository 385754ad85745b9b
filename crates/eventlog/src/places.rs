//! Where frames lie in a file that has no index yet.
//!
//! Frames are written one behind the other, whatever their lanes: a commit of a thousand lanes touches the pages that
//! its bytes fill and no others. An index by lane would touch a page for each lane; it is made once the file is full.
//! Until then these places are in memory, noted at writing and found again by a scan at opening.

use change::{LaneId, Offset};
use std::collections::HashMap;

/// Row numbers by lane and offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    lanes: HashMap<LaneId, Vec<(Offset, i64)>>,
    newest: i64,
}

impl Places {
    /// Notes a frame.
    pub(crate) fn note(&mut self, lane: LaneId, offset: Offset, row: i64) {
        self.newest = self.newest.max(row);
        let places = self.lanes.entry(lane).or_default();
        match places.last() {
            // Only a damaged file has offsets out of order.
            Some((last, _)) if *last >= offset => {
                let at = places.partition_point(|(there, _)| *there < offset);
                places.insert(at, (offset, row));
            }
            _ => places.push((offset, row)),
        }
    }

    /// Rows of a lane's frames behind `after` up to `upto`, in order, at most `most` of them.
    pub(crate) fn between(
        &self,
        lane: LaneId,
        (after, upto): (Offset, Offset),
        most: usize,
    ) -> Vec<i64> {
        let places = self.lanes.get(&lane).map_or(&[][..], Vec::as_slice);
        let start = places.partition_point(|(offset, _)| *offset <= after);
        let behind = places[start..].iter().take_while(|(offset, _)| *offset <= upto);
        behind.take(most).map(|(_, row)| *row).collect()
    }

    /// The newest row noted.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }
}
