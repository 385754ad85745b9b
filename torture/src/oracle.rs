//! What must hold at the centre, by raw SQL and the stores' own books. Shares nothing with the engine: where both say
//! "equal", two independent readings say it.

use crate::ledger::{Ledger, Row, Rows, Table};
use crate::world::{STORES, World, open_to_read};
use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// At most so many differences are named.
const NAMED: usize = 6;

/// The rows of a table; at the centre, those of one store.
///
/// # Errors
/// The table cannot be read, or holds a key twice.
pub(crate) fn rows_of(database: &Connection, table: Table, store: Option<&str>) -> Result<Rows> {
    let cells: Vec<String> = table.columns().iter().map(|c| format!("quote({c})")).collect();
    let only = if store.is_some() { "WHERE store = ?1" } else { "" };
    let sql = format!("SELECT {} FROM {} {only}", cells.join(", "), table.name());
    let mut statement = database.prepare(&sql)?;
    let mut found = match store {
        Some(store) => statement.query([store])?,
        None => statement.query([])?,
    };
    let mut rows = Rows::new();
    while let Some(row) = found.next()? {
        let key: String = row.get(0)?;
        let rest: rusqlite::Result<Row> = (1..table.columns().len()).map(|i| row.get(i)).collect();
        if rows.insert(key.clone(), rest?).is_some() {
            bail!("{} holds {key} twice", table.name());
        }
    }
    Ok(rows)
}

/// Whether a table is there.
///
/// # Errors
/// The database cannot be read.
pub(crate) fn has_table(database: &Connection, table: &str) -> Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(database.query_row(sql, [table], |row| row.get::<_, i64>(0))? == 1)
}

/// How the centre differs from the books; nothing where it is equal. In one read transaction.
///
/// # Errors
/// The centre cannot be read.
pub(crate) fn differences(
    centre: &Connection,
    books: &BTreeMap<String, Ledger>,
) -> Result<Vec<String>> {
    let reading = centre.unchecked_transaction()?;
    let mut found = Vec::new();
    for table in Table::ALL {
        if !has_table(&reading, table.name())? {
            found.push(format!("{} is not there", table.name()));
            continue;
        }
        let mut due = 0;
        for (store, book) in books {
            due += book.rows(table).len();
            let rows = rows_of(&reading, table, Some(store))?;
            compare(store, table, book.rows(table), &rows, &mut found);
        }
        let sql = format!("SELECT count(*) FROM {}", table.name());
        let there: i64 = reading.query_row(&sql, [], |row| row.get(0))?;
        if usize::try_from(there) != Ok(due) {
            found.push(format!("{} has {there} rows, {due} are due", table.name()));
        }
    }
    Ok(found)
}

fn compare(store: &str, table: Table, due: &Rows, there: &Rows, found: &mut Vec<String>) {
    let name = table.name();
    for (key, row) in due {
        match there.get(key) {
            None => found.push(format!("{store} {name} {key} is missing: {row:?}")),
            Some(other) if other != row => {
                found.push(format!("{store} {name} {key} is {other:?}, due is {row:?}"));
            }
            Some(_) => {}
        }
    }
    for (key, row) in there.iter().filter(|(key, _)| !due.contains_key(*key)) {
        found.push(format!("{store} {name} {key} is too much: {row:?}"));
    }
}

/// The first few of many.
pub(crate) fn some(differences: &[String]) -> String {
    let named = differences.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    format!("{} differences: {named}", differences.len())
}

/// The stores' databases hold what their books say: the capture has not touched the application's rows.
///
/// # Errors
/// They do not, or cannot be read.
pub(crate) fn check_stores(world: &World, books: &BTreeMap<String, Ledger>) -> Result<()> {
    for (store, book) in books {
        let database = open_to_read(&world.store_path(store))?;
        let mut found = Vec::new();
        for table in Table::ALL {
            let rows = rows_of(&database, table, None)?;
            compare(store, table, book.rows(table), &rows, &mut found);
        }
        if !found.is_empty() {
            bail!("the store's own rows differ from what it committed: {}", some(&found));
        }
    }
    Ok(())
}

/// What the stores' databases hold: the books of a world that was copied.
///
/// # Errors
/// A database cannot be read.
pub(crate) fn books_of(world: &World) -> Result<BTreeMap<String, Ledger>> {
    let mut books = BTreeMap::new();
    for store in STORES {
        let database = open_to_read(&world.store_path(store))?;
        let mut book = Ledger::default();
        for table in Table::ALL {
            book.set(table, rows_of(&database, table, None)?);
        }
        books.insert(store.to_string(), book);
    }
    Ok(books)
}

/// The newest booking of each store that is visible in both halves, and that no transaction is there by half.
///
/// # Errors
/// One is; or the centre cannot be read.
pub(crate) fn whole_bookings(centre: &Connection) -> Result<BTreeMap<String, i64>> {
    let mut statement = centre.prepare_cached(
        "SELECT store,
                (SELECT booked FROM debit WHERE store = s.store AND id = 0),
                (SELECT booked FROM credit WHERE store = s.store AND id = 0),
                (SELECT sum(amount) FROM debit WHERE store = s.store),
                (SELECT sum(amount) FROM credit WHERE store = s.store),
                (SELECT count(*) FROM debit WHERE store = s.store),
                (SELECT count(*) FROM credit WHERE store = s.store)
         FROM (SELECT store FROM debit UNION SELECT store FROM credit) s",
    )?;
    let mut rows = statement.query([])?;
    let mut newest = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let store: String = row.get(0)?;
        let number = |i: usize| row.get::<_, Option<i64>>(i).map(|n| n.unwrap_or(i64::MIN));
        let (debit, credit) = (number(1)?, number(2)?);
        let (minus, plus) = (number(3)?, number(4)?);
        let (debits, credits) = (number(5)?, number(6)?);
        if debit != credit || debits != credits || minus.checked_add(plus) != Some(0) {
            bail!(
                "half of a transaction of {store} is visible: debit {debits} rows, newest {debit}, sum {minus}; \
                 credit {credits} rows, newest {credit}, sum {plus}"
            );
        }
        newest.insert(store, debit);
    }
    Ok(newest)
}

