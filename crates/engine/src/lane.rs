//! One lane as a flow consumes it: progress, the paths of its tables, the keys that are set aside.

use crate::assembly::Assembly;
use crate::fates::{Told, Unrecorded, Written};
use crate::mask;
use crate::orders::{CaptureOrder, Orders};
use crate::path::TablePath;
use crate::state::{FlowIdentity, SnapshotState};
use arrow::datatypes::SchemaRef;
use change::compatibility::{Compatibility, compare};
use change::planted::{Defect, is_planted};
use change::{Group, GroupKind, LaneId, Offset, SnapshotId, SourcePosition, TableSchema};
use connect::{
    Bounds, Counters, Error, Kind, LaneProgress, LetterPlace, Result, State as Named, Tail, Target,
};
use flow::{Flow, FlowTable, NewColumns, Site};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Canonical keys that are set aside, by target table.
pub(crate) type Parked = HashMap<String, HashSet<Vec<u8>>>;

/// Where a schema was seen.
pub(crate) enum Sighting<'s> {
    /// The source looks like this now.
    Source(&'s Arc<TableSchema>),
    /// A change in the log was written under it.
    Change {
        /// The group's place.
        offset: Offset,
        /// The schema.
        schema: &'s Arc<TableSchema>,
    },
}

impl Sighting<'_> {
    fn schema(&self) -> &Arc<TableSchema> {
        match self {
            Sighting::Source(schema) | Sighting::Change { schema, .. } => schema,
        }
    }
}

/// One lane of a flow.
pub struct Lane {
    /// Its id.
    pub id: LaneId,
    /// Its site.
    pub site: Site,
    /// How far the target has come.
    pub progress: LaneProgress,
    start: Offset,
    opened_at: Offset,
    paths: Vec<TablePath>,
    /// Tables whose shape is known from the source alone so far.
    unheard: HashSet<String>,
    pub(crate) parked: Parked,
    pub(crate) unrecorded: Unrecorded,
    /// Letters that wait at the target and stand nowhere here.
    pub(crate) lost: BTreeSet<LetterPlace>,
}

impl Lane {
    /// Opens a lane at the target's progress; a flow that is new here starts at its streams' snapshots.
    pub(crate) fn open(
        assembly: &Assembly,
        orders: &Orders,
        flow: &Flow,
        identity: &FlowIdentity,
        site: Site,
        told: &Told,
    ) -> Result<Lane> {
        let found = told.progress.as_ref();
        let minted = LaneId::mint(assembly.environment.random.bits());
        let id = assembly.state.lane_or(&site.name, minted)?.id;
        mask::settle(assembly, id, &site)?;
        let mut lane = Lane {
            id,
            site,
            progress: fresh(assembly, id, Offset::START),
            start: Offset::START,
            opened_at: assembly.log.tail(id)?.durable,
            paths: Vec::new(),
            unheard: HashSet::new(),
            parked: HashMap::new(),
            unrecorded: Unrecorded::new(),
            lost: BTreeSet::new(),
        };
        let known = found
            .filter(|p| p.generation == identity.generation)
            .is_some_and(|p| p.lanes.contains_key(&id));
        if known {
            lane.read_again(assembly, orders, flow)?;
        } else {
            let wrote_before = found.is_some_and(|p| p.generation != identity.generation);
            if wrote_before {
                // Every row is read again; what was set aside of it before is not to come after that.
                assembly.state.settle_superseded(
                    identity.id,
                    id,
                    assembly.environment.clock.now(),
                )?;
            }
            lane.start = lane.first_offset(assembly, orders, flow, wrote_before)?;
        }
        lane.resume(assembly, identity, told)?;
        Ok(lane)
    }

    /// Orders snapshots of tables that were not captured for a while: the log lacks what happened to them meanwhile.
    fn read_again(&self, assembly: &Assembly, orders: &Orders, flow: &Flow) -> Result<()> {
        for table in &flow.tables {
            if assembly.state.stream(self.id, &table.source)?.snapshot.is_none() {
                self.order(assembly, orders, table)?;
            }
        }
        Ok(())
    }

