//! Relational statements: joins and groups, streams that are large, feeds and sinks that fail, early ends.

use crate::data::{input, no_row_value, one_column, relational, run, sales, some_sales};
use arrow::array::{Int64Array, RecordBatch};
use change::{Column, ColumnType, TableSchema, Value};
use connect::{BatchEngine, Error, Input, Kind, SqlPlanner};
use seamount_query::Sql;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn numbers() -> TableSchema {
    TableSchema::new(vec![Column::new("n", ColumnType::Int64, false)], &["n"]).unwrap()
}

fn batch(from: i64, rows: i64) -> RecordBatch {
    let array = Int64Array::from_iter_values(from..from + rows);
    RecordBatch::try_new(numbers().images().clone(), vec![Arc::new(array)]).unwrap()
}

/// `count` batches of 8,192 numbers; says how many were taken.
fn many(count: i64, taken: Arc<AtomicU64>) -> Input {
    Input {
        table: "numbers".into(),
        schema: numbers(),
        feed: Box::new(move |push| {
            for i in 0..count {
                push(batch(i * 8_192, 8_192))?;
                taken.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }),
    }
}

fn output(sql: &str) -> TableSchema {
    Sql::new().classify(sql, &[("numbers".into(), numbers())]).unwrap().output
}

fn counted(sql: &str, count: i64) -> (connect::Result<Vec<Vec<Value>>>, u64) {
    let taken = Arc::new(AtomicU64::new(0));
    let rows = run(&Sql::new(), sql, vec![many(count, taken.clone())], &output(sql));
    (rows, taken.load(Ordering::SeqCst))
}

#[test]
fn a_large_stream_is_folded_as_it_comes() {
    let (rows, taken) = counted("select count(*) as c, sum(n) as s, max(n) as m from numbers", 500);
    let n = 500 * 8_192;
    assert_eq!(rows.unwrap(), [[Value::Int(n), Value::Int(n * (n - 1) / 2), Value::Int(n - 1)]]);
    assert_eq!(taken, 500);
}

#[test]
fn a_feed_is_never_far_ahead_of_the_sink() {
    let sql = "select n + 1 as m from numbers where n >= 0";
    let taken = Arc::new(AtomicU64::new(0));
    let mut handed = 0;
    Sql::new()
        .run(sql, vec![many(300, taken.clone())], &output(sql), &mut |batch| {
            handed += batch.num_rows() as u64;
            let ahead = taken.load(Ordering::SeqCst).saturating_sub(handed / 8_192);
            assert!(ahead <= 8, "{ahead} batches wait in memory");
            Ok(())
        })
        .unwrap();
    assert_eq!(handed, 300 * 8_192);
}

#[test]
fn groups_that_do_not_fit_in_memory_spill_and_still_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let statement =
        "select n % 100000 as g, sum(n) as s, count(*) as c from numbers group by n % 100000";
    let totals = |sql: Sql| {
        let taken = Arc::new(AtomicU64::new(0));
        let rows = run(&sql, statement, vec![many(40, taken)], &output(statement)).unwrap();
        let int = |v: &Value| if let Value::Int(i) = v { *i } else { panic!("{v}") };
        let mut sums: Vec<(i64, i64, i64)> =
            rows.iter().map(|r| (int(&r[0]), int(&r[1]), int(&r[2]))).collect();
        sums.sort_unstable();
        sums
    };
    let roomy = totals(Sql::new());
    assert_eq!(roomy.len(), 100_000);
    assert_eq!(roomy.iter().map(|g| g.2).sum::<i64>(), 40 * 8_192);
    assert_eq!(totals(Sql::new().memory_bytes(20 << 20).spill_to(folder.path())), roomy);
}

#[test]
fn an_early_end_stops_the_feed() {
    let (rows, taken) = counted("select n from numbers limit 5", 1_000_000);
    assert_eq!(rows.unwrap().len(), 5);
    assert!(taken < 100, "{taken} batches were read for five rows");
    let (rows, _) = counted("select n from numbers limit 0", 1_000_000);
    assert_eq!(rows.unwrap().len(), 0);
    let (rows, _) = counted("select count(*) as c from numbers where 1 = 0", 1_000);
    assert_eq!(rows.unwrap(), [[Value::Int(0)]]);
}

