//! Relational statements over inputs that stream, each from a thread of its own, with bounded memory.
//!
//! The invariant: a result counts only when every input said by itself that it had ended. Threads are joined
//! before [`BatchEngine::run`] returns; a feed that is no longer wanted is told so by its sink.

use crate::classify::scans;
use crate::failure::{planning, running};
use crate::meter::{Meter, Ticker};
use crate::plan::{
    BATCH_ROWS, Sql, as_planned, on_deep_stack, planned, register, runtime, table_schema,
};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use change::TableSchema;
use connect::exact::exact_batch;
use connect::{BatchEngine, Error, Feed, Input, Result};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::{
    RecordBatchReceiverStream, RecordBatchReceiverStreamBuilder,
};
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use std::fs::File;
use std::future::poll_fn;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use tempfile::NamedTempFile;

/// Batches that wait between a feed and the statement.
const QUEUED_BATCHES: usize = 2;

impl Sql {
    /// Whether a condition over the staged rows holds: the answer of `select (condition) as ok from table`.
    /// Null does not hold.
    ///
    /// # Errors
    /// `Invalid` when the condition is no condition or gives other than one answer; as [`BatchEngine::run`].
    pub fn holds(&self, condition: &str, staged: Input) -> Result<bool> {
        use connect::SqlPlanner;
        let sql = format!("select ({condition}) as ok from {}", quoted(&staged.table));
        let tables = [(staged.table.clone(), staged.schema.clone())];
        let output = self.classify(&sql, &tables)?.output;
        if output.columns()[0].ty != change::ColumnType::Bool {
            return Err(Error::invalid("a check must be true or false")
                .found(format!("`{condition}` is of type {}", output.columns()[0].ty)));
        }
        let mut answers = Vec::new();
        self.run(&sql, vec![staged], &output, &mut |batch| {
            let column = arrow::array::AsArray::as_boolean(batch.column(0)).clone();
            answers.extend(column.iter().take(2));
            Ok(())
        })?;
        match answers.as_slice() {
            [answer] => Ok(answer.unwrap_or(false)),
            _ => Err(Error::invalid("a check must give one answer for all rows")
                .found(format!("`{condition}` gives one for each"))
                .fix("use an aggregate: `count(*) > 0`, `bool_and(price > 0)`")),
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl BatchEngine for Sql {
    fn run(
        &self,
        sql: &str,
        inputs: Vec<Input>,
        output: &TableSchema,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let session = self.session()?;
        let mut sources = Vec::new();
        for Input { table, schema, feed } in inputs {
            let source = Arc::new(Source::new(table, table_schema(&schema)));
            let provider =
                StreamingTable::try_new(Arc::clone(&source.schema), vec![source.clone()])
                    .map_err(|e| planning(&e))?;
            register(&session, &source.table, Arc::new(provider))?;
            sources.push((source, feed));
        }
        let (plan, reads) = on_deep_stack(|| runtime()?.block_on(physical(&session, sql, output)))?;
        // Spools first: nothing runs yet that would have to be stopped if one fails.
        let mut spools = Vec::new();
        let mut streams = Vec::new();
        for (source, feed) in sources {
            match reads.iter().filter(|name| **name == source.table).count() {
                0 => {}
                1 => streams.push((source, feed)),
                _ => spools.push(source.spool(feed, &self.spill_folder())?),
            }
        }
        // Feeds of one site read one cut, one after the other: two that wait for a statement which wants the other
        // one's rows first would wait for ever. So one is streamed, behind all others.
        let streamed = streams.pop();
        for (source, feed) in streams {
            spools.push(source.spool(feed, &self.spill_folder())?);
        }
        let feeder = streamed.map(|(source, feed)| source.stream(feed)).transpose()?;
        let ran = drain(plan, session.task_ctx(), Meter::new(self.computing()), output, sink);
        // Everything that could still receive is gone with the plan and the session: no feed can hang.
        drop(session);
        settle(ran, feeder)
    }
}

/// The physical plan of a statement, and the tables it reads, once for each time.
async fn physical(
    session: &SessionContext,
    sql: &str,
    output: &TableSchema,
) -> Result<(Arc<dyn ExecutionPlan>, Vec<String>)> {
    let planned = planned(session, sql).await?;
    let shape = |schema: &TableSchema| -> Vec<_> {
        schema.columns().iter().map(|c| (c.name.clone(), c.ty)).collect()
    };
    if shape(&planned.output()?) != shape(output) {
        return Err(Error::internal("the statement yields other columns than were classified"));
    }
    let plan = planned.state.create_physical_plan(&planned.analysed).await;
    let plan = plan.and_then(yielding).map_err(|e| planning(&e))?;
    Ok((plan, scans(&planned.written)))
}

/// Lets joins hand the thread back between their batches: two small inputs can make more rows than anybody waits for,
/// and nothing but their inputs would yield.
fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let wrapped = plan.transform_up(|node| {
        Ok(match node.children().len() {
            0 | 1 => Transformed::no(node),
            _ => Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>),
        })
    });
    wrapped.map(|plan| plan.data)
}

/// Hands the whole result to `sink`, on the thread that calls.
fn drain(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    mut meter: Meter,
    output: &TableSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let runtime = meter.runtime()?;
    let mut stream = {
        let _inside = runtime.enter();
        execute_stream(plan, context).map_err(|e| running(&e))?
    };
    let ticker = Ticker::start()?;
    // The sink is called outside the runtime: it may block, or have a runtime of its own.
    loop {
        let lap = meter.lap();
        let next = runtime.block_on(poll_fn(|context| {
            if meter.is_over(&lap) {
                return Poll::Ready(Err(meter.over()));
            }
            ticker.wakes(context.waker());
            stream.as_mut().poll_next(context).map(Ok)
        }))?;
        meter.add(&lap);
        let Some(batch) = next else { return Ok(()) };
        let batch = batch.map_err(|e| running(&e))?;
        if batch.num_rows() > 0 {
            sink(exact_batch(&batch, output)?)?;
        }
    }
}

/// Joins the feed. Its own error explains what the statement ran into, so it goes first.
fn settle(ran: Result<()>, feeder: Option<Feeder>) -> Result<()> {
    feeder.map_or(Ok(()), Feeder::join)?;
    ran
}

/// What a scan of a table reads from.
#[derive(Debug)]
enum Rows {
    /// Nothing yet, or a stream that is already being read.
    Taken,
    /// The other end of a feed.
    Stream(Receiving),
    /// A file, for statements that read a table more than once.
    File(PathBuf),
}

/// The end of a feed that a scan will read; DataFusion's builder has no `Debug` of its own.
struct Receiving(RecordBatchReceiverStreamBuilder);

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// One input as DataFusion scans it.
#[derive(Debug)]
struct Source {
    table: String,
    schema: SchemaRef,
    rows: Mutex<Rows>,
}

impl Source {
    fn new(table: String, schema: SchemaRef) -> Self {
        Source { table, schema, rows: Mutex::new(Rows::Taken) }
    }

