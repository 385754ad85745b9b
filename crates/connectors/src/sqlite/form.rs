//! The form in which cells of a type are stored in a column, where there is one that loses nothing.
//!
//! It depends on what moves *and* on the column's affinity: text that looks like a number would become one in a
//! numeric column. A pair without a form is refused before anything is written.

use super::types::{Affinity, EXACT_DIGITS};
use change::ColumnType;

/// Digits that a 64-bit integer always holds.
const INTEGER_DIGITS: u8 = 18;

/// How cells of one column are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As an integer.
    Integer,
    /// As 0 or 1.
    Bool,
    /// As a real.
    Real,
    /// A decimal as the nearest real: its at most 15 digits come back.
    DecimalReal,
    /// A decimal without digits behind the point, as an integer.
    DecimalInteger,
    /// A decimal as plain digits.
    DecimalText,
    /// As text.
    Text,
    /// As a blob.
    Bytes,
    /// As `YYYY-MM-DD`.
    Date,
    /// As `YYYY-MM-DD HH:MM:SS[.ffffff]`.
    Timestamp,
    /// As a timestamp with `Z` behind it.
    Instant,
    /// As it came.
    Any,
    /// As it came, unless the column would make it something else.
    AnyNumeric,
}

/// The form of a type in a column, where there is an exact one.
pub(super) fn form(ty: ColumnType, affinity: Affinity) -> Option<Form> {
    let numeric = matches!(affinity, Affinity::Integer | Affinity::Numeric);
    let untyped = affinity == Affinity::Blob;
    let textual = matches!(affinity, Affinity::Text | Affinity::Blob);
    match ty {
        ColumnType::Int64 => (numeric || untyped).then_some(Form::Integer),
        ColumnType::Bool => (numeric || untyped).then_some(Form::Bool),
        ColumnType::Float64 => (affinity != Affinity::Text).then_some(Form::Real),
        ColumnType::Decimal { precision, .. } if precision <= EXACT_DIGITS => {
            Some(if affinity == Affinity::Text { Form::DecimalText } else { Form::DecimalReal })
        }
        ColumnType::Decimal { precision, scale: 0 } if numeric && precision <= INTEGER_DIGITS => {
            Some(Form::DecimalInteger)
        }
        ColumnType::Decimal { .. } => textual.then_some(Form::DecimalText),
        ColumnType::Text => textual.then_some(Form::Text),
        ColumnType::Bytes => Some(Form::Bytes),
        ColumnType::Date => timely(affinity).then_some(Form::Date),
        ColumnType::Timestamp => timely(affinity).then_some(Form::Timestamp),
        ColumnType::Instant => timely(affinity).then_some(Form::Instant),
        ColumnType::Any if untyped => Some(Form::Any),
        ColumnType::Any => (affinity == Affinity::Numeric).then_some(Form::AnyNumeric),
    }
}

/// ISO text looks like no number, so a numeric column (`DATE`, `DATETIME`) leaves it alone.
fn timely(affinity: Affinity) -> bool {
    matches!(affinity, Affinity::Text | Affinity::Blob | Affinity::Numeric)
}

/// Whether SQLite sorts the stored cells as the type sorts: digits in text do not sort as numbers.
pub(super) fn ordered(ty: ColumnType, affinity: Affinity) -> bool {
    match ty {
        ColumnType::Decimal { precision, .. } if precision > EXACT_DIGITS => {
            matches!(affinity, Affinity::Integer | Affinity::Numeric)
        }
        ColumnType::Int64 | ColumnType::Float64 | ColumnType::Decimal { .. } => {
            affinity != Affinity::Text
        }
        _ => true,
    }
}

/// Whether a numeric column would turn this text into a number.
pub(super) fn looks_numeric(text: &str) -> bool {
    let body = text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let body = body.strip_prefix(['+', '-']).unwrap_or(body);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::types::declaration;
    use proptest::prelude::*;
    use rusqlite::Connection;

    #[test]
    fn whatever_we_declare_has_a_form() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        for ty in [
            ColumnType::Bool,
            ColumnType::Int64,
            ColumnType::Float64,
            decimal(15, 4),
            decimal(38, 4),
            ColumnType::Text,
            ColumnType::Bytes,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Instant,
            ColumnType::Any,
        ] {
            assert!(form(ty, Affinity::of(&declaration(ty))).is_some(), "{ty}");
        }
        assert_eq!(form(ColumnType::Int64, Affinity::Real), None);
        assert_eq!(form(ColumnType::Text, Affinity::Numeric), None);
        assert_eq!(form(decimal(20, 4), Affinity::Numeric), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// SQLite itself says whether text stays text in a numeric column.
        #[test]
        fn numbers_in_text_are_known(text in "[ \\t]{0,1}[-+]?[0-9]{0,3}\\.?[0-9]{0,2}([eE][-+]?[0-9]{0,2})?[ x]?") {
            let db = Connection::open_in_memory().unwrap();
            db.execute_batch("CREATE TABLE t (a NUMERIC)").unwrap();
            db.execute("INSERT INTO t VALUES (?1)", [&text]).unwrap();
            let stays: bool =
                db.query_row("SELECT typeof(a) = 'text' FROM t", [], |row| row.get(0)).unwrap();
            prop_assert!(stays || looks_numeric(&text), "{text:?}");
        }
    }
}
