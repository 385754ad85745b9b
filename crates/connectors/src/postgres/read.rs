//! Cuts: a consistent view of a database in one read-only transaction, read by COPY BINARY.
//!
//! What a cut contains is decided by the transaction ids that its snapshot sees, never by a place in the write-ahead
//! log: a transaction can be committed there and not be visible yet. The place that closes a cut is that of a message
//! written behind the snapshot: every transaction that the snapshot sees was committed before it.
//!
//! A cut that is let go ends its transaction and gives its connection back; what it contains stays known.

use super::book;
use super::capture::make_durable;
use super::capture::xids::{Snapshot, sees};
use super::catalogue::{TableShape, require_shape};
use super::copied::{FORMAT, pass_unread};
use super::error::failed;
use super::filter::{Filter, order, pieces};
use super::names::{TableName, identifier};
use super::rows::Rows;
use super::spares::Spares;
use super::types::Wire;
use arrow::array::RecordBatch;
use change::{Column, FlowId, Group, SourcePosition, TableSchema};
use connect::read::{Cut, KeyRange, Scan, Sees};
use connect::target::FlowProgress;
use connect::{EncodedRows, Encoding, Error, Result};
use postgres::Client;
use postgres::types::PgLsn;
use std::collections::BTreeMap;

/// Batches that wait to be taken while more are read.
const BATCHES_AHEAD: usize = 2;

/// Prefix of our messages in the write-ahead log, and of our slots.
pub(super) const MARK: &str = "seamount";

/// Ranges that one statement reads: it lists them.
const RANGES_AT_ONCE: usize = 5_000;

/// A cut of a PostgreSQL database.
pub(super) struct PgCut {
    /// None once the cut was let go.
    client: Option<Client>,
    spares: Spares,
    snapshot: Snapshot,
    closing: Option<SourcePosition>,
    shapes: BTreeMap<String, TableShape>,
}

impl PgCut {
    /// Opens a cut of now.
    pub(super) fn open(spares: &Spares) -> Result<PgCut> {
        let mut client = spares.take()?;
        book::enter(&mut client)?;
        let reading = || failed(format!("cannot read site {}", spares.address().site));
        // Statements here read whole tables or short ranges of an index: compiling them does not pay.
        client
            .batch_execute(
                "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off",
            )
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
                let mut other = spares.take()?;
                make_durable(&mut other)?;
                spares.give(other);
            }
        }
        let (client, spares) = (Some(client), spares.clone());
        Ok(PgCut { client, spares, snapshot, closing, shapes: BTreeMap::new() })
    }

    /// The connection, as long as the cut is held, and the shape of a table.
    fn table(&mut self, table: &str) -> Result<(&mut Client, TableShape)> {
        let client = held(&mut self.client)?;
        let shape = match self.shapes.get(table) {
            Some(shape) => shape.clone(),
            None => {
                let as_text = self.spares.address().as_text;
                let shape = require_shape(client, &TableName::parse(table)?, as_text)?;
                self.shapes.insert(table.to_string(), shape.clone());
                shape
            }
        };
        Ok((client, shape))
    }
}

fn held(client: &mut Option<Client>) -> Result<&mut Client> {
    client.as_mut().ok_or_else(|| Error::internal("a cut is read that was let go"))
}

