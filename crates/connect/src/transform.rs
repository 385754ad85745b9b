//! What flows do to rows on the way, as the engine sees it. SQL itself is `query`'s business.

use crate::error::Result;
use arrow::array::{BooleanArray, RecordBatch};
use change::TableSchema;
use std::sync::Arc;

/// A filter and projection of one table, compiled once for a flow generation and a schema version.
pub trait RowTransform: Send + Sync {
    /// The shape of what comes out, with the flow's key.
    fn output(&self) -> &Arc<TableSchema>;

    /// For each output column the input column it is carried from unchanged, if it is.
    fn carried(&self) -> &[Option<usize>];

    /// Evaluates rows that are all present. Returns which of them the filter keeps, and the kept rows in order.
    ///
    /// # Errors
    /// `Refused` when an expression fails on a row; the caller narrows it down.
    fn evaluate(&self, rows: &RecordBatch) -> Result<(BooleanArray, RecordBatch)>;
}

/// Whether a statement looks at one row at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Filter and projection of one table: runs in every mode.
    RowWise,
    /// Joins, aggregations, windows, sorts: batch only.
    Relational,
}

/// What `check` learns of a statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified {
    /// Whether it looks at one row at a time.
    pub shape: Shape,
    /// The tables it reads.
    pub tables: Vec<String>,
    /// Columns that come out, in exact types, without a key.
    pub output: TableSchema,
    /// Why it is relational, in the words of the operator: `group by`, `join`.
    pub because: Option<String>,
}

/// Understands SQL, without running it.
pub trait SqlPlanner: Send + Sync {
    /// Looks at a statement over tables of known shape.
    ///
    /// # Errors
    /// `Invalid` when it does not parse, names an unknown table or column, or yields a type that cannot be
    /// carried exactly.
    fn classify(&self, sql: &str, tables: &[(String, TableSchema)]) -> Result<Classified>;

    /// Compiles a row-wise statement for rows of `input`. The output gets the key named.
    ///
    /// # Errors
    /// As [`SqlPlanner::classify`]; also when the statement is relational or a key column does not come out.
    fn compile(
        &self,
        sql: &str,
        table: &str,
        input: &TableSchema,
        key: &[String],
    ) -> Result<Arc<dyn RowTransform>>;
}

/// Produces an input's batches by handing them to the sink it is given. Called once, on a thread of its own.
pub type Feed = Box<dyn FnOnce(&mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> + Send>;

/// One table of a relational statement.
pub struct Input {
    /// The name the statement uses.
    pub table: String,
    /// Its shape.
    pub schema: TableSchema,
    /// Its rows.
    pub feed: Feed,
}

/// Runs bounded relational statements.
pub trait BatchEngine: Send + Sync {
    /// Runs `sql` over the inputs with bounded memory for whatever streams, and hands the result to `sink` in the
    /// columns of `output` (from [`SqlPlanner::classify`]).
    ///
    /// # Errors
    /// `Refused` when an expression fails on the data, an input's error, or `sink`'s.
    fn run(
        &self,
        sql: &str,
        inputs: Vec<Input>,
        output: &TableSchema,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()>;
}
