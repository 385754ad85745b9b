//! A source that never rests, a log, an applier that lags and errs, and what is true at every place of the lane.
//!
//! The oracle replays the edits that were committed, by the shaping's own mapping; it shares nothing with the proof.

use crate::damaged::{ApartCut, Damage, DamagedCut, RefusingCut};
use crate::shaping::{Shaping, source_schema};
use change::{
    DigestKey, FlowId, Generation, Group, GroupKind, HolderId, Key, LaneId, LogId, Offset, Op,
    SnapshotId, SourcePosition, Value, canonical,
};
use connect::clock::ManualClock;
use connect::memory::sample::rows;
use connect::memory::{Edit, MemoryLog, MemorySource, MemoryTarget};
use connect::{
    Bounds, ChangeReader, Claim, Counters, Cut, LaneProgress, Log, ReadRequest, Readable, Result,
    Resume, RowWork, Source, Target,
};
use proof::{
    Correction, Ledger, Prover, Reached, Settings, Subject, Surroundings, TableProof, Writer,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the applier does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One effect is not applied; the progress moves on.
    Skip,
    /// Another value is written.
    WrongValue,
    /// A row that was deleted stays.
    LostDelete,
    /// An older version is written over a newer one.
    Stale,
    /// Everything is applied twice.
    Twice,
}

pub(crate) struct World {
    seed: u64,
    pub(crate) shaping: Shaping,
    pub(crate) source: MemorySource,
    reader: Box<dyn ChangeReader>,
    pub(crate) log: MemoryLog,
    pub(crate) target: MemoryTarget,
    pub(crate) clock: ManualClock,
    pub(crate) applied: Offset,
    pub(crate) parked: BTreeSet<i64>,
    /// The source's rows now.
    pub(crate) rows: BTreeMap<i64, Vec<Value>>,
    /// Rows at the place of the lane that is applied.
    truth: BTreeMap<i64, Vec<Value>>,
    /// Committed edits that the truth has not come to, each with its number.
    ahead: std::collections::VecDeque<(u64, Effect)>,
    edits: u64,
    /// Versions that the target was ever told, by key.
    older: BTreeMap<i64, Vec<Vec<Value>>>,
    pub(crate) fault: Option<Fault>,
    /// Keys that a fault was put on, with the rows it involved.
    pub(crate) injected: BTreeMap<i64, Fault>,
    /// Keys of the target that are not what they should be.
    pub(crate) wrong: BTreeSet<i64>,
    ever: BTreeSet<i64>,
    always: BTreeSet<i64>,
    /// Transactions committed at each step of the surroundings.
    pub(crate) pace: u64,
    /// What happens at the next source cut: once.
    pub(crate) at_source_cut: Option<Edit>,
    /// Everything committed is captured and applied before the target is cut.
    pub(crate) eager: bool,
    /// Refuse to apply.
    pub(crate) stuck: bool,
    /// Trim the log when the target is cut.
    pub(crate) trim: bool,
    /// A snapshot that is read and applied, whole, before the target cut behind so many others: once.
    pub(crate) at_target_cut: Option<(u32, SnapshotId)>,
    /// Cells of the target that somebody damaged.
    pub(crate) damage: Damage,
    /// The source's reader refuses a cell.
    pub(crate) source_refuses: bool,
}

#[derive(Clone, Debug)]
enum Effect {
    Put(i64, Vec<Value>),
    Gone(i64),
    Clear,
}

pub(crate) const LANE: u64 = 7;
const FLOW: u64 = 5;
const GENERATION: u64 = 6;
pub(crate) const KEYS: i64 = 160;

pub(crate) fn lane() -> LaneId {
    LaneId::mint(LANE)
}

pub(crate) fn id_of(row: &[Value]) -> i64 {
    match row[0] {
        Value::Int(id) => id,
        _ => panic!("ids are integers"),
    }
}

pub(crate) fn item(id: i64, name: &str, quantity: i64, price: i64) -> Vec<Value> {
    vec![Value::Int(id), Value::Text(name.into()), Value::Int(quantity), Value::Int(price)]
}

