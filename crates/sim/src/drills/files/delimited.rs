//! Reads delimited text by itself, by the rules that the product's manual gives, and writes some.
//!
//! Shares nothing with the connector: byte after byte, the whole text at once.

use crate::random::Random;

/// A row: cells, `None` where there is nothing.
pub(super) type Row = Vec<Option<String>>;

/// Columns and rows of a text; `None` where it has to be refused.
pub(super) fn parse(bytes: &[u8]) -> Option<(Vec<String>, Vec<Row>)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut records = records(bytes)?.into_iter();
    let names: Vec<String> = records.next()?.into_iter().map(text).collect::<Option<_>>()?;
    let doubled = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    if names.iter().any(|name| name.is_empty() || doubled(name)) {
        return None;
    }
    let rows = records.map(|record| {
        let cell = |bytes: Vec<u8>| text(bytes).map(|text| Some(text).filter(|t| !t.is_empty()));
        let row: Row = record.into_iter().map(cell).collect::<Option<_>>()?;
        (row.len() == names.len()).then_some(row)
    });
    let rows = rows.collect::<Option<_>>()?;
    Some((names, rows))
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

/// Fields of each record that is not an empty line.
fn records(bytes: &[u8]) -> Option<Vec<Vec<Vec<u8>>>> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if is_end(bytes[at]) {
            at += 1;
            continue;
        }
        let mut record = Vec::new();
        loop {
            let (field, behind) = field(bytes, at)?;
            record.push(field);
            at = behind;
            match bytes.get(at) {
                Some(b',') => at += 1,
                _ => break,
            }
        }
        all.push(record);
    }
    Some(all)
}

fn is_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// The field at a place, and the place behind it: at a comma, a line end or the end.
fn field(bytes: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    if bytes.get(at) != Some(&b'"') {
        let rest = &bytes[at..];
        let length = rest.iter().position(|b| *b == b',' || is_end(*b)).unwrap_or(rest.len());
        return Some((rest[..length].to_vec(), at + length));
    }
    let (mut field, mut at) = (Vec::new(), at + 1);
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => {
                field.push(b'"');
                at += 2;
            }
            (b'"', None) => return Some((field, at + 1)),
            (b'"', Some(next)) if *next == b',' || is_end(*next) => return Some((field, at + 1)),
            // Text behind a closing quote.
            (b'"', Some(_)) => return None,
            (byte, _) => {
                field.push(*byte);
                at += 1;
            }
        }
    }
}

/// Cells that are hard to carry.
const CELLS: &[&str] = &[
    "",
    "1",
    "007",
    "x",
    " x ",
    "a,b",
    "\"",
    "say \"hi\"",
    "two\nlines",
    "crlf\r\nin",
    "é",
    "日本",
    "\u{feff}",
    "'",
    ";",
    "NULL",
    "\t",
    "\u{0}",
    "-1e3",
    "x\"",
    "\r",
    "😀",
];

/// A table: names, and rows of cells.
pub(super) fn table(chance: &mut Random) -> (Vec<String>, Vec<Row>) {
    let width = 1 + usize::try_from(chance.below(4)).expect("small");
    let names: Vec<String> = (0..width).map(|n| format!("c{n}")).collect();
    let rows = (0..chance.below(9)).map(|_| {
        let cells = (0..width).map(|_| Some(chance.pick(CELLS).to_string()));
        cells.map(|cell| cell.filter(|text| !text.is_empty())).collect()
    });
    let rows = rows.collect();
    (names, rows)
}

/// Writes a table as one of the ways in which it may be written.
pub(super) fn write(names: &[String], rows: &[Row], chance: &mut Random) -> Vec<u8> {
    let end = if chance.once_in(2) { "\r\n" } else { "\n" };
    let mut text = if chance.once_in(4) { "\u{feff}".to_string() } else { String::new() };
    let header: Row = names.iter().cloned().map(Some).collect();
    for (n, row) in std::iter::once(&header).chain(rows).enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| quoted(cell.as_deref(), chance)).collect();
        // A line of one empty cell would be no line at all.
        let line = if cells == [""] { "\"\"".to_string() } else { cells.join(",") };
        text.push_str(&line);
        if n < rows.len() || !chance.once_in(4) {
            text.push_str(end);
        }
    }
    text.into_bytes()
}

fn quoted(cell: Option<&str>, chance: &mut Random) -> String {
    let text = cell.unwrap_or_default();
    let must = text.contains([',', '\n', '\r']) || text.starts_with(['"', '\u{feff}']);
    if must || chance.once_in(4) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_string()
}
