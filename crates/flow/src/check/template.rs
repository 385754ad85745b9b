//! `{column}` and `${env:X}`, `${file:/path}` inside values of `sites.toml`.
//!
//! One pass: what a column or a secret brings in is never looked at again, so neither can smuggle in a reference.

use std::collections::BTreeMap;
use std::path::Path;

/// Where secrets come from.
pub trait Secrets {
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String>;

    /// A file's text.
    ///
    /// # Errors
    /// It cannot be read.
    fn file(&self, path: &Path) -> std::io::Result<String>;
}

/// The process's environment and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSecrets;

impl Secrets for ProcessSecrets {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }
}

/// Why a value could not be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// `{name}` names no column; with the columns there are.
    UnknownColumn(String, Vec<String>),
    /// A brace without its partner, or a reference of unknown form.
    Malformed(String),
    /// A secret that is not there: the reference, and why.
    NoSecret(String, String),
}

/// Fills in a value. `columns` is the row of the group's list; empty for a single site.
///
/// # Errors
/// The first reference that cannot be followed.
pub fn fill(
    text: &str,
    columns: &BTreeMap<String, String>,
    root: &Path,
    secrets: &dyn Secrets,
) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let secret = rest[..open].ends_with('$');
        out.push_str(rest[..open].strip_suffix('$').unwrap_or(&rest[..open]));
        if rest.as_bytes()[open] == b'}' {
            return Err(TemplateError::Malformed("a `}` without its `{`".into()));
        }
        let inside = &rest[open + 1..];
        let close = closing(inside)
            .ok_or_else(|| TemplateError::Malformed("a `{` without its `}`".into()))?;
        let name = &inside[..close];
        if secret {
            out.push_str(&resolve(&columns_in(name, columns)?, root, secrets)?);
        } else {
            out.push_str(column(name, columns)?);
        }
        rest = &inside[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The place of the brace that closes the one already open.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (place, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(place),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A reference with the columns in it filled in: `${env:PASSWORD_{site}}`.
fn columns_in(name: &str, columns: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut rest = name;
    while let Some(open) = rest.find('{') {
        let inside = &rest[open + 1..];
        let close = inside
            .find('}')
            .ok_or_else(|| TemplateError::Malformed("a `{` without its `}`".into()))?;
        out.push_str(&rest[..open]);
        out.push_str(column(&inside[..close], columns)?);
        rest = &inside[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A column's value.
fn column<'a>(
    name: &str,
    columns: &'a BTreeMap<String, String>,
) -> Result<&'a String, TemplateError> {
    columns.get(name).ok_or_else(|| {
        TemplateError::UnknownColumn(name.to_string(), columns.keys().cloned().collect())
    })
}

/// A secret's value.
fn resolve(reference: &str, root: &Path, secrets: &dyn Secrets) -> Result<String, TemplateError> {
    let missing = |why: String| TemplateError::NoSecret(reference.to_string(), why);
    match reference.split_once(':') {
        Some(("env", name)) => secrets
            .env(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| missing(format!("the environment has no {name}"))),
        Some(("file", path)) => {
            let text = secrets.file(&root.join(path)).map_err(|e| missing(e.to_string()))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_string())
        }
        _ => Err(TemplateError::Malformed(format!("`${{{reference}}}` is neither env: nor file:"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Secrets for Fixed {
        fn env(&self, name: &str) -> Option<String> {
            (name == "PW_paris").then(|| "s3{x}".to_string())
        }
        fn file(&self, _: &Path) -> std::io::Result<String> {
            Ok("from-file\n".into())
        }
    }

    fn filled(text: &str) -> Result<String, TemplateError> {
        let columns = BTreeMap::from([
            ("site".to_string(), "paris".to_string()),
            ("trick".to_string(), "${env:PW_paris}".to_string()),
        ]);
        fill(text, &columns, Path::new(""), &Fixed)
    }

    #[test]
    fn columns_and_secrets_are_filled_in_once() {
        assert_eq!(filled("sqlite:{site}.db"), Ok("sqlite:paris.db".into()));
        assert_eq!(filled("a:${env:PW_{site}}@"), Ok("a:s3{x}@".into()));
        assert_eq!(filled("${file:/run/x}"), Ok("from-file".into()));
        assert_eq!(filled("{trick}"), Ok("${env:PW_paris}".into()), "a column brings in no secret");
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        assert!(matches!(filled("{host}"), Err(TemplateError::UnknownColumn(..))));
        assert!(matches!(filled("${env:NONE}"), Err(TemplateError::NoSecret(..))));
        assert!(matches!(filled("${vault:x}"), Err(TemplateError::Malformed(_))));
        assert!(matches!(filled("{site"), Err(TemplateError::Malformed(_))));
        assert!(matches!(filled("site}"), Err(TemplateError::Malformed(_))));
    }
}