impl World {
    /// A world whose table was filled, snapshotted and applied.
    pub(crate) fn new(seed: u64, shaping: Shaping, filled: i64) -> World {
        let mut source = MemorySource::new("world");
        source.define("item", &source_schema());
        let mut initial = BTreeMap::new();
        for id in 0..filled {
            let row = item(id * 2, "first", 1, 1000 + id);
            source.commit(&[Edit::insert("item", row.clone())]).unwrap();
            initial.insert(id * 2, row);
        }
        let mut reader = source.capture(&["item".into()], &Resume::Fresh).unwrap();
        let snapshot =
            ReadRequest::Snapshot { table: "item".into(), id: SnapshotId::mint(1), after: None };
        reader.request(snapshot).unwrap();
        let mut target = MemoryTarget::new();
        target.prepare(&[shaping.target_table()]).unwrap();
        let holder = HolderId::mint(1);
        target.claim(&Claim { holder, known: vec![], take_over: false }).unwrap();
        target.adopt(FlowId::mint(FLOW), Generation::mint(GENERATION)).unwrap();
        let mut world = World {
            seed,
            shaping,
            source,
            reader,
            log: MemoryLog::new(LogId::mint(3)),
            target,
            clock: ManualClock::at(1_000_000_000),
            applied: Offset::START,
            parked: BTreeSet::new(),
            rows: initial.clone(),
            truth: initial,
            ahead: Default::default(),
            edits: 0,
            older: BTreeMap::new(),
            fault: None,
            injected: BTreeMap::new(),
            wrong: BTreeSet::new(),
            ever: BTreeSet::new(),
            always: BTreeSet::new(),
            pace: 6,
            at_source_cut: None,
            eager: false,
            stuck: false,
            trim: false,
            at_target_cut: None,
            damage: Damage::default(),
            source_refuses: false,
        };
        world.capture_all();
        world.apply_all();
        assert_eq!(world.wrong, BTreeSet::new(), "the world begins in order");
        world
    }

    /// SplitMix64.
    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    pub(crate) fn subject(&self, writer: Writer) -> Subject {
        Subject {
            flow: FlowId::mint(FLOW),
            flow_name: "stock".into(),
            generation: Generation::mint(GENERATION),
            site: "north".into(),
            lane: lane(),
            path: self.shaping.path(),
            writer,
            excluded: Vec::new(),
        }
    }

    pub(crate) fn settings() -> Settings {
        Settings { chunk_rows: 23, leaf_rows: 8, ..Settings::default() }
    }

    /// Proves, while the world goes on; the oracle watches which keys are wrong meanwhile.
    pub(crate) fn prove(&mut self) -> TableProof {
        self.prove_with(Writer::Flow, World::settings())
    }

    pub(crate) fn prove_with(&mut self, writer: Writer, settings: Settings) -> TableProof {
        self.ever = self.wrong.clone();
        self.always = self.wrong.clone();
        let (log, subject) = (self.log.clone(), self.subject(writer));
        let clock = ManualClock::at(connect::Clock::now(&self.clock));
        let key = DigestKey::new(99);
        Prover { log: &log, clock: &clock, key, settings }.prove(&subject, self).unwrap()
    }

    /// Proves by a ledger, while the world goes on.
    pub(crate) fn prove_by_ledger(&mut self, ledger: &Ledger) -> (TableProof, Correction) {
        self.ever = self.wrong.clone();
        self.always = self.wrong.clone();
        let (log, subject) = (self.log.clone(), self.subject(Writer::Flow));
        let clock = ManualClock::at(connect::Clock::now(&self.clock));
        let (key, settings) = (DigestKey::new(99), World::settings());
        Prover { log: &log, clock: &clock, key, settings }
            .prove_by_ledger(&subject, ledger, self)
            .unwrap()
    }

    /// Folds what the log holds up to an offset.
    pub(crate) fn fold(&self, ledger: &mut Ledger, upto: u64) {
        let path = self.shaping.path();
        let all = Bounds { changes: usize::MAX, bytes: usize::MAX };
        for group in self.log.read(lane(), ledger.offset(), all).unwrap() {
            if group.offset.0 > upto {
                return;
            }
            ledger.fold(&path, DigestKey::new(99), &group).unwrap();
        }
    }

    /// Asks for a snapshot of the table.
    pub(crate) fn snapshot(&mut self, id: SnapshotId) {
        self.snapshot_behind(id, None);
    }

    /// Asks for the rest of a snapshot.
    pub(crate) fn snapshot_behind(&mut self, id: SnapshotId, after: Option<Key>) {
        let table = "item".into();
        self.reader.request(ReadRequest::Snapshot { table, id, after }).unwrap();
    }

