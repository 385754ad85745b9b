//! What a target says of a flow when it is opened, and the state file made to agree about letters.
//!
//! The target's word counts: state file and target can each be set back to an older copy, and a commit can be lost or
//! its answer can. Invariant: a letter up to the target's progress waits exactly if the target does not hold what
//! became of it, or a person gave it up. One that waits at the target and stands nowhere here was set aside after the
//! copy was made: it is lost, and [`crate::recovery`] brings it back.

use crate::assembly::Assembly;
use crate::lane::Lane;
use crate::state::{FlowIdentity, LetterStatus, waiting_in};
use change::planted::{Defect, is_planted};
use change::{FlowId, Offset};
use connect::{Fate, Fates, FlowProgress, LetterPlace, Result, Target, TargetTransaction};

/// What a target says of a flow.
pub(crate) struct Told {
    pub(crate) progress: Option<FlowProgress>,
    pub(crate) letters: Fates,
}

impl Told {
    /// Asks a target.
    ///
    /// # Errors
    /// Those of the target.
    pub(crate) fn by(target: &mut dyn Target, flow: FlowId) -> Result<Told> {
        Ok(Told { progress: target.progress(flow)?, letters: target.letters(flow)? })
    }
}

/// Whether a flow's present generation has written for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Never,
    Before,
}

impl Lane {
    /// Takes the target's word for letters up to the lane's progress. Where the flow's generation has not written yet,
    /// what was settled before stays settled, and is to be recorded with the first commit.
    ///
    /// # Errors
    /// The state file cannot be used.
    pub(crate) fn heed(
        &mut self,
        assembly: &Assembly,
        flow: FlowId,
        told: &Told,
        written: Written,
    ) -> Result<()> {
        self.unrecorded.clear();
        self.lost.clear();
        if is_planted(Defect::LettersForgetTheTarget) {
            return Ok(());
        }
        let (state, upto) = (&assembly.state, self.progress.offset);
        if written == Written::Before {
            let now = assembly.environment.clock.now();
            self.lost = state.heed(flow, (self.id, upto), &told.letters, now)?;
            return Ok(());
        }
        let mut settled = state.fates_up_to(flow, self.id, upto)?;
        // What an older generation has waiting is read again, with every row.
        let older = waiting_in(&told.letters, self.id, Offset(u64::MAX)).into_iter();
        settled.extend(older.map(|place| (place, Fate::Discarded)));
        let is_told = |place: &LetterPlace, fate: &Fate| told.letters.get(place) == Some(fate);
        let unrecorded = settled.into_iter().filter(|(place, fate)| !is_told(place, fate));
        self.unrecorded = unrecorded.collect();
        Ok(())
    }

    /// Keys that wait behind letters, as they are stored.
    pub(crate) fn read_parked(
        &mut self,
        assembly: &Assembly,
        identity: &FlowIdentity,
    ) -> Result<()> {
        self.parked.clear();
        for letter in assembly.state.letters(identity.id, Some(LetterStatus::Parked))? {
            if letter.change.lane == self.id {
                let keys: Vec<Vec<u8>> = letter.change.keys().cloned().collect();
                self.parked.entry(letter.change.table).or_default().extend(keys);
            }
        }
        Ok(())
    }

    /// Records in a transaction what the target is still to be told of letters.
    ///
    /// # Errors
    /// Those of the target.
    pub(crate) fn tell(&self, txn: &mut dyn TargetTransaction) -> Result<()> {
        match self.unrecorded.is_empty() {
            true => Ok(()),
            false => txn.record_letters(&self.unrecorded),
        }
    }
}

/// Letters that the target is still to be told of.
pub(crate) type Unrecorded = Vec<(LetterPlace, Fate)>;
