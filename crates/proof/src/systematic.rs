//! Faults that are one mistake: a column that is wrong in most rows, and by how much where that is always the same.
//!
//! A mapping, a time zone or a rounding that is wrong damages every row of a table. That is said once, by column; the
//! rows are counted and not listed.

use crate::compare::{Finding, differing};
use crate::subject::RowPath;
use crate::verdict::count;
use change::Value;
use change::value::decimal_text;
use std::collections::BTreeMap;
use std::fmt;

/// A column is systematically wrong when it differs in more than half of the rows, and in at least this many.
const ROWS: u64 = 10;

/// A column that is wrong in most rows: a contract error rather than drift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systematic {
    /// The column.
    pub column: String,
    /// Rows in which it differs.
    pub rows: u64,
    /// Rows that are on both sides.
    pub of: u64,
    /// What the target's values are off by, where it is the same in every row: `+25200`, `-7:00:00`, `+1 days`.
    pub shift: Option<String>,
}

impl fmt::Display for Systematic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Systematic { column, rows, of, shift } = self;
        if rows == of {
            write!(f, "column {column} differs in all {}", count(*of))?;
        } else {
            write!(f, "column {column} differs in {rows} of {of} rows")?;
        }
        match shift {
            Some(shift) => write!(f, ", each by {shift}"),
            None => Ok(()),
        }
    }
}

/// How far a target's value is from the one that should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    Number(i128),
    /// In units of 10^-scale.
    Decimal(i128, i8),
    Days(i64),
    Micros(i64),
    /// Not always the same, or not a number.
    Varies,
}

impl Shift {
    fn between(expected: &Value, found: &Value) -> Shift {
        let apart = |a: &i64, b: &i64| i128::from(*b) - i128::from(*a);
        match (expected, found) {
            (Value::Int(a), Value::Int(b)) => Shift::Number(apart(a, b)),
            (Value::Date(a), Value::Date(b)) => Shift::Days(i64::from(*b) - i64::from(*a)),
            (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Instant(a), Value::Instant(b)) => {
                i64::try_from(apart(a, b)).map_or(Shift::Varies, Shift::Micros)
            }
            (
                Value::Decimal { unscaled: a, scale },
                Value::Decimal { unscaled: b, scale: other },
            ) if scale == other => {
                b.checked_sub(*a).map_or(Shift::Varies, |n| Shift::Decimal(n, *scale))
            }
            _ => Shift::Varies,
        }
    }

    fn told(self) -> Option<String> {
        match self {
            Shift::Number(n) => Some(format!("{n:+}")),
            Shift::Decimal(n, scale) => {
                let sign = if n < 0 { "" } else { "+" };
                Some(format!("{sign}{}", decimal_text(n, scale)))
            }
            Shift::Days(n) => Some(format!("{n:+} days")),
            Shift::Micros(n) => Some(clock(n)),
            Shift::Varies => None,
        }
    }
}

/// `-7:00:00`, with the fraction of a second where there is one.
fn clock(micros: i64) -> String {
    let sign = if micros < 0 { '-' } else { '+' };
    let (seconds, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:06}") };
    format!("{sign}{hours}:{minutes:02}:{:02}{fraction}", seconds % 60)
}

/// Counts what is wrong, by column and by set of columns.
#[derive(Default)]
pub(crate) struct Columns {
    wrong: BTreeMap<String, (u64, Shift)>,
    shapes: BTreeMap<Vec<String>, u64>,
}

impl Columns {
    /// Counts a row that is there on both sides.
    pub(crate) fn count(&mut self, finding: &Finding, path: &RowPath) {
        let row = |side: &Option<crate::compare::Shown>| side.as_ref().and_then(|s| s.row.clone());
        let (Some(expected), Some(found)) = (row(&finding.expected), row(&finding.found)) else {
            return;
        };
        let columns = path.target().schema.columns();
        let mut shape = Vec::new();
        for place in differing(&expected, &found) {
            let shift = Shift::between(&expected[place], &found[place]);
            let name = columns[place].name.clone();
            let (rows, so_far) = self.wrong.entry(name.clone()).or_insert((0, shift));
            *rows += 1;
            if *so_far != shift {
                *so_far = Shift::Varies;
            }
            shape.push(name);
        }
        if !shape.is_empty() {
            *self.shapes.entry(shape).or_default() += 1;
        }
    }

    /// The columns that are systematically wrong among `of` rows that are on both sides, and the wrong rows that have
    /// no other fault.
    pub(crate) fn systematic(&self, of: u64) -> (Vec<Systematic>, u64) {
        let wrong = self.wrong.iter().filter(|(_, (rows, _))| *rows >= ROWS && *rows > of / 2);
        let named: Vec<Systematic> = wrong
            .map(|(column, (rows, shift))| Systematic {
                column: column.clone(),
                rows: *rows,
                of,
                shift: shift.told(),
            })
            .collect();
        let covered = |shape: &[String]| shape.iter().all(|c| named.iter().any(|s| s.column == *c));
        let uniform = self.shapes.iter().filter(|(shape, _)| covered(shape)).map(|(_, n)| n).sum();
        (named, uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_told_as_people_say_them() {
        let told = |a: Value, b: Value| Shift::between(&a, &b).told();
        let hours = 3_600_000_000;
        assert_eq!(told(Value::Int(5), Value::Int(3)).unwrap(), "-2");
        assert_eq!(told(Value::Instant(0), Value::Instant(7 * hours)).unwrap(), "+7:00:00");
        assert_eq!(told(Value::Timestamp(hours / 2), Value::Timestamp(0)).unwrap(), "-0:30:00");
        assert_eq!(told(Value::Timestamp(0), Value::Timestamp(1)).unwrap(), "+0:00:00.000001");
        assert_eq!(told(Value::Date(3), Value::Date(4)).unwrap(), "+1 days");
        let decimal = |unscaled| Value::Decimal { unscaled, scale: 2 };
        assert_eq!(told(decimal(100), decimal(99)).unwrap(), "-0.01");
        assert_eq!(told(decimal(i128::MIN), decimal(i128::MAX)), None);
        assert_eq!(
            told(Value::Int(i64::MIN), Value::Int(i64::MAX)).unwrap(),
            "+18446744073709551615"
        );
        assert_eq!(told(Value::Text("a".into()), Value::Null), None);
    }
}
