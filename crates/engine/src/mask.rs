//! What a changed mask means for a lane: nothing that was logged under another mask is read by a flow that begins.
//!
//! The masks themselves are applied where a site is opened (`connect::Connectors`). Here: the first time that a lane
//! is opened under another mask of a table, its snapshot and the letters of the flows that read it are forgotten,
//! and the place is remembered. A flow's definition names its masks, so such flows take new snapshots.

use crate::assembly::Assembly;
use change::{LaneId, Offset};
use connect::Result;
use flow::{Flow, Site};
use std::collections::{BTreeMap, BTreeSet};

/// Notices masks that are not those of the last time. Called before anything of the lane is read or written.
///
/// # Errors
/// The state file or the log cannot be used.
pub(crate) fn settle(assembly: &Assembly, lane: LaneId, site: &Site) -> Result<()> {
    let mut readers = BTreeMap::<&str, BTreeSet<&str>>::new();
    let flows = assembly.project.flows.iter().filter(|flow| flow.captures());
    for flow in flows.filter(|flow| flow.sites.contains(&site.name)) {
        for table in &flow.tables {
            readers.entry(&table.source).or_default().insert(&flow.name);
        }
    }
    for (table, flows) in readers {
        let definition = site.settings.masks.definition(table);
        if assembly.state.mask(lane, table)?.definition == definition {
            continue;
        }
        let tail = assembly.log.tail(lane)?.durable;
        assembly.state.change_mask(lane, table, &definition, tail, &flows)?;
    }
    Ok(())
}

/// The place of the lane behind which all of a flow's tables were logged under the masks they have now.
///
/// # Errors
/// The state file cannot be read.
pub(crate) fn floor(assembly: &Assembly, lane: LaneId, flow: &Flow) -> Result<Offset> {
    let mut floor = Offset::START;
    for table in &flow.tables {
        floor = floor.max(assembly.state.mask(lane, &table.source)?.since);
    }
    Ok(floor)
}
