//! One table's changes inside a group, as columns.
//!
//! Row `i` has an [`Op`], an ordinal (its place in the whole group, over all tables), an old image and a new
//! image. An absent image is a row of nulls: the op says which images exist. A cell of a new image may also be
//! *unchanged* (the source did not send it); such a cell is never written as null.

use crate::schema::TableSchema;
use arrow::array::{Array, BooleanArray, RecordBatch};
use std::sync::Arc;

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// A row came to be.
    Insert = 1,
    /// A row changed, perhaps its key too.
    Update = 2,
    /// A row is gone.
    Delete = 3,
    /// A row as a snapshot or a repair found it: an upsert.
    Read = 4,
    /// All rows of the table at this site are gone.
    Truncate = 5,
}

impl Op {
    /// The op stored as a byte.
    pub fn from_byte(byte: u8) -> Option<Op> {
        Some(match byte {
            1 => Op::Insert,
            2 => Op::Update,
            3 => Op::Delete,
            4 => Op::Read,
            5 => Op::Truncate,
            _ => return None,
        })
    }

    /// Whether a change of this kind has a new image.
    pub fn has_new(self) -> bool {
        matches!(self, Op::Insert | Op::Update | Op::Read)
    }

    /// Whether a change of this kind removes or replaces an earlier row, so that its source can send an old image.
    pub fn has_old(self) -> bool {
        matches!(self, Op::Update | Op::Delete)
    }
}

/// Consecutive changes of one table, one schema version.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeBatch {
    table: Arc<str>,
    schema: Arc<TableSchema>,
    ops: Vec<Op>,
    ordinals: Vec<u32>,
    old: RecordBatch,
    new: RecordBatch,
    unchanged: Vec<Option<BooleanArray>>,
}

impl ChangeBatch {
    /// Makes a batch out of parallel columns. `ordinals` grow strictly.
    ///
    /// # Panics
    /// When lengths or schemas do not agree, ordinals do not grow, or a change without an old image it needs a
    /// key from lacks that key: a connector's broken invariant, asserted in release builds.
    pub fn new(
        table: Arc<str>,
        schema: Arc<TableSchema>,
        ops: Vec<Op>,
        ordinals: Vec<u32>,
        old: RecordBatch,
        new: RecordBatch,
    ) -> Self {
        assert_eq!(ops.len(), ordinals.len(), "one ordinal for each op");
        assert_eq!(ops.len(), old.num_rows(), "one old image for each op");
        assert_eq!(ops.len(), new.num_rows(), "one new image for each op");
        assert_eq!(old.schema_ref(), schema.images(), "old images have the table's schema");
        assert_eq!(new.schema_ref(), schema.images(), "new images have the table's schema");
        assert!(ordinals.is_sorted_by(|a, b| a < b), "ordinals grow");
        let batch = ChangeBatch { table, schema, ops, ordinals, old, new, unchanged: Vec::new() };
        batch.assert_keys();
        batch
    }

    /// Marks cells of new images that the source did not send, one mask for each column.
    #[must_use]
    pub fn with_unchanged(mut self, masks: Vec<Option<BooleanArray>>) -> Self {
        assert_eq!(masks.len(), self.schema.columns().len(), "one mask for each column");
        self.unchanged = if masks.iter().all(Option::is_none) { Vec::new() } else { masks };
        self
    }

    /// Every change but a truncate can be put to a key without nulls.
    fn assert_keys(&self) {
        for &k in self.schema.key() {
            let (old, new) = (self.old.column(k), self.new.column(k));
            for (row, op) in self.ops.iter().enumerate() {
                let keyed = match op {
                    Op::Insert | Op::Update | Op::Read => new.is_valid(row),
                    Op::Delete => old.is_valid(row),
                    Op::Truncate => true,
                };
                assert!(keyed, "a change of {} has a null in its key", self.table);
            }
        }
    }

    /// The table's name at the source.
    pub fn table(&self) -> &Arc<str> {
        &self.table
    }

    /// The one schema version of all images.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Kinds of the changes, in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Places of the changes in the group, over all its tables.
    pub fn ordinals(&self) -> &[u32] {
        &self.ordinals
    }

    /// Old images; a row of nulls where there is none.
    pub fn old(&self) -> &RecordBatch {
        &self.old
    }

    /// New images; a row of nulls where there is none.
    pub fn new_images(&self) -> &RecordBatch {
        &self.new
    }

    /// Masks of unchanged cells: empty, or one entry for each column.
    pub fn unchanged(&self) -> &[Option<BooleanArray>] {
        &self.unchanged
    }

    /// Whether the old image of a row is there (its key is not null).
    pub fn has_old_image(&self, row: usize) -> bool {
        self.ops[row].has_old()
            && self.schema.key().iter().all(|&k| self.old.column(k).is_valid(row))
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes that the images hold in memory.
    pub fn memory(&self) -> usize {
        self.old.get_array_memory_size() + self.new.get_array_memory_size() + self.ops.len() * 5
    }
}
