//! Statements that nobody would write: mutated, random, deeply nested. Read, or refused with a word; never a panic.

use super::data::*;
use connect::{Error, Kind, SqlPlanner};
use proptest::prelude::*;
use seamount_query::Sql;

const GOOD: &[&str] = &[
    "select InvoiceNo as no, Quantity * UnitPrice as amount from sales where Quantity > 0",
    "select case when gift then 1 else 2 end as n, upper(StockCode) as code from sales",
    "select line from (select * from sales where gift) as g where line > 1",
    "with g as (select * from sales) select line, cast(Quantity as text) as q from g",
    "select StockCode, sum(Quantity) as q from sales group by StockCode having count(*) > 1",
    "select date_trunc('day', InvoiceDate) as d, coalesce(StockCode, '-') as c from sales",
    "select line from sales where line in (select line from sales) order by line limit 3",
    "select row_number() over (partition by StockCode order by line) as n from sales",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "'",
    "\"",
    "--",
    "/*",
    "*/",
    ";",
    ",",
    "*",
    "select",
    "from",
    "where",
    "not",
    "null",
    "cast(",
    " as ",
    "::",
    "1e400",
    "-9223372036854775809",
    "0x",
    "''",
    "x'zz'",
    "\\",
    "\u{0}",
    "é",
    "interval '1 day'",
    "array[1]",
    "{}",
    "$1",
    "?",
    "@x",
    "[",
    "1/0",
    "sales",
    "case",
    "end",
    "||",
    "%",
    "like",
    "between",
    "exists",
    "lateral",
    "union",
    "values",
    "unnest(",
    "\u{202e}",
    "99999999999999999999999999999999999999999",
    "sum(",
    "over (",
    "similar to '",
    "try_cast(",
];

/// Whatever is said must name the fault as the statement's.
fn is_clear(sql: &str, error: &Error) {
    assert!(matches!(error.kind, Kind::Invalid | Kind::Refused), "{sql:?}: {error:?}");
    assert!(!error.what.is_empty() && error.what.len() < 2_000, "{sql:?}: {error}");
}

fn take(sql: &str) {
    let tables = [("sales".to_string(), sales())];
    if let Err(error) = Sql::new().classify(sql, &tables) {
        return is_clear(sql, &error);
    }
    match transform(sql, &[]) {
        Err(error) => is_clear(sql, &error),
        Ok(transform) => {
            if let Err(error) = transform.evaluate(&some_sales()) {
                is_clear(sql, &error);
            }
        }
    }
}

/// A good statement, a few places, and what is put there.
fn mutated() -> impl Strategy<Value = String> {
    let cuts =
        prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, 0..PIECES.len()), 1..4);
    (prop::sample::select(GOOD), cuts).prop_map(|(good, cuts)| {
        let mut chars: Vec<char> = good.chars().collect();
        for (at, length, piece) in cuts {
            let from = at.index(chars.len() + 1);
            let upto = (from + length).min(chars.len());
            chars.splice(from..upto, PIECES[piece].chars());
        }
        chars.into_iter().collect()
    })
}

fn assembled() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..15);
    pieces.prop_map(|pieces| format!("select {} from sales", pieces.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn mutated_statements_are_read_or_refused(sql in mutated()) {
        take(&sql);
    }

    #[test]
    fn assembled_statements_are_read_or_refused(sql in assembled()) {
        take(&sql);
    }

    #[test]
    fn any_text_is_read_or_refused(sql in any::<String>()) {
        take(&sql);
    }
}

/// A stack that overflows ends the process, not the statement.
#[test]
fn statements_that_go_deep_are_read_or_refused() {
    const DEEP: usize = 3_000;
    take(&format!("select {}line{} as x from sales", "(".repeat(DEEP), ")".repeat(DEEP)));
    take(&format!("select {} line as x from sales", "- ".repeat(DEEP)));
    take(&format!("select {} gift as x from sales", "not ".repeat(DEEP)));
    take(&format!("select line{} as x from sales", " + 1".repeat(DEEP)));
    take(&format!("select line from sales where {} gift", "gift and ".repeat(DEEP)));
    take(&format!("select line from sales where {} gift", "gift or not ".repeat(DEEP)));
    let nested =
        (0..300).fold("sales".to_string(), |from, n| format!("(select * from {from}) as t{n}"));
    take(&format!("select line from {nested}"));
    let cases =
        (0..500).fold("1".to_string(), |inner, _| format!("case when gift then {inner} end"));
    take(&format!("select {cases} as x from sales"));
}
