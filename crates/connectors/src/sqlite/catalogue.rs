//! What tables there are and how they are declared, as SQLite itself tells.
//!
//! Names are compared as SQLite does: without regard to ASCII case. Every column that our SQL names was found
//! here first, so a name that is not there can never be taken for a text literal.

use super::error::failed;
use super::types::{Affinity, column_type};
use change::{Column, ColumnType, TableSchema};
use connect::{Error, Result};
use rusqlite::{Connection, OptionalExtension};
use std::ffi::CString;

/// Prefix of everything that is ours in somebody else's database.
pub(super) const OURS: &str = "_seamount_";

/// A table as it is declared.
#[derive(Clone, Debug)]
pub(super) struct TableShape {
    /// Its name as declared.
    pub(super) name: String,
    /// Its columns in order, generated ones too.
    pub(super) columns: Vec<ColumnShape>,
    /// Places of the primary key's columns, in key order.
    pub(super) primary: Vec<usize>,
    /// Sets of columns that no two rows share, by bytes.
    pub(super) unique: Vec<Vec<usize>>,
}

/// A column as it is declared.
#[derive(Clone, Debug)]
pub(super) struct ColumnShape {
    /// Its name as declared.
    pub(super) name: String,
    /// Its declared type, perhaps empty.
    pub(super) declared: String,
    /// What SQLite does to cells on their way in.
    pub(super) affinity: Affinity,
    /// The type its cells move as.
    pub(super) ty: ColumnType,
    /// Whether it may hold null.
    pub(super) nullable: bool,
    /// Whether a row can be inserted without naming it.
    pub(super) optional: bool,
    /// Whether SQLite computes it.
    pub(super) generated: bool,
    /// Whether text compares by its bytes.
    pub(super) binary: bool,
}

impl TableShape {
    /// A column by name.
    pub(super) fn column(&self, name: &str) -> Option<&ColumnShape> {
        self.place(name).map(|i| &self.columns[i])
    }

    /// A column by name, as an error when it is not there.
    pub(super) fn require(&self, name: &str) -> Result<&ColumnShape> {
        self.column(name)
            .ok_or_else(|| Error::invalid(format!("table {} has no column {name}", self.name)))
    }

    /// The place of a column.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name))
    }

    /// Columns and primary key as they move.
    pub(super) fn schema(&self) -> Result<TableSchema> {
        let columns: Vec<Column> =
            self.columns.iter().map(|c| Column::new(&c.name, c.ty, c.nullable)).collect();
        let key: Vec<&str> = self.primary.iter().map(|&i| self.columns[i].name.as_str()).collect();
        TableSchema::new(columns, &key)
            .map_err(|e| Error::invalid(format!("table {} cannot be read", self.name)).caused_by(e))
    }

    /// Whether no two rows share these columns.
    pub(super) fn is_unique(&self, columns: &[&str]) -> bool {
        let mut wanted: Vec<usize> = columns.iter().filter_map(|name| self.place(name)).collect();
        wanted.sort_unstable();
        self.unique.iter().any(|unique| {
            let mut unique = unique.clone();
            unique.sort_unstable();
            unique == wanted
        })
    }
}

