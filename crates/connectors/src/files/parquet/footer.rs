//! The end of a Parquet file, looked at before the decoder sees it: length, lists, levels.
//!
//! The decoder reserves room for as many row groups as the footer claims and goes down as many levels as it says.
//! A hostile footer would end the process, not the file; here it is refused.

use super::compact::{Broken, Compact};
use crate::files::content::unreadable;
use crate::files::limits::{DEEPEST_SCHEMA, FOOTER_BYTES, MOST_CHUNKS, MOST_COLUMNS, beyond};
use connect::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

const MAGIC: &[u8; 4] = b"PAR1";
/// Magic, length of the footer, magic.
const LEAST_BYTES: u64 = 12;
/// Length of the footer, magic.
const TAIL_BYTES: u64 = 8;

/// Fields of `FileMetaData` and `SchemaElement`.
const SCHEMA: i64 = 2;
const ROW_GROUPS: i64 = 4;
const CHILDREN: i64 = 5;

/// Looks at the footer and leaves the file at its beginning.
///
/// # Errors
/// `Unavailable` when there is none yet, `Invalid` when it cannot be read, `Refused` when it asks for too much.
pub(super) fn check(file: &mut File) -> Result<()> {
    let footer = read(file)?;
    let counted = count(&footer).map_err(|_| damaged());
    file.seek(SeekFrom::Start(0)).map_err(|e| unreadable(&e))?;
    let Counted { columns, groups, depth } = counted?;
    if columns > MOST_COLUMNS {
        return Err(beyond("the file has too many columns", format!("{columns} in its footer"))
            .fix(format!("write at most {MOST_COLUMNS} columns")));
    }
    if depth > DEEPEST_SCHEMA {
        return Err(beyond(
            "the columns of the file are nested too deeply",
            "groups within groups",
        )
        .fix("write plain columns"));
    }
    if columns.saturating_mul(groups) > MOST_CHUNKS {
        let found = format!("{groups} of {columns} columns each");
        return Err(beyond("the file has too many row groups", found)
            .fix("write larger row groups, of 100,000 rows and more"));
    }
    Ok(())
}

/// The error of a footer that is none.
pub(super) fn damaged() -> Error {
    Error::invalid("the footer of the file cannot be read")
}

fn no_footer() -> Error {
    Error::unavailable("the file has no footer")
        .found("it is still being written, or was cut off")
        .effect("nothing of it is published; it is looked at again later")
        .fix("write files under a name that ends in .tmp and rename them when they are complete")
}

fn read(file: &mut File) -> Result<Vec<u8>> {
    let gone = |e| unreadable(&e);
    let length = file.metadata().map_err(gone)?.len();
    if length < LEAST_BYTES {
        return Err(no_footer());
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::Start(length - TAIL_BYTES)).map_err(gone)?;
    file.read_exact(&mut tail).map_err(gone)?;
    let (size, magic) = tail.split_at(4);
    if magic != MAGIC {
        return Err(no_footer());
    }
    let size = u64::from(u32::from_le_bytes(size.try_into().expect("four bytes")));
    if size > FOOTER_BYTES {
        return Err(beyond("the footer of the file is too long", format!("{size} bytes"))
            .fix("write fewer columns or larger row groups"));
    }
    let start = (length - TAIL_BYTES).checked_sub(size).ok_or_else(damaged)?;
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(gone)?;
    file.take(size).read_to_end(&mut footer).map_err(gone)?;
    Ok(footer)
}

/// What a footer claims.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    columns: usize,
    groups: usize,
    depth: usize,
}

fn count(footer: &[u8]) -> Result<Counted, Broken> {
    let (mut walk, mut last) = (Compact::new(footer), 0);
    let mut counted = Counted::default();
    while let Some(field) = walk.field(last)? {
        last = field.id;
        match field.id {
            SCHEMA if field.is_list() => schema(&mut walk, &mut counted)?,
            ROW_GROUPS if field.is_list() => {
                counted.groups = walk.structs()?;
                for _ in 0..counted.groups {
                    structure(&mut walk)?;
                }
            }
            _ => walk.skip(field)?,
        }
    }
    Ok(counted)
}

fn structure(walk: &mut Compact<'_>) -> Result<(), Broken> {
    let mut last = 0;
    while let Some(field) = walk.field(last)? {
        last = field.id;
        walk.skip(field)?;
    }
    Ok(())
}

/// Counts the elements of the schema and their levels: they stand in depth-first order, each with its children's
/// number.
fn schema(walk: &mut Compact<'_>, counted: &mut Counted) -> Result<(), Broken> {
    let elements = walk.structs()?;
    counted.columns = elements.saturating_sub(1);
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..elements {
        let (mut last, mut children) = (0, 0);
        while let Some(field) = walk.field(last)? {
            last = field.id;
            if field.id == CHILDREN && field.is_i32() {
                children = walk.number()?;
            } else {
                walk.skip(field)?;
            }
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        }
        counted.depth = counted.depth.max(open.len());
        while open.last().is_some_and(|left| *left <= 0) {
            open.pop();
        }
    }
    Ok(())
}
