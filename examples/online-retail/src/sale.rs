//! One row of a day's file. Its key is made of what is sure: country, day, and its place in the file, for the data has
//! no natural key and repeats rows.

use crate::money::Money;
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::Path;

/// The header of every file.
pub(crate) const HEADER: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) country: String,
    pub(crate) day: String,
    /// The row's number in the day's file, from 1.
    pub(crate) line: i64,
}

/// A row, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) key: Key,
    pub(crate) invoice: String,
    pub(crate) stock_code: String,
    pub(crate) description: Option<String>,
    pub(crate) quantity: i64,
    pub(crate) invoiced_at: String,
    pub(crate) unit_price: Money,
    pub(crate) customer: Option<String>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.country, self.day, self.line)
    }
}

impl Sale {
    /// What it brought in.
    pub(crate) fn revenue(&self) -> Money {
        self.unit_price.times(self.quantity)
    }
}

/// Reads a day's file.
///
/// # Errors
/// It cannot be read, or a row of it is not of the shape of the data.
pub(crate) fn read_day(path: &Path, day: &str) -> Result<Vec<Sale>> {
    let named = || path.display().to_string();
    let mut reader = csv::Reader::from_path(path).with_context(named)?;
    let header = reader.headers().with_context(named)?;
    if header.iter().ne(HEADER) {
        bail!("{}: the header is not {}", named(), HEADER.join(","));
    }
    let mut sales = Vec::new();
    for (place, record) in reader.records().enumerate() {
        let record = record.with_context(named)?;
        let line = i64::try_from(place + 1).context("the file is too long")?;
        let sale = read_row(&record, day, line);
        sales.push(sale.with_context(|| format!("{} row {line}", named()))?);
    }
    Ok(sales)
}

/// Reads one row.
fn read_row(record: &csv::StringRecord, day: &str, line: i64) -> Result<Sale> {
    let cell = |place: usize| record.get(place).context("a cell is missing");
    let text = |place: usize| cell(place).map(String::from);
    let optional = |place: usize| cell(place).map(|c| (!c.is_empty()).then(|| c.to_string()));
    let invoiced_at = text(4)?;
    if !invoiced_at.starts_with(day) {
        bail!("invoiced on another day than {day}");
    }
    Ok(Sale {
        key: Key { country: text(7)?, day: day.to_string(), line },
        invoice: text(0)?,
        stock_code: text(1)?,
        description: optional(2)?,
        quantity: cell(3)?.parse().context("the quantity is no whole number")?,
        invoiced_at,
        unit_price: Money::parse(cell(5)?)?,
        customer: optional(6)?,
    })
}
