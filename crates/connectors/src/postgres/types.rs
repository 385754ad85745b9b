//! Column types: from what PostgreSQL declares to what moves, and from what moves to what we declare.
//!
//! Types with an exact neutral type move as that; every other type moves as the text that PostgreSQL prints for it
//! under the settings of our sessions ([`super::session`]), which PostgreSQL reads back as the same value. The column
//! keeps its declared name, so that a PostgreSQL target declares the same type again.
//!
//! | declared | moves as |
//! |---|---|
//! | `smallint`, `integer`, `bigint`, `oid` | `int64` |
//! | `boolean` | `bool` |
//! | `real`, `double precision` | `float64` (a `real` widens exactly) |
//! | `numeric(p,s)` with p <= 38 and 0 <= s <= p | `decimal(p,s)`; `NaN` there is refused, with the option that carries it |
//! | `numeric`, `numeric(p,s)` beyond that | `text`, every digit, `NaN`, `Infinity` |
//! | `text`, `character varying(n)`, `character(n)`, `name` | `text` |
//! | `bytea` | `bytes` |
//! | `date`, `timestamp`, `timestamp with time zone` | `date`, `timestamp`, `instant`; `infinity` and years behind 294246 are refused, with the option that carries them |
//! | `json`, `jsonb`, `uuid`, `interval`, `time`, arrays, ranges, enums, domains, composites, `inet`, `bit`, ... | `text` |
//!
//! The option `as_text = ["date", "timestamp", "numeric"]` of a site moves these types as text too.

use change::ColumnType;

/// How the cells of a column are written in COPY BINARY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// 2-byte integer.
    Int2,
    /// 4-byte integer.
    Int4,
    /// 8-byte integer.
    Int8,
    /// 4 bytes without a sign.
    Oid,
    /// One byte.
    Bool,
    /// binary32.
    Float4,
    /// binary64.
    Float8,
    /// Digits to the base of 10,000.
    Numeric,
    /// UTF-8 as it is: `text`, `varchar`, `char(n)`, `name`, `json`.
    Text,
    /// Bytes as they are.
    Bytes,
    /// Days since 2000-01-01.
    Date,
    /// Microseconds since 2000-01-01T00:00:00.
    Timestamp,
    /// A version byte, then text.
    Jsonb,
    /// Sixteen bytes.
    Uuid,
    /// In its own way: it is read as `column::text`, and written as text that the server casts.
    Cast,
}

/// Types that a site wants as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsText {
    /// `date`, with `infinity`.
    pub date: bool,
    /// `timestamp` and `timestamp with time zone`, with `infinity` and every year.
    pub timestamp: bool,
    /// `numeric(p,s)`, with `NaN`.
    pub numeric: bool,
}

/// What a declared type moves as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The neutral type.
    pub ty: ColumnType,
    /// How COPY BINARY writes it.
    pub wire: Wire,
    /// Whether the declaration says more than the neutral type does.
    pub says_more: bool,
}

/// Maps a type as `format_type` prints it. `basic` says that it is a type of PostgreSQL itself, no domain, no enum.
pub fn mapped(declared: &str, basic: bool, as_text: AsText) -> Mapped {
    let (name, arguments) = split(declared);
    let map = |ty, wire, says_more| Mapped { ty, wire, says_more };
    if !basic {
        return map(ColumnType::Text, Wire::Cast, true);
    }
    match name.as_str() {
        "smallint" => map(ColumnType::Int64, Wire::Int2, true),
        "integer" => map(ColumnType::Int64, Wire::Int4, true),
        "bigint" => map(ColumnType::Int64, Wire::Int8, false),
        "oid" => map(ColumnType::Int64, Wire::Oid, true),
        "boolean" => map(ColumnType::Bool, Wire::Bool, false),
        "real" => map(ColumnType::Float64, Wire::Float4, true),
        "double precision" => map(ColumnType::Float64, Wire::Float8, false),
        "text" => map(ColumnType::Text, Wire::Text, false),
        "character varying" | "character" | "name" | "json" => {
            map(ColumnType::Text, Wire::Text, true)
        }
        "jsonb" => map(ColumnType::Text, Wire::Jsonb, true),
        "uuid" => map(ColumnType::Text, Wire::Uuid, true),
        "bytea" => map(ColumnType::Bytes, Wire::Bytes, false),
        "date" if !as_text.date => map(ColumnType::Date, Wire::Date, false),
        "timestamp without time zone" if !as_text.timestamp => {
            map(ColumnType::Timestamp, Wire::Timestamp, !arguments.is_empty())
        }
        "timestamp with time zone" if !as_text.timestamp => {
            map(ColumnType::Instant, Wire::Timestamp, !arguments.is_empty())
        }
        "numeric" if !as_text.numeric => match decimal(&arguments) {
            Some(ty) => map(ty, Wire::Numeric, false),
            None => map(ColumnType::Text, Wire::Cast, true),
        },
        _ => map(ColumnType::Text, Wire::Cast, true),
    }
}

