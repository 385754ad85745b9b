//! Rows of one side as a look holds them: canonical key, keyed digest, and the key (or the row) to name it by.
//!
//! Both sides are encoded by `change::canonical`, from what a reader delivers: SELECT, not the capture's decoder.

use crate::subject::{Fate, RowPath};
use arrow::array::RecordBatch;
use change::canonical;
use change::{Digest, DigestKey, Key, TableSchema, Value};
use connect::Result;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a look keeps of rows beside their digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Key columns, to name differences by.
    Keys,
    /// Whole rows, to show differences.
    Rows,
}

/// One key's rows: one, unless the table lacks the constraint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Count and sum of them.
    pub(crate) digest: Digest,
    batch: u32,
    row: u32,
}

/// Rows by canonical key.
pub(crate) struct Rows {
    schema: Arc<TableSchema>,
    keep: Keep,
    /// Batches, each with the schema of its columns.
    held: Vec<(RecordBatch, Arc<TableSchema>)>,
    pub(crate) entries: HashMap<Vec<u8>, Entry>,
    /// Bytes of all rows in their canonical form.
    pub(crate) bytes: u64,
}

impl Rows {
    /// No rows, of a target table's shape.
    pub(crate) fn new(schema: Arc<TableSchema>, keep: Keep) -> Self {
        Rows { schema, keep, held: Vec::new(), entries: HashMap::new(), bytes: 0 }
    }

    /// Adds rows in the target's columns.
    pub(crate) fn add(&mut self, key: DigestKey, rows: &RecordBatch) -> Result<()> {
        let schema = self.schema.clone();
        self.add_shaped(&schema, key, rows)
    }

    /// Adds rows in the target's columns, some of which carry their type with them.
    pub(crate) fn add_shaped(
        &mut self,
        schema: &Arc<TableSchema>,
        key: DigestKey,
        rows: &RecordBatch,
    ) -> Result<()> {
        let (all, keys) = (canonical::Rows::all(rows, schema), canonical::Rows::keys(rows, schema));
        let batch = u32::try_from(self.held.len()).expect("a look holds fewer than 2^32 batches");
        let mut bytes = Vec::new();
        for row in 0..rows.num_rows() {
            bytes.clear();
            all.encode(row, &mut bytes);
            self.bytes += bytes.len() as u64;
            let digest = Digest::of(key.hash(&bytes));
            let mut name = Vec::new();
            keys.encode(row, &mut name);
            let row = u32::try_from(row).expect("a batch has fewer than 2^32 rows");
            self.entries.entry(name).and_modify(|entry| entry.digest += digest).or_insert(Entry {
                digest,
                batch,
                row,
            });
        }
        let kept = match self.keep {
            Keep::Rows => rows.clone(),
            Keep::Keys => rows.project(schema.key()).map_err(|e| {
                connect::Error::internal("rows lack their key columns").caused_by(e)
            })?,
        };
        self.held.push((kept, schema.clone()));
        Ok(())
    }

    /// The key of an entry.
    pub(crate) fn key(&self, entry: &Entry) -> Key {
        let ((batch, schema), row) = (&self.held[entry.batch as usize], entry.row as usize);
        match self.keep {
            Keep::Rows => Key::read(batch, schema, row),
            Keep::Keys => Key(Value::row(batch, &schema.key_schema(), row)),
        }
    }

    /// The row of an entry, where rows are kept.
    pub(crate) fn row(&self, entry: &Entry) -> Option<Vec<Value>> {
        let (batch, schema) = &self.held[entry.batch as usize];
        (self.keep == Keep::Rows).then(|| Value::row(batch, schema, entry.row as usize))
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.entries.values().map(|entry| self.key(entry))
    }
}

/// Source rows on their way into [`Rows`].
pub(crate) struct SourceRows {
    /// Those that come out of the path.
    pub(crate) rows: Rows,
    /// Source rows read.
    pub(crate) read: u64,
    /// Those that the filter dropped.
    pub(crate) filtered: u64,
    /// Canonical target keys of the rows that the transform fails on.
    pub(crate) refused: HashSet<Vec<u8>>,
    /// Source key of the last row read.
    pub(crate) last: Option<Key>,
}

impl SourceRows {
    /// No rows yet.
    pub(crate) fn new(path: &RowPath, keep: Keep) -> Self {
        let rows = Rows::new(path.target().schema.clone(), keep);
        SourceRows { rows, read: 0, filtered: 0, refused: HashSet::new(), last: None }
    }

    /// Sends source rows down the path.
    pub(crate) fn add(
        &mut self,
        path: &RowPath,
        key: DigestKey,
        batch: &RecordBatch,
    ) -> Result<()> {
        let Some(last) = batch.num_rows().checked_sub(1) else { return Ok(()) };
        self.read += batch.num_rows() as u64;
        self.last = Some(Key::read(batch, path.source_schema(), last));
        let walked = path.walk(batch)?;
        self.filtered += walked.fates.iter().filter(|fate| **fate == Fate::Filtered).count() as u64;
        if walked.fates.contains(&Fate::Refused) {
            let keys = path.target_keys(batch)?;
            let schema = path.target().schema.key_schema();
            let encoder = canonical::Rows::all(&keys, &schema);
            for row in (0..batch.num_rows()).filter(|row| walked.fates[*row] == Fate::Refused) {
                let mut name = Vec::new();
                encoder.encode(row, &mut name);
                self.refused.insert(name);
            }
        }
        self.rows.add(key, &walked.rows)
    }
}
