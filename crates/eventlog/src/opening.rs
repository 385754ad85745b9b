//! From files to lanes: what is durable is read from disk, and the end of every lane is verified.

use crate::catalog::{Catalog, Loaded};
use crate::pool::Pool;
use crate::read::Decoder;
use crate::shared::Lane;
use change::{LaneId, Offset};
use connect::{Kind, Result};
use std::collections::{HashMap, HashSet};

/// Where all lanes stand. A lane whose newest frame reads back wrong is marked, so that the others can go on.
pub(crate) fn lanes(
    loaded: &Loaded,
    decoder: &Decoder,
    pool: &Pool,
) -> Result<HashMap<LaneId, Lane>> {
    let mut known = loaded.catalog.lanes();
    known.extend(loaded.marks.iter().map(|(lane, _)| *lane));
    lanes_of(loaded, &known, decoder, pool)
}

/// Where the lanes named stand.
pub(crate) fn lanes_of(
    loaded: &Loaded,
    known: &[LaneId],
    decoder: &Decoder,
    pool: &Pool,
) -> Result<HashMap<LaneId, Lane>> {
    let mut lanes = HashMap::new();
    let wanted: HashSet<LaneId> = known.iter().copied().collect();
    let marks = || loaded.marks.iter().filter(|(lane, _)| wanted.contains(lane));
    for (id, mark) in marks() {
        let lane = Lane {
            taken: mark.newest,
            durable: mark.newest,
            oldest: mark.newest.next(),
            position: mark.position.clone(),
            ..Lane::default()
        };
        lanes.insert(*id, lane);
    }
    for id in &wanted {
        let lane = lanes.entry(*id).or_default();
        find_end(&loaded.catalog, *id, lane, decoder, pool)?;
    }
    for (id, mark) in marks() {
        let lane = lanes.entry(*id).or_default();
        lane.oldest = lane.oldest.max(mark.trimmed.next()).min(lane.durable.next());
    }
    Ok(lanes)
}

fn find_end(
    catalog: &Catalog,
    id: LaneId,
    lane: &mut Lane,
    decoder: &Decoder,
    pool: &Pool,
) -> Result<()> {
    let Some(run) = catalog.run(id).filter(|run| run.last >= lane.durable) else { return Ok(()) };
    (lane.taken, lane.durable, lane.oldest) = (run.last, run.last, run.first);
    let Some((number, entry, _)) = catalog.holding(id, run.last) else { return Ok(()) };
    let rows = entry.rows(id, (Offset(run.last.0 - 1), run.last));
    let end = pool.with(number, &entry.path, |connection| {
        decoder.end(connection, id, run.last, rows.as_deref())
    });
    match end {
        Ok((position, commit_time)) => {
            lane.position = Some(position);
            lane.commit_time = Some(commit_time);
        }
        Err(error) if error.kind == Kind::Corrupt => {
            lane.damage = Some(error.found.unwrap_or(error.what));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
