//! How thorough, how large and how patient a proof is.

/// Bounds of a proof. [`Settings::default`] suits tables under live writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most source rows read at one cut; fewer where a cut is held for long.
    pub chunk_rows: usize,
    /// Rows in a leaf, about: those of an unequal one are told apart by key.
    pub leaf_rows: usize,
    /// How often a piece is tried again that a truncate or a schema change came into.
    pub attempts: u32,
    /// Most differences that are listed; the others are counted.
    pub listed: usize,
    /// Whether a table without rows on either side is fine.
    pub empty: Empty,
}

/// What to make of a table without rows on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// UNPROVEN: nothing was compared.
    Unproven,
    /// EQUAL: it was declared that the table may be empty.
    Fine,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            chunk_rows: 100_000,
            leaf_rows: 64,
            attempts: 3,
            listed: 10_000,
            empty: Empty::Unproven,
        }
    }
}
