//! Cuts: a consistent view of a database in one read-only transaction, read by COPY BINARY.
//!
//! What a cut contains is decided by the transaction ids that its snapshot sees, never by a place in the write-ahead
//! log: a transaction can be committed there and not be visible yet. The place that closes a cut is that of a message
//! written behind the snapshot: every transaction that the snapshot sees was committed before it.

use super::address::Address;
use super::book;
use super::capture::make_durable;
use super::capture::xids::{Snapshot, sees};
use super::catalogue::{TableShape, require_shape};
use super::decode::{Decoder, Unfit};
use super::error::failed;
use super::filter::{Filter, order};
use super::names::{TableName, identifier};
use super::session::connect;
use super::types::{AsText, Wire};
use arrow::array::{RecordBatch, RecordBatchOptions};
use change::{Column, FlowId, Group, SourcePosition, TableSchema};
use connect::read::{Cut, Scan, Sees};
use connect::target::FlowProgress;
use connect::{Error, Result};
use postgres::Client;
use postgres::types::PgLsn;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Rows handed to a sink at once.
const BATCH_ROWS: usize = 8_192;

/// Bytes handed to a sink at once, where rows are wide.
const BATCH_BYTES: usize = 8 << 20;

/// Prefix of our messages in the write-ahead log, and of our slots.
pub(super) const MARK: &str = "seamount";

/// A cut of a PostgreSQL database.
pub(super) struct PgCut {
    client: Client,
    snapshot: Snapshot,
    closing: Option<SourcePosition>,
    as_text: AsText,
    shapes: BTreeMap<String, TableShape>,
}

impl PgCut {
    /// Opens a cut of now.
    pub(super) fn open(address: &Address) -> Result<PgCut> {
        let mut client = connect(address)?;
        book::enter(&mut client)?;
        let reading = || failed(format!("cannot read site {}", address.site));
        client
            .batch_execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .map_err(reading())?;
        let row = client
            .query_one("SELECT pg_current_snapshot()::text, pg_is_in_recovery()", &[])
            .map_err(reading())?;
        let snapshot = Snapshot::parse(row.get(0))
            .ok_or_else(|| Error::internal("a snapshot of PostgreSQL has an unknown form"))?;
        let closing = if row.get(1) { None } else { closing(&mut client).map_err(reading())? };
        if let Some(closing) = &closing {
            let durable = "SELECT pg_current_wal_flush_lsn() >= $1";
            let closing = PgLsn::from(closing.sequence);
            // Nobody else may write for long, and only what is durable comes to the capture.
            if !client.query_one(durable, &[&closing]).map_err(reading())?.get::<_, bool>(0) {
                make_durable(&mut connect(address)?)?;
            }
        }
        Ok(PgCut { client, snapshot, closing, as_text: address.as_text, shapes: BTreeMap::new() })
    }

    fn shape(&mut self, table: &str) -> Result<TableShape> {
        if let Some(shape) = self.shapes.get(table) {
            return Ok(shape.clone());
        }
        let shape = require_shape(&mut self.client, &TableName::parse(table)?, self.as_text)?;
        self.shapes.insert(table.to_string(), shape.clone());
        Ok(shape)
    }
}

impl Cut for PgCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let shape = self.shape(&scan.table)?;
        scan_table(&mut self.client, &shape, scan, sink)
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.closing.as_ref()
    }

    fn sees(&self, group: &Group) -> Sees {
        match &group.body.upto.detail {
            Some(detail) if self.closing.is_some() => sees(detail, &self.snapshot),
            _ => Sees::None,
        }
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        book::progress(&mut self.client, flow)
    }
}

/// The place behind everything that the snapshot sees, where a slot of ours reads this database.
fn closing(client: &mut Client) -> Result<Option<SourcePosition>, postgres::Error> {
    let captured: bool = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_replication_slots
             WHERE database = current_database() AND plugin = 'pgoutput' AND starts_with(slot_name, $1))",
            &[&MARK],
        )?
        .get(0);
    if !captured {
        return Ok(None);
    }
    // The text tells this place from one that another history has there.
    let text = "'cut-' || to_char(clock_timestamp(), 'YYYYMMDDHH24MISSUS')";
    let sql = format!("SELECT pg_logical_emit_message(false, $1, {text})");
    let row = client.query_one(&sql, &[&MARK])?;
    Ok(Some(SourcePosition::at(u64::from(row.get::<_, PgLsn>(0)))))
}

/// Reads the rows of a scan on a connection whose transaction the caller has opened.
pub(super) fn scan_table(
    client: &mut Client,
    shape: &TableShape,
    scan: &Scan,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let mut filter = Filter::default();
    if let Some(owner) = &scan.owner {
        filter = filter.owned(shape, owner)?;
    }
    filter = filter.within(shape, &scan.schema, &scan.range)?;
    let wires = wires(shape, &scan.schema)?;
    let mut sql = format!(
        "COPY (SELECT {} FROM {} AS t{}{}",
        selected(&scan.schema, &wires),
        shape.name.sql(),
        filter.sql(),
        order(shape, &scan.schema)?
    );
    if let Some(limit) = scan.limit {
        sql += &format!(" LIMIT {limit}");
    }
    sql += ") TO STDOUT (FORMAT binary)";
    let what = format!("cannot read table {}", shape.name.shown());
    let mut copy = client.copy_out(sql.as_str()).map_err(failed(&what))?;
    let mut rows = Rows::new(&shape.name, &scan.schema, &wires);
    rows.pass_on(&mut copy, &what, sink)
}

