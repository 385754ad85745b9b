//! What a group of the log does to keys of the target, by the path of rows.
//!
//! An update whose key changes touches two keys; one that the filter no longer passes removes its row. Old images
//! are asked for their key alone, so that key-only old images are enough.

use crate::rows::Keep;
use crate::subject::{Fate, RowPath};
use arrow::array::{Array, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;
use change::canonical;
use change::{ChangeBatch, Digest, DigestKey, Group, Key, Op, TableSchema, Value};
use connect::{Error, Result};

/// What a key shows behind a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// No row.
    Gone,
    /// This row.
    Row {
        /// Its digest.
        digest: Digest,
        /// The row, where rows are kept.
        row: Option<Vec<Value>>,
    },
    /// The log does not tell: the image lacks cells, the transform fails on it, or its shape is another.
    Unclear,
}

impl State {
    /// The digest of the row, none where there is no row; outer `None` where it is unclear.
    pub(crate) fn digest(&self) -> Option<Option<Digest>> {
        match self {
            State::Gone => Some(None),
            State::Row { digest, .. } => Some(Some(*digest)),
            State::Unclear => None,
        }
    }
}

/// One effect of a change.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// All rows are gone.
    Truncate,
    /// A change has a shape that the path cannot take.
    OtherShape,
    /// A key shows something else.
    Key(KeyEffect),
}

/// What happened to one key.
#[derive(Clone, Debug)]
pub(crate) struct KeyEffect {
    /// Its canonical bytes.
    pub(crate) bytes: Vec<u8>,
    /// The key.
    pub(crate) key: Key,
    /// What it shows now.
    pub(crate) state: State,
    /// What it showed before, where the change tells.
    pub(crate) before: Option<State>,
    /// What the source did.
    pub(crate) op: Op,
}

/// Whether old images are looked at beyond their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldRows {
    /// They tell what a key showed before.
    Wanted,
    /// They are not needed; each would cost a call of the transform.
    Ignored,
}

/// Reads groups for the keys of one path.
pub(crate) struct Reader<'a> {
    /// The path.
    pub(crate) path: &'a RowPath,
    /// The seed of row hashes.
    pub(crate) key: DigestKey,
    /// Whether rows are kept.
    pub(crate) keep: Keep,
    /// Whether old images are looked at.
    pub(crate) old_rows: OldRows,
}