    /// Asks for single rows to be read again.
    pub(crate) fn reread(&mut self, keys: Vec<Key>) {
        self.reader.request(ReadRequest::Keys { table: "item".into(), keys }).unwrap();
    }

    /// Keys that were wrong at some moment of the last proof, and those that were wrong all the time.
    pub(crate) fn watched(&self) -> (&BTreeSet<i64>, &BTreeSet<i64>) {
        (&self.ever, &self.always)
    }

    pub(crate) fn should_be(&self, id: i64) -> Option<Vec<Value>> {
        self.truth.get(&id).and_then(|row| self.shaping.row(row))
    }

    pub(crate) fn is_there(&self, id: i64) -> Option<Vec<Value>> {
        self.target.rows("stock").unwrap().into_iter().find(|row| id_of(row) == id)
    }

    /// Commits a transaction of edits.
    pub(crate) fn commit(&mut self, edits: Vec<Edit>) {
        let now = connect::Clock::now(&self.clock);
        self.source.commit_at(now, &edits).unwrap();
        for edit in edits {
            self.edits += 1;
            let mut push = |effect| self.ahead.push_back((self.edits, effect));
            match edit {
                Edit::Insert { row, .. } => {
                    push(Effect::Put(id_of(&row), row.clone()));
                    self.rows.insert(id_of(&row), row);
                }
                Edit::Update { key, row, .. } => {
                    if id_of(&key.0) != id_of(&row) {
                        push(Effect::Gone(id_of(&key.0)));
                        self.rows.remove(&id_of(&key.0));
                    }
                    push(Effect::Put(id_of(&row), row.clone()));
                    self.rows.insert(id_of(&row), row);
                }
                Edit::Delete { key, .. } => {
                    push(Effect::Gone(id_of(&key.0)));
                    self.rows.remove(&id_of(&key.0));
                }
                Edit::Truncate { .. } => {
                    push(Effect::Clear);
                    self.rows.clear();
                }
            }
        }
    }

    /// A few random transactions; half of them hit three hot keys.
    pub(crate) fn churn(&mut self, transactions: u64) {
        for _ in 0..transactions {
            let mut edits = Vec::new();
            let mut touched = BTreeSet::new();
            for _ in 0..=self.random(3) {
                let keys = if self.random(2) == 0 { 3 } else { KEYS.unsigned_abs() * 2 };
                let id = self.random(keys).cast_signed();
                if touched.insert(id) {
                    edits.extend(self.edit(id, &mut touched));
                }
            }
            if !edits.is_empty() {
                self.commit(edits);
            }
        }
    }

    fn edit(&mut self, id: i64, touched: &mut BTreeSet<i64>) -> Option<Edit> {
        let name = format!("n{}", self.random(1 << 40));
        let row =
            item(id, &name, self.random(6).cast_signed() - 1, self.random(1000).cast_signed() + 20);
        let key = vec![Value::Int(id)];
        if !self.rows.contains_key(&id) {
            return Some(Edit::insert("item", row));
        }
        match self.random(6) {
            0 => Some(Edit::delete("item", key)),
            1 => {
                let other = self.random(KEYS.unsigned_abs() * 2).cast_signed();
                let free = !self.rows.contains_key(&other) && touched.insert(other);
                let mut moved = row;
                moved[0] = Value::Int(other);
                free.then(|| Edit::update("item", key, moved))
            }
            _ => Some(Edit::update("item", key, row)),
        }
    }

    /// Captures some changes, or all.
    pub(crate) fn capture(&mut self, groups: u64) {
        for _ in 0..groups {
            let changes = 1 + usize::try_from(self.random(12)).unwrap();
            let Some(body) = self.reader.poll(Bounds { changes, bytes: 1 << 20 }).unwrap() else {
                return;
            };
            self.log.append(lane(), body).unwrap();
        }
    }

    pub(crate) fn capture_all(&mut self) {
        self.capture(u64::MAX);
    }

    pub(crate) fn apply_all(&mut self) {
        while self.apply_next() {}
    }

    /// Applies one whole transaction (all parts of it), perhaps wrongly.
    pub(crate) fn apply_next(&mut self) -> bool {
        let ready = self.log.read(lane(), self.applied, Bounds { changes: 12, bytes: 1 << 20 });
        let groups = ready.unwrap();
        let Some(last) = groups.iter().rposition(|group| group.body.part.last) else {
            return self.apply_huge();
        };
        self.apply(&groups[..=last]);
        true
    }

