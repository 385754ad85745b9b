//! The applications at the sites: each writes the sales of its country, one transaction a day. They know nothing of
//! Seamount.

use crate::countries;
use crate::data::Day;
use crate::project::{Project, open};
use crate::sale::{Sale, read_day};
use anyhow::{Context, Result, anyhow};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

const INSERT: &str = "INSERT INTO sale(day, line, invoice, stock_code, description, quantity, \
     invoiced_at, unit_price, customer, country) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Puts a sale into a table.
///
/// # Errors
/// SQLite says no.
pub(crate) fn insert(database: &Connection, sale: &Sale) -> Result<()> {
    let mut statement = database.prepare_cached(INSERT)?;
    statement.execute(params![
        sale.key.day,
        sale.key.line,
        sale.invoice,
        sale.stock_code,
        sale.description,
        sale.quantity,
        sale.invoiced_at,
        // Digits; the column's affinity makes a number of them.
        sale.unit_price.to_string(),
        sale.customer,
        sale.key.country,
    ])?;
    Ok(())
}

/// What the shops have done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) transactions: u64,
}

/// Shops at work, on a thread of their own: each day they are handed is written at once.
pub(crate) struct Shops {
    days: Sender<Day>,
    thread: JoinHandle<Result<Written>>,
    rows: Arc<AtomicU64>,
}

impl Shops {
    /// Opens the shops.
    ///
    /// # Errors
    /// A database cannot be opened.
    pub(crate) fn open(project: &Project) -> Result<Shops> {
        let countries = countries::all()?;
        let files: Vec<(String, PathBuf)> =
            countries.into_iter().map(|c| (c.name, project.site(&c.file))).collect();
        let rows = Arc::new(AtomicU64::new(0));
        let (days, handed) = channel::<Day>();
        let written = rows.clone();
        let thread = std::thread::spawn(move || {
            let mut shops = BTreeMap::new();
            for (name, path) in files {
                shops.insert(name, open(&path)?);
            }
            let mut all = Written::default();
            for day in handed {
                write_day(&mut shops, &day, &mut all)?;
                written.store(all.rows, Ordering::Relaxed);
            }
            Ok(all)
        });
        Ok(Shops { days, thread, rows })
    }

    /// Hands over a day.
    ///
    /// # Errors
    /// The shops have failed; `close` says how.
    pub(crate) fn hand(&self, day: &Day) -> Result<()> {
        self.days.send(day.clone()).map_err(|_| anyhow!("the shops have stopped"))
    }

    /// Rows written so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Whether all that was handed over is written, or the shops have failed.
    pub(crate) fn done(&self) -> bool {
        self.thread.is_finished()
    }

    /// No more days: returns a handle that waits for the end.
    pub(crate) fn close(self) -> ClosedShops {
        ClosedShops { thread: self.thread }
    }
}

/// Shops that get no more days.
pub(crate) struct ClosedShops {
    thread: JoinHandle<Result<Written>>,
}

impl ClosedShops {
    /// Whether everything is written.
    pub(crate) fn done(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// Something could not be written.
    pub(crate) fn wait(self) -> Result<Written> {
        self.thread.join().map_err(|_| anyhow!("the shops panicked"))?
    }
}

/// Writes one day: a transaction at each site that sold something.
fn write_day(shops: &mut BTreeMap<String, Connection>, day: &Day, all: &mut Written) -> Result<()> {
    let mut by_country: BTreeMap<String, Vec<Sale>> = BTreeMap::new();
    for sale in read_day(&day.path, &day.name)? {
        by_country.entry(sale.key.country.clone()).or_default().push(sale);
    }
    for (country, sales) in by_country {
        let shop = shops.get_mut(&country);
        let shop = shop.with_context(|| format!("countries.csv has no {country}"))?;
        let transaction = shop.transaction()?;
        for sale in &sales {
            insert(&transaction, sale)?;
        }
        transaction.commit().with_context(|| format!("{country}, {}", day.name))?;
        all.rows += sales.len() as u64;
        all.transactions += 1;
    }
    Ok(())
}
