//! The catalogue behind `seamount explain CODE`: what a code means for data, and what to do.
//!
//! Codes are stable: one is never given another meaning. Each has an example: files that trigger it, laid over the
//! small project of the tests, or the test that brings about the state. A test holds both to their word.

mod files;
mod flows;
mod online;
mod running;
mod sites;

use crate::suggest::nearest;
use connect::State;
use std::fmt::Write;

/// What is to be known of a code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The code.
    pub code: &'static str,
    /// What it says, in a few words.
    pub title: &'static str,
    /// What it means for data and what to do.
    pub text: &'static str,
    /// What brings it about.
    pub example: Example,
}

/// What brings a code about.
#[derive(Clone, Copy, Debug)]
pub enum Example {
    /// Files of a project: path and text; an empty text is a file that is not there.
    Files(&'static [(&'static str, &'static str)]),
    /// It takes sites, or a running engine: the test that shows it.
    Shown(&'static str),
}

/// All codes, ascending.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    let parts = [files::ENTRIES, sites::ENTRIES, flows::ENTRIES, online::ENTRIES, running::ENTRIES];
    parts.into_iter().flatten()
}

/// The entry of a code, however it is written: `E0302`, `e0302`, `302`.
pub fn of(code: &str) -> Option<&'static Entry> {
    let digits = code.trim().trim_start_matches(['E', 'e']);
    let wanted = format!("E{digits:0>4}");
    all().find(|entry| entry.code == wanted)
}

/// The known code that is nearest to one that is not.
pub fn suggest(code: &str) -> Option<&'static str> {
    nearest(code, all().map(|entry| entry.code))
}

/// The code of a named state, for errors that carry none.
pub fn code_of(state: State) -> &'static str {
    match state {
        State::Fenced => "E0501",
        State::PositionLost => "E0502",
        State::HistoryChanged => "E0503",
        State::LogBehindTarget => "E0504",
        State::SchemaBlocked => "E0505",
        State::RowsRefused => "E0508",
        State::LogCorrupt => "E0513",
        State::DiskFull => "E0517",
    }
}

impl Entry {
    /// The entry as text.
    pub fn render(&self) -> String {
        let mut out = format!("{}: {}\n\n{}\n", self.code, self.title, self.text);
        match self.example {
            Example::Files(files) => {
                out.push_str("\nFor example:\n");
                for (path, text) in files {
                    let text = if text.is_empty() { "(there is no such file)" } else { text };
                    write!(out, "\n  # {path}\n").expect("writing to a string cannot fail");
                    for line in text.lines() {
                        writeln!(out, "{}", format!("  {line}").trim_end())
                            .expect("writing to a string cannot fail");
                    }
                }
            }
            Example::Shown(test) => {
                write!(out, "\nThe test `{test}` brings it about.\n")
                    .expect("writing to a string cannot fail");
            }
        }
        out
    }
}
