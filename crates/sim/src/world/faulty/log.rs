//! The log on a disk that the world holds in its hand. What it takes is told to the oracle.
//!
//! It never waits: a disk that is slow answers "not yet" at once.

use crate::world::machine::{Boot, Place};
use change::{Group, GroupBody, GroupKind, LaneId, LogId, Offset};
use connect::memory::MemoryLog;
use connect::{Bounds, Log, Result, Tail};
use std::sync::Arc;
use std::time::Duration;

const HERE: Place = Place::Log;

/// The log, as one engine has opened it.
pub struct FaultyLog {
    /// The log itself.
    pub inner: MemoryLog,
    /// The engine's connection to the world.
    pub boot: Boot,
    /// Most that one read returns.
    pub bounds: Bounds,
}

/// A group in words.
fn said(offset: Offset, body: &GroupBody) -> String {
    let what = match &body.kind {
        GroupKind::Changes => "changes".to_string(),
        GroupKind::Repair => "rows read again".to_string(),
        GroupKind::Snapshot(chunk) => {
            let key = |key: &Option<change::Key>| key.as_ref().map(|key| format!("{:?}", key.0));
            format!(
                "rows of {} behind {:?} to {:?}",
                chunk.table,
                key(&chunk.after),
                key(&chunk.upto)
            )
        }
    };
    let more = if body.part.last { "" } else { ", more follows" };
    format!("takes {offset}: {} {what}, up to {}{more}", body.changes(), body.upto.sequence)
}

impl Log for FaultyLog {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn append(&self, lane: LaneId, body: GroupBody) -> Result<Offset> {
        self.boot.sure(&HERE, "append", || {
            let offset = self.inner.append(lane, body.clone())?;
            if !self.boot.is_zombie() {
                self.boot.oracle().appended(lane, offset, &body);
                let site = self.boot.oracle().site_of(lane).to_string();
                self.boot.machine().note(|| format!("  {site} {}", said(offset, &body)));
            }
            Ok(offset)
        })
    }

    fn durable(&self, lane: LaneId, offset: Offset, _: Duration) -> Result<bool> {
        self.boot.sure(&HERE, "durable", || self.inner.durable(lane, offset, Duration::ZERO))
    }

    fn tail(&self, lane: LaneId) -> Result<Tail> {
        self.boot.sure(&HERE, "tail", || self.inner.tail(lane))
    }

    fn read(&self, lane: LaneId, after: Offset, bounds: Bounds) -> Result<Vec<Arc<Group>>> {
        let bounds = Bounds {
            changes: bounds.changes.min(self.bounds.changes),
            bytes: bounds.bytes.min(self.bounds.bytes),
        };
        self.boot.sure(&HERE, "read", || self.inner.read(lane, after, bounds))
    }

    fn changed(&self, seen: u64, _: Duration) -> u64 {
        self.inner.changed(seen, Duration::ZERO)
    }

    fn trim(&self, lane: LaneId, upto: Offset) -> Result<()> {
        self.boot.sure(&HERE, "trim", || self.inner.trim(lane, upto))
    }
}
