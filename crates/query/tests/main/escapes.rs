//! A flow's SQL reads its tables and can do nothing else, for no longer than it may.

use super::data::*;
use connect::{Kind, SqlPlanner};
use seamount_query::Sql;
use std::time::Duration;

/// Ways out that were tried on other engines.
const ESCAPES: &[&str] = &[
    // Writing.
    "insert into sales select * from sales",
    "update sales set Quantity = 0",
    "delete from sales",
    "merge into sales using sales s on true when matched then delete",
    "truncate table sales",
    "select * into copied from sales",
    "with gone as (delete from sales returning *) select * from gone",
    "with added as (insert into sales values (1) returning *) select * from added",
    "with x as (select InvoiceNo from sales) insert into sales select * from x",
    "with x as (select InvoiceNo from sales) delete from sales",
    // Defining.
    "drop table sales",
    "create table copied as select * from sales",
    "create view seen as select * from sales",
    "create external table passwd stored as csv location '/etc/passwd'",
    "create function f() returns int return 1",
    "create schema s",
    "create database d",
    "alter table sales add column x int",
    // Files and programs.
    "copy sales to '/tmp/out.csv'",
    "copy (select * from sales) to '/tmp/out.parquet' stored as parquet",
    "copy sales from program 'id'",
    "select * from '/etc/passwd'",
    "select * from \"file:///etc/passwd\"",
    "select * from \"/etc/passwd.csv\"",
    "select * from read_csv('/etc/passwd')",
    "select * from read_parquet('/tmp/x.parquet')",
    "select * from parquet_metadata('/tmp/x.parquet')",
    "select pg_read_file('/etc/passwd') from sales",
    "select load_extension('x') from sales",
    "select getenv('HOME') as home from sales",
    "attach database '/tmp/x.db' as other",
    "load 'extension'",
    // Settings, catalogues and other statements.
    "set datafusion.execution.batch_size = 1",
    "reset datafusion.execution.batch_size",
    "show all",
    "show tables",
    "describe sales",
    "select * from information_schema.tables",
    "select * from datafusion.information_schema.df_settings",
    "explain select InvoiceNo from sales",
    "explain analyze select InvoiceNo from sales",
    "prepare p as select InvoiceNo from sales",
    "execute p",
    "begin",
    "grant select on sales to public",
    "call f()",
    "use other",
    "pragma database_list",
    "vacuum",
    "lock table sales",
    // More than one.
    "select InvoiceNo from sales; drop table sales",
    "select InvoiceNo from sales; select InvoiceNo from sales",
    "select InvoiceNo from sales; -- \n set x = 1",
];

#[test]
fn every_way_out_is_refused() {
    assert!(ESCAPES.len() >= 30);
    let output = columns("select InvoiceNo from sales");
    for sql in ESCAPES {
        let seen = Sql::new().classify(sql, &[("sales".into(), sales())]);
        assert_eq!(seen.err().map(|e| e.kind), Some(Kind::Invalid), "understood: {sql}");
        let compiled = transform(sql, &[]);
        assert_eq!(compiled.err().map(|e| e.kind), Some(Kind::Invalid), "compiled: {sql}");
        let inputs = vec![input("sales", &sales(), vec![some_sales()])];
        let ran = run(&Sql::new(), sql, inputs, &output);
        assert_eq!(ran.err().map(|e| e.kind), Some(Kind::Invalid), "ran: {sql}");
    }
}

#[test]
fn a_check_cannot_break_out_of_its_condition() {
    for condition in [
        "true) as ok from sales; drop table sales; select (true",
        "true) as ok from sales union all select (true",
        "(select count(*) from '/etc/passwd') > 0",
        "count(*) > 0) as ok from sales where (select 1 from information_schema.tables",
        "(delete from sales)",
    ] {
        let staged = input("sales", &sales(), vec![some_sales()]);
        let held = Sql::new().holds(condition, staged);
        assert!(held.is_err(), "{condition}");
    }
}

#[test]
fn a_statement_that_never_ends_is_stopped() {
    let sql = Sql::new().computing_at_most(Duration::from_millis(50));
    for endless in [
        "select count(*) as n from generate_series(1, 9000000000000000)",
        "select sum(value) as n from (select value from generate_series(1, 9000000000000000) \
         union all select value from generate_series(1, 9000000000000000))",
        "select count(*) as n from generate_series(1, 9000000000000000) a, \
         generate_series(1, 3) b where a.value * b.value = 7",
        "select count(a.value + b.value) as n \
         from generate_series(1, 900000) a, generate_series(1, 900000) b",
        "with recursive r as (select 1 as n union all select n * 0 + 1 as n from r) \
         select count(*) as n from r",
    ] {
        let output = sql.classify(endless, &[]).unwrap().output;
        let error = run(&sql, endless, vec![], &output).unwrap_err();
        assert_eq!((error.kind, error.code), (Kind::Invalid, Some("E0521")), "{endless}: {error}");
    }
}
