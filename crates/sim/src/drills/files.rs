//! To be filled by its owner.

use crate::drill::Drill;

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    Vec::new()
}
