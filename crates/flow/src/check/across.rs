//! Flows beside each other: one writer for each table, no circle of flows.

use super::flow::{mode, writer};
use crate::diagnostic::Problem;
use crate::flow::{Flow, Mode, Writer};
use crate::source_text::{At, SourceText};
use crate::spec::flow::FlowSpec;
use crate::suggest::nearest;
use std::collections::{BTreeMap, BTreeSet};

/// A flow file with what was read of it.
pub(crate) struct Draft {
    /// The flow's name.
    pub(crate) name: String,
    /// Its file.
    pub(crate) source: SourceText,
    /// What is written there; `None` when it is not TOML.
    pub(crate) spec: Option<FlowSpec>,
    /// The flow, when nothing is wrong with it alone.
    pub(crate) flow: Option<Flow>,
}

/// Checks all flows against each other.
pub(crate) fn check(drafts: &[Draft]) {
    check_after(drafts);
    check_writers(drafts);
    check_circles(drafts);
}

/// `after` names flows that publish runs.
fn check_after(drafts: &[Draft]) {
    for (draft, spec) in read(drafts) {
        for name in &spec.batch.after {
            let Some(first) = drafts.iter().find(|d| d.name == name.value) else {
                unknown_flow(draft, name, drafts);
                continue;
            };
            let publishes = first.spec.as_ref().is_none_or(|spec| {
                matches!(mode(spec), None | Some(Mode::Batch)) && writer(spec) == Writer::Flow
            });
            if mode(spec) == Some(Mode::Batch) && !publishes {
                draft.source.report(
                    Problem::error(
                        "E0307",
                        format!("`{}` publishes no runs to wait for", name.value),
                    )
                    .at(draft.source.place(&name.span, "this flow moves events, or only proves"))
                    .effect("this flow would wait for ever")
                    .fix(format!("remove it, or give {} mode = \"batch\"", name.value)),
                );
            }
        }
    }
}

/// Flows whose files are TOML.
fn read(drafts: &[Draft]) -> impl Iterator<Item = (&Draft, &FlowSpec)> {
    drafts.iter().filter_map(|draft| Some((draft, draft.spec.as_ref()?)))
}

/// Reports a flow that does not exist.
fn unknown_flow(draft: &Draft, name: &At<String>, drafts: &[Draft]) {
    let meant = nearest(&name.value, drafts.iter().map(|d| d.name.as_str()));
    let label = meant.map_or("no file flows/NAME.toml".into(), |m| format!("did you mean `{m}`?"));
    draft.source.report(
        Problem::error(
            "E0306",
            format!("`batch.after` waits for `{}`, which is no flow", name.value),
        )
        .at(draft.source.place(&name.span, label))
        .effect("this flow would wait for ever")
        .fix(meant.map_or("remove it".into(), |m| format!("write \"{m}\""))),
    );
}

/// Two flows write one table only when each has sites of its own and an owner column keeps them apart; and no flow
/// writes the table that it reads.
fn check_writers(drafts: &[Draft]) {
    let mut writers: BTreeMap<(String, String), Vec<(&Draft, &Flow)>> = BTreeMap::new();
    for draft in drafts {
        let Some(flow) = &draft.flow else { continue };
        if flow.writer == Writer::Other {
            continue;
        }
        let targets: BTreeSet<&String> = flow.tables.iter().map(|t| &t.target).collect();
        for table in targets {
            let reads = flow.from == crate::flow::From::Tables
                && flow.sites.contains(&flow.target)
                && flow.tables.iter().any(|t| t.source.eq_ignore_ascii_case(table));
            if reads {
                report_target(
                    draft,
                    "E0318",
                    "this flow writes the table that it reads",
                    &format!("`{table}` at `{}` is its source too", flow.target),
                    "its own writes would come back as changes, for ever",
                    "table = \"...\"      # another name, in [to]",
                );
            }
            writers
                .entry((flow.target.clone(), table.to_lowercase()))
                .or_default()
                .push((draft, flow));
        }
    }
    for ((site, table), flows) in &writers {
        for (n, (draft, flow)) in flows.iter().enumerate() {
            let other = flows[..n].iter().find(|(_, other)| !apart(flow, other));
            let Some((_, other)) = other else { continue };
            report_target(
                draft,
                "E0319",
                "two flows write one table",
                &format!("flow `{}` writes `{table}` at `{site}` too", other.name),
                "each would remove or overwrite the rows of the other",
                "table = \"...\"      # another name, in [to]; or an owner column and sites that differ",
            );
        }
    }
}

/// Whether two flows into one table can never touch the same row.
fn apart(a: &Flow, b: &Flow) -> bool {
    let owner = |flow: &Flow| flow.owner.clone().or_else(|| flow.site_column.clone());
    owner(a).is_some() && owner(a) == owner(b) && !a.sites.iter().any(|site| b.sites.contains(site))
}

/// Reports something about where a flow writes.
fn report_target(
    draft: &Draft,
    code: &'static str,
    what: &str,
    label: &str,
    effect: &str,
    fix: &str,
) {
    let Some(spec) = &draft.spec else { return };
    let span = match (&spec.to.table, &spec.to.site) {
        (Some(table), _) => table.span.clone(),
        (None, Some(site)) => site.span.clone(),
        (None, None) => return,
    };
    let place = draft.source.place(&span, label);
    draft.source.report(Problem::error(code, what).at(place).effect(effect).fix(fix));
}

/// Flows that wait for each other in a circle; each circle is reported once, at its first flow by name.
fn check_circles(drafts: &[Draft]) {
    let mut reported: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (draft, _) in read(drafts) {
        let Some(circle) = circle_from(drafts, &draft.name) else { continue };
        if !reported.insert(circle.iter().copied().collect()) {
            continue;
        }
        let Some(spec) = &draft.spec else { continue };
        let next = circle.get(1).copied().unwrap_or(draft.name.as_str());
        let Some(name) = spec.batch.after.iter().find(|name| name.value == next) else { continue };
        let mut way: Vec<&str> = circle.clone();
        way.push(&draft.name);
        draft.source.report(
            Problem::error("E0303", "flows wait for each other in a circle")
                .at(draft.source.place(&name.span, "the circle goes on here"))
                .found(way.join(" -> "))
                .effect("none of them would ever run")
                .fix("remove one `after` of the circle"),
        );
    }
}

/// The shortest way from a flow back to itself along `after`.
fn circle_from<'a>(drafts: &'a [Draft], start: &'a str) -> Option<Vec<&'a str>> {
    let after = |name: &str| {
        let draft = drafts.iter().find(|d| d.name == name);
        draft.and_then(|d| d.spec.as_ref()).map_or(&[][..], |spec| spec.batch.after.as_slice())
    };
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in after(name) {
            if next.value == start {
                let mut way = vec![name];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next.value.as_str()) {
                came_from.insert(&next.value, name);
                queue.push_back(&next.value);
            }
        }
    }
    None
}
