//! A project as the engine runs it: resolved, and free of contradictions.
//!
//! The files as they are written live in `spec`; only `check` makes these. Nothing here knows spans or TOML.

use connect::{Load, SiteSettings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A checked project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub root: PathBuf,
    /// The log.
    pub log: LogSettings,
    /// Sites by name, groups expanded.
    pub sites: BTreeMap<String, Site>,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Flows, ordered by name.
    pub flows: Vec<Flow>,
}

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Older groups may go; `None`: kept for ever.
    pub keep: Option<Duration>,
    /// Most bytes on disk; `None`: no quota.
    pub max_bytes: Option<u64>,
}

/// A place with data.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// What its connector needs, secrets resolved.
    pub settings: SiteSettings,
    /// The group it was expanded from.
    pub group: Option<String>,
    /// Its own time zone (IANA name).
    pub timezone: Option<String>,
    /// Its region.
    pub region: Option<String>,
}

/// Sites that flows name together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its sites, in the order of the list.
    pub sites: Vec<String>,
}

/// How a flow moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Changes as they happen.
    Event,
    /// Scheduled runs, all or nothing.
    Batch,
    /// Events, and a reconciliation on schedule.
    Hybrid,
}

/// Who writes the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// This flow.
    Flow,
    /// Somebody else: the flow only proves.
    Other,
}

/// A declared movement of tables from sites to a target. Constructed by `check` alone.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name: the file's.
    pub name: String,
    /// How it moves.
    pub mode: Mode,
    /// One sentence for people.
    pub about: Option<String>,
    /// Its file, below the project's folder, for messages.
    pub file: PathBuf,
    /// The sites it reads.
    pub sites: Vec<String>,
    /// What it reads there.
    pub from: From,
    /// The site it writes.
    pub target: String,
    /// The tables, source and target.
    pub tables: Vec<FlowTable>,
    /// A column that gets the site's name, where rows do not carry it.
    pub site_column: Option<String>,
    /// A column whose value is the site that owns the row.
    pub owner: Option<String>,
    /// Who writes the target.
    pub writer: Writer,
    /// One SELECT.
    pub transform: Option<String>,
    /// What happens to columns that come later.
    pub new_columns: NewColumns,
    /// Event settings.
    pub events: Events,
    /// Batch settings.
    pub batch: Batch,
    /// Reconciliation.
    pub reconcile: Reconcile,
    /// What the business asks of staleness (`[needs] max_staleness`).
    pub max_staleness: Option<Duration>,
}

/// What a flow reads at its sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Tables, by name.
    Tables,
    /// Files, by pattern; `{interval}` in it names one interval for each file.
    Files {
        /// The pattern, below the site's folder.
        pattern: String,
        /// Declared column types.
        types: BTreeMap<String, String>,
    },
}

/// One table of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowTable {
    /// Name at the source, and in the transform.
    pub source: String,
    /// Name at the target.
    pub target: String,
    /// Key of the target rows; `None`: the source table's own.
    pub key: Option<Vec<String>>,
}

/// What happens to columns that appear at the source later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewColumns {
    /// Nullable ones are added to the target.
    Add,
    /// They are left out.
    Ignore,
    /// The flow stops in `SCHEMA_BLOCKED`.
    Stop,
}

/// Whether intermediate states of source transactions may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionMode {
    /// Several source transactions become visible together.
    Coalesce,
    /// Each group becomes visible alone, in order; refused rows stop the flow.
    Exact,
}

/// Event settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Events {
    /// Lag that is worth an alert.
    pub max_lag: Duration,
    /// Transactions whole or coalesced.
    pub transactions: TransactionMode,
    /// When rows are set aside, and when that is too many.
    pub dead_letter: DeadLetter,
}

/// When rows are set aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeadLetter {
    /// Attempts before a refused row is parked.
    pub after: u32,
    /// Share of parked changes among those read (0 to 1) at which the flow stops.
    pub stop_at: f64,
}

/// Batch settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Five-field cron expression.
    pub schedule: Option<String>,
    /// IANA zone of the schedule; `site` is not resolved yet.
    pub timezone: String,
    /// The time a run may take.
    pub window: Option<Duration>,
    /// How rows meet those that are there.
    pub load: Load,
    /// The target column that says which interval a row belongs to.
    pub interval_by: Option<String>,
    /// Flows that must have published first.
    pub after: Vec<String>,
    /// What must hold before a run is published.
    pub checks: Vec<Check>,
    /// A run may publish no rows.
    pub zero_rows: bool,
    /// Runs missed while the engine was down.
    pub catch_up: CatchUp,
}

/// A quality check: an SQL condition over the staged rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The condition, an aggregate expression that yields a boolean.
    pub sql: String,
    /// What a failure means.
    pub on_fail: OnFail,
}

/// What a failed check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFail {
    /// The run is discarded.
    Fail,
    /// The run is published and says so.
    Warn,
}

/// Which missed runs are made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// The last one.
    Latest,
    /// All of them.
    All,
    /// None.
    None,
}

/// Reconciliation settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconcile {
    /// Five-field cron expression.
    pub schedule: Option<String>,
    /// IANA zone of the schedule.
    pub timezone: String,
    /// Limits of automatic repair; `None`: only report.
    pub repair: Option<Repair>,
}

/// Limits of automatic repair: beyond either, nothing is repaired and somebody is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repair {
    /// Most rows.
    pub max_rows: u64,
    /// Most rows as a share (0 to 1) of those compared.
    pub max_share: f64,
}

/// Which way changes are applied: what `[to] writer` and `mode` come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Changes are captured and applied.
    Events,
    /// Runs are staged and published.
    Runs,
    /// Nothing is written; changes are captured so that somebody else's work can be proved.
    Nothing,
}

impl Flow {
    /// Which way changes are applied.
    pub fn apply(&self) -> Apply {
        match (self.writer, self.mode) {
            (Writer::Other, _) => Apply::Nothing,
            (Writer::Flow, Mode::Batch) => Apply::Runs,
            (Writer::Flow, Mode::Event | Mode::Hybrid) => Apply::Events,
        }
    }

    /// Whether its sites are captured.
    pub fn captures(&self) -> bool {
        self.apply() != Apply::Runs
    }
}
