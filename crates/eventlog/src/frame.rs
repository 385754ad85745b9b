//! A frame: one group as one row of the hot log, header in columns, changes in a checked body.
//!
//! Not here: where frames lie (`hot`) and how columns become bytes (`body`, `images`). Invariant: every byte of the
//! body and every header column is under the CRC32C; a frame that decodes is the group that was encoded.

use crate::body;
use crate::damage::Damage;
use crate::schemas::{Schemas, Stored};
use crate::squeeze::Squeezer;
use arrow::buffer::Buffer;
use change::planted::{Defect, is_planted};
use change::{Group, GroupBody, GroupKind, LaneId, Offset, Part, SnapshotChunk, SourcePosition};
use std::sync::Arc;

/// The layout that this code writes; part of what the checksum covers.
const LAYOUT: u32 = 1;

const CHANGES: u8 = 0;
const SNAPSHOT: u8 = 1;
const REPAIR: u8 = 2;

/// What a frame says of its group outside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) lane: LaneId,
    pub(crate) offset: Offset,
    pub(crate) changes: u32,
    pub(crate) commit_time: i64,
    /// `changes`, `snapshot` or `repair`, as a number.
    pub(crate) kind: u8,
    /// A snapshot's chunk as JSON; there is no JSON on the way of ordinary changes.
    pub(crate) chunk: Option<String>,
    pub(crate) part: Part,
    pub(crate) after: SourcePosition,
    pub(crate) upto: SourcePosition,
    /// Length of the body before compression; 0 when it is stored as it is.
    pub(crate) raw_bytes: u32,
}

impl Header {
    fn checksum(&self, body: u32) -> u32 {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&LAYOUT.to_le_bytes());
        bytes.extend_from_slice(&self.lane.to_i64().to_le_bytes());
        bytes.extend_from_slice(&self.offset.0.to_le_bytes());
        bytes.extend_from_slice(&self.changes.to_le_bytes());
        bytes.extend_from_slice(&self.commit_time.to_le_bytes());
        bytes.extend_from_slice(&self.raw_bytes.to_le_bytes());
        bytes.push(self.kind);
        put_text(self.chunk.as_deref(), &mut bytes);
        bytes.extend_from_slice(&self.part.index.to_le_bytes());
        bytes.push(u8::from(self.part.last));
        for position in [&self.after, &self.upto] {
            bytes.extend_from_slice(&position.sequence.to_le_bytes());
            put_text(position.detail.as_deref(), &mut bytes);
        }
        let body = if is_planted(Defect::ChecksumOfHeadOnly) { 0 } else { body };
        crc32c::crc32c_append(body, &bytes)
    }

    fn group_kind(&self) -> Result<GroupKind, Damage> {
        match (self.kind, &self.chunk) {
            (CHANGES, None) => Ok(GroupKind::Changes),
            (REPAIR, None) => Ok(GroupKind::Repair),
            (SNAPSHOT, Some(chunk)) => serde_json::from_str::<SnapshotChunk>(chunk)
                .map(GroupKind::Snapshot)
                .map_err(|e| Damage::new(format!("the snapshot chunk cannot be read: {e}"))),
            _ => Err(Damage::new("the kind of the group cannot be read")),
        }
    }
}

fn put_text(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// A group's body, encoded on its caller's thread before it has an offset.
pub(crate) struct Encoded {
    raw_bytes: u32,
    bytes: Vec<u8>,
    checksum: u32,
    schemas: Vec<Arc<Stored>>,
}

impl Encoded {
    /// Encodes a body, compressed where that pays.
    pub(crate) fn new(body: &GroupBody, schemas: &Schemas, squeezer: &Squeezer) -> Self {
        let used: Vec<Arc<Stored>> = body.batches.iter().map(|b| schemas.of(b.schema())).collect();
        let raw = body::encode(&body.batches, &used);
        let raw_length = u32::try_from(raw.len()).expect("a frame is smaller than 4 GiB");
        let (raw_bytes, bytes) = match squeezer.squeeze(&raw) {
            Some(small) => (raw_length, small),
            None => (0, raw),
        };
        Encoded { raw_bytes, checksum: crc32c::crc32c(&bytes), bytes, schemas: used }
    }

    /// Length as stored.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Puts the group to its place.
    pub(crate) fn place(self, lane: LaneId, offset: Offset, body: &GroupBody) -> Frame {
        let (kind, chunk) = match &body.kind {
            GroupKind::Changes => (CHANGES, None),
            GroupKind::Repair => (REPAIR, None),
            GroupKind::Snapshot(chunk) => {
                let text = serde_json::to_string(chunk).expect("a chunk is plain data");
                (SNAPSHOT, Some(text))
            }
        };
        let header = Header {
            lane,
            offset,
            changes: u32::try_from(body.changes()).expect("a group has less than 2^32 changes"),
            commit_time: body.commit_time,
            kind,
            chunk,
            part: body.part,
            after: body.after.clone(),
            upto: body.upto.clone(),
            raw_bytes: self.raw_bytes,
        };
        let checksum = header.checksum(self.checksum);
        Frame { header, body: self.bytes, checksum, schemas: self.schemas }
    }
}

/// A group ready to be written.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    pub(crate) checksum: u32,
    /// The schemas that the file must hold.
    pub(crate) schemas: Vec<Arc<Stored>>,
}

/// A group as it was read, not yet trusted.
pub(crate) struct Found<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    pub(crate) checksum: u32,
}

impl Found<'_> {
    /// Whether header and body are what was written.
    pub(crate) fn verify(&self) -> Result<(), Damage> {
        match self.header.checksum(crc32c::crc32c(self.body)) == self.checksum {
            true => Ok(()),
            false => Err(Damage::new("its CRC32C does not fit")),
        }
    }

    /// The group, verified. `schema` finds what the body names by number and checksum.
    pub(crate) fn decode(
        self,
        squeezer: &Squeezer,
        schema: &mut body::FindSchema<'_>,
    ) -> Result<Group, Damage> {
        self.verify()?;
        let kind = self.header.group_kind()?;
        let Header { lane, offset, changes, commit_time, part, after, upto, raw_bytes, .. } =
            self.header;
        let raw = match raw_bytes {
            0 => Buffer::from_slice_ref(self.body),
            length => Buffer::from_vec(squeezer.expand(self.body, length)?),
        };
        let changes = usize::try_from(changes).expect("32 bits fit a usize");
        let batches = body::decode(&raw, changes, schema)?;
        let body = GroupBody { kind, part, after, upto, commit_time, batches };
        if body.changes() != changes {
            return Err(Damage::new("another number of changes than its header says"));
        }
        Ok(Group { lane, offset, body })
    }
}
