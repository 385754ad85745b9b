//! Thrift's compact protocol, as far as it takes to walk over a structure and pick single fields out of it.
//!
//! The decoder of the Parquet crate reserves room for what a list says of its length. Here nothing is reserved: a
//! structure that was walked to its end fits the bytes it stands in, whatever lengths it claims.

/// Levels of structures and lists in each other; Parquet's own have seven.
const DEEPEST: usize = 32;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

/// Why a structure cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It goes on behind the bytes at hand.
    Short,
    /// No writer writes this.
    Malformed,
}

/// A place in bytes.
pub(super) struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A field's number and type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) id: i64,
    ty: u8,
}

impl Field {
    /// Whether it is a 32-bit number.
    pub(super) fn is_i32(self) -> bool {
        self.ty == I32
    }

    /// Whether it is a structure.
    pub(super) fn is_struct(self) -> bool {
        self.ty == STRUCT
    }

    /// Whether it is a list.
    pub(super) fn is_list(self) -> bool {
        self.ty == LIST
    }
}

impl<'a> Compact<'a> {
    /// At the beginning of some bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Compact { bytes, at: 0 }
    }

    /// Bytes passed so far.
    pub(super) fn passed(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        let byte = *self.bytes.get(self.at).ok_or(Broken::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Broken::Malformed)
    }

    /// A signed number.
    pub(super) fn number(&mut self) -> Result<i64, Broken> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// The next field of a structure; `None` at its end. `last` is the number of the field before.
    pub(super) fn field(&mut self, last: i64) -> Result<Option<Field>, Broken> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let id = match head >> 4 {
            0 => self.number()?,
            step => last.checked_add(i64::from(step)).ok_or(Broken::Malformed)?,
        };
        Ok(Some(Field { id, ty: head & 0x0f }))
    }

    /// The type and length of a list, which has at least as many bytes left.
    fn list(&mut self) -> Result<(u8, usize), Broken> {
        let head = self.byte()?;
        let length = match head >> 4 {
            15 => self.varint()?,
            short => u64::from(short),
        };
        let length = usize::try_from(length).map_err(|_| Broken::Malformed)?;
        if length > self.bytes.len() - self.at {
            return Err(Broken::Short);
        }
        Ok((head & 0x0f, length))
    }

    /// The length of a list of structures.
    pub(super) fn structs(&mut self) -> Result<usize, Broken> {
        match self.list()? {
            (_, 0) => Ok(0),
            (STRUCT, length) => Ok(length),
            _ => Err(Broken::Malformed),
        }
    }

    fn pass(&mut self, bytes: u64) -> Result<(), Broken> {
        let bytes = usize::try_from(bytes).map_err(|_| Broken::Short)?;
        if bytes > self.bytes.len() - self.at {
            return Err(Broken::Short);
        }
        self.at += bytes;
        Ok(())
    }

    /// Passes a field's value.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), Broken> {
        match field.ty {
            // A field's boolean stands in its head.
            TRUE | FALSE => Ok(()),
            ty => self.skip_value(ty, 0),
        }
    }

    fn skip_value(&mut self, ty: u8, depth: usize) -> Result<(), Broken> {
        if depth > DEEPEST {
            return Err(Broken::Malformed);
        }
        match ty {
            TRUE | FALSE | BYTE => self.pass(1),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.pass(8),
            UUID => self.pass(16),
            BINARY => {
                let length = self.varint()?;
                self.pass(length)
            }
            LIST | SET => {
                let (ty, length) = self.list()?;
                (0..length).try_for_each(|_| self.skip_value(ty, depth + 1))
            }
            MAP => {
                let length = self.varint()?;
                if length == 0 {
                    return Ok(());
                }
                let types = self.byte()?;
                (0..length).try_for_each(|_| {
                    self.skip_value(types >> 4, depth + 1)?;
                    self.skip_value(types & 0x0f, depth + 1)
                })
            }
            STRUCT => {
                let mut last = 0;
                while let Some(field) = self.field(last)? {
                    last = field.id;
                    if !matches!(field.ty, TRUE | FALSE) {
                        self.skip_value(field.ty, depth + 1)?;
                    }
                }
                Ok(())
            }
            _ => Err(Broken::Malformed),
        }
    }
}
