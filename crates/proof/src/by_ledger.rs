//! The proof of one table by its ledger: reads the target alone, and costs the source nothing as long as all is well.
//!
//! Each leaf of the ledger, folded to exactly the target's progress, must have the digest of the target's rows in its
//! range, read in the same cut as that progress. A leaf that differs is a candidate and no alarm: at a fresh cut each
//! of its keys is compared with its own slice of the log. Where the log does not reach back far enough, that leaf alone
//! is read from the source, and proved as a scan does it. Nothing is waited out.

use crate::Prover;
use crate::compare::{Finding, Shown};
use crate::correction::{Correction, Known};
use crate::images::{OldRows, Reader, State};
use crate::ledger::{Ledger, Reach};
use crate::outcome::{TableProof, Tier};
use crate::prove::{Proving, Step, proven};
use crate::rows::{Entry, Keep, Rows};
use crate::slices::Slices;
use crate::subject::{Subject, Writer};
use crate::surroundings::{Reached, Surroundings};
use crate::verdict::Reason;
use crate::walk::Stretch;
use change::{Digest, Key, Offset};
use connect::{KeyRange, Result};
use std::collections::{BTreeSet, HashMap};

/// Leaves that are looked at row by row at one cut.
const SUSPECTS_PER_LOOK: usize = 64;

/// Leaves that are looked at row by row in all: each look reads the log once. Beyond, a scan is cheaper.
const SUSPECTS_MOST: usize = 1024;

impl Prover<'_> {
    /// Proves a table by its ledger. Gives the proof, and what was found out of leaves that the ledger does not know.
    /// The ledger may stand before or behind the target's progress.
    ///
    /// # Errors
    /// `Invalid` when the target's table is not as declared, `Corrupt` when the log cannot be read.
    pub fn prove_by_ledger(
        &self,
        subject: &Subject,
        ledger: &Ledger,
        around: &mut dyn Surroundings,
    ) -> Result<(TableProof, Correction)> {
        let mut proving = Proving::new(self, subject, around);
        proving.tally.tier(Tier::Ledger);
        let correction = Correction { epoch: ledger.epoch, ranges: Vec::new() };
        let mut check = Check { proving, book: ledger.clone(), suspects: Vec::new(), correction };
        let outcome = match (subject.writer, subject.path.carries_key(), subject.only_keys()) {
            (Writer::Other { .. }, ..) => Ok(Err(Reason::NoLedger(FOREIGN.into()))),
            (_, false, _) => Ok(Err(Reason::KeyNotCarried)),
            (_, _, true) => Ok(Err(Reason::OnlyKeys)),
            _ => check.leaves(),
        };
        let outcome = match outcome {
            Ok(Ok(())) => check.suspects(),
            other => other,
        };
        let Check { proving, correction, .. } = check;
        Ok((proving.end(outcome)?, correction))
    }
}

/// Why a table that somebody else writes has no ledger.
const FOREIGN: &str = "somebody else writes the table, and keeps no progress beside its rows";

/// A check under way.
struct Check<'a> {
    proving: Proving<'a>,
    /// The ledger, folded to the cut that is looked at.
    book: Ledger,
    /// Ranges of leaves that are not what the ledger says, or of which it says nothing.
    suspects: Vec<KeyRange>,
    correction: Correction,
}

/// What the target holds in some ranges, at one place of the lane.
struct Held {
    rows: Rows,
    at: Offset,
    parked: BTreeSet<Vec<u8>>,
}

