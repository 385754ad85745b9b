//! Parquet files: written here, damaged, cut, and made to promise more than they hold.
//!
//! Damage in the middle of a page without a checksum cannot be told from data; it must not panic, run away or count
//! other rows than it gives. A file that is cut, or whose footer promises rows that are not there, must be refused.

use super::delimited::{self, Row};
use super::folder::{COMPLETE, Folder, is_clear};
use crate::drill::Violation;
use crate::drills::texts::damage::damage;
use crate::random::Random;
use arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use std::sync::Arc;

/// Damaged files a seed.
const EACH: usize = 12;

/// Bytes that mean something in a Parquet file.
const PIECES: &[&str] = &["PAR1", "\u{0}\u{0}\u{0}\u{0}", "\u{15}\u{2}", "\u{19}\u{1c}", "\u{7f}"];

/// Writes columns of text.
pub(super) fn write(names: &[String], rows: &[Row], properties: WriterProperties) -> Vec<u8> {
    let fields: Vec<Field> = names.iter().map(|n| Field::new(n, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = (0..names.len()).map(|column| {
        let cells = rows.iter().map(|row| row[column].as_deref());
        Arc::new(cells.collect::<StringArray>()) as ArrayRef
    });
    let batch =
        RecordBatch::try_new(schema.clone(), columns.collect()).expect("columns of a table");
    let mut writer =
        ArrowWriter::try_new(Vec::new(), schema, Some(properties)).expect("a table of text");
    writer.write(&batch).expect("memory takes it");
    writer.into_inner().expect("memory takes it")
}

/// Writes one column of the same text in every row, a few rows at a time.
pub(super) fn repeated(text: &str, rows: usize, properties: WriterProperties) -> Vec<u8> {
    // References to one text: it is held once here.
    let texts = DictionaryArray::new(
        Int32Array::from(vec![0; rows.min(1000)]),
        Arc::new(StringArray::from(vec![text])),
    );
    let field = Field::new("c0", texts.data_type().clone(), false);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(texts)]).expect("one column");
    // Without the note that these were references: other writers do not leave one either.
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), schema, options).expect("a table of text");
    for _ in 0..rows.div_ceil(1000) {
        writer.write(&batch).expect("memory takes it");
    }
    writer.into_inner().expect("memory takes it")
}

/// One of the ways in which a table is written.
fn properties(chance: &mut Random) -> WriterProperties {
    let packed = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ];
    let version =
        if chance.once_in(2) { WriterVersion::PARQUET_1_0 } else { WriterVersion::PARQUET_2_0 };
    WriterProperties::builder()
        .set_compression(*chance.pick(&packed))
        .set_writer_version(version)
        .set_dictionary_enabled(chance.once_in(2))
        .set_data_page_row_count_limit(1 + usize::try_from(chance.below(200)).expect("small"))
        .set_write_batch_size(16)
        .set_max_row_group_row_count(Some(20 + usize::try_from(chance.below(400)).expect("small")))
        .build()
}

/// Reads any bytes.
pub(super) fn any_in(folder: &mut Folder, bytes: &[u8]) -> Result<Option<Vec<Row>>, Violation> {
    folder.put("day.parquet", bytes);
    let read = folder.pin("day.parquet").and_then(|pinned| folder.read(&pinned, &mut || {}));
    match read {
        Ok(rows) => Ok(Some(rows)),
        Err(error) => is_clear(&error, "day.parquet").map(|()| None),
    }
}

pub(super) fn damaged(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let mut folder = Folder::new();
    let wrong = |what: &str| Violation::new(COMPLETE, format!("a Parquet file {what}"));
    for n in 0..EACH {
        let (names, mut rows) = delimited::table(&mut chance);
        let few = rows.clone();
        while !few.is_empty() && rows.len() < 300 {
            rows.extend(few.iter().cloned());
        }
        let whole = write(&names, &rows, properties(&mut chance));
        if any_in(&mut folder, &whole)?.as_ref() != Some(&rows) {
            return Err(wrong("is read as other rows than were written"));
        }
        let mut bytes = whole.clone();
        match n % 3 {
            0 => damage(&mut bytes, PIECES, &mut chance),
            1 => {
                bytes
                    .truncate(usize::try_from(chance.below(bytes.len() as u64)).expect("a length"));
            }
            _ if !promise_one_more(&mut bytes, rows.len()) => continue,
            _ => {}
        }
        let read = any_in(&mut folder, &bytes)?;
        if n % 3 > 0 && read.is_some() {
            return Err(wrong("that is not complete is taken for complete"));
        }
    }
    Ok(())
}

/// Makes the footer of a file with one row group promise a row more, wherever it says how many; false where that
/// cannot be done in place.
fn promise_one_more(bytes: &mut [u8], rows: usize) -> bool {
    // Numbers of the footer: doubled, seven bits a byte.
    if !(64..8_000).contains(&rows) || (rows + 1).is_multiple_of(64) {
        return false;
    }
    let number = |rows: usize| {
        let twice = rows * 2;
        [
            u8::try_from(twice & 0x7f | 0x80).expect("a byte"),
            u8::try_from(twice >> 7).expect("small"),
        ]
    };
    let length = bytes.len() - 8;
    let size = u32::from_le_bytes(bytes[length..length + 4].try_into().expect("four bytes"));
    let footer = length - usize::try_from(size).expect("it was written here");
    let (old, new) = (number(rows), number(rows + 1));
    let mut changed = 0;
    for at in footer..length - 1 {
        // In front stands the head of a 64-bit number.
        if bytes[at..at + 2] == old && bytes[at - 1] & 0x0f == 6 {
            bytes[at..at + 2].copy_from_slice(&new);
            changed += 1;
        }
    }
    // The file, its row group and each column: more than the file's own number alone.
    changed >= 3
}