/// The declaration of a column that we create.
pub fn declaration(ty: ColumnType, declared: Option<&str>) -> String {
    if let Some(declared) = declared {
        return declared.to_string();
    }
    match ty {
        ColumnType::Bool => "boolean".into(),
        ColumnType::Int64 => "bigint".into(),
        ColumnType::Float64 => "double precision".into(),
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ColumnType::Text => "text".into(),
        ColumnType::Bytes => "bytea".into(),
        ColumnType::Date => "date".into(),
        ColumnType::Timestamp => "timestamp without time zone".into(),
        ColumnType::Instant => "timestamp with time zone".into(),
        // A value that carries its own type has no place in a typed column; `prepare` refuses it before this is asked.
        ColumnType::Any => "bytea".into(),
    }
}

/// Whether COPY BINARY writes the same bytes for the same value of a type in every database: a type of PostgreSQL itself
/// that refers to nothing of its database, nor to a setting.
pub fn is_same_everywhere(declared: &str, basic: bool) -> bool {
    let name = split(declared).0;
    let known = [
        "smallint",
        "integer",
        "bigint",
        "boolean",
        "real",
        "double precision",
        "numeric",
        "text",
        "character varying",
        "character",
        "name",
        "json",
        "jsonb",
        "uuid",
        "bytea",
        "date",
        "time without time zone",
        "time with time zone",
        "timestamp without time zone",
        "timestamp with time zone",
        "interval",
        "inet",
        "cidr",
        "bit",
        "bit varying",
    ];
    basic && (known.contains(&name.as_str()) || name.starts_with("interval"))
}

fn decimal(arguments: &[i32]) -> Option<ColumnType> {
    let &[precision, scale] = arguments else { return None };
    let precision = u8::try_from(precision).ok().filter(|p| (1..=38).contains(p))?;
    let scale = i8::try_from(scale).ok().filter(|s| (0..=precision.cast_signed()).contains(s))?;
    Some(ColumnType::Decimal { precision, scale })
}

/// `timestamp(3) with time zone` into `timestamp with time zone` and `[3]`.
fn split(declared: &str) -> (String, Vec<i32>) {
    let Some((name, rest)) = declared.split_once('(') else { return (declared.into(), Vec::new()) };
    let Some((arguments, behind)) = rest.split_once(')') else {
        return (declared.into(), Vec::new());
    };
    let arguments = arguments.split(',').map_while(|n| n.trim().parse().ok()).collect();
    (format!("{name}{behind}"), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(declared: &str) -> ColumnType {
        mapped(declared, true, AsText::default()).ty
    }

    #[test]
    fn declared_types_move_as_what_holds_them_exactly() {
        assert_eq!(ty("numeric(12,4)"), ColumnType::Decimal { precision: 12, scale: 4 });
        assert_eq!(ty("numeric"), ColumnType::Text);
        assert_eq!(ty("numeric(40,2)"), ColumnType::Text);
        assert_eq!(ty("numeric(4,6)"), ColumnType::Text);
        assert_eq!(ty("numeric(4,-2)"), ColumnType::Text);
        assert_eq!(ty("timestamp(3) with time zone"), ColumnType::Instant);
        assert_eq!(ty("timestamp with time zone[]"), ColumnType::Text);
        assert_eq!(ty("integer[]"), ColumnType::Text);
        assert_eq!(mapped("integer", false, AsText::default()).ty, ColumnType::Text);
    }

    #[test]
    fn what_refers_to_its_database_is_not_the_same_everywhere() {
        for declared in ["numeric(12,4)", "timestamp(3) with time zone", "interval day(3)", "jsonb"]
        {
            assert!(is_same_everywhere(declared, true), "{declared}");
            assert!(!is_same_everywhere(declared, false), "a domain or enum of that name");
        }
        for declared in ["money", "regclass", "oid", "integer[]", "xml", "mood"] {
            assert!(!is_same_everywhere(declared, true), "{declared}");
        }
    }

    #[test]
    fn what_we_declare_moves_as_it_came() {
        for ty in [
            ColumnType::Bool,
            ColumnType::Int64,
            ColumnType::Float64,
            ColumnType::Decimal { precision: 38, scale: 9 },
            ColumnType::Text,
            ColumnType::Bytes,
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::Instant,
        ] {
            let back = mapped(&declaration(ty, None), true, AsText::default());
            assert_eq!((back.ty, back.says_more), (ty, false));
        }
    }
}
