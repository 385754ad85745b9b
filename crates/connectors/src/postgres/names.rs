//! Names of PostgreSQL: the one place where they are quoted, and where a table's name is taken apart.
//!
//! A table is `name` (of the schema `public`) or `schema.name`, each part as it is spelt, or in double quotes where it
//! holds a dot or a quote itself. Invariant: what is quoted here reads back as the same name or text, whatever it holds.

use connect::{Error, Result};

/// The schema of names without one.
pub const PUBLIC: &str = "public";

/// An identifier for SQL.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text for SQL; correct whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A table by its two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Its schema.
    pub schema: String,
    /// Its name there.
    pub name: String,
}

impl TableName {
    /// Takes a name apart.
    ///
    /// # Errors
    /// `Invalid` when it is neither `name` nor `schema.name`.
    pub fn parse(text: &str) -> Result<TableName> {
        let parts = parts(text).ok_or_else(|| wrong(text))?;
        match <[String; 2]>::try_from(parts) {
            Ok([schema, name]) => Ok(TableName { schema, name }),
            Err(mut parts) if parts.len() == 1 => {
                Ok(TableName { schema: PUBLIC.into(), name: parts.remove(0) })
            }
            Err(_) => Err(wrong(text)),
        }
    }

    /// For SQL.
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// As flows spell it; [`TableName::parse`] reads it back.
    pub fn shown(&self) -> String {
        let name = plain_or_quoted(&self.name);
        if self.schema == PUBLIC {
            name
        } else {
            format!("{}.{name}", plain_or_quoted(&self.schema))
        }
    }
}

fn plain_or_quoted(name: &str) -> String {
    if name.contains(['.', '"']) { identifier(name) } else { name.to_string() }
}

fn wrong(text: &str) -> Error {
    Error::invalid(format!("`{text}` is no name of a table"))
        .fix("write it as name or schema.name, parts with a dot or a quote in double quotes")
}

/// Parts between dots that are not quoted; `None` where quotes do not close.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        let part = parts.last_mut().expect("there is always a part");
        match letter {
            '"' if quoted && letters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' if quoted || part.is_empty() => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            other => part.push(other),
        }
    }
    (!quoted && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_taken_apart() {
        let name = |text: &str| TableName::parse(text).map(|n| (n.schema, n.name));
        assert_eq!(name("stock").unwrap(), ("public".into(), "stock".into()));
        assert_eq!(name("sales.Order Lines").unwrap(), ("sales".into(), "Order Lines".into()));
        assert_eq!(name("\"a.b\".\"c\"\"d\"").unwrap(), ("a.b".into(), "c\"d".into()));
        for wrong in ["", "a.b.c", "\"a", "a."] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_name_reads_back(schema in "[^\0]{1,9}", name in "[^\0]{1,9}") {
            let table = TableName { schema, name };
            prop_assert_eq!(TableName::parse(&table.shown()).unwrap(), table);
        }
    }
}
