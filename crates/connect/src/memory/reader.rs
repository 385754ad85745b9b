//! Reads the change list of a memory source: whole transactions, parts of huge ones, and rows read in between.
//!
//! Rows that were asked for are read at the end of the change list as it is then; they are handed out when
//! everything before that place has been. So they stand exactly where they were read, however busy the source is.

use super::history::{Change, another, place, tag_and_part};
use super::order::OrderedKey;
use super::source::{Database, MemorySource, OldImages};
use super::table::wrong_type;
use crate::error::{Error, Result, State};
use crate::log::Bounds;
use crate::source::{ChangeReader, ReadRequest, Retained};
use arrow::array::{BooleanArray, RecordBatch};
use change::value::batch;
use change::{
    ChangeBatch, GroupBody, GroupKind, History, Key, Op, Part, SnapshotChunk, SourcePosition,
    TableSchema, Value,
};
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

/// A reader of one memory source.
pub(super) struct MemoryReader {
    source: MemorySource,
    history: History,
    /// The tables it was opened for.
    tables: Vec<String>,
    position: SourcePosition,
    requests: VecDeque<ReadRequest>,
    /// Rows that were read, waiting for the changes before them to be handed out.
    read: Option<GroupBody>,
}

impl MemoryReader {
    pub(super) fn new(
        source: MemorySource,
        history: History,
        tables: &[String],
        position: SourcePosition,
    ) -> Self {
        let tables = tables.to_vec();
        MemoryReader { source, history, tables, position, requests: VecDeque::new(), read: None }
    }

    /// Whether the database is still the one that was opened: of this history, holding the changes of all our tables.
    fn verify(&self, database: &Database) -> Result<()> {
        if database.history != self.history {
            return Err(Error::invalid("the source's history is another")
                .found(format!("{}, captured was {}", database.history, self.history))
                .state(State::HistoryChanged));
        }
        database.retention.verify(&self.position)?;
        match self.tables.iter().find(|table| !database.captured.contains(*table)) {
            Some(table) => {
                Err(another(format!("a database that does not capture {table} any more")))
            }
            None => Ok(()),
        }
    }

    /// Reads rows for the oldest request at the place where the database stands now.
    fn read_rows(&mut self, database: &Database, bounds: Bounds) -> Result<()> {
        let Some(request) = self.requests.pop_front() else { return Ok(()) };
        let (rest, group) = match request {
            ReadRequest::Snapshot { table, id, after } => {
                let (chunk, changes) = read_chunk(database, &table, after.as_ref(), bounds)?;
                let rest = chunk.as_ref().map(|upto| ReadRequest::Snapshot {
                    table: table.clone(),
                    id,
                    after: Some(upto.clone()),
                });
                let chunk = SnapshotChunk { id, table, after, upto: chunk };
                (rest, (GroupKind::Snapshot(chunk), changes))
            }
            ReadRequest::Keys { table, mut keys } => {
                let later = keys.split_off(keys.len().min(bounds.changes.max(1)));
                let changes = read_keys(database, &table, &keys)?;
                let rest = (!later.is_empty()).then_some(ReadRequest::Keys { table, keys: later });
                (rest, (GroupKind::Repair, changes))
            }
        };
        if let Some(rest) = rest {
            self.requests.push_front(rest);
        }
        let here = database.position();
        self.read = Some(GroupBody {
            kind: group.0,
            part: Part::WHOLE,
            after: here.clone(),
            upto: here,
            commit_time: database.now(),
            batches: group.1,
        });
        Ok(())
    }
}

impl ChangeReader for MemoryReader {
    fn history(&self) -> &History {
        &self.history
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let source = self.source.clone();
        let database = source.lock();
        self.verify(&database)?;
        if let Some(read) = &self.read {
            database.retention.verify(&read.after)?;
        }
        if self.read.is_none() {
            self.read_rows(&database, bounds)?;
        }
        let end = database.position();
        let upto = self.read.as_ref().map_or(end.sequence, |group| group.after.sequence);
        if self.position.sequence < upto {
            let group = next_changes(&database, &self.position, upto, bounds)?;
            self.position = group.upto.clone();
            return Ok(Some(group));
        }
        Ok(self.read.take())
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        self.source.lock().retention.acknowledge(position)
    }

