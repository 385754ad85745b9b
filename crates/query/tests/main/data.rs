//! Tables and rows for the tests, and short ways to run a statement.

use arrow::array::{ArrayRef, RecordBatch};
use change::{Column, ColumnType, TableSchema, Value, value};
use connect::{BatchEngine, Error, Input, Result, RowTransform, SqlPlanner};
use seamount_query::Sql;
use std::sync::Arc;

pub(crate) const CENTS: ColumnType = ColumnType::Decimal { precision: 12, scale: 4 };

/// The invoice lines of the examples, with one column of every type.
pub(crate) fn sales() -> TableSchema {
    let columns = vec![
        Column::new("InvoiceNo", ColumnType::Int64, false),
        Column::new("line", ColumnType::Int64, false),
        Column::new("StockCode", ColumnType::Text, true),
        Column::new("Quantity", ColumnType::Int64, true),
        Column::new("UnitPrice", CENTS, true),
        Column::new("weight", ColumnType::Float64, true),
        Column::new("gift", ColumnType::Bool, true),
        Column::new("InvoiceDate", ColumnType::Timestamp, true),
        Column::new("day", ColumnType::Date, true),
        Column::new("seen", ColumnType::Instant, true),
        Column::new("blob", ColumnType::Bytes, true),
        Column::new("extra", ColumnType::Any, true),
    ];
    TableSchema::new(columns, &["InvoiceNo", "line"]).unwrap()
}

/// One row of [`sales`].
pub(crate) fn sale(invoice: i64, line: i64, code: &str, quantity: i64, price: i128) -> Vec<Value> {
    vec![
        Value::Int(invoice),
        Value::Int(line),
        Value::Text(code.into()),
        Value::Int(quantity),
        Value::Decimal { unscaled: price, scale: 4 },
        Value::float(0.5),
        Value::Bool(line % 2 == 0),
        Value::Timestamp(1_700_000_000_000_000 + line),
        Value::Date(19_000),
        Value::Instant(1_700_000_000_000_000),
        Value::Bytes(vec![1, 2]),
        Value::Int(7),
    ]
}

pub(crate) fn rows(rows: &[Vec<Value>]) -> RecordBatch {
    value::batch(&sales(), rows).unwrap()
}

pub(crate) fn some_sales() -> RecordBatch {
    rows(&[
        sale(1, 1, "A", 2, 25_500),
        sale(1, 2, "B", -1, 10_000),
        sale(2, 1, "A", 10, 1),
        sale(3, 1, "C", 0, 99_990_000),
    ])
}

pub(crate) fn columns(sql: &str) -> TableSchema {
    Sql::new().classify(sql, &[("sales".into(), sales())]).unwrap().output
}

pub(crate) fn transform(sql: &str, key: &[&str]) -> Result<Arc<dyn RowTransform>> {
    let key: Vec<String> = key.iter().map(ToString::to_string).collect();
    Sql::new().compile(sql, "sales", &sales(), &key)
}

/// The rows a row-wise statement makes of a batch.
pub(crate) fn row_wise(sql: &str, batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let transform = transform(sql, &[])?;
    let (_, out) = transform.evaluate(batch)?;
    Ok(cells(&out, transform.output()))
}

/// The rows that the batch engine makes of a batch.
pub(crate) fn relational(sql: &str, batch: &RecordBatch) -> Result<Vec<Vec<Value>>> {
    let output = Sql::new().classify(sql, &[("sales".into(), sales())])?.output;
    run(&Sql::new(), sql, vec![input("sales", &sales(), vec![batch.clone()])], &output)
}

pub(crate) fn input(table: &str, schema: &TableSchema, batches: Vec<RecordBatch>) -> Input {
    Input {
        table: table.into(),
        schema: schema.clone(),
        feed: Box::new(move |push| batches.into_iter().try_for_each(push)),
    }
}

pub(crate) fn run(
    sql: &Sql,
    statement: &str,
    inputs: Vec<Input>,
    output: &TableSchema,
) -> Result<Vec<Vec<Value>>> {
    let mut all = Vec::new();
    sql.run(statement, inputs, output, &mut |batch| {
        assert_eq!(batch.schema(), *output.images());
        all.extend(cells(&batch, output));
        Ok(())
    })?;
    Ok(all)
}

pub(crate) fn cells(batch: &RecordBatch, schema: &TableSchema) -> Vec<Vec<Value>> {
    (0..batch.num_rows()).map(|row| Value::row(batch, schema, row)).collect()
}

/// A table of one nullable column `x`, and its only batch.
pub(crate) fn one_column(ty: ColumnType, cells: &[Value]) -> (TableSchema, RecordBatch) {
    let schema = TableSchema::new(vec![Column::new("x", ty, true)], &[] as &[&str]).unwrap();
    let array: ArrayRef = value::column(ty, cells.iter()).unwrap();
    let batch = RecordBatch::try_new(schema.images().clone(), vec![array]).unwrap();
    (schema, batch)
}

/// Runs a statement over table `t(x)` both ways where it is row-wise; the answers must agree.
pub(crate) fn over_x(sql: &str, ty: ColumnType, x: &[Value]) -> Result<Vec<Vec<Value>>> {
    let (schema, batch) = one_column(ty, x);
    let seen = Sql::new().classify(sql, &[("t".into(), schema.clone())])?;
    let inputs = vec![input("t", &schema, vec![batch.clone()])];
    let ran = run(&Sql::new(), sql, inputs, &seen.output);
    if seen.because.is_some() {
        return ran;
    }
    let transform = Sql::new().compile(sql, "t", &schema, &[])?;
    let rows = transform.evaluate(&batch).map(|(_, out)| cells(&out, transform.output()));
    match (&ran, &rows) {
        (Ok(a), Ok(b)) => assert_eq!(a, b, "{sql}"),
        (Err(a), Err(b)) => assert_eq!(a.kind, b.kind, "{sql}: {a} / {b}"),
        (a, b) => panic!("{sql}: {a:?} as a batch, {b:?} row by row"),
    }
    rows
}

pub(crate) fn no_row_value(error: &Error) {
    let text = format!("{error:?}");
    assert!(!text.contains("secret") && !text.contains("4711"), "{text}");
}
