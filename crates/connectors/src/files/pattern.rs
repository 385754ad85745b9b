//! Which files a flow means: `*` for anything within a name, `{interval}` for the part that names the interval.
//!
//! Where a name could be read in two ways, `*` takes as much as it can. Hidden and unfinished files (`.x`,
//! `x.tmp`, `x.part`, `x~`) match nothing.

use super::beneath::{Beneath, Found};
use cap_std::fs::DirEntry;
use connect::{Error, FileEntry, Result};
use std::io;

const INTERVAL: &str = "{interval}";

/// A piece of a name.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Anything,
    Interval,
}

/// A pattern, one list of pieces for each level of folders.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern(Vec<Vec<Piece>>);

/// The error of a folder that is not there.
pub(super) fn folder_gone(folder: &str, error: &io::Error) -> Error {
    Error::unavailable(format!("folder {folder} cannot be read"))
        .found(error.to_string())
        .fix("make the folder, or correct the url of the site or the pattern of the flow")
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Invalid` when it leaves the folder, names the interval twice or uses other placeholders.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |found: &str| {
            Error::invalid(format!("`{text}` is no pattern of files")).found(found).fix(
                "files = \"export/{interval}.csv\"      # `*` stands for anything within a name",
            )
        };
        if text.matches(INTERVAL).count() > 1 {
            return Err(wrong("{interval} appears twice"));
        }
        let mut levels = Vec::new();
        for name in text.split('/') {
            if matches!(name, "" | "." | "..") || name.contains('\\') {
                return Err(wrong("it does not name a file below the folder"));
            }
            let pieces = pieces(name);
            let plain =
                |p: &Piece| matches!(p, Piece::Text(t) if t.contains(['{', '}', '?', '[', ']']));
            if pieces.iter().any(plain) {
                return Err(wrong("`*` and `{interval}` are the only placeholders"));
            }
            let ambiguous = |pair: &[Piece]| pair.iter().all(|p| !matches!(p, Piece::Text(_)));
            if pieces.windows(2).any(ambiguous) {
                return Err(wrong("there must be text between two placeholders"));
            }
            levels.push(pieces);
        }
        Ok(Pattern(levels))
    }

    /// The files that match, by interval and path.
    ///
    /// # Errors
    /// `Unavailable` when a folder cannot be read, `Invalid` when a name in it is no UTF-8, or one that matches leads
    /// out of the folder.
    pub(super) fn list(&self, root: &Beneath) -> Result<Vec<FileEntry>> {
        let mut found = Vec::new();
        walk(&self.0, root, "", None, &mut found)?;
        found.sort();
        Ok(found)
    }
}

/// `prefix` is the folder that is looked at: empty, or a path that ends in a slash.
fn walk(
    levels: &[Vec<Piece>],
    root: &Beneath,
    prefix: &str,
    interval: Option<&str>,
    found: &mut Vec<FileEntry>,
) -> Result<()> {
    let Some((pieces, below)) = levels.split_first() else { return Ok(()) };
    if let ([Piece::Text(name)], false) = (pieces.as_slice(), below.is_empty()) {
        // A folder named in full must be there.
        return walk(below, root, &format!("{prefix}{name}/"), interval, found);
    }
    let entries = root.entries(prefix).map_err(|e| folder_gone(&root.shown(prefix), &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| folder_gone(&root.shown(prefix), &e))?;
        let name = name_of(&entry)?;
        let Some(part) = matched(pieces, &name).filter(|_| !unfinished(&name)) else { continue };
        let interval = part.or(interval);
        let path = format!("{prefix}{name}");
        match root.look(&path).map_err(|e| e.at(&path))? {
            Some(Found::File(bytes)) if below.is_empty() => {
                found.push(FileEntry { interval: interval.map(String::from), path, bytes });
            }
            Some(Found::Folder) if !below.is_empty() => {
                walk(below, root, &format!("{path}/"), interval, found)?;
            }
            // It is gone by now, or of the other kind.
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn name_of(entry: &DirEntry) -> Result<String> {
    entry.file_name().into_string().map_err(|name| {
        Error::invalid(format!("a file's name is no UTF-8: {}", name.to_string_lossy()))
            .fix("rename it or move it away")
    })
}

fn unfinished(name: &str) -> bool {
    name.starts_with('.') || [".tmp", ".part", "~"].iter().any(|end| name.ends_with(end))
}

fn pieces(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let next = match (rest.find(INTERVAL), rest.find('*')) {
            (Some(0), _) => INTERVAL.len(),
            (_, Some(0)) => 1,
            (Some(i), Some(j)) => i.min(j),
            (Some(i), None) | (None, Some(i)) => i,
            (None, None) => rest.len(),
        };
        let (piece, after) = rest.split_at(next);
        pieces.push(match piece {
            INTERVAL => Piece::Interval,
            "*" => Piece::Anything,
            text => Piece::Text(text.into()),
        });
        rest = after;
    }
    pieces
}

/// Whether a name matches, and what the interval is in it.
fn matched<'n>(pieces: &[Piece], name: &'n str) -> Option<Option<&'n str>> {
    let Some((piece, rest)) = pieces.split_first() else {
        return name.is_empty().then_some(None);
    };
    let mut splits = (0..=name.len()).rev().filter(|&i| name.is_char_boundary(i));
    match piece {
        Piece::Text(text) => matched(rest, name.strip_prefix(text.as_str())?),
        Piece::Anything => splits.find_map(|i| matched(rest, &name[i..])),
        Piece::Interval => splits
            .filter(|&i| i > 0)
            .find_map(|i| matched(rest, &name[i..]).map(|_| Some(&name[..i]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(pattern: &str, name: &str) -> Option<Option<String>> {
        let pattern = Pattern::parse(pattern).unwrap();
        matched(&pattern.0[0], name).map(|i| i.map(String::from))
    }

    #[test]
    fn names_match_as_written() {
        let some = |i: &str| Some(Some(i.to_string()));
        assert_eq!(interval("{interval}.csv", "2024-01-02.csv"), some("2024-01-02"));
        assert_eq!(interval("{interval}.csv", ".csv"), None);
        assert_eq!(interval("*_{interval}.csv", "a_b_2024.csv"), some("2024"));
        assert_eq!(interval("*.csv", "x.csv"), Some(None));
        assert_eq!(interval("*.csv", "x.CSV"), None);
        assert_eq!(interval("*", "ü"), Some(None));
        assert_eq!(interval("a*b*c", "aXbXbc"), Some(None));
        assert_eq!(interval("a*b*c", "acb"), None);
        assert_eq!(interval("x.csv", "x.csv"), Some(None));
    }

    #[test]
    fn patterns_stay_below_the_folder() {
        for bad in [
            "",
            "/x",
            "../x",
            "a/../b",
            "a//b",
            "x/",
            "{interval}-{interval}",
            "{day}.csv",
            "a?c",
            "[ab]",
            "**",
            "*{interval}",
            "a\\b",
            "./a",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
