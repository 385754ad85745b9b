//! What a drill is: one seeded way to look for defects, and what it finds.
//!
//! Not here: any drill. Invariant: the same seed does the same, on every machine.

use std::collections::BTreeSet;
use std::fmt;

/// Characters shown of one line of a dump.
const SHOWN: usize = 60;

/// Something that must never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, by its letter and name in the reliability notes: `C conservation`.
    pub invariant: &'static str,
    /// What was seen, with figures; no row values of users stand here, the world's are invented.
    pub what: String,
    /// The steps that led there, oldest first.
    pub trace: Vec<String>,
}

impl Violation {
    /// A violation without a trace.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Violation { invariant, what: what.into(), trace: Vec::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// One seeded way to look for defects.
#[derive(Clone, Copy)]
pub struct Drill {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it looks for, in half a line.
    pub about: &'static str,
    /// Seeds from 0 that continuous integration runs.
    pub seeds_in_ci: u64,
    /// Runs it once.
    pub run: fn(u64) -> Result<(), Violation>,
}

/// Every drill.
pub fn all() -> Vec<Drill> {
    use crate::drills;
    [
        crate::world::drills(),
        drills::files::drills(),
        drills::frames::drills(),
        drills::log::drills(),
        drills::masks::drills(),
        drills::proofs::drills(),
        drills::schedules::drills(),
        drills::secrets::drills(),
        drills::sqlite::drills(),
        drills::texts::drills(),
    ]
    .concat()
}

/// What of a dump is not there, and what is there besides, each line as far as it is worth reading.
pub fn difference(known: &BTreeSet<String>, there: &BTreeSet<String>) -> String {
    let shown = |line: &String| line.chars().take(SHOWN).collect::<String>();
    let lost: Vec<_> = known.difference(there).map(shown).collect();
    let new: Vec<_> = there.difference(known).map(shown).collect();
    format!("lost {lost:?}, never said {new:?}")
}