    /// Orders a snapshot, durably: an engine that ends before its capture has heard of it must not forget it, since the
    /// flow may have progress by then.
    fn order(&self, assembly: &Assembly, orders: &Orders, table: &FlowTable) -> Result<()> {
        if orders.are_carried_out() {
            let id = SnapshotId::mint(assembly.environment.random.bits());
            let wanted = SnapshotState::wanted(id, None);
            assembly.state.set_snapshot(self.id, &table.source, &wanted)?;
        }
        let table = table.source.clone();
        orders.place(&self.site.name, CaptureOrder::Snapshot { table });
        Ok(())
    }

    /// Whether a snapshot reads the rows of a table again behind a place.
    pub(crate) fn is_read_behind(
        &self,
        assembly: &Assembly,
        table: &str,
        place: Offset,
    ) -> Result<bool> {
        let snapshot = assembly.state.stream(self.id, table)?.snapshot;
        Ok(snapshot.is_some_and(|snapshot| snapshot.comes_behind(place)))
    }

    /// Where a flow that has no progress here begins: at the snapshots of its streams where the log still holds
    /// them, otherwise at the tail, with new snapshots ordered. A flow that wrote before under another definition
    /// always takes new ones, so that its target never goes back in time.
    fn first_offset(
        &self,
        assembly: &Assembly,
        orders: &Orders,
        flow: &Flow,
        wrote_before: bool,
    ) -> Result<Offset> {
        let tail = assembly.log.tail(self.id)?;
        let mut start = tail.durable;
        // What was logged under other masks is not for a flow that begins.
        let masked = mask::floor(assembly, self.id, flow)?;
        for table in &flow.tables {
            let stream = assembly.state.stream(self.id, &table.source)?;
            let begin = stream.snapshot.as_ref().and_then(|snapshot| snapshot.begin);
            let retained =
                begin.filter(|begin| *begin >= tail.oldest && *begin > masked && !wrote_before);
            match (retained, stream.snapshot) {
                (Some(begin), _) => start = start.min(Offset(begin.0 - 1)),
                // All of it is still to come.
                (None, Some(snapshot))
                    if !snapshot.complete && snapshot.begin.is_some_and(|b| b > tail.durable) => {}
                (None, _) => self.order(assembly, orders, table)?,
            }
        }
        Ok(start)
    }

    /// Skips groups that were committed before a time.
    pub(crate) fn skip_before(&mut self, log: &dyn connect::Log, from: i64) -> Result<()> {
        let oldest = log.tail(self.id)?.oldest;
        self.progress.offset = self.progress.offset.max(Offset(oldest.0.saturating_sub(1)));
        loop {
            let groups = log.read(self.id, self.progress.offset, connect::Bounds::BATCH)?;
            let early = groups.iter().take_while(|group| group.body.commit_time < from).count();
            let Some(last) = groups[..early].last() else { return Ok(()) };
            self.progress.offset = last.offset;
            if early < groups.len() {
                return Ok(());
            }
        }
    }

    /// Takes progress, and parked keys as they are stored. Letters beyond the progress will come again; for the others
    /// the target's word counts.
    pub(crate) fn resume(
        &mut self,
        assembly: &Assembly,
        identity: &FlowIdentity,
        told: &Told,
    ) -> Result<()> {
        let current = told.progress.as_ref().filter(|p| p.generation == identity.generation);
        let known = current.and_then(|p| p.lanes.get(&self.id));
        let counted = self.progress.counters;
        self.progress = match known {
            Some(progress) => progress.clone(),
            None => fresh(assembly, self.id, self.start),
        };
        if is_planted(Defect::CountTwice) && counted.read > self.progress.counters.read {
            self.progress.counters = counted;
        }
        self.check_log(assembly)?;
        let written = if known.is_some() { Written::Before } else { Written::Never };
        self.heed(assembly, identity.id, told, written)?;
        if !is_planted(Defect::KeepLettersBeyond) {
            assembly.state.drop_letters_beyond(identity.id, self.id, self.progress.offset)?;
        }
        self.read_parked(assembly, identity)
    }

