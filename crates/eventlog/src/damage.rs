//! Something stored reads back wrong, and where.
//!
//! Not an error of its own at the edge: it becomes `connect::Error` with `State::LogCorrupt`, lane and offset.

use change::{LaneId, Offset};
use connect::{Error, State};

/// What is wrong with stored bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage(String);

impl Damage {
    pub(crate) fn new(found: impl Into<String>) -> Self {
        Damage(found.into())
    }

    /// The error an operator sees.
    pub(crate) fn at(self, lane: LaneId, offset: Offset) -> Error {
        Error::corrupt(format!("frame {offset} of lane {lane} reads back wrong"))
            .found(self.0)
            .state(State::LogCorrupt)
            .effect("the groups of this frame cannot be delivered; its neighbours can be read")
            .fix("check the disk, then `seamount reconcile` the flows that read this lane")
    }
}

impl From<arrow::error::ArrowError> for Damage {
    fn from(error: arrow::error::ArrowError) -> Self {
        Damage::new(format!("the columns cannot be decoded: {error}"))
    }
}

/// Reads little-endian numbers and byte strings off a slice; running over the end is damage, never a panic.
pub(crate) struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) fn new(all: &'a [u8]) -> Self {
        Bytes { all, at: 0 }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.all.len());
        let end = end.ok_or_else(|| Damage::new("the frame ends too early"))?;
        let taken = &self.all[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Damage> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        let bytes = self.take(4)?.try_into().expect("four bytes were taken");
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn length(&mut self) -> Result<usize, Damage> {
        Ok(usize::try_from(self.u32()?).expect("32 bits fit a usize"))
    }

    /// Skips padding up to a multiple of `alignment`.
    pub(crate) fn align(&mut self, alignment: usize) -> Result<(), Damage> {
        self.take(self.at.next_multiple_of(alignment) - self.at).map(|_| ())
    }

    /// How far reading has come.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.all.len()
    }
}
