//! A database in memory whose changes can be captured; tests commit transactions to it.
//!
//! Not persistent. Its change list holds whole transactions in commit order, until they are acknowledged.

use super::cut::MemoryCut;
use super::edit::Edit;
use super::history::{Change, Retention};
use super::order::OrderedKey;
use super::reader::MemoryReader;
use super::table::Tables;
use crate::error::{Error, Result, State};
use crate::read::{Cut, Readable};
use crate::source::{ChangeReader, Resume, Source};
use change::{Column, History, Op, SourcePosition, TableSchema, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which old images a memory source sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldImages {
    /// Whole rows.
    #[default]
    Full,
    /// The key alone, and for updates only where it changed.
    Keys,
    /// As `Keys`, and of an update only the cells that changed: the others are marked as unchanged.
    KeysAndChanged,
}

/// A database in memory. Clones are handles to the same database.
#[derive(Clone, Debug)]
pub struct MemorySource {
    pub(super) database: Arc<Mutex<Database>>,
}

#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) history: History,
    pub(super) tables: Tables,
    pub(super) captured: BTreeSet<String>,
    pub(super) retention: Retention,
    pub(super) old_images: OldImages,
    now: i64,
    capturing: bool,
}

/// A copy of everything a database held, as a backup tool would make it.
#[derive(Clone, Debug)]
pub struct Backup(Database);

impl MemorySource {
    /// An empty database whose history has this identity.
    pub fn new(identity: impl Into<String>) -> Self {
        MemorySource::of(Database {
            history: History { system: "memory".into(), identity: identity.into() },
            tables: Tables::default(),
            captured: BTreeSet::new(),
            retention: Retention::default(),
            old_images: OldImages::Full,
            now: 0,
            capturing: false,
        })
    }

    fn of(database: Database) -> Self {
        MemorySource { database: Arc::new(Mutex::new(database)) }
    }

    /// Creates a table, or gives the one of this name another shape: changes carry the new one from now on.
    pub fn define(&self, table: &str, schema: &TableSchema) {
        self.lock().tables.define(table, Arc::new(schema.clone()));
    }

    /// Adds a column, null in the rows that are there.
    ///
    /// # Errors
    /// The table is not there, or has this column.
    pub fn add_column(&self, table: &str, column: Column) -> Result<()> {
        let mut database = self.lock();
        let schema = database.tables.get(table)?.schema.clone();
        let columns = schema.columns().iter().cloned().chain([column]).collect();
        let key: Vec<&str> = schema.key_names().collect();
        let wider = TableSchema::new(columns, &key)
            .map_err(|e| Error::invalid(format!("table {table} cannot grow")).caused_by(e))?;
        database.tables.define(table, Arc::new(wider));
        Ok(())
    }

    /// Says which old images later changes have.
    pub fn send_old_images(&self, old_images: OldImages) {
        self.lock().old_images = old_images;
    }

    /// Commits a transaction, one microsecond after the last.
    ///
    /// # Errors
    /// `Refused` for a key that is there already, a key that is not there, or a null where there may be none;
    /// nothing has happened then.
    pub fn commit(&self, edits: &[Edit]) -> Result<()> {
        let now = self.lock().now + 1;
        self.commit_at(now, edits)
    }

    /// Commits a transaction at this time, microseconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// As [`MemorySource::commit`].
    pub fn commit_at(&self, now: i64, edits: &[Edit]) -> Result<()> {
        self.lock().commit(now, edits)
    }

    /// What a backup tool would copy.
    pub fn backup(&self) -> Backup {
        Backup(self.lock().clone())
    }

    /// Puts a backup in the place of everything: the database is set back, and does not know it.
    pub fn restore(&self, backup: &Backup) {
        *self.lock() = backup.0.clone();
    }

    /// A second database out of a backup, under an identity of its own.
    pub fn copy_of(backup: &Backup, identity: impl Into<String>) -> Self {
        let copy = MemorySource::of(backup.0.clone());
        copy.mint_history(identity);
        copy
    }

    /// Gives the history another identity, as a system does that notices it was restored or copied.
    pub fn mint_history(&self, identity: impl Into<String>) {
        self.lock().history.identity = identity.into();
    }

