//! What a group of the log adds to a table and takes from it, row by row: `- old image + new image`, both walked down
//! the path of rows, so that a filter turns an update into an insert or a delete.
//!
//! Pure. Where an image lacks cells, or the transform fails on it, the delta says that the row is not known: nothing is
//! ever added or taken that is not exactly the row.

use crate::images::fit;
use crate::subject::{Fate, RowPath, Walked};
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use change::{
    ChangeBatch, Column, DigestKey, Group, GroupKind, Key, Op, TableSchema, Value, canonical,
};
use connect::{Error, Result};

/// What a change does to the rows of the target that are of the path's owner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Delta {
    /// A row under this key is there now.
    Plus(Key, u128),
    /// A row under this key is there no more.
    Minus(Key, u128),
    /// What is under this key has changed, and the log does not say from what, or to what.
    Unknown(Key),
    /// No row is there any more.
    Truncate,
    /// A change has a shape that the path cannot take.
    OtherShape,
}

/// Reads deltas of one path.
pub(crate) struct Deltas<'a> {
    pub(crate) path: &'a RowPath,
    pub(crate) key: DigestKey,
}

/// An image on its way.
#[derive(Clone, Debug)]
enum Image {
    /// It comes out as this row.
    Row(Key, u128),
    /// It comes out nowhere, or belongs to another owner.
    Nowhere,
    /// It is not whole, or the transform fails on it.
    Unknown(Key),
}

