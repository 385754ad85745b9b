//! What is to be proved: one table of one site, and the way of its rows into the target.
//!
//! The way is walked here again, apart from the applier's code: a fault that both shared would be proved equal.
//! Keys are compared as canonical bytes of the target's key columns.

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use change::{FlowId, Generation, Key, LaneId, TableSchema, Value};
use connect::{Error, Kind, Result, RowTransform, TargetTable};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who writes the target's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The flow itself: its progress stands beside the rows.
    Flow,
    /// Somebody else's job or consumer. A row is explained when it equals a version of its key that was current
    /// not longer ago than `max_lag_us`. Nothing is ever written.
    Other {
        /// How far the foreign writer may be behind.
        max_lag_us: i64,
    },
}

/// One table of one site, to be proved against its target.
#[derive(Clone)]
pub struct Subject {
    /// The flow.
    pub flow: FlowId,
    /// The flow's name, for certificates.
    pub flow_name: String,
    /// The generation that the target's progress must carry.
    pub generation: Generation,
    /// The source site's name.
    pub site: String,
    /// The lane of the site.
    pub lane: LaneId,
    /// The way of the rows.
    pub path: RowPath,
    /// Who writes.
    pub writer: Writer,
    /// Columns that are not compared as the source holds them, or not at all.
    pub excluded: Vec<Excluded>,
}

/// A column that is not compared as the source holds it, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// `source` or `target`.
    pub side: String,
    /// The column.
    pub column: String,
    /// Why: `dropped by a mask`, `masked: hash`, `not written by the flow`.
    pub why: String,
    /// Whether the column is not compared at all.
    pub wholly: bool,
}

impl Subject {
    /// Whether everything but the key is kept from the comparison: then rows are there or not, and nothing is shown of
    /// what is in them. A table that has no other columns by itself is another matter.
    pub(crate) fn only_keys(&self) -> bool {
        let schema = &self.path.target().schema;
        let site = self.path.site_column.as_ref().map(|(column, _)| column);
        let compared =
            schema.columns().iter().enumerate().any(|(place, column)| {
                !schema.key().contains(&place) && Some(&column.name) != site
            });
        let dropped = |e: &Excluded| e.wholly && e.side == "source";
        !compared && self.excluded.iter().any(dropped)
    }
}

/// Where a target key column comes from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    /// The n-th column of the source key, unchanged.
    SourceKey(usize),
    /// The same value in every row of this site.
    Constant(Value),
}

/// The way of one table's rows: transform, then the site column behind them.
#[derive(Clone)]
pub struct RowPath {
    source_table: String,
    source_schema: Arc<TableSchema>,
    transform: Option<Arc<dyn RowTransform>>,
    site_column: Option<(String, String)>,
    target: TargetTable,
    origins: Option<Vec<Origin>>,
}

/// Rows that went the way.
pub(crate) struct Walked {
    /// For each row put in, what came out.
    pub(crate) fates: Vec<Fate>,
    /// The rows that came out, in the target's columns.
    pub(crate) rows: RecordBatch,
}

/// What became of a row on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is the n-th row that came out.
    Out(usize),
    /// The filter dropped it.
    Filtered,
    /// The transform fails on it.
    Refused,
}

impl RowPath {
    /// Plans the way: rows of `source_table` through `transform` (or as they are), then `site_column` (name and
    /// value) as the last column, give the columns of `target`.
    ///
    /// # Errors
    /// `Invalid` when that does not give the target's columns.
    pub fn new(
        source_table: impl Into<String>,
        source_schema: Arc<TableSchema>,
        transform: Option<Arc<dyn RowTransform>>,
        site_column: Option<(String, String)>,
        target: TargetTable,
    ) -> Result<RowPath> {
        let source_table: String = source_table.into();
        let produced = transform.as_ref().map_or(&source_schema, |t| t.output());
        let types = |schema: &TableSchema| -> Vec<_> {
            schema.columns().iter().map(|c| (c.name.clone(), c.ty)).collect()
        };
        let mut expected = types(produced);
        expected
            .extend(site_column.iter().map(|(name, _)| (name.clone(), change::ColumnType::Text)));
        if expected != types(&target.schema) {
            return Err(Error::invalid(format!(
                "the rows of {source_table} do not come out in the columns of {}",
                target.name
            )));
        }
        let carried: Vec<Option<usize>> = match &transform {
            Some(transform) => transform.carried().to_vec(),
            None => (0..source_schema.columns().len()).map(Some).collect(),
        };
        let origins = origins(&source_schema, &carried, site_column.as_ref(), &target);
        Ok(RowPath { source_table, source_schema, transform, site_column, target, origins })
    }

    /// The table's name at the source.
    pub fn source_table(&self) -> &str {
        &self.source_table
    }

    /// Its columns and key there.
    pub fn source_schema(&self) -> &Arc<TableSchema> {
        &self.source_schema
    }

    /// The table at the target, with the owner whose rows are compared.
    pub fn target(&self) -> &TargetTable {
        &self.target
    }

    /// Whether ranges of the source key are ranges of the target key, so that both sides can be read in the same
    /// pieces. Without it a table is UNPROVEN.
    pub fn carries_key(&self) -> bool {
        self.origins.is_some()
    }

