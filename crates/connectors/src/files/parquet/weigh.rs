//! Weighs a row group by the heads of its pages, before one of them is unpacked: may it be read, and how many rows
//! at a time.
//!
//! A page says how large it is packed and unpacked, and the decoder unpacks no more than that. What it does not say
//! is how long its values are: a dictionary with one long text and ten million references to it is a small page.
//! Dictionaries are therefore opened first, and the rows of a batch are so few that they fit, whatever they refer to.

use super::compact::{Broken, Compact};
use crate::files::BATCH_ROWS;
use crate::files::content::unreadable;
use crate::files::limits::{
    BATCH_BYTES, OPEN_PAGES_BYTES, PAGE_BYTES, ROW_BYTES, beyond, grown, is_grown,
};
use connect::{Error, Result};
use parquet::basic::{Compression, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

/// Heads of pages are read in pieces of this size, up to [`LONGEST_HEAD`]: they may hold least and largest values.
const HEAD_BYTES: u64 = 4 << 10;
const LONGEST_HEAD: u64 = 1 << 20;

/// Room for the rows of a batch: this much, or twice what a single row may need, up to the second.
const LEAST_ROOM: u64 = 4 * BATCH_BYTES as u64;
const MOST_ROOM: u64 = 12 * BATCH_BYTES as u64;

/// Fields of `PageHeader`, and the two of the three heads behind it that matter.
const UNPACKED: i64 = 2;
const PACKED: i64 = 3;
const DATA: i64 = 5;
const DICTIONARY: i64 = 7;
const DATA_V2: i64 = 8;
const VALUES: i64 = 1;
const ENCODING: i64 = 2;
const ENCODING_V2: i64 = 4;

/// Encodings of values in pages.
const PLAIN: i64 = 0;
const PLAIN_DICTIONARY: i64 = 2;
const DELTA_LENGTH: i64 = 6;
const RLE_DICTIONARY: i64 = 8;

/// The error of pages that cannot be read.
pub(super) fn damaged() -> Error {
    Error::refused("the file is damaged: its pages cannot be read")
        .effect("nothing of the file is published")
        .fix("deliver the file again, complete")
}

/// What the head of a page says.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: u64,
    unpacked: u64,
    packed: u64,
    is_dictionary: bool,
    values: u64,
    encoding: i64,
}

/// What the rows of a column weigh.
#[derive(Clone, Debug, Default)]
struct Weight {
    /// Bytes of any row, at most.
    row: u64,
    /// Values and bytes of the pages that hold their text themselves.
    pages: Vec<(u64, u64)>,
    /// Bytes of the pages that are open at one time.
    open: u64,
    unpacked: u64,
}

impl Weight {
    /// Bytes of so many rows, at most.
    fn of_rows(&self, rows: u64) -> u64 {
        let (mut most, mut bytes, mut values, mut first) = (0, 0, 0, 0);
        for (n, &(page_values, page_bytes)) in self.pages.iter().enumerate() {
            (bytes, values) = (bytes + page_bytes, values + page_values);
            // Pages that end before the `rows` that end with this one's first value.
            while first < n && values - self.pages[first].0 >= page_values + rows - 1 {
                (bytes, values) = (bytes - self.pages[first].1, values - self.pages[first].0);
                first += 1;
            }
            most = most.max(bytes);
        }
        most + rows.saturating_mul(self.row)
    }
}

/// What may be done with a row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Rows to be read at a time.
    pub(super) rows: usize,
    /// Bytes of its pages, unpacked.
    pub(super) unpacked: u64,
}

/// Weighs a row group.
///
/// # Errors
/// `Refused` when its pages are damaged or ask for too much, `Unavailable` when the file cannot be read.
pub(super) fn row_group(file: &mut File, group: &RowGroupMetaData) -> Result<Weighed> {
    let length = file.metadata().map_err(|e| unreadable(&e))?.len();
    let mut weights = Vec::new();
    let (mut open, mut unpacked) = (0, 0);
    for column in group.columns() {
        let weight = chunk(file, length, group, column)
            .map_err(|e| e.at(format!("column {}", column.column_path().string())))?;
        (open, unpacked) = (open + weight.open, unpacked + weight.unpacked);
        weights.push(weight);
    }
    if open > OPEN_PAGES_BYTES {
        let found = format!("one page of each of {} columns is {open} bytes", weights.len());
        return Err(beyond("the pages of the file are too large together", found)
            .fix("write smaller pages, or smaller row groups"));
    }
    if is_grown(unpacked, length) {
        return Err(grown(unpacked, length));
    }
    let of_rows = |rows: usize| {
        let each = weights.iter().map(|weight| weight.of_rows(rows as u64));
        each.fold(0, u64::saturating_add)
    };
    // One row may need a page of each column, so that a few rows more are as good as free.
    let most = LEAST_ROOM.max(of_rows(1).saturating_mul(2).min(MOST_ROOM));
    let fits = |rows: &usize| of_rows(*rows) <= most;
    let halves = std::iter::successors(Some(BATCH_ROWS), |rows| Some(rows / 2).filter(|r| *r > 0));
    let rows = halves.into_iter().find(fits).unwrap_or(1);
    Ok(Weighed { rows, unpacked })
}

