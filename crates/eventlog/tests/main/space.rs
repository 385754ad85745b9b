//! A disk that is really full, and a write that really fails, in a child process with a limit of its own.

use super::sample::{LONG, group, lane, open, read_all};
use change::Offset;
use connect::{Kind, Log, State};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const FULL: &str = "SEAMOUNT_LOG_FULL";
const FAILING: &str = "SEAMOUNT_LOG_FAILING";

fn child(script: &str, test: &str, variable: &str, dir: &Path) -> std::process::Output {
    Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(dir)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, dir)
        .output()
        .unwrap()
}

/// Runs only as a child, on a file system of 3 MiB.
#[test]
fn child_on_a_small_disk() {
    let Some(dir) = std::env::var_os(FULL) else { return };
    let dir = Path::new(&dir);
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let log = open(&dir.join("log"));
    let (mut number, mut refused) = (0, 0);
    while refused < 3 {
        match log.append(lane(1), group(number + 1, 200)) {
            Ok(offset) => {
                number += 1;
                assert_eq!(offset, Offset(number));
                log.durable(lane(1), offset, Duration::from_millis(300)).unwrap();
            }
            Err(error) => {
                assert_eq!((error.kind, error.state), (Kind::Unavailable, Some(State::DiskFull)));
                assert!(log.is_disk_full());
                refused += 1;
                log.durable(lane(1), Offset(number), Duration::from_millis(300)).unwrap();
            }
        }
    }
    assert!(log.tail(lane(1)).unwrap().durable < Offset(number), "something waits");
    std::fs::remove_file(ballast).unwrap();
    assert!(log.durable(lane(1), Offset(number), LONG).unwrap(), "it resumes by itself");
    let next = log.append(lane(1), group(number + 1, 200)).unwrap();
    assert!(log.durable(lane(1), next, LONG).unwrap());
    let all = read_all(&log, lane(1), 0);
    assert_eq!(all.len() as u64, number + 1);
    all.iter().for_each(|read| assert_eq!(read.body, group(read.offset.0, 200)));
    println!("resumed after {number}");
}

#[test]
fn a_full_disk_pauses_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let script = "exec unshare --user --map-root-user --mount sh -c \
        'mount -t tmpfs -o size=3m tmpfs \"$1\" || exit 77; shift; exec \"$@\"' sh \"$@\"";
    let output = child(script, "main::space::child_on_a_small_disk", FULL, dir.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && !text.contains("running 1 test") {
        println!("SKIPPED: no small file system can be mounted here: {errors}");
        return;
    }
    assert!(output.status.success() && text.contains("resumed after"), "{text}\n{errors}");
}

/// Runs only as a child that may write no file beyond a limit: writes fail with an I/O error.
#[test]
fn child_whose_writes_fail() {
    let Some(dir) = std::env::var_os(FAILING) else { return };
    let log = open(Path::new(&dir));
    let mut number = 0;
    let lost = loop {
        let taken = log.append(lane(1), group(number + 1, 200));
        let lost = match taken {
            Ok(offset) => log.durable(lane(1), offset, LONG).err(),
            Err(error) => Some(error),
        };
        match lost {
            Some(error) => break error,
            None => number += 1,
        }
    };
    assert_eq!((lost.kind, lost.state), (Kind::Corrupt, Some(State::LogCorrupt)));
    for other in [1, 2] {
        let refused = log.append(lane(other), group(number + 1, 1)).unwrap_err();
        assert_eq!(refused.kind, Kind::Corrupt, "a failed write is never tried again");
    }
    assert!(log.durable(lane(1), Offset(number), LONG).unwrap());
    println!("durable {number};");
}

#[test]
fn an_io_error_ends_the_log_and_reopening_reads_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let script = "shift; trap '' XFSZ; ulimit -f 1500 || exit 77; exec \"$@\"";
    let output = child(script, "main::space::child_whose_writes_fail", FAILING, dir.path());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let durable = text.split_once("durable ").unwrap().1.split_once(';').unwrap().0;
    let durable: u64 = durable.parse().unwrap();
    assert!(durable > 0);
    let log = open(dir.path());
    let all = read_all(&log, lane(1), 0);
    assert!(all.len() as u64 >= durable, "{} of {durable} are there", all.len());
    all.iter().for_each(|read| assert_eq!(read.body, group(read.offset.0, 200)));
    let next = log.append(lane(1), group(all.len() as u64 + 1, 3)).unwrap();
    assert!(log.durable(lane(1), next, LONG).unwrap());
}
