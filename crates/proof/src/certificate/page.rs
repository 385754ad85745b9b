//! A certificate as a page: for a browser, a printer and an auditor who has neither seamount nor a network.
//!
//! One file, no scripts, nothing fetched; every text of a certificate is escaped, names of tables included. It shows
//! what the certificate says and is not itself what is verified: the certificate's bytes are.

use super::text::{cost, covered, repairs};
use super::{Certificate, DifferenceEntry};
use change::calendar::timestamp_text;
use std::fmt::{self, Formatter};

/// Looks of the page.
const STYLE: &str = include_str!("page.css");

/// A certificate to be shown as a page.
pub struct Page<'a>(pub &'a Certificate);

/// Text inside of an element or an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // What turns the direction of writing, or is not seen, is shown as what it is.
                c if c.is_control() || hidden(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

fn hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let c = self.0;
        let name = c.name();
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Certificate {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
            Escaped(&name)
        )?;
        writeln!(
            f,
            "<header>\n<h1>Certificate {}</h1>\n<p>{}.{} against {}, {} UTC</p>\n</header>",
            Escaped(&name),
            Escaped(&c.site),
            Escaped(&c.source_table),
            Escaped(&c.target_table),
            timestamp_text(c.ended_at.div_euclid(1_000_000) * 1_000_000).replace('T', " ")
        )?;
        let class = match c.verdict.as_str() {
            "EQUAL" => "equal",
            "DIFFERENT" => "different",
            _ => "unproven",
        };
        writeln!(
            f,
            "<div class=\"verdict {class}\"><strong>{}</strong><span>{}</span></div>",
            Escaped(&c.verdict),
            Escaped(meaning(c).as_str())
        )?;
        self.body(f)?;
        writeln!(
            f,
            "<footer>\n<p>Hash of this certificate: <code>{}</code></p>\n<p>It continues: <code>{}</code></p>\n\
             <p>This page shows what the certificate says. What can be verified is the certificate itself, \
             without a network and without a database: <code>seamount certificate export {} --to FILE</code>, \
             then <code>seamount certificate verify ./FILE</code>. The hash above must be the one that is said there.</p>\n</footer>\n\
             </body>\n</html>",
            Escaped(&c.hash),
            Escaped(if c.previous.is_empty() { "nothing, it is the first" } else { &c.previous }),
            Escaped(&c.flow)
        )
    }
}

impl Page<'_> {
    fn body(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let c = self.0;
        section(f, "What was compared", &self.compared())?;
        section(f, "What it was compared to", &self.roots())?;
        if c.excluded.is_empty() && c.filtered == 0 && c.parked == 0 {
            writeln!(f, "<h2>What was left out</h2>\n<p>Nothing.</p>")?;
        } else {
            section(f, "What was left out", &self.left_out())?;
        }
        if !c.systematic.is_empty() {
            let rows: Vec<Row> =
                c.systematic.iter().map(|s| row("Column", s.says.clone())).collect();
            section(f, "One mistake in many rows", &rows)?;
        }
        differences(f, c)?;
        let mended = c.mended.as_ref().map_or("none before this proof".into(), repairs);
        section(f, "Repairs and cost", &[row("Repairs", mended), row("Cost", cost(c))])
    }

    fn compared(&self) -> Vec<Row> {
        let c = self.0;
        let mut rows = vec![
            row("Flow", format!("{} (id {}, generation {})", c.flow, c.flow_id, c.generation)),
            row("Source", format!("{}.{}", c.site, c.source_table)),
            row("Target", c.target_table.clone()),
            row("Method", c.method.clone()),
            row("Coverage", covered(c)),
            row("Began", format!("{} UTC", timestamp_text(c.started_at).replace('T', " "))),
            row("Ended", format!("{} UTC", timestamp_text(c.ended_at).replace('T', " "))),
        ];
        if let Some(lag) = &c.lag {
            let longest = lag.longest_us / 1000;
            rows.push(row("Lag", format!("{} rows behind, {longest} ms at most", lag.rows_behind)));
        }
        rows
    }

    fn roots(&self) -> Vec<Row> {
        let c = self.0;
        let mut rows = Vec::new();
        if let Some(cuts) = &c.source_cuts {
            rows.push(row("Source cuts", format!("{} to {}", cuts.first, cuts.last)));
        }
        if let Some(cuts) = &c.target_cuts {
            let lane = c.lane.as_deref().unwrap_or("none");
            let (lowest, highest) = (cuts.lowest, cuts.highest);
            rows.push(row("Target cuts", format!("offset {lowest} to {highest} of lane {lane}")));
        }
        let changed = format!("{} keys that changed between the cuts", c.touched);
        rows.push(row("By the log", changed));
        rows.push(row("Root expected", c.expected.to_string()));
        rows.push(row("Root found", c.found.to_string()));
        rows.push(row("Hash of rows", format!("{}, encoding {}", c.hash_algorithm, c.encoding)));
        for (name, print) in
            [("Source shape", &c.source_schema), ("Target shape", &c.target_schema)]
        {
            rows.extend(print.clone().map(|print| row(name, print)));
        }
        rows
    }

    fn left_out(&self) -> Vec<Row> {
        let c = self.0;
        let columns = c.excluded.iter();
        let mut rows: Vec<Row> = columns
            .map(|e| row("Column", format!("{} of the {}: {}", e.column, e.side, e.why)))
            .collect();
        if c.filtered > 0 {
            rows.push(row("Filter", format!("{} source rows, by the transform", c.filtered)));
        }
        if c.parked > 0 {
            rows.push(row("Dead letters", format!("{} keys, known not to be equal", c.parked)));
        }
        rows
    }
}

/// A name and what is said of it.
type Row = (&'static str, String);

fn row(name: &'static str, says: String) -> Row {
    (name, says)
}

fn section(f: &mut Formatter<'_>, title: &str, rows: &[Row]) -> fmt::Result {
    writeln!(f, "<h2>{title}</h2>\n<table>")?;
    for (name, says) in rows {
        writeln!(f, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", Escaped(says))?;
    }
    writeln!(f, "</table>")
}

/// The verdict for somebody who reads it for the first time.
fn meaning(c: &Certificate) -> String {
    match c.verdict.as_str() {
        "EQUAL" => {
            let rows = c.coverage.rows;
            format!(
                "All {rows} rows of the target are what the source and the log say, and none is missing."
            )
        }
        _ => c.says.clone(),
    }
}

fn differences(f: &mut Formatter<'_>, c: &Certificate) -> fmt::Result {
    if c.wrong == 0 {
        return Ok(());
    }
    writeln!(f, "<h2>Rows that are wrong: {}</h2>", c.wrong)?;
    let listed = c.differences.len() as u64;
    if listed < c.wrong {
        writeln!(f, "<p>{listed} of them stand here; all are counted.</p>")?;
    }
    writeln!(
        f,
        "<table>\n<thead><tr><th>Kind</th><th>Side</th><th>Columns</th><th>Newest change</th><th>Key (keyed hash)</th></tr></thead>"
    )?;
    for entry in &c.differences {
        difference(f, entry)?;
    }
    writeln!(f, "</table>")
}

fn difference(f: &mut Formatter<'_>, entry: &DifferenceEntry) -> fmt::Result {
    let newest = entry.newest_change.map_or("none".into(), |offset| offset.to_string());
    writeln!(
        f,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{newest}</td><td><code>{}</code></td></tr>",
        Escaped(&entry.kind),
        Escaped(&entry.side),
        Escaped(&entry.columns.join(", ")),
        Escaped(entry.key.get(..16).unwrap_or(&entry.key))
    )
}
