//! Cuts: a consistent view of a database on a connection of its own, in one read transaction.
//!
//! Nothing is locked against the application's writes in WAL mode. In a rollback-journal database a cut keeps
//! writers from committing as long as it lives: another reason to keep it short.

use super::book;
use super::catalogue::{TableShape, has_table, require_shape};
use super::database::Database;
use super::decode::Decoder;
use super::error::failed;
use super::filter::{Filter, compared, require_order};
use super::names::identifier;
use arrow::array::{RecordBatch, RecordBatchOptions};
use change::{FlowId, Group, SourcePosition, TableSchema};
use connect::read::{Cut, KeyRange, Scan, Sees};
use connect::target::FlowProgress;
use connect::{Error, Result};
use rusqlite::{Connection, OptionalExtension, Rows};
use std::collections::BTreeMap;

/// Rows handed to a sink at once.
const BATCH_ROWS: usize = 8_192;

/// The capture's change table: `(id INTEGER PRIMARY KEY AUTOINCREMENT, tag, ...)`.
const CHANGES: &str = "_seamount_change";

/// A cut of a SQLite database.
pub(super) struct SqliteCut {
    connection: Connection,
    closing: Option<SourcePosition>,
    shapes: BTreeMap<String, TableShape>,
}

impl SqliteCut {
    /// Opens a cut of now.
    pub(super) fn open(database: &Database) -> Result<SqliteCut> {
        let connection = database.reading()?;
        let opening = || failed(format!("cannot read site {}", database.site()));
        connection.execute_batch("BEGIN").map_err(opening())?;
        // The snapshot is taken by the first read, not by BEGIN.
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(opening())?;
        let closing = closing(&connection)?;
        Ok(SqliteCut { connection, closing, shapes: BTreeMap::new() })
    }

    /// A table's shape; the schema cannot change inside the cut.
    fn shape(&mut self, table: &str) -> Result<TableShape> {
        if let Some(shape) = self.shapes.get(table) {
            return Ok(shape.clone());
        }
        let shape = require_shape(&self.connection, table)?;
        self.shapes.insert(table.to_string(), shape.clone());
        Ok(shape)
    }
}

impl Cut for SqliteCut {
    fn read(
        &mut self,
        scan: &Scan,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        let shape = self.shape(&scan.table)?;
        if scan.range != KeyRange::default() {
            require_no_null_keys(&self.connection, &shape, &scan.schema)?;
        }
        scan_table(&self.connection, &shape, scan, sink)
    }

    fn closing(&self) -> Option<&SourcePosition> {
        self.closing.as_ref()
    }

    /// Positions number single changes, and a cut closes at the end of a transaction.
    fn sees(&self, group: &Group) -> Sees {
        let Some(closing) = &self.closing else { return Sees::None };
        if group.body.upto.sequence <= closing.sequence {
            Sees::All
        } else if group.body.after.sequence >= closing.sequence {
            Sees::None
        } else {
            Sees::Part
        }
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        book::progress(&self.connection, flow)
    }
}

/// The newest change of the capture, if the site is captured. Its tag is told as long as the row is there.
fn closing(connection: &Connection) -> Result<Option<SourcePosition>> {
    if !has_table(connection, CHANGES)? {
        return Ok(None);
    }
    let read = || -> rusqlite::Result<SourcePosition> {
        let given: Option<i64> = connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [CHANGES], |row| {
                row.get(0)
            })
            .optional()?;
        let newest = connection
            .query_row(
                "SELECT id, CAST(tag AS TEXT) FROM _seamount_change ORDER BY id DESC LIMIT 1",
                [],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)),
            )
            .optional()?;
        let sequence = given.max(newest.as_ref().map(|(id, _)| *id)).unwrap_or(0);
        let detail = newest.filter(|(id, _)| *id == sequence).and_then(|(_, tag)| tag);
        Ok(SourcePosition { sequence: sequence.cast_unsigned(), detail })
    };
    read().map(Some).map_err(failed("cannot read the newest captured change"))
}

