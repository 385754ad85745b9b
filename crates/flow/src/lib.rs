//! What a user writes, checked: project, sites, flows; schedules; every problem said at once.

pub mod flow;

pub use flow::{
    Apply, Batch, CatchUp, Check, DeadLetter, Events, Flow, FlowTable, From, Group, LogSettings,
    Mode, NewColumns, OnFail, Project, Reconcile, Repair, Site, TransactionMode, Writer,
};
