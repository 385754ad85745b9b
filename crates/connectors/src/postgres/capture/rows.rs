//! Rows that the capture reads itself: chunks of a table and single keys, each at a snapshot of its own, on an ordinary
//! connection.
//!
//! The table is locked against TRUNCATE and changes of its shape before the snapshot is taken: neither is bound to
//! snapshots, and an older one would then find no rows. A message is written in the statement that takes the snapshot:
//! where it comes in the stream is the place of the rows. Which transactions lie between the two, and void what was
//! read, is [`super::reader`]'s business. No transaction stays open for longer than one group of rows.

use super::super::catalogue::{TableShape, require_shape};
use super::super::error::failed;
use super::super::filter::{Filter, comparable, compared, order};
use super::super::names::{TableName, identifier};
use super::super::read::MARK;
use super::super::text;
use super::super::types::AsText;
use super::gather::Gather;
use super::shapes::Shape;
use super::xids::Snapshot;
use change::{ChangeBatch, Key, Op};
use connect::log::Bounds;
use connect::read::KeyRange;
use connect::{Error, Result};
use postgres::{Client, SimpleQueryMessage, Transaction};
use std::sync::Arc;

/// How long a lock of the application may hold up a read.
const LOCKED: &str = "300ms";

/// Rows asked for at once at first; as many bytes as [`PIECE`] afterwards.
const FIRST: usize = 256;

/// Bytes asked for at once, about.
const PIECE: usize = 1 << 20;

/// Keys asked for in one statement.
const KEYS: usize = 256;

/// Rows as they stood at a snapshot.
pub(super) struct Read {
    pub(super) snapshot: Snapshot,
    /// Where the message behind the snapshot stands.
    pub(super) mark: u64,
    pub(super) batches: Vec<ChangeBatch>,
    /// The key of the last row, if more rows follow.
    pub(super) upto: Option<Key>,
}

/// A table of which rows are read.
pub(super) struct Subject<'a> {
    pub(super) name: &'a TableName,
    /// As flows spell it.
    pub(super) table: &'a Arc<str>,
    pub(super) as_text: AsText,
    /// The text of the message.
    pub(super) message: &'a str,
}

/// A transaction in which a table stands still.
struct Still<'c> {
    transaction: Transaction<'c>,
    snapshot: Snapshot,
    mark: u64,
    declared: TableShape,
    shape: Arc<Shape>,
}

