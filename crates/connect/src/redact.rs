//! Finds passwords that were written down in urls, connection strings and lines of files, so that none is shown.
//!
//! Not here: secrets by reference (`secret`), which need no search. The invariant: where it is not clear where a
//! password ends, too much is hidden and never too little.

use crate::secret::HIDDEN;
use std::ops::Range;

/// Words that name a secret when they are part of a key.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "credential",
];

/// Whether a key names a secret.
pub fn names_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Where a url holds a password, as bytes of it: behind `://user:`, or behind `password=` in its query or among the
/// pairs of a connection string.
///
/// `${...}` may hold any of the signs that divide a url, so it is looked through.
pub fn password_in_url(url: &str) -> Option<Range<usize>> {
    let flat = flatten_references(url);
    if let Some((from, rest)) = authority(&flat) {
        let upto = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        // A password may itself hold a slash: then the last `@` of the url ends it.
        let at = rest[..upto].rfind('@').or_else(|| rest.rfind('@'));
        if let Some(at) = at
            && let Some(colon) = rest[..at].find(':')
            && colon + 1 < at
        {
            return Some(from + colon + 1..from + at);
        }
    }
    pairs(&flat).map(|(value, _)| value).find(|value| !value.is_empty())
}

/// A text with every password that may be in it replaced by stars.
pub fn redacted(text: &str) -> String {
    let mut shown = text.to_string();
    for range in hidden_ranges(text).into_iter().rev() {
        shown.replace_range(range, HIDDEN);
    }
    shown
}

/// A text with every password that may be in it replaced by as many stars, so that columns stay where they are.
pub fn redacted_in_place(text: &str) -> String {
    let mut shown = text.to_string();
    for range in hidden_ranges(text).into_iter().rev() {
        let stars = "*".repeat(text[range.clone()].chars().count());
        shown.replace_range(range, &stars);
    }
    shown
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

/// What must not be shown of a text: ranges in order, apart from each other.
fn hidden_ranges(text: &str) -> Vec<Range<usize>> {
    let flat = flatten_references(text);
    let mut ranges: Vec<Range<usize>> = Vec::new();
    if let Some((from, rest)) = authority(&flat)
        && let Some(at) = rest.rfind('@')
        && let Some(colon) = rest[..at].find(':')
        && colon + 1 < at
        && !only_references(&text[from + colon + 1..from + at])
    {
        ranges.push(from + colon + 1..from + at);
    }
    let written =
        pairs(&flat).find(|(value, _)| !value.is_empty() && !only_references(&text[value.clone()]));
    if let Some((value, end)) = written {
        // A password can itself look like a url or like a pair: what touches is hidden as one.
        match ranges.last_mut() {
            Some(range) if value.start <= range.end => {
                *range = range.start.min(value.start)..range.end.max(end);
            }
            _ => ranges.push(value.start..end),
        }
    }
    ranges
}

/// What stands behind `://`, and where.
fn authority(flat: &str) -> Option<(usize, &str)> {
    let from = flat.find("://")? + 3;
    Some((from, &flat[from..]))
}

/// Values of keys that name a secret: up to the next sign that could end one, and the furthest it could reach.
fn pairs(flat: &str) -> impl Iterator<Item = (Range<usize>, usize)> {
    const BETWEEN: [char; 11] = ['?', '&', ';', ',', '{', '"', '\'', ' ', '\t', '/', ':'];
    flat.match_indices('=').filter_map(move |(equals, _)| {
        let key = flat[..equals].trim_end().trim_end_matches(['"', '\'']);
        let key = key.rsplit(BETWEEN).next().unwrap_or_default();
        if !names_secret(key) {
            return None;
        }
        let rest = &flat[equals + 1..];
        let inside = rest.trim_start();
        let start = flat.len() - inside.len();
        let Some(quote) = inside.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            let end = inside.find(['&', ';', ' ', '\t', '"', '\'']).unwrap_or(inside.len());
            return Some((start..start + end, flat.len()));
        };
        let start = start + 1;
        let end = flat[start..].find(quote).map_or(flat.len(), |n| start + n);
        // A quote that ends the line ends the value; anything else behind it may still belong to it.
        let whole = flat.trim_end();
        let last = whole.len() - 1;
        let furthest = if whole.ends_with(quote) && last >= start { last } else { flat.len() };
        Some((start..end, furthest))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_passwords_are_hidden_whatever_they_are_made_of() {
        for (text, shown) in [
            ("postgres://u:hunter2@h/d", "postgres://u:***@h/d"),
            ("postgres://u:hun@ter/2@h/d", "postgres://u:***@h/d"),
            ("postgres://u:hun?te&r2@h/d", "postgres://u:***@h/d"),
            ("postgres://u:hunter2@h/p@th", "postgres://u:***@th"),
            ("postgres://h/d?user=u&password=hun&ter2", "postgres://h/d?user=u&password=***"),
            ("host=h password=hun ter2", "host=h password=***"),
            ("sqlserver:server=h;Pwd=hunter2;x=1", "sqlserver:server=h;Pwd=***"),
            ("url = \"x://u:hunter2@h\"", "url = \"x://u:***@h\""),
            ("password = \"hun\\\"ter2\"", "password = \"***\""),
            ("password = hunter2", "password = ***"),
            (
                "a = { url = \"x:\", \"api-key\" = \"hunter2\" }",
                "a = { url = \"x:\", \"api-key\" = \"***",
            ),
            ("sqlite:a.db?key=1", "sqlite:a.db?key=1"),
            ("postgres://u:${env:A@B}@h/d", "postgres://u:${env:A@B}@h/d"),
            ("x?password=${env:A}&y=1", "x?password=${env:A}&y=1"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("x://u:a@h?token=b", "x://u:***@h?token=***"),
        ] {
            assert_eq!(redacted(text), shown, "{text}");
        }
        assert_eq!(redacted_in_place("x://u:äb@h"), "x://u:**@h");
    }
}