    /// A target that is ahead of the log was written from another log, or from one that lost its end. An older copy of
    /// a log that has gone on by itself gives the same offsets to other changes.
    fn check_log(&self, assembly: &Assembly) -> Result<()> {
        if is_planted(Defect::CountOnBehindTarget) {
            return Ok(());
        }
        let tail = assembly.log.tail(self.id)?;
        let (ours, theirs) = (assembly.log.id(), self.progress.log);
        let offset = self.progress.offset;
        let found = if ours != theirs {
            format!("target was written from log {theirs}, this is log {ours}")
        } else if offset > tail.durable {
            format!("target at offset {offset}, log ends at {}", tail.durable)
        } else if !self.took_from(assembly, &tail) {
            format!("at offset {offset} the target took other changes than this log holds there")
        } else {
            return Ok(());
        };
        Err(Error::corrupt(format!("the target is ahead of the log for site {}", self.site.name))
            .found(found)
            .effect("nothing is applied: offsets of this log would be taken for others")
            .fix("restore the newer .seamount folder, or start over with a new snapshot: seamount resync FLOW")
            .state(Named::LogBehindTarget)
            .code("E0504"))
    }

    /// Whether the group at the target's offset ends where the target says. One that was let go of, or that is damaged,
    /// is not there to be asked.
    fn took_from(&self, assembly: &Assembly, tail: &Tail) -> bool {
        let LaneProgress { offset, position, .. } = &self.progress;
        if *offset == Offset::START || *position == SourcePosition::START {
            return true;
        }
        if *offset == tail.durable {
            return tail.position.as_ref().is_none_or(|end| end == position);
        }
        let before = Offset(offset.0 - 1);
        let one = Bounds { changes: 1, bytes: 1 };
        match assembly.log.read(self.id, before, one) {
            Ok(groups) => groups.first().is_none_or(|group| group.body.upto == *position),
            Err(_) => true,
        }
    }

    /// Plans the paths of tables as they are at the source now, so that the target's tables are there before the
    /// first change. A site that is down is planned when its changes come.
    pub(crate) fn plan_from_source(
        &mut self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        target: &mut dyn Target,
    ) -> Result<()> {
        let readable = assembly
            .connectors
            .of(&self.site.settings)
            .and_then(|c| c.readable(&self.site.settings));
        let mut readable = match readable {
            Err(e) if e.kind == Kind::Unavailable => return Ok(()),
            opened => opened?,
        };
        for table in &flow.tables {
            let schema = Arc::new(readable.describe(&table.source)?);
            self.plan(assembly, flow, identity, target, &table.source, &Sighting::Source(&schema))?;
        }
        Ok(())
    }

    /// Plans the path of a table in one schema version, unless it is planned or the flow does not want the table.
    pub(crate) fn plan(
        &mut self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        target: &mut dyn Target,
        table: &str,
        sighting: &Sighting<'_>,
    ) -> Result<()> {
        let Some(table) = flow.tables.iter().find(|t| t.source == table) else { return Ok(()) };
        let schema = sighting.schema();
        let planned = self.path(&table.source, schema).is_some();
        // What the source looked like counts once a change was written under it.
        let unheard = match sighting {
            Sighting::Source(_) => !planned && self.unheard.insert(table.source.clone()),
            Sighting::Change { .. } => self.unheard.remove(&table.source),
        };
        if planned && !unheard {
            return Ok(());
        }
        self.accept(assembly, flow, identity, table, sighting)?;
        if planned {
            return Ok(());
        }
        let path = TablePath::plan(flow, table, &self.site, schema.clone(), &*assembly.planner)?;
        if !path.keeps_key_order() {
            return Err(Error::invalid(format!(
                "flow {}: the key of {} is not carried unchanged from {}",
                flow.name, table.target, table.source
            ))
            .effect("a new snapshot could not replace the rows it finds; nothing is moved")
            .fix("carry the source's key columns through the transform, in their order")
            .code("E0404"));
        }
        target.prepare(std::slice::from_ref(path.target()))?;
        self.paths.push(path);
        Ok(())
    }

    /// Plans the paths of a group's tables, as they were when it was written.
    pub(crate) fn plan_group(
        &mut self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        target: &mut dyn Target,
        group: &Group,
    ) -> Result<()> {
        group.body.batches.iter().try_for_each(|batch| {
            let sighting = Sighting::Change { offset: group.offset, schema: batch.schema() };
            self.plan(assembly, flow, identity, target, batch.table(), &sighting)
        })
    }

