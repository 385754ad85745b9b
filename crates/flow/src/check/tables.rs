//! What a flow reads and writes: tables or files, their names on both sides, their key and their owner.

use super::flow::{FOLDER, mode};
use super::sites::Sites;
use crate::diagnostic::Problem;
use crate::flow::{FlowTable, From, Mode};
use crate::source_text::SourceText;
use crate::spec::flow::FlowSpec;
use crate::spec::flow_parts::LoadWord;
use std::ops::Range;

/// The placeholder in a file pattern that names the interval.
pub(crate) const INTERVAL: &str = "{interval}";

/// The name of a flow's files in its transform, where `[from] table` gives none.
const FILES_TABLE: &str = "files";

/// What is read, and the tables on both sides; `None` when that is not clear.
pub(crate) fn plan(source: &SourceText, spec: &FlowSpec) -> Option<(From, Vec<FlowTable>)> {
    let from = &spec.from;
    let key =
        from.key.as_ref().map(|k| k.value.iter().map(|c| c.value.clone()).collect::<Vec<_>>());
    let table = from.table.as_ref().map(|t| t.value.clone());
    let named_target = spec.to.table.as_ref().map(|t| t.value.clone());
    let head = from.head.clone().unwrap_or(0..0);
    if let Some(files) = &from.files {
        if let Some(tables) = &from.tables {
            unclear(source, &tables.span, "files and tables are both given", "keep one of them");
            return None;
        }
        check_files(source, spec, &files.span, &files.value);
        let name = table.clone().unwrap_or_else(|| FILES_TABLE.into());
        let Some(target) = named_target.or(table) else {
            let span = spec.to.head.clone().unwrap_or(files.span.clone());
            unclear(
                source,
                &span,
                "files have no table name of their own",
                "[to]\ntable = \"...\"",
            );
            return None;
        };
        let what = From::Files { pattern: files.value.clone(), types: from.types.clone() };
        return Some((what, vec![FlowTable { source: name, target, key }]));
    }
    let names: Vec<String> = match (&from.table, &from.tables) {
        (Some(_), Some(tables)) => {
            unclear(
                source,
                &tables.span,
                "`table` and `tables` are both given",
                "keep one of them",
            );
            return None;
        }
        (Some(table), None) => vec![table.value.clone()],
        (None, Some(tables)) => tables.value.iter().map(|t| t.value.clone()).collect(),
        (None, None) => {
            if !from.query && from.head.is_some() {
                let fix =
                    "table = \"inventory\"      # or tables = [...], or files = \"export/*.csv\"";
                unclear(source, &head, "neither table, tables nor files is given", fix);
            }
            return None;
        }
    };
    if !from.types.is_empty() {
        unclear(source, &head, "`types` belongs to files; tables have types", "remove `types`");
    }
    several_into_one(source, spec, &names);
    let target = |name: &String| named_target.clone().unwrap_or_else(|| name.clone());
    let tables = names.iter().map(|name| FlowTable {
        source: name.clone(),
        target: target(name),
        key: key.clone(),
    });
    Some((From::Tables, tables.collect()))
}

/// Reports that it is not clear what is read or written.
fn unclear(source: &SourceText, span: &Range<usize>, what: &str, fix: &str) {
    source.report(
        Problem::error("E0308", "it is not clear what this flow moves")
            .at(source.place(span, what))
            .effect("nothing of this flow would be moved")
            .fix(fix),
    );
}

/// Several tables meet in one only through a statement; and a statement makes only one.
fn several_into_one(source: &SourceText, spec: &FlowSpec, names: &[String]) {
    if names.len() < 2 {
        return;
    }
    let report = |span: &Range<usize>, label: &str, fix: &str| {
        source.report(
            Problem::error("E0317", "several tables cannot be told apart in one")
                .at(source.place(span, label))
                .effect("rows of one table would overwrite those of another")
                .fix(fix),
        );
    };
    match (&spec.to.table, &spec.transform) {
        (Some(table), None) => {
            report(&table.span, "every table would be written here", "remove it: names are kept");
        }
        (None, Some(sql)) => {
            report(&sql.span, "its result needs a name", "[to]\ntable = \"...\"");
        }
        _ => {}
    }
    if let (Some(key), None) = (&spec.from.key, &spec.transform) {
        report(&key.span, "one key for several tables", "remove it: each table keeps its own");
    }
}

