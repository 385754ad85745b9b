//! A problem as an operator reads it: what, where, found, effect on data, a fix to paste, more.
//!
//! Not here: finding problems, or colours beyond the two that a terminal needs. The order of the lines never
//! changes, and no line holds a row value or a secret.

use connect::Error;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs until it is mended.
    Error,
    /// It runs; somebody should know.
    Warning,
}

impl Severity {
    /// The word in front of the code.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A stretch of one line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters, at least 1.
    pub len: usize,
    /// The line, without its end and with passwords masked.
    pub text: String,
    /// What stands beside the mark.
    pub label: String,
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, below the project's folder.
    pub file: PathBuf,
    /// The spot in it; `None`: the file as a whole.
    pub spot: Option<Spot>,
}

/// Something that is wrong, in the words of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The stable code that `seamount explain` knows.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// Where.
    pub place: Option<Place>,
    /// What was found.
    pub found: Option<String>,
    /// What it means for the data.
    pub effect: Option<String>,
    /// What to type; several lines are allowed.
    pub fix: Option<String>,
}

/// Whether to use terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// ANSI colours.
    Colour,
}

impl Problem {
    /// A problem that stops everything.
    pub fn error(code: &'static str, what: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Error,
            code,
            what: what.into(),
            place: None,
            found: None,
            effect: None,
            fix: None,
        }
    }

    /// A problem that stops nothing.
    pub fn warning(code: &'static str, what: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Self::error(code, what) }
    }

    /// An error of an edge in the same form; `code` where it has none of its own and is in no
    /// named state.
    pub fn from_error(error: &Error, code: &'static str) -> Self {
        let what = match error.state {
            Some(state) => format!("{state}: {}", error.what),
            None => error.what.clone(),
        };
        let code = error.code.or_else(|| error.state.map(crate::explain::code_of)).unwrap_or(code);
        let mut problem = Self::error(code, what);
        let cause = error.source.as_ref().map(ToString::to_string);
        problem.found = error.found.clone().or(cause);
        problem.effect.clone_from(&error.effect);
        problem.fix.clone_from(&error.fix);
        problem
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds what was found.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// Adds what it means for the data.
    #[must_use]
    pub fn effect(mut self, effect: impl Into<String>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    /// Adds what to type.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Whether it stops everything.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// File, line and column, to put problems in order: whole files first.
    pub fn position(&self) -> (Option<&Path>, usize, usize) {
        let place = self.place.as_ref();
        let spot = place.and_then(|p| p.spot.as_ref());
        (place.map(|p| p.file.as_path()), spot.map_or(0, |s| s.line), spot.map_or(0, |s| s.column))
    }

    /// The problem as text, ending with a line end.
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        let spot = self.place.as_ref().and_then(|p| p.spot.as_ref());
        let width = spot.map_or(1, |s| s.line.to_string().len());
        let head = format!("{}[{}]", self.severity.word(), self.code);
        let mark = if self.is_error() { "31;1" } else { "33;1" };
        line(&mut out, &format!("{}: {}", paint.dye(mark, &head), paint.dye("1", &self.what)));
        if let Some(place) = &self.place {
            render_place(&mut out, place, width, paint, mark);
        }
        let notes = [("found", &self.found), ("effect", &self.effect), ("fix", &self.fix)];
        for (name, text) in notes {
            if let Some(text) = text {
                note(&mut out, width, paint, name, text);
            }
        }
        note(&mut out, width, paint, "more", &format!("seamount explain {}", self.code));
        out
    }

    /// The problem as one JSON object.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("severity".into(), json!(self.severity.word()));
        object.insert("code".into(), json!(self.code));
        object.insert("what".into(), json!(self.what));
        if let Some(place) = &self.place {
            object.insert("file".into(), json!(slashed(&place.file)));
            if let Some(spot) = &place.spot {
                object.insert("line".into(), json!(spot.line));
                object.insert("column".into(), json!(spot.column));
                object.insert("len".into(), json!(spot.len));
                object.insert("source".into(), json!(spot.text));
                object.insert("label".into(), json!(spot.label));
            }
        }
        let notes = [("found", &self.found), ("effect", &self.effect), ("fix", &self.fix)];
        for (name, text) in notes {
            if let Some(text) = text {
                object.insert(name.into(), json!(text));
            }
        }
        object.insert("more".into(), json!(format!("seamount explain {}", self.code)));
        Value::Object(object)
    }
}

impl Paint {
    /// The text in a colour, or as it is.
    fn dye(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_string(),
            Paint::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// A path with forward slashes, whatever the system.
fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// One line without spaces at its end.
fn line(out: &mut String, text: &str) {
    out.push_str(text.trim_end());
    out.push('\n');
}

/// The arrow, the source line and the mark under it.
fn render_place(out: &mut String, place: &Place, width: usize, paint: Paint, mark: &str) {
    let file = slashed(&place.file);
    let arrow = paint.dye("34;1", "-->");
    let Some(spot) = &place.spot else {
        line(out, &format!("{:width$} {arrow} {file}", ""));
        return;
    };
    line(out, &format!("{:width$} {arrow} {file}:{}:{}", "", spot.line, spot.column));
    let bar = paint.dye("34;1", "|");
    line(out, &format!("{:width$}  {bar}", ""));
    line(out, &format!(" {:>width$} {bar} {}", spot.line, spot.text));
    let mut under = String::new();
    for c in spot.text.chars().take(spot.column - 1) {
        under.push(if c == '\t' { '\t' } else { ' ' });
    }
    let carets = format!("{} {}", "^".repeat(spot.len), spot.label);
    line(out, &format!("{:width$}  {bar} {under}{}", "", paint.dye(mark, carets.trim_end())));
}

/// One `= name: text` line; further lines of the text stand under its first.
fn note(out: &mut String, width: usize, paint: Paint, name: &str, text: &str) {
    let mut lines = text.lines();
    let mut head = String::new();
    let equals = paint.dye("34;1", "=");
    write!(head, "{:width$}  {equals} {:<8}{}", "", format!("{name}:"), lines.next().unwrap_or(""))
        .expect("writing to a string cannot fail");
    line(out, &head);
    for further in lines {
        line(out, &format!("{:width$}            {further}", ""));
    }
}
