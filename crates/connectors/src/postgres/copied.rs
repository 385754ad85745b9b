//! The stream of a COPY in binary format, row by row; and rows that are passed on as they came.
//!
//! Not here: what cells mean (`decode`). Invariant: a stream that ends in the middle of a row is an error, never the end.

use super::error::failed;
use super::names::TableName;
use change::TableSchema;
use connect::{EncodedRows, Error, Result};
use std::io::BufRead;

/// Name and version of the format, for rows that are passed on as they came.
pub(super) const FORMAT: &str = "postgres.copy-binary.1";

/// Bytes of rows passed on at once.
const PASSED_BYTES: usize = 1 << 20;

/// Bytes in front of the first row, with an empty extension.
const HEADER_BYTES: usize = 19;

/// Stands behind the last row.
const END: &[u8] = &[0xff, 0xff];

/// Shows every row of a COPY, from its count of cells on. The server sends whole rows in a piece; one that is torn all
/// the same is put together again.
pub(super) fn each_row(
    copy: &mut impl BufRead,
    what: &str,
    show: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut torn: Vec<u8> = Vec::new();
    let (mut header, mut ended) = (HEADER_BYTES, false);
    loop {
        let piece = copy.fill_buf().map_err(|e| copy_failed(what, e))?;
        let length = piece.len();
        if length == 0 {
            break;
        }
        let mut rest = piece;
        if !torn.is_empty() {
            torn.extend_from_slice(piece);
            rest = &torn;
        }
        let skipped = header.min(rest.len());
        header -= skipped;
        rest = &rest[skipped..];
        while let Some(row) = row(rest) {
            show(row)?;
            rest = &rest[row.len()..];
        }
        ended = rest == END;
        torn = rest.to_vec();
        copy.consume(length);
    }
    if !ended {
        return Err(Error::unavailable(what).found("the rows ended in the middle of one"));
    }
    Ok(())
}

/// Passes on all rows of a COPY as they came, but for the cells of a key: one that is null is refused.
pub(super) fn pass_unread(
    copy: &mut impl BufRead,
    (table, schema): (&TableName, &TableSchema),
    what: &str,
    sink: &mut dyn FnMut(EncodedRows) -> Result<()>,
) -> Result<u64> {
    let (mut held, mut total) = (EncodedRows::default(), 0);
    each_row(copy, what, &mut |row| {
        if let Some(place) = schema.key().iter().find(|place| is_null(row, **place)) {
            return Err(null_in_key(table, &schema.columns()[*place].name));
        }
        held.bytes.extend_from_slice(row);
        held.rows += 1;
        if held.bytes.len() < PASSED_BYTES {
            return Ok(());
        }
        total += held.rows;
        sink(std::mem::replace(&mut held, with_room()))
    })?;
    total += held.rows;
    if held.rows > 0 {
        sink(held)?;
    }
    Ok(total)
}

fn with_room() -> EncodedRows {
    EncodedRows { rows: 0, bytes: Vec::with_capacity(PASSED_BYTES + PASSED_BYTES / 16) }
}

/// The first whole row of some bytes.
fn row(bytes: &[u8]) -> Option<&[u8]> {
    let count = i16::from_be_bytes(bytes.get(..2)?.try_into().expect("two bytes"));
    let mut end = 2;
    for _ in 0..u16::try_from(count).ok()? {
        let length = i32::from_be_bytes(bytes.get(end..end + 4)?.try_into().expect("four bytes"));
        end += 4 + usize::try_from(length).unwrap_or(0);
    }
    bytes.get(..end)
}

/// Whether a cell of a whole row is null.
fn is_null(row: &[u8], place: usize) -> bool {
    let length = |at: usize| i32::from_be_bytes(row[at..at + 4].try_into().expect("four bytes"));
    let mut at = 2;
    for _ in 0..place {
        at += 4 + usize::try_from(length(at)).unwrap_or(0);
    }
    length(at) < 0
}

/// A row that cannot be told from others.
fn null_in_key(table: &TableName, column: &str) -> Error {
    Error::refused(format!("table {} has rows with null in their key", table.shown()))
        .found(format!("column {column}"))
        .effect("such a row cannot be told from others; nothing was published")
        .fix("fill the key columns and declare them NOT NULL")
}

fn copy_failed(what: &str, error: std::io::Error) -> Error {
    match error.into_inner().and_then(|inner| inner.downcast::<postgres::Error>().ok()) {
        Some(error) => failed(what)(*error),
        None => Error::unavailable(what).found("the connection is gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::binary::HEADER;
    use super::*;

    /// A stream of two rows of (int4, null, text).
    fn stream() -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for text in ["a", "longer"] {
            bytes.extend([0, 3, 0, 0, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]);
            bytes.push(u8::try_from(text.len()).unwrap());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(END);
        bytes
    }

    #[test]
    fn rows_are_whole_wherever_the_stream_is_torn() {
        let stream = stream();
        for size in 1..stream.len() {
            let mut rows = Vec::new();
            let mut torn = std::io::BufReader::with_capacity(size, stream.as_slice());
            each_row(&mut torn, "torn", &mut |row| {
                rows.push((row.len(), is_null(row, 0), is_null(row, 1), is_null(row, 2)));
                Ok(())
            })
            .unwrap();
            assert_eq!(rows, [(19, false, true, false), (24, false, true, false)], "{size}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_off_is_no_end() {
        let stream = stream();
        for end in 0..stream.len() {
            let read = each_row(&mut &stream[..end], "cut off", &mut |_| Ok(()));
            assert!(read.is_err(), "{end} bytes");
        }
    }
}
