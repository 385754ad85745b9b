//! Writing groups into one open target transaction: compacted, or change by change in source order.
//!
//! Counts the fate of every change, and asserts before each commit that each has exactly one. What is set aside is
//! durable in the state file before the target commits past it.

pub(crate) mod one;

use self::one::Outcome;
use crate::assembly::Assembly;
use crate::compact::{compact, keys_only};
use crate::effect::{At, BEHIND_A_LETTER, Effect, Effects, Item, Refused};
use crate::lane::{Lane, Parked};
use crate::path::TablePath;
use crate::read_again::{ReadAgain, read_again};
use crate::state::{FlowIdentity, LetterStatus, MovedFrom, NewLetter};
use arrow::array::RecordBatch;
use change::planted::{Defect, is_planted};
use change::{Group, GroupKind, LaneId, Offset, Value};
use connect::{
    Counters, Error, Fate, KeyRange, LaneProgress, LetterPlace, Result, TargetTransaction,
};
use flow::Flow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// How changes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The net effect by key, sorted.
    Compacted,
    /// One by one in source order; a refused row ends the attempt.
    InOrder,
    /// One by one in source order; a refused row is set aside.
    InOrderParking,
}

/// What a transaction has done to one lane so far.
struct Tally {
    progress: LaneProgress,
    parked: Parked,
}

/// Effects of consecutive groups, by source table and schema version.
type ByPath<'l> = Vec<(&'l TablePath, Effects)>;

/// One open target transaction.
pub(crate) struct Writer<'t> {
    assembly: &'t Assembly,
    flow: &'t Flow,
    identity: &'t FlowIdentity,
    txn: Box<dyn TargetTransaction + 't>,
    manner: Manner,
    tallies: BTreeMap<LaneId, Tally>,
    letters: Vec<NewLetter>,
    /// Where sources have emptied tables: letters that waited before these places are settled.
    emptied: Vec<(LaneId, String, (Offset, u32))>,
    /// Ranges that snapshots have read again: letters that waited in them before are settled.
    read_again: Vec<ReadAgain>,
}

impl<'t> Writer<'t> {
    pub(crate) fn new(
        assembly: &'t Assembly,
        flow: &'t Flow,
        identity: &'t FlowIdentity,
        txn: Box<dyn TargetTransaction + 't>,
        manner: Manner,
    ) -> Self {
        Writer {
            assembly,
            flow,
            identity,
            txn,
            manner,
            tallies: BTreeMap::new(),
            letters: Vec::new(),
            emptied: Vec::new(),
            read_again: Vec::new(),
        }
    }

    /// Writes groups that follow the lane's progress; returns the number of changes.
    pub(crate) fn write(&mut self, lane: &Lane, groups: &[Arc<Group>]) -> Result<u64> {
        let mut changes = 0;
        let mut pending = ByPath::new();
        for group in groups {
            self.advance(lane, group);
            changes += group.body.changes() as u64;
            match &group.body.kind {
                GroupKind::Changes | GroupKind::Repair => {
                    self.collect(lane, group, &mut pending)?;
                }
                GroupKind::Snapshot(chunk) => {
                    self.flush(lane, &mut pending)?;
                    self.collect(lane, group, &mut pending)?;
                    if let Some((path, chunk)) = read_again(self.flow, lane, chunk, group.offset)? {
                        self.sweep(lane, path, &chunk.range, &pending)?;
                        self.supersede(chunk)?;
                    }
                    self.flush(lane, &mut pending)?;
                }
            }
        }
        self.flush(lane, &mut pending)?;
        Ok(changes)
    }

    /// Moves the lane's progress to a group; offsets are dense.
    fn advance(&mut self, lane: &Lane, group: &Group) {
        let tally = self.tallies.entry(lane.id).or_insert_with(|| Tally {
            progress: lane.progress.clone(),
            parked: lane.parked.clone(),
        });
        assert_eq!(group.offset, tally.progress.offset.next(), "offsets are dense");
        tally.progress.offset = group.offset;
        tally.progress.position = group.body.upto.clone();
        tally.progress.counters.read += group.body.changes() as u64;
    }

