//! The sum of a table's pieces, and the verdict on them.
//!
//! Only here a verdict is made: DIFFERENT before UNPROVEN before EQUAL.

use crate::compare::{Comparison, Finding};
use crate::look::Sight;
use crate::outcome::{TableProof, Tier};
use crate::settings::{Empty, Settings};
use crate::subject::{RowPath, Subject, Writer};
use crate::systematic::Columns;
use crate::verdict::{Difference, DifferenceKind, Lag, Reason, Verdict};
use change::{Digest, Offset};

/// Examples that are kept of rows whose only fault is systematic.
const EXAMPLES: usize = 5;

/// What has been counted so far.
pub(crate) struct Tally {
    proof: TableProof,
    both: u64,
    refused: u64,
    unclear: u64,
    columns: Columns,
    unproven: Option<Reason>,
}

impl Tally {
    pub(crate) fn new(subject: &Subject, now: i64) -> Self {
        let (source, target) = (subject.path.source_table(), subject.path.target());
        let mut proof = TableProof::unseen(&subject.site, source, &target.name, Reason::Empty, now);
        proof.columns = target.schema.columns().iter().map(|column| column.name.clone()).collect();
        proof.lag = (subject.writer != Writer::Flow).then(Lag::default);
        Tally {
            proof,
            both: 0,
            refused: 0,
            unclear: 0,
            columns: Columns::default(),
            unproven: None,
        }
    }

    /// Rows compared so far.
    pub(crate) fn rows(&self) -> u64 {
        self.proof.rows
    }

    /// Adds a piece.
    pub(crate) fn piece(&mut self, sight: &Sight, comparison: &Comparison) {
        self.cuts(sight);
        let proof = &mut self.proof;
        proof.rows += comparison.rows;
        proof.source_rows += sight.source.read;
        proof.target_rows += sight.target_rows;
        proof.filtered += sight.source.filtered;
        proof.source_bytes += sight.source.rows.bytes;
        proof.target_bytes += sight.target.bytes;
        proof.chunks += 1;
        proof.leaves += comparison.leaves;
        proof.unequal_leaves += comparison.unequal_leaves;
        proof.touched += comparison.touched;
        proof.parked += comparison.parked;
        proof.expected += comparison.expected;
        proof.found += comparison.found;
        self.both += comparison.both;
        self.refused += comparison.refused;
    }

    /// Notes the cuts of a look.
    pub(crate) fn cuts(&mut self, sight: &Sight) {
        let proof = &mut self.proof;
        let closing = sight.closing.to_string();
        proof.source_cuts = Some(match proof.source_cuts.take() {
            None => (closing.clone(), closing),
            Some((first, _)) => (first, closing),
        });
        widen(&mut proof.target_cuts, sight.known_at);
        proof.looks += 1;
        proof.longest_cut_us = proof.longest_cut_us.max(sight.held_us);
    }

    /// How the table is proved.
    pub(crate) fn tier(&mut self, tier: Tier) {
        self.proof.tier = tier;
    }

    /// Notes a cut of the target alone, with the rows and bytes that were read there.
    pub(crate) fn target_cut(&mut self, at: Offset, rows: u64, bytes: u64) {
        let proof = &mut self.proof;
        widen(&mut proof.target_cuts, at);
        proof.looks += 1;
        proof.chunks += 1;
        proof.target_rows += rows;
        proof.target_bytes += bytes;
    }

    /// Adds a leaf of a ledger.
    pub(crate) fn leaf(&mut self, expected: Digest, found: Digest, equal: bool) {
        let proof = &mut self.proof;
        proof.expected += expected;
        proof.found += found;
        proof.rows += expected.count.max(found.count);
        proof.leaves += 1;
        proof.unequal_leaves += u64::from(!equal);
        self.both += expected.count.min(found.count);
    }