    fn set(&self, rows: Rows) {
        *self.rows.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// Starts the feed on its thread; what it hands over waits for the scan.
    fn stream(&self, feed: Feed) -> Result<Feeder> {
        let builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), QUEUED_BATCHES);
        let queue = builder.tx();
        let schema = Arc::clone(&self.schema);
        self.set(Rows::Stream(Receiving(builder)));
        let thread = std::thread::Builder::new()
            .name(format!("feed-{}", self.table))
            .spawn(move || {
                let mut unwanted = false;
                let fed = feed(&mut |batch| {
                    let batch = as_planned(&batch, &schema)?;
                    for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                        let rows = BATCH_ROWS.min(batch.num_rows() - start);
                        if queue.blocking_send(Ok(batch.slice(start, rows))).is_err() {
                            unwanted = true;
                            return Err(Error::internal("the statement needs no more rows"));
                        }
                    }
                    Ok(())
                });
                match fed {
                    Err(_) if unwanted => Ok(()),
                    Err(error) => {
                        // Ends the statement; whether anybody still listens does not matter.
                        let end = DataFusionError::Execution("an input failed".into());
                        drop(queue.blocking_send(Err(end)));
                        Err(error)
                    }
                    Ok(()) => Ok(()),
                }
            })
            .map_err(|e| Error::unavailable("no thread for an input").caused_by(e))?;
        Ok(Feeder { table: self.table.clone(), thread })
    }

    /// Runs the feed to its end into a temporary file, which lives as long as what is returned.
    fn spool(&self, feed: Feed, folder: &std::path::Path) -> Result<NamedTempFile> {
        let full = |e: &dyn std::fmt::Display| {
            Error::unavailable(format!("input {} cannot be kept on disk: {e}", self.table))
        };
        std::fs::create_dir_all(folder).map_err(|e| full(&e))?;
        let file = NamedTempFile::new_in(folder).map_err(|e| full(&e))?;
        let mut writer = StreamWriter::try_new(BufWriter::new(file.as_file()), &self.schema)
            .map_err(|e| full(&e))?;
        let schema = &self.schema;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                feed(&mut |batch| {
                    writer.write(&as_planned(&batch, schema)?).map_err(|e| full(&e))
                })?;
                writer.finish().map_err(|e| full(&e))?;
                writer.into_inner().map(drop).map_err(|e| full(&e))
            });
            thread.join().unwrap_or_else(|_| Err(panicked(&self.table)))
        })?;
        self.set(Rows::File(file.path().to_path_buf()));
        Ok(file)
    }
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *rows, Rows::Taken) {
            Rows::Stream(builder) => builder.0.build(),
            Rows::File(path) => {
                *rows = Rows::File(path.clone());
                replay(&self.schema, path)
            }
            Rows::Taken => {
                // Never an empty table: a second scan that was not foreseen fails.
                let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 1);
                builder.spawn(async {
                    Err(DataFusionError::Internal("an input was read twice".into()))
                });
                builder.build()
            }
        }
    }
}

/// Streams a spooled input from a thread of the runtime.
fn replay(schema: &SchemaRef, path: PathBuf) -> SendableRecordBatchStream {
    let mut builder = RecordBatchReceiverStream::builder(Arc::clone(schema), QUEUED_BATCHES);
    let queue = builder.tx();
    builder.spawn_blocking(move || {
        let file = BufReader::new(File::open(path)?);
        for batch in StreamReader::try_new(file, None)? {
            if queue.blocking_send(Ok(batch?)).is_err() {
                break;
            }
        }
        Ok(())
    });
    builder.build()
}

/// A feed on its thread.
struct Feeder {
    table: String,
    thread: JoinHandle<Result<()>>,
}

impl Feeder {
    fn join(self) -> Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(panicked(&self.table)))
    }
}

fn panicked(table: &str) -> Error {
    Error::internal(format!("reading input {table} panicked"))
}