    fn apply_huge(&mut self) -> bool {
        let groups = self.log.read(lane(), self.applied, Bounds::BATCH).unwrap();
        let Some(last) = groups.iter().position(|group| group.body.part.last) else { return false };
        self.apply(&groups[..=last]);
        true
    }

    fn apply(&mut self, groups: &[Arc<Group>]) {
        let mut net: BTreeMap<i64, Option<Vec<Value>>> = BTreeMap::new();
        for group in groups {
            self.effects(group, &mut net);
        }
        self.err(&mut net);
        let table = self.shaping.target_table();
        let puts: Vec<Vec<Value>> = net.values().flatten().cloned().collect();
        let gone: Vec<Vec<Value>> = net
            .iter()
            .filter(|(_, row)| row.is_none())
            .map(|(id, _)| self.target_key(*id))
            .collect();
        let last = groups.last().unwrap();
        let progress = LaneProgress {
            log: self.log.id(),
            lane: lane(),
            offset: last.offset,
            position: last.body.upto.clone(),
            counters: Counters::default(),
        };
        let (flow, generation) = (FlowId::mint(FLOW), Generation::mint(GENERATION));
        let twice = if self.fault == Some(Fault::Twice) { 2 } else { 1 };
        let mut transaction = self.target.begin(flow, generation).unwrap();
        for _ in 0..twice {
            let gone = rows(&table.schema.key_schema(), &gone);
            transaction.write(&table, &RowWork::Delete(gone)).unwrap();
            transaction.write(&table, &RowWork::Upsert(rows(&table.schema, &puts))).unwrap();
        }
        transaction.commit(&[progress]).unwrap();
        self.applied = last.offset;
        for (id, row) in &net {
            self.damage.forget(*id);
            self.older.entry(*id).or_default().extend(row.clone());
        }
        self.advance_truth(last.body.upto.sequence);
    }

    fn effects(&self, group: &Group, net: &mut BTreeMap<i64, Option<Vec<Value>>>) {
        if let GroupKind::Snapshot(chunk) = &group.body.kind {
            let id = |key: &Option<Key>| key.as_ref().map(|key| id_of(&key.0));
            let (after, upto) = (id(&chunk.after), id(&chunk.upto));
            for row in self.target.rows("stock").unwrap() {
                let id = id_of(&row);
                if after.is_none_or(|after| id > after) && upto.is_none_or(|upto| id <= upto) {
                    net.insert(id, None);
                }
            }
        }
        for (batch, row) in group.body.in_order() {
            let batch = &group.body.batches[batch];
            let image = |images| Value::row(images, batch.schema(), row);
            match batch.ops()[row] {
                Op::Truncate => {
                    let there = self.target.rows("stock").unwrap();
                    net.values_mut().for_each(|row| *row = None);
                    net.extend(there.iter().map(|row| (id_of(row), None)));
                }
                op => {
                    if batch.has_old_image(row) {
                        net.insert(id_of(&image(batch.old())), None);
                    }
                    if op.has_new() {
                        let new = image(batch.new_images());
                        net.insert(id_of(&new), self.shaping.row(&new));
                    }
                }
            }
        }
        net.retain(|id, _| !self.parked.contains(id));
    }

    /// Puts the fault on at most three keys.
    fn err(&mut self, net: &mut BTreeMap<i64, Option<Vec<Value>>>) {
        let Some(fault) = self.fault else { return };
        if net.is_empty() || self.injected.len() >= 3 || self.random(3) > 0 {
            return;
        }
        let place = usize::try_from(self.random(net.len() as u64)).unwrap();
        let ids: Vec<i64> = net.keys().copied().collect();
        for id in ids[place..].iter().chain(&ids[..place]) {
            let taken = self.wrong.contains(id) || self.injected.contains_key(id) || *id < 3;
            if !taken && self.err_at(*id, fault, net) {
                self.injected.insert(*id, fault);
                return;
            }
        }
    }

