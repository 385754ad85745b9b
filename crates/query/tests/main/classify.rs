//! What a statement is: shape, tables, columns, and the reason in the words of an operator.

use crate::data::{columns, sales, transform};
use change::ColumnType;
use connect::{Kind, Shape, SqlPlanner};
use seamount_query::Sql;

fn tables() -> Vec<(String, change::TableSchema)> {
    vec![("sales".into(), sales()), ("Other Table".into(), sales())]
}

#[test]
fn shapes_and_reasons() {
    for (sql, because) in [
        ("select * from sales", None),
        ("select InvoiceNo, line from sales", None),
        (
            "select InvoiceNo as no, Quantity * UnitPrice as amount from sales where Quantity > 0",
            None,
        ),
        ("select upper(StockCode) as code from sales", None),
        ("select case when gift then 1 else 2 end as n from sales", None),
        ("select coalesce(StockCode, '-') as code from sales", None),
        ("select cast(Quantity as text) as q from sales", None),
        ("select s.line from sales as s where s.StockCode like 'A%'", None),
        ("select line from (select * from sales where gift) as g where line > 1", None),
        ("with g as (select * from sales) select line from g", None),
        ("select extra, line from sales", None),
        ("select line from sales where StockCode in ('A', 'B', 'C', 'D', 'E')", None),
        ("select line from sales where Quantity between 1 and 5", None),
        ("select line from sales where extra is not null", None),
        ("select line from \"Other Table\"", None),
        ("select 1 as one, line from sales", None),
        ("select line from sales where 1 = 0", None),
        ("select date_trunc('day', InvoiceDate) as d from sales", None),
        ("select try_cast(StockCode as bigint) as n from sales", None),
        ("select nullif(StockCode, '') as code, length(StockCode) as n from sales", None),
        ("select count(*) from sales", Some("aggregate")),
        ("select (count(*) > 0) as ok from sales", Some("aggregate")),
        ("select StockCode, sum(Quantity) from sales group by StockCode", Some("group by")),
        ("select StockCode from sales group by StockCode having count(*) > 1", Some("group by")),
        ("select line from sales order by line", Some("order by")),
        ("select line from sales limit 3", Some("limit")),
        ("select distinct StockCode from sales", Some("distinct")),
        ("select row_number() over (order by line) as n from sales", Some("window function")),
        (
            "select sum(Quantity) over (partition by StockCode) as n from sales",
            Some("window function"),
        ),
        ("select a.line from sales a join \"Other Table\" b on a.line = b.line", Some("join")),
        ("select a.line from sales a, sales b", Some("join")),
        ("select line from sales union all select line from sales", Some("union")),
        (
            "select line from sales where line in (select line from \"Other Table\")",
            Some("subquery"),
        ),
        ("select (select max(line) from sales) as m from sales", Some("subquery")),
        ("select line from sales where exists (select 1 from \"Other Table\")", Some("subquery")),
        ("select 1 as one", Some("no table")),
        ("select SUM(Quantity) AS n, COUNT(*) AS c from sales", Some("aggregate")),
    ] {
        let seen = Sql::new().classify(sql, &tables()).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(seen.because.as_deref(), because, "{sql}");
        let shape = if because.is_some() { Shape::Relational } else { Shape::RowWise };
        assert_eq!(seen.shape, shape, "{sql}");
    }
}

#[test]
fn what_cannot_run_is_invalid_and_says_why() {
    for (sql, words) in [
        ("selct 1", "expected"),
        ("select line from nowhere", "nowhere"),
        ("select Line from sales", "Line"),
        ("select invoiceno from sales", "invoiceno"),
        ("select line, line from sales", "line"),
        ("select a.line, b.line from sales a join \"Other Table\" b on a.line = b.line", "twice"),
        ("select now() as t from sales", "now()"),
        ("select current_date as t from sales", "current_date"),
        ("select uuid() as t from sales", "uuid()"),
        ("select count(*) from sales where InvoiceDate < now()", "now()"),
        ("select extra || 'x' as y from sales", "extra"),
        ("select line from sales where extra = 'x'", "extra"),
        ("select extra, count(*) from sales group by extra", "extra"),
        ("select cast(extra as text) as y from sales", "extra"),
        ("select null as y from sales", "null of"),
        ("select InvoiceDate - InvoiceDate as y from sales", "exactly"),
        ("select [line, line] as y from sales", "exactly"),
        ("select sum(distinct Quantity) as y from sales", "distinct"),
        ("select avg(Quantity * UnitPrice) as y from sales", "avg"),
        ("delete from sales", "reads"),
        ("insert into sales select * from sales", "reads"),
        ("create table x (y int)", "reads"),
        ("copy sales to 'x.parquet'", "reads"),
        ("explain select line from sales", "reads"),
        ("select line from sales; select line from sales", "statement"),
        ("select StockCode + 1 as y, Quantity.x from sales", "x"),
        ("", "statement"),
    ] {
        let error = Sql::new().classify(sql, &tables()).expect_err(sql);
        assert_eq!(error.kind, Kind::Invalid, "{sql}: {error:?}");
        let text = format!("{} {} {:?}", error, error.fix.clone().unwrap_or_default(), error.found);
        assert!(text.to_lowercase().contains(&words.to_lowercase()), "{sql}: {text}");
    }
}

