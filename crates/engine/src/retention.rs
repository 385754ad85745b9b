//! What of the log is still needed: the floors below which a policy may trim.
//!
//! Not the policy: age and size are the log's business. Invariant: what a live flow has not applied stays.

use crate::engine::Engine;
use crate::ledger;
use change::planted::{Defect, is_planted};
use change::{LaneId, Offset};
use connect::{Readable, Result};
use flow::Apply;
use std::collections::BTreeMap;

/// The oldest offset that each lane must keep: what its slowest flow has not applied, the group that the flow took
/// last, and its newest group, which says where capture resumes.
///
/// # Errors
/// A target cannot be asked for its progress now.
pub fn floors(engine: &Engine) -> Result<BTreeMap<LaneId, Offset>> {
    let assembly = &engine.assembly;
    let mut floors = BTreeMap::new();
    for flow in assembly.project.flows.iter().filter(|flow| flow.captures()) {
        let Some(identity) = assembly.state.flow(&flow.name)? else { continue };
        let progress = match flow.apply() {
            // A target that was never written is perhaps not there yet.
            Apply::Events if assembly.state.holders(&flow.target)?.is_empty() => None,
            Apply::Events => {
                let site = &assembly.project.sites[&flow.target].settings;
                let mut target: Box<dyn Readable> =
                    assembly.connectors.of(site)?.readable(&site.as_target())?;
                let progress = target.cut()?.progress(identity.id)?;
                // A generation that has not committed yet begins somewhere before the tail.
                progress.filter(|progress| progress.generation == identity.generation)
            }
            Apply::Runs | Apply::Nothing => None,
        };
        for site in &flow.sites {
            let Some(lane) = assembly.state.lane(site)? else { continue };
            let tail = assembly.log.tail(lane.id)?.durable;
            let applied = match (&progress, flow.apply()) {
                (Some(progress), _) => {
                    progress.lanes.get(&lane.id).map_or(Offset::START, |lane| lane.offset)
                }
                (None, Apply::Events) => Offset::START,
                (None, _) => tail,
            };
            let floor = match is_planted(Defect::TrimPastConsumer) {
                true => tail,
                // The group it took last stays: it tells whether this log is the one it was taken from.
                false => applied.max(Offset(1)).min(tail),
            };
            // What a ledger has not folded yet would be lost to it.
            let floor = match ledger::needs(assembly, &identity, lane.id)? {
                Some(folded) if !is_planted(Defect::TrimPastConsumer) => floor.min(folded.next()),
                _ => floor,
            };
            let entry = floors.entry(lane.id).or_insert(floor);
            *entry = floor.min(*entry);
        }
    }
    Ok(floors)
}