    /// Notes rows of the source that were read to tell what the log does not.
    pub(crate) fn source_read(&mut self, sight: &Sight) {
        self.cuts(sight);
        self.proof.source_rows += sight.source.read;
        self.proof.source_bytes += sight.source.rows.bytes;
    }

    /// Keys set aside, over the whole table.
    pub(crate) fn parked(&mut self, keys: u64) {
        self.proof.parked += keys;
    }

    /// Keys whose images in the log stayed incomplete.
    pub(crate) fn unclear(&mut self, keys: u64) {
        self.unclear += keys;
    }

    /// Candidates that a second look did not show.
    pub(crate) fn unconfirmed(&mut self, candidates: u64) {
        self.proof.unconfirmed += candidates;
    }

    /// A foreign row that is behind, as allowed.
    pub(crate) fn behind(&mut self, lag_us: i64) {
        let lag = self.proof.lag.get_or_insert_default();
        lag.rows_behind += 1;
        lag.longest_us = lag.longest_us.max(lag_us);
    }

    /// Something could not be seen; the first reason stays.
    pub(crate) fn unproven(&mut self, reason: Reason) {
        self.unproven.get_or_insert(reason);
    }

    /// Counts the columns of a row that is wrong.
    pub(crate) fn wrong(&mut self, finding: &Finding, path: &RowPath) {
        self.columns.count(finding, path);
    }

    /// Rows that are wrong and not listed.
    pub(crate) fn omit(&mut self, rows: u64) {
        self.proof.omitted += rows;
    }

    /// Lists a difference.
    pub(crate) fn name(&mut self, difference: Difference) {
        self.proof.differences.push(difference);
    }

    /// Makes the verdict.
    pub(crate) fn finish(mut self, settings: &Settings, now: i64) -> TableProof {
        self.proof.ended_at = now;
        self.gather_systematic();
        self.proof.gap = self.gap();
        self.proof.verdict = self.verdict(settings);
        self.proof
    }

    fn verdict(&self, settings: &Settings) -> Verdict {
        let proof = &self.proof;
        let wrong = proof.wrong();
        if wrong > 0 {
            return Verdict::Different { rows: wrong, parked: proof.parked };
        }
        if let Some(gap) = &proof.gap {
            return Verdict::Unproven(gap.clone());
        }
        if proof.parked > 0 {
            return Verdict::Different { rows: 0, parked: proof.parked };
        }
        if proof.rows == 0 && settings.empty == Empty::Unproven {
            return Verdict::Unproven(Reason::Empty);
        }
        Verdict::Equal
    }

    /// Why not everything was seen; the first reason stands.
    fn gap(&self) -> Option<Reason> {
        let refused =
            || (self.refused > 0).then_some(Reason::TransformFails { rows: self.refused });
        let unclear =
            || (self.unclear > 0).then_some(Reason::ImagesIncomplete { keys: self.unclear });
        self.unproven.clone().or_else(refused).or_else(unclear)
    }

    /// A column that is wrong in most rows is one mistake: it is named once, and a few rows stand for all.
    fn gather_systematic(&mut self) {
        (self.proof.systematic, self.proof.uniform) = self.columns.systematic(self.both);
        let named: Vec<&str> = self.proof.systematic.iter().map(|s| s.column.as_str()).collect();
        let only_systematic = |difference: &Difference| match &difference.kind {
            DifferenceKind::Changed { columns } => {
                columns.iter().all(|column| named.contains(&column.as_str()))
            }
            _ => false,
        };
        let mut examples = 0;
        let before = self.proof.differences.len();
        if !named.is_empty() {
            self.proof.differences.retain(|difference| {
                examples += usize::from(only_systematic(difference));
                !only_systematic(difference) || examples <= EXAMPLES
            });
        }
        self.proof.omitted += (before - self.proof.differences.len()) as u64;
    }
}

fn widen(cuts: &mut Option<(Offset, Offset)>, at: Offset) {
    let (low, high) = cuts.unwrap_or((at, at));
    *cuts = Some((low.min(at), high.max(at)));
}
