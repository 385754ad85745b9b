//! The form in which cells of a type are written into a column, where there is one that loses nothing.
//!
//! | moves as | column | written as |
//! |---|---|---|
//! | `int64` | `smallint`, `integer`, `bigint`, `oid` | itself; a number that is too large is refused |
//! | `float64` | `real`, `double precision` | itself; one with more digits than a `real` is refused |
//! | `decimal(p,s)` | `numeric`, `numeric(P,S)` with room for it | itself |
//! | `timestamp`, `instant` | the same, perhaps with fewer digits | itself; one with more digits is refused |
//! | `text` | `text`, `json` | itself |
//! | `text` | `character varying(n)`, `character(n)`, `name`, `uuid` | itself; what would be cut, padded or spelt anew is refused |
//! | `text` | `jsonb`, arrays, enums, ranges, ... | as the server parses it; only from a column that is declared alike |
//! | `bool`, `bytes`, `date` | the same | itself |
//! | `any` | none | |
//!
//! A pair without a form is refused before anything is written; a cell without one when it comes.

use super::super::catalogue::PgColumn;
use super::super::names::identifier;
use super::super::types::Wire;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use change::{Column, ColumnType};
use connect::{Error, Result};

/// How cells of one column are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Form {
    /// The column's name, as it is.
    pub(super) name: String,
    /// The column's name for SQL.
    pub(super) quoted: String,
    pub(super) wire: Wire,
    /// The type of an array that carries cells to the server.
    pub(super) carrier: &'static str,
    /// What the server casts carried cells to.
    pub(super) cast: Option<String>,
    exactness: Exactness,
}

/// What a cell must be so that it reads back as itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exactness {
    /// Whatever it is; the server refuses what has no place.
    Any,
    /// A multiple of so many microseconds.
    Micros(i64),
    /// Text of exactly so many letters.
    Letters(usize),
    /// Text of at most so many letters: the server cuts off blanks beyond without a word.
    LettersAtMost(usize),
    /// Text of at most so many bytes.
    BytesAtMost(usize),
    /// A uuid as PostgreSQL spells it.
    Uuid,
}

/// The form of a flow's column in a column that is there; or why there is none.
pub(super) fn form(wanted: &Column, found: &PgColumn) -> Result<Form, String> {
    let declared = found.declared.as_str();
    let none = || {
        format!(
            "column {} is declared {declared}, which cannot hold every {} exactly",
            wanted.name, wanted.ty
        )
    };
    let wire = found.wire_as(wanted.ty).ok_or_else(none)?;
    // Cells of a column that is declared alike are spelt as this one spells them.
    let alike = wanted.declared.as_deref() == Some(declared);
    if matches!(wire, Wire::Cast | Wire::Jsonb) && !alike {
        return Err(none() + ": text may be spelt anew there");
    }
    let exactness = if alike { Exactness::Any } else { exactness(wire, declared) };
    Ok(Form {
        name: wanted.name.clone(),
        quoted: identifier(&found.column.name),
        wire,
        carrier: carrier(wire, wanted.ty, declared),
        cast: (wire == Wire::Cast).then(|| declared.to_string()),
        exactness,
    })
}

fn exactness(wire: Wire, declared: &str) -> Exactness {
    let length =
        declared.split_once('(').and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
    match (wire, length) {
        (Wire::Uuid, _) => Exactness::Uuid,
        (Wire::Timestamp, Some(digits @ 0..=6)) => {
            Exactness::Micros(10i64.pow(6 - u32::try_from(digits).expect("at most 6")))
        }
        (Wire::Text, Some(length)) if declared.starts_with("character varying") => {
            Exactness::LettersAtMost(length)
        }
        (Wire::Text, Some(length)) => Exactness::Letters(length),
        (Wire::Text, None) if declared == "name" => Exactness::BytesAtMost(63),
        _ => Exactness::Any,
    }
}

