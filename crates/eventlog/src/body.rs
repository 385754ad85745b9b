//! The body of a frame: for each table its ops, ordinals, images and unchanged cells.
//!
//! Not checked here: the checksum lies around it. Even so, bytes that make no sense are damage and never a panic.

use crate::damage::{Bytes, Damage};
use crate::images::{self, put_bits, put_length, take_bits};
use crate::schemas::Stored;
use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::buffer::{Buffer, NullBuffer};
use change::{ChangeBatch, Op, TableSchema};
use std::sync::Arc;

/// All values are one and the same (ops), or count up from the first (ordinals).
const REGULAR: u8 = 0;
const EACH: u8 = 1;

/// Finds a schema by number and checksum.
pub(crate) type FindSchema<'a> = dyn FnMut(u32, u32) -> Result<Arc<TableSchema>, Damage> + 'a;

/// Encodes batches; `schemas` are theirs, in the same order.
pub(crate) fn encode(batches: &[ChangeBatch], schemas: &[Arc<Stored>]) -> Vec<u8> {
    let images: usize = batches.iter().map(ChangeBatch::memory).sum();
    let mut out = Vec::with_capacity(images.min(1 << 20) + 512);
    put_length(batches.len(), &mut out);
    for (batch, schema) in batches.iter().zip(schemas) {
        out.extend_from_slice(&schema.number.to_le_bytes());
        out.extend_from_slice(&schema.checksum.to_le_bytes());
        put_length(batch.table().len(), &mut out);
        out.extend_from_slice(batch.table().as_bytes());
        put_length(batch.len(), &mut out);
        put_ops(batch.ops(), &mut out);
        put_ordinals(batch.ordinals(), &mut out);
        images::encode(batch.old(), &mut out);
        images::encode(batch.new_images(), &mut out);
        put_unchanged(batch.unchanged(), &mut out);
    }
    out
}

fn put_ops(ops: &[Op], out: &mut Vec<u8>) {
    match ops.first() {
        Some(first) if ops.iter().all(|op| op == first) => {
            out.extend_from_slice(&[REGULAR, *first as u8]);
        }
        _ => {
            out.push(EACH);
            out.extend(ops.iter().map(|op| *op as u8));
        }
    }
}

fn put_ordinals(ordinals: &[u32], out: &mut Vec<u8>) {
    match ordinals {
        // Ordinals grow, so that the ends tell whether all between them are there.
        [first, .., last] if (last - first) as usize == ordinals.len() - 1 => {
            out.push(REGULAR);
            out.extend_from_slice(&first.to_le_bytes());
        }
        _ => {
            out.push(EACH);
            ordinals.iter().for_each(|o| out.extend_from_slice(&o.to_le_bytes()));
        }
    }
}

fn put_unchanged(masks: &[Option<BooleanArray>], out: &mut Vec<u8>) {
    put_length(masks.len(), out);
    for mask in masks {
        let Some(mask) = mask else {
            out.push(0);
            continue;
        };
        out.push(1 + u8::from(mask.nulls().is_some()));
        put_length(mask.len(), out);
        put_bits(mask.values(), out);
        if let Some(nulls) = mask.nulls() {
            put_bits(nulls.inner(), out);
        }
    }
}

/// Decodes what [`encode`] wrote. Columns share the buffer.
///
/// `changes` bounds what is made of few bytes: a batch whose images are absent costs nothing for each row.
pub(crate) fn decode(
    whole: &Buffer,
    mut changes: usize,
    schema: &mut FindSchema<'_>,
) -> Result<Vec<ChangeBatch>, Damage> {
    let mut bytes = Bytes::new(whole);
    let count = bytes.length()?;
    let mut batches = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let batch = decode_batch(&mut bytes, whole, changes, schema)?;
        changes -= batch.len();
        batches.push(batch);
    }
    match bytes.is_empty() {
        true => Ok(batches),
        false => Err(Damage::new("the frame has more bytes than its batches")),
    }
}

