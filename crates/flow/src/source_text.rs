//! A file of the project while it is being read: its text, and the problems found in it.
//!
//! Turns byte ranges into lines and columns. A line that is shown has its passwords masked, whatever the problem.

use crate::diagnostic::{Place, Problem, Spot};
use std::cell::RefCell;
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
}

impl SourceText {
    /// A file, its path given below the project's folder.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        SourceText { path: path.into(), text: text.into(), problems: RefCell::default() }
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
            column: self.text[line_start..start].chars().count() + 1,
            len: marked.trim_end_matches('\r').chars().count().max(1),
            text: mask_password(line),
            label: label.into(),
        };
        Place { file: self.path.clone(), spot: Some(spot) }
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

/// Words that name a secret when they are part of a key.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "passphrase", "pwd", "secret", "token", "api_key"];

/// Whether a key names a secret.
pub fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Where a url holds a password, as bytes of it: behind `://user:` or behind `password=`.
///
/// `${...}` may hold any of the signs that divide a url, so it is looked through.
pub fn password_in_url(url: &str) -> Option<Range<usize>> {
    let flat = flatten_references(url);
    if let Some(scheme) = flat.find("://") {
        let from = scheme + 3;
        let upto = flat[from..].find(['/', '?', '#']).map_or(flat.len(), |n| from + n);
        // A password may itself hold a slash: then the last `@` of the url ends it.
        let at = flat[from..upto].rfind('@').or_else(|| flat[from..].rfind('@'));
        if let Some(at) = at.map(|n| from + n)
            && let Some(colon) = flat[from..at].find(':').map(|n| from + n)
            && colon + 1 < at
        {
            return Some(colon + 1..at);
        }
    }
    let query = flat.find('?')? + 1;
    let mut start = query;
    for pair in flat[query..].split(['&', ';']) {
        if let Some((key, value)) = pair.split_once('=')
            && names_secret(key)
            && !value.is_empty()
        {
            let from = start + key.len() + 1;
            return Some(from..from + value.len());
        }
        start += pair.len() + 1;
    }
    None
}

/// The same text with everything inside `${...}` replaced by letters, byte for byte.
fn flatten_references(url: &str) -> String {
    let mut flat = url.to_string();
    let mut from = 0;
    while let Some(open) = flat[from..].find("${").map(|n| from + n) {
        let Some(close) = flat[open..].find('}').map(|n| open + n) else { break };
        let inside = "x".repeat(close - open - 2);
        flat.replace_range(open + 2..close, &inside);
        from = close;
    }
    flat
}

/// Whether a text is nothing but references: `${env:X}`, `${file:/path}`.
pub fn only_references(text: &str) -> bool {
    let mut rest = text;
    while let Some(inside) = rest.strip_prefix("${") {
        match inside.find('}') {
            Some(close) => rest = &inside[close + 1..],
            None => return false,
        }
    }
    rest.is_empty() && !text.is_empty()
}

/// A line with its literal passwords replaced by stars.
fn mask_password(line: &str) -> String {
    let mut masked = line.to_string();
    if let Some(span) = password_in_url(line)
        && !only_references(&line[span.clone()])
    {
        masked = stars(line, span);
    }
    if let Some((key, value)) = line.split_once('=')
        && names_secret(key)
        && !value.contains("${")
        && let Some(open) = value.find(['"', '\'']).map(|n| key.len() + 2 + n)
        && let Some(close) = line.rfind(['"', '\''])
        && open < close
    {
        masked = stars(&masked, open..close);
    }
    masked
}

/// The text with the characters of a range replaced by stars.
fn stars(text: &str, span: Range<usize>) -> String {
    let from = text.floor_char_boundary(span.start);
    let upto = text.ceil_char_boundary(span.end.min(text.len())).max(from);
    let stars = "*".repeat(text[from..upto].chars().count());
    format!("{}{stars}{}", &text[..from], &text[upto..])
}

/// Why a file could not be read, in plain words.
pub fn why_unread(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".into(),
        other => other.to_string(),
    }
}
