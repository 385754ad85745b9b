//! Settings, and the way from text to a checked logical plan. Nothing runs here.
//!
//! The invariant: planning happens on a stack of its own that is deep enough for any statement let through.

use crate::classify;
use crate::columns::exact_schema;
use crate::exact::CheckedArithmetic;
use crate::failure::planning;
use crate::row::RowProgram;
use crate::sum::ExactSum;
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use change::{ColumnType, TableSchema};
use connect::exact::rebuilt;
use connect::{Classified, Error, Result, RowTransform, Shape, SqlPlanner};
use datafusion::catalog::TableProvider;
use datafusion::catalog::empty::EmptyTable;
use datafusion::common::TableReference;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Memory of one relational statement where nothing else is said.
const MEMORY_BYTES: usize = 256 << 20;
/// Longest time that one relational statement may compute, where nothing else is said.
const COMPUTING: Duration = Duration::from_secs(3600);
/// Rows in a batch on their way through a relational statement.
pub(crate) const BATCH_ROWS: usize = 8_192;
/// The longest statement; bounds the depth of its syntax tree.
const STATEMENT_BYTES: usize = 64 << 10;
/// Nested parentheses and subqueries.
const NESTING: usize = 500;
/// Planning recurses over trees of [`STATEMENT_BYTES`]; pages never touched cost nothing.
const STACK_BYTES: usize = 256 << 20;

/// SQL by DataFusion. Cheap to make; every call stands alone.
#[derive(Clone, Debug)]
pub struct Sql {
    memory_bytes: usize,
    computing: Duration,
    spill_folder: Option<PathBuf>,
}

impl Default for Sql {
    fn default() -> Self {
        Sql::new()
    }
}

impl Sql {
    /// SQL with 256 MiB and an hour of computing for a relational statement, spilling to the system's temporary folder.
    pub fn new() -> Self {
        Sql { memory_bytes: MEMORY_BYTES, computing: COMPUTING, spill_folder: None }
    }

    /// Sets the time that one relational statement may compute; waiting for inputs and for whoever takes the result is
    /// not counted. It is looked at between steps, and a step is not cut short: a join whose
    /// condition is no equality and hardly ever holds compares many rows before it hands one over. Planning is bounded
    /// by the statement's length.
    #[must_use]
    pub fn computing_at_most(mut self, time: Duration) -> Self {
        self.computing = time;
        self
    }

    /// The time that one relational statement may compute.
    pub(crate) fn computing(&self) -> Duration {
        self.computing
    }

    /// Sets the memory that one relational statement may keep rows in.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Sets the folder that relational statements spill to; it is made when first needed.
    #[must_use]
    pub fn spill_to(mut self, folder: impl Into<PathBuf>) -> Self {
        self.spill_folder = Some(folder.into());
        self
    }

    /// The folder for temporary files.
    pub(crate) fn spill_folder(&self) -> PathBuf {
        self.spill_folder.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// A session of its own for one statement.
    pub(crate) fn session(&self) -> Result<SessionContext> {
        let mut runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(self.memory_bytes)));
        if let Some(folder) = &self.spill_folder {
            runtime = runtime.with_temp_file_path(folder);
        }
        let runtime = runtime.build_arc().map_err(|e| planning(&e))?;
        let state = SessionStateBuilder::new()
            .with_config(config())
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(CheckedArithmetic))
            .build();
        let session = SessionContext::new_with_state(state);
        session.register_udaf(AggregateUDF::new_from_impl(ExactSum::new()));
        Ok(session)
    }
}

fn config() -> SessionConfig {
    // One partition: the runtime is single-threaded (inputs have threads of their own), and the order of sums
    // of floats does not depend on the machine.
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.recursion_limit =
        ConfigNonZeroUsize::try_new(NESTING).expect("the limit is not zero");
    options.execution.collect_statistics = false;
    // Sort-merge joins spill, hash joins keep one side in memory.
    options.optimizer.prefer_hash_join = false;
    config
}

/// What a statement may be, and hold: nothing but reading.
fn read_only() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// A statement, understood.
pub(crate) struct Planned {
    /// As it was written, types not yet unified: what the statement *says*.
    pub(crate) written: LogicalPlan,
    /// With types unified and arithmetic checked: what is evaluated.
    pub(crate) analysed: LogicalPlan,
    /// The session's functions and settings.
    pub(crate) state: SessionState,
}

impl Planned {
    /// The columns that come out.
    pub(crate) fn output(&self) -> Result<TableSchema> {
        exact_schema(self.analysed.schema().as_arrow())
    }
}