impl Deltas<'_> {
    /// The deltas of a group, in source order.
    pub(crate) fn of(&self, group: &Group) -> Result<Vec<Delta>> {
        let table = self.path.source_table();
        let ours = || group.body.batches.iter().filter(|batch| batch.table().as_ref() == table);
        let mut deltas = Vec::with_capacity(ours().map(|batch| 2 * batch.len()).sum());
        for batch in ours() {
            self.batch(batch, &group.body.kind, &mut deltas)?;
        }
        // Several schema versions of the table may alternate in one group.
        if ours().nth(1).is_some() {
            deltas.sort_by_key(|(ordinal, _)| *ordinal);
        }
        Ok(deltas.into_iter().map(|(_, delta)| delta).collect())
    }

    fn batch(
        &self,
        batch: &ChangeBatch,
        kind: &GroupKind,
        deltas: &mut Vec<(u32, Delta)>,
    ) -> Result<()> {
        let schema = self.path.source_schema();
        let unknown = |column: &Column| schema.index_of(&column.name).is_none();
        if batch.schema() != schema && batch.schema().columns().iter().any(unknown) {
            deltas.extend(batch.ordinals().first().map(|first| (*first, Delta::OtherShape)));
            return Ok(());
        }
        let fitted = (
            fit(batch.old(), batch.schema(), schema),
            fit(batch.new_images(), batch.schema(), schema),
        );
        let (Some(old), Some(new)) = fitted else {
            deltas.extend(batch.ordinals().first().map(|first| (*first, Delta::OtherShape)));
            return Ok(());
        };
        let whole = |row: usize| batch.has_old_image(row) && is_whole(&old, schema, row);
        let mut olds = self.walk(&old, batch, |row| batch.has_old_image(row), whole)?.into_iter();
        let sent = |row: usize| !lacks(batch, row);
        let mut news = self.walk(&new, batch, |row| batch.ops()[row].has_new(), sent)?.into_iter();
        for (row, (&op, &ordinal)) in batch.ops().iter().zip(batch.ordinals()).enumerate() {
            let mut push = |delta| deltas.push((ordinal, delta));
            let old = batch.has_old_image(row).then(|| olds.next().expect("one for each image"));
            let new = op.has_new().then(|| news.next().expect("one for each image"));
            match (op, old, new) {
                (Op::Truncate, ..) => push(Delta::Truncate),
                // A row that was read again replaces one that the log does not know. In a snapshot's chunk the range
                // says what it replaces.
                (Op::Read | Op::Delete, ..) if *kind == GroupKind::Repair => {
                    let image = if op == Op::Read { batch.new_images() } else { batch.old() };
                    let key = Key::read(image, batch.schema(), row);
                    push(Delta::Unknown(self.path.target_key(&key)));
                }
                // What it was before is not known, so what is new does not help.
                (Op::Update, None, _) => {
                    let key = Key::read(batch.new_images(), batch.schema(), row);
                    push(Delta::Unknown(self.path.target_key(&key)));
                }
                (_, old, new) => {
                    old.into_iter().filter_map(minus).for_each(&mut push);
                    new.into_iter().filter_map(plus).for_each(&mut push);
                }
            }
        }
        Ok(())
    }

    /// Walks the images that are there; those that are not whole are walked nowhere.
    fn walk(
        &self,
        images: &RecordBatch,
        batch: &ChangeBatch,
        there: impl Fn(usize) -> bool,
        whole: impl Fn(usize) -> bool,
    ) -> Result<Vec<Image>> {
        let rows: Vec<usize> = (0..batch.len()).filter(|row| there(*row)).collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let all;
        let passed = if rows.len() == batch.len() && rows.iter().all(|row| whole(*row)) {
            images
        } else {
            let mask: BooleanArray =
                (0..batch.len()).map(|row| Some(there(row) && whole(row))).collect();
            all = filter_record_batch(images, &mask)
                .map_err(|e| Error::internal("images cannot be filtered").caused_by(e))?;
            &all
        };
        let walked = self.path.walk(passed)?;
        let hashes = self.hashes(&walked);
        let mut fates = walked.fates.iter();
        let name =
            |row: usize| self.path.target_key(&Key::read(images, self.path.source_schema(), row));
        let fate = |row: usize| match whole(row).then(|| fates.next().expect("one for each row")) {
            Some(Fate::Out(out)) => match &hashes[*out] {
                Some((key, hash)) => Image::Row(key.clone(), *hash),
                None => Image::Nowhere,
            },
            Some(Fate::Filtered) => Image::Nowhere,
            Some(Fate::Refused) | None => Image::Unknown(name(row)),
        };
        Ok(rows.into_iter().map(fate).collect())
    }

    /// Key and hash of each row that came out; `None` where it belongs to another owner.
    fn hashes(&self, walked: &Walked) -> Vec<Option<(Key, u128)>> {
        let target = self.path.target();
        let schema = &target.schema;
        let owner = target.owner.as_ref().filter(|owner| !self.path.is_site_column(&owner.column));
        let owner = owner.and_then(|owner| Some((schema.index_of(&owner.column)?, &owner.value)));
        let encoder = canonical::Rows::all(&walked.rows, schema);
        let mut bytes = Vec::new();
        let hashed = (0..walked.rows.num_rows()).map(|row| {
            if let Some((place, owner)) = owner {
                let cell = Value::read(walked.rows.column(place), schema.columns()[place].ty, row);
                if cell != *owner {
                    return None;
                }
            }
            bytes.clear();
            encoder.encode(row, &mut bytes);
            Some((Key::read(&walked.rows, schema, row), self.key.hash(&bytes)))
        });
        hashed.collect()
    }
}

fn minus(image: Image) -> Option<Delta> {
    match image {
        Image::Row(key, hash) => Some(Delta::Minus(key, hash)),
        Image::Unknown(key) => Some(Delta::Unknown(key)),
        Image::Nowhere => None,
    }
}

fn plus(image: Image) -> Option<Delta> {
    match image {
        Image::Row(key, hash) => Some(Delta::Plus(key, hash)),
        Image::Unknown(key) => Some(Delta::Unknown(key)),
        Image::Nowhere => None,
    }
}

/// Whether the source did not send every cell of a new image.
fn lacks(batch: &ChangeBatch, row: usize) -> bool {
    batch.unchanged().iter().flatten().any(|mask| mask.is_valid(row) && mask.value(row))
}

/// Whether an old image is a whole row: one that is the key alone has nulls everywhere else. A row that is so itself is
/// taken for one too, and its leaf is looked up.
fn is_whole(images: &RecordBatch, schema: &TableSchema, row: usize) -> bool {
    let mut others =
        (0..schema.columns().len()).filter(|place| !schema.key().contains(place)).peekable();
    others.peek().is_none() || others.any(|place| images.column(place).is_valid(row))
}