fn decode_batch(
    bytes: &mut Bytes<'_>,
    whole: &Buffer,
    most: usize,
    schema: &mut FindSchema<'_>,
) -> Result<ChangeBatch, Damage> {
    let schema = schema(bytes.u32()?, bytes.u32()?)?;
    let length = bytes.length()?;
    let table = std::str::from_utf8(bytes.take(length)?)
        .map_err(|_| Damage::new("a table's name is no text"))?;
    let table: Arc<str> = Arc::from(table);
    let rows = bytes.length()?;
    if rows > most {
        return Err(Damage::new("more changes than its header says"));
    }
    let ops = take_ops(bytes, rows)?;
    let ordinals = take_ordinals(bytes, rows)?;
    let old = images::decode(bytes, whole, schema.images(), rows)?;
    let new = images::decode(bytes, whole, schema.images(), rows)?;
    let masks = take_unchanged(bytes)?;
    if !masks.is_empty() && masks.len() != schema.columns().len() {
        return Err(Damage::new("another number of masks than columns"));
    }
    keyed(&schema, &ops, &old, &new)?;
    let batch = ChangeBatch::new(table, schema, ops, ordinals, old, new);
    Ok(if masks.is_empty() { batch } else { batch.with_unchanged(masks) })
}

/// What [`ChangeBatch::new`] asserts of keys, as damage.
fn keyed(
    schema: &TableSchema,
    ops: &[Op],
    old: &RecordBatch,
    new: &RecordBatch,
) -> Result<(), Damage> {
    for &k in schema.key() {
        let (old, new) = (old.column(k), new.column(k));
        if old.null_count() == 0 && new.null_count() == 0 {
            continue;
        }
        let unkeyed = ops.iter().enumerate().any(|(row, op)| match op {
            Op::Insert | Op::Update | Op::Read => new.is_null(row),
            Op::Delete => old.is_null(row),
            Op::Truncate => false,
        });
        if unkeyed {
            return Err(Damage::new("a change has a null in its key"));
        }
    }
    Ok(())
}

fn take_ops(bytes: &mut Bytes<'_>, rows: usize) -> Result<Vec<Op>, Damage> {
    let unknown = || Damage::new("a change is of an unknown kind");
    match bytes.byte()? {
        REGULAR => Ok(vec![Op::from_byte(bytes.byte()?).ok_or_else(unknown)?; rows]),
        _ => {
            let stored = bytes.take(rows)?;
            stored.iter().map(|byte| Op::from_byte(*byte).ok_or_else(unknown)).collect()
        }
    }
}

fn take_ordinals(bytes: &mut Bytes<'_>, rows: usize) -> Result<Vec<u32>, Damage> {
    match bytes.byte()? {
        REGULAR => {
            let first = bytes.u32()?;
            let count = u32::try_from(rows).expect("read from 32 bits");
            let end = first.checked_add(count - u32::from(count > 0));
            let end = end.ok_or_else(|| Damage::new("the ordinals run over"))?;
            Ok(if count == 0 { Vec::new() } else { (first..=end).collect() })
        }
        _ => {
            let stored = bytes.take(rows * 4)?.chunks_exact(4);
            let ordinals: Vec<u32> = stored
                .map(|b| u32::from_le_bytes(b.try_into().expect("chunks of four bytes")))
                .collect();
            match ordinals.is_sorted_by(|a, b| a < b) {
                true => Ok(ordinals),
                false => Err(Damage::new("the ordinals do not grow")),
            }
        }
    }
}

fn take_unchanged(bytes: &mut Bytes<'_>) -> Result<Vec<Option<BooleanArray>>, Damage> {
    let columns = bytes.length()?;
    let mut masks = Vec::with_capacity(columns.min(1024));
    for _ in 0..columns {
        let layout = bytes.byte()?;
        if layout == 0 {
            masks.push(None);
            continue;
        }
        let length = bytes.length()?;
        let values = take_bits(bytes, length)?;
        let nulls = match layout {
            2 => Some(NullBuffer::new(take_bits(bytes, length)?)),
            _ => None,
        };
        masks.push(Some(BooleanArray::new(values, nulls)));
    }
    Ok(masks)
}
