//! How much of the log is kept: what `[log]` says, and what live consumers still need.

use crate::assemble::Held;
use crate::exit::Failure;
use change::{LaneId, Offset};
use connect::Readable;
use eventlog::Policy;
use flow::Apply;
use std::collections::BTreeMap;

/// Lets go of what the policy allows. Each lane keeps what its slowest flow has not applied, and its newest group,
/// which says where capture resumes.
pub(crate) fn retain(held: &Held) -> Result<(), Failure> {
    let assembly = &held.engine.assembly;
    let settings = assembly.project.log;
    if settings.keep.is_none() && settings.max_bytes.is_none() {
        return Ok(());
    }
    let now = assembly.environment.clock.now();
    let cutoff = settings
        .keep
        .map(|keep| now.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)));
    let policy = Policy { cutoff, max_bytes: settings.max_bytes, floors: floors(held)? };
    for gone in held.log.trim_by_policy(&policy)? {
        eprintln!("log: lane {} let go of {}..{}", gone.lane, gone.from, gone.upto);
    }
    Ok(())
}

/// The oldest offset that each lane must keep.
fn floors(held: &Held) -> Result<BTreeMap<LaneId, Offset>, Failure> {
    let assembly = &held.engine.assembly;
    let mut floors = BTreeMap::new();
    for flow in assembly.project.flows.iter().filter(|flow| flow.captures()) {
        let Some(identity) = assembly.state.flow(&flow.name)? else { continue };
        let progress = match flow.apply() {
            Apply::Events => {
                let site = &assembly.project.sites[&flow.target].settings;
                let mut target: Box<dyn Readable> = assembly.connectors.of(site)?.readable(site)?;
                target.cut()?.progress(identity.id)?
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
            let floor = applied.next().min(tail);
            let entry = floors.entry(lane.id).or_insert(floor);
            *entry = floor.min(*entry);
        }
    }
    Ok(floors)
}
