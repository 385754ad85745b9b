//! Death in the middle: kill -9 of a writing process, and a WAL cut off anywhere.

use super::sample::{LONG, fill, group, lane, open, read_all};
use change::Offset;
use connect::Log;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const CHILD: &str = "SEAMOUNT_LOG_CHILD";

/// Runs only as the child of the test below: appends for ever and says what is durable.
#[test]
fn child_that_appends() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let log = open(Path::new(&dir));
    std::thread::scope(|scope| {
        for id in 1..=3 {
            let log = &log;
            scope.spawn(move || {
                let mut at = log.tail(lane(id)).unwrap().durable;
                loop {
                    at = log.append(lane(id), group(at.0 + 1, 3)).unwrap();
                    // One lane keeps several groups on their way.
                    if id == 1 && !at.0.is_multiple_of(4) {
                        continue;
                    }
                    assert!(log.durable(lane(id), at, LONG).unwrap());
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "durable {id} {at}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn after_kill_9_every_reported_offset_is_there_and_lanes_are_dense() {
    let dir = tempfile::tempdir().unwrap();
    let mut reported: HashMap<u64, u64> = HashMap::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "main::crash::child_that_appends", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let durable = lines.map_while(Result::ok).filter_map(|line| {
            let (_, line) = line.split_once("durable ")?;
            let (id, offset) = line.split_once(' ')?;
            Some((id.parse::<u64>().unwrap(), offset.parse::<u64>().unwrap()))
        });
        for (count, (id, offset)) in durable.enumerate() {
            reported.insert(id, offset);
            if count == 20 + round * 17 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert_eq!(reported.len(), 3);
        let log = open(dir.path());
        for (&id, &offset) in &reported {
            let all = read_all(&log, lane(id), 0);
            assert!(all.len() as u64 >= offset, "lane {id} lost {offset}");
            assert_eq!(log.tail(lane(id)).unwrap().durable, Offset(all.len() as u64));
            for read in all {
                assert_eq!(read.body, group(read.offset.0, 3));
            }
        }
    }
}

#[test]
fn a_wal_cut_off_anywhere_leaves_a_dense_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    for number in 1..=12 {
        fill(&log, lane(1), number..=number);
        fill(&log, lane(2), number..=number);
    }
    drop(log);
    let wal = dir.path().join("hot-0001.db-wal");
    let length = std::fs::metadata(&wal).unwrap().len();
    let mut longest = 0;
    // Everywhere: in headers of the WAL's frames, between them, and inside pages.
    let cuts = (0..24).map(|i| length * i / 24 + i * 7).chain([length - 1, length]);
    for cut in cuts {
        let copy = tempfile::tempdir().unwrap();
        for name in ["hot-0001.db", "hot-0001.db-wal"] {
            std::fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        }
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(copy.path().join("hot-0001.db-wal"))
            .unwrap();
        file.set_len(cut).unwrap();
        drop(file);
        let log = open(copy.path());
        let lengths = [1, 2].map(|id| {
            let all = read_all(&log, lane(id), 0);
            all.iter().for_each(|read| assert_eq!(read.body, group(read.offset.0, 3)));
            all.len()
        });
        assert!(lengths[0] == lengths[1] || lengths[0] == lengths[1] + 1, "{lengths:?}");
        assert!(lengths[0] >= longest, "a longer WAL holds no less");
        longest = lengths[0];
        // What was cut off is appended again, at the same places.
        let next = log.append(lane(1), group(lengths[0] as u64 + 1, 3)).unwrap();
        assert_eq!(next, Offset(lengths[0] as u64 + 1));
    }
    assert_eq!(longest, 12);
}
