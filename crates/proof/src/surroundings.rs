//! What the proof asks of whoever runs it: cuts of both sides, and patience.
//!
//! Implemented by an engine in service and by a one-shot command. It never pauses an applier: the applier runs
//! on, and the log tells what it did meanwhile.

use change::{Offset, SourcePosition};
use connect::{Cut, Result};
use std::collections::BTreeSet;

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It came true; the place that was reached.
    At(Offset),
    /// It did not come true in the time allowed; the reason becomes the reason of UNPROVEN.
    Never(String),
}

/// The world around one table's proof: one source site, one target, one lane.
pub trait Surroundings {
    /// A fresh cut of the source.
    ///
    /// # Errors
    /// The site is gone; `Unavailable` makes the table UNPROVEN.
    fn source_cut(&mut self) -> Result<Box<dyn Cut>>;

    /// A fresh cut of the target.
    ///
    /// # Errors
    /// The site is gone; `Unavailable` makes the table UNPROVEN.
    fn target_cut(&mut self) -> Result<Box<dyn Cut>>;

    /// Waits until the log has passed `closing`: every change of the cut it closes is durable in the lane. Gives
    /// the offset of the lane's newest durable group then.
    ///
    /// # Errors
    /// The log cannot be read, or capture has stopped for good.
    fn captured(&mut self, closing: &SourcePosition) -> Result<Reached>;

    /// Waits until the flow's progress in the target has reached `offset`. Says `Never` too where equality cannot
    /// be asked for yet: the initial snapshot is not complete, the flow is paused.
    ///
    /// # Errors
    /// The target is gone.
    fn applied(&mut self, offset: Offset) -> Result<Reached>;

    /// Canonical bytes of the target keys that are set aside as dead letters now: not compared, and counted.
    /// Asked right behind each target cut. Since a change is parked durably before the target's progress moves
    /// over it, whatever the cut lacks for this reason is among them.
    ///
    /// # Errors
    /// They cannot be read.
    fn parked(&mut self) -> Result<BTreeSet<Vec<u8>>>;

    /// Told from time to time how many rows were compared so far; for progress bars.
    fn compared(&mut self, rows: u64) {
        let _ = rows;
    }
}
