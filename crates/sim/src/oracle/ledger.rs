//! Books of one site: every state that its tables went through, at the source's own numbers.
//!
//! Plain values; no code of the engine. Invariant: a state is kept for every transaction, so that a target can be
//! compared at any progress.

use std::collections::BTreeMap;
use std::sync::Arc;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number that cancels out over the two tables.
    pub value: i64,
    /// Words; those that begin with `bad` are refused by the target.
    pub note: Option<String>,
    /// A column that comes later.
    pub extra: Option<i64>,
}

/// Rows of one table by key.
pub type Rows = BTreeMap<i64, Row>;

/// Tables of one site.
pub type Books = BTreeMap<&'static str, Arc<Rows>>;

/// The history of one site.
#[derive(Clone, Debug, Default)]
pub struct SiteLedger {
    /// The tables as they are now.
    pub now: Books,
    /// The tables behind each number, oldest first; of one number the last counts.
    history: Vec<(u64, Books)>,
    /// States of a history that the site was set back from.
    abandoned: Vec<(u64, Books)>,
}

impl SiteLedger {
    /// A table as it is now.
    pub fn rows(&self, table: &str) -> &Rows {
        &self.now[table]
    }

    /// The tables were changed by a transaction that ends at this number.
    pub fn commit(&mut self, number: u64, books: Books) {
        self.now = books.clone();
        self.history.push((number, books));
    }

    /// The tables behind a number; `None` when no transaction ends there.
    pub fn at(&self, number: u64) -> Option<&Books> {
        let found = self.history.iter().rev().find(|(end, _)| *end == number);
        found.map(|(_, books)| books)
    }

    /// Every state of one row behind the numbers `from..=upto`, oldest first; `None` stands for no row.
    pub fn states(&self, table: &str, key: i64, from: u64, upto: u64) -> Vec<Option<Row>> {
        let inside = self.history.iter().filter(|(end, _)| *end >= from && *end <= upto);
        // A row that waits since before the site was set back stands as it did in that other history.
        let all = inside.chain(&self.abandoned);
        all.map(|(_, books)| books[table].get(&key).cloned()).collect()
    }

    /// The site is set back to how it was behind a number.
    pub fn set_back(&mut self, length: usize) {
        self.abandoned.extend(self.history.split_off(length));
        self.now = self.history.last().map(|(_, books)| books.clone()).expect("a site begins");
    }

    /// The states from the one that stood when there were `length` of them.
    pub fn since(&self, length: usize) -> impl Iterator<Item = &Books> {
        self.history.iter().skip(length.saturating_sub(1)).map(|(_, books)| books)
    }

    /// What there is to move at most: changes of the site's histories, and its rows, which a snapshot reads again.
    pub fn work(&self) -> u64 {
        let changes = |history: &[(u64, Books)]| history.iter().map(|(end, _)| *end).max();
        let rows: usize = self.now.values().map(|rows| rows.len()).sum();
        let all = changes(&self.history).unwrap_or(0) + changes(&self.abandoned).unwrap_or(0);
        all + rows as u64
    }

    /// Transactions so far.
    pub fn length(&self) -> usize {
        self.history.len()
    }
}
