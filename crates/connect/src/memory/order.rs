//! The order of keys: integers by value, text and bytes by their bytes, as [`crate::read::KeyRange`] says.
//!
//! Not a comparison of rows for equality: two floats that are equal as numbers but differ in bits are two keys.

use change::{Key, Value, value::FloatBits};
use std::cmp::Ordering;

/// Key cells in an order that maps can be built on.
#[derive(Clone, Debug)]
pub(super) struct OrderedKey(pub(super) Vec<Value>);

impl OrderedKey {
    /// The key as the edges speak of it.
    pub(super) fn key(&self) -> Key {
        Key(self.0.clone())
    }
}

impl From<&Key> for OrderedKey {
    fn from(key: &Key) -> Self {
        OrderedKey(key.0.clone())
    }
}

impl Ord for OrderedKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let cells = self.0.iter().zip(&other.0).map(|(a, b)| compare(a, b));
        let first = cells.into_iter().find(|order| order.is_ne());
        first.unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for OrderedKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedKey {}

/// Orders two cells. Cells of different kinds meet only in columns that carry their own types.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => float(*a).total_cmp(&float(*b)),
        (Value::Int(a), Value::Float(b)) => integer_and_float(*a, float(*b)),
        (Value::Float(a), Value::Int(b)) => integer_and_float(*b, float(*a)).reverse(),
        (Value::Decimal { unscaled: a, scale: x }, Value::Decimal { unscaled: b, scale: y }) => {
            (x, a).cmp(&(y, b))
        }
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Instant(a), Value::Instant(b)) => {
            a.cmp(b)
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn float(FloatBits(bits): FloatBits) -> f64 {
    f64::from_bits(bits)
}

/// By value, exactly; the integer comes first where both are the same number.
fn integer_and_float(integer: i64, float: f64) -> Ordering {
    const PAST_I64: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        return if float.is_sign_negative() { Ordering::Greater } else { Ordering::Less };
    }
    if float >= PAST_I64 {
        return Ordering::Less;
    }
    if float < -PAST_I64 {
        return Ordering::Greater;
    }
    let whole = float.trunc() as i64;
    integer.cmp(&whole).then(if float - float.trunc() < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Less
    })
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) => 2,
        Value::Decimal { .. } => 3,
        Value::Date(_) => 4,
        Value::Timestamp(_) => 5,
        Value::Instant(_) => 6,
        Value::Text(_) => 7,
        Value::Bytes(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::float),
            (-3i64..3).prop_map(Value::Int),
            (-3i64..3).prop_map(|i| Value::float(i as f64 / 2.0)),
            ".{0,2}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..2).prop_map(Value::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in cell(), b in cell(), c in cell()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
        }
    }

    #[test]
    fn integers_go_by_value_and_text_by_bytes() {
        assert!(compare(&Value::Int(-1), &Value::Int(2)).is_lt());
        assert!(compare(&Value::Int(9), &Value::Int(10)).is_lt());
        assert!(compare(&Value::Text("Z".into()), &Value::Text("a".into())).is_lt());
        assert!(compare(&Value::Int(i64::MAX), &Value::float(9.3e18)).is_lt());
    }
}
