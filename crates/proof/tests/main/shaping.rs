//! A transform for tests, and the same mapping written once more over plain cells, for the oracle.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use change::{ColumnType, TableSchema, Value};
use connect::memory::sample::shape;
use connect::{Error, Owner, Result, RowTransform, TargetTable};
use proof::RowPath;
use std::sync::Arc;

const MONEY: ColumnType = ColumnType::Decimal { precision: 12, scale: 4 };

/// How rows become target rows in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shaping {
    /// As they are.
    Plain,
    /// Rows with a negative quantity are dropped, the price is doubled.
    Filtered,
    /// As they are, with the site's name as first column of the key.
    WithSite,
    /// The price becomes a decimal.
    Priced,
}

pub(crate) fn source_schema() -> Arc<TableSchema> {
    shape(
        &[
            ("id", ColumnType::Int64),
            ("name", ColumnType::Text),
            ("quantity", ColumnType::Int64),
            ("price", ColumnType::Int64),
        ],
        &["id"],
    )
}

impl Shaping {
    pub(crate) fn target_table(self) -> TargetTable {
        let source = source_schema();
        let mut columns: Vec<(&str, ColumnType)> =
            source.columns().iter().map(|c| (c.name.as_str(), c.ty)).collect();
        let (key, owner): (&[&str], _) = match self {
            Shaping::Priced => {
                columns[3].1 = MONEY;
                (&["id"], None)
            }
            Shaping::Plain | Shaping::Filtered => (&["id"], None),
            Shaping::WithSite => {
                columns.push(("site", ColumnType::Text));
                let value = Value::Text("north".into());
                (&["site", "id"], Some(Owner { column: "site".into(), value }))
            }
        };
        TargetTable { name: "stock".into(), schema: shape(&columns, key), owner }
    }

    pub(crate) fn path(self) -> RowPath {
        let transform: Option<Arc<dyn RowTransform>> = match self {
            Shaping::Filtered => Some(Arc::new(Doubled::default())),
            Shaping::Priced => Some(Arc::new(Money(self.target_table().schema))),
            _ => None,
        };
        let site = (self == Shaping::WithSite).then(|| ("site".into(), "north".into()));
        RowPath::new("item", source_schema(), transform, site, self.target_table()).unwrap()
    }

    /// The oracle's mapping.
    pub(crate) fn row(self, source: &[Value]) -> Option<Vec<Value>> {
        let mut row = source.to_vec();
        match self {
            Shaping::Plain => {}
            Shaping::Priced => {
                if let Value::Int(price) = source[3] {
                    row[3] = Value::Decimal { unscaled: i128::from(price) * 100, scale: 4 };
                }
            }
            Shaping::WithSite => row.push(Value::Text("north".into())),
            Shaping::Filtered => match (&source[2], &source[3]) {
                (Value::Int(quantity), _) if *quantity < 0 => return None,
                (_, Value::Int(price)) => row[3] = Value::Int(price * 2),
                _ => {}
            },
        }
        Some(row)
    }
}

/// `select id, name, quantity, price * 2 as price where quantity >= 0`; fails on the price 13.
pub(crate) struct Doubled {
    output: Arc<TableSchema>,
    carried: Vec<Option<usize>>,
}

impl Default for Doubled {
    fn default() -> Self {
        Doubled { output: source_schema(), carried: vec![Some(0), Some(1), Some(2), None] }
    }
}

impl RowTransform for Doubled {
    fn output(&self) -> &Arc<TableSchema> {
        &self.output
    }

    fn carried(&self) -> &[Option<usize>] {
        &self.carried
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<(BooleanArray, RecordBatch)> {
        let quantity = rows.column(2).as_primitive::<Int64Type>();
        let keep: BooleanArray = quantity.iter().map(|q| Some(q.is_some_and(|q| q >= 0))).collect();
        let price = rows.column(3).as_primitive::<Int64Type>();
        if price.iter().flatten().any(|price| price == 13) {
            return Err(Error::refused("the price is unlucky"));
        }
        let doubled: Int64Array = price.iter().map(|p| p.map(|p| p * 2)).collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns[3] = Arc::new(doubled);
        assert_eq!(keep.null_count(), 0);
        let out = RecordBatch::try_new(self.output.images().clone(), columns).unwrap();
        Ok((keep.clone(), filter_record_batch(&out, &keep).unwrap()))
    }
}

/// `select id, name, quantity, price / 100 as price`, exactly.
pub(crate) struct Money(Arc<TableSchema>);

impl RowTransform for Money {
    fn output(&self) -> &Arc<TableSchema> {
        &self.0
    }

    fn carried(&self) -> &[Option<usize>] {
        &[Some(0), Some(1), Some(2), None]
    }

    fn evaluate(&self, rows: &RecordBatch) -> Result<(BooleanArray, RecordBatch)> {
        let price = rows.column(3).as_primitive::<Int64Type>();
        let money: Decimal128Array = price.iter().map(|p| p.map(|p| i128::from(p) * 100)).collect();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns[3] = Arc::new(money.with_data_type(MONEY.arrow()));
        let out = RecordBatch::try_new(self.0.images().clone(), columns).unwrap();
        Ok((std::iter::repeat_n(Some(true), rows.num_rows()).collect(), out))
    }
}
