//! The same statement gives the same rows, row by row and as a batch, on any data.

use crate::data::{CENTS, relational, row_wise, rows, sale};
use change::Value;
use proptest::prelude::*;

fn cell(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 4 => value].boxed()
}

fn a_sale() -> impl Strategy<Value = Vec<Value>> {
    let text = prop_oneof![Just("A".into()), "[0-9]{1,3}", ".{0,4}"];
    (
        0..5_i64,
        0..100_i64,
        cell(text.prop_map(Value::Text)),
        cell(prop_oneof![-3..100_i64, any::<i64>()].prop_map(Value::Int)),
        cell(
            (-10_i128.pow(11)..10_i128.pow(11))
                .prop_map(|unscaled| Value::Decimal { unscaled, scale: 4 }),
        ),
        cell(any::<f64>().prop_map(Value::float)),
        cell(any::<bool>().prop_map(Value::Bool)),
    )
        .prop_map(|(no, line, code, quantity, price, weight, gift)| {
            let mut row = sale(no, line, "", 0, 0);
            row.splice(2..7, [code, quantity, price, weight, gift]);
            row
        })
}

fn a_projection() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "InvoiceNo, line",
        "*",
        "Quantity + line as y",
        "Quantity * UnitPrice as y",
        "Quantity % 7 as y, UnitPrice - 0.25 as z",
        "case when Quantity > 3 then 'many' when gift then 'gift' else StockCode end as y",
        "coalesce(StockCode, 'none') as y, nullif(line, 3) as z",
        "cast(Quantity as text) || '/' || cast(line as text) as y",
        "cast(UnitPrice as decimal(10, 1)) as y",
        "upper(StockCode) as y, length(StockCode) as z, extra",
        "weight * 2 as y, weight > 1 as z",
        "cast(StockCode as bigint) as y",
        "100 / Quantity as y",
        "InvoiceDate, cast(InvoiceDate as date) as d, day, seen",
        "-Quantity as y, StockCode in ('A', '7') as z",
    ])
}

fn a_filter() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "true",
        "Quantity > 0",
        "gift",
        "not gift or line < 50",
        "StockCode like '%1%'",
        "UnitPrice between 0.5 and 500000.25",
        "Quantity is null",
        "weight < 0",
        "line % 2 = 0 and StockCode is not null",
        "UnitPrice * 2 > 10",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_agree(
        sales in prop::collection::vec(a_sale(), 0..12),
        projection in a_projection(),
        filter in a_filter(),
    ) {
        prop_assert_eq!(CENTS.to_string(), "decimal(12,4)");
        let batch = rows(&sales);
        let sql = format!("select {projection} from sales where {filter}");
        match (row_wise(&sql, &batch), relational(&sql, &batch)) {
            (Ok(a), Ok(b)) => prop_assert_eq!(format!("{a:?}"), format!("{b:?}"), "{}", sql),
            (Err(a), Err(b)) => prop_assert_eq!(a.kind, b.kind, "{}: {:?} / {:?}", sql, a, b),
            (a, b) => prop_assert!(false, "{}: {:?} row by row, {:?} as a batch", sql, a, b),
        }
    }
}
