//! What tables a database has, and their shapes, asked of PostgreSQL's own catalogue.
//!
//! Generated columns are left out: the target computes its own. A table's key is its primary key, or else the unique
//! index that its replica identity names.

use super::error::failed;
use super::names::TableName;
use super::types::{AsText, Wire, is_same_everywhere, mapped};
use change::{Column, ColumnType, TableSchema};
use connect::{Error, Result};
use postgres::{GenericClient, Row};

/// The schema of our bookkeeping; users never see it.
pub(super) const BOOK: &str = "_seamount";

/// What identifies an old row in the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// All columns.
    Full,
    /// The columns of a unique index.
    Index,
    /// Nothing: updates and deletes fail at the source once the table is published.
    Nothing,
}

/// One column as the catalogue has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PgColumn {
    pub(super) column: Column,
    /// As `format_type` prints it.
    pub(super) declared: String,
    pub(super) wire: Wire,
    /// Whether its values are written by the same bytes in every database that declares it so.
    pub(super) same_everywhere: bool,
    /// `GENERATED ALWAYS AS IDENTITY`: an insert must override it.
    pub(super) identity_always: bool,
}

impl PgColumn {
    /// How cells that move as `wanted` are written in COPY BINARY; `None` where they have no exact form in this column.
    pub(super) fn wire_as(&self, wanted: ColumnType) -> Option<Wire> {
        match (wanted, self.column.ty) {
            (wanted, natural) if wanted == natural => Some(self.wire),
            // Any decimal lies in a numeric without a scale, and in one with room for all its digits.
            (ColumnType::Decimal { .. }, ColumnType::Text) if self.declared == "numeric" => {
                Some(Wire::Numeric)
            }
            (
                ColumnType::Decimal { precision: p, scale: s },
                ColumnType::Decimal { precision, scale },
            ) => {
                let room = i16::from(precision) - i16::from(scale) >= i16::from(p) - i16::from(s);
                (scale >= s && room).then_some(Wire::Numeric)
            }
            _ => None,
        }
    }
}

/// A table as the catalogue has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TableShape {
    pub(super) name: TableName,
    pub(super) oid: u32,
    pub(super) columns: Vec<PgColumn>,
    /// Names of the key columns in key order; empty for a table without a key.
    pub(super) key: Vec<String>,
    pub(super) identity: ReplicaIdentity,
    pub(super) partitioned: bool,
}

impl TableShape {
    /// Its neutral schema.
    pub(super) fn schema(&self) -> Result<TableSchema> {
        let columns = self.columns.iter().map(|c| c.column.clone()).collect();
        TableSchema::new(columns, &self.key).map_err(|e| {
            Error::internal(format!("the shape of {} makes no table", self.name.shown()))
                .caused_by(e)
        })
    }

    /// A column by name.
    pub(super) fn column(&self, name: &str) -> Option<&PgColumn> {
        self.columns.iter().find(|c| c.column.name == name)
    }

    /// A column by name.
    ///
    /// # Errors
    /// `Invalid` when there is none.
    pub(super) fn require(&self, name: &str) -> Result<&PgColumn> {
        self.column(name).ok_or_else(|| {
            Error::invalid(format!("table {} has no column {name}", self.name.shown()))
        })
    }
}

/// Tables that a user would see, as flows spell them.
pub(super) fn tables(client: &mut impl GenericClient) -> Result<Vec<String>> {
    let sql = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', $1) AND n.nspname NOT LIKE 'pg\\_toast%'
         ORDER BY 1, 2";
    let rows = client.query(sql, &[&BOOK]).map_err(failed("cannot list the tables"))?;
    Ok(rows.iter().map(|row| TableName { schema: row.get(0), name: row.get(1) }.shown()).collect())
}

/// A table's shape, `None` when it is not there.
pub(super) fn shape(
    client: &mut impl GenericClient,
    name: &TableName,
    as_text: AsText,
) -> Result<Option<TableShape>> {
    let what = || format!("cannot read the shape of {}", name.shown());
    let table = "SELECT c.oid, c.relreplident::text, c.relkind = 'p' FROM pg_class c JOIN pg_namespace n
         ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')";
    let found = client.query_opt(table, &[&name.schema, &name.name]).map_err(failed(what()))?;
    let Some(found) = found else { return Ok(None) };
    let (oid, identity): (u32, &str) = (found.get(0), found.get(1));
    let columns = "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typcategory <> 'A',
                a.attidentity = 'a'
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
         ORDER BY a.attnum";
    let columns = client.query(columns, &[&oid]).map_err(failed(what()))?;
    Ok(Some(TableShape {
        name: name.clone(),
        oid,
        columns: columns.iter().map(|row| column(row, as_text)).collect(),
        key: key(client, oid).map_err(failed(what()))?,
        identity: match identity {
            "f" => ReplicaIdentity::Full,
            "i" => ReplicaIdentity::Index,
            "n" => ReplicaIdentity::Nothing,
            _ => ReplicaIdentity::Default,
        },
        partitioned: found.get(2),
    }))
}

/// A table's shape.
///
/// # Errors
/// `Invalid` when it is not there.
pub(super) fn require_shape(
    client: &mut impl GenericClient,
    name: &TableName,
    as_text: AsText,
) -> Result<TableShape> {
    shape(client, name, as_text)?.ok_or_else(|| {
        Error::invalid(format!("there is no table {}", name.shown()))
            .fix("name a table of the database, with its schema where that is not public")
    })
}

fn column(row: &Row, as_text: AsText) -> PgColumn {
    let declared: String = row.get(1);
    let basic = row.get(3);
    let mapped = mapped(&declared, basic, as_text);
    let same_everywhere = is_same_everywhere(&declared, basic);
    let column = Column::new(row.get::<_, String>(0), mapped.ty, !row.get::<_, bool>(2));
    let column = if mapped.says_more { column.declared(declared.as_str()) } else { column };
    let identity_always = row.get(4);
    PgColumn { column, declared, wire: mapped.wire, same_everywhere, identity_always }
}

/// Columns of the primary key in its order, or else of the index that identifies rows in the write-ahead log.
fn key(client: &mut impl GenericClient, oid: u32) -> Result<Vec<String>, postgres::Error> {
    let sql = "SELECT a.attname FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, place)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE i.indexrelid = (
             SELECT indexrelid FROM pg_index
             WHERE indrelid = $1 AND (indisprimary OR indisreplident)
             ORDER BY indisprimary DESC LIMIT 1)
         ORDER BY k.place";
    Ok(client.query(sql, &[&oid])?.iter().map(|row| row.get(0)).collect())
}
