//! Names, texts and bytes through the quoting of SQLite's dialect and a real database, back to what they were.

use crate::drill::Violation;
use crate::random::Random;
use connectors::sqlite::names::{blob, identifier, identifiers, text};
use rusqlite::Connection;

/// The invariant of this part.
pub(super) const SAME_NAME: &str = "V a name is that name, and no SQL";

/// Names a seed.
const EACH: usize = 25;

/// Pieces that break out of quotes where quotes can be broken out of.
const PIECES: &[&str] = &[
    "\"",
    "\"\"",
    "'",
    "''",
    "`",
    "[",
    "]",
    "\\",
    "\\\"",
    "\n",
    "\r",
    "\t",
    ";",
    "--",
    "/*",
    "*/",
    "\"; DROP TABLE victim; --",
    "'; DROP TABLE victim; --",
    "\") VALUES (1); --",
    " ",
    "select",
    "order",
    "victim",
    "?1",
    ":a",
    "@b",
    "$c",
    "{}",
    "%s",
    "é",
    "日本",
    "\u{202e}",
    "😀",
    ".",
    "main.",
    "x",
    "_",
    "0",
    "\u{1}",
    "\u{7f}",
    "\u{feff}",
    "rowid",
    "NULL",
];

/// A name of such pieces; sometimes a long one.
pub(super) fn name(chance: &mut Random) -> String {
    let pieces = if chance.once_in(12) { 200 } else { 1 + chance.below(5) };
    (0..pieces).map(|_| *chance.pick(PIECES)).collect()
}

/// Many names.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    for _ in 0..EACH {
        let (table, column) = (name(&mut chance), name(&mut chance));
        check(&table, &column, &name(&mut chance))?;
    }
    zero_bytes()
}

/// Any bytes as a table's name, a column's name and a value, between zero bytes.
///
/// # Errors
/// Something else comes back, or another table is touched.
pub fn any_quoting(bytes: &[u8]) -> Result<(), Violation> {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\0');
    let mut next = || parts.next().unwrap_or_default().to_string();
    let (table, column, value) = (next(), next(), next());
    if table.is_empty() || column.is_empty() {
        return check("t", "c", &value);
    }
    check(&table, &column, &value)
}

fn check(table: &str, column: &str, value: &str) -> Result<(), Violation> {
    let wrong = |what: String| {
        Violation::new(SAME_NAME, format!("{what}: table {table:?}, column {column:?}, {value:?}"))
    };
    let reserved = |name: &str| name.to_ascii_lowercase().starts_with("sqlite_");
    let other = format!("{column}2");
    if reserved(table) || table.eq_ignore_ascii_case("victim") {
        return Ok(());
    }
    let found = round_trip(table, column, &other, value).map_err(|e| wrong(e.to_string()))?;
    if found.tables != [table, "victim"] && found.tables != ["victim", table] {
        return Err(wrong(format!("the tables are {:?}", found.tables)));
    }
    if found.columns != [column, &other] {
        return Err(wrong(format!("the columns are {:?}", found.columns)));
    }
    let bytes = value.as_bytes().to_vec();
    if found.cells != (value.to_string(), bytes) || found.victim != 7 {
        return Err(wrong(format!("read back is {:?}, the victim {}", found.cells, found.victim)));
    }
    Ok(())
}

/// What a database holds after a table was made, filled and read through quoted names only.
struct Found {
    tables: Vec<String>,
    columns: Vec<String>,
    cells: (String, Vec<u8>),
    victim: i64,
}

fn round_trip(table: &str, column: &str, other: &str, value: &str) -> rusqlite::Result<Found> {
    let db = Connection::open_in_memory()?;
    db.execute_batch("CREATE TABLE victim (x); INSERT INTO victim VALUES (7)")?;
    let (t, c, o) = (identifier(table), identifier(column), identifier(other));
    let both = identifiers([column, other]);
    // One statement each: what follows behind a `;` would be an error too, but not here.
    db.execute_batch(&format!("CREATE TABLE {t} ({c} TEXT, {o} BLOB)"))?;
    let (as_text, as_blob) = (text(value), blob(value.as_bytes()));
    db.execute_batch(&format!("INSERT INTO {t} ({both}) VALUES ({as_text}, {as_blob})"))?;
    db.execute_batch(&format!("UPDATE {t} SET {c} = {c} WHERE {o} = {as_blob}"))?;
    let cells =
        db.query_row(&format!("SELECT {both} FROM {t} WHERE {c} = {as_text}"), [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let strings = |sql: &str, of: &[&str]| -> rusqlite::Result<Vec<String>> {
        db.prepare(sql)?.query_map(rusqlite::params_from_iter(of), |row| row.get(0))?.collect()
    };
    Ok(Found {
        tables: strings("SELECT name FROM sqlite_schema ORDER BY rowid DESC", &[])?,
        columns: strings("SELECT name FROM pragma_table_xinfo(?)", &[table])?,
        cells,
        victim: db.query_row("SELECT x FROM victim", [], |row| row.get(0))?,
    })
}

/// A name with a zero byte cannot exist; it is refused, not cut short.
fn zero_bytes() -> Result<(), Violation> {
    let db = Connection::open_in_memory().expect("memory");
    for name in ["a\0b", "\0", "a\0", "a\0\" (x); DROP TABLE t; --"] {
        let made = db.execute_batch(&format!("CREATE TABLE {} (x)", identifier(name)));
        let tables: i64 = db
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .expect("the schema can always be counted");
        if made.is_ok() || tables > 0 {
            return Err(Violation::new(SAME_NAME, format!("{name:?} made {tables} tables")));
        }
    }
    Ok(())
}
