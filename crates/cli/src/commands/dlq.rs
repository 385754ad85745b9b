//! `dlq`: dead letters. Row values are shown only by `show`, where they were asked for.

use super::flow_of;
use super::reconcile::ask_engine;
use crate::args::{Global, Letters};
use crate::assemble::{open, project, running, state_to_read};
use crate::exit::{DONE, Failure, REJECTED};
use crate::operator;
use crate::output::Output;
use crate::report::number;
use crate::time::{counted, instant};
use connect::{Clock, SystemClock};
use engine::{Act, Letter, LetterStatus, discard_letters, replay_letters};
use flow::{Flow, Project};
use serde_json::{Value, json};

pub(crate) fn run(global: &Global, what: &Letters, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    match what {
        Letters::List { flow, all } => {
            let which = if *all { None } else { Some(LetterStatus::Parked) };
            list(&project, flow_of(&project, flow)?, which, output)
        }
        Letters::Show { flow, id } => show(&project, flow_of(&project, flow)?, *id, output),
        Letters::Replay { flow, ids } => {
            let flow = flow_of(&project, flow)?.clone();
            replay(global, project, &flow, ids, output)
        }
        Letters::Discard { flow, ids, because } => {
            let flow = flow_of(&project, flow)?.clone();
            discard(global, project, &flow, ids, because, output)
        }
    }
}

fn stored(
    project: &Project,
    flow: &Flow,
    which: Option<LetterStatus>,
) -> Result<Vec<Letter>, Failure> {
    let Some(state) = state_to_read(project)? else { return Ok(Vec::new()) };
    let Some(identity) = state.flow(&flow.name)? else { return Ok(Vec::new()) };
    Ok(state.letters(identity.id, which)?)
}

fn list(
    project: &Project,
    flow: &Flow,
    which: Option<LetterStatus>,
    output: &Output,
) -> Result<u8, Failure> {
    let letters = stored(project, flow, which)?;
    for letter in &letters {
        let change = &letter.change;
        output.object(&json!({
            "type": "letter", "id": letter.id, "table": change.table, "op": format!("{:?}", change.op),
            "lane": change.lane.to_string(), "offset": change.offset.0, "reason": change.reason,
            "parked_at": letter.parked_at, "status": letter.status,
        }));
        output.line(&format!(
            "{:>6}  {}  {:<16} {:<8} {}",
            letter.id,
            instant(letter.parked_at),
            change.table,
            format!("{:?}", change.op).to_lowercase(),
            change.reason
        ));
    }
    let text = match letters.len() {
        0 => format!("{}: no letters wait", flow.name),
        n => format!(
            "{}: {}; seamount dlq replay {0} applies them again",
            flow.name,
            counted(n as u64, "letter")
        ),
    };
    output.summary(&text, &[("letters", json!(letters.len()))]);
    Ok(DONE)
}

fn show(project: &Project, flow: &Flow, id: i64, output: &Output) -> Result<u8, Failure> {
    let letters = stored(project, flow, None)?;
    let letter = letters.iter().find(|letter| letter.id == id);
    let letter = letter.ok_or_else(|| Failure::Usage(format!("there is no letter {id}")))?;
    let change = &letter.change;
    let cells: Vec<String> = change.row.iter().map(ToString::to_string).collect();
    output.object(&json!({
        "type": "letter", "id": id, "table": change.table, "op": format!("{:?}", change.op),
        "offset": change.offset.0, "ordinal": change.ordinal, "reason": change.reason,
        "row": cells, "status": letter.status, "note": letter.note,
    }));
    for (label, value) in [
        ("letter", id.to_string()),
        ("table", change.table.clone()),
        ("change", format!("{:?}", change.op).to_lowercase()),
        (
            "place",
            format!("lane {} offset {} change {}", change.lane, change.offset, change.ordinal),
        ),
        ("parked", instant(letter.parked_at)),
        ("reason", change.reason.clone()),
        ("row", cells.join("  ")),
        ("status", format!("{:?}", letter.status).to_lowercase()),
        ("note", letter.note.clone().unwrap_or_else(|| "-".into())),
    ] {
        output.line(&format!("{label:<8} {value}"));
    }
    output.summary(&format!("letter {id} of {}: {}", flow.name, change.reason), &[]);
    Ok(DONE)
}

fn replay(
    global: &Global,
    project: Project,
    flow: &Flow,
    ids: &[i64],
    output: &Output,
) -> Result<u8, Failure> {
    let wanted = (!ids.is_empty()).then_some(ids);
    let note = format!("replayed by {}", operator::user());
    let answer: Value = if running(&project).is_some() {
        let argument = json!({ "ids": wanted, "note": note });
        ask_engine(&project, "replay-letters", &flow.name, &argument)?
    } else {
        let held = open(project, global)?;
        let at = SystemClock::default().now();
        let detail = format!("flow {}, letters {}", flow.name, json!(wanted));
        held.engine.assembly.state.audit(Act { at, what: "dlq replay", detail })?;
        let done = replay_letters(&held.engine, flow, wanted, &note)?;
        json!({ "applied": done.applied, "refused": done.refused, "reason": done.reason })
    };
    answered(&answer)?;
    let (applied, refused) = (number(&answer, "applied"), number(&answer, "refused"));
    if let Some(reason) = answer["reason"].as_str() {
        output.talk(&format!("refused again: {reason}"));
    }
    let text =
        format!("{}: {} applied, {refused} refused again", flow.name, counted(applied, "letter"));
    output.summary(&text, &[("applied", json!(applied)), ("refused", json!(refused))]);
    Ok(if refused > 0 { REJECTED } else { DONE })
}

/// Fails where the running engine's answer is an error.
fn answered(answer: &Value) -> Result<(), Failure> {
    match answer["what"].as_str() {
        Some(what) => Err(connect::Error::unavailable(what).code("E0516").into()),
        None => Ok(()),
    }
}

fn discard(
    global: &Global,
    project: Project,
    flow: &Flow,
    ids: &[i64],
    because: &str,
    output: &Output,
) -> Result<u8, Failure> {
    let known = stored(&project, flow, Some(LetterStatus::Parked))?;
    if let Some(id) = ids.iter().find(|id| !known.iter().any(|letter| letter.id == **id)) {
        return Err(Failure::Usage(format!("no letter {id} of {} waits", flow.name)));
    }
    let note = format!("discarded by {}: {because}", operator::user());
    if running(&project).is_some() {
        let argument = json!({ "ids": ids, "note": note });
        answered(&ask_engine(&project, "discard-letters", &flow.name, &argument)?)?;
    } else {
        let held = open(project, global)?;
        let at = SystemClock::default().now();
        let listed: Vec<String> = ids.iter().map(i64::to_string).collect();
        let detail = format!("flow {}, letters {}: {note}", flow.name, listed.join(" "));
        held.engine.assembly.state.audit(Act { at, what: "dlq discard", detail })?;
        discard_letters(&held.engine, flow, ids, &note)?;
    }
    let text = format!(
        "{}: {} discarded; their changes will not be applied, and the next reconciliation shows them",
        flow.name,
        counted(ids.len() as u64, "letter")
    );
    output.summary(&text, &[("discarded", json!(ids.len()))]);
    Ok(DONE)
}
