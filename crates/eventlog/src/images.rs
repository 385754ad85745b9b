//! Row images inside a frame: an Arrow IPC record batch without its schema, and without rows that are absent.
//!
//! A row of nothing but nulls is not stored: the old images of inserts and the new images of deletes cost a bit, or
//! nothing where a whole batch has none. Invariant: what is decoded equals what was encoded, cell by cell.

use crate::damage::{Bytes, Damage};
use arrow::array::{
    Array, BooleanArray, MutableArrayData, RecordBatch, RecordBatchOptions, UInt32Array,
    make_array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, Buffer};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_message};
use change::planted::{Defect, is_planted};
use std::collections::HashMap;

const NONE: u8 = 0;
const ALL: u8 = 1;
const SOME: u8 = 2;

/// Data begins at multiples of this, so that a 128-bit decimal is read where it lies.
const ALIGNMENT: usize = 16;

/// Which rows of a batch hold anything.
enum Present {
    None,
    All,
    Some(BooleanBuffer),
}

fn present(batch: &RecordBatch) -> Present {
    let mut rows: Option<BooleanBuffer> = None;
    for column in batch.columns() {
        match column.nulls() {
            None => return Present::All,
            Some(nulls) if nulls.null_count() == 0 => return Present::All,
            Some(nulls) if nulls.null_count() == nulls.len() => {}
            Some(nulls) => {
                rows = Some(match rows {
                    None => nulls.inner().clone(),
                    Some(rows) => &rows | nulls.inner(),
                });
            }
        }
    }
    match rows {
        None => Present::None,
        Some(rows) if rows.count_set_bits() == rows.len() => Present::All,
        Some(rows) => Present::Some(rows),
    }
}

/// Appends the images of one side of a batch.
pub(crate) fn encode(batch: &RecordBatch, out: &mut Vec<u8>) {
    match present(batch) {
        _ if batch.num_rows() == 0 => out.push(NONE),
        Present::None => out.push(NONE),
        Present::All => {
            out.push(ALL);
            encode_message(batch, out);
        }
        Present::Some(rows) => {
            out.push(SOME);
            put_bits(&rows, out);
            let rows = BooleanArray::new(rows, None);
            let kept = filter_record_batch(batch, &rows).expect("one bit for each row");
            encode_message(&kept, out);
        }
    }
}

/// Appends a bitmap, first row in the lowest bit.
pub(crate) fn put_bits(bits: &BooleanBuffer, out: &mut Vec<u8>) {
    out.extend_from_slice(&bits.sliced()[..bits.len().div_ceil(8)]);
}

/// Reads a bitmap of `rows` bits.
pub(crate) fn take_bits(bytes: &mut Bytes<'_>, rows: usize) -> Result<BooleanBuffer, Damage> {
    let stored = bytes.take(rows.div_ceil(8))?;
    Ok(BooleanBuffer::new(Buffer::from_slice_ref(stored), 0, rows))
}

fn encode_message(batch: &RecordBatch, out: &mut Vec<u8>) {
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)
        .expect("an alignment that Arrow allows");
    let (dictionaries, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut DictionaryTracker::new(false), &options, &mut Default::default())
        .expect("columns of neutral types encode");
    assert!(dictionaries.is_empty(), "no neutral type is a dictionary");
    put_length(encoded.ipc_message.len(), out);
    put_length(encoded.arrow_data.len(), out);
    pad(out);
    out.extend_from_slice(&encoded.ipc_message);
    pad(out);
    out.extend_from_slice(&encoded.arrow_data);
}