fn carrier(wire: Wire, ty: ColumnType, declared: &str) -> &'static str {
    match wire {
        Wire::Int2 => "int2",
        Wire::Int4 => "int4",
        Wire::Int8 => "int8",
        Wire::Oid => "oid",
        Wire::Bool => "bool",
        Wire::Float4 => "float4",
        Wire::Float8 => "float8",
        Wire::Numeric => "numeric",
        Wire::Bytes => "bytea",
        Wire::Date => "date",
        Wire::Timestamp if ty == ColumnType::Instant => "timestamptz",
        Wire::Timestamp => "timestamp",
        Wire::Jsonb => "jsonb",
        Wire::Uuid => "uuid",
        // Padding counts in no comparison of this type, and in every one of `text`.
        Wire::Text if declared.starts_with("character(") => "bpchar",
        Wire::Text if declared == "json" => "json",
        Wire::Text | Wire::Cast => "text",
    }
}

impl Form {
    /// The carried cell of this column in `s`, as the column takes it.
    pub(super) fn carried(&self, place: usize) -> String {
        match &self.cast {
            Some(declared) => format!("s.c{place}::{declared}"),
            None => format!("s.c{place}"),
        }
    }

    /// Fails when a cell would not read back as itself.
    pub(super) fn check(&self, array: &ArrayRef) -> Result<()> {
        let exact = match self.exactness {
            Exactness::Any => true,
            Exactness::Micros(step) => {
                let times = array.as_primitive::<TimestampMicrosecondType>();
                times.iter().flatten().all(|time| time % step == 0)
            }
            Exactness::Letters(n) => texts(array, |text| text.chars().count() == n),
            Exactness::LettersAtMost(n) => {
                texts(array, |text| text.len() <= n || text.chars().count() <= n)
            }
            Exactness::BytesAtMost(n) => texts(array, |text| text.len() <= n),
            Exactness::Uuid => texts(array, is_uuid),
        };
        if exact {
            return Ok(());
        }
        Err(Error::refused(format!("a cell of column {} cannot be stored exactly", self.name))
            .found("the database would cut it, pad it or spell it anew"))
    }
}

fn texts(array: &ArrayRef, fits: impl Fn(&str) -> bool) -> bool {
    let texts = array.as_string::<i32>();
    texts.null_count() == texts.len() || texts.iter().flatten().all(fits)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

#[cfg(test)]
mod tests {
    use super::super::super::types::{AsText, declaration, mapped};
    use super::*;

    fn found(declared: &str, basic: bool) -> PgColumn {
        let mapped = mapped(declared, basic, AsText::default());
        PgColumn {
            column: Column::new("c", mapped.ty, true),
            declared: declared.into(),
            wire: mapped.wire,
            same_everywhere: false,
            identity_always: false,
        }
    }

    #[test]
    fn whatever_we_declare_has_a_form() {
        for ty in [
            ColumnType::Bool,
            ColumnType::Int64,
            ColumnType::Float64,
            ColumnType::Decimal { precision: 38, scale: 4 },
            ColumnType::Text,
            ColumnType::Bytes,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Instant,
        ] {
            let declared = declaration(ty, None);
            assert!(form(&Column::new("c", ty, true), &found(&declared, true)).is_ok(), "{ty}");
        }
    }

    #[test]
    fn what_would_be_spelt_anew_comes_only_from_its_like() {
        let text = Column::new("c", ColumnType::Text, true);
        for (declared, basic) in
            [("jsonb", true), ("integer[]", false), ("mood", false), ("numeric", true)]
        {
            assert!(form(&text, &found(declared, basic)).is_err(), "{declared}");
            let alike = text.clone().declared(declared);
            assert!(form(&alike, &found(declared, basic)).is_ok(), "{declared}");
        }
    }

    #[test]
    fn a_cell_is_itself_or_refused() {
        let check = |declared: &str, text: &str| {
            let form =
                form(&Column::new("c", ColumnType::Text, true), &found(declared, true)).unwrap();
            let array: ArrayRef =
                std::sync::Arc::new(arrow::array::StringArray::from(vec![Some(text), None]));
            form.check(&array).is_ok()
        };
        assert!(check("character(3)", "abc") && !check("character(3)", "ab"));
        assert!(check("character varying(3)", "äöü") && !check("character varying(3)", "abc "));
        assert!(check("uuid", "00010203-0405-0607-0809-0a0b0c0d0e0f"));
        assert!(!check("uuid", "00010203-0405-0607-0809-0A0B0C0D0E0F"));
        assert!(!check("name", &"x".repeat(64)));
    }
}
