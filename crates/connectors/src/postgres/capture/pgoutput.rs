//! Messages of the output plugin `pgoutput`, taken apart where they lie; nothing is copied.
//!
//! Not here: what a message means for a group ([`super::assemble`]). Invariant: a message is understood to its end, or
//! it is an error that names its first byte.
//! (Format: PostgreSQL manual, "Logical Replication Message Formats", protocol version 1.)

use connect::{Error, Result};

/// One message.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Begin {
        commit_lsn: u64,
        time: i64,
        xid: u32,
    },
    Commit {
        end_lsn: u64,
    },
    Relation(Relation<'a>),
    Insert {
        relation: u32,
        new: Tuple<'a>,
    },
    Update {
        relation: u32,
        old: Option<Old<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        relation: u32,
        old: Old<'a>,
    },
    Truncate {
        relations: Vec<u32>,
    },
    Logical {
        lsn: u64,
        prefix: &'a [u8],
        content: &'a [u8],
    },
    /// Says nothing that we need: the origin of a transaction, the name of a type.
    Aside,
}

/// A table as the changes behind it have it.
#[derive(Debug)]
pub(super) struct Relation<'a> {
    pub(super) id: u32,
    pub(super) schema: &'a [u8],
    pub(super) name: &'a [u8],
    /// `d`efault, `f`ull, `i`ndex, `n`othing.
    pub(super) identity: u8,
    pub(super) columns: Vec<RelationColumn<'a>>,
}

/// One of its columns.
#[derive(Debug)]
pub(super) struct RelationColumn<'a> {
    /// Whether old images have it.
    pub(super) identifies: bool,
    pub(super) name: &'a [u8],
    pub(super) type_oid: u32,
    pub(super) type_modifier: i32,
}

/// What is told of a row before it changed.
#[derive(Debug)]
pub(super) struct Old<'a> {
    /// The whole row, not only what identifies it.
    pub(super) whole: bool,
    pub(super) tuple: Tuple<'a>,
}

/// Cells of a row, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuple<'a> {
    pub(super) count: usize,
    cells: &'a [u8],
}

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Null,
    /// Stored aside, and not changed.
    Unchanged,
    Text(&'a [u8]),
}

/// Takes bytes one after the other.
struct Taker<'a> {
    rest: &'a [u8],
}

impl<'a> Taker<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(8)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let text = self.bytes(end)?;
        self.byte()?;
        Some(text)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(usize::try_from(length).ok()?)
    }

    /// A tuple, measured once.
    fn tuple(&mut self) -> Option<Tuple<'a>> {
        let count = usize::from(self.u16()?);
        let cells = self.rest;
        for _ in 0..count {
            match self.byte()? {
                b'n' | b'u' => {}
                b't' => drop(self.sized()?),
                _ => return None,
            }
        }
        Some(Tuple { count, cells: &cells[..cells.len() - self.rest.len()] })
    }
}

impl<'a> Tuple<'a> {
    /// Its cells; it was measured, so none is missing.
    pub(super) fn cells(self) -> impl Iterator<Item = Cell<'a>> {
        let mut taker = Taker { rest: self.cells };
        (0..self.count).map_while(move |_| match taker.byte()? {
            b'n' => Some(Cell::Null),
            b'u' => Some(Cell::Unchanged),
            _ => taker.sized().map(Cell::Text),
        })
    }
}

/// Takes a message apart.
///
/// # Errors
/// `Internal` when it is none that version 1 of the protocol has.
pub(super) fn parse(bytes: &[u8]) -> Result<Message<'_>> {
    let mut taker = Taker { rest: bytes };
    let tag = taker.byte();
    match tag.and_then(|tag| body(tag, &mut taker)) {
        Some(message) if taker.rest.is_empty() => Ok(message),
        _ => Err(Error::internal("a message of the output plugin is not understood")
            .found(format!("it begins with byte {:#04x}", tag.unwrap_or_default()))),
    }
}

