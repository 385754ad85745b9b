//! The order of keys, as readers deliver rows: integers by value, text and bytes by their bytes.
//!
//! Used to place keys that come from the log, or from letters, into ranges of snapshots and proofs. A proof confirms
//! by reading what it reports.

use crate::read::KeyRange;
use change::value::{FloatBits, decimal_text};
use change::{Key, Value};
use std::cmp::Ordering;

/// Compares two keys of one table.
pub fn compare(a: &Key, b: &Key) -> Ordering {
    let cells = a.0.iter().zip(&b.0).map(|(a, b)| compare_cells(a, b));
    cells.fold(Ordering::Equal, Ordering::then).then(a.0.len().cmp(&b.0.len()))
}

impl KeyRange {
    /// Whether the range holds a key.
    pub fn holds(&self, key: &Key) -> bool {
        self.after.as_ref().is_none_or(|after| compare(key, after).is_gt())
            && self.upto.as_ref().is_none_or(|upto| compare(key, upto).is_le())
    }

    /// Both ends, where it has both.
    pub fn bounds(&self) -> Option<(&Key, &Key)> {
        self.after.as_ref().zip(self.upto.as_ref())
    }

    /// Whether the range holds every key.
    pub fn is_full(&self) -> bool {
        self.after.is_none() && self.upto.is_none()
    }
}

fn compare_cells(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => compare_floats(number(*a), number(*b)),
        (Value::Int(a), Value::Float(b)) => compare_int_to_float(*a, number(*b)),
        (Value::Float(a), Value::Int(b)) => compare_int_to_float(*b, number(*a)).reverse(),
        (Value::Decimal { .. }, Value::Int(_) | Value::Float(_)) => compare_decimal_to_misfit(a, b),
        (Value::Int(_) | Value::Float(_), Value::Decimal { .. }) => {
            compare_decimal_to_misfit(b, a).reverse()
        }
        // One column has one scale.
        (Value::Decimal { unscaled: a, .. }, Value::Decimal { unscaled: b, .. }) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Instant(a), Value::Instant(b)) => {
            a.cmp(b)
        }
        _ => class(a).cmp(&class(b)),
    }
}

/// Places of types in a column without a type: null, numbers, text, bytes.
fn class(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Decimal { .. } => 1,
        Value::Date(_) | Value::Timestamp(_) | Value::Instant(_) => 2,
        Value::Text(_) => 3,
        Value::Bytes(_) => 4,
    }
}

fn number(bits: FloatBits) -> f64 {
    f64::from_bits(bits.0)
}

fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b))
}

/// Exact beyond 2^53 too: the rounded comparison decides unless it is a tie.
fn compare_int_to_float(a: i64, b: f64) -> Ordering {
    compare_floats(a as f64, b).then_with(|| i128::from(a).cmp(&(b as i128)))
}

/// A number that is stored in a column of decimals and is none of them. Where a decimal rounds to it, the decimal
/// is put nearer to zero: integers that do not fit are all beyond it.
fn compare_decimal_to_misfit(decimal: &Value, misfit: &Value) -> Ordering {
    let Value::Decimal { unscaled, scale } = decimal else { return Ordering::Equal };
    let near = decimal_text(*unscaled, *scale).parse().expect("plain digits are a float");
    let other = match misfit {
        Value::Int(i) => *i as f64,
        Value::Float(bits) => number(*bits),
        _ => return class(decimal).cmp(&class(misfit)),
    };
    compare_floats(near, other).then(if *unscaled < 0 { Ordering::Greater } else { Ordering::Less })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_decimals_stand_among_decimals() {
        let money = |unscaled| Value::Decimal { unscaled, scale: 4 };
        let sorted = [
            Value::Null,
            Value::Int(-100_000_000),
            money(-15_000),
            Value::float(-1.4999999),
            money(2_139_500),
            Value::float(213.950_000_000_000_02),
            money(2_139_501),
            Value::Int(100_000_000),
            Value::Text("0".into()),
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(&Key(vec![a.clone()]), &Key(vec![b.clone()])), i.cmp(&j));
            }
        }
    }

    #[test]
    fn keys_stand_as_readers_deliver_them() {
        let text = |t: &str| Value::Text(t.into());
        let sorted = [
            Value::Int(-5),
            Value::float(-0.5),
            Value::Int(0),
            Value::float(9_007_199_254_740_992.0),
            Value::Int(9_007_199_254_740_993),
            text("Z"),
            text("a"),
            text("aa"),
            text("é"),
            Value::Bytes(vec![0]),
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(&Key(vec![a.clone()]), &Key(vec![b.clone()])), i.cmp(&j));
            }
        }
        let pair = |a: i64, b: &str| Key(vec![Value::Int(a), text(b)]);
        let range = KeyRange { after: Some(pair(1, "m")), upto: Some(pair(2, "b")) };
        assert!(!range.holds(&pair(1, "m")));
        assert!(range.holds(&pair(1, "n")) && range.holds(&pair(2, "b")));
        assert!(!range.holds(&pair(2, "c")));
    }
}
