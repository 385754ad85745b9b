//! A database as a target: the suite of every target, and what is particular to PostgreSQL.

use crate::postgres_place::Place;
use change::{ColumnType, Value};
use connect::conformance::Arranged;
use connect::conformance::target::{TargetHarness, all};
use connect::target::Target;

struct Harness(Place);

impl TargetHarness for Harness {
    fn open(&mut self) -> Box<dyn Target> {
        self.0.target()
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        self.0.sql(&format!("CREATE UNIQUE INDEX ON \"{table}\" (\"{column}\")"));
        Arranged::Done
    }

    /// A column of PostgreSQL holds values of one type.
    fn lacks(&self) -> Vec<ColumnType> {
        vec![ColumnType::Any]
    }

    /// PostgreSQL keeps no text with a zero byte.
    fn refuses(&self, value: &Value) -> bool {
        matches!(value, Value::Text(text) if text.contains('\0'))
    }
}

#[test]
fn keeps_what_every_target_promises() {
    all(&mut || Box::new(Harness(Place::new())));
}
