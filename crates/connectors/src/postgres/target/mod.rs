//! PostgreSQL as a target: rows, progress, epoch and runs in one database, every write in one durable transaction.
//!
//! Every transaction locks the epoch and the flow first, in the round trip that opens it: between that check and the
//! commit nobody else can have moved.

mod arrays;
mod epoch;
mod form;
mod guess;
mod letters;
mod load;
mod plan;
mod prepare;
mod publish;
mod session;
mod stage;
mod swap;
mod sweep;
mod transaction;
mod write;

use super::address::Address;
use super::names::TableName;
use super::read::{PgCut, encoding_of};
use super::spares::Spares;
use super::{book, catalogue};
use arrow::array::RecordBatch;
use change::{FlowId, Generation, HolderId, RunId, TableSchema};
use connect::component::SiteSettings;
use connect::read::{Cut, Readable};
use connect::target::{
    Claim, Fates, FlowProgress, Publish, Published, PublishedRun, Target, TargetTable,
    TargetTransaction,
};
use connect::{EncodedRows, Encoding, Error, Result};
use plan::{Plan, Plans};
use session::{Open, Session};
use stage::Stages;
use transaction::PgTransaction;

/// A database that flows write to.
struct PgTarget {
    session: Session,
    holder: Option<HolderId>,
    plans: Plans,
    stages: Stages,
    /// The connection was made anew, and nobody was told yet.
    silent: bool,
}

/// Logs in to a database as a target.
///
/// # Errors
/// `Unavailable` when the server cannot be reached, `Invalid` when it refuses the login or the settings are wrong.
pub(super) fn open(settings: &SiteSettings) -> Result<Box<dyn Target>> {
    let session = Session::open(Address::of(settings)?)?;
    Ok(Box::new(PgTarget {
        session,
        holder: None,
        plans: Plans::default(),
        stages: Stages::default(),
        silent: false,
    }))
}

impl PgTarget {
    /// A live connection; plans of one that was lost are forgotten.
    fn revive(&mut self) -> Result<()> {
        if self.session.revive()? {
            self.plans.forget();
            self.stages.forget();
            self.silent = true;
        }
        Ok(())
    }

    /// Fails once behind a loss of the connection: what answers now may be another server, which leads since a
    /// failover and lacks our last commits, or one that was restored. Whoever counts on those has to read progress.
    fn own_up(&mut self) -> Result<()> {
        self.revive()?;
        if std::mem::take(&mut self.silent) {
            return Err(Error::unavailable(
                "the connection to the target was lost and is there again",
            )
            .effect("nothing was written; progress is read again before anything is"));
        }
        Ok(())
    }

    /// Works on a run's stage for a table, in a transaction that holds the epoch.
    fn staging<T>(
        &mut self,
        run: RunId,
        table: &TargetTable,
        work: impl FnOnce(&mut Session, &Plan) -> Result<T>,
    ) -> Result<T> {
        let holder = epoch::claimed(self.holder)?;
        // A server that crashes may lose what was staged last; then the connection is lost too, and the publication,
        // which waits for the disk, would find rows missing.
        self.own_up()?;
        let first = format!("SET LOCAL synchronous_commit = off; {}", book::LOOK);
        let (mut open, answers) = Open::begin(&mut self.session, &first)?;
        epoch::require(answers.get(1), holder)?;
        let staged = self.stages.plan(open.session, run, table).and_then(|plan| {
            let done = work(open.session, &plan)?;
            open.commit("")?;
            Ok((plan, done))
        });
        match staged {
            Ok((plan, done)) => {
                self.stages.keep(run, plan);
                Ok(done)
            }
            Err(error) => {
                self.stages.forget();
                Err(error)
            }
        }
    }

    /// A transaction of the engine that holds the epoch.
    fn held(&mut self) -> Result<Open<'_>> {
        let holder = epoch::claimed(self.holder)?;
        self.revive()?;
        let (open, answers) = Open::begin(&mut self.session, book::LOOK)?;
        epoch::require(answers.first(), holder)?;
        Ok(open)
    }
}

impl Readable for PgTarget {
    fn tables(&mut self) -> Result<Vec<String>> {
        self.revive()?;
        catalogue::tables(self.session.client())
    }

