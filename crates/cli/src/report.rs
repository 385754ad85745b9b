//! Proofs as people and programs read them.

use crate::output::Output;
use crate::time::{count, counted, instant, span};
use engine::Reconciliation;
use proof::{Difference, DifferenceKind, LogChange, TableProof, Tier, Verdict};
use serde_json::{Value, json};

/// A reconciliation, in a form that survives a process boundary: what a service answers, and what is printed.
pub(crate) fn reconciliation(flow: &str, done: &Reconciliation, most: usize) -> Value {
    let verdict = done.verdict();
    let listed: usize = done.found.iter().map(|proof| proof.differences.len()).sum();
    let wrong: u64 = done.found.iter().map(TableProof::wrong).sum();
    json!({
        "flow": flow,
        "tier": done.tier.name(),
        "verdict": verdict.name(),
        "says": verdict.to_string(),
        "rows": done.rows(),
        "differences": wrong,
        "listed": listed.min(most),
        "repaired": done.repaired,
        "dropped": done.dropped,
        "refused": done.refused,
        "by_hand": done.by_hand.iter().map(by_hand).collect::<Vec<_>>(),
        "certificates": done.certificates.iter().map(|n| format!("{flow}/{n}")).collect::<Vec<_>>(),
        "tables": done.found.iter().map(table).collect::<Vec<_>>(),
        "after": done.after.iter().map(table).collect::<Vec<_>>(),
        "rows_that_differ": done
            .found
            .iter()
            .flat_map(|proof| proof.differences.iter().map(move |d| difference(proof, d)))
            .take(most)
            .collect::<Vec<_>>(),
    })
}

fn by_hand((table, key): &(String, change::Key)) -> Value {
    json!({ "table": table, "key": key.0.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

fn table(proof: &TableProof) -> Value {
    json!({
        "type": "table",
        "site": proof.site,
        "table": proof.target_table,
        "verdict": proof.verdict.name(),
        "says": proof.says(),
        "reason": match &proof.verdict {
            Verdict::Unproven(reason) => Some(reason.name()),
            _ => None,
        },
        "rows": proof.rows,
        "source_rows": proof.source_rows,
        "target_rows": proof.target_rows,
        "touched": proof.touched,
        "unconfirmed": proof.unconfirmed,
        "parked": proof.parked,
        "systematic": proof.systematic.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rows_behind": proof.lag.as_ref().map(|lag| lag.rows_behind),
        "longest_lag_us": proof.lag.as_ref().map(|lag| lag.longest_us),
        "longest_cut_us": proof.longest_cut_us,
    })
}

fn difference(proof: &TableProof, difference: &Difference) -> Value {
    let cells = |row: &Option<Vec<change::Value>>| {
        row.as_ref().map(|cells| cells.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let columns = match &difference.kind {
        DifferenceKind::Changed { columns } => columns.clone(),
        _ => Vec::new(),
    };
    json!({
        "type": "difference",
        "site": proof.site,
        "table": proof.target_table,
        "key": difference.key.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "kind": difference.kind.name(),
        "side": difference.side.to_string(),
        "columns": columns,
        "expected": cells(&difference.expected),
        "found": cells(&difference.found),
        "known_at": difference.known_at.0,
        "newest_change": difference.newest_change.map(|offset| offset.0),
        "target_columns": proof.columns,
        "changes": difference.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

/// A change that led to a difference.
fn change(change: &LogChange) -> Value {
    json!({
        "offset": change.offset.0,
        "position": change.position,
        "at": instant(change.at),
        "what": change.kind,
        "shown_by": change.shown.name(),
    })
}

/// Prints an answer of [`reconciliation`].
pub(crate) fn print(output: &Output, answer: &Value) {
    for table in list(&answer["tables"]) {
        output.object(table);
        if table["verdict"] != "EQUAL" {
            let text = |field: &str| table[field].as_str().unwrap_or_default().to_string();
            output.line(&format!("{}  {}  {}", text("site"), text("table"), text("says")));
        }
    }
    for row in list(&answer["rows_that_differ"]) {
        output.object(row);
        output.line(&difference_line(row));
    }
    let (listed, wrong) = (number(answer, "listed"), number(answer, "differences"));
    if wrong > listed {
        output.line(&format!("    ... and {} more", count(wrong - listed)));
    }
    if let Some(refused) = answer["refused"].as_str() {
        output.talk(&format!("not repaired: {refused}"));
    }
    for row in list(&answer["by_hand"]) {
        output.talk(&format!(
            "delete by hand at the target: {} ({}), whose key no column of the key can hold",
            row["table"].as_str().unwrap_or_default(),
            words(&row["key"])
        ));
    }
    for table in list(&answer["after"]) {
        let mut again = table.clone();
        again["type"] = json!("table_after_repair");
        output.object(&again);
    }
}

/// Texts of a list, with commas.
fn words(texts: &Value) -> String {
    list(texts).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn difference_line(row: &Value) -> String {
    let word = |field: &str| row[field].as_str().unwrap_or_default();
    let columns = match words(&row["columns"]) {
        columns if columns.is_empty() => String::new(),
        columns => format!("  in {columns}"),
    };
    format!(
        "    {:<11} {}  ({})  {} side{columns}",
        word("kind"),
        word("site"),
        words(&row["key"]),
        word("side")
    )
}

/// The one line that ends a reconciliation.
pub(crate) fn summary(answer: &Value) -> String {
    let flow = answer["flow"].as_str().unwrap_or_default();
    let says = answer["says"].as_str().unwrap_or_default();
    let rows = counted(number(answer, "rows"), "row");
    let wrong = number(answer, "differences");
    let (repaired, dropped) = (number(answer, "repaired"), number(answer, "dropped"));
    let mut text = format!("{flow}: {says}; {rows} compared");
    if wrong > 0 {
        text.push_str(&format!(", {} found", counted(wrong, "difference")));
    }
    if repaired + dropped > 0 {
        text.push_str(&format!(", {} repaired", counted(repaired, "row")));
    }
    if dropped > 0 {
        text.push_str(&format!(", {} left alone (something newer came)", count(dropped)));
    }
    let behind: u64 = list(&answer["tables"]).iter().map(|t| number(t, "rows_behind")).sum();
    if behind > 0 {
        text.push_str(&format!(", {} behind within max_lag", counted(behind, "row")));
    }
    let longest = list(&answer["tables"]).iter().map(|t| number(t, "longest_cut_us")).max();
    if answer["tier"] == Tier::Ledger.name() {
        let read = list(&answer["tables"]).iter().map(|t| number(t, "source_rows")).sum();
        text.push_str(&match read {
            0 => "; by the ledger of the log, the source was not read".into(),
            rows => {
                format!("; by the ledger of the log, and {} of the source", counted(rows, "row"))
            }
        });
    } else if let Some(longest) = longest {
        text.push_str(&format!("; longest cut {}", span(longest)));
    }
    text
}

/// The exit code of an answer.
pub(crate) fn exit_code(answer: &Value) -> u8 {
    match answer["verdict"].as_str() {
        Some("EQUAL") => crate::exit::DONE,
        Some("DIFFERENT") => crate::exit::DIFFERENT,
        _ => crate::exit::UNPROVEN,
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or(0)
}
