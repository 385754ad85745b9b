//! Pure data: what moves, where it stands, and how two rows are told equal.
//!
//! Not here: I/O, threads, clocks, randomness, product names. Everything that moves is a [`Group`] of
//! [`ChangeBatch`]es; its place in a lane is an [`Offset`], its place at the source a [`SourcePosition`].

pub mod any;
pub mod batch;
pub mod calendar;
pub mod canonical;
pub mod compatibility;
pub mod digest;
pub mod group;
pub mod id;
pub mod mask;
pub mod planted;
pub mod position;
pub mod schema;
pub mod value;

pub use batch::{ChangeBatch, Op};
pub use digest::{Digest, DigestKey};
pub use group::{Group, GroupBody, GroupKind, Part, SnapshotChunk};
pub use id::{FlowId, Generation, HolderId, LaneId, LogId, Offset, RunId, SnapshotId};
pub use position::{History, SourcePosition};
pub use schema::{Column, ColumnType, SchemaError, TableSchema};
pub use value::{Key, Value};
