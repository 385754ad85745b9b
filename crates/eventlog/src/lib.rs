//! The embedded log: groups as frames in SQLite files, one commit at a time for all lanes.
//!
//! Why SQLite: crash safety that need not be written again, and a log that any SQLite tool can look into. What SQLite
//! does not look for, the CRC32C of every frame finds. Not here: sealed history, and anything that knows a flow.
//!
//! Durability in one paragraph. [`EventLog::append`](connect::Log::append) encodes on the caller's thread, gives the
//! offset and queues. Whoever commits takes everything that waits, of all lanes, as one transaction with one sync; only
//! then are the groups shown to anybody. That is the writer thread, or a caller of [`durable`](connect::Log::durable)
//! that is patient and finds nobody at work; a disk that stalls holds such a caller for longer than it asked for. On a
//! full disk nothing that has an offset is given up: it waits in memory, in order, and is written when space is back;
//! further appends fail with `DISK_FULL` meanwhile. After any other failure the log is dead until it is opened again,
//! because nobody knows what the disk holds.

mod body;
mod cache;
mod catalog;
mod checkpoint;
mod commit;
mod damage;
mod failure;
mod frame;
mod hot;
mod images;
mod lock;
mod log;
mod opening;
mod places;
mod pool;
mod read;
mod reader;
mod retention;
mod rotate;
mod schemas;
mod settings;
mod shared;
mod squeeze;
#[cfg(test)]
mod trials;
mod writer;

pub use lock::{LockHolder, StateLock};
pub use log::{EventLog, LaneStatus};
pub use reader::LogReader;
pub use retention::{Because, LetGo, Policy};
pub use settings::Settings;