impl Reader<'_> {
    /// Effects of a group on keys that are `wanted`, in source order.
    pub(crate) fn effects(
        &self,
        group: &Group,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<Effect>> {
        let mut effects = Vec::new();
        for batch in &group.body.batches {
            if batch.table().as_ref() == self.path.source_table() {
                self.batch(batch, wanted, &mut effects)?;
            }
        }
        // Several schema versions of the table may alternate in one group.
        effects.sort_by_key(|(ordinal, _)| *ordinal);
        Ok(effects.into_iter().map(|(_, effect)| effect).collect())
    }

    fn batch(
        &self,
        batch: &ChangeBatch,
        wanted: &dyn Fn(&[u8]) -> bool,
        effects: &mut Vec<(u32, Effect)>,
    ) -> Result<()> {
        let schema = self.path.source_schema();
        let fitted = (
            fit(batch.old(), batch.schema(), schema),
            fit(batch.new_images(), batch.schema(), schema),
        );
        let (Some(old), Some(new)) = fitted else {
            effects.extend(batch.ordinals().first().map(|first| (*first, Effect::OtherShape)));
            return Ok(());
        };
        let (old_keys, new_keys) = (self.names(&old)?, self.names(&new)?);
        // Most groups are read for a few keys of theirs: what nobody wants is not sent down the path.
        let is_wanted = |row: usize, op: Op| {
            op == Op::Truncate
                || (batch.has_old_image(row) && wanted(old_keys.of(row)))
                || (op.has_new() && wanted(new_keys.of(row)))
                || (op == Op::Delete && wanted(old_keys.of(row)))
        };
        let rows = batch.ops().iter().enumerate();
        let asked: Vec<usize> =
            rows.filter(|(row, op)| is_wanted(*row, **op)).map(|(row, _)| row).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let states = self.states(batch, &new, &asked)?;
        for (&row, state) in asked.iter().zip(states) {
            let (op, ordinal) = (batch.ops()[row], batch.ordinals()[row]);
            let mut push = |bytes: &[u8], key: Key, state: State, before: Option<State>| {
                if wanted(bytes) {
                    let bytes = bytes.to_vec();
                    effects
                        .push((ordinal, Effect::Key(KeyEffect { bytes, key, state, before, op })));
                }
            };
            let name = |image: &RecordBatch| self.path.target_key(&Key::read(image, schema, row));
            let moved = batch.has_old_image(row) && old_keys.of(row) != new_keys.of(row);
            let gone = op == Op::Delete || moved;
            let before = match op {
                Op::Insert => Some(State::Gone),
                Op::Update | Op::Delete if batch.has_old_image(row) => {
                    let asked = self.old_rows == OldRows::Wanted && wanted(old_keys.of(row));
                    asked.then(|| self.old_state(&old, row)).transpose()?.flatten()
                }
                _ => None,
            };
            if gone {
                push(old_keys.of(row), name(&old), State::Gone, before.clone());
            }
            if op.has_new() {
                let before = if gone { Some(State::Gone) } else { before };
                push(new_keys.of(row), name(&new), state, before);
            }
            if op == Op::Truncate {
                effects.push((ordinal, Effect::Truncate));
            }
        }
        Ok(())
    }

    /// The row that an old image stands for; `None` where it does not come out of the path, since an old image
    /// that is the key alone may be dropped by a filter that the row itself passes.
    fn old_state(&self, old: &RecordBatch, row: usize) -> Result<Option<State>> {
        let walked = self.path.walk(&old.slice(row, 1))?;
        Ok(match walked.fates[0] {
            Fate::Out(out) => Some(self.row(&self.encoder(&walked.rows), &walked.rows, out)),
            Fate::Filtered | Fate::Refused => None,
        })
    }

    /// What the new image of each change asked for stands for, in their order; `Gone` where there is none.
    fn states(
        &self,
        batch: &ChangeBatch,
        new: &RecordBatch,
        asked: &[usize],
    ) -> Result<Vec<State>> {
        let mut present = vec![false; batch.ops().len()];
        asked.iter().for_each(|&row| present[row] = batch.ops()[row].has_new());
        let images = filter_record_batch(new, &BooleanArray::from(present))
            .map_err(|e| Error::internal("images cannot be filtered").caused_by(e))?;
        let walked = self.path.walk(&images)?;
        let encoder = self.encoder(&walked.rows);
        let mut fates = walked.fates.iter();
        let states = asked.iter().map(|&row| {
            if !batch.ops()[row].has_new() {
                return State::Gone;
            }
            let fate = fates.next().expect("one fate for each image");
            let lacking =
                batch.unchanged().iter().flatten().any(|m| m.is_valid(row) && m.value(row));
            match fate {
                _ if lacking => State::Unclear,
                Fate::Out(out) => self.row(&encoder, &walked.rows, *out),
                Fate::Filtered => State::Gone,
                Fate::Refused => State::Unclear,
            }
        });
        Ok(states.collect())
    }

    fn encoder<'r>(&self, rows: &'r RecordBatch) -> canonical::Rows<'r> {
        canonical::Rows::all(rows, &self.path.target().schema)
    }

    fn row(&self, encoder: &canonical::Rows<'_>, rows: &RecordBatch, row: usize) -> State {
        let mut bytes = Vec::new();
        encoder.encode(row, &mut bytes);
        let digest = Digest::of(self.key.hash(&bytes));
        let schema = &self.path.target().schema;
        let row = (self.keep == Keep::Rows).then(|| Value::row(rows, schema, row));
        State::Row { digest, row }
    }

    /// Canonical target keys of source rows.
    fn names(&self, source: &RecordBatch) -> Result<Names> {
        let keys = self.path.target_keys(source)?;
        let schema = self.path.target().schema.key_schema();
        let encoder = canonical::Rows::all(&keys, &schema);
        let mut names = Names { bytes: Vec::new(), ends: Vec::with_capacity(keys.num_rows()) };
        for row in 0..keys.num_rows() {
            encoder.encode(row, &mut names.bytes);
            names.ends.push(names.bytes.len());
        }
        Ok(names)
    }
}

/// Canonical keys of many rows, in one piece of memory.
struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    fn of(&self, row: usize) -> &[u8] {
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[row]]
    }
}

/// Images of one schema version in the columns of another: a nullable column that is not there reads as null.
/// `None` where a column has another type, or the key is another.
pub(crate) fn fit(
    images: &RecordBatch,
    found: &TableSchema,
    wanted: &TableSchema,
) -> Option<RecordBatch> {
    if found == wanted {
        return Some(images.clone());
    }
    if !found.key_names().eq(wanted.key_names()) {
        return None;
    }
    let columns = wanted.columns().iter().map(|column| match found.index_of(&column.name) {
        Some(place) if found.columns()[place].ty == column.ty => Some(images.column(place).clone()),
        None if column.nullable => Some(new_null_array(&column.ty.arrow(), images.num_rows())),
        _ => None,
    });
    let columns = columns.collect::<Option<Vec<_>>>()?;
    crate::subject::assemble(wanted, columns, images.num_rows()).ok()
}