/// Names of the tables a user would see.
pub(super) fn tables(connection: &Connection) -> Result<Vec<String>> {
    let read = || -> rusqlite::Result<Vec<String>> {
        connection
            .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    let mut names = read().map_err(failed("cannot list the tables"))?;
    names.retain(|name| {
        let lower = name.to_ascii_lowercase();
        !lower.starts_with(OURS) && !lower.starts_with("sqlite_")
    });
    Ok(names)
}

/// Whether a table of exactly this name is there.
pub(super) fn has_table(connection: &Connection, name: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")
        .and_then(|mut statement| statement.exists([name]))
        .map_err(failed("cannot look for a table"))
}

/// How a table or view is declared; an error when it is not there.
pub(super) fn require_shape(connection: &Connection, table: &str) -> Result<TableShape> {
    shape(connection, table)?.ok_or_else(|| Error::invalid(format!("there is no table {table}")))
}

/// How a table or view is declared.
pub(super) fn shape(connection: &Connection, table: &str) -> Result<Option<TableShape>> {
    read_shape(connection, table).map_err(failed(format!("cannot describe table {table}")))
}

/// What the list of tables says of one.
struct Listed {
    name: String,
    kind: String,
    without_rowid: bool,
    strict: bool,
}

fn read_shape(connection: &Connection, table: &str) -> rusqlite::Result<Option<TableShape>> {
    let listed = connection
        .prepare_cached(
            "SELECT name, type, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'",
        )?
        .query_row([table], |row| {
            Ok(Listed {
                name: row.get(0)?,
                kind: row.get(1)?,
                without_rowid: row.get(2)?,
                strict: row.get(3)?,
            })
        })
        .optional()?;
    let Some(listed) = listed else { return Ok(None) };
    let (columns, primary) = read_columns(connection, &listed)?;
    let mut unique = read_unique(connection, &listed.name)?;
    if rowid_alias(&listed, &columns, &primary) {
        unique.push(primary.clone());
    }
    Ok(Some(TableShape { name: listed.name, columns, primary, unique }))
}

/// Whether the primary key is the rowid itself.
fn rowid_alias(listed: &Listed, columns: &[ColumnShape], primary: &[usize]) -> bool {
    listed.kind == "table"
        && !listed.without_rowid
        && matches!(primary, [only] if columns[*only].declared.eq_ignore_ascii_case("INTEGER"))
}

fn read_columns(
    connection: &Connection,
    listed: &Listed,
) -> rusqlite::Result<(Vec<ColumnShape>, Vec<usize>)> {
    let mut statement = connection.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden
         FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid",
    )?;
    let mut rows = statement.query([&listed.name])?;
    let (mut columns, mut primary) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let declared: String = row.get(1)?;
        let (required, default): (bool, bool) = (row.get(2)?, row.get(3)?);
        let (place, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
        if place > 0 {
            primary.push((place, columns.len()));
        }
        let any = listed.strict && declared.eq_ignore_ascii_case("ANY");
        columns.push(ColumnShape {
            affinity: if any { Affinity::Blob } else { Affinity::of(&declared) },
            ty: if any { ColumnType::Any } else { column_type(&declared) },
            nullable: !required && !(place > 0 && (listed.without_rowid || listed.strict)),
            optional: !required || default || hidden > 0,
            generated: hidden > 0,
            binary: listed.kind != "table" || is_binary(connection, &listed.name, &name)?,
            name,
            declared,
        });
    }
    primary.sort_unstable();
    let primary: Vec<usize> = primary.into_iter().map(|(_, place)| place).collect();
    if rowid_alias(listed, &columns, &primary) {
        columns[primary[0]].nullable = false;
        columns[primary[0]].optional = true;
    }
    Ok((columns, primary))
}

fn is_binary(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let (table, column) = (CString::new(table)?, CString::new(column)?);
    let (_, collation, ..) =
        connection.column_metadata(None, table.as_c_str(), column.as_c_str())?;
    Ok(collation.is_none_or(|name| name.to_bytes().eq_ignore_ascii_case(b"BINARY")))
}

/// Unique indexes over all rows that compare plain columns by bytes.
fn read_unique(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Vec<usize>>> {
    let names: Vec<String> = connection
        .prepare_cached(
            "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial ORDER BY seq",
        )?
        .query_map([table], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut unique = Vec::new();
    for name in names {
        let columns: Vec<(i64, String)> = connection
            .prepare_cached(
                "SELECT cid, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno",
            )?
            .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let places: Option<Vec<usize>> = columns
            .into_iter()
            .map(|(cid, collation)| {
                usize::try_from(cid).ok().filter(|_| collation.eq_ignore_ascii_case("BINARY"))
            })
            .collect();
        unique.extend(places);
    }
    Ok(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(sql: &str) -> TableShape {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        require_shape(&db, "t").unwrap()
    }

    #[test]
    fn keys_nulls_and_collations_are_seen() {
        let t = shape_of("CREATE TABLE T (b TEXT COLLATE NOCASE, a INT, c, PRIMARY KEY (a, b))");
        assert_eq!(t.primary, vec![1, 0]);
        assert!(t.columns[1].nullable, "SQLite lets a primary key be null");
        assert!(!t.columns[0].binary && t.columns[2].binary);
        assert!(!t.is_unique(&["a", "b"]), "a key that ignores case is not unique by bytes");
        let t = shape_of("CREATE TABLE t (id INTEGER PRIMARY KEY, g AS (id + 1), x NOT NULL)");
        assert!(!t.columns[0].nullable && t.is_unique(&["ID"]));
        assert!(t.columns[1].generated && !t.columns[2].optional);
        let t = shape_of("CREATE TABLE t (a, b, PRIMARY KEY (b)) WITHOUT ROWID");
        assert!(!t.columns[1].nullable && t.is_unique(&["b"]));
        let t = shape_of("CREATE TABLE t (a ANY, b ANY) STRICT");
        assert_eq!(t.columns[0].affinity, Affinity::Blob);
    }

    #[test]
    fn our_own_tables_are_hidden() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(
            "CREATE TABLE _seamount_flow (a); CREATE TABLE \"seam ount\" (a INTEGER PRIMARY KEY AUTOINCREMENT)",
        )
        .unwrap();
        assert_eq!(tables(&db).unwrap(), vec!["seam ount"]);
        assert!(shape(&db, "nowhere").unwrap().is_none());
    }
}
