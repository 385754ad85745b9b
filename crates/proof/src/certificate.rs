//! What a proof leaves behind: append-only, hash-chained, readable by people and by `verify`.
//!
//! The bytes are canonical: reading them and writing them again gives the same bytes, and the hash covers all of
//! them. No row values and no keys are in it, only hashes of keys. It does not tell that the newest certificates
//! of a chain were dropped: whoever must know that keeps the newest hash elsewhere.

use crate::subject::{Subject, Writer};
use crate::verdict::{Difference, TableProof, Verdict};
use change::calendar::timestamp_text;
use change::{Digest, canonical};
use connect::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Format of certificates.
const FORMAT: u32 = 1;

/// Most differences in one certificate; all are counted.
const LISTED: usize = 1000;

/// One proof of one table, as a link of a flow's chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Format of these fields.
    pub format: u32,
    /// 1 for the first of the chain.
    pub number: u64,
    /// Hash of the certificate before; empty for the first.
    pub previous: String,
    /// The engine's version.
    pub engine: String,
    /// The flow's name.
    pub flow: String,
    /// Its id.
    pub flow_id: String,
    /// Its generation: mode, transform, key and target.
    pub generation: String,
    /// The source site.
    pub site: String,
    /// The lane of the site.
    pub lane: String,
    /// The table at the source.
    pub source_table: String,
    /// The table at the target.
    pub target_table: String,
    /// Fingerprints of the columns and keys of both sides.
    pub schemas: (String, String),
    /// `scan` or `scan, foreign writer`.
    pub method: String,
    /// Version of the canonical encoding.
    pub encoding: u32,
    /// Hash of rows.
    pub hash_algorithm: String,
    /// Source cuts, first and last.
    pub source_cuts: Option<(String, String)>,
    /// Offsets of the target at its cuts, lowest and highest.
    pub target_cuts: Option<(u64, u64)>,
    /// When it began, microseconds since 1970-01-01T00:00:00Z.
    pub started_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// EQUAL, DIFFERENT or UNPROVEN.
    pub verdict: String,
    /// The verdict in words.
    pub says: String,
    /// Rows compared.
    pub rows: u64,
    /// Rows read from the source.
    pub source_rows: u64,
    /// Rows read from the target.
    pub target_rows: u64,
    /// Pieces, each at cuts of its own.
    pub chunks: u64,
    /// Leaves compared.
    pub leaves: u64,
    /// Leaves that differed at first sight.
    pub unequal_leaves: u64,
    /// Keys compared with the log.
    pub touched: u64,
    /// Candidates that a second look did not confirm.
    pub unconfirmed: u64,
    /// Keys set aside.
    pub parked: u64,
    /// Digest of what should be there.
    pub expected: Digest,
    /// Digest of what is there.
    pub found: Digest,
    /// Rows that are wrong.
    pub wrong: u64,
    /// The first of them.
    pub differences: Vec<DifferenceEntry>,
    /// Columns that are wrong in most rows, in words.
    pub systematic: Vec<String>,
    /// Rows that a foreign writer shows outdated, and the longest for, in microseconds.
    pub lag: Option<(u64, i64)>,
    /// The longest that a source cut was held, in microseconds.
    pub longest_cut_us: i64,
    /// BLAKE3 of all of the above.
    pub hash: String,
}

/// One difference, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DifferenceEntry {
    /// BLAKE3 of the canonical key.
    pub key: String,
    /// The kind's name.
    pub kind: String,
    /// The side's name.
    pub side: String,
    /// Columns that differ, where some do.
    pub columns: Vec<String>,
    /// Place of the lane at which it was found.
    pub known_at: u64,
    /// Newest change of the key in the log.
    pub newest_change: Option<u64>,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// The place of the certificate, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} of the chain: {}", self.index + 1, self.what)
    }
}

impl std::error::Error for ChainFault {}

