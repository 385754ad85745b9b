//! The list behind `each_in`: one site a line, a header with the names of the columns.

use crate::diagnostic::Problem;
use crate::source_text::SourceText;
use crate::spec::form;
use connect::redact::names_secret;
use std::collections::BTreeMap;

/// A line's number and its columns by name.
pub(crate) type Row = (usize, BTreeMap<String, String>);

/// Reads the list; lines that do not read are reported and left out.
pub(crate) fn read(list: &SourceText) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(list.text().trim_start_matches('\u{feff}').as_bytes());
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(String::from).collect(),
        Err(error) => {
            wrong(list, 1, "the header cannot be read", &error.to_string());
            return vec![];
        }
    };
    if !check_header(list, &header) {
        return vec![];
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                wrong(list, usize_of(line), "this line cannot be read", &error.to_string());
                continue;
            }
        };
        let line = usize_of(record.position().map_or(1, csv::Position::line));
        if record.len() != header.len() {
            let found = format!("{} columns; the header has {}", record.len(), header.len());
            wrong(list, line, "this line has another number of columns", &found);
            continue;
        }
        let cells = record.iter().map(String::from);
        let columns: BTreeMap<String, String> = header.iter().cloned().zip(cells).collect();
        let name = columns.get("site").map_or("", String::as_str);
        if !form::is_name(name) {
            wrong(
                list,
                line,
                "a site's name is made of letters, digits, -, _ and .",
                "another name",
            );
            continue;
        }
        rows.push((line, columns));
    }
    rows
}

/// Checks the names of the columns; `false` when no line could be read with them.
fn check_header(list: &SourceText, header: &[String]) -> bool {
    for name in header.iter().filter(|name| names_secret(name)) {
        // What else is wrong with a line is said without it: it holds what must not be shown.
        list.hide_lines();
        list.report(
            Problem::error("E0204", format!("the list has a column `{name}`"))
                .at(list.place(&list.line_span(1), "secrets do not belong into lists"))
                .effect("everybody who can read this file can read those databases")
                .fix("use ${env:PASSWORD_{site}} or ${file:/run/secrets/{site}} in the url"),
        );
    }
    let twice = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name));
    if let Some((_, name)) = twice {
        wrong(list, 1, &format!("column `{name}` appears twice"), "two columns of one name");
        return false;
    }
    if !header.iter().any(|name| name == "site") {
        wrong(
            list,
            1,
            "there is no column `site`",
            &format!("the header has {}", header.join(", ")),
        );
        return false;
    }
    true
}

/// Reports a line.
fn wrong(list: &SourceText, line: usize, what: &str, found: &str) {
    list.report(
        Problem::error("E0206", what)
            .at(list.place(&list.line_span(line), "this line"))
            .found(found)
            .effect("the sites of this list cannot be known")
            .fix("site,host,region,timezone\nparis-07,10.8.7.4,eu-west,Europe/Paris"),
    );
}

/// A line number for slices.
fn usize_of(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}
