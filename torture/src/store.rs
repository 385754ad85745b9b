//! The application of one store: commits transactions over several tables, and keeps the book of those whose commit
//! was answered.

use crate::ledger::{Change, Ledger, Table, halves, text};
use crate::random::Random;
use anyhow::{Context, Result};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

/// The row of each half that carries the number of the newest booking.
const HEAD: &str = "0";

/// Bookings that a store keeps; older ones are cancelled.
const KEPT: usize = 250;

/// A store.
pub(crate) struct Store {
    pub(crate) name: String,
    database: Connection,
    /// What was committed here.
    pub(crate) ledger: Ledger,
    random: Random,
    number: i64,
}

impl Store {
    /// Opens a store's database, with what it holds as the beginning of the book.
    ///
    /// # Errors
    /// The database does not open or read.
    pub(crate) fn open(name: &str, path: &Path, seed: u64) -> Result<Store> {
        let database = crate::world::open(path)?;
        // The store's own commits are durable: what it was told is committed must survive a power cut.
        database.pragma_update(None, "synchronous", "FULL").context("a store's setting")?;
        let mut ledger = Ledger::default();
        for table in Table::ALL {
            ledger.set(table, crate::oracle::rows_of(&database, table, None)?);
        }
        let head = ledger.rows(Table::Debit).get(HEAD).context("a store without a head")?;
        let number = head[1].parse().context("the head's number")?;
        let random = Random::part(seed, name);
        Ok(Store { name: name.to_string(), database, ledger, random, number })
    }

    /// Makes one transaction. One in twenty is rolled back, and must leave no trace anywhere.
    ///
    /// # Errors
    /// The database does not take it.
    pub(crate) fn trade(&mut self) -> Result<()> {
        let changes = self.plan();
        self.make(&changes)
    }

    /// Makes one transaction of many changes.
    ///
    /// # Errors
    /// The database does not take it.
    pub(crate) fn trade_much(&mut self, bookings: i64) -> Result<()> {
        let mut changes = Vec::new();
        for _ in 0..bookings {
            self.number += 1;
            changes.extend(self.booking());
        }
        changes.extend(self.heads());
        self.make(&changes)
    }

    fn make(&mut self, changes: &[Change]) -> Result<()> {
        let undone = self.random.percent(5);
        let mut sql = String::from("BEGIN IMMEDIATE;\n");
        for change in changes {
            sql.push_str(&change.sql(&self.name));
            sql.push_str(";\n");
        }
        sql.push_str(if undone { "ROLLBACK" } else { "COMMIT" });
        let made = self.database.execute_batch(&sql);
        if made.is_err() && !self.database.is_autocommit() {
            self.database.execute_batch("ROLLBACK").context("a store's rollback")?;
        }
        made.with_context(|| format!("store {}", self.name))?;
        if !undone {
            self.ledger.commit(changes)?;
        }
        Ok(())
    }

    /// What the next transaction does; what it books cancels out over the two halves.
    fn plan(&mut self) -> Vec<Change> {
        self.number += 1;
        let mut changes = self.booking();
        if self.ledger.rows(Table::Debit).len() > KEPT {
            changes.extend(self.cancellation());
            changes.extend(self.cancellation());
        }
        match self.random.below(10) {
            0 | 1 => changes.extend(self.correction()),
            2 => changes.extend(self.cancellation()),
            3 => changes.extend(self.renumbering()),
            4 => changes.extend(self.swap()),
            _ => {}
        }
        if self.random.percent(50) {
            changes.extend(self.delivery());
        }
        changes.extend(self.heads());
        // Both halves have the same keys: what does not fit one does not fit the other, and the sum stays zero.
        self.ledger.fitting(changes)
    }

    fn booking(&mut self) -> Vec<Change> {
        let (id, amount) = (self.number.to_string(), self.random.between(1, 900));
        let row = |amount: String| vec![amount, id.clone()];
        vec![
            Change::Insert(Table::Debit, id.clone(), row(format!("-{amount}"))),
            Change::Insert(Table::Credit, id.clone(), row(amount.to_string())),
        ]
    }

    fn heads(&self) -> Vec<Change> {
        let row = vec!["0".to_string(), self.number.to_string()];
        vec![
            Change::Update(Table::Debit, HEAD.into(), row.clone()),
            Change::Update(Table::Credit, HEAD.into(), row),
        ]
    }

    /// The key of a booking that was made before.
    fn earlier(&mut self) -> Option<String> {
        let rows = self.ledger.rows(Table::Debit);
        let keys: Vec<&String> = rows.keys().filter(|key| *key != HEAD).collect();
        if keys.is_empty() {
            return None;
        }
        Some((*self.random.pick(&keys)).clone())
    }

    fn correction(&mut self) -> Vec<Change> {
        let Some(id) = self.earlier() else { return Vec::new() };
        let amount = self.random.between(1, 900);
        let booked = self.ledger.rows(Table::Debit)[&id][1].clone();
        vec![
            Change::Update(Table::Debit, id.clone(), vec![format!("-{amount}"), booked.clone()]),
            Change::Update(Table::Credit, id, vec![amount.to_string(), booked]),
        ]
    }

    fn cancellation(&mut self) -> Vec<Change> {
        let Some(id) = self.earlier() else { return Vec::new() };
        vec![Change::Delete(Table::Debit, id.clone()), Change::Delete(Table::Credit, id)]
    }

    fn renumbering(&mut self) -> Vec<Change> {
        let Some(id) = self.earlier() else { return Vec::new() };
        let to = (1_000_000_000 + self.number).to_string();
        vec![
            Change::Move(Table::Debit, id.clone(), to.clone()),
            Change::Move(Table::Credit, id, to),
        ]
    }

    /// Two bookings change their numbers, by way of a third.
    fn swap(&mut self) -> Vec<Change> {
        let (Some(a), Some(b)) = (self.earlier(), self.earlier()) else { return Vec::new() };
        if a == b {
            return Vec::new();
        }
        let free = "-1".to_string();
        [Table::Debit, Table::Credit]
            .into_iter()
            .flat_map(|table| {
                [
                    Change::Move(table, a.clone(), free.clone()),
                    Change::Move(table, b.clone(), a.clone()),
                    Change::Move(table, free.clone(), b.clone()),
                ]
            })
            .collect()
    }

    fn delivery(&mut self) -> Vec<Change> {
        let key = text(&format!("sku-{:03}", self.random.below(120)));
        let note = match self.random.below(4) {
            0 => "NULL".to_string(),
            1 => text("it's größer, \"quoted\"; 日本"),
            _ => text(&format!("of {}", self.number)),
        };
        let price = i64::try_from(self.random.below(400)).expect("a small number");
        let row = vec![self.number.to_string(), note, halves(price)];
        let there = self.ledger.rows(Table::Stock).contains_key(&key);
        let other = text(&format!("moved-{:03}", self.random.below(60)));
        let free = !self.ledger.rows(Table::Stock).contains_key(&other);
        vec![match (self.random.below(6), there) {
            (0, true) => Change::Delete(Table::Stock, key),
            (1, true) if free => Change::Move(Table::Stock, key, other),
            (2, true) => Change::Update(Table::Stock, key, row),
            (3, _) => Change::Replace(Table::Stock, key, row),
            _ => Change::Upsert(Table::Stock, key, row),
        }]
    }
}

/// How long a store rests between two transactions: a shop, not a flood.
pub(crate) fn rest(random: &mut Random) -> Duration {
    Duration::from_micros(random.between(500, 6_000))
}