impl Check<'_> {
    /// Compares leaf by leaf, a run of leaves at each cut.
    fn leaves(&mut self) -> Step {
        // It may lag, even behind a new snapshot: the target's place is what counts.
        let looker = &mut self.proving.looker;
        if let Reached::Never(why) = looker.around.applied(self.book.base)? {
            return Ok(Err(Reason::TargetBehind(why)));
        }
        let mut cut = looker.around.target_cut()?;
        let at = proven!(looker.progress(cut.as_mut(), self.book.base));
        cut.let_go();
        drop(cut);
        proven!(self.fold_to(at));
        proven!(self.whole());
        let epoch = self.book.epoch;
        let mut after: Option<Key> = None;
        let mut parked = 0;
        loop {
            let first = self.begin_of(after.as_ref());
            let last = self.run(first);
            let upto = self.book.leaves.list()[last].upto.clone();
            let range = KeyRange { after: after.take(), upto: upto.clone() };
            let held = proven!(self.read(std::slice::from_ref(&range), Keep::Keys));
            proven!(self.whole());
            if self.book.epoch != epoch {
                // Its leaves end with other keys.
                return Ok(Err(voided("a new snapshot")));
            }
            // The ledger was folded on: leaves may have been added behind the last one, never between.
            let first = self.begin_of(range.after.as_ref());
            parked = parked.max(held.parked.len() as u64);
            self.compare(first, &range, &held);
            self.proving.looker.around.compared(self.proving.tally.rows());
            match upto {
                Some(upto) => after = Some(upto),
                None => break,
            }
        }
        self.proving.tally.parked(parked);
        Ok(Ok(()))
    }

    /// Whether the ledger knows every key.
    fn whole(&self) -> Step {
        Ok(match self.book.reach() {
            Reach::Whole => Ok(()),
            Reach::Upto(_) => {
                Err(Reason::NoLedger("the snapshot it begins with is not folded".into()))
            }
            Reach::Nothing(why) => Err(Reason::NoLedger(why)),
        })
    }

    /// The leaf behind a boundary of this epoch's leaves.
    fn begin_of(&self, after: Option<&Key>) -> usize {
        self.book.leaves.behind(after).expect("leaves of one epoch are never joined")
    }

    /// The last leaf of a run that is read at one cut.
    fn run(&self, first: usize) -> usize {
        let most = self.proving.looker.prover.settings.chunk_rows as u64;
        let leaves = self.book.leaves.list();
        let (mut last, mut rows) = (first, leaves[first].digest.count);
        while let Some(next) = leaves.get(last + 1) {
            rows = rows.saturating_add(next.digest.count);
            if rows > most {
                break;
            }
            last += 1;
        }
        last
    }

    /// Reads the target in ranges, and folds the ledger to the progress that the same cut shows.
    fn read(&mut self, ranges: &[KeyRange], keep: Keep) -> Step<Held> {
        let looker = &mut self.proving.looker;
        if let Reached::Never(why) = looker.around.applied(self.book.base)? {
            return Ok(Err(Reason::TargetBehind(why)));
        }
        let mut cut = looker.around.target_cut()?;
        let at = proven!(looker.progress(cut.as_mut(), self.book.base));
        let (rows, read) = proven!(looker.read_target(cut.as_mut(), ranges, keep));
        cut.let_go();
        drop(cut);
        let parked = looker.around.parked()?;
        proven!(self.fold_to(at));
        self.proving.tally.target_cut(at, read, rows.bytes);
        Ok(Ok(Held { rows, at, parked }))
    }

    /// Folds the ledger to a place, forward or back.
    fn fold_to(&mut self, at: Offset) -> Step {
        let (prover, subject) = (self.proving.looker.prover, self.proving.looker.subject);
        let way = (&subject.path, prover.key);
        Ok(match self.book.go_to(prover.log, subject.lane, at, way)? {
            Stretch::Whole => Ok(()),
            Stretch::Trimmed => Err(Reason::LogTrimmed),
        })
    }

    /// Compares the leaves of a range with the target's rows.
    fn compare(&mut self, first: usize, range: &KeyRange, held: &Held) {
        let end = match &range.upto {
            Some(upto) => self.begin_of(Some(upto)),
            None => self.book.leaves.list().len(),
        };
        let mut found = vec![Digest::default(); end - first];
        for row in 0..held.rows.len() {
            let place = self.book.leaves.find(&held.rows.key_at(row)).expect("it is in the range");
            found[place - first] += held.rows.digest(row);
        }
        for (place, found) in (first..end).zip(found) {
            let leaf = &self.book.leaves.list()[place];
            let equal = !leaf.dirty && leaf.digest == found;
            let expected = if leaf.dirty { found } else { leaf.digest };
            self.proving.tally.leaf(expected, found, equal);
            if !equal {
                self.suspects.push(self.book.leaves.range(place));
            }
        }
    }

    /// Looks at suspects row by row.
    fn suspects(&mut self) -> Step {
        let suspects = std::mem::take(&mut self.suspects);
        let (these, left) = suspects.split_at(suspects.len().min(SUSPECTS_MOST));
        for lot in these.chunks(SUSPECTS_PER_LOOK) {
            proven!(self.suspected(lot));
        }
        Ok(match left.len() as u64 {
            0 => Ok(()),
            leaves => Err(Reason::LeavesLeft { leaves }),
        })
    }

    /// Compares each key of some leaves with its own slice of the log.
    fn suspected(&mut self, ranges: &[KeyRange]) -> Step {
        let held = proven!(self.read(ranges, Keep::Rows));
        proven!(self.whole());
        let (prover, subject) = (self.proving.looker.prover, self.proving.looker.subject);
        let (keep, old_rows) = (Keep::Rows, OldRows::Ignored);
        let reader = Reader { path: &subject.path, key: prover.key, keep, old_rows };
        let slices = Slices::read(prover.log, subject.lane, &reader, ranges, held.at)?;
        let entries = held.rows.whole_table();
        let mut of_source = Vec::new();
        for (place, range) in ranges.iter().enumerate() {
            let leaf = Suspect { range, place, held: &held, entries: &entries, slices: &slices };
            let by_ledger = self.book.leaves.behind(range.after.as_ref()).and_then(|place| {
                let leaf = self.book.leaves.list().get(place)?;
                (!leaf.dirty && leaf.upto == range.upto).then_some(leaf.digest)
            });
            match leaf.judge(by_ledger, prover.clock.now()) {
                Judged::ByLog { findings, digest } => {
                    self.proving.tally.unconfirmed(u64::from(findings.is_empty()));
                    self.proving.keep(findings);
                    if by_ledger != Some(digest) {
                        self.correction.ranges.push(Known::leaf(range.clone(), held.at, digest));
                    }
                }
                Judged::Rest { findings } => {
                    self.proving.tally.unconfirmed(u64::from(findings.is_empty()));
                    self.proving.keep(findings);
                }
                Judged::NotByLog => of_source.push(range.clone()),
            }
        }
        for range in of_source {
            proven!(self.by_source(&range));
        }
        Ok(Ok(()))
    }

    /// Proves one leaf as a scan does, since the log does not reach back to all of its rows.
    fn by_source(&mut self, range: &KeyRange) -> Step {
        let ranges = self.proving.source_ranges(std::slice::from_ref(range));
        let wanted = crate::look::Wanted::Ranges(&ranges);
        let sight = proven!(self.proving.looker.look(&wanted, Keep::Rows));
        let comparison = self.proving.compare(&sight);
        self.proving.tally.source_read(&sight);
        if comparison.findings.is_empty()
            && comparison.unclear.is_empty()
            && comparison.refused == 0
            && comparison.parked == 0
        {
            // Source and target agree, so the rows that are there are what the ledger lacks.
            let digest = sight.target.sum();
            self.correction.ranges.push(Known::leaf(range.clone(), sight.known_at, digest));
        }
        self.proving.doubt(&sight, comparison);
        Ok(Ok(()))
    }
}

