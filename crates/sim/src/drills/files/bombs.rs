//! Files that are small, or look harmless, and would take the engine's memory.
//!
//! Each must be refused with a typed error that names the file, before it was read whole. How much memory that took
//! is measured by a test of the connectors, in a process of its own.

use super::columnar;
use super::folder::{COMPLETE, Folder, is_clear};
use crate::drill::Violation;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

const MIB: usize = 1 << 20;

/// A file that must be refused.
pub struct Bomb {
    /// What it is.
    pub name: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// Its bytes.
    pub make: fn() -> Vec<u8>,
}

const fn bomb(name: &'static str, file: &'static str, make: fn() -> Vec<u8>) -> Bomb {
    Bomb { name, file, make }
}

/// All of them.
pub const BOMBS: &[Bomb] = &[
    bomb("nothing at all", "day.csv", Vec::new),
    bomb("a quote that is never closed", "day.csv", || open_quote(40 * MIB)),
    bomb("a cell of 100 MB", "day.csv", || [b"a,b\n1,", &vec![b'x'; 100_000_000][..]].concat()),
    bomb("a row of a million columns", "day.csv", || {
        [b"a,b\n".to_vec(), b"1,".repeat(1_000_000)].concat()
    }),
    bomb("a header of a million columns", "day.csv", || {
        (0..1_000_000).map(|n| format!("c{n},")).collect::<String>().into_bytes()
    }),
    bomb("a file in UTF-16", "day.csv", || {
        let text = "\u{feff}a,b\r\nü,2\r\n";
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    bomb("one long text, referred to by every row", "day.parquet", || {
        rows_of(4 * MIB, 300, packed().set_dictionary_page_size_limit(16 * MIB))
    }),
    bomb("a text longer than a row, referred to", "day.parquet", || {
        rows_of(20 * MIB, 2, packed().set_dictionary_page_size_limit(64 * MIB))
    }),
    bomb("a text longer than a row", "day.parquet", || {
        rows_of(20 * MIB, 1, packed().set_dictionary_enabled(false))
    }),
    bomb("a page of 40 MiB in a few thousand bytes", "day.parquet", || {
        rows_of(40 * MIB, 1, packed().set_dictionary_enabled(false))
    }),
    bomb("a footer of two billion row groups", "day.parquet", || footer_of(&GROUPS)),
    bomb("a footer of a hundred thousand levels", "day.parquet", deep_footer),
    bomb("a footer longer than the file", "day.parquet", || {
        [&b"PAR1"[..], &[0; 20], &0x00ff_ffffu32.to_le_bytes(), b"PAR1"].concat()
    }),
];

/// One bomb.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let place = usize::try_from(seed % BOMBS.len() as u64).expect("a place in the list");
    let Bomb { name, file, make } = &BOMBS[place];
    let mut folder = Folder::new();
    folder.put(file, &make());
    match folder.count(file) {
        Ok(rows) => Err(Violation::new(COMPLETE, format!("{name} is read: {rows} rows"))),
        Err(error) => is_clear(&error, file),
    }
}

fn open_quote(bytes: usize) -> Vec<u8> {
    [b"a,b\n1,2\n3,\"", &b"line\n".repeat(bytes / 5)[..]].concat()
}

fn packed() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
}

/// A column of the same text in every row.
fn rows_of(bytes: usize, rows: usize, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let text = "0".repeat(bytes);
    columnar::repeated(&text, rows, properties.build())
}

/// A file of nothing but a footer.
fn footer_of(footer: &[u8]) -> Vec<u8> {
    let size = u32::try_from(footer.len()).expect("a small footer").to_le_bytes();
    [b"PAR1", footer, &size, b"PAR1"].concat()
}

/// Version 1, a schema of one column, no rows, a list of 2^31 - 1 row groups.
const GROUPS: [u8; 31] = [
    0x15, 0x02, // version
    0x19, 0x2c, // schema: two elements
    0x48, 0x01, b'r', 0x15, 0x02, 0x00, // root with one child
    0x15, 0x02, 0x25, 0x02, 0x18, 0x01, b'a', 0x00, // column a
    0x16, 0x00, // rows
    0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, // row groups
    0x00, 0x00, 0x00, 0x00,
];

/// A schema of groups with one child each.
fn deep_footer() -> Vec<u8> {
    const LEVELS: usize = 100_000;
    let mut footer = vec![0x15, 0x02, 0x19, 0xfc];
    let mut left = LEVELS;
    while left >= 0x80 {
        footer.push(u8::try_from(left & 0x7f | 0x80).expect("a byte"));
        left >>= 7;
    }
    footer.push(u8::try_from(left).expect("a byte"));
    for _ in 0..LEVELS {
        footer.extend([0x48, 0x01, b'g', 0x15, 0x02, 0x00]);
    }
    footer.extend([0x16, 0x00, 0x19, 0x0c, 0x00]);
    footer_of(&footer)
}
