//! One function for each command.

mod audit;
mod certificate;
mod check;
mod demo;
mod dlq;
mod explain;
mod init;
mod pause;
mod plan;
mod reconcile;
mod replay;
mod resync;
mod retention;
mod run;
mod runs;
mod service;
mod sites;
mod standstill;
mod status;

use crate::args::{Command, Typed};
use crate::exit::{DONE, Failure};
use crate::output::Output;
use serde_json::json;

/// Runs what was typed; gives the exit code.
pub(crate) fn run(typed: &Typed, output: &Output) -> Result<u8, Failure> {
    let global = &typed.global;
    match &typed.command {
        Command::Demo(what) => demo::run(what, output),
        Command::Init(what) => init::run(global, what, output),
        Command::Sites { what } => sites::run(global, what.as_ref(), output),
        Command::Check { online } => check::run(global, *online, output),
        Command::Plan { detailed_exitcode } => plan::run(global, *detailed_exitcode, output),
        Command::Run(what) => run::run(global, what, output),
        Command::Runs { what } => runs::run(global, what.as_ref(), output),
        Command::Status { flow } => status::run(global, flow.as_deref(), output),
        Command::Diff(what) => reconcile::diff(global, what, output),
        Command::Reconcile(what) => reconcile::run(global, what, output),
        Command::Certificate { what } => certificate::run(global, what, output),
        Command::Dlq { what } => dlq::run(global, what, output),
        Command::Resync { flow } => resync::run(global, flow, output),
        Command::Replay(what) => replay::run(global, what, output),
        Command::Pause { flow } => pause::run(global, flow, pause::Wanted::Paused, output),
        Command::Resume { flow } => pause::run(global, flow, pause::Wanted::Live, output),
        Command::Audit { what } => audit::run(global, what, output),
        Command::Explain { code } => explain::run(code.as_deref(), output),
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION");
            output.summary(&format!("seamount {version}"), &[("version", json!(version))]);
            Ok(DONE)
        }
    }
}

/// A flow of a project, by name.
pub(crate) fn flow_of<'p>(
    project: &'p flow::Project,
    name: &str,
) -> Result<&'p flow::Flow, Failure> {
    project.flows.iter().find(|flow| flow.name == name).ok_or_else(|| {
        let known: Vec<&str> = project.flows.iter().map(|flow| flow.name.as_str()).collect();
        Failure::Usage(format!("there is no flow {name}; flows are: {}", known.join(", ")))
    })
}
