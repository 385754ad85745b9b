//! A thousand damaged config files: never a panic, and every problem points into its file.

use super::project::*;
use seamount_flow::Problem;
use std::path::Path;

const FILES: &[(&str, &str)] = &[
    ("seamount.toml", SEAMOUNT),
    ("sites.toml", SITES),
    ("stores.csv", STORES),
    ("flows/inventory.toml", INVENTORY),
];

/// Pieces that configuration is made of, to be put where they do not belong.
const PIECES: &[&str] = &[
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "\r\n",
    ".",
    ",",
    "#",
    "\"\"\"",
    "[[from]]",
    "[from]\n",
    "mode = 3\n",
    "1e999",
    "0x",
    "-0",
    "99999999999999999999",
    "\u{0}",
    "\u{feff}",
    "é",
    "日本",
    "\t",
    "${",
    "${env:",
    "}}",
    "{interval}",
    "inf",
    "2026-01-01",
    "true",
    "sites = []\n",
    "\"\\u{0}\"",
    "0 0 0 0 0",
    "://:@",
    "password=",
];

/// Splitmix64: seeded, so that a failure comes again.
struct Damage(u64);

impl Damage {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    fn once(&mut self, bytes: &mut Vec<u8>) {
        let (a, b) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
        let (from, upto) = (a.min(b), a.max(b).min(a.min(b) + 40));
        match self.below(7) {
            0 => drop(bytes.drain(from..upto)),
            1 => {
                let copy = bytes[from..upto].to_vec();
                bytes.splice(b..b, copy);
            }
            2 if a < bytes.len() && b < bytes.len() => bytes.swap(a, b),
            3 => bytes.insert(a, self.next().to_le_bytes()[0]),
            4 => {
                let piece = PIECES[self.below(PIECES.len())];
                bytes.splice(a..a, piece.bytes());
            }
            5 => bytes.truncate(bytes.len() - self.below(bytes.len().min(60) + 1)),
            _ => self.lines(bytes),
        }
    }

    /// Swaps, doubles or removes whole lines: the result often still is TOML.
    fn lines(&mut self, bytes: &mut Vec<u8>) {
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (a, b) = (self.below(lines.len()), self.below(lines.len()));
        match self.below(3) {
            0 => lines.swap(a, b),
            1 => lines.insert(b, lines[a].clone()),
            _ => drop(lines.remove(a)),
        }
        *bytes = lines.concat();
    }
}

/// Every position lies in its file, and the problem can be shown.
fn check_positions(root: &Path, problem: &Problem) {
    let rendered = problem.render(seamount_flow::Paint::Plain);
    assert!(rendered.lines().count() >= 2, "{rendered}");
    assert!(problem.json().is_object());
    let place = problem.place.as_ref().expect("a problem of a file has a place");
    let Some(spot) = &place.spot else { return };
    let text =
        std::fs::read_to_string(root.join(&place.file)).expect("the file of a problem is there");
    let line = text.split('\n').nth(spot.line - 1).expect("the line is there");
    let length = line.trim_end_matches('\r').chars().count();
    assert!(spot.column >= 1 && spot.column <= line.chars().count() + 1, "{rendered}");
    assert!(spot.len >= 1 && spot.column - 1 + spot.len <= length + 1, "{rendered}");
}

#[test]
fn a_thousand_damaged_files_are_read_or_refused() {
    let mut damage = Damage(20);
    let dir = folder(&[]);
    let (mut usable, mut refused, mut problems) = (0, 0, 0);
    for n in 0..1_000 {
        let (name, text) = FILES[n % FILES.len()];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=damage.below(3) {
            damage.once(&mut bytes);
        }
        std::fs::write(dir.path().join(name), &bytes).unwrap();
        let reading = read_at(dir.path());
        for problem in &reading.problems {
            check_positions(dir.path(), problem);
        }
        problems += reading.problems.len();
        let errors = reading.problems.iter().any(Problem::is_error);
        assert_eq!(reading.project.is_some(), !errors, "{:?}", reading.problems);
        if errors {
            refused += 1;
        } else {
            usable += 1;
        }
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    assert!(usable > 50 && refused > 300 && problems > 500, "{usable} {refused} {problems}");
}

/// What lies in a line end of `\r\n` was once marked one character behind its line.
#[test]
fn a_mark_in_a_line_end_stands_behind_the_last_character() {
    let dir = folder(&[]);
    let broken = INVENTORY.replace("select store_id", "select sto\r\nre_id");
    std::fs::write(dir.path().join("flows/inventory.toml"), broken).unwrap();
    let reading = read_at(dir.path());
    assert!(!reading.problems.is_empty());
    reading.problems.iter().for_each(|problem| check_positions(dir.path(), problem));
}
