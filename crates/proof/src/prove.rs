//! The proof of one table: piece after piece, first look, second look, then names for what is left.
//!
//! Never EQUAL without full coverage: the pieces join without gaps from before the first key to beyond the last,
//! and anything that could not be seen makes the table UNPROVEN. A difference that was confirmed outweighs that.
//!
//! Where somebody else does the reading, the source's next piece is read while this one is compared with the target.
//! Second looks wait for each other, up to a bound: many keys are read again at one pair of cuts.

use crate::Prover;
use crate::attribute::attribute;
use crate::compare::{Comparison, Finding, compare};
use crate::correction::Known;
use crate::foreign::{Explanation, explain};
use crate::history::{Histories, Traces};
use crate::kept::Kept;
use crate::look::{Look, Looker, Settled, Sight, Wanted};
use crate::narrow::{Neighbours, joined};
use crate::outcome::TableProof;
use crate::pace::Pace;
use crate::rows::Keep;
use crate::source_side::SourceSide;
use crate::subject::{Subject, Writer};
use crate::surroundings::Surroundings;
use crate::tally::Tally;
use crate::verdict::{Reason, Side};
use change::{Key, Offset};
use connect::{KeyRange, Kind, Result};
use std::collections::{BTreeMap, HashSet};

/// Ranges of one second look at a foreign target.
const RANGES_PER_LOOK: usize = 500;

/// Keys of one second look: their rows are held together.
const DOUBTS_PER_LOOK: usize = 50_000;

/// Pieces after which doubts are looked at again, however few they are.
const PIECES_PER_LOOK: u64 = 32;

impl Prover<'_> {
    /// Proves a table. What cannot be seen makes it UNPROVEN; only what is broken is an error.
    ///
    /// # Errors
    /// `Invalid` when a table is not as declared, `Corrupt` when the log cannot be read.
    pub fn prove(&self, subject: &Subject, around: &mut dyn Surroundings) -> Result<TableProof> {
        Proving::new(self, subject, around).scan()
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
        let mut seed = Vec::new();
        let mut proving = Proving::new(self, subject, around);
        proving.seed = Some(&mut seed);
        let proof = proving.scan()?;
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
    /// What first looks brought up and a second look shall confirm, in the order of keys.
    doubts: Vec<Doubt>,
    pace: Pace,
    /// What was read of the target, piece by piece, as leaves of a ledger, where one is wanted. Of use where everything
    /// is equal.
    seed: Option<&'a mut Vec<Known>>,
}