/// Plans a statement over the tables registered in `session`. Call it on a deep stack.
pub(crate) async fn planned(session: &SessionContext, sql: &str) -> Result<Planned> {
    if sql.len() > STATEMENT_BYTES {
        return Err(Error::invalid("the statement is too long")
            .found(format!("{} bytes; at most {STATEMENT_BYTES} are read", sql.len())));
    }
    let state = session.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect).map_err(|e| planning(&e))?;
    if !matches!(&statement, Statement::Statement(s) if matches!(**s, ast::Statement::Query(_))) {
        return Err(Error::invalid("a flow's statement reads; this one does something else").fix(
            "write a `select` statement; what is written, and where, is the flow's business",
        ));
    }
    classify::refuse_deep(&statement)?;
    let written = state.statement_to_plan(statement).await.map_err(|e| planning(&e))?;
    // A second lock on the same door: nothing that writes, defines or sets can hide below a query either.
    read_only().verify_plan(&written).map_err(|e| planning(&e))?;
    classify::refuse_inexact(&written)?;
    let analysed = state
        .analyzer()
        .execute_and_check(written.clone(), state.config_options(), |_, _| {})
        .map_err(|e| planning(&e))?;
    Ok(Planned { written, analysed, state })
}

/// Registers a table under its plain name.
pub(crate) fn register(
    session: &SessionContext,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<()> {
    let before =
        session.register_table(TableReference::bare(name), table).map_err(|e| planning(&e))?;
    match before {
        Some(_) => Err(Error::invalid(format!("two inputs are called {name}"))),
        None => Ok(()),
    }
}

/// The Arrow schema that planning sees: columns that are never null say so.
pub(crate) fn table_schema(schema: &TableSchema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .columns()
        .iter()
        .zip(schema.images().fields())
        .map(|(column, field)| field.as_ref().clone().with_nullable(column.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The rows under the schema that planning saw.
pub(crate) fn as_planned(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    rebuilt(schema, rows.columns().to_vec(), rows.num_rows())
}

/// Whether a field holds values that carry their own type.
pub(crate) fn is_any(field: &Field) -> bool {
    ColumnType::from_arrow(field) == Some(ColumnType::Any)
}

/// A runtime that turns on the thread that calls it.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| Error::unavailable("no runtime for a statement").caused_by(e))
}

/// Does work that recurses over a statement on a stack made for it; a panic there becomes our error.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("sql-planner".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|e| Error::unavailable("no thread to plan a statement").caused_by(e))?
            .join()
            .unwrap_or_else(|_| Err(Error::internal("planning a statement panicked")))
    })
}

impl SqlPlanner for Sql {
    fn classify(&self, sql: &str, tables: &[(String, TableSchema)]) -> Result<Classified> {
        on_deep_stack(|| {
            let session = self.session()?;
            for (name, schema) in tables {
                register(&session, name, Arc::new(EmptyTable::new(table_schema(schema))))?;
            }
            runtime()?.block_on(async {
                let planned = planned(&session, sql).await?;
                let output = planned.output()?;
                let tables = classify::tables(&planned.written);
                let because = classify::relational(&planned.written);
                match because {
                    // What cannot be carried out is said now, not at night.
                    Some(_) => {
                        let plan = planned.state.create_physical_plan(&planned.analysed);
                        plan.await.map(drop).map_err(|e| planning(&e))?;
                    }
                    None => drop(RowProgram::of(&planned)?),
                }
                let shape = if because.is_some() { Shape::Relational } else { Shape::RowWise };
                Ok(Classified { shape, tables, output, because })
            })
        })
    }

    fn compile(
        &self,
        sql: &str,
        table: &str,
        input: &TableSchema,
        key: &[String],
    ) -> Result<Arc<dyn RowTransform>> {
        on_deep_stack(|| {
            let session = self.session()?;
            register(&session, table, Arc::new(EmptyTable::new(table_schema(input))))?;
            let planned = runtime()?.block_on(planned(&session, sql))?;
            if let Some(because) = classify::relational(&planned.written) {
                return Err(Error::invalid("the statement looks at more than one row at a time")
                    .found(because)
                    .fix("run it as a batch; changes can trigger one"));
            }
            let output = planned.output()?.with_key(key).map_err(|e| {
                Error::invalid(format!("the key of the flow: {e}"))
                    .fix("select the key columns, under the names that the flow gives them")
            })?;
            Ok(Arc::new(RowProgram::of(&planned)?.with_output(output)) as Arc<dyn RowTransform>)
        })
    }
}
