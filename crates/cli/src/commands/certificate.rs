//! `certificate`: what was proved, and whether the proofs are what was sealed. Needs no site and no engine.

mod broken;
pub(super) mod verify;

use super::flow_of;
use crate::args::{Certificates, Global};
use crate::assemble::{project, state_to_read};
use crate::exit::{DONE, FAILED, Failure};
use crate::output::Output;
use crate::proven::{self, Proven, Worth};
use crate::time::{counted, instant};
use change::FlowId;
use connect::Error;
use engine::State;
use flow::Project;
use proof::{Certificate, Linked, Page};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

pub(crate) fn run(global: &Global, what: &Certificates, output: &Output) -> Result<u8, Failure> {
    match what {
        Certificates::List { flow, all } => {
            let (project, state) = opened(global, output)?;
            list(&flows(&project, &state, flow.as_deref())?, &state, *all, output)
        }
        Certificates::Show { certificate, html } => {
            let (project, state) = opened(global, output)?;
            show(&project, &state, certificate, html.as_deref(), output)
        }
        Certificates::Verify(what) => verify::run(global, what, output),
        Certificates::Export { flow, to, after } => {
            let (project, state) = opened(global, output)?;
            export(&flows(&project, &state, flow.as_deref())?, &state, to, *after, output)
        }
    }
}

fn opened(global: &Global, output: &Output) -> Result<(Project, State), Failure> {
    let project = project(global, output)?;
    let state = state_to_read(&project)?.ok_or_else(nothing)?;
    Ok((project, state))
}

fn nothing() -> Failure {
    Failure::Usage("nothing was ever proved here: seamount reconcile FLOW".into())
}

/// A flow of the project that has run, or all of them, each with its name.
fn flows(
    project: &Project,
    state: &State,
    name: Option<&str>,
) -> Result<Vec<(String, FlowId)>, Failure> {
    let names: Vec<&str> = match name {
        Some(name) => vec![flow_of(project, name)?.name.as_str()],
        None => project.flows.iter().map(|flow| flow.name.as_str()).collect(),
    };
    let mut found = Vec::new();
    for known in names {
        match state.flow(known)? {
            Some(identity) => found.push((known.to_string(), identity.id)),
            None if name.is_some() => return Err(nothing()),
            None => {}
        }
    }
    Ok(found)
}

fn list(
    flows: &[(String, FlowId)],
    state: &State,
    whole: bool,
    output: &Output,
) -> Result<u8, Failure> {
    let mut listed: Vec<(&str, Proven)> = Vec::new();
    for (name, flow) in flows {
        let all = proven::all(state, *flow)?;
        let wanted = if whole { all } else { proven::newest(all) };
        listed.extend(wanted.into_iter().map(|proven| (name.as_str(), proven)));
    }
    match whole {
        true => listed.sort_by_key(|(_, proven)| -proven.stored.place),
        false => listed.sort_by_key(|(_, proven)| proven.worth()),
    }
    for (flow, proven) in &listed {
        line(flow, proven, output);
    }
    let of = |worth: Worth| listed.iter().filter(|(_, proven)| proven.worth() == worth).count();
    let fields = [
        ("certificates", json!(listed.len())),
        ("damaged", json!(of(Worth::Damaged))),
        ("different", json!(of(Worth::Different))),
        ("unproven", json!(of(Worth::Unproven) + of(Worth::Empty))),
        ("equal", json!(of(Worth::Equal))),
    ];
    let mut text = counted(listed.len() as u64, "certificate");
    for (name, number) in fields.iter().skip(1).filter(|(_, number)| *number != 0) {
        text.push_str(&format!(", {number} {name}"));
    }
    output.summary(&text, &fields);
    Ok(DONE)
}

fn line(flow: &str, proven: &Proven, output: &Output) {
    let made = instant(proven.stored.made_at);
    match &proven.read {
        Ok(c) => output.line(&format!(
            "{:<16} {made}  {}.{} -> {}  {}",
            c.name(),
            c.site,
            c.source_table,
            c.target_table,
            c.says
        )),
        Err(_) => output.line(&format!("{flow:<16} {made}  {}", proven.says())),
    }
    let read = proven.read.as_ref().ok();
    output.object(&json!({
        "type": "certificate",
        "flow": flow,
        "number": read.map(|c| c.number),
        "site": read.map(|c| &c.site),
        "table": read.map(|c| &c.target_table),
        "made_at": proven.stored.made_at,
        "verdict": read.map_or("DAMAGED", |c| c.verdict.as_str()),
        "says": proven.says(),
        "hash": read.map(|c| &c.hash),
    }));
}

