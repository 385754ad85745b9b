//! `mask` of a site as it is written: tables, their columns, and a word for each.
//!
//! Whether the site has such tables and columns only the site can say.

use super::section::Section;
use crate::diagnostic::Problem;
use crate::suggest::nearest;
use change::mask::{Rule, TableMask};

const EXAMPLE: &str = "{ customers = { email = \"hash\", phone = \"drop\" } }";
const RULES: &[Rule] = &[Rule::Drop, Rule::Hash, Rule::Mask];
/// Without it, what somebody wanted to keep at the site would leave it.
const EFFECT: &str = "columns that must not leave the site would leave it";

/// Reads the masks; what cannot be read is reported.
pub(crate) fn read(section: &Section<'_>) -> Vec<TableMask> {
    let mut masks: Vec<TableMask> = Vec::new();
    if section.entries().next().is_none() {
        report_empty(section);
    }
    for (table, value) in section.entries() {
        let Some(columns) = section.below(&table.value, table.span.clone(), value) else {
            continue;
        };
        let twice = masks.iter().any(|mask| mask.table.eq_ignore_ascii_case(&table.value));
        if twice {
            report_twice(section, &table.value, &table.span);
            continue;
        }
        let columns = read_columns(&columns);
        masks.push(TableMask { table: table.value, columns });
    }
    masks
}

/// A table of nothing masks nothing, and looks as if it did.
fn report_empty(section: &Section<'_>) {
    if let Some(head) = section.head() {
        section.wrong_form("mask", &head, "a table with something in it", EXAMPLE);
    }
}

fn read_columns(section: &Section<'_>) -> Vec<(String, Rule)> {
    let mut columns: Vec<(String, Rule)> = Vec::new();
    if section.entries().next().is_none() {
        report_empty(section);
    }
    for (column, value) in section.entries() {
        if columns.iter().any(|(name, _)| name.eq_ignore_ascii_case(&column.value)) {
            report_twice(section, &column.value, &column.span);
            continue;
        }
        let Some(word) = section.as_text(&column.value, value, "\"hash\"") else { continue };
        match RULES.iter().find(|rule| rule.word() == word.value) {
            Some(rule) => columns.push((column.value, *rule)),
            None => report_word(section, &column.value, &word.value, &word.span),
        }
    }
    columns
}

fn report_word(section: &Section<'_>, column: &str, word: &str, span: &std::ops::Range<usize>) {
    let meant = nearest(word, RULES.iter().map(|rule| rule.word()));
    let label = meant.map_or("not one of these words".into(), |m| format!("did you mean `{m}`?"));
    section.source().report(
        Problem::error("E0107", format!("`{}` cannot be `{word}`", section.dotted(column)))
            .at(section.source().place(span, label))
            .found("the words are drop, hash, mask")
            .effect(EFFECT)
            .fix(format!("{column} = \"{}\"", meant.unwrap_or("drop"))),
    );
}

fn report_twice(section: &Section<'_>, name: &str, span: &std::ops::Range<usize>) {
    section.source().report(
        Problem::error("E0109", format!("`{}` is masked twice", section.dotted(name)))
            .at(section.source().place(span, "databases take both spellings for one name"))
            .effect(EFFECT)
            .fix("remove one of them"),
    );
}
