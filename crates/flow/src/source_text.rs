//! A file of the project while it is being read: its text, and the problems found in it.
//!
//! Turns byte ranges into lines and columns. A line that is shown has its passwords masked, whatever the problem; one
//! that may hold nothing else is not shown.

use crate::diagnostic::{Place, Problem, Spot};
use connect::redact::{names_secret, redacted_in_place};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of its file.
    pub span: Range<usize>,
}

impl<T> At<T> {
    /// A value at a place.
    pub fn new(value: T, span: Range<usize>) -> Self {
        At { value, span }
    }
}

/// A file and what is wrong with it.
#[derive(Debug)]
pub struct SourceText {
    path: PathBuf,
    text: String,
    problems: RefCell<Vec<Problem>>,
    hidden: Cell<bool>,
}

impl SourceText {
    /// A file, its path given below the project's folder.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        SourceText {
            path: path.into(),
            text: text.into(),
            problems: RefCell::default(),
            hidden: Cell::new(false),
        }
    }

    /// From now on no line of the file is shown.
    pub fn hide_lines(&self) {
        self.hidden.set(true);
    }

    /// Its path below the project's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Remembers a problem.
    pub fn report(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Whether an error was reported.
    pub fn has_errors(&self) -> bool {
        self.problems.borrow().iter().any(Problem::is_error)
    }

    /// The problems, in the order of the file.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| a.position().cmp(&b.position()));
        problems.dedup();
        problems
    }

    /// The file as a whole.
    pub fn whole(&self) -> Place {
        Place { file: self.path.clone(), spot: None }
    }

    /// A place in it. A range over several lines is cut at the end of the first.
    pub fn place(&self, span: &Range<usize>, label: impl Into<String>) -> Place {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(span.end.min(self.text.len())).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |n| start + n);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let marked = &self.text[start..end.min(line_end)];
        let spot = Spot {
            line: self.text[..line_start].matches('\n').count() + 1,
            // What lies in the line's end is shown behind its last character.
            column: self.text[line_start..start.min(line_start + line.len())].chars().count() + 1,
            len: marked.trim_end_matches('\r').chars().count().max(1),
            text: match self.hidden.get() || self.continues_secret(line_start) {
                true => HIDDEN_LINE.into(),
                false => redacted_in_place(line),
            },
            label: label.into(),
        };
        Place { file: self.path.clone(), spot: Some(spot) }
    }

    /// Whether a line lies inside a text of several lines whose key names a secret.
    fn continues_secret(&self, line_start: usize) -> bool {
        let before = &self.text[..line_start];
        ["\"\"\"", "'''"].into_iter().any(|quotes| {
            let open = before.matches(quotes).count() % 2 == 1;
            let key = before
                .rfind(quotes)
                .map_or("", |at| before[..at].rsplit('\n').next().unwrap_or_default());
            open && (names_secret(key) || key.trim_start().starts_with("url"))
        })
    }

    /// The bytes of a line, counted from 1.
    pub fn line_span(&self, line: usize) -> Range<usize> {
        let mut start = 0;
        for (n, text) in self.text.split_inclusive('\n').enumerate() {
            if n + 1 == line {
                return start..start + text.trim_end().len();
            }
            start += text.len();
        }
        start..start
    }
}

/// What a line is shown as where none of it may be seen.
const HIDDEN_LINE: &str = "(this line is not shown: it may hold a secret)";

/// Why a file could not be read, in plain words.
pub fn why_unread(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".into(),
        other => other.to_string(),
    }
}
