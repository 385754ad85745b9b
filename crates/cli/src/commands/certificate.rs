//! `certificate`: what was proved, and whether the chain of proofs is whole. Needs no site and no engine.

use super::flow_of;
use crate::args::{Certificates, Global};
use crate::assemble::{project, state_to_read};
use crate::exit::{DONE, FAILED, Failure};
use crate::output::Output;
use crate::time::{counted, instant};
use change::FlowId;
use engine::State;
use proof::{Certificate, verify_stored};
use serde_json::{Value, json};

pub(crate) fn run(global: &Global, what: &Certificates, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let none = || Failure::Usage("nothing was ever proved here: seamount reconcile FLOW".into());
    let state = state_to_read(&project)?.ok_or_else(none)?;
    let flow_id = |name: &str| -> Result<FlowId, Failure> {
        flow_of(&project, name)?;
        Ok(state.flow(name)?.ok_or_else(none)?.id)
    };
    match what {
        Certificates::List { flow } => list(&state, flow_id(flow)?, output),
        Certificates::Show { number } => show(&state, *number, output),
        Certificates::Verify { flow } => verify(&state, flow, flow_id(flow)?, output),
    }
}

fn list(state: &State, flow: FlowId, output: &Output) -> Result<u8, Failure> {
    let mut all = state.certificates(Some(flow))?;
    all.reverse();
    for stored in &all {
        match Certificate::read(&stored.body) {
            Ok(certificate) => output.line(&format!(
                "{:>6}  {}  {:<12} {:<16} {}",
                stored.number,
                instant(stored.made_at),
                certificate.site,
                certificate.target_table,
                certificate.says
            )),
            Err(found) => output.line(&format!("{:>6}  reads back wrong: {found}", stored.number)),
        }
        output.object(&json!({
            "type": "certificate", "number": stored.number, "made_at": stored.made_at,
            "verdict": stored.verdict,
        }));
    }
    output
        .summary(&counted(all.len() as u64, "certificate"), &[("certificates", json!(all.len()))]);
    Ok(DONE)
}

fn show(state: &State, number: i64, output: &Output) -> Result<u8, Failure> {
    let all = state.certificates(None)?;
    let stored = all.iter().find(|stored| stored.number == number);
    let stored =
        stored.ok_or_else(|| Failure::Usage(format!("there is no certificate {number}")))?;
    match Certificate::read(&stored.body) {
        Ok(certificate) => {
            output.line(&certificate.to_string());
            let body: Value = serde_json::from_slice(&stored.body).unwrap_or(Value::Null);
            output.object(&json!({ "type": "certificate", "number": number, "body": body }));
            output.summary(&format!("certificate {number}: {}", certificate.says), &[]);
            Ok(DONE)
        }
        Err(found) => {
            output.summary(&format!("certificate {number} reads back wrong: {found}"), &[]);
            Ok(FAILED)
        }
    }
}

fn verify(state: &State, name: &str, flow: FlowId, output: &Output) -> Result<u8, Failure> {
    let bodies: Vec<Vec<u8>> =
        state.certificates(Some(flow))?.into_iter().map(|c| c.body).collect();
    match verify_stored(&bodies) {
        Ok(chain) => {
            let head = chain.last().map_or("-", |newest| newest.hash.as_str());
            let text = format!(
                "{name}: {} in an unbroken chain, newest {head}",
                counted(chain.len() as u64, "certificate")
            );
            output.summary(&text, &[("certificates", json!(chain.len())), ("head", json!(head))]);
            Ok(DONE)
        }
        Err(fault) => {
            output.summary(&format!("{name}: the chain is broken: {fault}"), &[]);
            Ok(FAILED)
        }
    }
}
