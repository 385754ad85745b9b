//! Which rows of a table: an owner's, in a range of keys.
//!
//! Values are always bound, never written into the statement; the condition is the last part of a statement.

use super::bind::{Cells, Unbound};
use super::catalogue::{ColumnShape, TableShape};
use super::error::failed;
use super::form::{form, ordered};
use super::names::identifier;
use change::{ColumnType, Key, TableSchema, Value};
use connect::read::{KeyRange, Owner};
use connect::{Error, Result};
use rusqlite::Statement;

/// A condition on the rows of the table called `t` in the statement.
#[derive(Default)]
pub(super) struct Filter {
    clauses: Vec<String>,
    values: Vec<Cells>,
}

impl Filter {
    /// All rows.
    pub(super) fn all() -> Filter {
        Filter::default()
    }

    /// Whether it lets all rows through.
    pub(super) fn is_all(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Only rows whose column has the owner's value.
    pub(super) fn owned(
        mut self,
        shape: &TableShape,
        schema: &TableSchema,
        owner: &Owner,
    ) -> Result<Filter> {
        let column = shape.require(&owner.column)?;
        if owner.value == Value::Null {
            return Err(Error::invalid(format!("the owner of rows of {} is null", shape.name)));
        }
        let ty = schema.index_of(&owner.column).map_or(column.ty, |i| schema.columns()[i].ty);
        self.clauses.push(format!("{} = ?", compared(column)));
        self.values.push(cells(shape, column, ty, &owner.value)?);
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
                self.bound(shape, schema, key, comparison)?;
            }
        }
        Ok(self)
    }

    fn bound(
        &mut self,
        shape: &TableShape,
        schema: &TableSchema,
        key: &Key,
        comparison: &str,
    ) -> Result<()> {
        if key.0.len() != schema.key().len() || key.0.is_empty() {
            return Err(Error::invalid(format!("a range of {} has no fitting key", shape.name)));
        }
        let mut columns = Vec::new();
        for (&place, value) in schema.key().iter().zip(&key.0) {
            let wanted = &schema.columns()[place];
            let column = shape.require(&wanted.name)?;
            columns.push(compared(column));
            self.values.push(cells(shape, column, wanted.ty, value)?);
        }
        self.clauses.push(match columns.as_slice() {
            [only] => format!("{only} {comparison} ?"),
            several => format!(
                "({}) {comparison} ({})",
                several.join(", "),
                vec!["?"; several.len()].join(", ")
            ),
        });
        Ok(())
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

    /// Binds its values, the first to this parameter.
    pub(super) fn bind(&self, statement: &mut Statement<'_>, first: usize) -> Result<()> {
        for (i, value) in self.values.iter().enumerate() {
            value.bind(statement, first + i, 0).map_err(|unbound| match unbound {
                Unbound::Unfit(why) => Error::invalid(format!("a value to search for {why}")),
                Unbound::Failed(error) => failed("cannot search a table")(error),
            })?;
        }
        Ok(())
    }
}

/// A column as it is compared and sorted: by bytes, whatever it declares. An index is used only where nothing
/// needs to be said.
pub(super) fn compared(column: &ColumnShape) -> String {
    let name = identifier(&column.name);
    if column.binary { format!("t.{name}") } else { format!("t.{name} COLLATE BINARY") }
}

/// Refuses keys that SQLite would sort in another order than the type's.
pub(super) fn require_order(shape: &TableShape, schema: &TableSchema) -> Result<()> {
    for &place in schema.key() {
        let wanted = &schema.columns()[place];
        let column = shape.require(&wanted.name)?;
        if !ordered(wanted.ty, column.affinity) {
            return Err(Error::invalid(format!(
                "key column {}.{} does not sort as {}",
                shape.name, wanted.name, wanted.ty
            ))
            .found(format!("it is declared {:?}, digits in text sort as text", column.declared))
            .fix("declare the column with a numeric type"));
        }
    }
    Ok(())
}

fn cells(shape: &TableShape, column: &ColumnShape, ty: ColumnType, value: &Value) -> Result<Cells> {
    let form = form(ty, column.affinity).ok_or_else(|| {
        Error::invalid(format!(
            "column {}.{} cannot be compared with {ty} values",
            shape.name, column.name
        ))
        .found(format!("it is declared {:?}", column.declared))
    })?;
    Cells::one(value, ty, form).map_err(|e| e.at(format!("{}.{}", shape.name, column.name)))
}