impl Certificate {
    /// Seals a proof as the link behind `previous`.
    ///
    /// # Errors
    /// `Internal` when a key does not fit its table.
    pub fn seal(
        proof: &TableProof,
        subject: &Subject,
        previous: Option<&Certificate>,
    ) -> Result<Certificate> {
        let listed = proof.differences.iter().take(LISTED);
        let mut certificate = Certificate {
            format: FORMAT,
            number: previous.map_or(1, |p| p.number + 1),
            previous: previous.map_or(String::new(), |p| p.hash.clone()),
            engine: env!("CARGO_PKG_VERSION").into(),
            flow: subject.flow_name.clone(),
            flow_id: subject.flow.to_string(),
            generation: subject.generation.to_string(),
            site: proof.site.clone(),
            lane: subject.lane.to_string(),
            source_table: proof.source_table.clone(),
            target_table: proof.target_table.clone(),
            schemas: (
                fingerprint(subject.path.source_schema())?,
                fingerprint(&subject.path.target().schema)?,
            ),
            method: match subject.writer {
                Writer::Flow => "scan".into(),
                Writer::Other { max_lag_us } => format!("scan, foreign writer, {max_lag_us} us"),
            },
            encoding: canonical::VERSION,
            hash_algorithm: "xxh3-128 with a secret seed, summed".into(),
            source_cuts: proof.source_cuts.clone(),
            target_cuts: proof.target_cuts.map(|(low, high)| (low.0, high.0)),
            started_at: proof.started_at,
            ended_at: proof.ended_at,
            verdict: proof.verdict.name().into(),
            says: proof.verdict.to_string(),
            rows: proof.rows,
            source_rows: proof.source_rows,
            target_rows: proof.target_rows,
            chunks: proof.chunks,
            leaves: proof.leaves,
            unequal_leaves: proof.unequal_leaves,
            touched: proof.touched,
            unconfirmed: proof.unconfirmed,
            parked: proof.parked,
            expected: proof.expected,
            found: proof.found,
            wrong: proof.wrong(),
            differences: listed.map(|d| entry(d, subject)).collect::<Result<_>>()?,
            systematic: proof.systematic.iter().map(ToString::to_string).collect(),
            lag: proof.lag.map(|lag| (lag.rows_behind, lag.longest_us)),
            longest_cut_us: proof.longest_cut_us,
            hash: String::new(),
        };
        certificate.hash = certificate.computed_hash();
        Ok(certificate)
    }

    /// The canonical bytes, to be stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a certificate has only text and numbers")
    }

    /// Reads and verifies stored bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(bytes: &[u8]) -> Result<Certificate, String> {
        let certificate: Certificate =
            serde_json::from_slice(bytes).map_err(|e| format!("it cannot be read: {e}"))?;
        if certificate.to_bytes() != bytes {
            return Err("its bytes were altered".into());
        }
        certificate.verify()?;
        Ok(certificate)
    }

    /// Whether its hash covers its fields.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its format {} is not known", self.format));
        }
        if self.hash != self.computed_hash() {
            return Err("its hash does not fit its content".into());
        }
        Ok(())
    }

    /// Whether the table was proved equal.
    pub fn is_equal(&self) -> bool {
        self.verdict == Verdict::Equal.name()
    }

    fn computed_hash(&self) -> String {
        let unsealed = Certificate { hash: String::new(), ..self.clone() };
        blake3::hash(&unsealed.to_bytes()).to_hex().to_string()
    }
}

/// Verifies a flow's chain from its first certificate on.
///
/// # Errors
/// The first fault: an altered certificate, a dropped one, one of another flow, or two in the wrong order.
pub fn verify_chain(chain: &[Certificate]) -> Result<(), ChainFault> {
    let mut previous: Option<&Certificate> = None;
    for (index, certificate) in chain.iter().enumerate() {
        let fault = |what: String| Err(ChainFault { index, what });
        if let Err(what) = certificate.verify() {
            return fault(what);
        }
        let number = previous.map_or(1, |p| p.number + 1);
        if certificate.number != number {
            return fault(format!("it is number {}, {number} is missing", certificate.number));
        }
        if certificate.previous != previous.map_or("", |p| p.hash.as_str()) {
            return fault("it does not continue the one before".into());
        }
        if previous.is_some_and(|p| p.flow_id != certificate.flow_id) {
            return fault("it is of another flow".into());
        }
        previous = Some(certificate);
    }
    Ok(())
}