    fn request(&mut self, read: ReadRequest) -> Result<()> {
        let (ReadRequest::Snapshot { table, .. } | ReadRequest::Keys { table, .. }) = &read;
        let database = self.source.lock();
        self.verify(&database)?;
        if !self.tables.contains(table) {
            return Err(Error::invalid(format!("table {table} is not captured")));
        }
        drop(database);
        if !matches!(&read, ReadRequest::Keys { keys, .. } if keys.is_empty()) {
            self.requests.push_back(read);
        }
        Ok(())
    }

    fn retained(&mut self) -> Result<Retained> {
        let database = self.source.lock();
        let changes = database.retention.behind(database.retention.acknowledged.sequence);
        Ok(Retained { changes, bytes: None })
    }
}

/// Whole transactions behind a position as long as they fit, or a part of one that does not fit alone.
fn next_changes(
    database: &Database,
    after: &SourcePosition,
    upto: u64,
    bounds: Bounds,
) -> Result<GroupBody> {
    let part = tag_and_part(after).map_or(0, |(_, part)| part);
    let mut taken: Vec<&Change> = Vec::new();
    let (mut bytes, mut time, mut end) = (0, 0, after.clone());
    let mut is_last = true;
    while end.sequence < upto {
        let transaction = database.retention.holding(end.sequence + 1);
        let transaction = transaction.expect("what is not acknowledged is retained");
        let begin = usize::try_from(end.sequence + 1 - transaction.first).expect("in memory");
        let rest = &transaction.changes[begin..];
        let all: usize = rest.iter().map(size_of_change).sum();
        if taken.len() + rest.len() <= bounds.changes && bytes + all <= bounds.bytes {
            taken.extend(rest);
            bytes += all;
            end = place(transaction.last(), transaction.tag, 0);
        } else if taken.is_empty() {
            let fitting = fitting(rest, bounds);
            taken.extend(&rest[..fitting]);
            let sequence = end.sequence + fitting as u64;
            is_last = sequence == transaction.last();
            end = place(sequence, transaction.tag, if is_last { 0 } else { part + 1 });
            time = transaction.time;
            break;
        } else {
            break;
        }
        time = transaction.time;
        if part > 0 {
            break;
        }
    }
    Ok(GroupBody {
        kind: GroupKind::Changes,
        part: Part { index: part, last: is_last },
        after: after.clone(),
        upto: end,
        commit_time: time,
        batches: batches(&taken, database.old_images)?,
    })
}

/// How many changes of a transaction make one part; at least one.
fn fitting(changes: &[Change], bounds: Bounds) -> usize {
    let mut bytes = 0;
    let within = changes.iter().take(bounds.changes).take_while(|change| {
        bytes += size_of_change(change);
        bytes <= bounds.bytes
    });
    within.count().max(1)
}

fn size_of_change(change: &Change) -> usize {
    let cell = |value: &Value| match value {
        Value::Text(text) => 16 + text.len(),
        Value::Bytes(bytes) => 16 + bytes.len(),
        _ => 16,
    };
    change.old.iter().chain(&change.new).flat_map(|row| row.iter()).map(cell).sum::<usize>() + 8
}

/// One batch for each table and schema version, with ordinals over all of them.
fn batches(changes: &[&Change], old_images: OldImages) -> Result<Vec<ChangeBatch>> {
    let mut kinds: Vec<(&Change, Vec<(u32, &Change)>)> = Vec::new();
    for (ordinal, change) in changes.iter().enumerate() {
        let ordinal = u32::try_from(ordinal).expect("a group has fewer than 2^32 changes");
        let same = |(first, _): &&mut (&Change, _)| {
            first.table == change.table && first.schema == change.schema
        };
        match kinds.iter_mut().find(same) {
            Some((_, members)) => members.push((ordinal, change)),
            None => kinds.push((change, vec![(ordinal, change)])),
        }
    }
    kinds.into_iter().map(|(first, members)| one_batch(first, &members, old_images)).collect()
}

