//! Files in motion: uploaded half, replaced, renamed, grown, under their own name or another's.
//!
//! What a fingerprint was taken of is remembered here by content. The invariant: rows count only if they are the rows
//! of that content, and a fingerprint tells contents apart, and nothing else.

use super::delimited::{self, Row};
use super::folder::{COMPLETE, Folder};
use crate::drill::Violation;
use crate::random::Random;
use std::fs::OpenOptions;
use std::io::Write;

/// Rows of a file that comes in more than one batch.
const MANY: usize = 9_000;

/// One file through its life.
pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut chance = Random::new(seed);
    let mut folder = Folder::new();
    let (first, second) = (content(&mut chance), content(&mut chance));
    for (name, step) in STEPS.iter().enumerate() {
        let found = step(&mut folder, &first, &second, &mut chance);
        found.map_err(|what| Violation::new(COMPLETE, format!("step {name}: {what}")))?;
    }
    Ok(())
}

type Step = fn(&mut Folder, &Content, &Content, &mut Random) -> Result<(), String>;

const STEPS: &[Step] = &[
    same_name_new_content,
    same_content_new_name,
    changed_behind_the_fingerprint,
    grown_while_read,
    renamed_while_read,
    half_uploaded,
    other_writing,
];

/// A text and its rows.
struct Content {
    bytes: Vec<u8>,
    rows: Vec<Row>,
}

fn content(chance: &mut Random) -> Content {
    let (names, few) = delimited::table(chance);
    let salt = chance.bits();
    let mut rows = few;
    let many = usize::try_from(chance.below(2)).expect("0 or 1") * MANY + 3;
    for n in rows.len()..many {
        let cells = (0..names.len()).map(|column| Some(format!("{salt}-{n}-{column}")));
        rows.push(cells.collect());
    }
    let bytes = delimited::write(&names, &rows, chance);
    Content { bytes, rows }
}

fn read(folder: &mut Folder, name: &str, content: &Content) -> Result<String, String> {
    folder.put(name, &content.bytes);
    let pinned = folder.pin(name).map_err(|e| format!("a good file is refused: {e}"))?;
    let rows = folder.read(&pinned, &mut || {}).map_err(|e| format!("a good file: {e}"))?;
    if rows == content.rows { Ok(pinned.fingerprint) } else { Err("other rows are read".into()) }
}

fn same_name_new_content(
    folder: &mut Folder,
    first: &Content,
    second: &Content,
    _: &mut Random,
) -> Result<(), String> {
    let before = read(folder, "day.csv", first)?;
    let after = read(folder, "day.csv", second)?;
    if before == after { Err("new content has the old fingerprint".into()) } else { Ok(()) }
}

fn same_content_new_name(
    folder: &mut Folder,
    first: &Content,
    _: &Content,
    _: &mut Random,
) -> Result<(), String> {
    let here = read(folder, "day.csv", first)?;
    let there = read(folder, "again.csv", first)?;
    if here == there { Ok(()) } else { Err("the same content has another fingerprint".into()) }
}

fn changed_behind_the_fingerprint(
    folder: &mut Folder,
    first: &Content,
    _: &Content,
    chance: &mut Random,
) -> Result<(), String> {
    folder.put("day.csv", &first.bytes);
    let pinned = folder.pin("day.csv").map_err(|e| e.to_string())?;
    // As long as before, and as old as before: only the content tells.
    let path = folder.path("day.csv");
    let modified =
        std::fs::metadata(&path).and_then(|m| m.modified()).map_err(|e| e.to_string())?;
    let mut bytes = first.bytes.clone();
    let last = bytes.len() - 1 - usize::try_from(chance.below(3)).expect("small");
    bytes[last] = if bytes[last] == b'7' { b'8' } else { b'7' };
    folder.put("day.csv", &bytes);
    let file = OpenOptions::new().write(true).open(&path).map_err(|e| e.to_string())?;
    file.set_modified(modified).map_err(|e| e.to_string())?;
    match folder.read(&pinned, &mut || {}) {
        Ok(_) => Err("content that was not fingerprinted counts".into()),
        Err(_) => Ok(()),
    }
}

fn grown_while_read(
    folder: &mut Folder,
    first: &Content,
    _: &Content,
    _: &mut Random,
) -> Result<(), String> {
    folder.put("day.csv", &first.bytes);
    let pinned = folder.pin("day.csv").map_err(|e| e.to_string())?;
    let path = folder.path("day.csv");
    let mut grown = false;
    let mut grow = || {
        let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
        file.write_all(b"\nmore").expect("the drill's folder takes files");
        grown = true;
    };
    let rows = folder.read(&pinned, &mut grow);
    let now = folder.pin("day.csv").map(|pinned| pinned.fingerprint);
    if grown && now.is_ok_and(|now| now == pinned.fingerprint) {
        return Err("a file that has grown has the old fingerprint".into());
    }
    match rows {
        // The last batch may come behind the last byte: then nothing was seen of what came later.
        Ok(rows) if rows == first.rows => Ok(()),
        Ok(_) => Err("rows of a file that has grown count".into()),
        Err(_) => Ok(()),
    }
}

fn renamed_while_read(
    folder: &mut Folder,
    first: &Content,
    second: &Content,
    _: &mut Random,
) -> Result<(), String> {
    folder.put("day.csv", &first.bytes);
    folder.put("new.tmp", &second.bytes);
    let pinned = folder.pin("day.csv").map_err(|e| e.to_string())?;
    let (from, onto) = (folder.path("new.tmp"), folder.path("day.csv"));
    let rows = folder.read(&pinned, &mut || drop(std::fs::rename(&from, &onto)));
    match rows {
        Ok(rows) if rows != first.rows => Err("rows of two files are mixed".into()),
        _ => Ok(()),
    }
}

fn half_uploaded(
    folder: &mut Folder,
    first: &Content,
    _: &Content,
    chance: &mut Random,
) -> Result<(), String> {
    let half = usize::try_from(chance.below(first.bytes.len() as u64)).expect("a length");
    folder.put("day.csv", &first.bytes[..half]);
    let expected = delimited::parse(&first.bytes[..half]).map(|(_, rows)| rows);
    let pinned = folder.pin("day.csv");
    // The upload goes on behind the fingerprint.
    if chance.once_in(2) {
        folder.put("day.csv", &first.bytes);
        return match pinned.and_then(|pinned| folder.read(&pinned, &mut || {})) {
            Ok(_) => Err("a file that was fingerprinted half counts whole".into()),
            Err(_) => Ok(()),
        };
    }
    match (pinned.and_then(|pinned| folder.read(&pinned, &mut || {})), expected) {
        (Ok(rows), Some(expected)) if rows == expected => Ok(()),
        (Err(_), None) => Ok(()),
        (Ok(_), _) => Err("half a file is read although it shows".into()),
        (Err(e), Some(_)) => Err(format!("half a file that cannot be told is refused: {e}")),
    }
}

/// With a mark in front or without, with one line end or the other: the same rows.
fn other_writing(
    folder: &mut Folder,
    first: &Content,
    _: &Content,
    chance: &mut Random,
) -> Result<(), String> {
    let (names, rows) = delimited::parse(&first.bytes).ok_or("the oracle reads its own text")?;
    for _ in 0..3 {
        let bytes = delimited::write(&names, &rows, chance);
        read(folder, "day.csv", &Content { bytes, rows: rows.clone() })?;
    }
    Ok(())
}