#[test]
fn a_sort_that_does_not_fit_in_memory_spills() {
    let folder = tempfile::tempdir().unwrap();
    let sql = Sql::new().memory_bytes(24 << 20).spill_to(folder.path().join("spill"));
    let statement = "select n from numbers order by -n";
    let taken = Arc::new(AtomicU64::new(0));
    let mut last = i64::MAX;
    let mut rows = 0;
    sql.run(statement, vec![many(400, taken)], &output(statement), &mut |batch| {
        for n in arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batch.column(0))
            .values()
        {
            assert!(*n < last);
            last = *n;
            rows += 1;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(rows, 400 * 8_192);
}

#[test]
fn too_little_memory_is_an_error_that_says_so() {
    let sql = Sql::new().memory_bytes(64 << 10);
    let statement = "select n, count(*) as c from numbers group by n";
    let taken = Arc::new(AtomicU64::new(0));
    let error = run(&sql, statement, vec![many(200, taken)], &output(statement)).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error:?}");
    assert!(error.what.contains("memory"));
}

#[test]
fn joins_and_groups() {
    let sql = "select a.StockCode, count(*) as c from sales a join other b on a.line = b.line and a.Quantity >= b.Quantity \
               group by a.StockCode order by a.StockCode";
    let tables = [("sales".to_string(), sales()), ("other".to_string(), sales())];
    let output = Sql::new().classify(sql, &tables).unwrap().output;
    let inputs = vec![
        input("sales", &sales(), vec![some_sales()]),
        input("other", &sales(), vec![some_sales().slice(0, 2), some_sales().slice(2, 2)]),
    ];
    let rows = run(&Sql::new(), sql, inputs, &output).unwrap();
    let row = |code: &str, n| vec![Value::Text(code.into()), Value::Int(n)];
    assert_eq!(rows, [row("A", 5), row("B", 1), row("C", 1)]);
}

#[test]
fn a_table_that_is_read_twice_is_fed_once() {
    let sql = "select a.line, (select max(Quantity) from sales) as m from sales a join sales b \
               on a.InvoiceNo = b.InvoiceNo and a.line < b.line";
    assert_eq!(relational(sql, &some_sales()).unwrap(), [[Value::Int(1), Value::Int(10)]]);
    let sql = "with s as (select * from sales where Quantity > 0) \
               select c from (select count(*) as c from s union all select sum(Quantity) from s) as u \
               order by c";
    assert_eq!(relational(sql, &some_sales()).unwrap(), [[Value::Int(2)], [Value::Int(12)]]);
}

fn failing(table: &str, good: usize) -> Input {
    Input {
        table: table.into(),
        schema: numbers(),
        feed: Box::new(move |push| {
            for _ in 0..good {
                push(batch(0, 10))?;
            }
            Err(Error::unavailable("the store is gone").code("E9999"))
        }),
    }
}

#[test]
fn an_input_that_fails_is_the_error_that_comes_back() {
    for sql in [
        "select n from numbers",
        "select count(*) as c from numbers",
        "select n from numbers order by n",
        "select a.n from numbers a join numbers b on a.n = b.n",
    ] {
        for good in [0, 1, 20] {
            let error =
                run(&Sql::new(), sql, vec![failing("numbers", good)], &output(sql)).expect_err(sql);
            assert_eq!((error.kind, error.code), (Kind::Unavailable, Some("E9999")), "{sql}");
        }
    }
}

#[test]
fn an_input_that_panics_is_no_short_result() {
    let sql = "select count(*) as c from numbers";
    let input = Input {
        table: "numbers".into(),
        schema: numbers(),
        feed: Box::new(|push| {
            push(batch(0, 10))?;
            panic!("the feed has a bug");
        }),
    };
    let error = run(&Sql::new(), sql, vec![input], &output(sql)).unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
}

#[test]
fn a_sink_that_fails_is_the_error_that_comes_back() {
    let sql = "select n from numbers";
    let taken = Arc::new(AtomicU64::new(0));
    let mut calls = 0;
    let error = Sql::new()
        .run(sql, vec![many(1_000_000, taken)], &output(sql), &mut |_| {
            calls += 1;
            if calls == 3 { Err(Error::conflict("fenced")) } else { Ok(()) }
        })
        .unwrap_err();
    assert_eq!((error.kind, calls), (Kind::Conflict, 3));
}

#[test]
fn a_row_that_breaks_the_declared_shape_is_noticed() {
    let (_, nulls) = one_column(ColumnType::Int64, &[Value::Null]);
    let schema =
        TableSchema::new(vec![Column::new("x", ColumnType::Int64, false)], &[] as &[&str]).unwrap();
    let sql = "select x from t";
    let output = Sql::new().classify(sql, &[("t".into(), schema.clone())]).unwrap().output;
    let error = run(&Sql::new(), sql, vec![input("t", &schema, vec![nulls])], &output).unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
}

#[test]
fn checks_hold_or_do_not() {
    let staged = || input("staged", &sales(), vec![some_sales()]);
    let holds = |condition: &str| Sql::new().holds(condition, staged());
    assert!(holds("count(*) > 0").unwrap());
    assert!(!holds("count(*) > 4").unwrap());
    assert!(holds("min(UnitPrice) >= 0.0001 and count(distinct StockCode) = 3").unwrap());
    assert!(!holds("bool_and(Quantity > 0)").unwrap());
    assert!(!holds("max(nullif(Quantity, Quantity)) > 0").unwrap(), "null does not hold");
    assert!(holds("count(*) filter (where extra is null) = 0").unwrap());
    assert!(
        holds("(select count(*) from staged where Quantity < 0) <= 1")
            .is_err_and(|e| e.kind == Kind::Invalid)
    );
    let error = holds("count(*)").unwrap_err();
    assert!(error.kind == Kind::Invalid && error.what.contains("true or false"));
    let error = holds("Quantity > 0").unwrap_err();
    assert!(error.kind == Kind::Invalid && error.fix.unwrap().contains("aggregate"));
    let error = holds("sum(cast(StockCode as bigint)) > 0").unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    no_row_value(&error);
}

#[test]
fn checks_of_nothing() {
    let staged = input("staged", &sales(), vec![]);
    assert!(!Sql::new().holds("count(*) > 0", staged).unwrap());
    let staged = input("staged", &sales(), vec![]);
    assert!(!Sql::new().holds("sum(Quantity) > 0", staged).unwrap());
}

#[test]
fn mixed_case_and_quoted_names() {
    let columns = ["Id", "id", "unit price", "select", "naïve", "a\"b"];
    let schema = TableSchema::new(
        columns.iter().map(|c| Column::new(*c, ColumnType::Int64, false)).collect(),
        &["Id"],
    )
    .unwrap();
    let cells: Vec<Value> = (1..=6).map(Value::Int).collect();
    let rows = change::value::batch(&schema, std::slice::from_ref(&cells)).unwrap();
    let sql = "select Id, id, \"unit price\", \"select\", naïve, \"a\"\"b\" from \"My.Table\"";
    let seen = Sql::new().classify(sql, &[("My.Table".into(), schema.clone())]).unwrap();
    let names: Vec<&str> = seen.output.columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, columns);
    let got =
        run(&Sql::new(), sql, vec![input("My.Table", &schema, vec![rows.clone()])], &seen.output);
    assert_eq!(got.unwrap(), std::slice::from_ref(&cells));
    let transform = Sql::new().compile(sql, "My.Table", &schema, &["Id".into()]).unwrap();
    let (_, out) = transform.evaluate(&rows).unwrap();
    assert_eq!(crate::data::cells(&out, transform.output()), [cells]);
}

/// `count` batches of a table that is read through one door with others, as all tables of a site are.
fn behind_one_door(table: &str, count: i64, door: Arc<std::sync::Mutex<()>>) -> Input {
    Input {
        table: table.into(),
        schema: numbers(),
        feed: Box::new(move |push| {
            let _inside = door.lock().unwrap();
            (0..count).try_for_each(|i| push(batch(i * 8_192, 8_192)))
        }),
    }
}

#[test]
fn two_large_tables_of_one_site_are_joined_in_either_order() {
    let known = [("a".to_string(), numbers()), ("b".to_string(), numbers())];
    for sql in [
        "select count(*) as c from a join b on a.n = b.n",
        "select count(*) as c from b join a on b.n = a.n",
    ] {
        let output = Sql::new().classify(sql, &known).unwrap().output;
        for order in [["a", "b"], ["b", "a"]] {
            let door = Arc::new(std::sync::Mutex::new(()));
            let inputs = order.map(|table| behind_one_door(table, 20, door.clone())).into();
            let rows = run(&Sql::new(), sql, inputs, &output).unwrap();
            assert_eq!(rows, [[Value::Int(20 * 8_192)]], "{sql}, {order:?}");
        }
    }
}