/// How the columns wanted come.
fn wires(shape: &TableShape, schema: &TableSchema) -> Result<Vec<Wire>> {
    let wire = |wanted: &Column| {
        let column = shape.require(&wanted.name)?;
        column.wire_as(wanted.ty).ok_or_else(|| {
            Error::invalid(format!(
                "column {}.{} cannot be read as {}",
                shape.name.shown(),
                wanted.name,
                wanted.ty
            ))
            .found(format!("it is declared {}", column.declared))
        })
    };
    schema.columns().iter().map(wire).collect()
}

fn selected(schema: &TableSchema, wires: &[Wire]) -> String {
    let columns = schema.columns().iter().zip(wires).map(|(column, wire)| {
        let name = format!("t.{}", identifier(&column.name));
        if *wire == Wire::Cast { format!("{name}::text") } else { name }
    });
    columns.collect::<Vec<_>>().join(", ")
}

/// Rows of one COPY on their way into batches.
struct Rows<'s> {
    table: &'s TableName,
    schema: &'s TableSchema,
    decoders: Vec<Decoder>,
    held: usize,
    bytes: usize,
    total: u64,
}

impl<'s> Rows<'s> {
    fn new(table: &'s TableName, schema: &'s TableSchema, wires: &[Wire]) -> Rows<'s> {
        let decoders =
            schema.columns().iter().zip(wires).map(|(c, wire)| Decoder::new(c.ty, *wire)).collect();
        Rows { table, schema, decoders, held: 0, bytes: 0, total: 0 }
    }

    /// Passes on all rows of a COPY. The server sends whole rows in a piece; one that is torn all the same is put
    /// together again.
    fn pass_on(
        &mut self,
        copy: &mut impl BufRead,
        what: &str,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let mut torn: Vec<u8> = Vec::new();
        let mut header = HEADER_BYTES;
        loop {
            let piece = copy.fill_buf().map_err(|e| copy_failed(what, e))?;
            let length = piece.len();
            if length == 0 {
                break;
            }
            let mut rest = piece;
            if !torn.is_empty() {
                torn.extend_from_slice(piece);
                rest = &torn;
            }
            let skipped = header.min(rest.len());
            header -= skipped;
            rest = &rest[skipped..];
            while let Some(row) = row(rest) {
                self.append(row)?;
                rest = &rest[row.len()..];
                if self.held == BATCH_ROWS || self.bytes >= BATCH_BYTES {
                    sink(self.finish())?;
                }
            }
            let left = if rest == END { Vec::new() } else { rest.to_vec() };
            torn = left;
            copy.consume(length);
        }
        if !torn.is_empty() || header > 0 {
            return Err(Error::unavailable(what).found("the rows ended in the middle of one"));
        }
        if self.held > 0 {
            sink(self.finish())?;
        }
        Ok(self.total)
    }

    fn append(&mut self, row: &[u8]) -> Result<()> {
        let mut rest = &row[2..];
        for (i, decoder) in self.decoders.iter_mut().enumerate() {
            let (length, behind) = rest.split_at(4);
            let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
            let (cell, behind) = match usize::try_from(length) {
                Ok(length) => {
                    let (cell, behind) = behind.split_at(length);
                    (Some(cell), behind)
                }
                Err(_) => (None, behind),
            };
            rest = behind;
            decoder
                .append(cell)
                .map_err(|unfit| unfit_cell(self.table, &self.schema.columns()[i], unfit))?;
        }
        self.held += 1;
        self.bytes += row.len();
        Ok(())
    }

    fn finish(&mut self) -> RecordBatch {
        let columns = self.decoders.iter_mut().map(Decoder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.held));
        self.total += self.held as u64;
        (self.held, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(self.schema.images().clone(), columns, &options)
            .expect("columns were built from the schema")
    }
}

/// Bytes in front of the first row, with an empty extension.
const HEADER_BYTES: usize = 19;

/// Stands behind the last row.
const END: &[u8] = &[0xff, 0xff];

/// The first whole row of some bytes.
fn row(bytes: &[u8]) -> Option<&[u8]> {
    let count = i16::from_be_bytes(bytes.get(..2)?.try_into().expect("two bytes"));
    let mut end = 2;
    for _ in 0..u16::try_from(count).ok()? {
        let length = i32::from_be_bytes(bytes.get(end..end + 4)?.try_into().expect("four bytes"));
        end += 4 + usize::try_from(length).unwrap_or(0);
    }
    bytes.get(..end)
}

fn copy_failed(what: &str, error: std::io::Error) -> Error {
    match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
        Some(error) => failed(what)(*error),
        None => Error::unavailable(what).found("the connection is gone"),
    }
}

/// A cell that has no exact neutral value.
pub(super) fn unfit_cell(table: &TableName, column: &Column, unfit: Unfit) -> Error {
    let error =
        Error::refused(format!("a cell of {}.{} is no {}", table.shown(), column.name, column.ty))
            .found(unfit.0);
    let option = match column.ty {
        change::ColumnType::Date => "date",
        change::ColumnType::Timestamp | change::ColumnType::Instant => "timestamp",
        change::ColumnType::Decimal { .. } => "numeric",
        _ => return error,
    };
    error.fix(format!(
        "as_text = \"{option}\" for the site in sites.toml carries such values as text, exactly"
    ))
}
