//! What each change of a table does to the target: transformed images, keyed, one effect for each change.
//!
//! Pure. The applier compacts effects, or applies them one by one in source order; both see the same list, so
//! every change read has exactly one fate.

use crate::path::{Passed, TablePath};
use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, Rows, SortField};
use change::planted::{Defect, is_planted};
use change::{ChangeBatch, Offset, Op, canonical};
use connect::{Error, Kind, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// Why a change waits that is not bad itself.
pub(crate) const BEHIND_A_LETTER: &str = "an earlier change of this key is set aside";

/// Transformed rows and their keys in an order that bytes compare by.
pub(crate) struct Block {
    pub(crate) rows: RecordBatch,
    keys: Rows,
}

/// A row of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) block: usize,
    pub(crate) row: usize,
}

/// Columns of the target whose cells the source has not sent, since they did not change.
pub(crate) type Unsent = Arc<[usize]>;

/// What one change does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: the filter keeps neither image.
    Filtered,
    /// Empties the table (the owner's share).
    Clear,
    /// Writes a row; its key was another before, if `moved_from` says so. Where cells were not sent it is there
    /// already, and those stand.
    Write { row: At, moved_from: Option<At>, unsent: Option<Unsent> },
    /// Removes a row by key.
    Remove { row: At },
    /// Cannot be applied: set aside.
    Refused(Refused),
}

/// A change that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where its key stands, if it has one.
    pub(crate) key: Option<At>,
    /// The row to be written later; none where not every cell of it is known.
    pub(crate) row: Option<At>,
    /// The key it moves the row away from.
    pub(crate) moved_from: Option<At>,
    /// The cells of the row that were not sent.
    pub(crate) unsent: Option<Unsent>,
    pub(crate) reason: String,
}

impl Refused {
    fn new(row: Option<At>, reason: impl Into<String>) -> Self {
        Refused { key: row, row, moved_from: None, unsent: None, reason: reason.into() }
    }

    /// Sets aside what writes or removes a row; none for other effects.
    pub(crate) fn of(effect: &Effect, reason: impl Into<String>) -> Option<Self> {
        let (row, moved_from, unsent) = match effect {
            Effect::Write { row, moved_from, unsent } => (*row, *moved_from, unsent.clone()),
            Effect::Remove { row } => (*row, None, None),
            Effect::Filtered | Effect::Clear | Effect::Refused(_) => return None,
        };
        Some(Refused { moved_from, unsent, ..Refused::new(Some(row), reason) })
    }
}

/// One change's place and effect.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) offset: Offset,
    pub(crate) ordinal: u32,
    pub(crate) op: Op,
    pub(crate) effect: Effect,
}

/// Effects of one table's changes, in source order.
pub(crate) struct Effects {
    converter: RowConverter,
    pub(crate) blocks: Vec<Block>,
    pub(crate) items: Vec<Item>,
}

impl Effects {
    pub(crate) fn new(path: &TablePath) -> Result<Self> {
        let schema = &path.target().schema;
        let fields =
            schema.key().iter().map(|&k| SortField::new(schema.columns()[k].ty.arrow())).collect();
        let converter = RowConverter::new(fields)
            .map_err(|e| Error::internal("key columns cannot be ordered").caused_by(e))?;
        Ok(Effects { converter, blocks: Vec::new(), items: Vec::new() })
    }

    /// The key of a row, in bytes that order as the key does.
    pub(crate) fn key(&self, at: At) -> &[u8] {
        self.blocks[at.block].keys.row(at.row).data()
    }

    /// The key of a row in canonical bytes, as letters name it.
    pub(crate) fn canonical_key(&self, path: &TablePath, at: At) -> Vec<u8> {
        let mut bytes = Vec::new();
        canonical::Rows::keys(&self.blocks[at.block].rows, &path.target().schema)
            .encode(at.row, &mut bytes);
        bytes
    }

