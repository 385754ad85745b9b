//! Column types: from what a table declares to what moves, and from what moves to what we declare.
//!
//! SQLite columns have an *affinity*, not a type: each cell says for itself what it is. So a declaration is only
//! a promise; whoever reads a cell checks it against the type promised here, and refuses what does not fit.
//!
//! | declared | affinity | moves as |
//! |---|---|---|
//! | contains `INT` | integer | `int64` |
//! | contains `CHAR`, `CLOB`, `TEXT` | text | `text` |
//! | contains `BLOB` | blob | `bytes` |
//! | contains `REAL`, `FLOA`, `DOUB` | real | `float64` |
//! | `DECIMAL(p,s)`, `NUMERIC(p,s)` with p <= 15 | numeric | `decimal(p,s)` |
//! | nothing | blob | `any` |
//! | everything else (`DATE`, `DATETIME`, `BOOLEAN`, `NUMERIC`, `DECIMAL(20,4)`, ...) | numeric | `any` |
//!
//! | moves as | declared by us | stored as |
//! |---|---|---|
//! | `int64` | `INTEGER` | integer |
//! | `bool` | `INTEGER` | 0 or 1 |
//! | `float64` | `REAL` | real, with one zero; NaN is refused, SQLite would store null |
//! | `decimal(p,s)` with p <= 15 | `DECIMAL(p,s)` | integer or real: 15 digits survive a binary64 |
//! | `decimal(p,s)` with p > 15 | `TEXT` | plain digits |
//! | `text` | `TEXT` | text |
//! | `bytes` | `BLOB` | blob |
//! | `date` | `TEXT` | `YYYY-MM-DD` |
//! | `timestamp` | `TEXT` | `YYYY-MM-DD HH:MM:SS[.ffffff]` |
//! | `instant` | `TEXT` | `YYYY-MM-DD HH:MM:SS[.ffffff]Z` |
//! | `any` | (nothing) | as it came |

use change::ColumnType;

/// Decimal digits that a binary64 carries without loss.
pub const EXACT_DIGITS: u8 = 15;

/// What SQLite does to a cell on its way into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Numbers in text become numbers; integral reals become integers.
    Integer,
    /// As [`Affinity::Integer`].
    Numeric,
    /// Every number becomes a real.
    Real,
    /// Every number becomes text.
    Text,
    /// Nothing is done.
    Blob,
}

impl Affinity {
    /// The affinity of a declared type, by the rules of SQLite, in their order.
    pub fn of(declared: &str) -> Affinity {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || declared.trim().is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

/// The type that the cells of a column move as.
pub fn column_type(declared: &str) -> ColumnType {
    match Affinity::of(declared) {
        Affinity::Integer => ColumnType::Int64,
        Affinity::Real => ColumnType::Float64,
        Affinity::Text => ColumnType::Text,
        Affinity::Blob if declared.trim().is_empty() => ColumnType::Any,
        Affinity::Blob => ColumnType::Bytes,
        Affinity::Numeric => match decimal(declared) {
            Some((precision, scale)) => ColumnType::Decimal { precision, scale },
            None => ColumnType::Any,
        },
    }
}

/// The declaration of a column that we create; empty for one without a type.
pub fn declaration(ty: ColumnType) -> String {
    match ty {
        ColumnType::Int64 | ColumnType::Bool => "INTEGER".into(),
        ColumnType::Float64 => "REAL".into(),
        ColumnType::Decimal { precision, scale } if precision <= EXACT_DIGITS => {
            format!("DECIMAL({precision},{scale})")
        }
        ColumnType::Decimal { .. }
        | ColumnType::Text
        | ColumnType::Date
        | ColumnType::Timestamp
        | ColumnType::Instant => "TEXT".into(),
        ColumnType::Bytes => "BLOB".into(),
        ColumnType::Any => String::new(),
    }
}

/// Precision and scale of `DECIMAL(p,s)` and `NUMERIC(p,s)`, where a binary64 carries all digits.
fn decimal(declared: &str) -> Option<(u8, i8)> {
    let declared = declared.trim().to_ascii_uppercase();
    let rest = declared.strip_prefix("DECIMAL").or_else(|| declared.strip_prefix("NUMERIC"))?;
    let (precision, scale) = rest.trim().strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: i8 = scale.trim().parse().ok()?;
    let fits = (1..=EXACT_DIGITS).contains(&precision)
        && (0..=precision).contains(&u8::try_from(scale).ok()?);
    fits.then_some((precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONEY: ColumnType = ColumnType::Decimal { precision: 12, scale: 4 };

    #[test]
    fn declared_types_by_the_rules_of_sqlite() {
        for (declared, ty) in [
            ("INTEGER", ColumnType::Int64),
            ("bigint", ColumnType::Int64),
            ("FLOATING POINT", ColumnType::Int64),
            ("VARCHAR(80)", ColumnType::Text),
            ("double precision", ColumnType::Float64),
            ("BLOB", ColumnType::Bytes),
            ("DECIMAL(12,4)", MONEY),
            ("numeric ( 12 , 4 )", MONEY),
            ("DECIMAL(20,4)", ColumnType::Any),
            ("DECIMAL(4,5)", ColumnType::Any),
            ("DECIMAL", ColumnType::Any),
            ("DATE", ColumnType::Any),
            ("DATETIME", ColumnType::Any),
            ("BOOLEAN", ColumnType::Any),
            ("", ColumnType::Any),
        ] {
            assert_eq!(column_type(declared), ty, "{declared}");
        }
    }

    #[test]
    fn what_we_declare_reads_back_where_sqlite_has_the_type() {
        for ty in
            [ColumnType::Int64, ColumnType::Float64, ColumnType::Text, ColumnType::Bytes, MONEY]
        {
            assert_eq!(column_type(&declaration(ty)), ty);
        }
        assert_eq!(column_type(&declaration(ColumnType::Any)), ColumnType::Any);
        assert_eq!(declaration(ColumnType::Decimal { precision: 38, scale: 2 }), "TEXT");
    }
}
