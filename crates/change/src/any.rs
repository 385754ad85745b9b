//! Values that carry their own type, as one binary cell: `tag, payload`.
//!
//! SQLite columns without a declared type hold whatever was written. They travel as they are; nothing is
//! guessed. Integers and floats are eight bytes little-endian behind the tag.

const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 3;
const BYTES: u8 = 4;

/// A tagged value, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tagged<'a> {
    /// 64-bit signed integer.
    Integer(i64),
    /// IEEE-754 binary64.
    Float(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

/// Appends the cell of a value.
pub fn encode(value: Tagged<'_>, cell: &mut Vec<u8>) {
    match value {
        Tagged::Integer(i) => {
            cell.push(INTEGER);
            cell.extend_from_slice(&i.to_le_bytes());
        }
        Tagged::Float(f) => {
            cell.push(FLOAT);
            cell.extend_from_slice(&f.to_bits().to_le_bytes());
        }
        Tagged::Text(text) => {
            cell.push(TEXT);
            cell.extend_from_slice(text.as_bytes());
        }
        Tagged::Bytes(bytes) => {
            cell.push(BYTES);
            cell.extend_from_slice(bytes);
        }
    }
}

/// Reads a cell; `None` where the bytes are no tagged value.
pub fn decode(cell: &[u8]) -> Option<Tagged<'_>> {
    let (&tag, payload) = cell.split_first()?;
    Some(match tag {
        INTEGER => Tagged::Integer(i64::from_le_bytes(payload.try_into().ok()?)),
        FLOAT => Tagged::Float(f64::from_bits(u64::from_le_bytes(payload.try_into().ok()?))),
        TEXT => Tagged::Text(std::str::from_utf8(payload).ok()?),
        BYTES => Tagged::Bytes(payload),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_back_and_bad_cells_are_refused() {
        for value in [
            Tagged::Integer(i64::MIN),
            Tagged::Float(-0.0),
            Tagged::Text("é"),
            Tagged::Bytes(&[0, 255]),
        ] {
            let mut cell = Vec::new();
            encode(value, &mut cell);
            assert_eq!(decode(&cell), Some(value));
        }
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[1, 2, 3]), None);
        assert_eq!(decode(&[3, 0xff]), None);
        assert_eq!(decode(&[9]), None);
    }
}
