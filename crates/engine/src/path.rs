//! The way of one table's rows from one site to the target: transform, site column, owner, key.
//!
//! Built once for a flow generation and a schema version, never per batch. Event, batch and hybrid flows walk the
//! same path, which is why their results are the same.

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use change::{Column, ColumnType, Key, TableSchema, Value};
use connect::{Error, Owner, Result, RowTransform, SqlPlanner, TargetTable};
use flow::{Flow, FlowTable, Site};
use std::sync::Arc;

/// Where a target key column comes from.
#[derive(Clone, Debug, PartialEq)]
enum KeyOrigin {
    /// The n-th column of the source key.
    SourceKey(usize),
    /// The same value in every row of this site.
    Constant(Value),
}

/// One table's way from one site to the target.
#[derive(Clone)]
pub struct TablePath {
    source_table: String,
    input: Arc<TableSchema>,
    transform: Option<Arc<dyn RowTransform>>,
    site_column: Option<String>,
    site: String,
    target: TargetTable,
    key_origins: Option<Vec<KeyOrigin>>,
}

/// What became of rows on their way.
pub struct Passed {
    /// Which of the rows came through the filter.
    pub keep: BooleanArray,
    /// Those that did, in the target's columns.
    pub rows: RecordBatch,
}

impl TablePath {
    /// Plans the way of a table that has the shape `input` at `site`.
    ///
    /// # Errors
    /// `Invalid` when the transform does not fit the table, or a key or owner column does not come out of it.
    pub fn plan(
        flow: &Flow,
        table: &FlowTable,
        site: &Site,
        input: Arc<TableSchema>,
        planner: &dyn SqlPlanner,
    ) -> Result<TablePath> {
        let key = target_key(flow, table, &input);
        let inner_key: Vec<String> =
            key.iter().filter(|k| Some(*k) != flow.site_column.as_ref()).cloned().collect();
        let transform = match &flow.transform {
            Some(sql) => Some(planner.compile(sql, &table.source, &input, &inner_key)?),
            None => None,
        };
        let produced = match &transform {
            Some(transform) => transform.output().as_ref().clone(),
            None => input.as_ref().clone(),
        };
        let schema = Arc::new(output_schema(flow, &produced, &key)?);
        let owner = owner_of(flow, site, &schema)?;
        let carried: Vec<Option<usize>> = match &transform {
            Some(transform) => transform.carried().to_vec(),
            None => (0..input.columns().len()).map(Some).collect(),
        };
        let key_origins = key_origins(&schema, &input, &carried, flow, site, owner.as_ref());
        Ok(TablePath {
            source_table: table.source.clone(),
            input,
            transform,
            site_column: flow.site_column.clone(),
            site: site.name.clone(),
            target: TargetTable { name: table.target.clone(), schema, owner },
            key_origins,
        })
    }

    /// The table's name at the source.
    pub fn source_table(&self) -> &str {
        &self.source_table
    }

    /// The source's columns that the path was planned for.
    pub fn input(&self) -> &Arc<TableSchema> {
        &self.input
    }

    /// The table at the target.
    pub fn target(&self) -> &TargetTable {
        &self.target
    }

    /// The transform, for the proof.
    pub fn transform(&self) -> Option<&Arc<dyn RowTransform>> {
        self.transform.as_ref()
    }

    /// The column that carries the site's name, and the name.
    pub fn site_column(&self) -> Option<(&str, &str)> {
        self.site_column.as_deref().map(|column| (column, self.site.as_str()))
    }

    /// Passes rows that are all present through the transform and adds the site column.
    ///
    /// # Errors
    /// `Refused` when an expression fails on a row.
    pub fn pass(&self, rows: &RecordBatch) -> Result<Passed> {
        let (keep, rows) = match &self.transform {
            Some(transform) => transform.evaluate(rows)?,
            None => (BooleanArray::from(vec![true; rows.num_rows()]), rows.clone()),
        };
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        if self.site_column.is_some() {
            let names =
                StringArray::from_iter_values(std::iter::repeat_n(&self.site, rows.num_rows()));
            columns.push(Arc::new(names));
        }
        let rows = RecordBatch::try_new(self.target.schema.images().clone(), columns)
            .map_err(|e| Error::internal("the path's output has other columns").caused_by(e))?;
        Ok(Passed { keep, rows })
    }

    /// Whether rows arrive as they leave: no transform, no site column, and nobody's rows but all.
    pub(crate) fn is_straight(&self) -> bool {
        self.transform.is_none() && self.site_column.is_none() && self.target.owner.is_none()
    }

    /// Which rows carry another owner than this site; `None` where the table has no owner column of its own.
    ///
    /// # Errors
    /// `Invalid` when the owner's value does not fit the column.
    pub fn foreign_rows(&self, rows: &RecordBatch) -> Result<Option<BooleanArray>> {
        let Some(owner) = &self.target.owner else { return Ok(None) };
        if self.site_column.as_ref() == Some(&owner.column) {
            return Ok(None); // The engine itself wrote the name.
        }
        let place = self.target.schema.index_of(&owner.column).expect("planned with the column");
        differs(rows.column(place), self.target.schema.columns()[place].ty, &owner.value).map(Some)
    }

    /// Whether cells of source columns are those of the same target columns, as they are, and no part of what a row is
    /// found by.
    pub(crate) fn keeps(&self, columns: &[usize]) -> bool {
        let schema = &self.target.schema;
        let owner = self.target.owner.as_ref().and_then(|owner| schema.index_of(&owner.column));
        let found_by = |column: &usize| schema.key().contains(column) || owner == Some(*column);
        self.transform.is_none() && !columns.iter().any(found_by)
    }

