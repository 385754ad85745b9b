//! Compiled filters and projections: which rows stay, which columns are carried, what fails.

use crate::data::{cells, no_row_value, rows, sale, sales, some_sales, transform};
use arrow::array::RecordBatch;
use change::{ColumnType, Value};
use connect::Kind;

#[test]
fn the_filter_says_which_rows_stay() {
    let transform = transform(
        "select line, Quantity * 2 as twice, InvoiceNo as no from sales where Quantity > 0",
        &["no", "line"],
    )
    .unwrap();
    let (kept, out) = transform.evaluate(&some_sales()).unwrap();
    assert_eq!(kept.iter().map(Option::unwrap).collect::<Vec<_>>(), [true, false, true, false]);
    let ints = |row: &[i64]| row.iter().map(|i| Value::Int(*i)).collect::<Vec<_>>();
    assert_eq!(cells(&out, transform.output()), [ints(&[1, 4, 1]), ints(&[1, 20, 2])]);
    assert_eq!(transform.carried(), [Some(1), None, Some(0)]);
    assert_eq!(out.schema(), *transform.output().images());
}

#[test]
fn filters_below_and_above_a_projection_compose() {
    let transform = transform(
        "select q from (select line as l, 100 / Quantity as q from sales where Quantity <> 0) as s \
         where q > 20",
        &[],
    )
    .unwrap();
    let (kept, out) = transform.evaluate(&some_sales()).unwrap();
    assert_eq!(kept.iter().map(Option::unwrap).collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(cells(&out, transform.output()), [[Value::Int(50)]]);
}

#[test]
fn tagged_columns_are_carried_as_they_are() {
    let mut row = sale(1, 1, "A", 1, 1);
    row[11] = Value::Text("anything".into());
    let batch = rows(&[row.clone(), sale(1, 2, "B", 2, 2)]);
    let transform =
        transform("select extra as e, line, blob from sales where line = 1", &["line"]).unwrap();
    assert_eq!(transform.output().columns()[0].ty, ColumnType::Any);
    assert_eq!(transform.carried(), [Some(11), Some(1), Some(10)]);
    let (_, out) = transform.evaluate(&batch).unwrap();
    assert_eq!(cells(&out, transform.output())[0][0], row[11]);
    assert_eq!(out.schema(), *transform.output().images());
}

#[test]
fn nulls_do_not_pass_a_filter_and_nothing_is_made_of_them() {
    let mut row = sale(1, 1, "A", 1, 1);
    row[3] = Value::Null;
    let batch = rows(&[row, sale(1, 2, "B", 5, 1)]);
    let all = |sql: &str| crate::data::row_wise(sql, &batch).unwrap();
    assert_eq!(all("select line from sales where Quantity > 1"), [[Value::Int(2)]]);
    assert_eq!(all("select line from sales where not (Quantity > 1)"), Vec::<Vec<Value>>::new());
    assert_eq!(all("select Quantity + 1 as q from sales")[0], [Value::Null]);
    assert_eq!(all("select coalesce(Quantity, 0) as q from sales")[0], [Value::Int(0)]);
    assert_eq!(all("select Quantity is null as q from sales")[0], [Value::Bool(true)]);
}

#[test]
fn no_rows_are_no_problem() {
    let transform = transform("select line + 1 as l, 'x' as t from sales where gift", &[]).unwrap();
    let empty = RecordBatch::new_empty(sales().images().clone());
    let (kept, out) = transform.evaluate(&empty).unwrap();
    assert_eq!((kept.len(), out.num_rows()), (0, 0));
}

#[test]
fn a_failing_row_is_refused_without_its_value() {
    let batch = rows(&[sale(1, 1, "secret", 4711, 1)]);
    for sql in [
        "select cast(StockCode as bigint) as y from sales",
        "select cast(StockCode as decimal(10, 2)) as y from sales",
        "select cast(StockCode as date) as y from sales",
        "select cast(StockCode as timestamp) as y from sales",
        "select cast(Quantity as tinyint) as y from sales",
        "select Quantity / (line - 1) as y from sales",
        "select cast(Quantity as decimal(3, 1)) as y from sales",
        "select line from sales where cast(StockCode as bigint) > 3",
    ] {
        let error = crate::data::row_wise(sql, &batch).expect_err(sql);
        assert_eq!(error.kind, Kind::Refused, "{sql}: {error:?}");
        no_row_value(&error);
        let error = crate::data::relational(sql, &batch).expect_err(sql);
        assert_eq!(error.kind, Kind::Refused, "{sql}: {error:?}");
        no_row_value(&error);
    }
}
