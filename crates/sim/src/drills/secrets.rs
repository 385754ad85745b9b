//! Secrets, fences and the audit log (S1, S2, S7, S11): what must be seen nowhere, what must not be reached, and what
//! cannot be changed unseen.

mod chain;
mod fence;
mod hidden;

use crate::drill::Drill;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    let drill = |name, about, seeds_in_ci, run| Drill { name, about, seeds_in_ci, run };
    vec![
        drill("secrets", "passwords of any signs, by reference and written down", 40, hidden::run),
        drill("fence", "links and paths that lead out of a folder of files", 40, fence::run),
        drill("audit", "edits of the audit log, and crashes while it is written", 50, chain::run),
    ]
}