/// A null key lies in no range, so that a proof by ranges would never meet it: refused.
fn require_no_null_keys(
    connection: &Connection,
    shape: &TableShape,
    schema: &TableSchema,
) -> Result<()> {
    let mut nullable = Vec::new();
    for name in schema.key_names() {
        let column = shape.require(name)?;
        if column.nullable {
            nullable.push(format!("t.{} IS NULL", identifier(&column.name)));
        }
    }
    if nullable.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT 1 FROM {} AS t WHERE {} LIMIT 1",
        identifier(&shape.name),
        nullable.join(" OR ")
    );
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| statement.exists([]))
        .map_err(failed(format!("cannot read table {}", shape.name)))?;
    if found { Err(null_key(shape)) } else { Ok(()) }
}

fn null_key(shape: &TableShape) -> Error {
    Error::refused(format!("table {} has rows with null in their key", shape.name))
        .effect("such a row cannot be told from others; nothing is proved or moved")
        .fix("fill the key columns and declare them NOT NULL")
}

/// Reads the rows of a scan on a connection whose transaction the caller has opened.
pub(super) fn scan_table(
    connection: &Connection,
    shape: &TableShape,
    scan: &Scan,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    require_order(shape, &scan.schema)?;
    let mut filter = Filter::all();
    if let Some(owner) = &scan.owner {
        filter = filter.owned(shape, &scan.schema, owner)?;
    }
    filter = filter.within(shape, &scan.schema, &scan.range)?;
    let sql = select(shape, scan, &filter)?;
    let reading = || failed(format!("cannot read table {}", shape.name));
    let mut statement = connection.prepare_cached(&sql).map_err(reading())?;
    filter.bind(&mut statement, 1)?;
    let rows = statement.raw_query();
    pass_on(rows, shape, &scan.schema, sink)
}

fn select(shape: &TableShape, scan: &Scan, filter: &Filter) -> Result<String> {
    let mut columns = Vec::new();
    for column in scan.schema.columns() {
        columns.push(format!("t.{}", identifier(&shape.require(&column.name)?.name)));
    }
    let mut order = Vec::new();
    for name in scan.schema.key_names() {
        order.push(compared(shape.require(name)?));
    }
    let mut sql = format!(
        "SELECT {} FROM {} AS t{}",
        if columns.is_empty() { "1".to_string() } else { columns.join(", ") },
        identifier(&shape.name),
        filter.sql()
    );
    if !order.is_empty() {
        sql += &format!(" ORDER BY {}", order.join(", "));
    }
    if let Some(limit) = scan.limit {
        sql += &format!(" LIMIT {limit}");
    }
    Ok(sql)
}

fn pass_on(
    mut rows: Rows<'_>,
    shape: &TableShape,
    schema: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64> {
    let mut decoders: Vec<Decoder> =
        schema.columns().iter().map(|column| Decoder::new(column.ty)).collect();
    let (mut total, mut held) = (0, 0);
    while let Some(row) =
        rows.next().map_err(failed(format!("cannot read table {}", shape.name)))?
    {
        for (i, decoder) in decoders.iter_mut().enumerate() {
            let cell = row.get_ref(i).map_err(failed("a row has too few cells"))?;
            decoder.append(cell).map_err(|unfit| {
                let column = &schema.columns()[i];
                Error::refused(format!(
                    "a cell of {}.{} is no {}",
                    shape.name, column.name, column.ty
                ))
                .found(format!("it is stored as {}", unfit.0))
            })?;
        }
        held += 1;
        if held == BATCH_ROWS {
            sink(finish(&mut decoders, shape, schema, held)?)?;
            total += held as u64;
            held = 0;
        }
    }
    if held > 0 {
        sink(finish(&mut decoders, shape, schema, held)?)?;
        total += held as u64;
    }
    Ok(total)
}

fn finish(
    decoders: &mut [Decoder],
    shape: &TableShape,
    schema: &TableSchema,
    rows: usize,
) -> Result<RecordBatch> {
    let columns = decoders.iter_mut().map(Decoder::finish).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema.images().clone(), columns, &options)
        .expect("columns were built from the schema");
    if schema.key().iter().any(|&k| batch.column(k).null_count() > 0) {
        return Err(null_key(shape));
    }
    Ok(batch)
}
