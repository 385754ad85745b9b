//! CSV: RFC 4180 in UTF-8, with a header and without guessing.
//!
//! - Fields may be quoted and then hold commas, quotes (doubled) and line ends; records end in `\n` or `\r\n`.
//!   A byte order mark in front is left out. Empty lines between records are none.
//! - An empty field is null, quoted or not: text that is empty cannot be told from text that is absent.
//! - Every column is text, as it is, unless the flow gives it a type; then each field is such a value exactly, or
//!   the file is refused with line and column.
//! - Refused as cut off: a file that ends inside quotes, or whose last record has no line end and too few fields.
//!   Refused as too much: what is beyond [`super::limits`].
//!   Refused as malformed: another number of fields than the header, text behind a closing quote, no UTF-8.

use super::cell::{Cells, column_type};
use super::content::Content;
use super::limits::{BATCH_BYTES, MOST_COLUMNS, ROW_BYTES, beyond};
use super::{BATCH_ROWS, Reading, Stop};
use arrow::array::{RecordBatch, RecordBatchOptions};
use change::planted::{Defect, is_planted};
use change::{Column, ColumnType, SchemaError, TableSchema};
use connect::{Error, FileOptions, Result};
use csv::{ByteRecord, Reader, ReaderBuilder};
use std::fs::File;
use std::io::{self, Read};

const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The columns of a file, from its header and the flow's types.
///
/// # Errors
/// `Invalid` when there is no usable header or a type does not fit it.
pub(super) fn describe(file: File, options: &FileOptions) -> Result<TableSchema> {
    header(&mut reader(Watch::new(Content::new(file))), options)
}

/// Reads a file to its end, or to its first fault.
pub(super) fn read(
    file: File,
    schema: &TableSchema,
    options: &FileOptions,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Reading {
    let mut reader = reader(Watch::new(Content::new(file)));
    let outcome = records(&mut reader, schema, options, sink);
    let content = reader.into_inner().content.finish();
    Reading { outcome, content }
}

fn reader(watch: Watch) -> Reader<Watch> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(watch)
}

fn header(reader: &mut Reader<Watch>, options: &FileOptions) -> Result<TableSchema> {
    let mut record = ByteRecord::new();
    let found = reader.read_byte_record(&mut record).map_err(|e| failed(&e))?;
    let watch = reader.get_ref();
    if let Some(line) = watch.malformed {
        return Err(malformed(line));
    }
    if watch.ended && watch.quotes == Quotes::Inside {
        return Err(cut_off("it ends inside quotes"));
    }
    if !found {
        return Err(Error::invalid("there is no header")
            .fix("the first line of a CSV file names its columns"));
    }
    let mut columns = Vec::new();
    for (i, name) in record.iter().enumerate() {
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::invalid("the header is no UTF-8").fix("write the file in UTF-8"))?;
        if name.is_empty() {
            return Err(Error::invalid(format!("column {} has no name in the header", i + 1)));
        }
        let ty = match options.types.get(name) {
            Some(ty) => column_type(ty).map_err(|e| e.at(format!("column {name}")))?,
            None => ColumnType::Text,
        };
        columns.push(Column::new(name, ty, true));
    }
    let named = |name: &String| columns.iter().any(|c| c.name == *name);
    if let Some(name) = options.types.keys().find(|name| !named(name)) {
        let known: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        return Err(Error::invalid(format!("there is no column {name} to give a type to"))
            .found(format!("the header names {}", known.join(", "))));
    }
    TableSchema::new(columns, &[] as &[&str]).map_err(|e| match e {
        SchemaError::DuplicateColumn(name) => {
            Error::invalid(format!("the header names column {name} twice"))
        }
        other => Error::invalid(other.to_string()),
    })
}

