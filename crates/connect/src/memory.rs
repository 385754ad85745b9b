//! Complete implementations in memory of the edges: [`MemoryLog`], [`MemorySource`], [`MemoryTarget`].
//!
//! They are what the rules of movement are tested on before any real system, and the first to pass the suites of
//! [`crate::conformance`]. Nothing in them outlives the process; nothing in them is simplified away. Handles can
//! be cloned and used from many threads.

mod cut;
mod edit;
mod history;
mod log;
mod order;
mod publish;
mod reader;
pub mod sample;
mod site;
mod source;
mod table;
mod target;
mod transaction;

pub use edit::Edit;
pub use log::MemoryLog;
pub use site::{CommitFault, Refusal};
pub use source::{Backup, MemorySource, OldImages};
pub use target::{MemoryTarget, TargetBackup};
