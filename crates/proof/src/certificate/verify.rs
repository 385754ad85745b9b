//! Verifies certificates as they lie in a file or in the state: each by its bytes, then the chain of each flow.
//!
//! Needs nothing but the bytes: no site, no engine, no key. Every fault is placed: which certificate, which line.

use super::examine::{BadLine, examine};
use super::{Certificate, FORMAT};
use crate::chain::{Head, LinkFault, Linked, follow};
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::fmt;

/// The bytes of one certificate, and where they were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Lines of the file before it.
    pub lines_before: usize,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFault {
    /// The place of the certificate among those given, from 0; behind the last where the end is missing.
    pub index: usize,
    /// The number of the certificate in its chain, where it can be told.
    pub number: Option<i64>,
    /// The flow, where it can be told.
    pub flow: Option<String>,
    /// The line of the certificate, from 1.
    pub line: Option<usize>,
    /// Lines of the file before the certificate.
    pub lines_before: usize,
    /// The field of that line.
    pub field: Option<String>,
    /// What is wrong.
    pub what: String,
    /// How its chain is broken, where its own bytes are sound.
    pub link: Option<LinkFault>,
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.flow, self.number) {
            (Some(flow), Some(number)) => write!(f, "certificate {flow}/{number}")?,
            (_, Some(number)) => write!(f, "certificate {number}")?,
            (_, None) => write!(f, "certificate at place {}", self.index + 1)?,
        }
        match (self.line, &self.field) {
            (Some(line), Some(field)) => write!(f, ", line {line} ({field})")?,
            (Some(line), None) => write!(f, ", line {line}")?,
            (None, _) => {}
        }
        if let Some(line) = self.line.filter(|_| self.lines_before > 0) {
            write!(f, ", line {} of the file", self.lines_before + line)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for CertificateFault {}

/// The certificates of a file, each with its lines. Damage where one ends and the next begins stays with one of both.
pub fn split(file: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut lines_before, mut lines, mut at) = (0, 0, 0, 0);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        if at > begin && line.starts_with(b"{\"format\":") {
            pieces.push(Piece { bytes: &file[begin..at], lines_before });
            (begin, lines_before) = (at, lines);
        }
        at += line.len();
        lines += 1;
        if line.starts_with(b"\"hash\":") {
            pieces.push(Piece { bytes: &file[begin..at], lines_before });
            (begin, lines_before) = (at, lines);
        }
    }
    if begin < file.len() {
        pieces.push(Piece { bytes: &file[begin..], lines_before });
    }
    pieces
}