fn records(
    reader: &mut Reader<Watch>,
    schema: &TableSchema,
    options: &FileOptions,
    sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<u64, Stop> {
    if header(reader, options)?.columns() != schema.columns() {
        return Err(Error::invalid("the file has other columns than were described").into());
    }
    let mut rows = Rows::new(schema)?;
    let mut record = ByteRecord::new();
    let mut all = 0;
    while reader.read_byte_record(&mut record).map_err(|e| failed(&e))? {
        rows.append(reader, &record)?;
        if rows.count == BATCH_ROWS || rows.bytes >= BATCH_BYTES {
            all += rows.hand_on(reader, sink)?;
        }
    }
    all += rows.hand_on(reader, sink)?;
    match reader.get_ref().quotes {
        Quotes::Inside if !is_planted(Defect::EndIsComplete) => {
            Err(cut_off("it ends inside quotes").into())
        }
        _ => Ok(all),
    }
}

fn cut_off(found: &str) -> Error {
    Error::refused("the file is cut off")
        .found(found)
        .effect("nothing of it is published")
        .fix("deliver the file again, complete")
}

fn malformed(line: u64) -> Error {
    Error::refused(format!("line {line}: text behind a closing quote"))
        .effect("nothing of the file is published")
        .fix("quotes inside quotes are written twice")
}

/// Rows on their way into a batch.
struct Rows<'s> {
    schema: &'s TableSchema,
    cells: Vec<Cells>,
    count: usize,
    bytes: usize,
}

impl<'s> Rows<'s> {
    fn new(schema: &'s TableSchema) -> Result<Self> {
        let cells = schema.columns().iter().map(|column| {
            Cells::new(column.ty).ok_or_else(|| {
                Error::invalid(format!("column {} cannot be read from text", column.name))
            })
        });
        Ok(Rows { schema, cells: cells.collect::<Result<_>>()?, count: 0, bytes: 0 })
    }

    fn append(&mut self, reader: &mut Reader<Watch>, record: &ByteRecord) -> Result<()> {
        let line = record.position().map_or(0, csv::Position::line);
        let width = self.cells.len();
        if record.len() != width {
            return Err(wrong_width(reader, line, record.len(), width));
        }
        for ((cells, field), column) in self.cells.iter_mut().zip(record).zip(self.schema.columns())
        {
            let at = || format!("line {line}, column {}", column.name);
            let text = std::str::from_utf8(field).map_err(|_| {
                Error::refused("a field is no UTF-8").at(at()).fix("write the file in UTF-8")
            })?;
            cells.append(text).ok_or_else(|| {
                Error::refused(format!("a field is no {}", column.ty))
                    .at(at())
                    .effect("nothing of the file is published")
                    .fix("correct the file, or read the column as text and convert it in SQL")
            })?;
        }
        self.count += 1;
        self.bytes += record.as_slice().len();
        Ok(())
    }

    /// Hands the rows on, unless the file has shown itself malformed by now.
    fn hand_on(
        &mut self,
        reader: &Reader<Watch>,
        sink: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<u64, Stop> {
        if let Some(line) = reader.get_ref().malformed {
            return Err(malformed(line).into());
        }
        if self.count == 0 {
            return Ok(0);
        }
        let columns = self.cells.iter_mut().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let images = self.schema.images().clone();
        let batch = RecordBatch::try_new_with_options(images, columns, &options)
            .expect("columns were built from the schema");
        let rows = std::mem::take(&mut self.count) as u64;
        self.bytes = 0;
        sink(batch).map_err(Stop::Sink)?;
        Ok(rows)
    }
}

/// The error of a record with too many or too few fields. Too few in the last record, without a line end or
/// inside quotes, means that the file is cut off.
fn wrong_width(reader: &mut Reader<Watch>, line: u64, found: usize, width: usize) -> Error {
    let last = matches!(reader.read_byte_record(&mut ByteRecord::new()), Ok(false));
    let watch = reader.get_ref();
    let found = format!("line {line} has {found} fields, the header {width}");
    if last && (!watch.line_ended || watch.quotes == Quotes::Inside) {
        return cut_off(&found);
    }
    Error::refused(format!("line {line} has another number of fields than the header"))
        .found(found)
        .effect("nothing of the file is published")
        .fix("put fields that hold commas or line ends in quotes")
}

fn failed(error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(e) => match e.get_ref().and_then(|e| e.downcast_ref::<Over>()) {
            Some(over) => over.error(),
            None => super::content::unreadable(e),
        },
        _ => Error::internal("a record could not be taken apart"),
    }
}