    /// Puts the fault on one key, if it can be there.
    fn err_at(&self, id: i64, fault: Fault, net: &mut BTreeMap<i64, Option<Vec<Value>>>) -> bool {
        match (fault, net.get_mut(&id).unwrap()) {
            (Fault::Skip, _) | (Fault::LostDelete, None) => {
                net.remove(&id);
            }
            (Fault::WrongValue, Some(row)) => {
                row[1] = Value::Text(format!("wrong {}", self.edits));
            }
            (Fault::Stale, Some(row)) => {
                let mut older = self.older.get(&id).into_iter().flatten();
                let Some(older) = older.find(|older| *older != row) else {
                    return false;
                };
                *row = older.clone();
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn target_key(&self, id: i64) -> Vec<Value> {
        match self.shaping {
            Shaping::WithSite => vec![Value::Text("north".into()), Value::Int(id)],
            _ => vec![Value::Int(id)],
        }
    }

    fn advance_truth(&mut self, sequence: u64) {
        while self.ahead.front().is_some_and(|(number, _)| *number <= sequence) {
            match self.ahead.pop_front().unwrap().1 {
                Effect::Put(id, row) => drop(self.truth.insert(id, row)),
                Effect::Gone(id) => drop(self.truth.remove(&id)),
                Effect::Clear => self.truth.clear(),
            }
        }
        self.judge();
    }

    /// Compares the whole target with the truth.
    pub(crate) fn judge(&mut self) {
        let mut there: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
        for row in self.target.rows("stock").unwrap() {
            there.insert(id_of(&row), row);
        }
        let ids: BTreeSet<i64> = self.truth.keys().chain(there.keys()).copied().collect();
        self.wrong = ids
            .into_iter()
            .filter(|id| !self.parked.contains(id))
            .filter(|id| self.should_be(*id).as_ref() != there.get(id))
            .collect();
        self.ever.extend(self.wrong.iter());
        self.always.retain(|id| self.wrong.contains(id));
    }

    /// The world goes on for a moment.
    fn step(&mut self) {
        let pace = self.pace;
        if pace > 0 {
            let transactions = self.random(pace);
            self.churn(transactions);
            let groups = self.random(pace);
            self.capture(groups);
        }
    }

    fn parked_bytes(&self) -> BTreeSet<Vec<u8>> {
        let schema = self.shaping.target_table().schema.key_schema();
        let mut all = BTreeSet::new();
        for id in &self.parked {
            let key = rows(&schema, &[self.target_key(*id)]);
            let mut bytes = Vec::new();
            canonical::Rows::all(&key, &schema).encode(0, &mut bytes);
            all.insert(bytes);
        }
        all
    }
}

impl Surroundings for World {
    fn source_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.step();
        let cut = self.source.cut()?;
        if let Some(edit) = self.at_source_cut.take() {
            self.commit(vec![edit]);
        }
        self.step();
        if self.source_refuses {
            return Ok(Box::new(RefusingCut(cut)));
        }
        if self.seed % 2 == 1 {
            return Ok(Box::new(ApartCut { inner: cut, gone: false }));
        }
        Ok(cut)
    }

    fn target_cut(&mut self) -> Result<Box<dyn Cut>> {
        self.step();
        match &mut self.at_target_cut {
            Some((0, id)) => {
                let id = *id;
                self.at_target_cut = None;
                self.snapshot(id);
                self.capture_all();
                self.apply_all();
            }
            Some((cuts, _)) => *cuts -= 1,
            None => {}
        }
        if self.trim {
            self.log.trim(lane(), self.applied)?;
        }
        let inner = self.target.cut()?;
        if self.damage.cells.is_empty() {
            return Ok(inner);
        }
        let declared = self.shaping.target_table().schema;
        Ok(Box::new(DamagedCut { inner, damage: self.damage.clone(), declared }))
    }

    fn captured(&mut self, closing: &SourcePosition) -> Result<Reached> {
        loop {
            let tail = self.log.tail(lane())?;
            if tail.position.is_some_and(|p| p.sequence >= closing.sequence) {
                return Ok(Reached::At(tail.durable));
            }
            self.step();
            self.capture(1);
        }
    }

    fn applied(&mut self, offset: Offset) -> Result<Reached> {
        if self.stuck && self.applied < offset {
            return Ok(Reached::Never(format!("it stands at {}", self.applied)));
        }
        while self.applied < offset {
            if self.random(8) == 0 {
                self.step();
            }
            self.capture(1);
            self.apply_next();
        }
        if self.eager {
            self.capture_all();
            self.apply_all();
        }
        // The applier runs on; sometimes far beyond the source cut.
        for _ in 0..self.random(4) {
            self.step();
            if !self.stuck {
                self.apply_next();
            }
        }
        Ok(Reached::At(self.applied))
    }

    fn parked(&mut self) -> Result<BTreeSet<Vec<u8>>> {
        Ok(self.parked_bytes())
    }
}
