//! Who works at the sources: transactions over two tables whose sums cancel out, written into the books as well.
//!
//! Not the oracle: it only tells it what was committed.

use crate::oracle::{Books, Oracle, Row, Rows};
use crate::random::Random;
use crate::world::plan::{Feature, Plan};
use change::{Column, ColumnType, Key, Value};
use connect::Readable;
use connect::memory::{Edit, MemorySource, OldImages, sample::shape};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The tables of every site.
pub const TABLES: [&str; 2] = ["account", "mirror"];

/// Keys that business is done with.
const KEYS: u64 = 12;

/// The people at the sources.
pub struct Business {
    /// The sources.
    pub sources: BTreeMap<String, MemorySource>,
    plan: Plan,
    random: Random,
    notes: u64,
    wide: BTreeSet<String>,
    /// Rows are refused no more: nobody writes bad ones.
    pub well_behaved: bool,
}

/// One transaction as it is put together.
struct Transaction {
    books: Books,
    edits: Vec<Edit>,
    wide: bool,
}

impl Transaction {
    fn cells(&self, table: &str, key: i64, row: &Row) -> Vec<Value> {
        let note = row.note.clone().map_or(Value::Null, Value::Text);
        let mut cells = vec![Value::Int(key), Value::Int(row.value), note];
        if self.wide && table == "account" {
            cells.push(row.extra.map_or(Value::Null, Value::Int));
        }
        cells
    }

    fn rows(&mut self, table: &'static str) -> &mut Rows {
        Arc::make_mut(self.books.entry(table).or_default())
    }

    fn put(&mut self, table: &'static str, key: i64, row: Row) {
        let cells = self.cells(table, key, &row);
        let before = self.rows(table).insert(key, row);
        self.edits.push(match before {
            Some(_) => Edit::update(table, [Value::Int(key)], cells),
            None => Edit::insert(table, cells),
        });
    }

    fn remove(&mut self, table: &'static str, key: i64) {
        if self.rows(table).remove(&key).is_some() {
            self.edits.push(Edit::Delete { table: table.into(), key: Key(vec![Value::Int(key)]) });
        }
    }

    fn rename(&mut self, table: &'static str, from: i64, to: i64) {
        let Some(row) = self.rows(table).remove(&from) else { return };
        let cells = self.cells(table, to, &row);
        self.edits.push(Edit::update(table, [Value::Int(from)], cells));
        self.rows(table).insert(to, row);
    }

    fn empty(&mut self, table: &'static str) {
        self.rows(table).clear();
        self.edits.push(Edit::truncate(table));
    }
}

/// What a source that sends only keys of old rows sends of new ones: all cells, or, in every other world, those that
/// changed. Not where a row may get another key or be taken away by a foreign hand: what lacks cells waits then until
/// all is read again.
fn old_images(plan: &Plan) -> OldImages {
    let found = !plan.has(Feature::KeyChanges) && !plan.has(Feature::Tamper);
    match plan.seed % 2 == 1 && found {
        true => OldImages::KeysAndChanged,
        false => OldImages::Keys,
    }
}

impl Business {
    /// Opens the sites, with a few rows in each table.
    pub fn open(plan: &Plan, random: Random, oracle: &mut Oracle) -> Business {
        let columns =
            [("id", ColumnType::Int64), ("value", ColumnType::Int64), ("note", ColumnType::Text)];
        let mut sources = BTreeMap::new();
        for site in &plan.sites {
            let source = MemorySource::new(site.clone());
            for table in TABLES {
                source.define(table, &shape(&columns, &["id"]));
            }
            if plan.has(Feature::KeyImages) {
                source.send_old_images(old_images(plan));
                oracle.sends_parts = old_images(plan) == OldImages::KeysAndChanged;
            }
            sources.insert(site.clone(), source);
        }
        let mut business = Business {
            sources,
            plan: plan.clone(),
            random,
            notes: 0,
            wide: BTreeSet::new(),
            well_behaved: false,
        };
        for site in plan.sites.clone() {
            let books = TABLES.iter().map(|table| (*table, Arc::default())).collect();
            oracle.sites.entry(site.clone()).or_default().commit(0, books);
            let mut first = business.begin(&site, oracle);
            for key in 0..3 + business.random.below(6) as i64 {
                business.open_account(&mut first, key, 100);
            }
            business.commit(&site, &first, oracle);
        }
        business
    }

    fn begin(&self, site: &str, oracle: &Oracle) -> Transaction {
        Transaction {
            books: oracle.sites[site].now.clone(),
            edits: Vec::new(),
            wide: self.wide.contains(site),
        }
    }