impl Subject<'_> {
    fn what(&self) -> String {
        format!("cannot read table {}", self.table)
    }

    fn still<'c>(&self, client: &'c mut Client) -> Result<Still<'c>> {
        let reading = || failed(self.what());
        let mut transaction = client
            .build_transaction()
            .isolation_level(postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .map_err(reading())?;
        let locking = format!(
            "SET LOCAL lock_timeout = '{LOCKED}'; LOCK TABLE {} IN ACCESS SHARE MODE",
            self.name.sql()
        );
        transaction.batch_execute(&locking).map_err(reading())?;
        let row = transaction
            .query_one(
                "SELECT pg_current_snapshot()::text, (pg_logical_emit_message(false, $1, $2) - '0/0')::text",
                &[&MARK, &self.message],
            )
            .map_err(reading())?;
        let snapshot = Snapshot::parse(row.get(0));
        let mark = row.get::<_, &str>(1).parse().ok();
        let (Some(snapshot), Some(mark)) = (snapshot, mark) else {
            return Err(Error::internal("a snapshot of PostgreSQL has an unknown form"));
        };
        let declared = require_shape(&mut transaction, self.name, self.as_text)?;
        let shape = Arc::new(Shape::of(self.table, &declared)?);
        Ok(Still { transaction, snapshot, mark, declared, shape })
    }

    /// Reads the rows behind a key, as many as the bounds allow.
    pub(super) fn chunk(
        &self,
        client: &mut Client,
        after: Option<&Key>,
        bounds: Bounds,
    ) -> Result<Read> {
        let mut still = self.still(client)?;
        let schema = &*still.shape.schema;
        let range = KeyRange { after: after.cloned(), upto: None };
        let filter = Filter::default().within(&still.declared, schema, &range)?;
        let most = bounds.changes.max(1);
        let sql = format!(
            "DECLARE seamount_rows NO SCROLL CURSOR FOR SELECT {} FROM {} AS t{}{} LIMIT {}",
            columns(&still.shape),
            self.name.sql(),
            filter.sql(),
            order(&still.declared, schema)?,
            most + 1
        );
        still.transaction.batch_execute(&sql).map_err(failed(self.what()))?;
        let mut gather = Gather::default();
        gather.expect(&still.shape);
        let full = self.fetch(&mut still, &mut gather, most, bounds.bytes)?;
        let batches = gather.finish();
        let upto = full.then(|| {
            let last = batches[0].new_images();
            Key::read(last, &still.shape.schema, last.num_rows() - 1)
        });
        Ok(Read { snapshot: still.snapshot, mark: still.mark, batches, upto })
    }

    /// Takes rows out of the cursor; returns whether more follow than fit.
    fn fetch(
        &self,
        still: &mut Still<'_>,
        gather: &mut Gather,
        most: usize,
        bytes: usize,
    ) -> Result<bool> {
        let mut count = FIRST;
        loop {
            let sql = format!("FETCH {count} FROM seamount_rows");
            let messages = still.transaction.simple_query(&sql).map_err(failed(self.what()))?;
            let mut came = 0;
            for message in &messages {
                let SimpleQueryMessage::Row(row) = message else { continue };
                let there = gather.changes();
                if there > 0 && (there >= most || gather.bytes() >= bytes) {
                    return Ok(true);
                }
                gather.take_read(&still.shape, Op::Read, |i| row.get(i))?;
                came += 1;
            }
            if came < count {
                return Ok(false);
            }
            let each = (gather.bytes() / gather.changes().max(1)).max(1);
            count = (PIECE / each).clamp(1, 4096);
        }
    }

    /// Reads single keys: a row comes as `Read`, none as a delete of the key.
    pub(super) fn keys(&self, client: &mut Client, keys: &[Key]) -> Result<Read> {
        let mut still = self.still(client)?;
        let mut gather = Gather::default();
        let width = still.shape.wires.len();
        let key: Vec<usize> = still.shape.schema.key().to_vec();
        for some in keys.chunks(KEYS) {
            let sql: Vec<String> =
                some.iter().map(|key| self.one_key(&still, key)).collect::<Result<_>>()?;
            let messages =
                still.transaction.simple_query(&sql.join(";\n")).map_err(failed(self.what()))?;
            for message in &messages {
                let SimpleQueryMessage::Row(row) = message else { continue };
                // Whether it is there, its cells, the key that was asked for.
                if row.get(0).is_some() {
                    gather.take_read(&still.shape, Op::Read, |i| row.get(1 + i))?;
                } else {
                    gather.take_read(&still.shape, Op::Delete, |i| {
                        let place = key.iter().position(|k| *k == i)?;
                        row.get(1 + width + place)
                    })?;
                }
            }
        }
        let batches = gather.finish();
        Ok(Read { snapshot: still.snapshot, mark: still.mark, batches, upto: None })
    }

    fn one_key(&self, still: &Still<'_>, key: &Key) -> Result<String> {
        let names: Vec<&str> = still.shape.schema.key_names().collect();
        if key.0.len() != names.len() {
            return Err(Error::invalid(format!("a key of table {} does not fit it", self.table)));
        }
        let (mut equal, mut asked) = (Vec::new(), String::new());
        for (name, value) in names.into_iter().zip(&key.0) {
            let column = still.declared.require(name)?;
            equal.push(format!("{} = {}", compared(column), comparable(column, value)));
            asked += &format!(", CAST({} AS {})", text::sql(value), column.declared);
        }
        Ok(format!(
            "SELECT r.*{asked} FROM (SELECT) o LEFT JOIN LATERAL (SELECT true, {} FROM {} AS t WHERE {}) r ON true",
            columns(&still.shape),
            self.name.sql(),
            equal.join(" AND ")
        ))
    }
}

/// Makes everything durable that was written before, so that the stream comes to it.
pub(in crate::postgres) fn make_durable(client: &mut Client) -> Result<()> {
    client
        .batch_execute(&format!(
            "BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, '{MARK}', '{QUIET}'); COMMIT"
        ))
        .map_err(failed("cannot make a message durable"))
}

/// The text of a message that is no place of its own.
pub(super) const QUIET: &str = "quiet";

fn columns(shape: &Shape) -> String {
    let names = shape.schema.columns().iter().map(|c| format!("t.{}", identifier(&c.name)));
    names.collect::<Vec<_>>().join(", ")
}
