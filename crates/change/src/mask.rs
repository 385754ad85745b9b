//! Masks: which columns of a site must not leave it, and what leaves in their place.
//!
//! Pure: rules and how they fit a table here, cells in `apply`. Where they are applied is `connect::masked`'s
//! business. Names are compared without regard to ASCII case, as databases do, so that a mask never misses a
//! column for its spelling. Invariant: a rule that cannot be kept is an error, never a value that passes.

mod apply;

pub use apply::{MaskedTable, Unfit};

use crate::schema::TableSchema;
use std::fmt;

/// What becomes of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The column is not there for anything behind the site.
    Drop,
    /// A keyed hash as 32 hex digits: equal values stay equal, all over the project.
    Hash,
    /// Texts become `***`, everything else null.
    Mask,
}

impl Rule {
    /// The word in `sites.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Rule::Drop => "drop",
            Rule::Hash => "hash",
            Rule::Mask => "mask",
        }
    }
}

/// The secret of a project's hashes.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// A key from random bits.
    pub fn new(bits: [u64; 4]) -> Self {
        let mut key = [0; 32];
        for (bytes, bits) in key.chunks_exact_mut(8).zip(bits) {
            bytes.copy_from_slice(&bits.to_le_bytes());
        }
        MaskKey(key)
    }

    /// A key as it is stored; `None` where the text is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for (n, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
        }
        Some(MaskKey(key))
    }

    /// The key as text, for the store that keeps secrets.
    pub fn reveal(&self) -> String {
        hex(&self.0)
    }

    /// The hash of one cell in its canonical encoding: 128 bits as hex digits.
    pub fn hash(&self, canonical_cell: &[u8]) -> String {
        hex(&blake3::keyed_hash(&self.0, canonical_cell).as_bytes()[..16])
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(secret)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rules of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMask {
    /// The table at the site.
    pub table: String,
    /// Columns with their rules.
    pub columns: Vec<(String, Rule)>,
}

impl TableMask {
    /// The rule of a column.
    pub fn rule(&self, column: &str) -> Option<Rule> {
        let named = self.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
        named.map(|(_, rule)| *rule)
    }

    /// The same rules for those columns only that a shape has.
    #[must_use]
    pub fn among(&self, schema: &TableSchema) -> TableMask {
        let there = |name: &str| schema.columns().iter().any(|c| c.name.eq_ignore_ascii_case(name));
        let mut kept = self.clone();
        kept.columns.retain(|(name, _)| there(name));
        kept
    }

    /// The rules as text: equal for equal rules, however they are written.
    pub fn definition(&self) -> String {
        let mut lines: Vec<String> = self
            .columns
            .iter()
            .map(|(name, rule)| format!("{:?} {}", name.to_ascii_lowercase(), rule.word()))
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

/// All masks of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks(Vec<TableMask>);

impl Masks {
    /// Masks by table; rules of tables that differ only in case are put together.
    pub fn new(tables: impl IntoIterator<Item = TableMask>) -> Self {
        let mut all: Vec<TableMask> = Vec::new();
        for table in tables.into_iter().filter(|table| !table.columns.is_empty()) {
            match all.iter_mut().find(|t| t.table.eq_ignore_ascii_case(&table.table)) {
                Some(there) => there.columns.extend(table.columns),
                None => all.push(table),
            }
        }
        Masks(all)
    }

    /// The mask of a table.
    pub fn of(&self, table: &str) -> Option<&TableMask> {
        self.0.iter().find(|mask| mask.table.eq_ignore_ascii_case(table))
    }

    /// The rules of a table as text; empty where it has none.
    pub fn definition(&self, table: &str) -> String {
        self.of(table).map(TableMask::definition).unwrap_or_default()
    }

    /// All tables with a mask.
    pub fn tables(&self) -> impl Iterator<Item = &TableMask> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