/// Appends a length.
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("a frame is smaller than 4 GiB");
    let length = if is_planted(Defect::ShortLength) { length & 0xffff } else { length };
    out.extend_from_slice(&length.to_le_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

/// Reads images that [`encode`] wrote. `whole` is the buffer that `bytes` reads off; columns share it.
pub(crate) fn decode(
    bytes: &mut Bytes<'_>,
    whole: &Buffer,
    schema: &SchemaRef,
    rows: usize,
) -> Result<RecordBatch, Damage> {
    let images = match bytes.byte()? {
        NONE => absent(schema, rows),
        ALL => decode_message(bytes, whole, schema, rows)?,
        SOME => {
            let present = take_bits(bytes, rows)?;
            let kept = decode_message(bytes, whole, schema, present.count_set_bits())?;
            spread(&kept, &present)?
        }
        other => return Err(Damage::new(format!("unknown layout of images {other}"))),
    };
    Ok(images)
}

fn decode_message(
    bytes: &mut Bytes<'_>,
    whole: &Buffer,
    schema: &SchemaRef,
    rows: usize,
) -> Result<RecordBatch, Damage> {
    let (head, data) = (bytes.length()?, bytes.length()?);
    bytes.align(ALIGNMENT)?;
    let head = bytes.take(head)?;
    bytes.align(ALIGNMENT)?;
    let start = bytes.place();
    bytes.take(data)?;
    let message = root_as_message(head)
        .map_err(|e| Damage::new(format!("the Arrow message cannot be read: {e}")))?;
    let batch = message
        .header_as_record_batch()
        .ok_or_else(|| Damage::new("the Arrow message is no record batch"))?;
    require_inside(&batch, schema, rows, data)?;
    let data = whole.slice_with_length(start, data);
    let version = MetadataVersion::V5;
    let shared = read_record_batch(&data, batch, schema.clone(), &HashMap::new(), None, &version)?;
    Ok(own(&shared))
}

/// What Arrow takes for granted of a message and panics without: columns of so many rows, in buffers that lie inside
/// the data, where and as long as their type wants it.
fn require_inside(
    batch: &ipc::RecordBatch<'_>,
    schema: &SchemaRef,
    rows: usize,
    data: usize,
) -> Result<(), Damage> {
    let size = |n: i64| usize::try_from(n).ok();
    let units = schema.fields().iter().flat_map(|field| units(field.data_type()));
    let buffers: Vec<_> = batch.buffers().into_iter().flatten().collect();
    let nodes: Vec<_> = batch.nodes().into_iter().flatten().collect();
    let is_inside = |(buffer, unit): (&&ipc::Buffer, usize)| {
        let (at, length) = (size(buffer.offset()), size(buffer.length()));
        let place = at.zip(length).filter(|(at, length)| at % ALIGNMENT == 0 && length % unit == 0);
        place.and_then(|(at, length)| at.checked_add(length)).is_some_and(|end| end <= data)
    };
    let fits = size(batch.length()) == Some(rows)
        && batch.compression().is_none()
        && batch.variadicBufferCounts().is_none_or(|counts| counts.is_empty())
        && nodes.len() == schema.fields().len()
        && buffers.len() == units.clone().count()
        && buffers.iter().zip(units).all(is_inside)
        && nodes.iter().all(|node| {
            size(node.length()) == Some(rows) && size(node.null_count()).is_some_and(|n| n <= rows)
        });
    match fits {
        true => Ok(()),
        false => Err(Damage::new("the Arrow message does not fit its images")),
    }
}

/// Bytes of what each buffer of a column holds: validity, offsets where there are any, values.
fn units(ty: &DataType) -> Vec<usize> {
    match ty {
        DataType::Utf8 | DataType::Binary => vec![1, 4, 1],
        DataType::Boolean => vec![1, 1],
        other => vec![1, other.primitive_width().unwrap_or(1)],
    }
}

/// Gives each column its own memory: columns that share a frame would each be counted as the whole frame, and one
/// kept column would keep all of it alive.
fn own(shared: &RecordBatch) -> RecordBatch {
    let rows = shared.num_rows();
    let columns = shared.columns().iter().map(|column| {
        let data = column.to_data();
        let mut copy = MutableArrayData::new(vec![&data], false, rows);
        copy.try_extend(0, 0, rows).expect("a copy is no larger than what is copied");
        make_array(copy.freeze())
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(shared.schema(), columns.collect(), &options)
        .expect("columns are copies of a batch's")
}

/// Rows of nulls.
fn absent(schema: &SchemaRef, rows: usize) -> RecordBatch {
    let columns = schema.fields().iter().map(|f| new_null_array(f.data_type(), rows)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .expect("columns were built from the schema")
}

/// Puts rows back to their places, with rows of nulls between them.
fn spread(kept: &RecordBatch, present: &BooleanBuffer) -> Result<RecordBatch, Damage> {
    let mut next = 0;
    let places: UInt32Array = present
        .iter()
        .map(|there| {
            let place = there.then_some(next);
            next += u32::from(there);
            place
        })
        .collect();
    Ok(take_record_batch(kept, &places)?)
}
