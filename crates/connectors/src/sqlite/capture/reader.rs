//! The reader of a captured database: looks, hands out a group, holds nothing between calls.
//!
//! Every look is one read transaction, in which the schema is checked first: what it delivers was written under
//! triggers that are known to have been in place. The reader stays where it is whenever a look fails.

use super::super::database::Database;
use super::super::error::failed;
use super::file;
use super::gather::{Gather, Layout};
use super::install::{begin, follow, schema_version, transaction};
use super::place::{Place, SYSTEM, changed, newest, verify};
use super::register::{self, Register, Shape};
use super::rows::{read_chunk, read_keys};
use super::selftest::require_order;
use super::trim::{bytes_of_a_change, oldest, trim};
use change::{GroupBody, GroupKind, History, HolderId, Op, Part, SnapshotChunk, SourcePosition};
use connect::clock::{Clock, SystemClock};
use connect::log::Bounds;
use connect::source::{ChangeReader, ReadRequest, Resume, Retained};
use connect::{Claim, Error, Result};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Cells of a change in front of its images: id, tag, shape, op.
const HEAD: usize = 4;

/// New and old cells alternate.
const CHANGE: Layout = Layout { new: HEAD, old: HEAD + 1, step: 2 };

/// Reads the changes of one database.
pub(in crate::sqlite) struct SqliteReader {
    connection: Connection,
    database: Database,
    file: Option<String>,
    history: History,
    register: Register,
    wanted: Vec<String>,
    shapes: HashMap<i64, Arc<Shape>>,
    select: String,
    width: usize,
    schema_version: i64,
    /// Up to here the triggers are known to have been in place.
    verified: i64,
    place: Place,
    /// Where the parts that are being handed out end.
    run_end: Option<i64>,
    acknowledged: Place,
    oldest: i64,
    /// Who we have said we are.
    holder: Option<HolderId>,
    requests: VecDeque<ReadRequest>,
    /// Rows that were read at this change, waiting for everything before it.
    held: Option<(i64, GroupKind, Vec<change::ChangeBatch>)>,
    /// The version of the data that held nothing new.
    idle_at: Option<i64>,
    clock: SystemClock,
}

/// What a look found.
enum Look {
    Found(Option<GroupBody>),
    SchemaChanged,
}

impl SqliteReader {
    /// Begins or resumes the capture of these tables.
    ///
    /// # Errors
    /// As [`connect::Source::capture`].
    pub(in crate::sqlite) fn open(
        database: &Database,
        tables: &[String],
        resume: &Resume,
    ) -> Result<SqliteReader> {
        require_order()?;
        let connection = database.capturing()?;
        sync_each(&connection)?;
        let file = file::identity(database)?;
        let mut wanted: Vec<String> = tables.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let start = begin(&connection, file.as_deref(), &wanted, resume)?;
        spare_syncs(&connection)?;
        let history = History { system: SYSTEM.into(), identity: start.register.tag.clone() };
        let mut reader = SqliteReader {
            oldest: oldest(&connection)?,
            connection,
            database: database.clone(),
            file,
            history,
            register: start.register,
            wanted,
            shapes: HashMap::new(),
            select: String::new(),
            width: 0,
            schema_version: 0,
            verified: start.place.id,
            place: start.place,
            run_end: None,
            acknowledged: start.place,
            holder: None,
            requests: VecDeque::new(),
            held: None,
            idle_at: None,
            clock: SystemClock::default(),
        };
        reader.learn_shapes(start.schema_version)?;
        Ok(reader)
    }

    /// Reads the shapes, which are in place under this version of the schema or were later replaced.
    fn learn_shapes(&mut self, schema_version: i64) -> Result<()> {
        let reading = transaction(&self.connection, TransactionBehavior::Deferred)?;
        let shapes = register::shapes(&reading)?;
        self.width = register::width(&reading)?;
        drop(reading);
        self.shapes = shapes.into_iter().map(|s| (s.number, Arc::new(s))).collect();
        let images: String = (0..self.width).map(|i| format!(", n{i}, o{i}")).collect();
        self.select = format!(
            "SELECT id, tag, shape, op{images} FROM _seamount_change WHERE id > ?1 AND id <= ?2 ORDER BY id"
        );
        self.schema_version = schema_version;
        Ok(())
    }

