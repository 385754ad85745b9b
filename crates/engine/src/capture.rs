//! Capture of one lane: read a group, make it durable in the log, only then acknowledge it to the source.
//!
//! Stepped by its owner. The source is acknowledged up to the contiguous durable prefix and never further. When a
//! step fails, the capture is dropped and opened again: the log's tail says where to resume.

use crate::assembly::{Assembly, Step};
use crate::mask;
use crate::orders::{CaptureOrder, Orders};
use crate::state::{LaneRecord, SnapshotState};
use change::planted::{Defect, is_planted};
use change::{GroupBody, GroupKind, LaneId, Offset, SnapshotChunk, SnapshotId, SourcePosition};
use connect::{Bounds, ChangeReader, Claim, Error, ReadRequest, Result, Resume, Retained};
use flow::Site;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Groups that may wait for the disk before the capture pauses.
const WAITING_MOST: usize = 256;

/// An appended group that is not yet acknowledged.
struct Waiting {
    offset: Offset,
    upto: SourcePosition,
    chunk: Option<SnapshotChunk>,
}

/// The capture of one site.
pub struct LaneCapture {
    assembly: Assembly,
    orders: Orders,
    lane: LaneRecord,
    reader: Box<dyn ChangeReader>,
    read_upto: Option<SourcePosition>,
    /// The newest group of the lane that was appended, durable or not.
    newest: Offset,
    waiting: VecDeque<Waiting>,
    bounds: Bounds,
    snapshots: HashSet<SnapshotId>,
    rereads: u32,
}

impl LaneCapture {
    /// Opens the capture of `tables` at a site, behind the newest durable group of its lane.
    ///
    /// # Errors
    /// As [`connect::Source::capture`]; `Invalid` when another lane has the same history.
    pub fn open(
        assembly: &Assembly,
        orders: &Orders,
        site: &Site,
        tables: &[String],
    ) -> Result<Self> {
        let minted = LaneId::mint(assembly.environment.random.bits());
        let lane = assembly.state.lane_or(&site.name, minted)?;
        mask::settle(assembly, lane.id, site)?;
        let tail = assembly.log.tail(lane.id)?;
        // Positions of another history mean nothing in a fresh one.
        let (resume, read_upto) = match (&lane.history, tail.position) {
            (Some(history), Some(position)) => {
                let read_upto = Some(position.clone());
                (Resume::After { history: history.clone(), position }, read_upto)
            }
            _ => (Resume::Fresh, None),
        };
        // From now on these are not captured: whoever wants them again needs their rows again.
        for left_out in assembly.state.streams(lane.id)?.iter().filter(|t| !tables.contains(t)) {
            assembly.state.forget_stream(lane.id, left_out)?;
        }
        let mut source = assembly.connectors.of(&site.settings)?.source(&site.settings)?;
        let reader = source.capture(tables, &resume).map_err(|e| e.at(&site.name))?;
        assembly.state.set_history(&lane, reader.history())?;
        let mut capture = LaneCapture {
            assembly: assembly.clone(),
            orders: orders.clone(),
            lane,
            reader,
            read_upto,
            newest: tail.durable,
            waiting: VecDeque::new(),
            bounds: Bounds::BATCH,
            snapshots: HashSet::new(),
            rereads: 0,
        };
        capture.resume_snapshots(tables)?;
        Ok(capture)
    }

    /// Snapshots that a crash cut off go on behind their last durable chunk.
    fn resume_snapshots(&mut self, tables: &[String]) -> Result<()> {
        for table in tables {
            let stream = self.assembly.state.stream(self.lane.id, table)?;
            if let Some(mut snapshot) = stream.snapshot.filter(|s| !s.complete) {
                let next = self.newest.next();
                if snapshot.after.is_none() && snapshot.begin.is_none_or(|begin| begin > next) {
                    // The log lost its end, and the first chunk comes before the place where it was expected.
                    snapshot.begin = Some(next);
                    self.assembly.state.set_snapshot(self.lane.id, table, &snapshot)?;
                }
                self.snapshots.insert(snapshot.id);
                self.reader.request(ReadRequest::Snapshot {
                    table: table.clone(),
                    id: snapshot.id,
                    after: snapshot.after,
                })?;
            }
        }
        Ok(())
    }