/// Files: batch only, with a key unless rows are only added.
fn check_files(source: &SourceText, spec: &FlowSpec, span: &Range<usize>, pattern: &str) {
    let shape = pattern.replacen(INTERVAL, "x", 1);
    let escapes = pattern.starts_with('/') || pattern.split(['/', '\\']).any(|part| part == "..");
    if shape.contains(['{', '}']) || escapes || glob::Pattern::new(&shape).is_err() {
        source.report(
            Problem::error("E0108", "`from.files` is not a pattern below the site's folder")
                .at(source.place(span, "one {interval} at most, no leading /, no .."))
                .effect("nothing in this file is used")
                .fix("files = \"export/{interval}.csv\""),
        );
    }
    if let (Some(Mode::Event | Mode::Hybrid), Some(at)) = (mode(spec), &spec.mode) {
        source.report(
            Problem::error("E0309", "files are read by batch flows only")
                .at(source.place(&at.span, "files send no changes"))
                .effect("nothing of this flow would be moved")
                .fix("mode = \"batch\""),
        );
    }
    let appends = spec.batch.load.as_ref().is_some_and(|load| load.value == LoadWord::Append);
    if spec.from.key.is_none() && !appends {
        source.report(
            Problem::error("E0311", "files have no primary key: the flow must name one")
                .at(source.place(span, "the rows of these files need a key"))
                .effect("rows that come again could not be told from new ones")
                .fix("key = [\"...\"]      # in [from]; or load = \"append\" in [batch]"),
        );
    }
}

/// Folders are read as files, databases as tables.
pub(crate) fn check_kinds(source: &SourceText, spec: &FlowSpec, names: &[String], sites: &Sites) {
    let folder = |name: &&String| sites.sites.get(*name).map(|s| s.settings.scheme() == FOLDER);
    let wants_files = spec.from.files.is_some();
    let Some(span) = spec.from.sites.first().map(|site| site.span.clone()) else { return };
    if spec.from.files.is_none() && spec.from.table.is_none() && spec.from.tables.is_none() {
        return;
    }
    let Some(odd) = names.iter().find(|name| folder(name).is_some_and(|is| is != wants_files))
    else {
        return;
    };
    let (what, fix) = match wants_files {
        true => (format!("`{odd}` is a database and has no files"), "table = \"...\""),
        false => (format!("`{odd}` is a folder of files and has no tables"), "files = \"*.csv\""),
    };
    source.report(
        Problem::error("E0310", what)
            .at(source.place(&span, "read here"))
            .effect("nothing of this flow would be moved")
            .fix(fix),
    );
}

/// Many sites in one table: the key must say whose row it is.
pub(crate) fn check_owner(source: &SourceText, spec: &FlowSpec, names: &[String]) {
    if names.len() < 2
        || (spec.from.table.is_none() && spec.from.tables.is_none() && spec.from.files.is_none())
    {
        return;
    }
    let owner = spec.to.owner.as_ref().or(spec.from.site_column.as_ref());
    let span = match (&spec.from.key, spec.from.sites.first()) {
        (Some(key), _) => &key.span,
        (None, Some(site)) => &site.span,
        (None, None) => return,
    };
    let label = match (owner, &spec.from.key) {
        (None, _) => format!("{} sites, and nothing says whose row it is", names.len()),
        (Some(owner), Some(key)) if !key.value.iter().any(|c| c.value == owner.value) => {
            format!("`{}` is not part of this key", owner.value)
        }
        _ => return,
    };
    let fix = match (owner, &spec.from.key) {
        (Some(owner), Some(key)) => {
            let rest: Vec<String> = key.value.iter().map(|c| format!("\"{}\"", c.value)).collect();
            format!("key = [\"{}\", {}]", owner.value, rest.join(", "))
        }
        _ => "owner = \"store_id\"      # in [to]: the column that holds the site's name\n\
              site_column = \"site\"    # in [from]: or add such a column"
            .to_string(),
    };
    source.report(
        Problem::error(
            "E0302",
            format!("{} sites write one table without an owner in its key", names.len()),
        )
        .at(source.place(span, label))
        .effect("rows of one site would overwrite, and its deletes remove, those of another")
        .fix(fix),
    );
}