    /// Another handle, for whoever opens the site.
    pub fn open(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database {
    fn commit(&mut self, now: i64, edits: &[Edit]) -> Result<()> {
        let mut changes = Vec::new();
        for edit in edits {
            match self.carry_out(edit) {
                Ok(change) => changes.extend(change),
                Err(refused) => {
                    self.tables.roll_back(0);
                    return Err(refused);
                }
            }
        }
        self.tables.keep();
        self.now = now;
        changes.retain(|change| self.captured.contains(change.table.as_ref()));
        if !changes.is_empty() {
            self.retention.commit(now, changes);
        }
        Ok(())
    }

    fn carry_out(&mut self, edit: &Edit) -> Result<Option<Change>> {
        match edit {
            Edit::Insert { table, row } => {
                let schema = self.accept(table, row)?;
                let row = Arc::new(row.clone());
                let change = Change::new(table, &schema, Op::Insert).to(row.clone());
                if !schema.key().is_empty() {
                    self.absent(table, &change.key(&row))?;
                }
                self.tables.put(table, row)?;
                Ok(Some(change))
            }
            Edit::Update { table, key, row } => {
                let schema = self.accept(table, row)?;
                let before = self.tables.remove(table, &OrderedKey::from(key))?;
                let before = before.ok_or_else(|| missing(table))?;
                let row = Arc::new(row.clone());
                let change = Change::new(table, &schema, Op::Update).from(before).to(row.clone());
                self.absent(table, &change.key(&row))?;
                self.tables.put(table, row)?;
                Ok(Some(change))
            }
            Edit::Delete { table, key } => {
                let before = self.tables.remove(table, &OrderedKey::from(key))?;
                let before = before.ok_or_else(|| missing(table))?;
                let schema = &self.tables.get(table)?.schema;
                Ok(Some(Change::new(table, schema, Op::Delete).from(before)))
            }
            Edit::Truncate { table } => {
                let keys: Vec<_> = self.tables.get(table)?.rows.keys().cloned().collect();
                for key in keys {
                    self.tables.remove(table, &key)?;
                }
                let schema = &self.tables.get(table)?.schema;
                Ok(Some(Change::new(table, schema, Op::Truncate)))
            }
        }
    }

    /// Checks a row against its table, and gives the table's shape.
    fn accept(&self, table: &str, row: &[Value]) -> Result<Arc<TableSchema>> {
        let there = self.tables.get(table)?;
        if row.len() != there.schema.columns().len() {
            return Err(Error::invalid(format!("a row of {table} has a cell for each column")));
        }
        change::value::batch(&there.schema, &[row.to_vec()])
            .map_err(|e| super::table::wrong_type(table, &e))?;
        there.fits(table, row)?;
        Ok(there.schema.clone())
    }

    fn absent(&self, table: &str, key: &OrderedKey) -> Result<()> {
        if self.tables.get(table)?.rows.contains_key(key) {
            return Err(Error::refused(format!("table {table} has this key already")));
        }
        Ok(())
    }

    /// The time of the newest transaction.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The position of now.
    pub(super) fn position(&self) -> SourcePosition {
        self.retention.end.position()
    }

    fn start(&mut self, tables: &[String], resume: &Resume) -> Result<SourcePosition> {
        for table in tables {
            if self.tables.get(table)?.schema.key().is_empty() {
                return Err(Error::invalid(format!("table {table} has no key"))
                    .fix("give it a primary key, or leave it out"));
            }
        }
        let from = match resume {
            Resume::Fresh => self.position(),
            Resume::After { history, position } => {
                if *history != self.history {
                    return Err(Error::invalid("the source's history is another")
                        .found(format!("{}, captured was {history}", self.history))
                        .state(State::HistoryChanged));
                }
                self.retention.verify(position)?;
                position.clone()
            }
        };
        self.captured = tables.iter().cloned().collect();
        self.capturing = true;
        Ok(from)
    }
}

fn missing(table: &str) -> Error {
    Error::refused(format!("table {table} does not have this key"))
}

impl Readable for MemorySource {
    fn tables(&mut self) -> Result<Vec<String>> {
        Ok(self.lock().tables.names())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        Ok(self.lock().tables.get(table)?.schema.as_ref().clone())
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        let database = self.lock();
        Ok(Box::new(MemoryCut {
            tables: database.tables.committed(),
            closing: database.capturing.then(|| database.position()),
            progress: std::collections::BTreeMap::new(),
        }))
    }
}

impl Source for MemorySource {
    fn capture(&mut self, tables: &[String], resume: &Resume) -> Result<Box<dyn ChangeReader>> {
        let mut database = self.lock();
        let from = database.start(tables, resume)?;
        let history = database.history.clone();
        drop(database);
        Ok(Box::new(MemoryReader::new(self.clone(), history, tables, from)))
    }
}
