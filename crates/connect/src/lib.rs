//! The edges of the engine: what a source, a target and a log promise, and how they say that something is wrong.
//!
//! A target is not "a writer": it keeps a flow's progress in the same transaction as the rows, it knows who may
//! write, and it can be read back at a cut. A source is not "a reader": it names the history its positions
//! belong to and is told what is durable. Whoever implements these traits runs the suites in [`conformance`],
//! each check of which is itself shown to fail on a wrong implementation.
//!
//! Calls are synchronous and bounded: the owner steps them (docs/design/0001). No async here, no product names.

pub mod clock;
pub mod component;
pub mod conformance;
pub mod connectors;
pub mod encoded;
pub mod error;
pub mod exact;
pub mod files;
pub mod key_order;
pub mod log;
mod masked;
pub mod memory;
pub mod read;
pub mod redact;
pub mod secret;
pub mod setting;
pub mod source;
pub mod target;
pub mod transform;

pub use clock::{Clock, SystemClock};
pub use component::{Capabilities, Connector};
pub use connectors::Connectors;
pub use encoded::{EncodedRows, Encoding};
pub use error::{Error, Kind, Result, State};
pub use files::{FileEntry, FileOptions, FileSite};
pub use log::{Bounds, Log, Tail};
pub use read::{Cut, KeyRange, Owner, Readable, Scan, Sees};
pub use secret::{ProcessSecrets, Reference, Secret, Secrets};
pub use setting::{Setting, SiteSettings};
pub use source::{ChangeReader, ReadRequest, Resume, Retained, Source};
pub use target::{
    Claim, Counters, Fate, Fates, FlowProgress, LaneProgress, LetterPlace, Load, Publish,
    Published, PublishedRun, RowWork, Target, TargetTable, TargetTransaction,
};
pub use transform::{BatchEngine, Classified, Feed, Input, RowTransform, Shape, SqlPlanner};
