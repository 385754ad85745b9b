//! Runs flows: capture, apply, load, prove, replay.
//!
//! Knows traits and never a product name. Time and chance come in through [`Environment`]; clippy bans the global
//! ones here. The loops are short, are stepped by their owner, and can be dropped at any point: what is durable in
//! log and target says where to go on.

mod apply;
mod around;
mod assembly;
mod audit;
mod board;
mod capture;
mod certify;
mod compact;
mod effect;
mod engine;
mod environment;
mod fates;
mod holders;
mod lane;
mod ledger;
mod ledger_worker;
mod letters;
mod load;
mod mask;
mod motion;
mod orders;
mod pair;
mod path;
mod read_again;
mod reconcile;
mod recovery;
mod repairs;
mod replay;
mod resync;
mod retention;
mod retry;
mod service;
mod state;
mod stepping;
mod watch;
mod write;

pub use apply::Applier;
pub use assembly::{Assembly, Step};
pub use audit::{Act, AuditEntry, verify_audit};
pub use board::{
    Board, FlowStatus, LaneLag, LaneStatus, Latencies, Standing, Trouble, flow_status, lane_status,
};
pub use capture::{LaneCapture, captured_tables};
pub use certify::certified;
pub use engine::{Engine, TakeOver};
pub use environment::{Environment, Random, SystemRandom};
pub use lane::Lane;
pub use ledger::Ledgers;
pub use letters::{LettersReplayed, discard_letters, replay_letters};
pub use load::{Interval, Loader, RunOutcome, Verdicts};
pub use motion::{ByHand, ByService, Motion};
pub use orders::{CaptureOrder, Orders};
pub use path::{Passed, TablePath};
pub use reconcile::{Mending, Reconciliation, reconcile};
pub use repairs::{RepairOrder, RepairOutcome, Repairs};
pub use replay::{ReplayRequest, replay};
pub use resync::resync;
pub use retention::floors;
pub use retry::{Backoff, Decision};
pub use service::{Service, Stop};
pub use state::{
    Author, FlowIdentity, LaneRecord, LedgerName, LedgerNote, Letter, LetterStatus, LoggedMask,
    MovedFrom, NewLetter, Request, RequestStatus, RunRecord, RunState, SnapshotState, State,
    StoredCertificate, StoredLedger, StreamRecord, kept_heads,
};
pub use stepping::{Drained, Stepping};
pub use watch::{Unwatched, Watch};