/// Verifies certificates, of one flow or of several, each flow's in the order of its chain. `after` is the head that a
/// part of a chain begins behind; `kept` are heads that must be in it. Both are of one flow: with several in the file
/// they are held against each.
///
/// # Errors
/// The first fault.
pub fn verify(
    pieces: &[Piece<'_>],
    after: Option<&Head>,
    kept: &[Head],
) -> Result<Vec<Certificate>, CertificateFault> {
    let mut all = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.iter().enumerate() {
        let certificate = read(piece.bytes).map_err(|bad| CertificateFault {
            index,
            number: stated_number(piece.bytes),
            flow: None,
            line: Some(bad.line),
            lines_before: piece.lines_before,
            field: bad.field,
            what: bad.what,
            link: None,
        })?;
        all.push(certificate);
    }
    let mut chains = BTreeMap::<&str, Vec<usize>>::new();
    for (index, certificate) in all.iter().enumerate() {
        chains.entry(&certificate.flow_id).or_default().push(index);
    }
    let mut faults: Vec<CertificateFault> = Vec::new();
    for places in chains.values() {
        let chain: Vec<Certificate> = places.iter().map(|place| all[*place].clone()).collect();
        if let Err(fault) = follow(&chain, after, kept) {
            faults.push(placed(&fault, &chain, places, after, pieces));
        }
    }
    if let (true, Some(fault)) = (all.is_empty(), follow::<Certificate>(&[], after, kept).err()) {
        faults.push(placed(&fault, &[], &[], after, pieces));
    }
    match faults.into_iter().min_by_key(|fault| fault.index) {
        Some(fault) => Err(fault),
        None => Ok(all),
    }
}

/// Whether bytes say that they are a certificate of a format before this one, whose chain cannot be continued.
pub fn is_of_older_format(bytes: &[u8]) -> bool {
    let digits = bytes.strip_prefix(b"{\"format\":").unwrap_or_default();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let number = std::str::from_utf8(&digits[..end]).ok().and_then(|text| text.parse::<u32>().ok());
    number.is_some_and(|number| number < FORMAT)
}

/// The head of a stored certificate; none where the bytes are no certificate.
pub fn head_of(bytes: &[u8]) -> Option<Head> {
    read(bytes).ok().map(|certificate| certificate.head())
}

/// Reads one certificate: its bytes, then its one form, then what it says against itself.
pub(super) fn read(bytes: &[u8]) -> Result<Certificate, BadLine> {
    let whole = |what: String| BadLine { line: 1, field: Some("format".into()), what };
    examine(bytes)?;
    let mut certificate: Certificate = serde_json::from_slice(bytes).map_err(|e| BadLine {
        line: e.line().max(1),
        field: None,
        what: format!("it cannot be read: {e}"),
    })?;
    // They were compared with the bytes; a certificate that was read is one that was sealed.
    certificate.seals.clear();
    if certificate.format != FORMAT {
        return Err(whole(format!("its format {} is not known", certificate.format)));
    }
    if certificate.to_bytes() != bytes {
        return Err(whole("it is not in the one form of certificates".into()));
    }
    match contradiction(&certificate) {
        Some((field, what)) => {
            let name = format!("\"{field}\":");
            let lines = bytes.split(|byte| *byte == b'\n');
            let line = lines.take_while(|line| !line.starts_with(name.as_bytes())).count() + 1;
            Err(BadLine { line, field: Some(field.into()), what: what.into() })
        }
        None => Ok(certificate),
    }
}

/// Whether a certificate says what its own figures deny: a seal vouches for bytes, not for sense.
fn contradiction(certificate: &Certificate) -> Option<(&'static str, &'static str)> {
    let c = certificate;
    let verdict = |name: &str| c.verdict == name;
    let (different, unproven) = (
        Verdict::Different { rows: 0, parked: 0 }.name(),
        Verdict::Unproven(crate::verdict::Reason::Empty).name(),
    );
    let behind = c.lag.is_some_and(|lag| lag.rows_behind > 0);
    if c.is_equal() {
        return match () {
            () if c.wrong > 0 => Some(("wrong", "it says EQUAL over rows that are wrong")),
            () if c.parked > 0 => Some(("parked", "it says EQUAL over parked keys")),
            () if !c.coverage.whole => Some(("coverage", "it says EQUAL and has not seen all")),
            () if c.expected != c.found && c.unconfirmed == 0 && !behind => {
                Some(("found", "it says EQUAL over roots that differ"))
            }
            () => None,
        };
    }
    match () {
        () if verdict(different) && c.wrong + c.parked == 0 => {
            Some(("verdict", "it says DIFFERENT and nothing is wrong"))
        }
        () if verdict(unproven) && c.reason.is_none() => {
            Some(("reason", "it says UNPROVEN without a reason"))
        }
        () if !verdict(different) && !verdict(unproven) => {
            Some(("verdict", "its verdict is not known"))
        }
        () => None,
    }
}

/// The number that a certificate states, damaged or not.
fn stated_number(bytes: &[u8]) -> Option<i64> {
    let line = bytes.split(|byte| *byte == b'\n').nth(1)?;
    let text = line.strip_prefix(b"\"number\":")?.strip_suffix(b",")?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn placed(
    fault: &LinkFault,
    chain: &[Certificate],
    places: &[usize],
    after: Option<&Head>,
    pieces: &[Piece<'_>],
) -> CertificateFault {
    let first = after.map_or(1, |head| head.number + 1);
    let place = usize::try_from(fault.number() - first).unwrap_or(usize::MAX);
    let index = places.get(place).copied();
    let (line, field) = match fault {
        LinkFault::NotInPlace { .. } => (Some(2), Some("number")),
        LinkFault::Unchained(_) => (Some(3), Some("previous")),
        LinkFault::Forked(_) | LinkFault::Changed(_) => (None, Some("hash")),
        LinkFault::CutOff { .. } => (None, None),
    };
    CertificateFault {
        index: index.unwrap_or(pieces.len()),
        number: Some(fault.number()),
        flow: chain.first().map(|certificate| certificate.flow.clone()),
        line,
        lines_before: index.map_or(0, |index| pieces[index].lines_before),
        field: field.map(String::from),
        what: fault.told("certificate"),
        link: Some(fault.clone()),
    }
}