fn chunk(
    file: &mut File,
    length: u64,
    group: &RowGroupMetaData,
    column: &ColumnChunkMetaData,
) -> Result<Weight> {
    if column.compression() == Compression::LZ4 {
        return Err(beyond(
            "the file is packed with the old LZ4",
            "its unpacked size has no limit",
        )
        .fix("write it with LZ4_RAW, ZSTD or SNAPPY"));
    }
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let start = u64::try_from(start).map_err(|_| damaged())?;
    let bytes = u64::try_from(column.compressed_size()).map_err(|_| damaged())?;
    let end = start.checked_add(bytes).filter(|end| *end <= length).ok_or_else(damaged)?;
    let of_bytes = column.column_type() == Type::BYTE_ARRAY;
    let fixed = u64::try_from(column.column_descr().type_length()).unwrap_or(0);
    if fixed > ROW_BYTES as u64 {
        return Err(beyond("the values of the file are too long", format!("{fixed} bytes each")));
    }
    let mut weight = Weight { row: 16 + fixed, ..Weight::default() };
    let (mut at, mut largest, mut dictionary, mut refers) = (start, 0, 0, false);
    while at < end {
        let page = head(file, at, end)?;
        at += page.bytes + page.packed;
        if at > end {
            return Err(damaged());
        }
        weight.unpacked += page.unpacked;
        if page.is_dictionary {
            dictionary = page.unpacked;
            continue;
        }
        largest = largest.max(page.unpacked);
        match page.encoding {
            _ if !of_bytes => {}
            PLAIN | DELTA_LENGTH => weight.pages.push((page.values, page.unpacked)),
            PLAIN_DICTIONARY | RLE_DICTIONARY => refers = true,
            // Values repeat the beginning of the one before.
            _ => weight.row = weight.row.max(page.unpacked),
        }
    }
    weight.open = largest + dictionary;
    if refers && of_bytes {
        let longest = longest_in_dictionary(file, group, column)?;
        if longest > ROW_BYTES as u64 {
            let found = format!("{longest} bytes");
            return Err(beyond("a value of the file is too long", found)
                .fix(format!("write values of at most {ROW_BYTES} bytes")));
        }
        weight.row = weight.row.max(longest);
    }
    Ok(weight)
}

/// The head of the page at a place.
fn head(file: &mut File, at: u64, end: u64) -> Result<Head> {
    let mut size = HEAD_BYTES;
    loop {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at)).map_err(|e| unreadable(&e))?;
        file.take(size.min(end - at)).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        let page = match parse(&bytes) {
            Err(Broken::Short) if size < LONGEST_HEAD && bytes.len() as u64 == size => {
                size *= 16;
                continue;
            }
            read => read.map_err(|_| damaged())?,
        };
        if page.unpacked > PAGE_BYTES || page.packed > PAGE_BYTES {
            let found = format!("{} bytes, {} unpacked", page.packed, page.unpacked);
            return Err(beyond("a page of the file is too large", found)
                .fix(format!("write pages of at most {PAGE_BYTES} bytes; 1 MiB is usual")));
        }
        return Ok(page);
    }
}

fn parse(bytes: &[u8]) -> Result<Head, Broken> {
    let size = |number: i64| u64::try_from(number).map_err(|_| Broken::Malformed);
    let (mut walk, mut last, mut head) = (Compact::new(bytes), 0, Head::default());
    while let Some(field) = walk.field(last)? {
        last = field.id;
        match field.id {
            UNPACKED if field.is_i32() => head.unpacked = size(walk.number()?)?,
            PACKED if field.is_i32() => head.packed = size(walk.number()?)?,
            DATA | DATA_V2 | DICTIONARY if field.is_struct() => {
                head.is_dictionary = field.id == DICTIONARY;
                let encoding = if field.id == DATA_V2 { ENCODING_V2 } else { ENCODING };
                let mut last = 0;
                while let Some(field) = walk.field(last)? {
                    last = field.id;
                    match field.id {
                        VALUES if field.is_i32() => head.values = size(walk.number()?)?,
                        id if id == encoding && field.is_i32() => head.encoding = walk.number()?,
                        _ => walk.skip(field)?,
                    }
                }
            }
            _ => walk.skip(field)?,
        }
    }
    head.bytes = walk.passed() as u64;
    Ok(head)
}

/// The length of the longest value in the dictionary of a column; 0 without one.
fn longest_in_dictionary(
    file: &File,
    group: &RowGroupMetaData,
    column: &ColumnChunkMetaData,
) -> Result<u64> {
    let file = Arc::new(file.try_clone().map_err(|e| unreadable(&e))?);
    let rows = usize::try_from(group.num_rows()).map_err(|_| damaged())?;
    let page =
        super::guarded(|| SerializedPageReader::new(file, column, rows, None)?.get_next_page());
    let Some(Page::DictionaryPage { buf, .. }) = page.ok_or_else(damaged)? else { return Ok(0) };
    let (mut rest, mut longest) = (&buf[..], 0);
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = u64::from(u32::from_le_bytes(*length));
        longest = longest.max(length);
        let skipped = usize::try_from(length).ok().and_then(|length| behind.get(length..));
        rest = skipped.ok_or_else(damaged)?;
    }
    Ok(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_rows_weigh_at_most_the_pages_they_lie_in() {
        let pages = vec![(10, 100), (10, 300), (1, 5_000), (10, 200)];
        let weight = Weight { row: 0, pages, ..Weight::default() };
        for (rows, bytes) in
            [(1, 5_000), (2, 5_300), (3, 5_500), (12, 5_500), (13, 5_600), (99, 5_600)]
        {
            assert_eq!(weight.of_rows(rows), bytes, "{rows}");
        }
        let empty = Weight { pages: vec![(0, 9), (5, 50), (0, 9)], ..Weight::default() };
        assert_eq!(empty.of_rows(1), 50, "a damaged head may say that a page has no values");
        let references = Weight { row: 1_000, ..Weight::default() };
        assert_eq!(references.of_rows(3), 3_000);
    }
}