    /// Adds the changes of a batch, which is part of the group at `offset`.
    pub(crate) fn add(
        &mut self,
        path: &TablePath,
        offset: Offset,
        batch: &ChangeBatch,
    ) -> Result<()> {
        let new = self.images(path, batch, batch.new_images(), |op, _| op.has_new())?;
        let old = self
            .images(path, batch, batch.old(), |op, row| op.has_old() && batch.has_old_image(row))?;
        let mut patterns: Vec<Unsent> = Vec::new();
        for (row, (&op, &ordinal)) in batch.ops().iter().zip(batch.ordinals()).enumerate() {
            let mut effect = self.effect(op, &old[row], &new[row]);
            let unsent = unsent(batch, row);
            if !unsent.is_empty() && !is_planted(Defect::UnchangedAsNull) {
                let known = patterns.iter().find(|pattern| ***pattern == *unsent).cloned();
                let unsent = known.unwrap_or_else(|| {
                    patterns.push(unsent.into());
                    patterns[patterns.len() - 1].clone()
                });
                effect = in_part(path, effect, unsent);
            }
            self.items.push(Item { offset, ordinal, op, effect });
        }
        Ok(())
    }

    fn effect(&self, op: Op, old: &Image, new: &Image) -> Effect {
        match (op, old, new) {
            (Op::Truncate, ..) => Effect::Clear,
            (_, Image::Refused(reason), _) | (_, _, Image::Refused(reason)) => {
                Effect::Refused(Refused::new(new.place().or(old.place()), reason.clone()))
            }
            (_, Image::Foreign(at), _) | (_, _, Image::Foreign(at)) => {
                let reason = "the row belongs to another owner than the site it comes from";
                Effect::Refused(Refused::new(Some(*at), reason))
            }
            (Op::Delete, Image::Kept(at), _) => Effect::Remove { row: *at },
            (Op::Delete, ..) => Effect::Filtered,
            (_, _, Image::Kept(row)) => {
                Effect::Write { row: *row, moved_from: self.moved(old, *row), unsent: None }
            }
            (Op::Update, Image::Kept(at), Image::Filtered) => Effect::Remove { row: *at },
            _ => Effect::Filtered,
        }
    }

    fn moved(&self, old: &Image, new: At) -> Option<At> {
        match old {
            Image::Kept(at)
                if self.key(*at) != self.key(new) && !is_planted(Defect::KeepOldKey) =>
            {
                Some(*at)
            }
            _ => None,
        }
    }

    /// Passes the images that are there, and says of each row of the batch what became of its image.
    fn images(
        &mut self,
        path: &TablePath,
        batch: &ChangeBatch,
        images: &RecordBatch,
        present: impl Fn(Op, usize) -> bool,
    ) -> Result<Vec<Image>> {
        let there: Vec<u32> = batch
            .ops()
            .iter()
            .enumerate()
            .filter(|(row, op)| present(**op, *row))
            .map(|(row, _)| u32::try_from(row).expect("a batch has fewer than 2^32 rows"))
            .collect();
        let mut out = vec![Image::Absent; batch.len()];
        if there.is_empty() {
            return Ok(out);
        }
        let rows = if there.len() == batch.len() {
            images.clone()
        } else {
            take_record_batch(images, &UInt32Array::from(there.clone()))
                .map_err(|e| Error::internal("rows cannot be taken").caused_by(e))?
        };
        let mut verdicts = Vec::with_capacity(there.len());
        self.pass(path, &rows, &mut verdicts)?;
        for (place, image) in there.into_iter().zip(verdicts) {
            out[place as usize] = image;
        }
        Ok(out)
    }

