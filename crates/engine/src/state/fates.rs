//! Letters that a write to their target has settled: what is recorded there counts, what stands here follows.
//!
//! Invariant: a settlement that the target is to record holds here only as long as the target records it. Either of the
//! two may be set back to an older copy; a letter that a person gave up stays given up.

use super::letters::{Holds, LetterStatus};
use super::{State, failed, prepared};
use change::{FlowId, LaneId, Offset};
use connect::{Fate, Fates, LetterPlace, Result};
use rusqlite::params;
use std::collections::BTreeSet;

/// Number, place and status of a letter, and whether that holds only as long as the target records it.
type Standing = (i64, LetterPlace, LetterStatus, bool);

impl State {
    /// Settles letters by a write to their target, which records it too: it holds as long as the target says so.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle_at_target(
        &self,
        ids: &[i64],
        status: LetterStatus,
        note: &str,
        at: i64,
    ) -> Result<()> {
        self.settle_as(ids, status, note, at, Holds::WhileRecorded)
    }

    /// Takes the target's word for the letters up to its progress in a lane: one that is settled there is settled, and
    /// one that a write to the target has settled, and that is not settled there, waits again. Says which letters wait
    /// there that stand nowhere here.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn heed(
        &self,
        flow: FlowId,
        (lane, progress): (LaneId, Offset),
        recorded: &Fates,
        at: i64,
    ) -> Result<BTreeSet<LetterPlace>> {
        let (mut settled, mut waiting) = (Vec::new(), Vec::new());
        let mut lost = waiting_in(recorded, lane, progress);
        for (id, place, status, at_target) in self.up_to(flow, lane, progress)? {
            lost.remove(&place);
            match (recorded.get(&place), status) {
                (None | Some(Fate::Waits), LetterStatus::Parked) => {}
                (Some(fate), LetterStatus::Parked) => settled.push((id, *fate)),
                (None | Some(Fate::Waits), _) if at_target => waiting.push(id),
                _ => {}
            }
        }
        let replayed = (Fate::Replayed, LetterStatus::Replayed, "its target holds it as replayed");
        let discarded =
            (Fate::Discarded, LetterStatus::Discarded, "its target holds it as discarded");
        for (fate, status, note) in [replayed, discarded] {
            let ids: Vec<i64> =
                settled.iter().filter(|(_, is)| *is == fate).map(|(id, _)| *id).collect();
            if !ids.is_empty() {
                self.settle_at_target(&ids, status, note, at)?;
            }
        }
        let note = "the target was set back to before it was settled";
        let sql = "update letter set status = 'parked', note = ?2, settled_at = null, at_target = 0
                   where id = ?1";
        for id in waiting {
            self.db()
                .execute(sql, params![id, note])
                .map_err(failed("letters cannot be written"))?;
        }
        Ok(lost)
    }

    /// Number, place, status, and whether that holds as long as the target records it, of a lane's letters up to an
    /// offset.
    fn up_to(&self, flow: FlowId, lane: LaneId, offset: Offset) -> Result<Vec<Standing>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select id, log_offset, ordinal, status, at_target from letter
             where flow = ?1 and lane = ?2 and log_offset <= ?3",
        )?;
        let rows = query
            .query_map(params![flow.to_i64(), lane.to_i64(), offset.to_i64()], |row| {
                let (offset, ordinal) = (Offset::from_i64(row.get(1)?), row.get(2)?);
                let status: String = row.get(3)?;
                let place = LetterPlace { lane, offset, ordinal };
                Ok((row.get(0)?, place, LetterStatus::from_word(&status), row.get(4)?))
            })
            .map_err(failed("letters cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("letters cannot be read"))
    }

    /// What became of the settled letters of a lane up to an offset, whoever settled them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn fates_up_to(&self, flow: FlowId, lane: LaneId, offset: Offset) -> Result<Fates> {
        let letters = self.up_to(flow, lane, offset)?.into_iter();
        Ok(letters.filter_map(|(_, place, status, _)| Some((place, status.fate()?))).collect())
    }
}

/// Letters that a target has waiting in a lane, up to its progress.
pub(crate) fn waiting_in(recorded: &Fates, lane: LaneId, upto: Offset) -> BTreeSet<LetterPlace> {
    let wait = recorded.iter().filter(|(_, fate)| **fate == Fate::Waits);
    let places = wait.map(|(place, _)| *place);
    places.filter(|place| place.lane == lane && place.offset <= upto).collect()
}
