//! Damages bytes as disks, networks and editors do: cut, doubled, swapped, replaced, with pieces where they do not
//! belong. Knows no format.

use crate::random::Random;

/// Damages some bytes a few times. `pieces` are what the format is made of.
pub(in crate::drills) fn damage(bytes: &mut Vec<u8>, pieces: &[&str], chance: &mut Random) {
    for _ in 0..=chance.below(3) {
        once(bytes, pieces, chance);
    }
}

/// A place in something of a length, its end too.
fn place(length: usize, chance: &mut Random) -> usize {
    usize::try_from(chance.below(length as u64 + 1)).expect("at most a length")
}

fn once(bytes: &mut Vec<u8>, pieces: &[&str], chance: &mut Random) {
    let (a, b) = (place(bytes.len(), chance), place(bytes.len(), chance));
    let (from, upto) = (a.min(b), a.max(b).min(a.min(b) + 40));
    match chance.below(8) {
        0 => drop(bytes.drain(from..upto)),
        1 => {
            let copy = bytes[from..upto].to_vec();
            bytes.splice(b..b, copy);
        }
        2 if a < bytes.len() && b < bytes.len() => bytes.swap(a, b),
        3 => bytes.insert(a, chance.bits().to_le_bytes()[0]),
        4 if !bytes.is_empty() => {
            let at = a.min(bytes.len() - 1);
            bytes[at] ^= 1 << chance.below(8);
        }
        5 => bytes.truncate(bytes.len() - place(bytes.len().min(60), chance)),
        6 => lines(bytes, chance),
        _ => {
            let piece = chance.pick(pieces).bytes();
            bytes.splice(a..a, piece);
        }
    }
}

/// Swaps, doubles or removes whole lines: the result often still reads.
fn lines(bytes: &mut Vec<u8>, chance: &mut Random) {
    let mut lines: Vec<Vec<u8>> =
        bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let (a, b) = (place(lines.len() - 1, chance), place(lines.len() - 1, chance));
    match chance.below(3) {
        0 => lines.swap(a, b),
        1 => lines.insert(b, lines[a].clone()),
        _ => drop(lines.remove(a)),
    }
    *bytes = lines.concat();
}
