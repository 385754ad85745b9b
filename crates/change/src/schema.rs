//! The neutral shape of a table: columns with exact types, and a key.
//!
//! Types are the ones that every connector maps from and to without changing a value. What fits none of them
//! travels as [`ColumnType::Any`] (a value that carries its own type), or is refused by the connector.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Field metadata key that marks a tagged column inside Arrow data.
const TYPE_MARK: &str = "seamount.type";

/// An exact type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// 64-bit signed integer.
    Int64,
    /// IEEE-754 binary64; compared by bits, with one NaN and one zero.
    Float64,
    /// Exact decimal of at most 38 digits.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, 0 to `precision`.
        scale: i8,
    },
    /// UTF-8 text; no trimming, no case folding, no collation.
    Text,
    /// Raw bytes.
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01T00:00:00 without a zone.
    Timestamp,
    /// Microseconds since 1970-01-01T00:00:00Z: an instant.
    Instant,
    /// A value that carries its own type ([`crate::any`]): columns of systems without column types.
    Any,
}

impl ColumnType {
    /// The Arrow type that holds it.
    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Bool => DataType::Boolean,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Float64 => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            ColumnType::Text => DataType::Utf8,
            ColumnType::Bytes | ColumnType::Any => DataType::Binary,
            ColumnType::Date => DataType::Date32,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            ColumnType::Instant => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
            }
        }
    }

    /// The neutral type of an Arrow field, where there is an exact one.
    pub fn from_arrow(field: &Field) -> Option<Self> {
        Some(match field.data_type() {
            DataType::Boolean => ColumnType::Bool,
            DataType::Int64 => ColumnType::Int64,
            DataType::Float64 => ColumnType::Float64,
            DataType::Decimal128(precision, scale) => {
                ColumnType::Decimal { precision: *precision, scale: *scale }
            }
            DataType::Utf8 => ColumnType::Text,
            DataType::Binary if field.metadata().get(TYPE_MARK).is_some_and(|m| m == "any") => {
                ColumnType::Any
            }
            DataType::Binary => ColumnType::Bytes,
            DataType::Date32 => ColumnType::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => ColumnType::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
                ColumnType::Instant
            }
            _ => return None,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Bool => f.write_str("bool"),
            ColumnType::Int64 => f.write_str("int64"),
            ColumnType::Float64 => f.write_str("float64"),
            ColumnType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            ColumnType::Text => f.write_str("text"),
            ColumnType::Bytes => f.write_str("bytes"),
            ColumnType::Date => f.write_str("date"),
            ColumnType::Timestamp => f.write_str("timestamp"),
            ColumnType::Instant => f.write_str("instant"),
            ColumnType::Any => f.write_str("any"),
        }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// As the system spells it.
    pub name: String,
    /// Its exact type.
    pub ty: ColumnType,
    /// Whether it may hold null. Key columns never do.
    pub nullable: bool,
    /// What its system calls the type, where that says more than `ty`: `jsonb`, `integer`, `character varying(20)`. A
    /// target of the same system declares it again; the cells of such a column move as its `ty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
}

impl Column {
    /// A column; `nullable` says whether nulls are allowed.
    pub fn new(name: impl Into<String>, ty: ColumnType, nullable: bool) -> Self {
        Column { name: name.into(), ty, nullable, declared: None }
    }

    /// The same column with its system's own name of the type.
    #[must_use]
    pub fn declared(self, declared: impl Into<String>) -> Self {
        Column { declared: Some(declared.into()), ..self }
    }

    /// The Arrow field, nullable whatever the column says: an absent image is a row of nulls.
    fn image_field(&self) -> Field {
        let field = Field::new(&self.name, self.ty.arrow(), true);
        match self.ty {
            ColumnType::Any => {
                field.with_metadata(HashMap::from([(TYPE_MARK.into(), "any".into())]))
            }
            _ => field,
        }
    }
}

/// Why columns and a key do not make a table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// A key column is not among the columns.
    #[error("key column {0} is not a column of the table")]
    UnknownKeyColumn(String),
    /// Two columns share a name.
    #[error("column {0} appears twice")]
    DuplicateColumn(String),
    /// An Arrow field has no exact neutral type.
    #[error("column {column} has type {found}, which has no exact equivalent")]
    UnsupportedType {
        /// The column.
        column: String,
        /// The Arrow type found.
        found: String,
    },
}

