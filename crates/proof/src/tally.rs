//! The sum of a table's pieces, and the verdict on them.
//!
//! Only here a verdict is made: DIFFERENT before UNPROVEN before EQUAL.

use crate::compare::{Comparison, Finding, changed};
use crate::look::Sight;
use crate::settings::{Empty, Settings};
use crate::subject::{RowPath, Subject, Writer};
use crate::verdict::{Difference, DifferenceKind, Lag, Reason, Systematic, TableProof, Verdict};
use change::Digest;
use std::collections::BTreeMap;

/// A column is systematically wrong when it differs in more than half of the rows, and in at least this many.
const SYSTEMATIC_ROWS: u64 = 10;

/// Examples that are kept of rows whose only fault is systematic.
const EXAMPLES: usize = 5;

/// What has been counted so far.
pub(crate) struct Tally {
    proof: TableProof,
    both: u64,
    refused: u64,
    unclear: u64,
    wrong_columns: BTreeMap<String, u64>,
    unproven: Option<Reason>,
}

impl Tally {
    pub(crate) fn new(subject: &Subject, now: i64) -> Self {
        let proof = TableProof {
            site: subject.site.clone(),
            source_table: subject.path.source_table().into(),
            target_table: subject.path.target().name.clone(),
            verdict: Verdict::Unproven(Reason::Empty),
            rows: 0,
            source_rows: 0,
            target_rows: 0,
            chunks: 0,
            leaves: 0,
            unequal_leaves: 0,
            touched: 0,
            unconfirmed: 0,
            parked: 0,
            expected: Digest::default(),
            found: Digest::default(),
            differences: Vec::new(),
            omitted: 0,
            systematic: Vec::new(),
            lag: (subject.writer != Writer::Flow).then(Lag::default),
            source_cuts: None,
            target_cuts: None,
            started_at: now,
            ended_at: now,
            longest_cut_us: 0,
        };
        Tally {
            proof,
            both: 0,
            refused: 0,
            unclear: 0,
            wrong_columns: BTreeMap::new(),
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
        proof.target_cuts = Some(match proof.target_cuts {
            None => (sight.known_at, sight.known_at),
            Some((low, high)) => (low.min(sight.known_at), high.max(sight.known_at)),
        });
        proof.longest_cut_us = proof.longest_cut_us.max(sight.held_us);
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
        if let (Some(expected), Some(found)) = (&finding.expected, &finding.found) {
            for column in changed(expected, found, path) {
                *self.wrong_columns.entry(column).or_default() += 1;
            }
        }
    }

    /// A row that is wrong and not listed.
    pub(crate) fn omit(&mut self) {
        self.proof.omitted += 1;
    }

    /// Lists a difference.
    pub(crate) fn name(&mut self, difference: Difference) {
        self.proof.differences.push(difference);
    }

    /// Makes the verdict.
    pub(crate) fn finish(mut self, settings: &Settings, now: i64) -> TableProof {
        self.proof.ended_at = now;
        self.gather_systematic();
        self.proof.verdict = self.verdict(settings);
        self.proof
    }

    fn verdict(&self, settings: &Settings) -> Verdict {
        let proof = &self.proof;
        let wrong = proof.wrong();
        if wrong > 0 {
            return Verdict::Different { rows: wrong, parked: proof.parked };
        }
        if let Some(reason) = &self.unproven {
            return Verdict::Unproven(reason.clone());
        }
        if self.refused > 0 {
            return Verdict::Unproven(Reason::TransformFails { rows: self.refused });
        }
        if self.unclear > 0 {
            return Verdict::Unproven(Reason::ImagesIncomplete { keys: self.unclear });
        }
        if proof.parked > 0 {
            return Verdict::Different { rows: 0, parked: proof.parked };
        }
        if proof.rows == 0 && settings.empty == Empty::Unproven {
            return Verdict::Unproven(Reason::Empty);
        }
        Verdict::Equal
    }

    /// A column that is wrong in most rows is one mistake: it is named once, and a few rows stand for all.
    fn gather_systematic(&mut self) {
        let of = self.both;
        let systematic = self
            .wrong_columns
            .iter()
            .filter(|(_, rows)| **rows >= SYSTEMATIC_ROWS && **rows > of / 2)
            .map(|(column, rows)| Systematic { column: column.clone(), rows: *rows, of });
        self.proof.systematic = systematic.collect();
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