    fn describe(&mut self, table: &str) -> Result<TableSchema> {
        self.revive()?;
        let as_text = self.session.address().as_text;
        catalogue::require_shape(self.session.client(), &TableName::parse(table)?, as_text)?
            .schema()
    }

    fn cut(&mut self) -> Result<Box<dyn Cut>> {
        Ok(Box::new(PgCut::open(&Spares::new(self.session.address().clone()))?))
    }
}

impl Target for PgTarget {
    fn prepare(&mut self, tables: &[TargetTable]) -> Result<()> {
        let mut open = match self.holder {
            Some(_) => self.held()?,
            None => {
                self.revive()?;
                Open::begin(&mut self.session, "")?.0
            }
        };
        book::queue_up(open.session.client())?;
        book::create(open.session.client())?;
        for table in tables {
            prepare::prepare(open.session, table)?;
        }
        open.commit("")
    }

    fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.revive()?;
        epoch::claim(&mut self.session, claim)?;
        self.holder = Some(claim.holder);
        Ok(())
    }

    fn adopt(&mut self, flow: FlowId, generation: Generation) -> Result<()> {
        let mut open = self.held()?;
        book::adopt(open.session.client(), flow, generation)?;
        open.commit("")
    }

    fn progress(&mut self, flow: FlowId) -> Result<Option<FlowProgress>> {
        self.revive()?;
        self.silent = false;
        book::progress(self.session.client(), flow)
    }

    fn letters(&mut self, flow: FlowId) -> Result<Fates> {
        self.revive()?;
        letters::read(self.session.client(), flow)
    }

    fn begin(
        &mut self,
        flow: FlowId,
        generation: Generation,
    ) -> Result<Box<dyn TargetTransaction + '_>> {
        let holder = epoch::claimed(self.holder)?;
        self.own_up()?;
        let first = [book::LOOK, &book::look_at(flow), &self.plans.question()].join("; ");
        let (open, answers) = Open::for_work(&mut self.session, &first)?;
        epoch::require(answers.first(), holder)?;
        let first = epoch::require_generation(answers.get(1), generation)?;
        self.plans.refresh(answers.get(2));
        let plans = &mut self.plans;
        Ok(Box::new(PgTransaction { open, plans, holder, flow, generation, first }))
    }

    fn stage(&mut self, run: RunId, table: &TargetTable, rows: &RecordBatch) -> Result<()> {
        self.staging(run, table, |session, plan| stage::append(session, plan, rows))
    }

    fn stage_encoding(&mut self, run: RunId, table: &TargetTable) -> Result<Option<Encoding>> {
        if table.owner.is_some() {
            return Ok(None); // Whose a row is stands in the row.
        }
        self.staging(run, table, |_, plan| encoding_of(&plan.shape, &plan.table.schema))
    }

    fn stage_encoded(&mut self, run: RunId, table: &TargetTable, rows: &EncodedRows) -> Result<()> {
        self.staging(run, table, |session, plan| stage::append_unread(session, plan, rows))
    }

    fn read_staged(
        &mut self,
        run: RunId,
        table: &TargetTable,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64> {
        self.revive()?;
        stage::read(&mut self.session, run, table, sink)
    }

    fn publish(&mut self, publish: &Publish) -> Result<Published> {
        let holder = epoch::claimed(self.holder)?;
        self.revive()?;
        let first = [book::LOOK, &book::look_at(publish.flow)].join("; ");
        let (mut open, answers) = Open::for_work(&mut self.session, &first)?;
        epoch::require(answers.first(), holder)?;
        let first = epoch::require_generation(answers.get(1), publish.generation)?;
        self.stages.forget();
        let (published, last) = publish::publish(open.session, publish, first)?;
        open.commit(&last)?;
        Ok(published)
    }

    fn discard(&mut self, run: RunId) -> Result<()> {
        self.stages.forget();
        let mut open = self.held()?;
        stage::discard(open.session, run)?;
        open.commit("")
    }

    fn staged(&mut self) -> Result<Vec<RunId>> {
        self.revive()?;
        stage::runs(&mut self.session)
    }

    fn published(&mut self, flow: FlowId) -> Result<Vec<PublishedRun>> {
        self.revive()?;
        publish::runs(&mut self.session, flow)
    }
}
