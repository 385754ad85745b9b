//! The one place where names and literals become SQL of this dialect.
//!
//! Whatever the name holds, what SQLite parses is that name again and nothing else. A name with a zero byte
//! cannot exist in SQLite: it gives a token that never ends, so the statement is refused and never cut short.

use change::planted::{Defect, is_planted};
use std::fmt::Write as _;

/// A table, column, index or trigger name, quoted.
pub fn identifier(name: &str) -> String {
    quoted(name, '"')
}

/// Several names, quoted and separated by commas.
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

/// A text literal.
pub fn text(value: &str) -> String {
    if value.contains('\0') {
        return format!("CAST({} AS TEXT)", blob(value.as_bytes()));
    }
    quoted(value, '\'')
}

/// A blob literal.
pub fn blob(value: &[u8]) -> String {
    let mut literal = String::with_capacity(value.len() * 2 + 3);
    literal.push_str("x'");
    for byte in value {
        write!(literal, "{byte:02x}").expect("a string takes what is written to it");
    }
    literal.push('\'');
    literal
}

fn quoted(body: &str, quote: char) -> String {
    let mut out = String::with_capacity(body.len() + 2);
    out.push(quote);
    for c in body.chars() {
        if c == quote && !is_planted(Defect::UnquotedName) {
            out.push(quote);
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn database() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_name_reads_back(table in "[^\0]{1,40}", column in "[^\0]{1,40}") {
            prop_assume!(!table.to_ascii_lowercase().starts_with("sqlite_"));
            let db = database();
            db.execute_batch(&format!(
                "CREATE TABLE {} ({} INTEGER)", identifier(&table), identifier(&column)
            )).unwrap();
            let read = |sql: &str| db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
            prop_assert_eq!(read("SELECT name FROM sqlite_schema"), table.clone());
            let found: String = db
                .query_row("SELECT name FROM pragma_table_xinfo(?)", [&table], |row| row.get(0))
                .unwrap();
            prop_assert_eq!(found, column);
        }

        #[test]
        fn a_text_reads_back(value in any::<String>()) {
            let sql = format!("SELECT {}", text(&value));
            prop_assert_eq!(database().query_row(&sql, [], |row| row.get::<_, String>(0)).unwrap(), value);
        }

        #[test]
        fn a_blob_reads_back(value in prop::collection::vec(any::<u8>(), 0..40)) {
            let sql = format!("SELECT {}", blob(&value));
            prop_assert_eq!(database().query_row(&sql, [], |row| row.get::<_, Vec<u8>>(0)).unwrap(), value);
        }
    }

    #[test]
    fn a_name_with_a_zero_byte_is_refused_not_cut_short() {
        let sql = format!("CREATE TABLE {} (a)", identifier("orders\0x"));
        let db = database();
        assert!(db.execute_batch(&sql).is_err());
        let tables: i64 =
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
    }
}