    /// Whether ranges of the source key are ranges of the target key, so that a snapshot's chunk can replace its
    /// range at the target.
    pub fn keeps_key_order(&self) -> bool {
        self.key_origins.is_some()
    }

    /// A source key as the target spells it. `None` where key order is not kept.
    pub fn target_key(&self, source: &Key) -> Option<Key> {
        let origins = self.key_origins.as_ref()?;
        let cells = origins.iter().map(|origin| match origin {
            KeyOrigin::SourceKey(n) => source.0[*n].clone(),
            KeyOrigin::Constant(value) => value.clone(),
        });
        Some(Key(cells.collect()))
    }
}

/// A target table with some of its columns only; its key must be among them.
///
/// # Errors
/// The columns do not make a table.
pub(crate) fn narrowed(table: &TargetTable, columns: &[usize]) -> Result<TargetTable> {
    let schema = &table.schema;
    let kept = columns.iter().map(|&column| schema.columns()[column].clone()).collect();
    let key: Vec<&str> = schema.key_names().collect();
    let schema = TableSchema::new(kept, &key)
        .map_err(|e| Error::internal("a table cannot be narrowed").caused_by(e))?;
    Ok(TargetTable { schema: Arc::new(schema), ..table.clone() })
}

/// Which cells of a column differ from a value; null differs.
pub(crate) fn differs(column: &ArrayRef, ty: ColumnType, value: &Value) -> Result<BooleanArray> {
    let wanted = change::value::column(ty, std::iter::once(value))
        .map_err(|e| Error::invalid("a value does not fit its column").caused_by(e))?;
    arrow::compute::kernels::cmp::distinct(column, &Scalar::new(wanted))
        .map_err(|e| Error::internal("columns cannot be compared").caused_by(e))
}

/// The key of the target's rows: declared, or the source's own behind the site column.
fn target_key(flow: &Flow, table: &FlowTable, input: &TableSchema) -> Vec<String> {
    table.key.clone().unwrap_or_else(|| {
        let site_column = flow.site_column.iter().cloned();
        site_column.chain(input.key_names().map(String::from)).collect()
    })
}

/// Columns that come out, key columns not nullable, site column last.
fn output_schema(flow: &Flow, produced: &TableSchema, key: &[String]) -> Result<TableSchema> {
    let mut columns: Vec<Column> = produced.columns().to_vec();
    if let Some(name) = &flow.site_column {
        columns.push(Column::new(name, ColumnType::Text, false));
    }
    for column in &mut columns {
        if key.contains(&column.name) {
            column.nullable = false;
        }
    }
    TableSchema::new(columns, key).map_err(|e| {
        Error::invalid(format!("flow {}: the target's key does not fit its rows", flow.name))
            .found(e.to_string())
            .effect("nothing is moved")
            .fix("name key columns that come out of the transform, or of the source table")
            .code("E0402")
    })
}

/// Whose rows a site may write: those that carry its name in the owner column, or in the site column.
fn owner_of(flow: &Flow, site: &Site, schema: &TableSchema) -> Result<Option<Owner>> {
    let Some(column) = flow.owner.as_ref().or(flow.site_column.as_ref()) else {
        return Ok(None);
    };
    let missing = || {
        Error::invalid(format!("flow {}: owner column {column} does not come out", flow.name))
            .effect("nothing is moved")
            .code("E0403")
    };
    let place = schema.index_of(column).ok_or_else(missing)?;
    let own = match flow.site_column.as_ref() {
        Some(site_column) if site_column == column => None,
        _ => site.settings.option("owner")?,
    };
    let name = own.as_ref().map_or(site.name.as_str(), |owner| owner.expose());
    let value = match schema.columns()[place].ty {
        ColumnType::Int64 => name.parse().map(Value::Int).map_err(|_| {
            Error::invalid(format!("site {} has no number for owner column {column}", site.name))
                .fix("give the site `owner = \"NUMBER\"` in sites.toml or in its CSV")
                .code("E0403")
        })?,
        _ => Value::Text(name.to_string()),
    };
    Ok(Some(Owner { column: column.clone(), value }))
}

/// Maps target key columns to source key columns, where ranges carry over: the columns that are not constant at
/// this site are exactly the source's key columns, unchanged and in their order.
fn key_origins(
    schema: &TableSchema,
    input: &TableSchema,
    carried: &[Option<usize>],
    flow: &Flow,
    site: &Site,
    owner: Option<&Owner>,
) -> Option<Vec<KeyOrigin>> {
    let mut origins = Vec::new();
    let mut next_source_key = 0;
    for &place in schema.key() {
        let name = &schema.columns()[place].name;
        if Some(name) == flow.site_column.as_ref() {
            origins.push(KeyOrigin::Constant(Value::Text(site.name.clone())));
            continue;
        }
        let from_source = carried.get(place).copied().flatten();
        if from_source.is_some() && from_source == input.key().get(next_source_key).copied() {
            origins.push(KeyOrigin::SourceKey(next_source_key));
            next_source_key += 1;
        } else if let Some(owner) = owner.filter(|owner| owner.column == *name) {
            origins.push(KeyOrigin::Constant(owner.value.clone()));
        } else {
            return None;
        }
    }
    (next_source_key == input.key().len()).then_some(origins)
}