#[test]
fn tables_are_named_once_as_written() {
    let sql = "select a.line from \"Other Table\" a join sales b on a.line = b.line \
               where a.line in (select line from sales)";
    let seen = Sql::new().classify(sql, &tables()).unwrap();
    let mut names = seen.tables;
    names.sort();
    assert_eq!(names, ["Other Table", "sales"]);
}

#[test]
fn types_come_out_exact() {
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    for (expr, ty) in [
        ("InvoiceNo", ColumnType::Int64),
        ("cast(line as smallint)", ColumnType::Int64),
        ("cast(line as bigint unsigned)", decimal(20, 0)),
        ("cast(weight as real)", ColumnType::Float64),
        ("0.1", decimal(1, 1)),
        ("12.50", decimal(4, 2)),
        ("Quantity * UnitPrice", decimal(33, 4)),
        ("UnitPrice + 0.01", decimal(13, 4)),
        ("cast(UnitPrice as decimal(10, 2))", decimal(10, 2)),
        ("StockCode || 'x'", ColumnType::Text),
        ("cast(InvoiceDate as date)", ColumnType::Date),
        ("cast(StockCode as timestamp)", ColumnType::Timestamp),
        ("seen", ColumnType::Instant),
        ("line > 2", ColumnType::Bool),
        ("blob", ColumnType::Bytes),
        ("extra", ColumnType::Any),
        ("length(StockCode)", ColumnType::Int64),
        ("weight * 2", ColumnType::Float64),
        ("Quantity + 1", ColumnType::Int64),
        ("-Quantity", ColumnType::Int64),
    ] {
        let output = columns(&format!("select {expr} as y from sales"));
        assert_eq!(output.columns()[0].ty, ty, "{expr}");
        assert_eq!(output.columns()[0].name, "y");
    }
    let output = columns(
        "select sum(Quantity * UnitPrice) as y, sum(Quantity) as n, count(*) as c from sales",
    );
    let types: Vec<ColumnType> = output.columns().iter().map(|c| c.ty).collect();
    assert_eq!(types, [decimal(38, 4), ColumnType::Int64, ColumnType::Int64]);
    assert!(columns("select line, StockCode from sales").columns()[1].nullable);
    assert!(!columns("select line, StockCode from sales").columns()[0].nullable);
}

#[test]
fn compiling_asks_for_a_row_wise_statement_and_its_key() {
    let error = transform("select count(*) as n from sales", &[]).map(drop).unwrap_err();
    assert_eq!((error.kind, error.found.as_deref()), (Kind::Invalid, Some("aggregate")));
    let error = transform("select Quantity from sales", &["line"]).map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    let ok = transform("select InvoiceNo as no, line from sales", &["no", "line"]).unwrap();
    assert_eq!(ok.output().key(), [0, 1]);
}

#[test]
fn deep_nesting_is_evaluated_and_abysses_are_refused() {
    let deep = format!("select {}line{} as y from sales", "(".repeat(100), " + 1)".repeat(100));
    assert_eq!(Sql::new().classify(&deep, &tables()).unwrap().shape, Shape::RowWise);
    let batch = crate::data::some_sales();
    let rows = crate::data::row_wise(&deep, &batch).unwrap();
    assert_eq!(rows[0], [change::Value::Int(101)]);
    assert_eq!(crate::data::relational(&deep, &batch).unwrap(), rows);
    for abyss in [
        format!("select {}line{} as y from sales", "(".repeat(5_000), ")".repeat(5_000)),
        format!("select line{} as y from sales", " + 1".repeat(10_000)),
        format!("select line from sales where {} gift", "not ".repeat(10_000)),
        format!("select line as y{} from sales", " ".repeat(70_000)),
    ] {
        let error = Sql::new().classify(&abyss, &tables()).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{error:?}");
    }
}
