//! Files as they arrive: damaged, cut off, changed while they are read, and made to take the engine's memory (F32,
//! S13, S14).
//!
//! CSV is judged by a parser of its own ([`delimited`]): the connector must read exactly what that reads, or refuse
//! where it refuses. Of Parquet, damage must not panic nor run away, a cut must be noticed, and rows that were not
//! touched come back as they were written.

mod bombs;
mod columnar;
mod delimited;
mod folder;
mod motion;

use crate::drill::{Drill, Violation};
use crate::drills::texts::damage::damage;
use crate::random::Random;
use folder::{COMPLETE, Folder, is_clear};

pub use bombs::{BOMBS, Bomb};

/// Damaged files a seed.
const EACH: usize = 60;

/// What delimited text is made of.
const PIECES: &[&str] = &[
    "\"", "\"\"", ",", ",,", "\n", "\r\n", "\r", "\u{feff}", "\"\n", ",\"", "\",", "\u{0}", "é",
    "c0", "c0,c1\n", "x\"y", "\"x\"y", "\n\n",
];

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    let drill = |name, about, seeds_in_ci, run| Drill { name, about, seeds_in_ci, run };
    vec![
        drill("files-csv", "damaged CSV against a parser of its own", 100, damaged_csv),
        drill("files-parquet", "damaged, cut and lying Parquet files", 40, columnar::damaged),
        drill("files-motion", "files that change while they are read", 30, motion::run),
        drill(
            "files-bombs",
            "files that are made to take the engine's memory are refused",
            BOMBS.len() as u64,
            bombs::run,
        ),
    ]
}

/// Any bytes as a CSV file.
///
/// # Errors
/// It is read as other rows than the oracle reads, or read where it has to be refused, or refused where not.
pub fn any_csv(bytes: &[u8]) -> Result<(), Violation> {
    csv_in(&mut Folder::new(), bytes)
}

/// Any bytes as a Parquet file.
///
/// # Errors
/// It is refused without a clear word.
pub fn any_parquet(bytes: &[u8]) -> Result<(), Violation> {
    columnar::any_in(&mut Folder::new(), bytes).map(drop)
}

fn csv_in(folder: &mut Folder, bytes: &[u8]) -> Result<(), Violation> {
    folder.put("day.csv", bytes);
    let pinned = folder.pin("day.csv");
    let read = pinned
        .and_then(|pinned| folder.read(&pinned, &mut || {}).map(|rows| (pinned.names(), rows)));
    let expected = delimited::parse(bytes);
    let shown = || format!("{:?}", String::from_utf8_lossy(bytes));
    match (read, expected) {
        (Ok(read), Some(expected)) if read == expected => Ok(()),
        (Err(error), None) => is_clear(&error, "day.csv"),
        (Ok(_), Some(_)) => Err(Violation::new(COMPLETE, format!("read otherwise: {}", shown()))),
        (Ok(_), None) => {
            Err(Violation::new(COMPLETE, format!("read although it is broken: {}", shown())))
        }
        (Err(error), Some(_)) => {
            Err(Violation::new(COMPLETE, format!("refused ({error}): {}", shown())))
        }
    }
}

fn damaged_csv(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let mut folder = Folder::new();
    for n in 0..EACH {
        let (names, rows) = delimited::table(&mut chance);
        let mut bytes = delimited::write(&names, &rows, &mut chance);
        if delimited::parse(&bytes) != Some((names, rows)) {
            return Err(Violation::new("the oracle", "its own text reads otherwise"));
        }
        if n % 4 > 0 {
            damage(&mut bytes, PIECES, &mut chance);
        }
        csv_in(&mut folder, &bytes)?;
    }
    Ok(())
}