    fn require_same_file(&self) -> Result<()> {
        if file::identity(&self.database)? == self.file {
            return Ok(());
        }
        Err(changed("another file has taken its place while it was captured"))
    }

    fn look(&mut self, seen: i64, bounds: Bounds) -> Result<Look> {
        if schema_version(&self.connection)? != self.schema_version {
            return Ok(Look::SchemaChanged);
        }
        register::require_no_gap(&self.connection)?;
        verify(&self.connection, &self.register, self.place)?;
        let newest = newest(&self.connection)?.id;
        self.verified = newest;
        if self.held.is_none() {
            self.read_rows(newest, bounds)?;
        }
        let end = self.held.as_ref().map_or(newest, |(id, ..)| *id);
        let group = if self.place.id < end {
            Some(self.next_changes(end, bounds)?)
        } else {
            self.held.take().map(|(_, kind, batches)| self.read_group(kind, batches))
        };
        let done = self.place.id == newest && self.held.is_none() && self.requests.is_empty();
        self.idle_at = done.then_some(seen);
        Ok(Look::Found(group))
    }

    /// The changes behind our place: all that were committed, or a part of them.
    fn next_changes(&mut self, end: i64, bounds: Bounds) -> Result<GroupBody> {
        let run_end = self.run_end.filter(|_| self.place.parts > 0).unwrap_or(end).min(end);
        let reading = || failed("cannot read the change table");
        let mut statement = self.connection.prepare_cached(&self.select).map_err(reading())?;
        let mut rows = statement.query([self.place.id, run_end]).map_err(reading())?;
        let mut gather = Gather::default();
        let mut last = self.place;
        let mut shape: Option<&Arc<Shape>> = None;
        while let Some(row) = rows.next().map_err(reading())? {
            let number: i64 = row.get(2).map_err(reading())?;
            let op = row.get(3).ok().and_then(Op::from_byte);
            let op = op.ok_or_else(|| changed("the change table was begun anew"))?;
            if shape.is_none_or(|shape| shape.number != number) {
                shape = self.shapes.get(&number);
            }
            let shape = shape.ok_or_else(|| {
                Error::corrupt(format!("the change table names shape {number}, which nobody knows"))
            })?;
            gather.take(shape, op, row, CHANGE)?;
            last.id = row.get(0).map_err(reading())?;
            last.tag = row.get(1).map_err(reading())?;
            if gather.changes() >= bounds.changes || gather.bytes() >= bounds.bytes {
                break;
            }
        }
        let ends = last.id == run_end;
        let part = Part { index: self.place.parts, last: ends };
        last.parts = if ends { 0 } else { self.place.parts + 1 };
        let after = std::mem::replace(&mut self.place, last);
        self.run_end = Some(run_end);
        Ok(GroupBody {
            kind: GroupKind::Changes,
            part,
            after: after.position(),
            upto: last.position(),
            commit_time: self.clock.now(),
            batches: gather.finish(),
        })
    }

    /// Reads rows for the oldest request, at the newest change.
    fn read_rows(&mut self, newest: i64, bounds: Bounds) -> Result<()> {
        let Some(request) = self.requests.front() else { return Ok(()) };
        let (kind, batches, rest) = match request {
            ReadRequest::Snapshot { table, id, after } => {
                let shape = self.installed(table)?;
                let chunk = read_chunk(&self.connection, shape, after.as_ref(), bounds)?;
                let rest = chunk.upto.clone().map(|key| ReadRequest::Snapshot {
                    table: table.clone(),
                    id: *id,
                    after: Some(key),
                });
                let described = SnapshotChunk {
                    id: *id,
                    table: table.clone(),
                    after: after.clone(),
                    upto: chunk.upto,
                };
                (GroupKind::Snapshot(described), chunk.batches, rest)
            }
            ReadRequest::Keys { table, keys } => {
                let (now, later) = keys.split_at(keys.len().min(bounds.changes.max(1)));
                let batches = read_keys(&self.connection, self.installed(table)?, now)?;
                let rest = (!later.is_empty())
                    .then(|| ReadRequest::Keys { table: table.clone(), keys: later.to_vec() });
                (GroupKind::Repair, batches, rest)
            }
        };
        self.requests.pop_front();
        if let Some(rest) = rest {
            self.requests.push_front(rest);
        }
        self.held = Some((newest, kind, batches));
        Ok(())
    }

