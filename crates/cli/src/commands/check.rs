//! `check`: everything that is wrong, at once; with `--online`, what the sites say to it.

use crate::args::Global;
use crate::assemble::{connectors, project};
use crate::exit::{DONE, Failure};
use crate::inspect::Asking;
use crate::output::Output;
use crate::time::counted;
use flow::check::online::word;
use serde_json::json;

pub(crate) fn run(global: &Global, online: bool, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let counts = format!(
        "{}, {}",
        counted(project.flows.len() as u64, "flow"),
        counted(project.sites.len() as u64, "site")
    );
    if !online {
        output.summary(&format!("{counts}: no problem in the files"), &[]);
        return Ok(DONE);
    }
    let known = connectors();
    let mut asking = Asking::new(&project, &known);
    let sql = query::Sql::new();
    let mut problems = Vec::new();
    for flow in &project.flows {
        let (found, report) = flow::check_online(&project, flow, &mut asking, &sql);
        problems.extend(found);
        output.line(&flow.name);
        for mode in &report.modes {
            let mark = if mode.runs { "can" } else { "cannot" };
            let here = if mode.mode == flow.mode { "*" } else { " " };
            output.line(&format!("  {here} {:<7} {mark:<7} {}", word(mode.mode), mode.says));
            output.object(&json!({
                "type": "mode", "flow": flow.name, "mode": word(mode.mode), "runs": mode.runs,
                "says": mode.says,
            }));
        }
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    if errors > 0 && errors == asking.unanswered() {
        return Err(Failure::Unreachable(problems));
    }
    if errors > 0 {
        return Err(Failure::Project(problems));
    }
    output.problems(&problems);
    output.summary(&format!("{counts}: no problem in the files or at the sites"), &[]);
    Ok(DONE)
}