/// A table's columns and key, with the Arrow schema of its images.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct TableSchema {
    columns: Vec<Column>,
    key: Vec<usize>,
    images: SchemaRef,
}

/// What is stored of a schema; the rest is derived.
#[derive(Serialize, Deserialize)]
struct Shape {
    columns: Vec<Column>,
    key: Vec<String>,
}

impl TryFrom<Shape> for TableSchema {
    type Error = SchemaError;
    fn try_from(shape: Shape) -> Result<Self, SchemaError> {
        TableSchema::new(shape.columns, &shape.key)
    }
}

impl From<TableSchema> for Shape {
    fn from(schema: TableSchema) -> Self {
        let key = schema.key_names().map(String::from).collect();
        Shape { columns: schema.columns, key }
    }
}

impl PartialEq for TableSchema {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.key == other.key
    }
}

impl TableSchema {
    /// Makes a schema. An empty `key` is a table without one: it can be read, not captured.
    ///
    /// # Errors
    /// A key column that is no column, or a column named twice.
    pub fn new<S: AsRef<str>>(columns: Vec<Column>, key: &[S]) -> Result<Self, SchemaError> {
        for (i, column) in columns.iter().enumerate() {
            if columns[..i].iter().any(|c| c.name == column.name) {
                return Err(SchemaError::DuplicateColumn(column.name.clone()));
            }
        }
        let key = key
            .iter()
            .map(|name| {
                let name = name.as_ref();
                columns
                    .iter()
                    .position(|c| c.name == name)
                    .ok_or_else(|| SchemaError::UnknownKeyColumn(name.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let fields: Vec<Field> = columns.iter().map(Column::image_field).collect();
        Ok(TableSchema { columns, key, images: Arc::new(Schema::new(fields)) })
    }

    /// Reads a neutral schema out of an Arrow one.
    ///
    /// # Errors
    /// A field whose type has no exact equivalent, or an unknown key column.
    pub fn from_arrow<S: AsRef<str>>(schema: &Schema, key: &[S]) -> Result<Self, SchemaError> {
        let columns = schema
            .fields()
            .iter()
            .map(|field| {
                let ty =
                    ColumnType::from_arrow(field).ok_or_else(|| SchemaError::UnsupportedType {
                        column: field.name().clone(),
                        found: field.data_type().to_string(),
                    })?;
                Ok(Column::new(field.name(), ty, field.is_nullable()))
            })
            .collect::<Result<_, SchemaError>>()?;
        Self::new(columns, key)
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Places of the key columns among the columns, in key order.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// Names of the key columns, in key order.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|&i| self.columns[i].name.as_str())
    }

    /// The place of a column.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    /// The Arrow schema of row images: every field nullable, tagged columns marked.
    pub fn images(&self) -> &SchemaRef {
        &self.images
    }

    /// The schema of the key alone.
    pub fn key_schema(&self) -> TableSchema {
        let columns: Vec<Column> = self.key.iter().map(|&i| self.columns[i].clone()).collect();
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        TableSchema::new(columns, &names).expect("key columns are distinct columns")
    }

    /// The same columns under another key.
    ///
    /// # Errors
    /// A key column that is no column.
    pub fn with_key<S: AsRef<str>>(&self, key: &[S]) -> Result<TableSchema, SchemaError> {
        TableSchema::new(self.columns.clone(), key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_survives_serialisation_and_arrow() {
        let schema = TableSchema::new(
            vec![
                Column::new("id", ColumnType::Int64, false),
                Column::new("price", ColumnType::Decimal { precision: 12, scale: 4 }, true),
                Column::new("anything", ColumnType::Any, true),
                Column::new("seen", ColumnType::Instant, true),
            ],
            &["id"],
        )
        .unwrap();
        let text = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<TableSchema>(&text).unwrap(), schema);
        let back = TableSchema::from_arrow(schema.images(), &["id"]).unwrap();
        let types = |s: &TableSchema| s.columns().iter().map(|c| c.ty).collect::<Vec<_>>();
        assert_eq!(types(&back), types(&schema));
    }

    #[test]
    fn a_key_that_is_no_column_is_refused() {
        let columns = vec![Column::new("id", ColumnType::Int64, false)];
        assert_eq!(
            TableSchema::new(columns, &["sku"]),
            Err(SchemaError::UnknownKeyColumn("sku".into()))
        );
    }
}
