//! What must be in a table of sales, row by row, from the day files alone. Shares nothing with the engine: another
//! reader of the files, another reader of the database, sums in whole ten-thousandths.

use crate::data::Day;
use crate::money::Money;
use crate::sale::{Key, Sale, read_day};
use anyhow::{Context, Result, bail};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// Rows named in a complaint.
const NAMED: usize = 5;

/// What one country sold on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) rows: i64,
    pub(crate) units: i64,
    pub(crate) revenue: Money,
}

/// Totals by country and day.
pub(crate) type Totals = BTreeMap<(String, String), Total>;

/// A table that was found to be right.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    pub(crate) rows: u64,
    pub(crate) totals: Totals,
}

impl Right {
    /// All money.
    pub(crate) fn revenue(&self) -> Money {
        self.totals.values().map(|total| total.revenue).sum()
    }
}

/// Compares every row of `sale` with the files.
///
/// # Errors
/// A row is missing, different or too many; the first of them are named.
pub(crate) fn check_sales(database: &Connection, days: &[Day]) -> Result<Right> {
    let mut wrong: Vec<String> = Vec::new();
    let mut right = Right { rows: 0, totals: Totals::new() };
    for day in days {
        let mut expected: BTreeMap<String, Vec<Sale>> = BTreeMap::new();
        for sale in read_day(&day.path, &day.name)? {
            expected.entry(sale.key.country.clone()).or_default().push(sale);
        }
        for (country, sales) in expected {
            right.rows += sales.len() as u64;
            let found = sales_of(database, &country, &day.name)?;
            compare(&sales, &found, &mut wrong);
            right.totals.insert((country, day.name.clone()), total(&found));
        }
    }
    let there: i64 = database.query_row("SELECT count(*) FROM sale", [], |row| row.get(0))?;
    if u64::try_from(there) != Ok(right.rows) {
        wrong.push(format!("{there} rows are there, {} should be", right.rows));
    }
    if wrong.is_empty() {
        return Ok(right);
    }
    let named = wrong.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    bail!("{} differences: {named}", wrong.len())
}

/// Both are in the order of their lines.
fn compare(expected: &[Sale], found: &[Sale], wrong: &mut Vec<String>) {
    let by_line = |sales: &[Sale]| -> BTreeMap<i64, Sale> {
        sales.iter().map(|sale| (sale.key.line, sale.clone())).collect()
    };
    if expected == found {
        return;
    }
    let (mut left, found_by_line) = (by_line(expected), by_line(found));
    if found_by_line.len() != found.len() {
        wrong.push(format!("{} is there more than once", found[0].key));
    }
    for (line, sale) in found_by_line {
        match left.remove(&line) {
            Some(expected) if expected == sale => {}
            Some(_) => wrong.push(format!("{} is different", sale.key)),
            None => wrong.push(format!("{} is too much", sale.key)),
        }
    }
    wrong.extend(left.values().map(|sale| format!("{} is missing", sale.key)));
}

fn total(sales: &[Sale]) -> Total {
    Total {
        rows: i64::try_from(sales.len()).expect("a day fits in memory"),
        units: sales.iter().map(|sale| sale.quantity).sum(),
        revenue: sales.iter().map(Sale::revenue).sum(),
    }
}

/// The rows of a country and day, by line.
pub(crate) fn sales_of(database: &Connection, country: &str, day: &str) -> Result<Vec<Sale>> {
    let mut statement = database.prepare_cached(
        "SELECT country, day, line, invoice, stock_code, description, quantity, invoiced_at, unit_price, customer
         FROM sale WHERE country = ?1 AND day = ?2 ORDER BY line",
    )?;
    let mut rows = statement.query(params![country, day])?;
    let mut sales = Vec::new();
    while let Some(row) = rows.next()? {
        sales.push(sale(row)?);
    }
    Ok(sales)
}

fn sale(row: &Row<'_>) -> Result<Sale> {
    Ok(Sale {
        key: Key { country: row.get(0)?, day: row.get(1)?, line: row.get(2)? },
        invoice: row.get(3)?,
        stock_code: row.get(4)?,
        description: row.get(5)?,
        quantity: row.get(6)?,
        invoiced_at: row.get(7)?,
        unit_price: money(row.get_ref(8)?)?,
        customer: row.get(9)?,
    })
}

/// An amount, however SQLite stores it.
fn money(cell: ValueRef<'_>) -> Result<Money> {
    match cell {
        ValueRef::Integer(number) => Ok(Money::whole(number)),
        ValueRef::Real(real) => Money::of_real(real),
        ValueRef::Text(text) => Money::parse(std::str::from_utf8(text).context("an amount")?),
        ValueRef::Null | ValueRef::Blob(_) => bail!("there is no amount"),
    }
}

