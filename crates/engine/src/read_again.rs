//! What a snapshot chunk means for letters: it is the truth for its range, and older letters there are settled.
//!
//! A replay of a letter from before the chunk would bring back a row that is gone, or an older one. Invariant: only a
//! chunk that stands behind a letter in its lane settles it, and only as far as its range goes: of a letter that moves
//! a row between keys, the old key still waits where another range holds it.

use crate::lane::Lane;
use crate::path::TablePath;
use crate::state::{Letter, LetterStatus, NewLetter, State};
use change::{FlowId, Key, LaneId, Offset, Op, SnapshotChunk, Value};
use connect::{Error, KeyRange, LetterPlace, Result, TargetTable};
use flow::Flow;

/// A range of a target table that a snapshot chunk has read again.
pub(crate) struct ReadAgain {
    pub(crate) lane: LaneId,
    pub(crate) table: TargetTable,
    pub(crate) range: KeyRange,
    /// The chunk's place.
    pub(crate) at: Offset,
}

/// What a chunk reads again at a flow's target, and the path that leads there; none where the flow does not want its
/// table.
///
/// # Errors
/// `Unavailable` when the table is not planned yet.
pub(crate) fn read_again<'l>(
    flow: &Flow,
    lane: &'l Lane,
    chunk: &SnapshotChunk,
    at: Offset,
) -> Result<Option<(&'l TablePath, ReadAgain)>> {
    if !flow.tables.iter().any(|table| table.source == chunk.table) {
        return Ok(None);
    }
    let path = lane
        .newest_path(&chunk.table)
        .ok_or_else(|| Error::unavailable(format!("{} is not planned yet", chunk.table)))?;
    let bound = |key: &Option<Key>| {
        key.as_ref().map(|key| path.target_key(key).expect("planned with its key order kept"))
    };
    let range = KeyRange { after: bound(&chunk.after), upto: bound(&chunk.upto) };
    Ok(Some((path, ReadAgain { lane: lane.id, table: path.target().clone(), range, at })))
}

impl ReadAgain {
    /// What of a letter still waits behind the chunk.
    pub(crate) fn leaves(&self, letter: NewLetter) -> Option<NewLetter> {
        let of_ours = letter.lane == self.lane && letter.table == self.table.name;
        if !of_ours || letter.offset >= self.at || !self.holds(&letter.columns, &letter.row) {
            return Some(letter);
        }
        let old = letter.moved_from.filter(|old| !self.holds(&letter.columns, &old.row))?;
        // The row is read again under its new key; that it left the old one is still to be done.
        Some(NewLetter {
            key: old.key,
            row: old.row,
            op: Op::Delete,
            in_part: false,
            moved_from: None,
            lane: letter.lane,
            offset: letter.offset,
            ordinal: letter.ordinal,
            table: letter.table,
            columns: letter.columns,
            reason: letter.reason,
        })
    }

    /// Settles the letters behind which the chunk stands, and says where those are.
    ///
    /// # Errors
    /// The state file cannot be used: the target must not commit.
    pub(crate) fn settle(&self, state: &State, flow: FlowId, now: i64) -> Result<Vec<LetterPlace>> {
        let note = format!("a snapshot has read this key again at offset {}", self.at);
        let (mut gone, mut places) = (Vec::new(), Vec::new());
        for Letter { id, change, .. } in state.letters(flow, Some(LetterStatus::Parked))? {
            match self.leaves(change.clone()) {
                None => {
                    gone.push(id);
                    places.push(change.place());
                }
                Some(left) if left != change => state.rewrite(id, &left, &note)?,
                Some(_) => {}
            }
        }
        state.settle_at_target(&gone, LetterStatus::Discarded, &note, now)?;
        Ok(places)
    }

    /// Whether the range holds a row. Where not every cell of its key is known, only the full range does for sure.
    fn holds(&self, columns: &[String], row: &[Value]) -> bool {
        self.range.is_full() || self.key(columns, row).is_some_and(|key| self.range.holds(&key))
    }

    fn key(&self, columns: &[String], row: &[Value]) -> Option<Key> {
        let schema = &self.table.schema;
        let place = |name: &str| match columns.is_empty() {
            true => schema.index_of(name),
            false => columns.iter().position(|column| column == name),
        };
        schema
            .key_names()
            .map(|name| row.get(place(name)?).cloned())
            .collect::<Option<_>>()
            .map(Key)
    }
}