fn voided(by: &str) -> Reason {
    Reason::Voided { attempts: 1, by: by.into() }
}

/// A leaf that is looked at row by row.
struct Suspect<'a> {
    range: &'a KeyRange,
    place: usize,
    held: &'a Held,
    /// Its rows and those of the other suspects, by canonical key.
    entries: &'a HashMap<Vec<u8>, Entry>,
    slices: &'a Slices<'a>,
}

/// What the log says of a suspect.
enum Judged {
    /// The log knows every row of it; they have this digest.
    ByLog { findings: Vec<Finding>, digest: Digest },
    /// The log does not know every row; those that it does not know are together what the ledger says.
    Rest { findings: Vec<Finding> },
    /// Rows that the log does not know are wrong, or cannot be told from it.
    NotByLog,
}

impl Suspect<'_> {
    fn judge(&self, by_ledger: Option<Digest>, read_at: i64) -> Judged {
        let slices = self.slices.of(self.place);
        let mut known = Digest::default();
        for slice in slices.values() {
            match &slice.newest {
                State::Unclear => return Judged::NotByLog,
                State::Gone => {}
                State::Row { digest, .. } => known += *digest,
            }
        }
        if self.slices.is_whole(self.place) || by_ledger == Some(known) {
            return Judged::ByLog { findings: self.findings(true, read_at), digest: known };
        }
        let Some(by_ledger) = by_ledger else { return Judged::NotByLog };
        let rest = self.entries().filter(|(bytes, _)| !slices.contains_key(*bytes));
        let rest = rest.fold(Digest::default(), |sum, (_, entry)| sum + entry.digest);
        match by_ledger - known == rest {
            true => Judged::Rest { findings: self.findings(false, read_at) },
            false => Judged::NotByLog,
        }
    }

    /// The target's rows of the leaf.
    fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        let rows = &self.held.rows;
        self.entries.iter().filter(|(_, entry)| self.range.holds(&rows.key(entry)))
    }

    /// Keys whose row is not the log's newest; `all`: keys that the log does not name must not be there.
    fn findings(&self, all: bool, read_at: i64) -> Vec<Finding> {
        let (rows, slices) = (&self.held.rows, self.slices.of(self.place));
        let mut findings = Vec::new();
        let mut find = |bytes: &[u8], key: Key, expected: Option<Shown>, found: Option<&Entry>| {
            let digest = |shown: Option<&Shown>| shown.map(|shown| shown.digest);
            let found = found.map(|entry| Shown { digest: entry.digest, row: rows.row(entry) });
            if digest(expected.as_ref()) == digest(found.as_ref())
                || self.held.parked.contains(bytes)
            {
                return;
            }
            let (bytes, known_at) = (bytes.to_vec(), self.held.at);
            findings.push(Finding { bytes, key, expected, found, known_at, read_at });
        };
        for (bytes, slice) in slices {
            let expected = match &slice.newest {
                State::Row { digest, row } => Some(Shown { digest: *digest, row: row.clone() }),
                State::Gone | State::Unclear => None,
            };
            find(bytes, slice.key.clone(), expected, self.entries.get(bytes));
        }
        for (bytes, entry) in
            self.entries().filter(|(bytes, _)| all && !slices.contains_key(*bytes))
        {
            find(bytes, rows.key(entry), None, Some(entry));
        }
        findings.sort_by(|a, b| connect::key_order::compare(&a.key, &b.key));
        findings
    }
}
