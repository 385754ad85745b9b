//! What changed between two versions of a table, and whether a target can follow.

use crate::schema::{Column, TableSchema};
use std::fmt;

/// The verdict on a schema change.
#[derive(Clone, Debug, PartialEq)]
pub enum Compatibility {
    /// The same columns, types and key.
    Same,
    /// Only nullable columns came: old rows read as null there.
    Additive(Vec<Column>),
    /// Something a target cannot follow unasked, in the words of the operator.
    Breaking(Vec<Break>),
}

/// One reason why a change is breaking.
#[derive(Clone, Debug, PartialEq)]
pub enum Break {
    /// A column is gone.
    Dropped(String),
    /// A column has another type.
    Retyped {
        /// The column.
        column: String,
        /// Its type before and now.
        types: String,
    },
    /// A column came that may not be null.
    RequiredColumn(String),
    /// The key is another.
    KeyChanged,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Dropped(column) => write!(f, "column {column} is gone"),
            Break::Retyped { column, types } => write!(f, "column {column} changed type: {types}"),
            Break::RequiredColumn(column) => {
                write!(f, "column {column} is new and may not be null")
            }
            Break::KeyChanged => f.write_str("the key is another"),
        }
    }
}

/// Compares two versions. The order of columns does not matter.
pub fn compare(before: &TableSchema, now: &TableSchema) -> Compatibility {
    let mut breaks = Vec::new();
    let mut added = Vec::new();
    for old in before.columns() {
        match now.columns().iter().find(|c| c.name == old.name) {
            None => breaks.push(Break::Dropped(old.name.clone())),
            Some(new) if new.ty != old.ty => breaks.push(Break::Retyped {
                column: old.name.clone(),
                types: format!("{} -> {}", old.ty, new.ty),
            }),
            Some(_) => {}
        }
    }
    for new in now.columns() {
        if before.index_of(&new.name).is_none() {
            if new.nullable {
                added.push(new.clone());
            } else {
                breaks.push(Break::RequiredColumn(new.name.clone()));
            }
        }
    }
    if !before.key_names().eq(now.key_names()) {
        breaks.push(Break::KeyChanged);
    }
    match (breaks.is_empty(), added.is_empty()) {
        (false, _) => Compatibility::Breaking(breaks),
        (true, false) => Compatibility::Additive(added),
        (true, true) => Compatibility::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;

    fn table(columns: &[(&str, ColumnType, bool)]) -> TableSchema {
        let columns =
            columns.iter().map(|(name, ty, null)| Column::new(*name, *ty, *null)).collect();
        TableSchema::new(columns, &["id"]).unwrap()
    }

    #[test]
    fn verdicts() {
        let before = table(&[("id", ColumnType::Int64, false), ("a", ColumnType::Text, true)]);
        assert_eq!(compare(&before, &before), Compatibility::Same);
        let added = table(&[
            ("id", ColumnType::Int64, false),
            ("b", ColumnType::Text, true),
            ("a", ColumnType::Text, true),
        ]);
        assert!(matches!(compare(&before, &added), Compatibility::Additive(c) if c.len() == 1));
        let dropped = table(&[("id", ColumnType::Int64, false)]);
        assert_eq!(
            compare(&before, &dropped),
            Compatibility::Breaking(vec![Break::Dropped("a".into())])
        );
        let retyped = table(&[("id", ColumnType::Int64, false), ("a", ColumnType::Int64, true)]);
        assert!(matches!(compare(&before, &retyped), Compatibility::Breaking(_)));
    }
}