fn body<'a>(tag: u8, taker: &mut Taker<'a>) -> Option<Message<'a>> {
    Some(match tag {
        b'B' => Message::Begin {
            commit_lsn: taker.u64()?,
            time: taker.u64()?.cast_signed(),
            xid: taker.u32()?,
        },
        b'C' => {
            let (_flags, _commit_lsn) = (taker.byte()?, taker.u64()?);
            let (end_lsn, _time) = (taker.u64()?, taker.u64()?);
            Message::Commit { end_lsn }
        }
        b'R' => Message::Relation(relation(taker)?),
        b'I' => {
            let relation = taker.u32()?;
            if taker.byte()? != b'N' {
                return None;
            }
            Message::Insert { relation, new: taker.tuple()? }
        }
        b'U' => update(taker)?,
        b'D' => {
            let relation = taker.u32()?;
            let kind = taker.byte()?;
            Message::Delete { relation, old: old(kind, taker)? }
        }
        b'T' => {
            let count = taker.u32()?;
            taker.byte()?;
            Message::Truncate { relations: (0..count).map(|_| taker.u32()).collect::<Option<_>>()? }
        }
        b'M' => {
            taker.byte()?;
            Message::Logical { lsn: taker.u64()?, prefix: taker.string()?, content: taker.sized()? }
        }
        b'O' => {
            taker.u64()?;
            taker.string()?;
            Message::Aside
        }
        b'Y' => {
            taker.u32()?;
            taker.string()?;
            taker.string()?;
            Message::Aside
        }
        _ => return None,
    })
}

fn relation<'a>(taker: &mut Taker<'a>) -> Option<Relation<'a>> {
    let (id, schema, name, identity) =
        (taker.u32()?, taker.string()?, taker.string()?, taker.byte()?);
    let count = taker.u16()?;
    let mut column = || {
        Some(RelationColumn {
            identifies: taker.byte()? & 1 == 1,
            name: taker.string()?,
            type_oid: taker.u32()?,
            type_modifier: taker.u32()?.cast_signed(),
        })
    };
    let columns = (0..count).map(|_| column()).collect::<Option<_>>()?;
    Some(Relation { id, schema, name, identity, columns })
}

fn update<'a>(taker: &mut Taker<'a>) -> Option<Message<'a>> {
    let relation = taker.u32()?;
    let mut kind = taker.byte()?;
    let mut before = None;
    if kind != b'N' {
        before = Some(old(kind, taker)?);
        kind = taker.byte()?;
    }
    match kind {
        b'N' => Some(Message::Update { relation, old: before, new: taker.tuple()? }),
        _ => None,
    }
}

fn old<'a>(kind: u8, taker: &mut Taker<'a>) -> Option<Old<'a>> {
    let whole = match kind {
        b'K' => false,
        b'O' => true,
        _ => return None,
    };
    Some(Old { whole, tuple: taker.tuple()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_taken_apart() {
        let bytes =
            [&b"U\0\0\0\x07K\0\x02t\0\0\0\x019nN\0\x03"[..], b"t\0\0\0\x0210u", b"n"].concat();
        let Message::Update { relation: 7, old: Some(old), new } = parse(&bytes).unwrap() else {
            panic!("it is an update of table 7 with an old key");
        };
        assert!(!old.whole);
        assert_eq!(old.tuple.cells().collect::<Vec<_>>(), [Cell::Text(b"9"), Cell::Null]);
        assert_eq!(
            new.cells().collect::<Vec<_>>(),
            [Cell::Text(b"10"), Cell::Unchanged, Cell::Null]
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for wrong in [&b"Z"[..], b"", b"I\0\0\0\x07K\0\0", b"C\0", b"D\0\0\0\x07N\0\0"] {
            let error = parse(wrong).unwrap_err();
            let byte = format!("{:#04x}", wrong.first().copied().unwrap_or_default());
            assert!(error.to_string().contains(&byte), "{error}");
        }
        assert!(parse(b"I\0\0\0\x07N\0\0left over").is_err());
    }
}
