//! The proof of one table: piece after piece, first look, second look, then names for what is left.
//!
//! Never EQUAL without full coverage: the pieces join without gaps from before the first key to beyond the last,
//! and anything that could not be seen makes the table UNPROVEN. A difference that was confirmed outweighs that.

use crate::Prover;
use crate::attribute::attribute;
use crate::compare::{Comparison, Finding, compare};
use crate::correction::Known;
use crate::foreign::{Explanation, explain};
use crate::history::{Histories, Traces};
use crate::kept::Kept;
use crate::look::{Looker, Sight, Wanted};
use crate::narrow::Neighbours;
use crate::outcome::TableProof;
use crate::rows::Keep;
use crate::subject::{Subject, Writer};
use crate::surroundings::Surroundings;
use crate::tally::Tally;
use crate::verdict::{Reason, Side};
use change::{Key, Offset};
use connect::{KeyRange, Kind, Result};
use std::collections::{BTreeMap, HashSet};

/// Ranges of one second look at a foreign target.
const RANGES_PER_LOOK: usize = 500;

impl Prover<'_> {
    /// Proves a table. What cannot be seen makes it UNPROVEN; only what is broken is an error.
    ///
    /// # Errors
    /// `Invalid` when a table is not as declared, `Corrupt` when the log cannot be read.
    pub fn prove(&self, subject: &Subject, around: &mut dyn Surroundings) -> Result<TableProof> {
        Ok(self.prove_and_seed(subject, around)?.0)
    }

    /// Proves a table as [`Prover::prove`] does. Where it is EQUAL at first sight, what was read can seed a ledger
    /// ([`crate::Ledger::seeded`]); otherwise that is empty.
    ///
    /// # Errors
    /// As [`Prover::prove`].
    pub fn prove_and_seed(
        &self,
        subject: &Subject,
        around: &mut dyn Surroundings,
    ) -> Result<(TableProof, Vec<Known>)> {
        let mut proving = Proving::new(self, subject, around);
        let outcome = match (subject.path.carries_key(), subject.only_keys()) {
            (true, false) => proving.pieces(),
            (true, true) => Ok(Err(Reason::OnlyKeys)),
            (false, _) => Ok(Err(Reason::KeyNotCarried)),
        };
        let outcome = match outcome {
            Ok(Ok(())) => proving.conclude(),
            other => other,
        };
        let seed = std::mem::take(&mut proving.seed);
        let proof = proving.end(outcome)?;
        let seed = if proof.verdict.is_equal() { seed } else { Vec::new() };
        Ok((proof, seed))
    }
}

/// A proof under way.
pub(crate) struct Proving<'a> {
    pub(crate) looker: Looker<'a>,
    pub(crate) tally: Tally,
    /// Findings that two pairs of cuts show.
    confirmed: Kept,
    /// Findings at a foreign target that wait for their key's history, each with its narrow range.
    unexplained: Vec<(Finding, KeyRange)>,
    /// What was read of the target, piece by piece, as leaves of a ledger. Of use where everything is equal.
    seed: Vec<Known>,
}

/// Outcome of a step: done, or why the table cannot be proved.
pub(crate) type Step<T = ()> = Result<Result<T, Reason>>;

/// The value of a step; where it cannot be proved, the step around it ends with the reason.
macro_rules! proven {
    ($step:expr) => {
        match $step? {
            Ok(value) => value,
            Err(reason) => return Ok(Err(reason)),
        }
    };
}
pub(crate) use proven;

impl<'a> Proving<'a> {
    /// A proof that has seen nothing yet.
    pub(crate) fn new(
        prover: &'a Prover<'a>,
        subject: &'a Subject,
        around: &'a mut dyn Surroundings,
    ) -> Self {
        Proving {
            tally: Tally::new(subject, prover.clock.now()),
            confirmed: Kept::new(prover.settings.listed),
            unexplained: Vec::new(),
            seed: Vec::new(),
            looker: Looker { prover, subject, around },
        }
    }

