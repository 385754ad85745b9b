//! Which rows of a table, and in which order: an owner's, in a range of keys.
//!
//! COPY takes no parameters, so values stand in the statement, each with its type; [`super::text::sql`] quotes them.

use super::catalogue::{PgColumn, TableShape};
use super::names::identifier;
use super::text::sql;
use super::types::Wire;
use change::{Key, TableSchema, Value};
use connect::read::{KeyRange, Owner, Scan};
use connect::{Error, Result};

/// Conditions on the rows of the table called `t` in a statement.
#[derive(Default)]
pub(super) struct Filter {
    clauses: Vec<String>,
}

impl Filter {
    /// Only rows whose column has the owner's value.
    pub(super) fn owned(mut self, shape: &TableShape, owner: &Owner) -> Result<Filter> {
        let column = shape.require(&owner.column)?;
        if owner.value == Value::Null {
            return Err(Error::invalid(format!(
                "the owner of rows of {} is null",
                shape.name.shown()
            )));
        }
        self.clauses.push(format!("{} = {}", compared(column), comparable(column, &owner.value)));
        Ok(self)
    }

    /// Only rows whose key lies in the range.
    pub(super) fn within(
        mut self,
        shape: &TableShape,
        schema: &TableSchema,
        range: &KeyRange,
    ) -> Result<Filter> {
        for (bound, comparison) in [(&range.after, ">"), (&range.upto, "<=")] {
            if let Some(key) = bound {
                self.clauses.push(bounded(shape, schema, key, comparison)?);
            }
        }
        Ok(self)
    }

    /// ` WHERE ...`, or nothing.
    pub(super) fn sql(&self) -> String {
        match self.clauses.as_slice() {
            [] => String::new(),
            clauses => format!(" WHERE {}", clauses.join(" AND ")),
        }
    }

    /// ` AND ...`, or nothing.
    pub(super) fn and_sql(&self) -> String {
        self.clauses.iter().map(|clause| format!(" AND {clause}")).collect()
    }
}

fn bounded(
    shape: &TableShape,
    schema: &TableSchema,
    key: &Key,
    comparison: &str,
) -> Result<String> {
    let values = spelled(shape, schema, key)?;
    Ok(format!("({}) {comparison} ({})", compared_key(shape, schema)?, values.join(", ")))
}

/// The key columns of `t` as they are compared.
fn compared_key(shape: &TableShape, schema: &TableSchema) -> Result<String> {
    let columns = schema.key_names().map(|name| shape.require(name).map(compared));
    Ok(columns.collect::<Result<Vec<_>>>()?.join(", "))
}

/// The cells of a key as they are compared with it.
fn spelled(shape: &TableShape, schema: &TableSchema, key: &Key) -> Result<Vec<String>> {
    if key.0.len() != schema.key().len() || key.0.is_empty() {
        return Err(Error::invalid(format!(
            "a range of {} has no fitting key",
            shape.name.shown()
        )));
    }
    let cells = schema.key_names().zip(&key.0);
    cells.map(|(name, value)| Ok(comparable(shape.require(name)?, value))).collect()
}

/// One statement that reads many short ranges: a list of them, and for each the rows of the table called `t`.
pub(super) struct Pieces {
    list: String,
    names: String,
    rows: String,
}

impl Pieces {
    /// The statement.
    pub(super) fn selecting(&self, columns: &str) -> String {
        let Pieces { list, names, rows } = self;
        // The order inside keeps the table from being read whole and joined to the list.
        format!(
            "SELECT {columns} FROM (VALUES {list}) AS r({names}) CROSS JOIN LATERAL ({rows}) AS t"
        )
    }
}

/// The statement for some ranges of a scan, each behind its first key and up to its second.
pub(super) fn pieces(shape: &TableShape, scan: &Scan, ranges: &[(&Key, &Key)]) -> Result<Pieces> {
    let mut list = Vec::with_capacity(ranges.len());
    for (after, upto) in ranges {
        let mut cells = spelled(shape, &scan.schema, after)?;
        cells.extend(spelled(shape, &scan.schema, upto)?);
        list.push(format!("({})", cells.join(", ")));
    }
    let columns = scan.schema.key().len();
    let bounds = |letter: &str, qualifier: &str| -> String {
        let bounds = (0..columns).map(|n| format!("{qualifier}{letter}{n}"));
        bounds.collect::<Vec<_>>().join(", ")
    };
    let owned = match &scan.owner {
        Some(owner) => Filter::default().owned(shape, owner)?.and_sql(),
        None => String::new(),
    };
    let (key, table) = (compared_key(shape, &scan.schema)?, shape.name.sql());
    let (after, upto) = (bounds("after", "r."), bounds("upto", "r."));
    let order = order(shape, &scan.schema)?;
    Ok(Pieces {
        list: list.join(", "),
        names: format!("{}, {}", bounds("after", ""), bounds("upto", "")),
        rows: format!(
            "SELECT t.* FROM {table} AS t WHERE ({key}) > ({after}) AND ({key}) <= ({upto}){owned}{order}"
        ),
    })
}

/// A column of `t` as it is compared and sorted: text by its bytes, everything else in its own order.
pub(super) fn compared(column: &PgColumn) -> String {
    let name = format!("t.{}", identifier(&column.column.name));
    match column.wire {
        Wire::Text
            if column.declared == "text" || column.declared.starts_with("character varying") =>
        {
            format!("{name} COLLATE \"C\"")
        }
        Wire::Text | Wire::Cast | Wire::Jsonb => format!("({name}::text) COLLATE \"C\""),
        _ => name,
    }
}

/// A value as it is compared with [`compared`].
pub(super) fn comparable(column: &PgColumn, value: &Value) -> String {
    match (column.wire, value) {
        (Wire::Uuid, Value::Text(_)) => format!("{}::uuid", sql(value)),
        _ => sql(value),
    }
}

/// ` ORDER BY ...` of a schema's key, or nothing.
pub(super) fn order(shape: &TableShape, schema: &TableSchema) -> Result<String> {
    let columns = schema.key_names().map(|name| shape.require(name).map(compared));
    let columns: Vec<String> = columns.collect::<Result<_>>()?;
    Ok(if columns.is_empty() { String::new() } else { format!(" ORDER BY {}", columns.join(", ")) })
}