    /// Passes rows, halving on a refusal until the rows that refuse stand alone.
    fn pass(&mut self, path: &TablePath, rows: &RecordBatch, out: &mut Vec<Image>) -> Result<()> {
        match path.pass(rows) {
            Ok(passed) => self.keep(path, passed, out),
            Err(e) if e.kind == Kind::Refused && rows.num_rows() > 1 => {
                let half = rows.num_rows() / 2;
                self.pass(path, &rows.slice(0, half), out)?;
                self.pass(path, &rows.slice(half, rows.num_rows() - half), out)
            }
            Err(e) if e.kind == Kind::Refused => {
                out.push(Image::Refused(e.to_string()));
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn keep(&mut self, path: &TablePath, passed: Passed, out: &mut Vec<Image>) -> Result<()> {
        let Passed { keep, rows } = passed;
        let schema = &path.target().schema;
        let key_columns: Vec<_> = schema.key().iter().map(|&k| rows.column(k).clone()).collect();
        let keys = self
            .converter
            .convert_columns(&key_columns)
            .map_err(|e| Error::internal("key columns cannot be ordered").caused_by(e))?;
        let foreign = path.foreign_rows(&rows)?;
        let block = self.blocks.len();
        let mut row = 0;
        for kept in &keep {
            if kept != Some(true) {
                out.push(Image::Filtered);
                continue;
            }
            let at = At { block, row };
            let null_key = key_columns.iter().any(|column| column.is_null(row));
            out.push(match () {
                () if null_key => Image::Refused("a key column is null".into()),
                () if foreign.as_ref().is_some_and(|mask| mask.value(row)) => Image::Foreign(at),
                () => Image::Kept(at),
            });
            row += 1;
        }
        assert_eq!(row, rows.num_rows(), "a transform returns exactly the rows it keeps");
        self.blocks.push(Block { rows, keys });
        Ok(())
    }

    /// Sets aside the changes whose key waits behind a parked one, and remembers the keys they lead to.
    pub(crate) fn set_aside(&mut self, path: &TablePath, parked: &mut HashSet<Vec<u8>>) {
        let mut items = std::mem::take(&mut self.items);
        for item in &mut items {
            let (row, from) = match &item.effect {
                Effect::Write { row, moved_from, .. } => (*row, *moved_from),
                Effect::Remove { row } => (*row, None),
                Effect::Clear => {
                    // What waited is gone at the source.
                    parked.clear();
                    continue;
                }
                Effect::Refused(Refused { key: Some(key), moved_from, .. }) => {
                    parked.insert(self.canonical_key(path, *key));
                    parked.extend(moved_from.map(|at| self.canonical_key(path, at)));
                    continue;
                }
                _ => continue,
            };
            if parked.is_empty() || is_planted(Defect::PassParkedKey) {
                continue;
            }
            let key = self.canonical_key(path, row);
            let from_key = from.map(|at| self.canonical_key(path, at));
            if parked.contains(&key) || from_key.as_ref().is_some_and(|k| parked.contains(k)) {
                parked.insert(key);
                parked.extend(from_key);
                let refused = Refused::of(&item.effect, BEHIND_A_LETTER);
                item.effect = Effect::Refused(refused.expect("it writes or removes a row"));
            }
        }
        self.items = items;
    }
}

/// What became of one image.
#[derive(Clone)]
enum Image {
    Absent,
    Filtered,
    Kept(At),
    Foreign(At),
    Refused(String),
}

impl Image {
    fn place(&self) -> Option<At> {
        match self {
            Image::Kept(at) | Image::Foreign(at) => Some(*at),
            _ => None,
        }
    }
}

/// The columns whose cells the source did not send with a row.
fn unsent(batch: &ChangeBatch, row: usize) -> Vec<usize> {
    let masks = batch.unchanged().iter().enumerate();
    let lacks = |mask: &BooleanArray| mask.is_valid(row) && mask.value(row);
    masks.filter(|(_, mask)| mask.as_ref().is_some_and(lacks)).map(|(column, _)| column).collect()
}

/// The effect of a change of which cells were not sent. The row it changes is at the target, with those cells as they
/// are still at the source, so it is written in part; but an expression cannot be computed over them, nor can a row be
/// written under another key without them.
fn in_part(path: &TablePath, effect: Effect, unsent: Unsent) -> Effect {
    let key = match effect {
        Effect::Write { row, moved_from: None, .. } if path.keeps(&unsent) => {
            return Effect::Write { row, moved_from: None, unsent: Some(unsent) };
        }
        Effect::Write { row, .. } | Effect::Remove { row } => Some(row),
        Effect::Refused(refused) => refused.key,
        Effect::Filtered | Effect::Clear => None,
    };
    let reason = "the source did not send every cell and no old image fills them";
    // A replay of this row would write null for what was not sent.
    Effect::Refused(Refused { row: None, ..Refused::new(key, reason) })
}