/// A record that asks for too much, by the line it begins in.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Over {
    #[error("the record at line {0} is too long")]
    Bytes(u64),
    #[error("the record at line {0} has too many columns")]
    Columns(u64),
}

impl Over {
    fn error(self) -> Error {
        match self {
            Over::Bytes(_) => beyond(self.to_string(), format!("more than {ROW_BYTES} bytes"))
                .fix("look for a quote that is never closed"),
            Over::Columns(_) => beyond(self.to_string(), format!("more than {MOST_COLUMNS}")).fix(
                format!("write at most {MOST_COLUMNS} columns, each record on lines of its own"),
            ),
        }
    }
}

/// Where in a field the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    /// At the beginning of a field.
    Begin,
    /// In a field without quotes.
    Without,
    /// Between quotes.
    Inside,
    /// Behind a quote that closes the field or is the first of two.
    Behind,
}

/// Looks at the bytes that pass to the parser for what it does not tell: where a quote was left open, whether
/// the last line has an end, text behind a closing quote, records without end.
struct Watch {
    content: Content,
    started: bool,
    quotes: Quotes,
    line: u64,
    line_ended: bool,
    ended: bool,
    in_record: usize,
    columns: usize,
    /// The line in which the record begins.
    begun: u64,
    malformed: Option<u64>,
}

impl Watch {
    fn new(content: Content) -> Self {
        Watch {
            content,
            started: false,
            quotes: Quotes::Begin,
            line: 1,
            line_ended: true,
            ended: false,
            in_record: 0,
            columns: 1,
            begun: 1,
            malformed: None,
        }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            let ends = matches!(byte, b'\n' | b'\r');
            self.quotes = match (self.quotes, byte) {
                (Quotes::Begin, b'"') | (Quotes::Behind, b'"') => Quotes::Inside,
                (Quotes::Inside, b'"') => Quotes::Behind,
                (Quotes::Inside, _) => Quotes::Inside,
                (_, b',') => {
                    self.columns += 1;
                    Quotes::Begin
                }
                _ if ends => Quotes::Begin,
                (Quotes::Behind, _) => {
                    self.malformed.get_or_insert(self.line);
                    Quotes::Without
                }
                _ => Quotes::Without,
            };
            self.line_ended = ends && self.quotes == Quotes::Begin;
            self.in_record += 1;
            self.line += u64::from(byte == b'\n');
            if self.line_ended {
                (self.in_record, self.columns, self.begun) = (0, 1, self.line);
            } else if self.in_record > ROW_BYTES {
                return Err(io::Error::other(Over::Bytes(self.begun)));
            } else if self.columns > MOST_COLUMNS {
                return Err(io::Error::other(Over::Columns(self.begun)));
            }
        }
        Ok(())
    }

    /// Reads the first bytes: as many as a byte order mark has, or all there are.
    fn beginning(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut n, most) = (0, MARK.len().min(buffer.len()));
        while n < most {
            match self.content.read(&mut buffer[n..most])? {
                0 => break,
                more => n += more,
            }
        }
        Ok(n)
    }
}

impl Read for Watch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut n, mut mark) = (0, 0);
        if !std::mem::replace(&mut self.started, true) {
            n = self.beginning(buffer)?;
            // The parser leaves it out, once; it must not be all that the parser sees.
            mark = if buffer[..n] == *MARK { n } else { 0 };
        }
        if n == mark {
            n += self.content.read(&mut buffer[n..])?;
        }
        self.ended |= n == 0 && !buffer.is_empty();
        self.look(&buffer[mark..n])?;
        Ok(n)
    }
}
