//! Rows as one site writes them for its like: they pass the engine unread.
//!
//! For tables that nothing is done to on the way. Invariant: a site gives rows in an encoding only where the site that
//! takes them declares every column as it does itself, so that the same bytes are the same values.

/// How rows are written: the format, and the columns in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The format's name and version, as its connector calls it.
    pub format: &'static str,
    /// Each column's name, and what it is declared as.
    pub columns: Vec<(String, String)>,
}

/// Some whole rows in an encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedRows {
    /// How many.
    pub rows: u64,
    /// Their bytes, without what stands around all rows of a format.
    pub bytes: Vec<u8>,
}
