//! What is right, told by plain SQL.

use rusqlite::Connection;

/// A table in one canonical text: its columns and key, then every row with the stored type of each value.
pub(crate) fn dump(db: &Connection, table: &str) -> String {
    let columns: Vec<(String, String, i64)> = db
        .prepare("select name, type, pk from pragma_table_info(?1) order by cid")
        .unwrap()
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!columns.is_empty(), "there is no table {table}");
    let mut text = format!("{columns:?}\n");
    for row in rows(db, &format!("select * from {table}")) {
        text.push_str(&row);
        text.push('\n');
    }
    text
}

/// All rows of a query, each as a text of stored types and quoted values, in the order of these texts.
pub(crate) fn rows(db: &Connection, sql: &str) -> Vec<String> {
    let names: Vec<String> = {
        let statement = db.prepare(sql).unwrap();
        statement.column_names().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect()
    };
    let cells: Vec<String> =
        names.iter().map(|name| format!("typeof({name}) || ' ' || quote({name})")).collect();
    let mut found: Vec<String> = db
        .prepare(&format!("select {} from ({sql})", cells.join(" || ', ' || ")))
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    found.sort();
    found
}

/// The one number of a query.
pub(crate) fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|e| panic!("{e}: {sql}"))
}

/// Names of all tables of the application, and of stages that were left.
pub(crate) fn tables(db: &Connection) -> Vec<String> {
    db.prepare("select name from sqlite_schema where type = 'table' order by name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// No row is there twice, none is missing, none is invented.
#[track_caller]
pub(crate) fn assert_same(source: &Connection, from: &str, target: &Connection, to: &str) {
    let (expected, found) = (rows(source, from), rows(target, to));
    let missing: Vec<_> = expected.iter().filter(|row| found.binary_search(row).is_err()).collect();
    let extra: Vec<_> = found.iter().filter(|row| expected.binary_search(row).is_err()).collect();
    assert!(
        missing.is_empty() && extra.is_empty() && expected.len() == found.len(),
        "{} rows expected, {} found\nmissing {missing:?}\nextra {extra:?}",
        expected.len(),
        found.len()
    );
}
