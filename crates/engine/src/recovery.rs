//! Letters that a state folder of an older copy lacks, taken from the log again.
//!
//! The target says which changes were set aside up to its progress; the log holds those changes still. Invariant: what
//! is recovered waits as it did before, less what snapshots behind it have read again. Where the log has let go of a
//! change the lane does not open: its row would be missing at the target, and nobody would know.

use crate::assembly::Assembly;
use crate::effect::{Effect, Effects, Item, Refused};
use crate::lane::Lane;
use crate::read_again::read_again;
use crate::state::{FlowIdentity, NewLetter};
use crate::write::letter;
use change::{Group, GroupKind, Offset};
use connect::{Bounds, Error, Fate, LetterPlace, Result, State as Named, Target};
use flow::Flow;
use std::collections::BTreeSet;

/// Why a letter that came from the log waits.
const REASON: &str = "it was set aside before; its letter was lost with an older copy of the state folder, and \
                      taken from the log again";

impl Lane {
    /// Brings back the letters that are lost here, durably.
    ///
    /// # Errors
    /// `PositionLost` when the log no longer holds one of them; `Unavailable` while a table is not planned.
    pub(crate) fn recover(
        &mut self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        target: &mut dyn Target,
    ) -> Result<()> {
        let Some(first) = self.lost.first() else { return Ok(()) };
        let mut at = Offset(first.offset.0 - 1);
        if at.next() < assembly.log.tail(self.id)?.oldest {
            return Err(self.gone("the log has let go of the first"));
        }
        let (mut waiting, end) = (Vec::new(), self.progress.offset);
        while at < end {
            let groups = assembly.log.read(self.id, at, Bounds::BATCH)?;
            assert!(!groups.is_empty(), "the log reaches to the progress: it was checked");
            for group in groups.into_iter().take_while(|group| group.offset <= end) {
                at = group.offset;
                waiting = self.behind(flow, &group, waiting)?;
                let lost = self.lost.iter().filter(|place| place.offset == at).count();
                if lost == 0 {
                    continue;
                }
                self.plan_group(assembly, flow, identity, target, &group)?;
                let letters = self.letters_of(&group)?;
                if letters.len() != lost {
                    return Err(self.gone("the group that held them lacks some"));
                }
                waiting.extend(letters);
            }
        }
        let places: BTreeSet<LetterPlace> = waiting.iter().map(NewLetter::place).collect();
        // What a snapshot has read again waits nowhere; the target is told with the next commit.
        let settled = self.lost.difference(&places).map(|place| (*place, Fate::Discarded));
        self.unrecorded.extend(settled);
        assembly.state.park(identity.id, &waiting, assembly.environment.clock.now())?;
        self.lost.clear();
        self.read_parked(assembly, identity)
    }

    /// What of letters still waits behind a group.
    fn behind(
        &self,
        flow: &Flow,
        group: &Group,
        waiting: Vec<NewLetter>,
    ) -> Result<Vec<NewLetter>> {
        let chunk = match &group.body.kind {
            GroupKind::Snapshot(chunk) if !waiting.is_empty() => chunk,
            _ => return Ok(waiting),
        };
        let Some((_, chunk)) = read_again(flow, self, chunk, group.offset)? else {
            return Ok(waiting);
        };
        Ok(waiting.into_iter().filter_map(|letter| chunk.leaves(letter)).collect())
    }

    /// The letters of a group that are lost.
    fn letters_of(&self, group: &Group) -> Result<Vec<NewLetter>> {
        let mut letters = Vec::new();
        for batch in &group.body.batches {
            let Some(path) = self.path(batch.table(), batch.schema()) else { continue };
            let mut effects = Effects::new(path)?;
            effects.add(path, group.offset, batch)?;
            let lost = effects.items.iter().filter(|item| self.lost.contains(&self.place(item)));
            let of = |item| Some(letter(self, path, &effects, item, &again(item)?));
            letters.extend(lost.filter_map(of));
        }
        Ok(letters)
    }

    fn place(&self, item: &Item) -> LetterPlace {
        LetterPlace { lane: self.id, offset: item.offset, ordinal: item.ordinal }
    }

    fn gone(&self, why: &str) -> Error {
        let (count, site) = (self.lost.len(), &self.site.name);
        Error::corrupt(format!("dead letters of site {site} are lost"))
            .found(format!("{count} changes wait by what the target says, and not here; {why}"))
            .effect("nothing is applied; their rows are missing at the target, or older there")
            .fix("restore the newer .seamount folder, or read the source again: seamount resync FLOW")
            .state(Named::PositionLost)
            .code("E0522")
    }
}

/// What of a change waits, as the applier sets it aside.
fn again(item: &Item) -> Option<Refused> {
    match &item.effect {
        Effect::Refused(refused) => Some(refused.clone()),
        effect => Refused::of(effect, REASON),
    }
}
