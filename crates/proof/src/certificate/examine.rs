//! Whether the bytes of a certificate are those that were sealed, and if not, which line is at fault.
//!
//! Looks at bytes alone: hashes are computed of what lies there, never of what a parser made of it, and nothing here
//! knows the fields of a certificate. The seals are a tree of two levels: the hash covers the line of seals, each seal
//! covers its line. Of one altered byte the line is always known.

use super::layout::{LINE, SEALS};

/// A line that is not what was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// Counted from 1.
    pub(super) line: usize,
    /// The field that it belongs to, where that can be told.
    pub(super) field: Option<String>,
    pub(super) what: String,
}

/// Looks at the bytes of one certificate.
///
/// # Errors
/// The first line at fault.
pub(super) fn examine(bytes: &[u8]) -> Result<(), BadLine> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() < 3 {
        let what = "this is no certificate, or a part of one".into();
        return Err(BadLine { line: 1, field: None, what });
    }
    let place = lines.iter().position(|line| line.starts_with(b"\"seals\":"));
    let place = place.unwrap_or(lines.len() - 2);
    let (content, seals, tail) = (&lines[..place], lines[place], lines[place + 1..].concat());
    let own: Vec<String> = content.iter().enumerate().map(|(n, line)| seal(n, line)).collect();
    let computed = format!("\"seals\":[\"{}\"],\n", own.join("\",\"")).into_bytes();

    if tail == hash_line(&computed) {
        // The hash vouches for the content as it is.
        let sound = seals == computed;
        return if sound { Ok(()) } else { Err(altered(place, Some("seals"))) };
    }
    if seals == computed {
        return Err(altered(place + 1, Some("hash")));
    }
    let Some(stated) = stated(seals) else {
        return Err(altered(place, Some("seals")));
    };
    let bad = (0..stated.len().max(own.len()))
        .find(|n| stated.get(*n).copied() != own.get(*n).map(String::as_bytes));
    let bad = bad.unwrap_or(place);
    let mut fault = altered(bad, None);
    fault.field = field(content, bad);
    if tail != hash_line(seals) {
        fault.what.push_str(", and the seals or the hash too");
    }
    Err(fault)
}

fn altered(place: usize, field: Option<&str>) -> BadLine {
    BadLine { line: place + 1, field: field.map(String::from), what: "it was altered".into() }
}

fn seal(place: usize, line: &[u8]) -> String {
    let mut input = (place as u64).to_le_bytes().to_vec();
    input.extend_from_slice(line);
    hex(&blake3::derive_key(LINE, &input))
}

fn hash_line(seals: &[u8]) -> Vec<u8> {
    format!("\"hash\":\"{}\"}}\n", hex(&blake3::derive_key(SEALS, seals))).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The seals that a line states; none where it is not a line of seals in its one form.
fn stated(line: &[u8]) -> Option<Vec<&[u8]>> {
    let inner = line.strip_prefix(b"\"seals\":[\"")?.strip_suffix(b"\"],\n")?;
    let mut seals = Vec::new();
    let mut rest = inner;
    loop {
        let (seal, behind) = rest.split_at_checked(64)?;
        if !seal.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        seals.push(seal);
        if behind.is_empty() {
            return Some(seals);
        }
        rest = behind.strip_prefix(b"\",\"")?;
    }
}

/// The field of a line: the one it begins with, or that of the list which it is an element of.
fn field(content: &[&[u8]], place: usize) -> Option<String> {
    let mut lines = content.iter().take(place + 1).enumerate().rev();
    let (place, line) = lines.find(|(place, line)| *place == 0 || !line.starts_with(b"{"))?;
    let line = if place == 0 { line.strip_prefix(b"{")? } else { line };
    let end = line.windows(2).position(|pair| pair == b"\":")?;
    let name = line[..end].strip_prefix(b"\"")?;
    let plain = name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    plain.then(|| String::from_utf8_lossy(name).into_owned())
}
