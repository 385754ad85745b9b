//! What is asked of the sites before a flow is let in: nothing is made at a source or a target for a flow that
//! cannot run there.
//!
//! A site that is down is no reason to stay out: the others go on without it, and it is shown as down.

use crate::assemble::{connectors, running, state_to_read};
use crate::exit::Failure;
use crate::inspect::Asking;
use flow::{Flow, Problem, Project};

/// Codes that say that a flow cannot run at its sites as it is written.
const CANNOT_RUN: &[&str] =
    &["E0402", "E0403", "E0404", "E0406", "E0408", "E0410", "E0411", "E0415", "E0416", "E0420"];

/// Refuses flows that their sites forbid.
///
/// # Errors
/// Everything that the sites say against them.
pub(crate) fn refuse(project: &Project, flows: &[&Flow]) -> Result<(), Failure> {
    if running(project).is_some() {
        // The lock says so, and sooner.
        return Ok(());
    }
    let known = connectors();
    let sql = query::Sql::new();
    let mut problems: Vec<Problem> = Vec::new();
    for flow in flows {
        let mut asking = Asking::new(project, &known);
        let (found, _) = flow::check_online(project, flow, &mut asking, &sql);
        problems.extend(found.into_iter().filter(|problem| CANNOT_RUN.contains(&problem.code)));
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Project(problems)),
    }
}

/// Flows that never ran: a service starts the others as they are, since one that was broken meanwhile must not keep
/// the rest from moving.
pub(crate) fn newcomers<'f>(
    project: &Project,
    flows: &'f [Flow],
) -> Result<Vec<&'f Flow>, Failure> {
    let Some(state) = state_to_read(project)? else { return Ok(flows.iter().collect()) };
    let mut new = Vec::new();
    for flow in flows {
        if state.flow(&flow.name)?.is_none() {
            new.push(flow);
        }
    }
    Ok(new)
}
