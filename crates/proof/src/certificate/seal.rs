//! Makes certificates of proofs.

use super::fields::{
    Cost, Coverage, DifferenceEntry, LagEntry, Mended, Offsets, Positions, SystematicEntry,
};
use super::{Certificate, FORMAT, layout};
use crate::chain::Head;
use crate::outcome::TableProof;
use crate::subject::{Excluded, RowPath, Subject, Writer};
use crate::verdict::{Difference, DifferenceKind, Verdict};
use change::{DigestKey, FlowId, Generation, LaneId, TableSchema, canonical};
use connect::{Error, Result};

/// Most differences in one certificate; all are counted.
const LISTED: usize = 1000;

/// What a certificate says beside its proof.
#[derive(Clone)]
pub struct About<'a> {
    /// The flow's name.
    pub flow_name: &'a str,
    /// Its id.
    pub flow: FlowId,
    /// Its generation.
    pub generation: Generation,
    /// The lane, where the site was ever captured.
    pub lane: Option<LaneId>,
    /// The way of the rows, where it could be planned.
    pub path: Option<&'a RowPath>,
    /// Who writes.
    pub writer: Writer,
    /// Columns not compared as they are.
    pub excluded: &'a [Excluded],
    /// The secret seed of row hashes; hashes of keys stand on it too.
    pub key: DigestKey,
    /// The head of the certificate before.
    pub previous: Option<Head>,
    /// What was mended before.
    pub mended: Option<Mended>,
}

impl<'a> About<'a> {
    /// About a table that could be looked at; the first of its chain.
    pub fn of(subject: &'a Subject, key: DigestKey) -> Self {
        About {
            flow_name: &subject.flow_name,
            flow: subject.flow,
            generation: subject.generation,
            lane: Some(subject.lane),
            path: Some(&subject.path),
            writer: subject.writer,
            excluded: &subject.excluded,
            key,
            previous: None,
            mended: None,
        }
    }
}

impl Certificate {
    /// Seals a proof as the link behind `about.previous`.
    ///
    /// # Errors
    /// `Internal` when a key does not fit its table.
    pub fn seal(proof: &TableProof, about: &About<'_>) -> Result<Certificate> {
        let (number, previous) = Head::next(about.previous.as_ref());
        let schema =
            |of: fn(&RowPath) -> &TableSchema| about.path.map(of).map(fingerprint).transpose();
        let mut certificate = Certificate {
            format: FORMAT,
            number,
            previous,
            engine: env!("CARGO_PKG_VERSION").into(),
            flow: about.flow_name.into(),
            flow_id: about.flow.to_string(),
            generation: about.generation.to_string(),
            site: proof.site.clone(),
            lane: about.lane.map(|lane| lane.to_string()),
            source_table: proof.source_table.clone(),
            target_table: proof.target_table.clone(),
            source_schema: schema(|path| path.source_schema())?,
            target_schema: schema(|path| &path.target().schema)?,
            method: match about.writer {
                Writer::Flow => proof.tier.name().into(),
                Writer::Other { .. } => format!("{}, foreign writer", proof.tier.name()),
            },
            max_lag_us: match about.writer {
                Writer::Flow => None,
                Writer::Other { max_lag_us } => Some(max_lag_us),
            },
            encoding: canonical::VERSION,
            hash_algorithm: "xxh3-128 with a secret seed, summed mod 2^128".into(),
            verdict: proof.verdict.name().into(),
            says: proof.says(),
            reason: match &proof.verdict {
                Verdict::Unproven(reason) => Some(reason.name().into()),
                _ => None,
            },
            started_at: proof.started_at,
            ended_at: proof.ended_at,
            source_cuts: proof.source_cuts.clone().map(|(first, last)| Positions { first, last }),
            target_cuts: proof
                .target_cuts
                .map(|(low, high)| Offsets { lowest: low.0, highest: high.0 }),
            coverage: coverage(proof),
            excluded: about.excluded.to_vec(),
            filtered: proof.filtered,
            parked: proof.parked,
            touched: proof.touched,
            unconfirmed: proof.unconfirmed,
            expected: proof.expected,
            found: proof.found,
            wrong: proof.wrong(),
            uniform: proof.uniform,
            systematic: systematic(proof),
            differences: differences(proof, about)?,
            lag: proof
                .lag
                .map(|lag| LagEntry { rows_behind: lag.rows_behind, longest_us: lag.longest_us }),
            mended: about.mended,
            cost: cost(proof),
            seals: Vec::new(),
            hash: String::new(),
        };
        certificate.hash = layout::written(&certificate).1;
        Ok(certificate)
    }
}

fn coverage(proof: &TableProof) -> Coverage {
    Coverage {
        whole: proof.gap.is_none(),
        gap: proof.gap.as_ref().map(ToString::to_string),
        rows: proof.rows,
        pieces: proof.chunks,
        leaves: proof.leaves,
        unequal_leaves: proof.unequal_leaves,
    }
}

fn systematic(proof: &TableProof) -> Vec<SystematicEntry> {
    let columns = proof.systematic.iter().map(|column| SystematicEntry {
        column: column.column.clone(),
        rows: column.rows,
        of: column.of,
        shift: column.shift.clone(),
        says: column.to_string(),
    });
    columns.collect()
}

fn cost(proof: &TableProof) -> Cost {
    Cost {
        source_rows: proof.source_rows,
        target_rows: proof.target_rows,
        source_bytes: proof.source_bytes,
        target_bytes: proof.target_bytes,
        looks: proof.looks,
        elapsed_us: proof.ended_at.saturating_sub(proof.started_at),
        longest_cut_us: proof.longest_cut_us,
    }
}

fn differences(proof: &TableProof, about: &About<'_>) -> Result<Vec<DifferenceEntry>> {
    let Some(path) = about.path else { return Ok(Vec::new()) };
    let schema = path.target().schema.key_schema();
    let listed = proof.differences.iter().take(LISTED);
    listed.map(|difference| entry(difference, &schema, about.key)).collect()
}

fn entry(difference: &Difference, schema: &TableSchema, key: DigestKey) -> Result<DifferenceEntry> {
    let bytes = crate::fit::key_bytes(&difference.key, schema)?;
    // Keys are few and guessable: without the project's seed, a hash of one must not tell which it is.
    let keyed = key.hash(&bytes).to_le_bytes();
    Ok(DifferenceEntry {
        key: blake3::Hash::from_bytes(blake3::derive_key("seamount certificate, key", &keyed))
            .to_hex()
            .to_string(),
        kind: difference.kind.name().into(),
        side: difference.side.to_string(),
        columns: match &difference.kind {
            DifferenceKind::Changed { columns } => columns.clone(),
            _ => Vec::new(),
        },
        known_at: difference.known_at.0,
        newest_change: difference.newest_change.map(|offset| offset.0),
    })
}

fn fingerprint(schema: &TableSchema) -> Result<String> {
    let text = serde_json::to_vec(schema)
        .map_err(|e| Error::internal("a schema cannot be written").caused_by(e))?;
    Ok(blake3::hash(&text).to_hex().to_string())
}