fn one_batch(
    first: &Change,
    members: &[(u32, &Change)],
    old_images: OldImages,
) -> Result<ChangeBatch> {
    let width = first.schema.columns().len();
    let old = members.iter().map(|(_, change)| match (&change.old, old_images) {
        (Some(old), OldImages::Full) => old.as_ref().clone(),
        (Some(old), OldImages::Keys | OldImages::KeysAndChanged) => {
            let moved = change.new.as_ref().is_none_or(|new| change.key(new) != change.key(old));
            if moved {
                key_row(&first.schema, &change.key(old).0)
            } else {
                vec![Value::Null; width]
            }
        }
        (None, _) => vec![Value::Null; width],
    });
    let old = images(first, &old.collect::<Vec<_>>())?;
    let new = members.iter().map(|(_, change)| match &change.new {
        Some(new) if old_images == OldImages::KeysAndChanged => {
            let sent = |(column, cell): (usize, &Value)| match left_out(change, column) {
                true => Value::Null,
                false => cell.clone(),
            };
            new.iter().enumerate().map(sent).collect()
        }
        Some(new) => new.as_ref().clone(),
        None => vec![Value::Null; width],
    });
    let new = images(first, &new.collect::<Vec<_>>())?;
    let ops = members.iter().map(|(_, change)| change.op).collect();
    let ordinals = members.iter().map(|(ordinal, _)| *ordinal).collect();
    let batch =
        ChangeBatch::new(first.table.clone(), first.schema.clone(), ops, ordinals, old, new);
    Ok(match old_images {
        OldImages::KeysAndChanged => batch.with_unchanged(unchanged(first, members)),
        OldImages::Full | OldImages::Keys => batch,
    })
}

/// Whether a cell of an update was left out, since it did not change.
fn left_out(change: &Change, column: usize) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => {
            !change.schema.key().contains(&column) && old[column] == new[column]
        }
        _ => false,
    }
}

/// Masks of the cells that are left out, one for each column.
fn unchanged(first: &Change, members: &[(u32, &Change)]) -> Vec<Option<BooleanArray>> {
    let columns = 0..first.schema.columns().len();
    let mask = |column| {
        let out = members.iter().map(|(_, change)| Some(left_out(change, column)));
        let mask: BooleanArray = out.collect();
        (mask.true_count() > 0).then_some(mask)
    };
    columns.map(mask).collect()
}

/// Rows under an earlier shape have fewer cells than a later one; within one version they agree.
fn images(first: &Change, rows: &[Vec<Value>]) -> Result<RecordBatch> {
    batch(&first.schema, rows).map_err(|e| wrong_type(&first.table, &e))
}

/// A row of nulls but for its key.
fn key_row(schema: &TableSchema, key: &[Value]) -> Vec<Value> {
    let mut row = vec![Value::Null; schema.columns().len()];
    for (&column, value) in schema.key().iter().zip(key) {
        row[column] = value.clone();
    }
    row
}

/// The next rows of a snapshot, and the key of the last of them if more follow.
fn read_chunk(
    database: &Database,
    name: &str,
    after: Option<&Key>,
    bounds: Bounds,
) -> Result<(Option<Key>, Vec<ChangeBatch>)> {
    let table = database.tables.get(name)?;
    let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(OrderedKey::from(key)));
    let mut behind = table.rows.range((from, Bound::Unbounded)).peekable();
    let (mut changes, mut bytes, mut last) = (Vec::new(), 0, None);
    while let Some((key, row)) = behind
        .next_if(|_| changes.is_empty() || (changes.len() < bounds.changes && bytes < bounds.bytes))
    {
        let change = Change::new(name, &table.schema, Op::Read).to(row.clone());
        bytes += size_of_change(&change);
        changes.push(change);
        last = Some(key.key());
    }
    let upto = last.filter(|_| behind.peek().is_some());
    Ok((upto, read_batches(name, &table.schema, &changes)?))
}

/// Rows under keys as they are now; a key without a row comes as a delete.
fn read_keys(database: &Database, name: &str, keys: &[Key]) -> Result<Vec<ChangeBatch>> {
    let table = database.tables.get(name)?;
    let read = |key: &Key| match table.rows.get(&OrderedKey::from(key)) {
        Some(row) => Change::new(name, &table.schema, Op::Read).to(row.clone()),
        None => Change::new(name, &table.schema, Op::Delete)
            .from(Arc::new(key_row(&table.schema, &key.0))),
    };
    let changes: Vec<Change> = keys.iter().map(read).collect();
    read_batches(name, &table.schema, &changes)
}

/// Rows read from one table; where there is none, a batch without rows tells the shape.
fn read_batches(
    name: &str,
    schema: &Arc<TableSchema>,
    changes: &[Change],
) -> Result<Vec<ChangeBatch>> {
    if changes.is_empty() {
        let shape = Change::new(name, schema, Op::Read);
        return Ok(vec![one_batch(&shape, &[], OldImages::Full)?]);
    }
    batches(&changes.iter().collect::<Vec<_>>(), OldImages::Full)
}
