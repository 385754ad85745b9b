//! `{column}` and `${env:X}`, `${file:/path}`, `${cmd:program}` inside values of `sites.toml`.
//!
//! Columns are filled in now; secrets stay references and are only asked for once, so that one that is missing is said
//! now and not at night. One pass: what a column brings in is never looked at again, so it cannot smuggle in a
//! reference.

use connect::{Error, Reference, Secrets, Setting};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Why a value could not be filled in.
#[derive(Debug)]
pub enum TemplateError {
    /// `{name}` names no column; with the columns there are.
    UnknownColumn(String, Vec<String>),
    /// A brace without its partner, or a reference of unknown form.
    Malformed(String),
    /// A secret that is not there, or may not be used.
    NoSecret(Reference, Box<Error>),
}

/// Secrets that were there: of many stores that share one, the first asks for it.
pub type Found = RefCell<BTreeSet<Reference>>;

/// Fills in a value. `columns` is the row of the group's list; empty for a single site.
///
/// # Errors
/// The first reference that cannot be followed.
pub fn fill(
    text: &str,
    columns: &BTreeMap<String, String>,
    root: &Path,
    secrets: &Arc<dyn Secrets>,
    found: &Found,
) -> Result<Setting, TemplateError> {
    let mut out = Setting::default();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        let secret = rest[..open].ends_with('$');
        out.add_text(rest[..open].strip_suffix('$').unwrap_or(&rest[..open]));
        if rest.as_bytes()[open] == b'}' {
            return Err(TemplateError::Malformed("a `}` without its `{`".into()));
        }
        let inside = &rest[open + 1..];
        let close = closing(inside)
            .ok_or_else(|| TemplateError::Malformed("a `{` without its `}`".into()))?;
        let name = &inside[..close];
        if secret {
            let reference = reference(name, columns, root)?;
            if !found.borrow().contains(&reference) {
                if let Err(e) = secrets.find(&reference) {
                    return Err(TemplateError::NoSecret(reference, Box::new(e)));
                }
                found.borrow_mut().insert(reference.clone());
            }
            out.add_secret(reference, Arc::clone(secrets));
        } else {
            out.add_text(column(name, columns)?);
        }
        rest = &inside[close + 1..];
    }
    out.add_text(rest);
    Ok(out)
}

/// A value outside of `sites.toml`, where there are no columns: references are read, and must be there.
///
/// # Errors
/// `Invalid` when a reference cannot be read, or as [`Secrets::find`].
pub fn template(text: &str, root: &Path, secrets: &Arc<dyn Secrets>) -> connect::Result<Setting> {
    fill(text, &BTreeMap::new(), root, secrets, &Found::default()).map_err(|error| match error {
        TemplateError::NoSecret(_, error) => *error,
        TemplateError::UnknownColumn(..) | TemplateError::Malformed(_) => {
            Error::invalid("the braces of the url cannot be read")
                .fix("${env:NAME} or ${file:/path}, in single quotes")
                .code("E0208")
        }
    })
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

/// A reference, read.
fn reference(
    written: &str,
    columns: &BTreeMap<String, String>,
    root: &Path,
) -> Result<Reference, TemplateError> {
    let (kind, place) = written.split_once(':').unwrap_or((written, ""));
    let place = columns_in(place, columns)?;
    match kind {
        "env" => Ok(Reference::Env(place)),
        "file" => Ok(Reference::File { path: root.join(&place), written: place }),
        "cmd" if written.contains('{') => Err(TemplateError::Malformed(
            "a program takes no columns: a list could make it another program".into(),
        )),
        "cmd" => Ok(Reference::Command(place)),
        _ => Err(TemplateError::Malformed(format!("`${{{kind}}}` is none of env:, file:, cmd:"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect::Secret;

    struct Fixed;
    impl Secrets for Fixed {
        fn find(&self, reference: &Reference) -> connect::Result<Secret> {
            match reference {
                Reference::Env(name) if name == "PW_paris" => Ok(Secret::new("s3{x}")),
                Reference::File { .. } => Ok(Secret::new("from-file")),
                _ => Err(Error::unavailable("not there").code("E0209")),
            }
        }
    }

    fn filled(text: &str) -> Result<String, TemplateError> {
        let columns = BTreeMap::from([
            ("site".to_string(), "paris".to_string()),
            ("trick".to_string(), "${env:PW_paris}".to_string()),
        ]);
        let secrets: Arc<dyn Secrets> = Arc::new(Fixed);
        let filled = fill(text, &columns, Path::new(""), &secrets, &Found::default())?;
        Ok(filled.resolve().unwrap().expose().to_string())
    }

    #[test]
    fn columns_and_secrets_are_filled_in_once() {
        assert_eq!(filled("sqlite:{site}.db").unwrap(), "sqlite:paris.db");
        assert_eq!(filled("a:${env:PW_{site}}@").unwrap(), "a:s3{x}@");
        assert_eq!(filled("${file:/run/x}").unwrap(), "from-file");
        assert_eq!(filled("{trick}").unwrap(), "${env:PW_paris}", "a column brings in no secret");
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        assert!(matches!(filled("{host}"), Err(TemplateError::UnknownColumn(..))));
        assert!(matches!(filled("${env:NONE}"), Err(TemplateError::NoSecret(..))));
        assert!(matches!(filled("${vault:x}"), Err(TemplateError::Malformed(_))));
        assert!(matches!(filled("${cmd:pass {site}}"), Err(TemplateError::Malformed(_))));
        assert!(matches!(filled("{site"), Err(TemplateError::Malformed(_))));
        assert!(matches!(filled("site}"), Err(TemplateError::Malformed(_))));
    }
}
