//! What makes a flow's generation: everything that decides which rows come out, and where.

use flow::{Apply, Flow};

/// The text that is compared with the stored one: a flow whose text differs gets a new generation. Event and
/// hybrid apply alike, so that switching between them keeps it; schedules, checks and limits do not enter.
pub(crate) fn definition(flow: &Flow) -> String {
    let apply = match flow.apply() {
        Apply::Events => "events",
        Apply::Runs => "runs",
        Apply::Nothing => "nothing",
    };
    let tables: Vec<String> = flow
        .tables
        .iter()
        .map(|table| format!("{} -> {} by {:?}", table.source, table.target, table.key))
        .collect();
    format!(
        "{apply}\nto {}\n{}\nowner {:?} site column {:?} new columns {:?}\n{}",
        flow.target,
        tables.join("\n"),
        flow.owner,
        flow.site_column,
        flow.new_columns,
        flow.transform.as_deref().unwrap_or("as it is")
    )
}
