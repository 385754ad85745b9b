//! The proof that a target equals its source under live writes, and what to do where it does not.
//!
//! The scan proof (PROVE in ARCHITECTURE.md): a source cut S, a target cut T taken once the applier has passed S, and
//! the log between them. Keys that no change between S and T touched must be equal; the others must equal their
//! newest image in the log. Nothing is paused, nothing is waited out, nothing is written.
//!
//! Not here: connecting, waiting and repairing themselves ([`Surroundings`] and the applier do that), clocks and
//! randomness. The path of rows is walked apart from the applier's code, so that no fault is shared.
//!
//! The proof by ledger ([`Prover::prove_by_ledger`]) reads the target alone: a [`Ledger`] keeps what the log says of a
//! table as digests of its leaves, and only what differs is looked at row by row.
//!
//! [`Prover::prove`] gives a [`TableProof`]; [`RepairPlan::of`] what would mend it; [`Certificate`] keeps it.

mod attribute;
mod by_ledger;
mod certificate;
mod chain;
mod compare;
mod correction;
mod deltas;
mod fit;
mod foreign;
mod history;
mod images;
mod kept;
mod key_hash;
mod leaves;
mod ledger;
mod look;
mod narrow;
mod outcome;
mod pace;
mod prove;
mod repair;
mod rows;
mod settings;
mod sides;
mod slices;
mod source_side;
mod subject;
mod surroundings;
mod systematic;
mod tally;
mod target_rows;
mod touched;
mod verdict;
mod walk;

pub use certificate::{
    About, Certificate, CertificateFault, Cost, Coverage, DifferenceEntry, LagEntry, Mended,
    Offsets, Page, Piece, Positions, SystematicEntry, head_of, is_of_older_format, split, verify,
};
pub use chain::{Head, LinkFault, Linked, follow};
pub use correction::{Correction, Known};
pub use leaves::Leaf;
pub use ledger::{Ledger, LedgerHead, Reach};
pub use outcome::{TableProof, Tier};
pub use repair::{Limits, Lot, Refusal, RepairPlan};
pub use settings::{Empty, Settings};
pub use subject::{Excluded, RowPath, Subject, Writer};
pub use surroundings::{Reached, Surroundings};
pub use systematic::Systematic;
pub use verdict::{Difference, DifferenceKind, Lag, LogChange, Reason, ShownBy, Side, Verdict};

use change::DigestKey;
use connect::{Clock, Log};

/// Proves tables against the log they are fed from.
pub struct Prover<'a> {
    /// The log.
    pub log: &'a dyn Log,
    /// Time, for lags and certificates.
    pub clock: &'a dyn Clock,
    /// The secret seed of row hashes.
    pub key: DigestKey,
    /// Bounds.
    pub settings: Settings,
}