    fn counters(&mut self, lane: &Lane) -> &mut Counters {
        &mut self.tallies.get_mut(&lane.id).expect("the lane was advanced").progress.counters
    }

    /// Adds a group's effects to those pending; changes of tables the flow does not want are filtered.
    fn collect<'l>(
        &mut self,
        lane: &'l Lane,
        group: &Group,
        pending: &mut ByPath<'l>,
    ) -> Result<()> {
        for batch in &group.body.batches {
            let Some(path) = lane.path(batch.table(), batch.schema()) else {
                self.counters(lane).filtered += batch.len() as u64;
                continue;
            };
            let known = pending.iter().position(|(planned, _)| std::ptr::eq(*planned, path));
            let place = match known {
                Some(place) => place,
                None => {
                    // Another version of the same table begins: what is pending of it comes first.
                    if pending.iter().any(|(p, _)| p.source_table() == path.source_table()) {
                        self.flush(lane, pending)?;
                    }
                    pending.push((path, Effects::new(path)?));
                    pending.len() - 1
                }
            };
            pending[place].1.add(path, group.offset, batch)?;
        }
        Ok(())
    }

    /// Removes the rows of a chunk's range that the chunk does not hold.
    fn sweep(
        &mut self,
        lane: &Lane,
        path: &TablePath,
        range: &KeyRange,
        pending: &ByPath<'_>,
    ) -> Result<()> {
        let held: Vec<RecordBatch> = pending
            .iter()
            .flat_map(|(path, effects)| effects.blocks.iter().map(|b| keys_only(path, &b.rows)))
            .collect::<Result<_>>()?;
        let keys = path.target().schema.key_schema();
        let held = held.iter().map(|b| b.clone().with_schema(keys.images().clone()));
        let held: Vec<RecordBatch> = held
            .collect::<Result<_, _>>()
            .map_err(|e| Error::internal("keys have other columns").caused_by(e))?;
        let keep = arrow::compute::concat_batches(keys.images(), &held)
            .map_err(|e| Error::internal("keys have other columns").caused_by(e))?;
        if is_planted(Defect::KeepGhosts) {
            return Ok(());
        }
        let swept = self.txn.retain(path.target(), range, &keep)?;
        self.counters(lane).swept += swept;
        Ok(())
    }

    /// What waited in a chunk's range waits no more: the chunk holds the rows as they are, and a replay of what was
    /// before it would bring back rows that are gone.
    fn supersede(&mut self, chunk: ReadAgain) -> Result<()> {
        let (lane, name) = (chunk.lane, chunk.table.name.clone());
        let tally = self.tallies.get_mut(&lane).expect("the lane was advanced");
        if tally.parked.get(&name).is_none_or(HashSet::is_empty) {
            return Ok(());
        }
        self.read_again.push(chunk);
        let stored = self.assembly.state.letters(self.identity.id, Some(LetterStatus::Parked))?;
        let stored = stored.into_iter().map(|letter| letter.change);
        let waiting = stored
            .chain(self.letters.iter().cloned())
            .filter(|letter| letter.lane == lane && letter.table == name)
            .filter_map(|letter| {
                self.read_again.iter().try_fold(letter, |l, chunk| chunk.leaves(l))
            })
            .flat_map(|letter| letter.keys().cloned().collect::<Vec<_>>())
            .collect();
        tally.parked.insert(name, waiting);
        Ok(())
    }

    /// Writes what is pending.
    fn flush(&mut self, lane: &Lane, pending: &mut ByPath<'_>) -> Result<()> {
        let mut pending = std::mem::take(pending);
        for (path, effects) in &mut pending {
            let tally = self.tallies.get_mut(&lane.id).expect("the lane was advanced");
            let parked = tally.parked.entry(path.target().name.clone()).or_default();
            effects.set_aside(path, parked);
        }
        match self.manner {
            Manner::Compacted => self.write_net(lane, &pending),
            Manner::InOrder | Manner::InOrderParking => self.write_in_order(lane, &pending),
        }
    }

    fn write_net(&mut self, lane: &Lane, pending: &ByPath<'_>) -> Result<()> {
        for (path, effects) in pending {
            let net = compact(path, effects)?;
            if net.clear {
                self.txn.clear(path.target())?;
            }
            let written =
                net.work.iter().try_for_each(|work| self.txn.write(path.target(), work).map(drop));
            if written.is_err() && is_planted(Defect::NoUncompactedReplay) {
                self.park_all(lane, path, effects);
                continue;
            }
            written?;
            *self.counters(lane) += net.counters;
            let upto = effects.items.last().map_or(Offset::START, |item| item.offset);
            for (table, cells) in net.in_part {
                let overtaken = self.change(lane, path, upto, (&table, cells))?;
                let counters = self.counters(lane);
                counters.applied -= overtaken;
                counters.superseded += overtaken;
            }
            for item in &effects.items {
                match &item.effect {
                    Effect::Clear => self.note_emptied(lane, path, item),
                    Effect::Refused(refused) => self.park(lane, path, effects, item, refused),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The defect of appliers that take a refusal of the net effect for one of the rows.
    fn park_all(&mut self, lane: &Lane, path: &TablePath, effects: &Effects) {
        for item in &effects.items {
            match Refused::of(&item.effect, "refused") {
                Some(refused) => self.park(lane, path, effects, item, &refused),
                None => self.counters(lane).filtered += 1,
            }
        }
    }

    fn write_in_order(&mut self, lane: &Lane, pending: &ByPath<'_>) -> Result<()> {
        let mut order: Vec<(&TablePath, &Effects, &Item)> = pending
            .iter()
            .flat_map(|(path, effects)| {
                effects.items.iter().map(move |item| (*path, effects, item))
            })
            .collect();
        order.sort_by_key(|(_, _, item)| (item.offset, item.ordinal));
        let mut refused_now: HashSet<(String, Vec<u8>)> = HashSet::new();
        for (path, effects, item) in order {
            let (row, from) = match &item.effect {
                Effect::Filtered => {
                    self.counters(lane).filtered += 1;
                    continue;
                }
                Effect::Refused(refused) => {
                    self.park(lane, path, effects, item, refused);
                    continue;
                }
                Effect::Clear => {
                    self.txn.clear(path.target())?;
                    self.counters(lane).applied += 1;
                    refused_now.retain(|(table, _)| *table != path.target().name);
                    self.note_emptied(lane, path, item);
                    continue;
                }
                Effect::Write { row, moved_from, .. } => (*row, *moved_from),
                Effect::Remove { row } => (*row, None),
            };
            let key = |at| (path.target().name.clone(), effects.canonical_key(path, at));
            let behind = !refused_now.is_empty()
                && [Some(row), from].into_iter().flatten().any(|at| refused_now.contains(&key(at)));
            let outcome = match behind {
                true => Outcome::Refused(BEHIND_A_LETTER.into()),
                false => self.write_one(lane, path, effects, item)?,
            };
            match outcome {
                Outcome::Written => self.counters(lane).applied += 1,
                Outcome::Overtaken => self.counters(lane).superseded += 1,
                Outcome::Refused(reason) => {
                    refused_now.extend([Some(row), from].into_iter().flatten().map(key));
                    let refused = Refused::of(&item.effect, reason);
                    let refused = refused.expect("it writes or removes a row");
                    self.park(lane, path, effects, item, &refused);
                }
            }
        }
        Ok(())
    }

    fn note_emptied(&mut self, lane: &Lane, path: &TablePath, item: &Item) {
        let table = path.target().name.clone();
        let tally = self.tallies.get_mut(&lane.id).expect("the lane was advanced");
        tally.parked.remove(&table);
        self.emptied.push((lane.id, table, (item.offset, item.ordinal)));
    }

    fn park(
        &mut self,
        lane: &Lane,
        path: &TablePath,
        effects: &Effects,
        item: &Item,
        refused: &Refused,
    ) {
        let letter = letter(lane, path, effects, item, refused);
        if refused.key.is_some() {
            let tally = self.tallies.get_mut(&lane.id).expect("the lane was advanced");
            let parked = tally.parked.entry(letter.table.clone()).or_default();
            parked.extend(letter.keys().cloned());
        }
        self.letters.push(letter);
        self.counters(lane).parked += 1;
    }

    /// Letters first, then the target: rows, progress, counters and what became of letters in one transaction.
    pub(crate) fn commit(self, lanes: &mut [Lane]) -> Result<()> {
        let Writer { assembly, flow, identity, mut txn, tallies, .. } = self;
        let Writer { letters, emptied, read_again, .. } = self;
        let now = assembly.environment.clock.now();
        for tally in tallies.values() {
            assert!(
                tally.progress.counters.conserved(),
                "every change has one fate: {:?}",
                tally.progress.counters
            );
        }
        if !letters.is_empty() {
            if flow.events.transactions == flow::TransactionMode::Exact {
                return Err(Error::refused(letters[0].reason.clone()));
            }
            if !is_planted(Defect::ParkAfterCommit) {
                assembly.state.park(identity.id, &letters, now)?;
            }
        }
        let mut fates: BTreeMap<LetterPlace, Fate> = BTreeMap::new();
        for lane in lanes.iter().filter(|lane| tallies.contains_key(&lane.id)) {
            fates.extend(lane.unrecorded.iter().copied());
        }
        fates.extend(letters.iter().map(|letter| (letter.place(), Fate::Waits)));
        let mut overtaken = Vec::new();
        for (lane, table, place) in emptied {
            let settled = assembly.state.settle_emptied(identity.id, lane, &table, place, now)?;
            overtaken.extend(settled);
        }
        for chunk in read_again {
            overtaken.extend(chunk.settle(&assembly.state, identity.id, now)?);
        }
        fates.extend(overtaken.into_iter().map(|place| (place, Fate::Discarded)));
        if !fates.is_empty() {
            txn.record_letters(&fates.into_iter().collect::<Vec<_>>())?;
        }
        let progress: Vec<LaneProgress> = tallies.values().map(|t| t.progress.clone()).collect();
        if is_planted(Defect::CountTwice) {
            for lane in lanes.iter_mut().filter(|lane| tallies.contains_key(&lane.id)) {
                lane.progress.counters = tallies[&lane.id].progress.counters;
            }
        }
        txn.commit(&progress)?;
        if is_planted(Defect::ParkAfterCommit) && !letters.is_empty() {
            assembly.state.park(identity.id, &letters, now)?;
        }
        for lane in lanes {
            if let Some(tally) = tallies.get(&lane.id) {
                lane.progress = tally.progress.clone();
                lane.parked.clone_from(&tally.parked);
                lane.unrecorded.clear();
            }
        }
        Ok(())
    }
}

/// The letter of a change that is set aside.
pub(crate) fn letter(
    lane: &Lane,
    path: &TablePath,
    effects: &Effects,
    item: &Item,
    refused: &Refused,
) -> NewLetter {
    let schema = &path.target().schema;
    let cells = |at: At| Value::row(&effects.blocks[at.block].rows, schema, at.row);
    let was_sent = |column: &usize| refused.unsent.as_ref().is_none_or(|u| !u.contains(column));
    let sent: Vec<usize> = (0..schema.columns().len()).filter(was_sent).collect();
    let row = refused.row.map(|at| {
        let row = cells(at);
        sent.iter().map(|&column| row[column].clone()).collect()
    });
    NewLetter {
        lane: lane.id,
        offset: item.offset,
        ordinal: item.ordinal,
        table: path.target().name.clone(),
        key: refused.key.map(|at| effects.canonical_key(path, at)).unwrap_or_default(),
        row: row.unwrap_or_default(),
        columns: sent.iter().map(|&column| schema.columns()[column].name.clone()).collect(),
        in_part: refused.unsent.is_some(),
        moved_from: refused
            .moved_from
            .map(|at| MovedFrom { key: effects.canonical_key(path, at), row: cells(at) }),
        op: item.op,
        reason: refused.reason.clone(),
    }
}
