//! What a flow's generation stands for, as text: when it changes, the engine mints a new generation.
//!
//! Canonical text, not a hash: the engine can store it, compare it, and show which line changed. Sites, schedules,
//! limits and descriptions are not in it, because a change of those keeps the target's rows and progress valid.

use crate::flow::{Apply, Flow, From, NewColumns, Site};
use std::collections::BTreeMap;
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

/// The masks that a flow's rows come through; empty where there are none. Sites of one mask are not named, so that
/// one more of them changes nothing.
pub fn masks(flow: &Flow, sites: &BTreeMap<String, Site>) -> String {
    let mut text = String::new();
    for table in &flow.tables {
        let read = flow.sites.iter().filter_map(|name| sites.get(name));
        let of = |site: &Site| site.settings.masks.definition(&table.source);
        let all: Vec<(&str, String)> = read.map(|site| (site.name.as_str(), of(site))).collect();
        let alike = all.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let told = if alike { &all[..all.len().min(1)] } else { &all[..] };
        for (site, mask) in told.iter().filter(|(_, mask)| !mask.is_empty()) {
            add(&mut text, "mask of", &table.source);
            if !alike {
                add(&mut text, "at", site);
            }
            add(&mut text, "is", mask);
        }
    }
    text
}

/// One line, its value quoted so that no value can look like another line.
fn add(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name} {value:?}").expect("writing to a string cannot fail");
}
