//! `audit`: what was done here and by whom, and whether the record of it is whole. Needs no site and no engine.

use super::certificate::verify;
use crate::args::{Audit, Global};
use crate::assemble::{heads_file, project, state_to_read};
use crate::exit::{DONE, FAILED, Failure};
use crate::output::Output;
use crate::time::{counted, instant};
use connect::Error;
use engine::{AuditEntry, kept_heads, verify_audit};
use flow::Project;
use proof::{Head, LinkFault, Linked};
use serde_json::json;

pub(crate) fn run(global: &Global, what: &Audit, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    let entries = match state_to_read(&project)? {
        Some(state) => state.audit_entries()?,
        None => Vec::new(),
    };
    match what {
        Audit::List { most } => Ok(list(&entries, *most, output)),
        Audit::Head => Ok(head(&entries, output)),
        Audit::Verify { head } => verify(&project, &entries, head.as_deref(), output),
    }
}

fn list(entries: &[AuditEntry], most: usize, output: &Output) -> u8 {
    for entry in entries.iter().rev().take(most).rev() {
        output.line(&format!(
            "{:>6}  {}  {:<20} {:<12} {}",
            entry.number,
            instant(entry.at),
            entry.who,
            entry.what,
            entry.detail
        ));
        output.object(&json!({
            "type": "audit", "number": entry.number, "at": entry.at, "who": entry.who,
            "command": entry.command, "what": entry.what, "detail": entry.detail,
            "previous": entry.previous, "hash": entry.hash,
        }));
    }
    output.summary(&counted(entries.len() as u64, "act"), &[("entries", json!(entries.len()))]);
    DONE
}

fn head(entries: &[AuditEntry], output: &Output) -> u8 {
    let newest = entries.last().map(AuditEntry::head);
    let text = newest.as_ref().map_or("nothing was ever done here".into(), Head::to_string);
    let fields = [
        ("number", json!(newest.as_ref().map(|head| head.number))),
        ("hash", json!(newest.as_ref().map(|head| &head.hash))),
    ];
    output.summary(&text, &fields);
    DONE
}

fn verify(
    project: &Project,
    entries: &[AuditEntry],
    given: Option<&str>,
    output: &Output,
) -> Result<u8, Failure> {
    let mut kept = kept_heads(&heads_file(project))?;
    if let Some(text) = given {
        let head = Head::parse(text).ok_or_else(|| {
            Failure::Usage(format!("{text} is no head: NUMBER:HASH, as seamount audit head says"))
        })?;
        kept.push(head);
    }
    let newest = match verify_audit(entries, &kept) {
        Ok(newest) => newest,
        Err(fault) => {
            let error = broken(&fault)
                .effect("what it says of this entry and of those behind it cannot be relied on");
            output.error(&error);
            let fields = [("first_bad", json!(fault.number()))];
            let text = format!("the audit log is broken: {}", fault.told("entry"));
            output.summary(&text, &fields);
            return Ok(FAILED);
        }
    };
    // Every certificate that it tells of must still be there.
    let chains = match state_to_read(project)? {
        Some(state) => verify::chains(project, &state, entries, verify::Wanted::default())?,
        None => Vec::new(),
    };
    if let Some(broken) = chains.iter().find_map(verify::Chain::broken) {
        output.error(&broken.error());
        output.summary(&broken.summary(), &broken.fields());
        return Ok(FAILED);
    }
    let head = newest.map_or("-".into(), |head| head.to_string());
    let text = format!(
        "{} in an unbroken chain, {} beside it; newest {head}",
        counted(entries.len() as u64, "act"),
        counted(kept.len() as u64, "head")
    );
    let fields =
        [("entries", json!(entries.len())), ("heads", json!(kept.len())), ("head", json!(head))];
    output.summary(&text, &fields);
    Ok(DONE)
}

/// The error of an audit log that is broken at a place.
pub(super) fn broken(fault: &LinkFault) -> Error {
    Error::corrupt("the audit log is not what was written")
        .found(fault.told("entry"))
        .fix("compare with a copy of the state folder; find who can write it")
        .code("E0520")
}