    /// Names what was confirmed, and makes the verdict.
    pub(crate) fn end(mut self, outcome: Step) -> Result<TableProof> {
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.tally.unproven(reason),
            Err(e) if e.kind == Kind::Unavailable => {
                self.tally.unproven(Reason::Unavailable(e.to_string()));
            }
            Err(e) => return Err(e),
        }
        self.name()?;
        let Prover { settings, clock, .. } = self.looker.prover;
        Ok(self.tally.finish(settings, clock.now()))
    }

    /// Looks at the whole key space, piece by piece.
    fn pieces(&mut self) -> Step {
        let mut after: Option<Key> = None;
        loop {
            let sight = proven!(self.looker.look(&Wanted::Next(after.as_ref()), Keep::Keys));
            let comparison = self.compare(&sight);
            self.tally.piece(&sight, &comparison);
            if self.looker.subject.writer == Writer::Flow && comparison.findings.is_empty() {
                let range = sight.ranges[0].clone();
                self.seed.push(Known::rows(range, sight.known_at, &sight.target));
            }
            match self.looker.subject.writer {
                Writer::Flow => proven!(self.confirm(&sight, comparison)),
                Writer::Other { .. } => self.postpone(&sight, comparison),
            }
            self.looker.around.compared(self.tally.rows());
            match sight.end {
                Some(end) => after = Some(end),
                None => return Ok(Ok(())),
            }
        }
    }

    pub(crate) fn compare(&self, sight: &Sight) -> Comparison {
        compare(sight, self.looker.prover.key, &self.looker.prover.settings)
    }

    /// Looks again at what a piece brought up, at fresh cuts.
    pub(crate) fn confirm(&mut self, sight: &Sight, first: Comparison) -> Step {
        let keys: Vec<Key> =
            first.findings.iter().map(|f| f.key.clone()).chain(first.unclear).collect();
        if keys.is_empty() {
            return Ok(Ok(()));
        }
        let ranges = self.source_ranges(
            &Neighbours::of(sight, &self.looker.subject.path.target().schema).ranges(keys),
        );
        let again = proven!(self.looker.look(&Wanted::Ranges(&ranges), Keep::Rows));
        self.tally.cuts(&again);
        let second = self.compare(&again);
        self.tally.unclear(second.unclear.len() as u64);
        let suspects: HashSet<Vec<u8>> = first.findings.iter().map(|f| f.bytes.clone()).collect();
        let confirmed: Vec<Finding> =
            second.findings.into_iter().filter(|f| suspects.contains(&f.bytes)).collect();
        self.tally.unconfirmed((suspects.len() - confirmed.len()) as u64);
        self.keep(confirmed);
        Ok(Ok(()))
    }

    /// Counts confirmed findings; as many as are listed are kept.
    pub(crate) fn keep(&mut self, findings: Vec<Finding>) {
        let path = &self.looker.subject.path;
        for finding in findings {
            self.tally.wrong(&finding, path);
            let left_out = self.confirmed.add(finding, path);
            self.tally.omit(left_out);
        }
    }

    pub(crate) fn source_ranges(&self, ranges: &[KeyRange]) -> Vec<KeyRange> {
        let path = &self.looker.subject.path;
        let bound = |key: &Option<Key>| key.as_ref().map(|key| path.source_key(key));
        let ranges = ranges.iter();
        ranges.map(|r| KeyRange { after: bound(&r.after), upto: bound(&r.upto) }).collect()
    }

    /// Keeps findings at a foreign target until the history of all of them is read at once.
    fn postpone(&mut self, sight: &Sight, comparison: Comparison) {
        if comparison.findings.is_empty() {
            return;
        }
        let neighbours = Neighbours::of(sight, &self.looker.subject.path.target().schema);
        for finding in comparison.findings {
            let range = neighbours.range(&finding.key);
            self.unexplained.push((finding, range));
        }
    }

    /// Explains what a foreign target shows, and looks again at what has no explanation.
    fn conclude(&mut self) -> Step {
        let Writer::Other { max_lag_us } = self.looker.subject.writer else { return Ok(Ok(())) };
        let postponed = std::mem::take(&mut self.unexplained);
        let findings: Vec<&Finding> = postponed.iter().map(|(finding, _)| finding).collect();
        let histories = self.histories(&findings, Traces::Left)?;
        let mut suspects = Vec::new();
        for (finding, range) in postponed {
            match explain(&finding, &histories, max_lag_us) {
                Explanation::Behind(lag_us) => self.tally.behind(lag_us),
                Explanation::Wrong => suspects.push((finding, range)),
                Explanation::TooShort => self.tally.unproven(Reason::LogTrimmed),
            }
        }
        for lot in suspects.chunks(RANGES_PER_LOOK) {
            proven!(self.confirm_foreign(lot, max_lag_us));
        }
        Ok(Ok(()))
    }

    fn confirm_foreign(&mut self, lot: &[(Finding, KeyRange)], max_lag_us: i64) -> Step {
        let mut ranges: Vec<KeyRange> = lot.iter().map(|(_, range)| range.clone()).collect();
        // Keys that cannot bound a range share that of their neighbour.
        ranges.dedup();
        let ranges = self.source_ranges(&ranges);
        let again = proven!(self.looker.look(&Wanted::Ranges(&ranges), Keep::Rows));
        self.tally.cuts(&again);
        let second = self.compare(&again).findings;
        let suspects: HashSet<&[u8]> = lot.iter().map(|(f, _)| f.bytes.as_slice()).collect();
        let second: Vec<Finding> =
            second.into_iter().filter(|f| suspects.contains(f.bytes.as_slice())).collect();
        let histories = self.histories(&second.iter().collect::<Vec<_>>(), Traces::Left)?;
        let mut confirmed = Vec::new();
        for finding in second {
            match explain(&finding, &histories, max_lag_us) {
                Explanation::Behind(lag_us) => self.tally.behind(lag_us),
                Explanation::Wrong => confirmed.push(finding),
                Explanation::TooShort => self.tally.unproven(Reason::LogTrimmed),
            }
        }
        self.tally.unconfirmed((lot.len() - confirmed.len()) as u64);
        self.keep(confirmed);
        Ok(Ok(()))
    }

    fn histories(&self, findings: &[&Finding], traces: Traces) -> Result<Histories> {
        let keys: BTreeMap<Vec<u8>, Key> =
            findings.iter().map(|f| (f.bytes.clone(), f.key.clone())).collect();
        let upto = findings.iter().map(|f| f.known_at).max().unwrap_or(Offset::START);
        let Looker { prover, subject, .. } = &self.looker;
        Histories::read(subject, prover.log, prover.key, &keys, upto, traces)
    }

    /// Names every confirmed finding, in one pass over the lane.
    fn name(&mut self) -> Result<()> {
        let confirmed = std::mem::replace(&mut self.confirmed, Kept::new(0)).into_list();
        if confirmed.is_empty() {
            return Ok(());
        }
        let histories = self.histories(&confirmed.iter().collect::<Vec<_>>(), Traces::Kept)?;
        let subject = self.looker.subject;
        for finding in confirmed {
            let mut difference = attribute(finding, &histories, &subject.path);
            if subject.writer != Writer::Flow && difference.side == Side::Apply {
                difference.side = Side::Foreign;
            }
            self.tally.name(difference);
        }
        Ok(())
    }
}
