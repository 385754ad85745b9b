//! Masks beside the flows that read through them: what the files alone can say.
//!
//! Whether a masked column is there, and may be masked, is for its site to say (`connect::masked`, E0420).

use super::flow::FOLDER;
use super::sites::Sites;
use crate::diagnostic::Problem;
use crate::flow::{Flow, Site};
use crate::source_text::{At, SourceText};
use crate::spec::flow::FlowSpec;
use crate::spec::sites::SiteSpec;
use change::mask::Rule;
use std::collections::BTreeSet;

/// Folders of files have no masks: refused, since a mask without effect is worse than none.
pub(crate) fn check_site(source: &SourceText, spec: &SiteSpec, site: &Site) {
    let Some(span) = &spec.mask_at else { return };
    if site.settings.scheme() != FOLDER {
        return;
    }
    source.report(
        Problem::error("E0220", format!("`{}` is a folder of files: it has no masks", site.name))
            .at(source.place(span, "masks are for tables"))
            .effect("columns that must not leave the site would leave it")
            .fix("remove it, and leave the columns out in the flow's [transform]"),
    );
}

/// Keys and owners must say whose row it is: they cannot be made of what a mask leaves.
pub(crate) fn check_flow(source: &SourceText, spec: &FlowSpec, flow: &Flow, sites: &Sites) {
    let rule_of = |column: &str| {
        let of_site = flow.sites.iter().filter_map(|name| sites.sites.get(name));
        of_site.into_iter().find_map(|site| {
            let masks = flow.tables.iter().filter_map(|t| site.settings.masks.of(&t.source));
            masks.into_iter().find_map(|mask| Some((mask.rule(column)?, mask.table.clone())))
        })
    };
    let key = spec.from.key.iter().flat_map(|key| &key.value);
    for column in key {
        if let Some((rule @ (Rule::Drop | Rule::Mask), table)) = rule_of(&column.value) {
            let effect = "rows could not be told apart, nor deleted";
            report(
                source,
                column,
                rule,
                &table,
                effect,
                "\"hash\"      # keeps what differs apart",
            );
        }
    }
    if let Some(owner) = &spec.to.owner
        && let Some((rule, table)) = rule_of(&owner.value)
    {
        let effect = "no row would belong to the site it comes from";
        report(source, owner, rule, &table, effect, "leave the column out of `mask`");
    }
}

fn report(
    source: &SourceText,
    column: &At<String>,
    rule: Rule,
    table: &str,
    effect: &str,
    fix: &str,
) {
    let label = format!("`{table}` has the mask \"{}\" for it in sites.toml", rule.word());
    source.report(
        Problem::error("E0324", format!("`{}` is masked, and the flow needs it", column.value))
            .at(source.place(&column.span, label))
            .effect(effect)
            .fix(fix),
    );
}

/// Columns of a flow's tables that masks drop and that a statement may name, for its error: `phone of customers`.
pub(crate) fn dropped(
    flow: &Flow,
    sites: &std::collections::BTreeMap<String, Site>,
) -> Vec<String> {
    let sql = flow.transform.as_deref().unwrap_or_default().to_ascii_lowercase();
    let word = |c: char| !(c.is_alphanumeric() || c == '_');
    let words: BTreeSet<&str> = sql.split(word).collect();
    let mut named = BTreeSet::new();
    for site in flow.sites.iter().filter_map(|name| sites.get(name)) {
        for mask in flow.tables.iter().filter_map(|t| site.settings.masks.of(&t.source)) {
            for (column, rule) in &mask.columns {
                let said = words.contains(column.to_ascii_lowercase().as_str());
                if *rule == Rule::Drop && (said || column.contains(word)) {
                    named.insert(format!("{column} of {}", mask.table));
                }
            }
        }
    }
    named.into_iter().collect()
}
