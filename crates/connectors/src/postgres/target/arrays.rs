//! Arrow columns as array parameters: a whole batch travels to the server in one statement.
//!
//! (Format: `array_recv` of PostgreSQL, src/backend/utils/adt/arrayfuncs.c.)

use super::super::binary::elements;
use super::form::Form;
use arrow::array::{Array, ArrayRef, RecordBatch};
use connect::Result;
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use std::error::Error;

/// One column's cells, ready to go.
#[derive(Debug)]
pub(super) struct Elements {
    cells: Vec<u8>,
    count: i32,
    has_null: bool,
}

impl ToSql for Elements {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Kind::Array(element) = ty.kind() else {
            return Err("an array is no value of this type".into());
        };
        let words = [i32::from(self.count > 0), i32::from(self.has_null)];
        words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
        out.extend_from_slice(&element.oid().to_be_bytes());
        if self.count > 0 {
            [self.count, 1].iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
            out.extend_from_slice(&self.cells);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.kind(), Kind::Array(_))
    }

    to_sql_checked!();
}

/// The columns of a batch, each in its form.
pub(super) fn arrays(rows: &RecordBatch, forms: &[Form]) -> Result<Vec<Elements>> {
    let column = |(array, form): (&ArrayRef, &Form)| {
        form.check(array)?;
        let mut cells = Vec::with_capacity(array.len() * 12);
        let has_null = elements(&form.name, array, form.wire, &mut cells)?;
        let count = i32::try_from(array.len()).expect("a batch has fewer rows");
        Ok(Elements { cells, count, has_null })
    };
    rows.columns().iter().zip(forms).map(column).collect()
}

/// The arrays as parameters.
pub(super) fn parameters(arrays: &[Elements]) -> Vec<&(dyn ToSql + Sync)> {
    arrays.iter().map(|array| array as &(dyn ToSql + Sync)).collect()
}

/// `unnest($1::int8[], ...) AS s (c0, ...)`.
pub(super) fn unnested(forms: &[Form]) -> String {
    let arrays =
        forms.iter().enumerate().map(|(i, form)| format!("${}::{}[]", i + 1, form.carrier));
    let names = (0..forms.len()).map(|i| format!("c{i}"));
    format!(
        "unnest({}) AS s ({})",
        arrays.collect::<Vec<_>>().join(", "),
        names.collect::<Vec<_>>().join(", ")
    )
}

/// Cuts a batch into pieces that a statement takes well.
pub(super) fn pieces(rows: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let step = step(rows);
    (0..rows.num_rows())
        .step_by(step)
        .map(move |from| rows.slice(from, step.min(rows.num_rows() - from)))
}

/// Rows of such a piece.
pub(super) fn step(rows: &RecordBatch) -> usize {
    const ROWS: usize = 16_384;
    const BYTES: usize = 8 << 20;
    let held = |array: &ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(0);
    let bytes: usize = rows.columns().iter().map(held).sum();
    let each = (bytes / rows.num_rows().max(1)).max(1);
    (BYTES / each).clamp(1, ROWS)
}
