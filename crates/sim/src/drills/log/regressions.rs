//! What the failing disk has found in the log, each as the shortest way there.

use super::crash::{Bench, LONG};
use super::model::End;
use super::sample::settings;
use crate::Random;
use change::{LaneId, Offset};
use connect::Log;
use eventlog::EventLog;
use faultdisk::Call;

/// Keeps no change that a disk needs not keep.
fn cut(bench: &Bench) {
    bench.disk.stop();
    bench.disk.power_cut(&mut || 0);
}

fn some(bench: &mut Bench, log: &EventLog, count: u64) -> Result<(), End> {
    for number in 0..count {
        bench.append(log, 1, &mut Random::new(number))?;
        bench.settle(log)?;
    }
    Ok(())
}

fn reopens(bench: &mut Bench) {
    match bench.open() {
        Ok(_) => {}
        Err(End::Broken(violation)) => panic!("{}", bench.explain(violation)),
        Err(End::Trouble) => panic!("the machine has stopped"),
    }
}

#[test]
fn a_log_whose_folder_a_killed_engine_has_made_is_not_lost_with_it() {
    for step in 1..30 {
        let mut bench = Bench::new(step, 1 << 20);
        bench.disk.stop_before(step);
        drop(bench.open());
        bench.disk.stop();
        bench.disk.restart();
        let log = bench.open().ok().unwrap();
        assert!(some(&mut bench, &log, 2).is_ok());
        drop(log);
        cut(&bench);
        reopens(&mut bench);
    }
}

#[test]
fn what_a_killed_engine_has_not_synced_is_synced_before_it_is_called_durable() {
    let mut bench = Bench::new(1, 1 << 20);
    let log = bench.open().ok().unwrap();
    assert!(some(&mut bench, &log, 2).is_ok());
    let held = bench.disk.hold_syncs();
    bench.append(&log, 1, &mut Random::new(9)).ok().unwrap();
    bench.disk.wait_for_held_sync();
    bench.disk.stop();
    drop((held, log));
    bench.disk.restart();
    reopens(&mut bench);
    assert_eq!(bench.model.lanes[&1].durable, 3, "the killed engine had written it");
    cut(&bench);
    reopens(&mut bench);
}

#[test]
fn groups_behind_a_failed_sync_are_not_lost_by_a_power_cut() {
    let mut bench = Bench::new(1, 1 << 20);
    let log = bench.open().ok().unwrap();
    assert!(some(&mut bench, &log, 2).is_ok());
    bench.disk.fail(Call::Sync, "-wal", 0);
    let body = bench.model.next(1, &mut Random::new(9));
    let offset = log.append(LaneId::mint(1), body.clone()).unwrap();
    assert!(log.durable(LaneId::mint(1), offset, LONG).is_err());
    bench.model.lanes.get_mut(&1).unwrap().given.push(body);
    drop(log);
    let log = bench.open().ok().unwrap();
    assert!(some(&mut bench, &log, 4).is_ok());
    drop(log);
    cut(&bench);
    reopens(&mut bench);
}

#[test]
fn a_file_that_was_let_go_of_half_copied_does_not_keep_the_log_from_opening() {
    for after in 0..12 {
        let mut bench = Bench::new(after, 6 << 10);
        bench.disk.fail(Call::Write, "hot-0001.db", after + 80);
        for _ in 0..3 {
            let Ok(log) = bench.open() else { continue };
            if some(&mut bench, &log, 14).is_err() {
                // What was given to a log that died may be there or not.
                continue;
            }
            let lane = bench.model.lanes.get_mut(&1).unwrap();
            lane.trimmed = lane.durable - 1;
            let done = log.trim(LaneId::mint(1), Offset(lane.trimmed));
            assert!(done.and_then(|()| log.rest()).is_ok());
        }
        for bits in [0, u64::MAX / 2, u64::MAX] {
            bench.disk.stop();
            bench.disk.power_cut(&mut || bits);
            reopens(&mut bench);
        }
    }
}

#[test]
fn a_file_that_cannot_be_switched_to_wal_is_not_used() {
    for after in 0..8 {
        let bench = Bench::new(after, 1 << 20);
        bench.disk.fail(Call::Sync, "hot-0001.db", after);
        let Ok(log) = EventLog::open(&bench.dir(), settings(1, 1 << 20)) else { continue };
        let taken = log.append(LaneId::mint(1), bench.model.next(1, &mut Random::new(1)));
        let durable = taken.and_then(|offset| log.durable(LaneId::mint(1), offset, LONG));
        if durable.is_ok() {
            assert!(bench.dir().join("hot-0001.db-wal").exists(), "failure {after}");
            drop(log);
            cut(&bench);
            let log = EventLog::open(&bench.dir(), settings(1, 1 << 20)).unwrap();
            assert_eq!(log.tail(LaneId::mint(1)).unwrap().durable, Offset(1));
        }
    }
}