/// The version of each day's sales that is published, and that each is there as a whole.
///
/// # Errors
/// Two versions are mixed, or rows of one are missing; or the centre cannot be read.
pub(crate) fn whole_sales(centre: &Connection) -> Result<BTreeMap<String, (i64, i64)>> {
    if !has_table(centre, "sales")? {
        return Ok(BTreeMap::new());
    }
    let mut statement = centre.prepare_cached(
        "SELECT day, min(version), max(version), min(\"of\"), max(\"of\"), count(*),
                sum(units <> version * CAST(substr(sku, 5) AS INTEGER))
         FROM sales GROUP BY day",
    )?;
    let mut rows = statement.query([])?;
    let mut days = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let day: String = row.get(0)?;
        let number = |i: usize| row.get::<_, i64>(i);
        let (least, most, of) = (number(1)?, number(2)?, number(3)?);
        let (count, wrong) = (number(5)?, number(6)?);
        if least != most || of != number(4)? || count != of || wrong != 0 {
            bail!(
                "sales of {day} are not one run: versions {least} to {most}, {count} rows of {of}, {wrong} wrong"
            );
        }
        days.insert(day, (most, count));
    }
    Ok(days)
}

/// Every change that the engine counted has one fate, in the centre's own book.
///
/// # Errors
/// One has none, or several; or a row was repaired, parked or stale: nothing here gives a reason for that. What is
/// filtered belongs to the other flow of the same stores.
pub(crate) fn conserved(centre: &Connection) -> Result<u64> {
    let sql = "SELECT coalesce(sum(read), 0),
                      coalesce(sum(applied + superseded + filtered + deduplicated + stale + parked), 0),
                      coalesce(sum(stale + parked), 0), coalesce(sum(repaired), 0)
               FROM _seamount_progress";
    let (read, fates, odd, repaired): (i64, i64, i64, i64) = centre
        .query_row(sql, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
        .context("the centre's book of progress")?;
    if read != fates || odd != 0 || repaired != 0 {
        bail!(
            "{read} changes read, {fates} with a fate, {odd} stale or parked, {repaired} repaired"
        );
    }
    Ok(read.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn centre() -> Connection {
        let centre = Connection::open_in_memory().unwrap();
        centre
            .execute_batch(
                "CREATE TABLE debit (store, id, amount, booked, PRIMARY KEY (store, id));
                 CREATE TABLE credit (store, id, amount, booked, PRIMARY KEY (store, id));
                 CREATE TABLE stock (store, sku, qty, note, price, PRIMARY KEY (store, sku));
                 CREATE TABLE sales (day, sku, units, version, \"of\");
                 INSERT INTO debit VALUES ('paris', 0, 0, 5), ('paris', 5, -9, 5);
                 INSERT INTO credit VALUES ('paris', 0, 0, 5), ('paris', 5, 9, 5);
                 INSERT INTO sales VALUES ('d', 'sku-0000', 0, 2, 2), ('d', 'sku-0001', 2, 2, 2)",
            )
            .unwrap();
        centre
    }

    #[test]
    fn half_of_a_transaction_is_seen() {
        assert_eq!(whole_bookings(&centre()).unwrap()["paris"], 5);
        for damage in [
            "DELETE FROM credit WHERE id = 5",
            "UPDATE credit SET booked = 6 WHERE id = 0",
            "UPDATE debit SET amount = -8 WHERE id = 5",
            "INSERT INTO debit VALUES ('oslo', 0, 0, 1)",
            "DELETE FROM debit",
        ] {
            let centre = centre();
            centre.execute_batch(damage).unwrap();
            assert!(whole_bookings(&centre).is_err(), "{damage}");
        }
    }

    #[test]
    fn a_mix_of_two_runs_is_seen() {
        assert_eq!(whole_sales(&centre()).unwrap()["d"], (2, 2));
        for damage in [
            "DELETE FROM sales WHERE sku = 'sku-0001'",
            "UPDATE sales SET version = 1 WHERE sku = 'sku-0000'",
            "UPDATE sales SET units = 7 WHERE sku = 'sku-0001'",
            "INSERT INTO sales VALUES ('d', 'sku-0002', 4, 2, 2)",
        ] {
            let centre = centre();
            centre.execute_batch(damage).unwrap();
            assert!(whole_sales(&centre).is_err(), "{damage}");
        }
    }

    #[test]
    fn each_kind_of_wrong_row_is_named() {
        for (damage, says) in [
            ("", ""),
            ("DELETE FROM debit WHERE id = 5", "is missing"),
            ("UPDATE debit SET amount = '-9' WHERE id = 5", "due is"),
            ("INSERT INTO stock VALUES ('paris', 'x', 1, NULL, 0.5)", "is too much"),
            ("INSERT INTO stock VALUES ('mars', 'x', 1, NULL, 0.5)", "1 rows, 0 are due"),
            ("DROP TABLE stock", "is not there"),
        ] {
            let centre = centre();
            let mut book = Ledger::default();
            for table in Table::ALL {
                book.set(table, rows_of(&centre, table, Some("paris")).unwrap());
            }
            let books = BTreeMap::from([("paris".to_string(), book)]);
            centre.execute_batch(damage).unwrap();
            let said = differences(&centre, &books).unwrap().join("\n");
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{damage}: {said}");
        }
    }
}
