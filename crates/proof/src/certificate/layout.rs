//! How a certificate is written: its one form as bytes.
//!
//! JSON, one field a line, one element of a list a line; every line has a seal (its hash), and the hash of the line of
//! seals is the certificate's. So an altered byte is not only noticed: its line is known. The reading side is
//! `examine`, which shares nothing with this file but the names of the hashes.

use super::Certificate;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// What the hash of a line is for.
pub(super) const LINE: &str = "seamount certificate, line, layout 2";

/// What the hash of the seals is for.
pub(super) const SEALS: &str = "seamount certificate, seals, layout 2";

/// The bytes of a certificate, its seals and its hash made anew, and that hash.
pub(super) fn written(certificate: &Certificate) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Lines { depth: 0 });
    certificate.serialize(&mut serializer).expect("a certificate has only text and numbers");
    bytes.pop();
    bytes.extend_from_slice(b",\n");
    let seals: Vec<String> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
        .map(|(place, line)| {
            let mut hasher = blake3::Hasher::new_derive_key(LINE);
            hasher.update(&(place as u64).to_le_bytes());
            hasher.update(line);
            hasher.finalize().to_hex().to_string()
        })
        .collect();
    let line = format!("\"seals\":[\"{}\"],\n", seals.join("\",\""));
    let hash = blake3::Hasher::new_derive_key(SEALS).update(line.as_bytes()).finalize();
    let hash = hash.to_hex().to_string();
    bytes.extend_from_slice(line.as_bytes());
    bytes.extend_from_slice(format!("\"hash\":\"{hash}\"}}\n").as_bytes());
    (bytes, hash)
}

/// Compact JSON with line breaks behind the fields of the outermost object and the elements of its lists.
struct Lines {
    depth: usize,
}

impl Lines {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, what: &[u8]) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(what)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, what: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(what)
    }
}

impl Formatter for Lines {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        match (first, self.depth) {
            (true, _) => Ok(()),
            (false, 1) => writer.write_all(b",\n"),
            (false, _) => writer.write_all(b","),
        }
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        match (first, self.depth) {
            (true, 2) => writer.write_all(b"\n"),
            (true, _) => Ok(()),
            (false, 2) => writer.write_all(b",\n"),
            (false, _) => writer.write_all(b","),
        }
    }
}
