//! A reader of changes that is wrong in one way.

use super::wrong_source::SourceDefect as D;
use change::value::batch;
use change::{
    ChangeBatch, GroupBody, GroupKind, History, Op, Part, SourcePosition, TableSchema, Value,
};
use connect::memory::sample::text;
use connect::{Bounds, ChangeReader, ReadRequest, Result, Retained};
use std::collections::VecDeque;
use std::sync::Arc;

pub(crate) struct WrongReader {
    inner: Box<dyn ChangeReader>,
    defect: D,
    /// Groups that were read but not handed out yet.
    held: VecDeque<GroupBody>,
    /// Rows that were read, put off until a change has come.
    late: Vec<GroupBody>,
    /// Nothing was polled since the capture went on.
    fresh: bool,
}

/// One change, apart.
#[derive(Clone)]
struct One {
    table: Arc<str>,
    schema: Arc<TableSchema>,
    op: Op,
    old: Option<Vec<Value>>,
    new: Option<Vec<Value>>,
}

fn apart(body: &GroupBody) -> Vec<One> {
    let places = body.in_order().into_iter();
    places
        .map(|(batch, row)| {
            let batch = &body.batches[batch];
            let op = batch.ops()[row];
            let image = |rows| Value::row(rows, batch.schema(), row);
            One {
                table: batch.table().clone(),
                schema: batch.schema().clone(),
                op,
                old: batch.has_old_image(row).then(|| image(batch.old())),
                new: op.has_new().then(|| image(batch.new_images())),
            }
        })
        .collect()
}

/// A group of these changes, a batch for each.
fn together(body: &GroupBody, changes: Vec<One>) -> GroupBody {
    let one = |(ordinal, change): (u32, One)| {
        let width = change.schema.columns().len();
        let image = |row: Option<Vec<Value>>| {
            batch(&change.schema, &[row.unwrap_or_else(|| vec![Value::Null; width])]).unwrap()
        };
        let (old, new) = (image(change.old), image(change.new));
        let schema = change.schema.clone();
        ChangeBatch::new(change.table, schema, vec![change.op], vec![ordinal], old, new)
    };
    GroupBody { batches: (0..).zip(changes).map(one).collect(), ..body.clone() }
}

impl WrongReader {
    pub(crate) fn new(inner: Box<dyn ChangeReader>, defect: D, resumed: Option<()>) -> Self {
        WrongReader {
            inner,
            defect,
            held: VecDeque::new(),
            late: Vec::new(),
            fresh: resumed.is_some(),
        }
    }

    /// What the source hands out, or what was held back, in the wrong order where that is the defect.
    fn next(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        if matches!(self.defect, D::ChunksComeEarly | D::KeysComeEarly) {
            return self.early(bounds);
        }
        if let Some(held) = self.held.pop_front() {
            return Ok(Some(held));
        }
        if std::mem::take(&mut self.fresh) {
            match self.defect {
                D::SkipsOneWhenItGoesOn => drop(self.inner.poll(Bounds { changes: 1, ..bounds })?),
                D::LosesThePartsThatFollow => {
                    while let Some(group) = self.inner.poll(bounds)? {
                        if group.part.index == 0 {
                            return Ok(Some(group));
                        }
                    }
                }
                _ => {}
            }
        }
        let Some(group) = self.inner.poll(bounds)? else { return Ok(None) };
        if self.moves(&group, D::ChunksComeLate, D::KeysComeLate) {
            self.late.push(group);
            return Ok(None);
        }
        self.held.extend(self.late.drain(..));
        Ok(Some(group))
    }

    /// Looks one group ahead, and lets rows that were read go before the changes they were read behind.
    fn early(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let current = match self.held.pop_front() {
            Some(held) => held,
            None => match self.inner.poll(bounds)? {
                Some(group) => group,
                None => return Ok(None),
            },
        };
        if current.kind != GroupKind::Changes || self.held.front().is_some() {
            return Ok(Some(current));
        }
        match self.inner.poll(bounds)? {
            Some(next) if self.moves(&next, D::ChunksComeEarly, D::KeysComeEarly) => {
                self.held.push_back(current);
                Ok(Some(next))
            }
            next => {
                self.held.extend(next);
                Ok(Some(current))
            }
        }
    }