    fn commit(&self, site: &str, transaction: &Transaction, oracle: &mut Oracle) {
        let source = &self.sources[site];
        source.commit(&transaction.edits).expect("business keeps the rules of its tables");
        let number = number_of(source);
        let ledger = oracle.sites.get_mut(site).expect("every site has books");
        ledger.commit(number, transaction.books.clone());
    }

    fn note(&mut self) -> Option<String> {
        self.notes += 1;
        let bad = self.plan.has(Feature::Parking) && !self.well_behaved && self.random.once_in(9);
        match self.random.below(8) {
            _ if bad => Some(format!("bad {}", self.notes)),
            0 => None,
            _ => Some(format!("note {}", self.notes)),
        }
    }

    fn open_account(&mut self, transaction: &mut Transaction, key: i64, value: i64) {
        for (table, sign) in [("account", 1), ("mirror", -1)] {
            let note = self.note();
            let extra = (transaction.wide && table == "account").then_some(key * 7);
            transaction.put(table, key, Row { value: value * sign, note, extra });
        }
    }

    /// Commits one transaction somewhere; says what it was.
    pub fn transact(&mut self, oracle: &mut Oracle) -> String {
        let site = self.random.pick(&self.plan.sites.clone()).clone();
        let mut transaction = self.begin(&site, oracle);
        let key = self.random.below(KEYS) as i64;
        let other = self.random.below(KEYS) as i64;
        let there = |key: &i64| transaction.books["account"].contains_key(key);
        let (has_key, has_other) = (there(&key), there(&other));
        let kind = self.random.below(20);
        let what = match kind {
            0..=6 if has_key && has_other && key != other => {
                self.transfer(&mut transaction, key, other);
                "transfer"
            }
            7..=8 if has_key => {
                self.remark(&mut transaction, key);
                "remark"
            }
            9..=10 if self.plan.has(Feature::Deletes) && has_key => {
                TABLES.iter().for_each(|table| transaction.remove(table, key));
                "close"
            }
            11..=12 if self.plan.has(Feature::KeyChanges) && has_key && !has_other => {
                TABLES.iter().for_each(|table| transaction.rename(table, key, other));
                "rename"
            }
            13 if self.plan.has(Feature::Truncates) && self.random.once_in(3) => {
                TABLES.iter().for_each(|table| transaction.empty(table));
                "truncate"
            }
            14 if self.plan.has(Feature::Huge) => {
                for key in 0..KEYS as i64 + 8 {
                    self.open_account(&mut transaction, key, key);
                }
                "huge"
            }
            _ if has_key => {
                self.remark(&mut transaction, key);
                "remark"
            }
            _ => {
                self.open_account(&mut transaction, key, 10 + key);
                "open"
            }
        };
        self.commit(&site, &transaction, oracle);
        format!("{site} commits {what} of {key} and {other}")
    }

    /// Values move between two accounts; the tables are written in turn.
    fn transfer(&mut self, transaction: &mut Transaction, from: i64, to: i64) {
        let amount = 1 + self.random.below(9) as i64;
        for (key, by) in [(from, -amount), (to, amount)] {
            for (table, sign) in [("account", 1), ("mirror", -1)] {
                let mut row = transaction.books[table][&key].clone();
                row.value += by * sign;
                transaction.put(table, key, row);
            }
        }
    }

    /// Words change in one table alone.
    fn remark(&mut self, transaction: &mut Transaction, key: i64) {
        let mut row = transaction.books["account"][&key].clone();
        row.note = self.note();
        transaction.put("account", key, row);
    }

    /// A row in each table of every site that had none, so that a proof compares something.
    pub fn fill(&mut self, oracle: &mut Oracle) {
        for site in self.plan.sites.clone() {
            let mut transaction = self.begin(&site, oracle);
            let key = self.random.below(KEYS) as i64;
            self.open_account(&mut transaction, key, 50);
            self.commit(&site, &transaction, oracle);
        }
    }

    /// A column comes at a site.
    pub fn widen(&mut self, site: &str) {
        if self.wide.insert(site.to_string()) {
            let column = Column::new("extra", ColumnType::Int64, true);
            self.sources[site].add_column("account", column).expect("the column is new");
        }
    }

    /// Whether a site has got its column.
    pub fn is_wide(&self, site: &str) -> bool {
        self.wide.contains(site)
    }

    /// A site is as wide as its backup was.
    pub fn set_wide(&mut self, site: &str, wide: bool) {
        if wide {
            self.wide.insert(site.to_string());
        } else {
            self.wide.remove(site);
        }
    }
}

/// The source's number of now.
pub fn number_of(source: &MemorySource) -> u64 {
    let cut = source.clone().cut().expect("a source in memory is there");
    cut.closing().map_or(0, |closing| closing.sequence)
}