    /// Shows the source who reads it.
    ///
    /// # Errors
    /// As [`ChangeReader::claim`].
    pub(crate) fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.reader.claim(claim).map_err(|e| e.at(&self.lane.site))
    }

    /// The lane.
    pub fn lane(&self) -> LaneId {
        self.lane.id
    }

    /// The source position up to which everything was read; `None` before the first group.
    pub fn read_upto(&self) -> Option<&SourcePosition> {
        self.read_upto.as_ref()
    }

    /// Whether a snapshot that was ordered has chunks left to read.
    pub fn reading_snapshot(&self) -> bool {
        !self.snapshots.is_empty()
    }

    /// Whether rows that were asked for are not read yet.
    pub(crate) fn reading(&self) -> bool {
        self.reading_snapshot() || self.rereads > 0 || self.orders.waits(&self.lane.site)
    }

    /// Whether something is not done: rows to read, or groups that wait for the disk.
    pub(crate) fn owes(&self) -> bool {
        !self.waiting.is_empty() || self.reading()
    }

    /// Waits until everything read is durable and acknowledged.
    ///
    /// # Errors
    /// Of the log; `Unavailable` when the disk takes longer than `patience` for one group.
    pub fn settle(&mut self, patience: Duration) -> Result<()> {
        while let Some(first) = self.waiting.front().map(|waiting| waiting.offset) {
            self.acknowledge(patience)?;
            if self.waiting.front().is_some_and(|waiting| waiting.offset == first) {
                return Err(Error::unavailable("the log's disk does not answer"));
            }
        }
        Ok(())
    }

    /// What the source keeps for us.
    ///
    /// # Errors
    /// The source is gone.
    pub fn retained(&mut self) -> Result<Retained> {
        self.reader.retained()
    }

    /// Waits until something may have come, at most so long; whether it has waited.
    ///
    /// # Errors
    /// Of the source. Open the capture again afterwards.
    pub fn wait(&mut self, longest: Duration) -> Result<bool> {
        self.reader.wait(longest).map_err(|e| e.at(&self.lane.site))
    }

    /// Moves one group into the log, and acknowledges what has become durable.
    ///
    /// # Errors
    /// Of the source or of the log. Open the capture again afterwards.
    pub fn step(&mut self) -> Result<Step> {
        while let Some(order) = self.orders.take(&self.lane.site) {
            if let Err(error) = self.take_order(order.clone()) {
                // Whoever ordered it has begun behind it and will not order it again.
                self.orders.place(&self.lane.site, order);
                return Err(error);
            }
        }
        self.acknowledge(Duration::ZERO)?;
        if self.waiting.len() >= WAITING_MOST && !is_planted(Defect::UnboundedWaiting) {
            // A disk that does not answer stops the capture, not only slows it.
            self.acknowledge(Duration::from_secs(1))?;
            return Ok(Step::Moved(0));
        }
        match self.reader.poll(self.bounds).map_err(|e| e.at(&self.lane.site))? {
            Some(body) => self.append(body),
            None if self.waiting.is_empty() => Ok(Step::Idle),
            None => {
                self.acknowledge(Duration::from_millis(100))?;
                Ok(Step::Moved(0))
            }
        }
    }

    fn append(&mut self, body: GroupBody) -> Result<Step> {
        if let Some(read_upto) = &self.read_upto {
            assert_eq!(
                body.after.sequence, read_upto.sequence,
                "a source delivers its history without a gap"
            );
        }
        if is_planted(Defect::SkipSamePosition) && self.skips(&body) {
            return Ok(Step::Moved(0));
        }
        let chunk = match &body.kind {
            GroupKind::Snapshot(chunk) => Some(chunk.clone()),
            GroupKind::Changes | GroupKind::Repair => None,
        };
        if body.kind == GroupKind::Repair && body.part.last {
            self.rereads = self.rereads.saturating_sub(1);
        }
        if let Some(done) = chunk.as_ref().filter(|chunk| chunk.upto.is_none()) {
            self.snapshots.remove(&done.id);
        }
        let (upto, changes) = (body.upto.clone(), body.changes() as u64);
        let offset = self.assembly.log.append(self.lane.id, body)?;
        self.newest = offset;
        self.read_upto = Some(upto.clone());
        if is_planted(Defect::AckBeforeDurable) {
            self.reader.acknowledge(&upto)?;
        }
        if let (true, Some(chunk)) = (is_planted(Defect::SnapshotPastDurable), &chunk) {
            self.note_chunk(chunk.clone(), offset)?;
        }
        self.waiting.push_back(Waiting { offset, upto, chunk });
        Ok(Step::Moved(changes))
    }

    /// The defect of readers that take a position for the place behind everything that shares it.
    fn skips(&self, body: &GroupBody) -> bool {
        let first = self.waiting.is_empty();
        first && self.read_upto.as_ref().is_some_and(|read| read.sequence == body.upto.sequence)
    }

    /// Acknowledges the contiguous durable prefix. Waits at most `patience` for the first group.
    fn acknowledge(&mut self, mut patience: Duration) -> Result<()> {
        let mut durable = None;
        while let Some(first) = self.waiting.front() {
            if !self.assembly.log.durable(self.lane.id, first.offset, patience)? {
                break;
            }
            patience = Duration::ZERO;
            let done = self.waiting.pop_front().expect("it was at the front");
            if let Some(chunk) = done.chunk {
                self.note_chunk(chunk, done.offset)?;
            }
            durable = Some(done.upto);
        }
        match durable {
            Some(_) if is_planted(Defect::AckOverGap) => {
                let read = self.read_upto.clone().expect("something was read");
                self.reader.acknowledge(&read)
            }
            Some(position) => self.reader.acknowledge(&position),
            None => Ok(()),
        }
    }

    /// Stores how far a snapshot has come, once its chunk is durable. A stale record only repeats a chunk.
    fn note_chunk(&self, chunk: SnapshotChunk, offset: Offset) -> Result<()> {
        let state = &self.assembly.state;
        let stream = state.stream(self.lane.id, &chunk.table)?;
        let Some(mut snapshot) = stream.snapshot.filter(|s| s.id == chunk.id) else {
            return Ok(()); // A newer snapshot of the table was asked for meanwhile.
        };
        snapshot.begin.get_or_insert(offset);
        snapshot.complete = chunk.upto.is_none();
        snapshot.end = snapshot.complete.then_some(offset);
        snapshot.after = chunk.upto;
        state.set_snapshot(self.lane.id, &chunk.table, &snapshot)
    }

    fn take_order(&mut self, order: CaptureOrder) -> Result<()> {
        match order {
            CaptureOrder::Snapshot { table } => {
                let id = SnapshotId::mint(self.assembly.environment.random.bits());
                // Known before its first chunk is in the log: a flow that opens between chunk and note begins in time.
                let begin = Some(self.newest.next());
                let snapshot = SnapshotState::wanted(id, begin);
                self.assembly.state.set_snapshot(self.lane.id, &table, &snapshot)?;
                self.snapshots.insert(id);
                self.reader.request(ReadRequest::Snapshot { table, id, after: None })
            }
            CaptureOrder::Keys { table, keys } => {
                self.rereads += 1;
                self.reader.request(ReadRequest::Keys { table, keys })
            }
        }
    }
}

/// Sites that flows capture, each with the tables that any of them wants.
pub fn captured_tables(project: &flow::Project) -> Vec<(Site, Vec<String>)> {
    let mut wanted = std::collections::BTreeMap::<&str, Vec<String>>::new();
    for flow in project.flows.iter().filter(|flow| flow.captures()) {
        for site in &flow.sites {
            let tables = wanted.entry(site).or_default();
            for table in &flow.tables {
                if !tables.contains(&table.source) {
                    tables.push(table.source.clone());
                }
            }
        }
    }
    wanted
        .into_iter()
        .filter_map(|(name, tables)| Some((project.sites.get(name)?.clone(), tables)))
        .collect()
}
