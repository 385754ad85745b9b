//! Numbers and times are exact or refused: overflow, digits, casts, sums, nanoseconds.

use crate::data::{CENTS, over_x, relational, rows, sale};
use change::{ColumnType, Value};
use connect::Kind;

fn decimal(unscaled: i128, scale: i8) -> Value {
    Value::Decimal { unscaled, scale }
}

#[test]
fn integer_arithmetic_never_wraps() {
    for (expr, x) in [
        ("x + 1", i64::MAX),
        ("x - 1", i64::MIN),
        ("x * 2", i64::MAX / 2 + 1),
        ("-x", i64::MIN),
        ("x * x", 4_000_000_000),
        ("1 + x", i64::MAX),
        ("cast(x as int) + 1", i64::from(i32::MAX) + 1),
        ("x / -1", i64::MIN),
    ] {
        let sql = format!("select {expr} as y from t");
        let error = over_x(&sql, ColumnType::Int64, &[Value::Int(x)]).expect_err(expr);
        assert_eq!(error.kind, Kind::Refused, "{expr}: {error:?}");
    }
    let sql = "select x + 1 as y from t where x - 1 < 10";
    let rows =
        over_x(sql, ColumnType::Int64, &[Value::Int(3), Value::Null, Value::Int(99)]).unwrap();
    assert_eq!(rows, [[Value::Int(4)]]);
}

#[test]
fn sums_are_exact_and_never_wrap() {
    let max = Value::Int(i64::MAX);
    let sum = |x: &[Value]| over_x("select sum(x) as y from t", ColumnType::Int64, x);
    assert_eq!(sum(&[max.clone(), Value::Int(1)]).unwrap_err().kind, Kind::Refused);
    let rows =
        sum(&[max.clone(), max.clone(), Value::Int(i64::MIN), Value::Int(-i64::MAX)]).unwrap();
    assert_eq!(rows, [[Value::Int(-1)]]);
    assert_eq!(sum(&[Value::Null]).unwrap(), [[Value::Null]]);
    assert_eq!(sum(&[]).unwrap(), [[Value::Null]]);
    let grouped = "select x > 0 as p, sum(x) as y from t group by x > 0";
    let error = over_x(grouped, ColumnType::Int64, &[max.clone(), max.clone()]).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    let window = "select sum(x) over () as y from t";
    assert_eq!(
        over_x(window, ColumnType::Int64, &[max.clone(), max]).unwrap_err().kind,
        Kind::Refused
    );
    let wide = ColumnType::Decimal { precision: 38, scale: 0 };
    let big = 9 * 10_i128.pow(37);
    let sum = |x: &[Value]| over_x("select sum(x) as y from t", wide, x);
    assert_eq!(sum(&[decimal(big, 0), decimal(big, 0)]).unwrap_err().kind, Kind::Refused);
    let rows = sum(&[decimal(big, 0), decimal(big, 0), decimal(-big, 0)]).unwrap();
    assert_eq!(rows, [[decimal(big, 0)]]);
}

#[test]
fn a_moving_sum_forgets_what_leaves_it() {
    let sql =
        "select sum(x) over (order by x rows between 1 preceding and current row) as y from t";
    let x: Vec<Value> = (1..=4).map(Value::Int).collect();
    let rows = over_x(sql, ColumnType::Int64, &x).unwrap();
    assert_eq!(rows, [[Value::Int(1)], [Value::Int(3)], [Value::Int(5)], [Value::Int(7)]]);
}

#[test]
fn decimals_are_exact_to_the_last_digit() {
    let y = |expr: &str, x: i128| {
        over_x(&format!("select {expr} as y from t"), CENTS, &[decimal(x, 4)])
            .map(|rows| rows[0][0].clone())
    };
    assert_eq!(y("x + 0.1", 2_000).unwrap(), decimal(3_000, 4));
    assert_eq!(y("x * 3", 3_333).unwrap(), decimal(9_999, 4));
    assert_eq!(y("x * x", 15_000).unwrap(), decimal(225_000_000, 8));
    assert_eq!(y("-x", 1).unwrap(), decimal(-1, 4));
    assert_eq!(y("x = 0.3", 3_000).unwrap(), Value::Bool(true));
    let wide = ColumnType::Decimal { precision: 38, scale: 0 };
    for expr in ["x + x", "x * 2", "x * x", "x - (-x)", "x + x > x", "(x + x) / 4"] {
        let sql = format!("select {expr} as y from t");
        let error = over_x(&sql, wide, &[decimal(6 * 10_i128.pow(37), 0)]).expect_err(expr);
        assert_eq!(error.kind, Kind::Refused, "{expr}: {error:?}");
    }
}

#[test]
fn money_sums_to_the_cent() {
    let lines: Vec<Vec<Value>> =
        (1..=1_000).map(|i| sale(1, i, "A", 3, 1_001 + i128::from(i))).collect();
    let expected: i128 = (1..=1_000_i128).map(|i| 3 * (1_001 + i)).sum();
    let sql = "select StockCode, sum(Quantity * UnitPrice) as amount from sales group by StockCode";
    let got = relational(sql, &rows(&lines)).unwrap();
    assert_eq!(got, [[Value::Text("A".into()), decimal(expected, 4)]]);
}

#[test]
fn nanoseconds_are_kept_as_microseconds_or_refused() {
    let sql = "select cast(x as timestamp) as y from t";
    let text = |t: &str| over_x(sql, ColumnType::Text, &[Value::Text(t.into())]);
    let rows = text("2024-02-29T12:00:00.123456").unwrap();
    assert_eq!(rows[0][0].to_string(), "2024-02-29T12:00:00.123456");
    let error = text("2024-02-29T12:00:00.1234567").unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.fix.unwrap().contains("date_trunc"));
    assert_eq!(text("yesterday").unwrap_err().kind, Kind::Refused);
    let cut = "select date_trunc('microsecond', cast(x as timestamp)) as y from t";
    let x = [Value::Text("2024-02-29T12:00:00.1234567".into())];
    assert_eq!(
        over_x(cut, ColumnType::Text, &x).unwrap()[0][0].to_string(),
        "2024-02-29T12:00:00.123456"
    );
}

#[test]
fn unsigned_and_small_integers_keep_their_values() {
    let sql = "select cast(x as bigint unsigned) as y, cast(x as smallint) as z from t";
    let rows = over_x(sql, ColumnType::Int64, &[Value::Int(32_000), Value::Null]).unwrap();
    assert_eq!(rows[0], [decimal(32_000, 0), Value::Int(32_000)]);
    assert_eq!(rows[1], [Value::Null, Value::Null]);
    let error = over_x(sql, ColumnType::Int64, &[Value::Int(-1)]).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
}

#[test]
fn try_cast_is_how_null_is_asked_for() {
    let sql = "select try_cast(x as bigint) as y from t";
    let x = [Value::Text("12".into()), Value::Text("x".into())];
    assert_eq!(over_x(sql, ColumnType::Text, &x).unwrap(), [[Value::Int(12)], [Value::Null]]);
}
