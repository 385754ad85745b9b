//! The keys by which a row can push another out: the primary key and every unique index, partial ones and those
//! over expressions too.
//!
//! A key knows how to say in SQL which rows of a table collide with `NEW`. Rows of a note table are found with the
//! same words, because it has the same columns.

use super::super::catalogue::TableShape;
use super::super::error::failed;
use super::super::names::identifier;
use super::sql::index_parts;
use connect::{Error, Result};
use rusqlite::Connection;

/// Collations that every program with SQLite knows.
const COLLATIONS: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

/// What no two rows of a table share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UniqueKey {
    terms: Vec<Term>,
    condition: Option<String>,
}

/// One column or expression of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// A column's name, or the text of an expression.
    text: String,
    is_column: bool,
    /// ` COLLATE name`, where the index does not compare as the column does by itself.
    collate: String,
}

impl UniqueKey {
    /// SQL that is true of rows of `rows` that collide with the row called `NEW`.
    pub(super) fn collides(&self, rows: &str, columns: &[String]) -> String {
        let mut clauses: Vec<String> = self.terms.iter().map(|t| t.equal(rows, columns)).collect();
        if let Some(condition) = &self.condition {
            clauses.push(format!("({condition}\n)"));
        }
        clauses.join(" AND ")
    }

    /// SQL that is true when `left` and `right` are the same row by this key, which is over plain columns.
    pub(super) fn same(&self, left: &str, right: &str) -> String {
        let equal = |t: &Term| {
            let name = identifier(&t.text);
            format!("{left}.{name}{} = {right}.{name}", t.collate)
        };
        self.terms.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// Names of the columns, or nothing where it takes more than comparing columns to see whether a key changed.
    pub(super) fn plain_columns(&self) -> Option<Vec<&str>> {
        if self.condition.is_some() {
            return None;
        }
        self.terms.iter().map(|t| t.is_column.then_some(t.text.as_str())).collect()
    }

    /// `CREATE INDEX` for a table with the same columns.
    pub(super) fn index(&self, name: &str, table: &str) -> String {
        let term = |t: &Term| {
            let text = if t.is_column { identifier(&t.text) } else { format!("({}\n)", t.text) };
            format!("{text}{}", t.collate)
        };
        let terms: Vec<String> = self.terms.iter().map(term).collect();
        let condition = self.condition.as_ref().map_or(String::new(), |c| format!(" WHERE {c}\n"));
        format!("CREATE INDEX {name} ON {table} ({}){condition};", terms.join(", "))
    }
}

impl Term {
    fn equal(&self, rows: &str, columns: &[String]) -> String {
        let collate = &self.collate;
        if self.is_column {
            let name = identifier(&self.text);
            return format!("{rows}.{name}{collate} = NEW.{name}");
        }
        // The expression over NEW: its bare column names are found in a row made of NEW's cells.
        let cells: Vec<String> =
            columns.iter().map(|name| format!("NEW.{name} AS {name}")).collect();
        let text = &self.text;
        format!("({text}\n){collate} = (SELECT ({text}\n) FROM (SELECT {}))", cells.join(", "))
    }
}

/// The primary key first, then every other unique index.
pub(super) fn unique_keys(connection: &Connection, shape: &TableShape) -> Result<Vec<UniqueKey>> {
    let reading = || failed(format!("cannot read the indexes of table {}", shape.name));
    let mut statement = connection
        .prepare_cached("SELECT name, origin FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY origin = 'pk' DESC, name")
        .map_err(reading())?;
    let indexes: Vec<(String, String)> = statement
        .query_map([&shape.name], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(reading())?;
    let mut keys = Vec::new();
    if !indexes.iter().any(|(_, origin)| origin == "pk") {
        let column = &shape.columns[shape.primary[0]];
        let term = Term { text: column.name.clone(), is_column: true, collate: String::new() };
        keys.push(UniqueKey { terms: vec![term], condition: None });
    }
    for (index, _) in indexes {
        let key = unique_key(connection, shape, &index)?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn unique_key(connection: &Connection, shape: &TableShape, index: &str) -> Result<UniqueKey> {
    let reading = || failed(format!("cannot read index {index}"));
    let sql: Option<String> = connection
        .prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1")
        .and_then(|mut s| s.query_map([index], |row| row.get(0))?.next().transpose())
        .map_err(reading())?
        .flatten();
    let parts = match &sql {
        Some(sql) => Some(index_parts(sql).ok_or_else(|| {
            Error::invalid(format!("unique index {index} cannot be understood"))
                .fix("leave its table out, or write the index in plain words")
        })?),
        None => None,
    };
    let mut statement = connection
        .prepare_cached("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")
        .map_err(reading())?;
    let listed: Vec<(Option<String>, String)> = statement
        .query_map([index], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(reading())?;
    let mut terms = Vec::new();
    for (i, (column, collation)) in listed.into_iter().enumerate() {
        require_known(index, &collation)?;
        let plain = column.as_ref().and_then(|name| shape.column(name));
        let as_declared =
            plain.is_some_and(|c| c.binary) && collation.eq_ignore_ascii_case("BINARY");
        let collate = if as_declared { String::new() } else { format!(" COLLATE {collation}") };
        let text = match (&column, &parts) {
            (Some(name), _) => name.clone(),
            (None, Some(parts)) if i < parts.terms.len() => parts.terms[i].to_string(),
            (None, _) => {
                return Err(Error::internal(format!("index {index} has a term without words")));
            }
        };
        terms.push(Term { text, is_column: column.is_some(), collate });
    }
    let condition = parts.and_then(|p| p.condition.map(str::to_string));
    Ok(UniqueKey { terms, condition })
}

fn require_known(index: &str, collation: &str) -> Result<()> {
    if COLLATIONS.iter().any(|known| known.eq_ignore_ascii_case(collation)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "unique index {index} compares in a way that only the application knows"
    ))
    .found(format!("collation {collation}"))
    .fix("declare the column with BINARY, NOCASE or RTRIM, or leave its table out"))
}