    /// Whether the flow can follow a schema that differs from those it has accepted. Changes that were in the log
    /// when the lane was opened may be older than what the source looked like then.
    fn accept(
        &self,
        assembly: &Assembly,
        flow: &Flow,
        identity: &FlowIdentity,
        table: &FlowTable,
        sighting: &Sighting<'_>,
    ) -> Result<()> {
        let name = format!(
            "schema:{}:{}:{}:{}",
            identity.id, identity.generation, self.site.name, table.source
        );
        let mut accepted: Vec<TableSchema> = match assembly.state.setting(&name)? {
            Some(text) => serde_json::from_str(&text)
                .map_err(|e| Error::corrupt("accepted schemas cannot be read").caused_by(e))?,
            None => Vec::new(),
        };
        let schema = sighting.schema();
        let in_the_log = matches!(sighting, Sighting::Change { .. });
        let Some(newest) = accepted.last() else {
            // What the source looks like now is newer than changes that are still to be captured.
            return match in_the_log {
                true => remember(assembly, &name, &[schema.as_ref().clone()]),
                false => Ok(()),
            };
        };
        let older =
            matches!(sighting, Sighting::Change { offset, .. } if *offset <= self.opened_at);
        if (in_the_log && accepted.contains(schema))
            || (older && matches!(compare(schema, newest), Compatibility::Additive(_)))
        {
            return Ok(());
        }
        let problem = match compare(newest, schema) {
            Compatibility::Same => return Ok(()),
            Compatibility::Additive(_) if flow.new_columns != NewColumns::Stop => {
                accepted.push(schema.as_ref().clone());
                return remember(assembly, &name, &accepted);
            }
            Compatibility::Additive(columns) => {
                format!("column {} is new, and new_columns = \"stop\"", columns[0].name)
            }
            Compatibility::Breaking(breaks) => breaks[0].to_string(),
        };
        Err(Error::invalid(format!("table {} at {} changed shape", table.source, self.site.name))
            .found(problem)
            .effect("its changes wait in the log; nothing of them is lost or applied")
            .fix("undo the change at the source, or take the new shape with a new snapshot: seamount resync FLOW")
            .state(Named::SchemaBlocked)
            .code("E0505"))
    }

    /// The path of a table in one schema version.
    pub(crate) fn path(&self, table: &str, schema: &TableSchema) -> Option<&TablePath> {
        if is_planted(Defect::NewestSchema) {
            return self.newest_path(table);
        }
        self.paths.iter().find(|p| p.source_table() == table && p.input().as_ref() == schema)
    }

    /// The path of a table in the schema version planned last.
    pub fn newest_path(&self, table: &str) -> Option<&TablePath> {
        self.paths.iter().rev().find(|p| p.source_table() == table)
    }

    /// The path that writes a target table, in the schema version planned last.
    pub(crate) fn path_to(&self, target_table: &str) -> Option<&TablePath> {
        self.paths.iter().rev().find(|p| p.target().name == target_table)
    }

    /// The path that writes rows of this shape into a target table.
    pub(crate) fn path_of_shape(&self, target_table: &str, rows: &SchemaRef) -> Option<&TablePath> {
        let fits =
            |p: &&TablePath| p.target().name == target_table && p.target().schema.images() == rows;
        self.paths.iter().rev().find(fits)
    }

    /// Whether every batch that the flow wants has a path, and every snapshot chunk too.
    pub(crate) fn has_paths(&self, groups: &[Arc<Group>]) -> bool {
        groups.iter().all(|group| {
            let chunk_known = match &group.body.kind {
                GroupKind::Snapshot(chunk) => self.newest_path(&chunk.table).is_some(),
                GroupKind::Changes | GroupKind::Repair => true,
            };
            let batches = &group.body.batches;
            chunk_known
                && batches.iter().all(|b| {
                    self.newest_path(b.table()).is_none()
                        || self.path(b.table(), b.schema()).is_some()
                })
        })
    }
}

fn remember(assembly: &Assembly, name: &str, accepted: &[TableSchema]) -> Result<()> {
    let text = serde_json::to_string(accepted)
        .map_err(|e| Error::internal("a schema cannot be stored").caused_by(e))?;
    assembly.state.set_setting(name, &text)
}

fn fresh(assembly: &Assembly, lane: LaneId, offset: Offset) -> LaneProgress {
    LaneProgress {
        log: assembly.log.id(),
        lane,
        offset,
        position: SourcePosition::START,
        counters: Counters::default(),
    }
}