/// Verifies a flow's chain as it is stored.
///
/// # Errors
/// As [`verify_chain`]; also bytes that are not exactly what was sealed.
pub fn verify_stored<B: AsRef<[u8]>>(chain: &[B]) -> Result<Vec<Certificate>, ChainFault> {
    let certificates = chain
        .iter()
        .enumerate()
        .map(|(index, bytes)| {
            Certificate::read(bytes.as_ref()).map_err(|what| ChainFault { index, what })
        })
        .collect::<Result<Vec<_>, _>>()?;
    verify_chain(&certificates)?;
    Ok(certificates)
}

fn entry(difference: &Difference, subject: &Subject) -> Result<DifferenceEntry> {
    let schema = subject.path.target().schema.key_schema();
    let bytes = crate::fit::key_bytes(&difference.key, &schema)?;
    Ok(DifferenceEntry {
        key: blake3::hash(&bytes).to_hex().to_string(),
        kind: difference.kind.name().into(),
        side: difference.side.to_string(),
        columns: match &difference.kind {
            crate::verdict::DifferenceKind::Changed { columns } => columns.clone(),
            _ => Vec::new(),
        },
        known_at: difference.known_at.0,
        newest_change: difference.newest_change.map(|offset| offset.0),
    })
}

fn fingerprint(schema: &change::TableSchema) -> Result<String> {
    let text = serde_json::to_vec(schema)
        .map_err(|e| Error::internal("a schema cannot be written").caused_by(e))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}

/// About fifteen lines for people.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "certificate {} of flow {}", self.number, self.flow)?;
        writeln!(f, "  verdict      {}", self.says)?;
        let (site, table) = (&self.site, &self.source_table);
        writeln!(f, "  tables       {site}.{table} -> {}", self.target_table)?;
        writeln!(f, "  method       {}, encoding {}", self.method, self.encoding)?;
        let (began, ended) = (timestamp_text(self.started_at), timestamp_text(self.ended_at));
        writeln!(f, "  made         {began}Z to {ended}Z, engine {}", self.engine)?;
        if let Some((first, last)) = &self.source_cuts {
            writeln!(f, "  source cuts  {first} to {last}")?;
        }
        if let Some((low, high)) = &self.target_cuts {
            writeln!(f, "  target cuts  offset {low} to {high} of lane {}", self.lane)?;
        }
        let (pieces, leaves) = (self.chunks, self.leaves);
        writeln!(f, "  compared     {} rows in {pieces} pieces and {leaves} leaves", self.rows)?;
        writeln!(f, "  by the log   {} keys that changed meanwhile", self.touched)?;
        writeln!(f, "  expected     {}", self.expected)?;
        writeln!(f, "  found        {}", self.found)?;
        writeln!(f, "  wrong        {}{}", self.wrong, kinds(&self.differences))?;
        for what in &self.systematic {
            writeln!(f, "  systematic   {what}")?;
        }
        if self.parked > 0 {
            writeln!(f, "  parked       {} keys", self.parked)?;
        }
        if let Some((rows, longest)) = self.lag {
            writeln!(f, "  lag          {rows} rows behind, {} ms at most", longest / 1000)?;
        }
        let before = if self.previous.is_empty() { "nothing" } else { &self.previous };
        writeln!(f, "  follows      {before}")?;
        write!(f, "  hash         {}", self.hash)
    }
}

/// `: 3 missing (apply), 1 changed (foreign)`.
fn kinds(differences: &[DifferenceEntry]) -> String {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for d in differences {
        *counts.entry((&d.kind, &d.side)).or_default() += 1;
    }
    let parts: Vec<String> =
        counts.iter().map(|((kind, side), n)| format!("{n} {kind} ({side})")).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
