//! What a flow's generation stands for, as text: when it changes, the engine mints a new generation.
//!
//! Canonical text, not a hash: the engine can store it, compare it, and show which line changed. Sites, schedules,
//! limits and descriptions are not in it, because a change of those keeps the target's rows and progress valid.

use crate::flow::{Apply, Flow, From, NewColumns};
use std::fmt::Write;

/// The definition of a flow. Equal for flows of one generation, on every machine and in every version that writes
/// this form.
pub fn definition(flow: &Flow) -> String {
    let mut text = String::from("seamount flow definition 1\n");
    // Event and hybrid apply alike: a switch between them keeps rows and progress.
    let apply = match flow.apply() {
        Apply::Events => "events",
        Apply::Runs => "runs",
        Apply::Nothing => "nothing",
    };
    add(&mut text, "apply", apply);
    add(&mut text, "target", &flow.target);
    if let From::Files { pattern, types } = &flow.from {
        add(&mut text, "files", pattern);
        for (column, ty) in types {
            add(&mut text, "type", column);
            add(&mut text, "is", ty);
        }
    }
    for table in &flow.tables {
        add(&mut text, "table", &table.source);
        add(&mut text, "into", &table.target);
        match &table.key {
            Some(key) => key.iter().for_each(|column| add(&mut text, "key", column)),
            None => add(&mut text, "own key", ""),
        }
    }
    let columns =
        [("site column", &flow.site_column), ("owner", &flow.owner), ("sql", &flow.transform)];
    for (name, value) in columns {
        if let Some(value) = value {
            add(&mut text, name, value);
        }
    }
    if flow.new_columns == NewColumns::Ignore {
        add(&mut text, "new columns", "ignore");
    }
    text
}

/// One line, its value quoted so that no value can look like another line.
fn add(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name} {value:?}").expect("writing to a string cannot fail");
}