/// The totals of the files.
///
/// # Errors
/// A file does not read.
pub(crate) fn expected_totals(days: &[Day]) -> Result<Totals> {
    let mut totals = Totals::new();
    for day in days {
        for sale in read_day(&day.path, &day.name)? {
            let total = totals.entry((sale.key.country.clone(), sale.key.day.clone())).or_default();
            total.rows += 1;
            total.units += sale.quantity;
            total.revenue += sale.revenue();
        }
    }
    Ok(totals)
}

/// The totals that the batch has published; none where its table is not there yet.
///
/// # Errors
/// The table cannot be read, or holds one country and day twice.
pub(crate) fn published_totals(database: &Connection) -> Result<Totals> {
    let mut totals = Totals::new();
    let there: i64 = database.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sales_by_country_day'",
        [],
        |row| row.get(0),
    )?;
    if there == 0 {
        return Ok(totals);
    }
    let mut statement = database
        .prepare("SELECT country, day, \"rows\", units, revenue FROM sales_by_country_day")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let revenue = money(row.get_ref(4)?)?;
        let total = Total { rows: row.get(2)?, units: row.get(3)?, revenue };
        let key: (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(_twice) = totals.insert(key.clone(), total) {
            bail!("{} {} is there twice", key.0, key.1);
        }
    }
    Ok(totals)
}

/// Compares totals.
///
/// # Errors
/// They differ; the first differences are named.
pub(crate) fn check_totals(expected: &Totals, found: &Totals) -> Result<()> {
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differ: Vec<String> = keys
        .into_iter()
        .filter(|key| expected.get(*key) != found.get(*key))
        .map(|(country, day)| format!("{country} on {day}"))
        .collect();
    if differ.is_empty() {
        return Ok(());
    }
    let named = differ.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    bail!("{} totals differ: {named}", differ.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;
    use crate::options;
    use crate::project::create_sales;
    use crate::shops::insert;
    use std::path::Path;
    use tempfile::TempDir;

    /// A table that holds two days of generated sales as it should.
    fn right() -> (TempDir, Connection, Vec<Day>) {
        let text = "run --seamount none --days 2 --rows-per-day 120";
        let options =
            options::read(&text.split(' ').map(String::from).collect::<Vec<_>>()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let days = generate::days(&options, folder.path()).unwrap();
        let database = create_sales(Path::new(":memory:"), "country, day, line").unwrap();
        for day in &days {
            for sale in read_day(&day.path, &day.name).unwrap() {
                insert(&database, &sale).unwrap();
            }
        }
        (folder, database, days)
    }

    #[test]
    fn a_right_table_is_right_to_the_cent() {
        let (_folder, database, days) = right();
        let found = check_sales(&database, &days).unwrap();
        assert!(found.rows > 100);
        check_totals(&expected_totals(&days).unwrap(), &found.totals).unwrap();
    }

    #[test]
    fn every_kind_of_wrong_row_is_noticed() {
        let one = "rowid = (SELECT min(rowid) FROM sale)";
        for (damage, says) in [
            (format!("UPDATE sale SET quantity = quantity + 1 WHERE {one}"), "is different"),
            (format!("UPDATE sale SET description = 'x' WHERE {one}"), "is different"),
            (
                format!("UPDATE sale SET unit_price = unit_price + 0.0001 WHERE {one}"),
                "is different",
            ),
            (format!("UPDATE sale SET customer = '' WHERE {one}"), "is different"),
            (format!("DELETE FROM sale WHERE {one}"), "is missing"),
            (format!("UPDATE sale SET line = 999999 WHERE {one}"), "is too much"),
            (format!("UPDATE sale SET country = 'Atlantis' WHERE {one}"), "is missing"),
            (
                format!(
                    "INSERT INTO sale(day, line, country) SELECT '1999-01-01', 1, country FROM sale WHERE {one}"
                ),
                "rows are there",
            ),
        ] {
            let (_folder, database, days) = right();
            assert_eq!(database.execute(&damage, []).unwrap(), 1, "{damage}");
            let said = check_sales(&database, &days).unwrap_err().to_string();
            assert!(said.contains(says), "{damage}: {said}");
        }
    }

    #[test]
    fn totals_are_compared_in_both_directions() {
        let (_folder, _database, days) = right();
        let expected = expected_totals(&days).unwrap();
        let key = expected.keys().next().unwrap().clone();
        let mut less = expected.clone();
        less.remove(&key);
        assert!(check_totals(&expected, &less).is_err());
        assert!(check_totals(&less, &expected).is_err());
        let mut other = expected.clone();
        other.get_mut(&key).unwrap().revenue += Money::parse("0.0001").unwrap();
        assert!(check_totals(&expected, &other).unwrap_err().to_string().contains(&key.0));
    }
}
