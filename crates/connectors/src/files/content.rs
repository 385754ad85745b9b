//! A file's bytes: fingerprinted, and looked at while they pass on their way to the parser.
//!
//! The invariant: what a parser read through [`Content`] is what its fingerprint tells of.

use connect::{Error, Result};
use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

const CHUNK_BYTES: usize = 64 << 10;

/// The error of a file that is not the one fingerprinted.
pub(super) fn changed() -> Error {
    Error::unavailable("the file has changed since it was fingerprinted")
        .effect("nothing of it is published; the interval is read again when the file rests")
        .fix("write files under a name that ends in .tmp and rename them when they are complete")
}

/// The error of a file that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Error {
    Error::unavailable("the file cannot be read").found(error.to_string())
}

/// BLAKE3 of a file that rests while it is read, in hex.
///
/// # Errors
/// `Unavailable` when it cannot be read, or changes meanwhile.
pub(super) fn fingerprint(open: impl Fn() -> Result<File>) -> Result<String> {
    let file = open()?;
    let before = state(&file)?;
    let (hash, bytes) = hash(file)?;
    if state(&open()?)? != before || before.0 != bytes {
        return Err(Error::unavailable("the file is still being written")
            .found("it changed while it was looked at")
            .fix(
                "write files under a name that ends in .tmp and rename them when they are complete",
            ));
    }
    Ok(hash)
}

/// Size and time of the last change.
fn state(file: &File) -> Result<(u64, SystemTime)> {
    let found = file.metadata().map_err(|e| unreadable(&e))?;
    Ok((found.len(), found.modified().map_err(|e| unreadable(&e))?))
}

/// BLAKE3 of what is left to read, and its length.
pub(super) fn hash(mut from: impl Read) -> Result<(String, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().to_hex().to_string(), bytes)),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                bytes += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(&e)),
        }
    }
}

/// A file that is hashed as it is read.
pub(super) struct Content {
    file: File,
    hasher: blake3::Hasher,
}

impl Content {
    /// From the file's beginning.
    pub(super) fn new(file: File) -> Self {
        Content { file, hasher: blake3::Hasher::new() }
    }

    /// Reads what nobody wanted and tells the fingerprint of the whole.
    ///
    /// # Errors
    /// `Unavailable` when the rest cannot be read.
    pub(super) fn finish(&mut self) -> Result<String> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(self.hasher.finalize().to_hex().to_string()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(&e)),
            }
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}
