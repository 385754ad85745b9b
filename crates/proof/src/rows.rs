//! Rows of one side as a look holds them: a keyed hash of each row, one of its key, and the key (or the row) to name it.
//!
//! Nothing is looked up by key here: rows that are equal on both sides never need it ([`crate::compare`]), and an exact
//! table is made only of the few that do. Both sides are encoded by `change::canonical`, from what a reader delivers:
//! SELECT, not the capture's decoder.

use crate::key_hash::KeyHash;
use crate::subject::{Fate, RowPath};
use arrow::array::RecordBatch;
use change::canonical;
use change::{Digest, DigestKey, Key, TableSchema, Value};
use connect::{Result, key_order};
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
    /// Number of the first.
    first: usize,
}

/// Rows in the order in which they were read, numbered from 0.
pub(crate) struct Rows {
    schema: Arc<TableSchema>,
    keep: Keep,
    held: Vec<Held>,
    hashes: Vec<u128>,
    keys: Vec<KeyHash>,
    /// Bytes of all rows in their canonical form.
    pub(crate) bytes: u64,
}

/// A batch, with the schema of its columns.
struct Held {
    /// Number of its first row.
    first: usize,
    batch: RecordBatch,
    schema: Arc<TableSchema>,
}

impl Rows {
    /// No rows, of a target table's shape.
    pub(crate) fn new(schema: Arc<TableSchema>, keep: Keep) -> Self {
        let (held, hashes, keys) = (Vec::new(), Vec::new(), Vec::new());
        Rows { schema, keep, held, hashes, keys, bytes: 0 }
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
        let first = self.hashes.len();
        let (all, keys) = (canonical::Rows::all(rows, schema), canonical::Rows::keys(rows, schema));
        let mut bytes = Vec::new();
        for row in 0..rows.num_rows() {
            bytes.clear();
            all.encode(row, &mut bytes);
            self.bytes += bytes.len() as u64;
            self.hashes.push(key.hash(&bytes));
            bytes.clear();
            keys.encode(row, &mut bytes);
            self.keys.push(KeyHash::of(key, &bytes));
        }
        let batch = match self.keep {
            Keep::Rows => rows.clone(),
            Keep::Keys => rows.project(schema.key()).map_err(|e| {
                connect::Error::internal("rows lack their key columns").caused_by(e)
            })?,
        };
        self.held.push(Held { first, batch, schema: schema.clone() });
        Ok(())
    }

    /// The same rows, all keys with one hash.
    #[cfg(test)]
    pub(crate) fn with_one_key_hash(mut self) -> Self {
        self.keys.fill(KeyHash(7));
        self
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The digest of all.
    pub(crate) fn sum(&self) -> Digest {
        self.hashes.iter().fold(Digest::default(), |sum, hash| sum + Digest::of(*hash))
    }

    /// The digest of one row.
    pub(crate) fn digest(&self, row: usize) -> Digest {
        Digest::of(self.hashes[row])
    }

    /// The hash of one row's key.
    pub(crate) fn key_hash(&self, row: usize) -> KeyHash {
        self.keys[row]
    }

    /// The batch that holds a row, and the row's place there.
    fn held(&self, row: usize) -> (&Held, usize) {
        let behind = self.held.partition_point(|held| held.first <= row);
        let held = &self.held[behind - 1];
        (held, row - held.first)
    }

    /// The key of one row.
    pub(crate) fn key_at(&self, row: usize) -> Key {
        let (held, row) = self.held(row);
        match self.keep {
            Keep::Rows => Key::read(&held.batch, &held.schema, row),
            Keep::Keys => Key(Value::row(&held.batch, &held.schema.key_schema(), row)),
        }
    }

    /// Appends the canonical bytes of one row's key.
    pub(crate) fn key_bytes(&self, row: usize, bytes: &mut Vec<u8>) {
        let (held, row) = self.held(row);
        match self.keep {
            Keep::Rows => canonical::Rows::keys(&held.batch, &held.schema).encode(row, bytes),
            Keep::Keys => {
                canonical::Rows::all(&held.batch, &held.schema.key_schema()).encode(row, bytes);
            }
        }
    }

    /// Some rows by the canonical bytes of their key: exact, and made for few.
    pub(crate) fn table(&self, rows: impl Iterator<Item = usize>) -> HashMap<Vec<u8>, Entry> {
        let mut table: HashMap<Vec<u8>, Entry> = HashMap::new();
        for row in rows {
            let mut bytes = Vec::new();
            self.key_bytes(row, &mut bytes);
            let digest = self.digest(row);
            table
                .entry(bytes)
                .and_modify(|entry| entry.digest += digest)
                .or_insert(Entry { digest, first: row });
        }
        table
    }

    /// All rows by the canonical bytes of their key; for looks at few.
    pub(crate) fn whole_table(&self) -> HashMap<Vec<u8>, Entry> {
        self.table(0..self.len())
    }

    /// The key of an entry.
    pub(crate) fn key(&self, entry: &Entry) -> Key {
        self.key_at(entry.first)
    }

    /// The row of an entry, where rows are kept.
    pub(crate) fn row(&self, entry: &Entry) -> Option<Vec<Value>> {
        let (held, row) = self.held(entry.first);
        (self.keep == Keep::Rows).then(|| Value::row(&held.batch, &held.schema, row))
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        (0..self.len()).map(|row| self.key_at(row))
    }

    /// The key of the last row below a key. Where rows did not come in key order it is that of any row.
    pub(crate) fn below(&self, key: &Key) -> Option<Key> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match key_order::compare(&self.key_at(middle), key).is_lt() {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1).map(|row| self.key_at(row))
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