/// The certificate that is meant by `FLOW/NUMBER` or `FLOW`. One that cannot be read has no name: it is looked for by
/// its place.
fn named(project: &Project, state: &State, name: &str) -> Result<Proven, Failure> {
    let (flow, number) = match name.rsplit_once('/') {
        Some((flow, number)) => {
            let wrong = || Failure::Usage(format!("{name} names no certificate: FLOW/NUMBER"));
            (flow, Some(number.parse::<i64>().map_err(|_| wrong())?))
        }
        None => (name, None),
    };
    let flow = flows(project, state, Some(flow))?.pop().ok_or_else(nothing)?.1;
    let mut all = proven::all(state, flow)?;
    all.retain(|proven| !proof::is_of_older_format(&proven.stored.body));
    let place = match number {
        None => all.len().checked_sub(1),
        Some(number) => {
            let is = |proven: &Proven| proven.read.as_ref().is_ok_and(|c| c.number == number);
            let in_place = usize::try_from(number - 1).ok();
            all.iter().position(is).or_else(|| {
                in_place.filter(|place| all.get(*place).is_some_and(|proven| proven.read.is_err()))
            })
        }
    };
    let place = place.ok_or_else(|| Failure::Usage(format!("there is no certificate {name}")))?;
    Ok(all.swap_remove(place))
}

fn show(
    project: &Project,
    state: &State,
    name: &str,
    html: Option<&Path>,
    output: &Output,
) -> Result<u8, Failure> {
    let proven = named(project, state, name)?;
    let certificate = match &proven.read {
        Ok(certificate) => certificate,
        Err(found) => {
            output.error(&broken::damaged(name, found));
            output.summary(&format!("certificate {name} is damaged: {found}"), &[]);
            return Ok(FAILED);
        }
    };
    let said = format!("certificate {}: {}", certificate.name(), certificate.says);
    if let Some(path) = html {
        write_new(path, Page(certificate).to_string().as_bytes())?;
        let fields = [("file", json!(path)), ("head", json!(certificate.head().to_string()))];
        output.summary(&format!("{said}; written to {}", path.display()), &fields);
        return Ok(DONE);
    }
    output.line(&certificate.to_string());
    let body: Value = serde_json::from_slice(&proven.stored.body).unwrap_or(Value::Null);
    let number = certificate.number;
    output.object(&json!({ "type": "certificate", "number": number, "body": body }));
    output.summary(&said, &[("head", json!(certificate.head().to_string()))]);
    Ok(DONE)
}

/// Writes certificates as they are stored, damaged or not: what is wrong with them is said wherever they are verified.
fn export(
    flows: &[(String, FlowId)],
    state: &State,
    to: &Path,
    after: Option<i64>,
    output: &Output,
) -> Result<u8, Failure> {
    let (mut file, mut number, mut behind, mut newest) = (Vec::new(), 0, None, None);
    for (_, flow) in flows {
        for proven in proven::all(state, *flow)? {
            let read: Option<&Certificate> = proven.read.as_ref().ok();
            if read.is_some_and(|c| after.is_some_and(|after| c.number <= after)) {
                behind = read.map(Linked::head);
                continue;
            }
            if proof::is_of_older_format(&proven.stored.body) {
                continue;
            }
            file.extend_from_slice(&proven.stored.body);
            number += 1;
            newest = read.map(Linked::head);
        }
    }
    if number == 0 {
        return Err(Failure::Usage("there is no certificate to export".into()));
    }
    write_new(to, &file)?;
    let head = newest.filter(|_| flows.len() == 1).map(|head| head.to_string());
    let behind = behind.map(|head| head.to_string());
    let mut text = format!("{} written to {}", counted(number, "certificate"), to.display());
    if let Some(behind) = &behind {
        text.push_str(&format!(", to be verified with --after {behind}"));
    }
    if let Some(head) = &head {
        text.push_str(&format!("; newest {head}"));
    }
    let fields = [("certificates", json!(number)), ("head", json!(head)), ("after", json!(behind))];
    output.summary(&text, &fields);
    Ok(DONE)
}

/// Writes a file that is not there yet: no certificate takes another's place.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let failed = |e: std::io::Error| {
        Error::invalid(format!("{} cannot be written", path.display()))
            .found(e.to_string())
            .effect("nothing was exported")
            .fix("name a file that is not there yet, in a folder that you may write")
    };
    Ok(written.map_err(failed)?)
}