    /// Whether a column of the target carries the site's name, written by the engine itself.
    pub(crate) fn is_site_column(&self, column: &str) -> bool {
        self.site_column.as_ref().is_some_and(|(name, _)| name == column)
    }

    /// A source key as the target spells it.
    pub(crate) fn target_key(&self, source: &Key) -> Key {
        let cells = self.origins().iter().map(|origin| match origin {
            Origin::SourceKey(n) => source.0[*n].clone(),
            Origin::Constant(value) => value.clone(),
        });
        Key(cells.collect())
    }

    /// A target key as the source spells it.
    pub(crate) fn source_key(&self, target: &Key) -> Key {
        let cells =
            self.origins().iter().zip(&target.0).filter_map(|(origin, cell)| match origin {
                Origin::SourceKey(_) => Some(cell.clone()),
                Origin::Constant(_) => None,
            });
        Key(cells.collect())
    }

    /// Target key columns of source rows, without the transform.
    pub(crate) fn target_keys(&self, source: &RecordBatch) -> Result<RecordBatch> {
        let schema = self.target.schema.key_schema();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns().len());
        for (origin, column) in self.origins().iter().zip(schema.columns()) {
            columns.push(match origin {
                Origin::SourceKey(n) => source.column(self.source_schema.key()[*n]).clone(),
                Origin::Constant(value) => {
                    let cells = std::iter::repeat_n(value, source.num_rows());
                    change::value::column(column.ty, cells).map_err(|e| {
                        Error::invalid("an owner does not fit its column").caused_by(e)
                    })?
                }
            });
        }
        assemble(&schema, columns, source.num_rows())
    }

    fn origins(&self) -> &[Origin] {
        self.origins.as_deref().expect("asked only of paths that carry the key")
    }

    /// Passes rows that are all present.
    pub(crate) fn walk(&self, rows: &RecordBatch) -> Result<Walked> {
        let (fates, out) = match &self.transform {
            None => ((0..rows.num_rows()).map(Fate::Out).collect(), rows.clone()),
            Some(transform) => evaluate(transform.as_ref(), rows)?,
        };
        let mut columns = out.columns().to_vec();
        if let Some((_, site)) = &self.site_column {
            let cells = std::iter::repeat_n(site, out.num_rows());
            columns.push(Arc::new(StringArray::from_iter_values(cells)));
        }
        let rows = assemble(&self.target.schema, columns, out.num_rows())?;
        Ok(Walked { fates, rows })
    }
}

/// Runs the transform; rows that it fails on are found one by one.
fn evaluate(transform: &dyn RowTransform, rows: &RecordBatch) -> Result<(Vec<Fate>, RecordBatch)> {
    match transform.evaluate(rows) {
        Ok((keep, out)) => Ok((fates(&keep, 0), out)),
        Err(e) if e.kind == Kind::Refused => {
            let mut all = Vec::with_capacity(rows.num_rows());
            let mut kept = vec![RecordBatch::new_empty(transform.output().images().clone())];
            let mut out = 0;
            for row in 0..rows.num_rows() {
                match transform.evaluate(&rows.slice(row, 1)) {
                    Ok((keep, batch)) => {
                        all.extend(fates(&keep, out));
                        out += batch.num_rows();
                        kept.push(batch);
                    }
                    Err(e) if e.kind == Kind::Refused => all.push(Fate::Refused),
                    Err(e) => return Err(e),
                }
            }
            let out = arrow::compute::concat_batches(transform.output().images(), &kept);
            Ok((
                all,
                out.map_err(|e| Error::internal("rows of one transform differ").caused_by(e))?,
            ))
        }
        Err(e) => Err(e),
    }
}

fn fates(keep: &BooleanArray, mut out: usize) -> Vec<Fate> {
    (0..keep.len())
        .map(|row| {
            if keep.is_valid(row) && keep.value(row) {
                out += 1;
                Fate::Out(out - 1)
            } else {
                Fate::Filtered
            }
        })
        .collect()
}

/// A batch of a schema out of its columns.
pub(crate) fn assemble(
    schema: &TableSchema,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.images().clone(), columns, &options)
        .map_err(|e| Error::internal("rows have other columns than their table").caused_by(e))
}

/// Maps target key columns to source key columns: those that are not constant at this site must be exactly the
/// source's key columns, unchanged and in their order.
fn origins(
    source: &TableSchema,
    carried: &[Option<usize>],
    site_column: Option<&(String, String)>,
    target: &TargetTable,
) -> Option<Vec<Origin>> {
    let mut origins = Vec::new();
    let mut next = 0;
    for &place in target.schema.key() {
        let name = &target.schema.columns()[place].name;
        if let Some((_, site)) = site_column.filter(|(column, _)| column == name) {
            origins.push(Origin::Constant(Value::Text(site.clone())));
            continue;
        }
        let from = carried.get(place).copied().flatten();
        if from.is_some() && from == source.key().get(next).copied() {
            origins.push(Origin::SourceKey(next));
            next += 1;
        } else if let Some(owner) = target.owner.as_ref().filter(|owner| owner.column == *name) {
            origins.push(Origin::Constant(owner.value.clone()));
        } else {
            return None;
        }
    }
    (next > 0 && next == source.key().len()).then_some(origins)
}