/// A key that is to be looked at again.
struct Doubt {
    /// Its canonical bytes; none where the log's image of it is incomplete, and nothing was found.
    found: Option<Vec<u8>>,
    /// Its narrow range, as the target spells it.
    range: KeyRange,
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
            doubts: Vec::new(),
            pace: Pace::upto(prover.settings.chunk_rows),
            seed: None,
            looker: Looker { prover, subject, around, seen: Offset::START },
        }
    }

    /// Proves the table from its first key to beyond its last, source against target.
    fn scan(mut self) -> Result<TableProof> {
        let (path, subject) = (&self.looker.subject.path, self.looker.subject);
        let outcome = match (path.carries_key(), subject.only_keys()) {
            (true, false) => self.pieces(),
            (true, true) => Ok(Err(Reason::OnlyKeys)),
            (false, _) => Ok(Err(Reason::KeyNotCarried)),
        };
        self.end(outcome)
    }

    /// Looks again at what is doubted, names what was confirmed, and makes the verdict.
    pub(crate) fn end(mut self, outcome: Step) -> Result<TableProof> {
        let seen_whole = self.note(outcome)?;
        // What was doubted before something could not be seen is looked at again all the same.
        let confirmed = self.confirm();
        if self.note(confirmed)? && seen_whole {
            let concluded = self.conclude();
            self.note(concluded)?;
        }
        self.name()?;
        let Prover { settings, clock, .. } = self.looker.prover;
        Ok(self.tally.finish(settings, clock.now()))
    }

    /// Takes in how a step ended; says whether it is done.
    fn note(&mut self, outcome: Step) -> Result<bool> {
        let reason = match outcome {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(reason)) => reason,
            Err(e) if e.kind == Kind::Unavailable => Reason::Unavailable(e.to_string()),
            Err(e) => return Err(e),
        };
        self.tally.unproven(reason);
        Ok(false)
    }

    /// Looks at the whole key space, piece by piece.
    fn pieces(&mut self) -> Step {
        match self.looker.subject.writer {
            Writer::Flow => self.pieces_of_flow(),
            Writer::Other { .. } => self.pieces_of_other(),
        }
    }

    fn pieces_of_other(&mut self) -> Step {
        let mut after: Option<Key> = None;
        loop {
            let wanted = Wanted::Next(after.as_ref(), self.pace.rows());
            let sight = proven!(self.looker.look(&wanted, Keep::Keys));
            self.pace.held(sight.held_us);
            let comparison = self.compare(&sight);
            self.tally.piece(&sight, &comparison);
            self.postpone(&sight, comparison);
            self.looker.around.compared(self.tally.rows());
            match sight.end {
                Some(end) => after = Some(end),
                None => return Ok(Ok(())),
            }
        }
    }

    fn pieces_of_flow(&mut self) -> Step {
        let mut after: Option<Key> = None;
        let mut ahead: Option<SourceSide> = None;
        for piece in 1_u64.. {
            let side = match ahead.take() {
                Some(side) => side,
                None => {
                    let wanted = Wanted::Next(after.as_ref(), self.pace.rows());
                    proven!(self.looker.source(&wanted, Keep::Keys))
                }
            };
            self.pace.held(side.held_us);
            let settled = proven!(self.looker.settle(side));
            let expected = settled.end.clone();
            let (end, read) = proven!(self.piece_and_ahead(settled, after.as_ref()));
            if piece.is_multiple_of(PIECES_PER_LOOK) || self.doubts.len() >= DOUBTS_PER_LOOK {
                proven!(self.confirm());
            }
            if end.is_none() {
                return Ok(Ok(()));
            }
            // A piece that was void and is looked at again may end somewhere else.
            ahead = if end == expected { read } else { None };
            after = end;
        }
        unreachable!("the pieces of a table end")
    }

    /// Compares a piece with the target, and reads the source's next one meanwhile where that is somebody else's work.
    fn piece_and_ahead(
        &mut self,
        settled: Settled,
        after: Option<&Key>,
    ) -> Step<(Option<Key>, Option<SourceSide>)> {
        let Some(next) = settled.end.clone().filter(|_| settled.reads_apart) else {
            let end = proven!(self.piece(settled, after));
            return Ok(Ok((end, None)));
        };
        let opened = proven!(self.looker.open());
        let (prover, path) = (self.looker.prover, &self.looker.subject.path);
        let wanted = Wanted::Next(Some(&next), self.pace.rows());
        let (end, read) = std::thread::scope(|scope| {
            let reading = scope.spawn(|| opened.read(prover, path, &wanted, Keep::Keys));
            let end = self.piece(settled, after);
            let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (end, read)
        });
        let end = proven!(end);
        Ok(Ok((end, Some(proven!(read)))))
    }

    /// Compares a piece behind `after` with the target; gives the source key at which it ends.
    fn piece(&mut self, settled: Settled, after: Option<&Key>) -> Step<Option<Key>> {
        let wanted = Wanted::Next(after, self.pace.rows());
        let look: Look = self.looker.beside_target(settled, &wanted, Keep::Keys)?;
        let sight = proven!(self.looker.until_seen(look, &wanted, Keep::Keys));
        let comparison = self.compare(&sight);
        self.tally.piece(&sight, &comparison);
        let clear = comparison.findings.is_empty() && comparison.unclear.is_empty();
        if let Some(seed) = self.seed.as_mut().filter(|_| clear) {
            seed.push(Known::rows(sight.ranges[0].clone(), sight.known_at, &sight.target));
        }
        self.doubt(&sight, comparison);
        self.looker.around.compared(self.tally.rows());
        Ok(Ok(sight.end))
    }

    pub(crate) fn compare(&self, sight: &Sight) -> Comparison {
        compare(sight, self.looker.prover.key, &self.looker.prover.settings)
    }

    /// Keeps what a piece brought up until it is looked at again.
    pub(crate) fn doubt(&mut self, sight: &Sight, first: Comparison) {
        let found = first.findings.into_iter().map(|finding| (finding.key, Some(finding.bytes)));
        let mut found: Vec<(Key, Option<Vec<u8>>)> = found.collect();
        found.extend(first.unclear.into_iter().map(|key| (key, None)));
        if found.is_empty() {
            return;
        }
        found.sort_by(|(a, _), (b, _)| connect::key_order::compare(a, b));
        let keys: Vec<&Key> = found.iter().map(|(key, _)| key).collect();
        let schema = &self.looker.subject.path.target().schema;
        let neighbours = Neighbours::of(sight, schema, &keys);
        let doubts = found
            .iter()
            .map(|(key, found)| Doubt { found: found.clone(), range: neighbours.range(key) });
        self.doubts.extend(doubts);
    }

    /// Looks again at what first looks brought up, at fresh cuts.
    fn confirm(&mut self) -> Step {
        let doubts = std::mem::take(&mut self.doubts);
        for lot in doubts.chunks(DOUBTS_PER_LOOK) {
            proven!(self.confirm_lot(lot));
        }
        Ok(Ok(()))
    }

    fn confirm_lot(&mut self, lot: &[Doubt]) -> Step {
        let ranges = self.source_ranges(&joined(lot.iter().map(|doubt| &doubt.range)));
        let again = proven!(self.looker.look(&Wanted::Ranges(&ranges), Keep::Rows));
        self.tally.cuts(&again);
        let second = self.compare(&again);
        self.tally.unclear(second.unclear.len() as u64);
        let suspects: HashSet<&[u8]> = lot.iter().filter_map(|d| d.found.as_deref()).collect();
        let confirmed: Vec<Finding> =
            second.findings.into_iter().filter(|f| suspects.contains(&*f.bytes)).collect();
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
        let keys: Vec<&Key> = comparison.findings.iter().map(|finding| &finding.key).collect();
        let schema = &self.looker.subject.path.target().schema;
        let neighbours = Neighbours::of(sight, schema, &keys);
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
