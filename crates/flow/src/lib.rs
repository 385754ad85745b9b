//! What a user writes, checked: project, sites, flows; schedules; every problem said at once.

pub mod check;
pub mod cron;
pub mod diagnostic;
pub mod due;
pub mod explain;
pub mod fingerprint;
pub mod flow;
pub mod init;
pub mod load;
pub mod schedule;
pub mod source_text;
pub mod spec;
pub mod suggest;

pub use check::online::{FlowReport, Inspect, ModeReport, check_online};
pub use check::template::template;
pub use diagnostic::{Paint, Place, Problem, Severity, Spot};
pub use due::Served;
pub use flow::{
    Apply, Batch, CatchUp, Check, DeadLetter, Events, Flow, FlowTable, From, Group, LogSettings,
    Mode, NewColumns, OnFail, Project, Reconcile, Repair, Site, TransactionMode, Writer,
};
pub use load::{Context, Reading, load, read};
pub use schedule::{Interval, Schedule, ScheduleError};
