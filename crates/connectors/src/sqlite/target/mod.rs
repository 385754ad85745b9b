//! SQLite as a target: rows, progress, epoch and runs in one database, every write in one durable transaction.
//!
//! Every transaction takes the write lock first (`BEGIN IMMEDIATE`) and then checks who may write: between that
//! check and the commit nobody else can have moved.

mod lock;
mod prepare;
mod publish;
mod shapes;
mod stage;
mod transaction;
mod write;

use super::database::Database;
use super::error::failed;
use super::read::SqliteCut;
use super::{book, catalogue};
use arrow::array::RecordBatch;
use change::{FlowId, Generation, HolderId, RunId, TableSchema};
use connect::Result;
use connect::component::SiteSettings;
use connect::read::{Cut, Readable};
use connect::target::{
    Claim, Fates, FlowProgress, Publish, Published, PublishedRun, Target, TargetTable,
    TargetTransaction,
};
use lock::WriteLock;
use rusqlite::Connection;
use shapes::Shapes;
use transaction::SqliteTransaction;

/// A database that flows write to.
pub struct SqliteTarget {
    database: Database,
    connection: Connection,
    holder: Option<HolderId>,
    shapes: Shapes,
}

impl std::fmt::Debug for SqliteTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteTarget")
            .field("site", &self.database.site())
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

impl SqliteTarget {
    /// Opens a database, or creates it where its folder is there. A new one is in WAL mode; an existing one keeps
    /// its journal mode.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened, may not be written or is locked; `Corrupt` when the file is no
    /// database; `Invalid` when the settings are wrong.
    pub fn open(settings: &SiteSettings) -> Result<SqliteTarget> {
        let database = Database::of(settings)?;
        let connection = database.target()?;
        Ok(SqliteTarget { database, connection, holder: None, shapes: Shapes::default() })
    }

    /// The write lock, as the engine that holds the epoch.
    fn lock(&self) -> Result<WriteLock<'_>> {
        let lock = WriteLock::take(&self.connection)?;
        book::require_holder(&self.connection, self.holder)?;
        Ok(lock)
    }
}

impl Readable for SqliteTarget {
    fn tables(&mut self) -> Result<Vec<String>> {
        catalogue::tables(&self.connection)
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        catalogue::require_shape(&self.connection, table)?.schema()
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        Ok(Box::new(SqliteCut::open(&self.database)?))
    }
}

impl Target for SqliteTarget {
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()> {
        let lock = WriteLock::take(&self.connection)?;
        if self.holder.is_some() {
            book::require_holder(&self.connection, self.holder)?;
        }
        book::create(&self.connection)?;
        for table in tables {
            prepare::prepare(&self.connection, table)?;
        }
        lock.commit()
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        let lock = WriteLock::take(&self.connection)?;
        book::create(&self.connection)?;
        if let Some(shown) = book::holder(&self.connection)?
            && shown != claim.holder
            && !claim.known.contains(&shown)
            && !claim.take_over
        {
            return Err(book::fenced("another engine writes to this target")
                .found(format!("the epoch is held by {shown}")));
        }
        book::set_holder(&self.connection, claim.holder)?;
        lock.commit()?;
        self.holder = Some(claim.holder);
        Ok(())
    }

    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()> {
        let lock = self.lock()?;
        book::adopt(&self.connection, flow, generation)?;
        lock.commit()
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        // One snapshot for the generation and the lanes.
        let reading = failed("cannot read the flow's progress");
        let snapshot = self.connection.unchecked_transaction().map_err(reading)?;
        book::progress(&snapshot, flow)
    }

    fn letters(&mut self, flow: FlowId) -> Result<Fates> {
        book::letters(&self.connection, flow)
    }

    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>> {
        let SqliteTarget { connection, holder, shapes, .. } = self;
        let lock = WriteLock::take(connection)?;
        book::require_holder(connection, *holder)?;
        book::require_generation(connection, flow, generation)?;
        shapes.refresh(connection)?;
        Ok(Box::new(SqliteTransaction { lock, shapes, flow, generation }))
    }

    fn stage(&mut self, run: RunId, table: &TargetTable, rows: &RecordBatch) -> Result<()> {
        let lock = self.lock()?;
        stage::append(&self.connection, run, table, rows)?;
        lock.commit()
    }

    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        stage::read(&self.connection, run, table, sink)
    }

    fn publish(&mut self, publish: &Publish) -> Result<Published> {
        let lock = self.lock()?;
        book::require_generation(&self.connection, publish.flow, publish.generation)?;
        let published = publish::publish(&self.connection, publish)?;
        lock.commit()?;
        Ok(published)
    }

    fn discard(&mut self, run: RunId) -> Result<()> {
        let lock = self.lock()?;
        stage::discard(&self.connection, run)?;
        lock.commit()
    }

    fn staged(&mut self) -> Result<Vec<RunId>> {
        stage::runs(&self.connection)
    }

    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>> {
        publish::runs(&self.connection, flow)
    }
}
