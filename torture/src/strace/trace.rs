//! What strace writes, read back: which calls that touch the disk a run has made, on which of its files, by thread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The calls that change a disk, or make a change durable.
pub(super) const CALLS: [&str; 7] =
    ["write", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "openat"];

/// What a file of the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// The log.
    Log,
    /// The engine's state.
    State,
    /// The lock of the state folder.
    Lock,
    /// The target.
    Centre,
    /// A source.
    Store,
}

impl Room {
    /// The room of a file; `None` where it is none of ours.
    pub(super) fn of(root: &Path, file: &Path) -> Option<Room> {
        let below = file.strip_prefix(root).ok()?;
        let state = below.strip_prefix("project/.seamount").ok();
        if let Some(in_state) = state {
            let name = in_state.to_string_lossy();
            return Some(match name.as_ref() {
                name if name.starts_with("log") => Room::Log,
                name if name.starts_with("lock") => Room::Lock,
                _ => Room::State,
            });
        }
        if below.starts_with("central") {
            return Some(Room::Centre);
        }
        below.starts_with("stores").then_some(Room::Store)
    }
}

/// The calls of one run on the files of one room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Most calls of a kind that one thread has made.
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// The files, below the root.
    pub(super) files: BTreeSet<PathBuf>,
}

/// All calls of a traced run, by room.
pub(super) fn read(text: &str, root: &Path) -> BTreeMap<Room, Touched> {
    let mut counts: BTreeMap<(Room, &'static str, &str), u64> = BTreeMap::new();
    let mut rooms: BTreeMap<Room, Touched> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, call, file)) = call(line) else { continue };
        let Some(room) = Room::of(root, &file) else { continue };
        let below = file.strip_prefix(root).expect("a room lies below the root").to_path_buf();
        rooms.entry(room).or_default().files.insert(below);
        *counts.entry((room, call, thread)).or_default() += 1;
    }
    for ((room, call, _), count) in counts {
        let most = rooms.entry(room).or_default().calls.entry(call).or_default();
        *most = count.max(*most);
    }
    rooms
}

/// A line that begins a call: its thread, its name, the file it touches.
fn call(line: &str) -> Option<(&str, &'static str, PathBuf)> {
    let (thread, rest) = line.trim_start().split_once(char::is_whitespace)?;
    let (name, arguments) = rest.trim_start().split_once('(')?;
    let name = CALLS.into_iter().find(|call| *call == name)?;
    let file = match name {
        "openat" | "unlink" => between(arguments, '"', '"')?,
        _ => between(arguments.split(',').next()?, '<', '>')?,
    };
    // A file that is gone by now is marked so behind its name.
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    Some((thread, name, PathBuf::from(file)))
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    let from = text.find(open)? + open.len_utf8();
    let length = text[from..].find(close)?;
    Some(&text[from..from + length])
}

/// Calls that strace has tampered with.
pub(super) fn injected(text: &str) -> usize {
    text.lines().filter(|line| line.contains("(INJECTED)")).count()
}

/// Whether strace has seen the traced process killed by SIGKILL.
pub(super) fn killed(text: &str) -> bool {
    text.lines().any(|line| line.contains("+++ killed by SIGKILL +++"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = r#"101  openat(AT_FDCWD</w/project>, "/lib/libc.so.6", O_RDONLY|O_CLOEXEC) = 3</lib/libc.so.6>
101  openat(AT_FDCWD</w/project>, "/w/project/.seamount/log/hot-0001.db-wal", O_RDWR|O_CREAT, 0644) = 5</w/project/.seamount/log/hot-0001.db-wal>
101  pwrite64(5</w/project/.seamount/log/hot-0001.db-wal>, "\0<x>,", 1, 4095) = 1
102  pwrite64(5</w/project/.seamount/log/hot-0001.db-wal>, "\0", 1, 4095 <unfinished ...>
101  fdatasync(7</w/central/central.db-wal> <unfinished ...>
102  <... pwrite64 resumed>)         = 1
102  pwrite64(5</w/project/.seamount/log/hot-0001.db-wal>, "\0", 1, 8191) = -1 ENOSPC (No space left on device) (INJECTED)
101  <... fdatasync resumed>)        = 0
101  unlink("/w/stores/paris.db-journal") = 0
101  write(1</w/said/00001.out>, "{}\n", 3) = 3
101  ftruncate(9</w/project/.seamount/lock (deleted)>, 0) = 0
101  +++ killed by SIGKILL +++
"#;

    #[test]
    fn calls_are_counted_by_room_and_thread() {
        let rooms = read(TRACE, Path::new("/w"));
        let log = &rooms[&Room::Log];
        assert_eq!(log.calls, BTreeMap::from([("openat", 1), ("pwrite64", 2)]));
        assert_eq!(
            log.files.iter().collect::<Vec<_>>(),
            [Path::new("project/.seamount/log/hot-0001.db-wal")]
        );
        assert_eq!(rooms[&Room::Centre].calls, BTreeMap::from([("fdatasync", 1)]));
        assert_eq!(rooms[&Room::Store].calls, BTreeMap::from([("unlink", 1)]));
        assert_eq!(rooms[&Room::Lock].calls, BTreeMap::from([("ftruncate", 1)]));
        assert!(!rooms.contains_key(&Room::State));
    }

    #[test]
    fn what_was_injected_is_seen() {
        assert_eq!((injected(TRACE), killed(TRACE)), (1, true));
        assert_eq!((injected("101 fsync(3</a>) = 0"), killed("")), (0, false));
    }

    #[test]
    fn odd_lines_are_passed_over() {
        for line in ["", "101", "101 exit_group(0)", "101 pwrite64(5, \"\", 1, 2) = 1", "x y(z"] {
            assert_eq!(call(line), None, "{line}");
        }
    }
}
