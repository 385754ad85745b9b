//! Damage to files at rest: what a disk does to bytes that were durable for years.
//!
//! Not here: whether anybody notices. Invariant: the file keeps its length, unless the damage is a cut.

use crate::{Bits, below};
use std::fs;
use std::io::Result;
use std::path::Path;

/// Bytes of a page, as SQLite and file systems have it.
pub const PAGE: usize = 4096;

/// One kind of damage, at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// One bit is another.
    Flip { byte: usize, bit: u8 },
    /// A page is zeros.
    Zero { page: usize },
    /// Two pages stand in each other's place.
    Swap { page: usize, with: usize },
    /// A page holds what another holds: a write that went astray.
    Duplicate { page: usize, over: usize },
    /// The file ends here.
    Cut { length: usize },
}

impl Rot {
    /// Some damage for a file of a length, which is not 0.
    pub fn any(length: usize, bits: Bits<'_>) -> Rot {
        let pages = length.div_ceil(PAGE);
        let (page, other) = (below(bits, pages), below(bits, pages));
        match below(bits, 8) {
            0 => Rot::Zero { page },
            1 => Rot::Swap { page, with: other },
            2 => Rot::Duplicate { page, over: other },
            3 => Rot::Cut { length: below(bits, length) },
            _ => Rot::Flip {
                byte: below(bits, length),
                bit: u8::try_from(below(bits, 8)).expect("below 8"),
            },
        }
    }

    /// Damages a file.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn befall(self, file: &Path) -> Result<()> {
        let mut bytes = fs::read(file)?;
        self.spoil(&mut bytes);
        fs::write(file, bytes)
    }

    /// Damages bytes. A place behind the end stays untouched.
    pub fn spoil(self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let page_at = |page: usize| (page * PAGE).min(length)..((page + 1) * PAGE).min(length);
        match self {
            Rot::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
            Rot::Zero { page } => bytes[page_at(page)].fill(0),
            Rot::Swap { page, with } => {
                let (here, there) = (bytes[page_at(page)].to_vec(), bytes[page_at(with)].to_vec());
                put(bytes, with, &here);
                put(bytes, page, &there);
            }
            Rot::Duplicate { page, over } => {
                let copy = bytes[page_at(page)].to_vec();
                put(bytes, over, &copy);
            }
            Rot::Cut { length } => bytes.truncate(length),
        }
    }
}

fn put(bytes: &mut [u8], page: usize, content: &[u8]) {
    let there = &mut bytes[page * PAGE..];
    let length = content.len().min(there.len()).min(PAGE);
    there[..length].copy_from_slice(&content[..length]);
}
