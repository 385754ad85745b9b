//! The keys that changes between two cuts touched, and what the log says they show now.
//!
//! The window is behind `floor`, which the source cut contains with everything before, up to the target's
//! progress. What the source cut sees of each group is asked early, so that the cut can be let go before the
//! applier is waited for.

use crate::images::{Effect, Reader, State};
use crate::walk::{Stretch, walk};
use change::{GroupKind, Key, LaneId, Offset};
use connect::{Cut, Log, Result, Sees};
use std::collections::HashMap;

/// How many groups in a row a cut must see before everything older is taken to be seen. Visibility and log order
/// differ only among transactions that end at the same moment.
const SETTLED: u64 = 64;

/// What a source cut contains of its lane, once the log has passed the cut.
pub(crate) struct Contained {
    /// Everything up to here.
    pub(crate) floor: Offset,
    /// Verdicts on the groups behind it.
    verdicts: Vec<Sees>,
}

impl Contained {
    /// Asks a cut about the groups up to `tail`. `before` was the tail before the cut was taken; everything up to
    /// `known` was seen by an older cut, and so by this one. `None` when the log no longer holds them.
    pub(crate) fn of(
        cut: &dyn Cut,
        log: &dyn Log,
        lane: LaneId,
        (known, before, tail): (Offset, Offset, Offset),
    ) -> Result<Option<Contained>> {
        let Some(floor) = floor(cut, log, lane, (known, before))? else { return Ok(None) };
        let mut verdicts = Vec::new();
        let stretch = walk(log, lane, floor, tail, &mut |group| {
            verdicts.push(cut.sees(group));
            Ok(())
        })?;
        Ok((stretch == Stretch::Whole).then_some(Contained { floor, verdicts }))
    }

    /// The first place at which the cut is contained in what was applied.
    pub(crate) fn upto(&self) -> Offset {
        let seen = self.verdicts.iter().rposition(|sees| *sees != Sees::None);
        Offset(self.floor.0 + seen.map_or(0, |place| place as u64 + 1))
    }

    /// Whether the cut contains a group wholly. Groups behind the tail came later than the cut.
    fn wholly(&self, offset: Offset) -> bool {
        let place = usize::try_from(offset.0 - self.floor.0 - 1).expect("a window fits memory");
        self.verdicts.get(place) == Some(&Sees::All)
    }
}

/// Steps back from `before` until the cut sees a whole run of groups, or all of them behind `known`.
fn floor(
    cut: &dyn Cut,
    log: &dyn Log,
    lane: LaneId,
    (known, before): (Offset, Offset),
) -> Result<Option<Offset>> {
    let mut upto = before;
    loop {
        let oldest = log.tail(lane)?.oldest;
        let settled = Offset(upto.0.saturating_sub(SETTLED)).max(known);
        let from = settled.max(Offset(oldest.0.saturating_sub(1)));
        let mut unseen = None;
        let stretch = walk(log, lane, from, upto, &mut |group| {
            if cut.sees(group) != Sees::All && unseen.is_none() {
                unseen = Some(group.offset);
            }
            Ok(())
        })?;
        if stretch == Stretch::Trimmed {
            return Ok(None);
        }
        match unseen {
            None => return Ok(Some(upto)),
            Some(_) if from < oldest && from > Offset::START => return Ok(None),
            Some(first) => upto = Offset(first.0 - 1),
        }
    }
}

/// One key of the window.
#[derive(Debug)]
pub(crate) struct Touch {
    /// The key.
    pub(crate) key: Key,
    /// What the newest change up to the target's progress says.
    pub(crate) newest: State,
    /// Whether any of its changes is not wholly in the source cut.
    pub(crate) touched: bool,
}

/// Keys of the window.
pub(crate) enum Window {
    /// These were touched, by canonical bytes.
    Keys(HashMap<Vec<u8>, Touch>),
    /// Something came that voids the look: its name.
    Void(String),
    /// The log no longer holds it.
    Trimmed,
}

impl Window {
    /// Reads the window up to the target's progress.
    pub(crate) fn read(
        log: &dyn Log,
        lane: LaneId,
        contained: &Contained,
        progress: Offset,
        reader: &Reader<'_>,
    ) -> Result<Window> {
        let mut keys: HashMap<Vec<u8>, Touch> = HashMap::new();
        let mut void = None;
        let table = reader.path.source_table();
        let stretch = walk(log, lane, contained.floor, progress, &mut |group| {
            let touched = !contained.wholly(group.offset);
            if let GroupKind::Snapshot(chunk) = &group.body.kind
                && touched
                && chunk.table == table
            {
                void = Some("a new snapshot".to_string());
            }
            for effect in reader.effects(group, &|_| true)? {
                match effect {
                    Effect::Key(effect) => {
                        let touch = keys.entry(effect.bytes).or_insert_with(|| Touch {
                            key: effect.key,
                            newest: State::Unclear,
                            touched: false,
                        });
                        touch.newest = effect.state;
                        touch.touched |= touched;
                    }
                    Effect::Truncate if touched => void = Some("a truncate".into()),
                    Effect::OtherShape if touched => void = Some("a schema change".into()),
                    Effect::Truncate | Effect::OtherShape => {
                        keys.values_mut().for_each(|touch| touch.newest = State::Unclear);
                    }
                }
            }
            Ok(())
        })?;
        Ok(match (stretch, void) {
            (Stretch::Trimmed, _) => Window::Trimmed,
            (Stretch::Whole, Some(by)) => Window::Void(by),
            (Stretch::Whole, None) => {
                keys.retain(|_, touch| touch.touched);
                Window::Keys(keys)
            }
        })
    }
}

/// The newest durable group of a lane.
pub(crate) fn durable(log: &dyn Log, lane: LaneId) -> Result<Offset> {
    Ok(log.tail(lane)?.durable)
}