    fn read_group(&self, kind: GroupKind, batches: Vec<change::ChangeBatch>) -> GroupBody {
        let here = self.place.position();
        let commit_time = self.clock.now();
        GroupBody { kind, part: Part::WHOLE, after: here.clone(), upto: here, commit_time, batches }
    }

    fn installed(&self, table: &str) -> Result<&Arc<Shape>> {
        self.shapes
            .values()
            .find(|shape| shape.installed && shape.table.eq_ignore_ascii_case(table))
            .ok_or_else(|| Error::invalid(format!("table {table} is not captured")))
    }
}

impl ChangeReader for SqliteReader {
    fn history(&self) -> &History {
        &self.history
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        self.require_same_file()?;
        let seen = data_version(&self.connection)?;
        let idle = self.held.is_none() && self.requests.is_empty() && self.idle_at == Some(seen);
        if idle {
            return Ok(None);
        }
        loop {
            let looking = || failed("cannot read the database");
            self.connection.execute_batch("BEGIN").map_err(looking())?;
            let look = self.look(seen, bounds);
            self.connection.execute_batch("ROLLBACK").map_err(looking())?;
            match look? {
                Look::Found(group) => return Ok(group),
                Look::SchemaChanged => {
                    sync_each(&self.connection)?;
                    let version = follow(&self.connection, &self.wanted, self.verified)?;
                    spare_syncs(&self.connection)?;
                    self.learn_shapes(version)?;
                }
            }
        }
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        // A claim that a power cut takes back would show a reader that nobody remembers.
        sync_each(&self.connection)?;
        let writing = transaction(&self.connection, TransactionBehavior::Immediate)?;
        register::claim(&writing, claim)?;
        writing.commit().map_err(failed("cannot claim the capture"))?;
        spare_syncs(&self.connection)?;
        self.holder = Some(claim.holder);
        Ok(())
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        let place = Place::parse(position)
            .ok_or_else(|| Error::internal("a position of another lane is acknowledged"))?;
        if place.id <= self.acknowledged.id {
            return Ok(());
        }
        self.acknowledged = place;
        self.oldest = trim(&self.connection, self.oldest, place, &self.shapes, self.holder)?;
        Ok(())
    }

    fn request(&mut self, read: ReadRequest) -> Result<()> {
        let (ReadRequest::Snapshot { table, .. } | ReadRequest::Keys { table, .. }) = &read;
        self.installed(table)?;
        if !matches!(&read, ReadRequest::Keys { keys, .. } if keys.is_empty()) {
            self.requests.push_back(read);
        }
        Ok(())
    }

    fn retained(&mut self) -> Result<Retained> {
        let newest = newest(&self.connection)?.id;
        let behind = self.acknowledged.id;
        let changes = u64::try_from(newest - behind).unwrap_or(0);
        let each = bytes_of_a_change(&self.connection, behind, self.width)?;
        Ok(Retained { changes, bytes: Some(changes * each) })
    }
}

/// A number that changes whenever another connection commits.
fn data_version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(failed("cannot read the database"))
}

/// What we install must outlive a power cut before the first change is told of: the log would else know of a history
/// that the database has never heard of. In a rollback journal that takes the journal's removal too.
fn sync_each(connection: &Connection) -> Result<()> {
    connection.pragma_update(None, "synchronous", "EXTRA").map_err(failed(SETTING_UP))
}

/// In WAL mode our trims need not reach the disk at once: a lost trim is repeated.
fn spare_syncs(connection: &Connection) -> Result<()> {
    let setting = || failed(SETTING_UP);
    let mode: String =
        connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(setting())?;
    let spared = if mode.eq_ignore_ascii_case("wal") { "NORMAL" } else { "FULL" };
    connection.pragma_update(None, "synchronous", spared).map_err(setting())?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

const SETTING_UP: &str = "cannot set up the capture's connection";