    /// Whether a group of rows that were read is put out of its place.
    fn moves(&self, group: &GroupBody, chunks: D, keys: D) -> bool {
        match &group.kind {
            GroupKind::Snapshot(_) => self.defect == chunks,
            GroupKind::Repair => self.defect == keys,
            GroupKind::Changes => false,
        }
    }

    fn spoil(&mut self, mut body: GroupBody) -> Option<GroupBody> {
        match self.defect {
            D::EveryPartIsLast => body.part.last = true,
            D::PartsAreNotNumbered => body.part.index = 0,
            D::PositionsStandStill => body.upto = body.after.clone(),
            D::ChunksForgetWhereTheyBegin => {
                if let GroupKind::Snapshot(chunk) = &mut body.kind {
                    chunk.after = None;
                }
            }
            D::EmptyTablesAreNotTold
                if body.changes() == 0 && matches!(body.kind, GroupKind::Snapshot(_)) =>
            {
                return None;
            }
            D::TearsTransactions => return Some(self.tear(body)),
            _ => {
                let mut changes = apart(&body);
                self.spoil_changes(&body, &mut changes);
                body = together(&body, changes);
            }
        }
        Some(body)
    }

    fn spoil_changes(&self, body: &GroupBody, changes: &mut Vec<One>) {
        match self.defect {
            D::LosesTruncates => changes.retain(|change| change.op != Op::Truncate),
            D::OrdersByTable => changes.sort_by(|a, b| a.table.cmp(&b.table)),
            D::AbsentKeysAreLeftOut if body.kind == GroupKind::Repair => {
                changes.retain(|change| change.op != Op::Delete);
            }
            _ => {}
        }
        for change in changes {
            match self.defect {
                D::UpdatesAreInserts if change.op == Op::Update => {
                    (change.op, change.old) = (Op::Insert, None);
                }
                D::UpdatesForgetTheirOldKey if change.op == Op::Update => change.old = None,
                D::ForgetsNewColumns if change.schema.columns().len() > 3 => {
                    let columns = change.schema.columns()[..3].to_vec();
                    change.schema = Arc::new(TableSchema::new(columns, &["id"]).unwrap());
                    change.new.iter_mut().chain(&mut change.old).for_each(|row| row.truncate(3));
                }
                D::TrimsText => {
                    for cell in change.new.iter_mut().flatten() {
                        if let Value::Text(long) = cell {
                            *cell = text(long.trim());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Hands out the changes of each table by themselves.
    fn tear(&mut self, body: GroupBody) -> GroupBody {
        let mut tables: Vec<Arc<str>> = apart(&body).into_iter().map(|one| one.table).collect();
        tables.sort();
        tables.dedup();
        let of = |table: &Arc<str>| {
            let mut changes = apart(&body);
            changes.retain(|change| change.table == *table);
            GroupBody { part: Part::WHOLE, ..together(&body, changes) }
        };
        let mut torn: VecDeque<GroupBody> = tables.iter().map(of).collect();
        let first = torn.pop_front().unwrap_or(body);
        self.held.extend(torn);
        first
    }
}

impl ChangeReader for WrongReader {
    fn history(&self) -> &History {
        self.inner.history()
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let was_held = !self.held.is_empty();
        let Some(body) = self.next(bounds)? else { return Ok(None) };
        if self.defect == D::LetsGoWhenPolled {
            self.inner.acknowledge(&body.upto)?;
        }
        if was_held {
            return Ok(Some(body));
        }
        match self.spoil(body) {
            Some(body) => Ok(Some(body)),
            None => self.poll(bounds),
        }
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        match self.defect {
            D::NeverLetsGo => Ok(()),
            _ => self.inner.acknowledge(position),
        }
    }

    fn request(&mut self, mut read: ReadRequest) -> Result<()> {
        if let (D::SnapshotsBeginAtTheFirst, ReadRequest::Snapshot { after, .. }) =
            (self.defect, &mut read)
        {
            *after = None;
        }
        match self.inner.request(read) {
            Err(_) if self.defect == D::ReadsWhatIsNotCaptured => Ok(()),
            requested => requested,
        }
    }

    fn retained(&mut self) -> Result<Retained> {
        self.inner.retained()
    }
}
