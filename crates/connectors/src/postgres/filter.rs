//! Which rows of a table, and in which order: an owner's, in a range of keys.
//!
//! COPY takes no parameters, so values stand in the statement, each with its type; [`super::text::sql`] quotes them.

use super::catalogue::{PgColumn, TableShape};
use super::names::identifier;
use super::text::sql;
use super::types::Wire;
use change::{Key, TableSchema, Value};
use connect::read::{KeyRange, Owner};
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
    if key.0.len() != schema.key().len() || key.0.is_empty() {
        return Err(Error::invalid(format!(
            "a range of {} has no fitting key",
            shape.name.shown()
        )));
    }
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for (name, value) in schema.key_names().zip(&key.0) {
        let column = shape.require(name)?;
        columns.push(compared(column));
        values.push(comparable(column, value));
    }
    Ok(format!("({}) {comparison} ({})", columns.join(", "), values.join(", ")))
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