impl Cut for PgCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let (client, shape) = self.table(&scan.table)?;
        scan_table(client, &shape, scan, sink)
    }

    fn read_ranges(
        &mut self,
        scan: &Scan,
        ranges: &[KeyRange],
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let (client, shape) = self.table(&scan.table)?;
        let mut rows = 0;
        for alike in ranges.chunk_by(|a, b| a.bounds().is_some() == b.bounds().is_some()) {
            for lot in alike.chunks(RANGES_AT_ONCE) {
                let bounds: Vec<_> = lot.iter().filter_map(KeyRange::bounds).collect();
                if bounds.len() > 1 {
                    let pieces = pieces(&shape, scan, &bounds)?;
                    let select = |columns: &str| pieces.selecting(columns);
                    rows += copied(client, &shape, scan, select, sink)?;
                    continue;
                }
                for range in lot {
                    let scan = Scan { range: range.clone(), ..scan.clone() };
                    rows += scan_table(client, &shape, &scan, sink)?;
                }
            }
        }
        Ok(rows)
    }

    /// The server does the work.
    fn reads_apart(&self) -> bool {
        true
    }

    fn let_go(&mut self) {
        let Some(mut client) = self.client.take() else { return };
        // The lock is the connection's, and would keep tables from being moved for as long as it waits.
        if client.batch_execute("ROLLBACK; SELECT pg_advisory_unlock_all()").is_ok() {
            self.spares.give(client);
        }
    }

    fn read_encoded(
        &mut self,
        scan: &Scan,
        encoding: &Encoding,
        sink: &mut dyn FnMut(EncodedRows) -> Result<()>,
    ) -> Result<Option<u64>> {
        let (client, shape) = self.table(&scan.table)?;
        if encoding_of(&shape, &scan.schema)?.as_ref() != Some(encoding) {
            return Ok(None);
        }
        let what = format!("cannot read table {}", shape.name.shown());
        let columns = selected(&scan.schema, &vec![Wire::Bytes; scan.schema.columns().len()]);
        let select = format!("SELECT {columns} {}{}", rows_of(&shape, scan)?, limit(scan));
        let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
        let read = |sink: &mut dyn FnMut(EncodedRows) -> Result<()>| {
            let mut copy = client.copy_out(sql.as_str()).map_err(failed(&what))?;
            pass_unread(&mut copy, (&shape.name, &scan.schema), &what, sink)
        };
        ahead(read, sink).map(Some)
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
        book::progress(held(&mut self.client)?, flow)
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
    let order = order(shape, &scan.schema)?;
    let rows = rows_of(shape, scan)?;
    copied(
        client,
        shape,
        scan,
        |columns| format!("SELECT {columns} {rows}{order}{}", limit(scan)),
        sink,
    )
}

/// Reads what a statement selects, given how the columns wanted are spelled.
fn copied(
    client: &mut Client,
    shape: &TableShape,
    scan: &Scan,
    select: impl FnOnce(&str) -> String,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let wires = wires(shape, &scan.schema)?;
    let select = select(&selected(&scan.schema, &wires));
    let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
    let what = format!("cannot read table {}", shape.name.shown());
    let read = |sink: &mut dyn FnMut(RecordBatch) -> Result<()>| {
        let mut copy = client.copy_out(sql.as_str()).map_err(failed(&what))?;
        Rows::new(&shape.name, &scan.schema, &wires).pass_on(&mut copy, &what, sink)
    };
    ahead(read, sink)
}

/// Where the rows of a scan come from: `FROM ... WHERE ...`.
fn rows_of(shape: &TableShape, scan: &Scan) -> Result<String> {
    let mut filter = Filter::default();
    if let Some(owner) = &scan.owner {
        filter = filter.owned(shape, owner)?;
    }
    let filter = filter.within(shape, &scan.schema, &scan.range)?.sql();
    Ok(format!("FROM {} AS t{filter}", shape.name.sql()))
}

fn limit(scan: &Scan) -> String {
    scan.limit.map_or(String::new(), |limit| format!(" LIMIT {limit}"))
}

/// How rows of some columns of a table are written by COPY; `None` where another database could read them otherwise.
pub(super) fn encoding_of(shape: &TableShape, schema: &TableSchema) -> Result<Option<Encoding>> {
    let columns = schema.columns().iter().map(|wanted| {
        let column = shape.require(&wanted.name)?;
        Ok(column.same_everywhere.then(|| (wanted.name.clone(), column.declared.clone())))
    });
    let columns: Result<Option<Vec<_>>> = columns.collect();
    Ok(columns?.map(|columns| Encoding { format: FORMAT, columns }))
}

/// Reads on a thread of its own, so that the server goes on while rows are taken.
fn ahead<T: Send>(
    read: impl FnOnce(&mut dyn FnMut(T) -> Result<()>) -> Result<u64> + Send,
    sink: &mut dyn FnMut(T) -> Result<()>,
) -> Result<u64> {
    std::thread::scope(|scope| {
        let (give, take) = std::sync::mpsc::sync_channel(BATCHES_AHEAD);
        let reading = scope.spawn(move || {
            // Nobody takes them any more: what went wrong there is told, not this.
            let gone = || Error::unavailable("rows are not wanted any more");
            read(&mut |rows| give.send(rows).map_err(|_| gone()))
        });
        let taken = take.iter().try_for_each(sink);
        drop(take);
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.and(read)
    })
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
