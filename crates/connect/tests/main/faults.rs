//! What only the memory implementations can be made to do: faults at a chosen moment.

use change::{
    ColumnType, FlowId, Generation, GroupBody, GroupKind, HolderId, LaneId, LogId, Offset, Part,
    SourcePosition, Value,
};
use connect::memory::sample::{rows, shape, target_table};
use connect::memory::{CommitFault, Edit, MemoryLog, MemorySource, MemoryTarget};
use connect::{
    Bounds, Claim, Counters, Kind, LaneProgress, Log, ReadRequest, Resume, RowWork, Source, State,
    Target, TargetTable,
};
use std::time::Duration;

fn numbers() -> TargetTable {
    target_table("numbers", &shape(&[("id", ColumnType::Int64), ("n", ColumnType::Int64)], &["id"]))
}

fn ready(site: &MemoryTarget) -> (MemoryTarget, FlowId, Generation) {
    let (mut target, flow, generation) = (site.open(), FlowId::mint(1), Generation::mint(2));
    target.prepare(&[numbers()]).unwrap();
    let claim = Claim { holder: HolderId::mint(3), known: Vec::new(), take_over: true };
    target.claim(&claim).unwrap();
    target.adopt(flow, generation).unwrap();
    (target, flow, generation)
}

fn at(offset: u64) -> LaneProgress {
    LaneProgress {
        log: LogId::mint(4),
        lane: LaneId::mint(5),
        offset: Offset(offset),
        position: SourcePosition::at(offset),
        counters: Counters::default(),
    }
}

/// After `Unavailable` only progress tells whether the commit happened.
#[test]
fn a_commit_that_fails_is_lost_or_unanswered() {
    let site = MemoryTarget::new();
    let (mut target, flow, generation) = ready(&site);
    let work = RowWork::Upsert(rows(&numbers().schema, &[vec![Value::Int(1), Value::Int(2)]]));
    for (fault, kept) in [(CommitFault::Lost, 0), (CommitFault::Unanswered, 1)] {
        site.fail_next_commit(fault);
        let mut transaction = target.begin(flow, generation).unwrap();
        transaction.write(&numbers(), &work).unwrap();
        let failed = transaction.commit(&[at(9)]).unwrap_err();
        assert_eq!(failed.kind, Kind::Unavailable);
        assert_eq!(site.rows("numbers").unwrap().len(), kept);
        assert_eq!(target.progress(flow).unwrap().is_some(), kept > 0);
    }
}

#[test]
fn a_second_transaction_finds_the_target_locked() {
    let site = MemoryTarget::new();
    let (mut target, flow, generation) = ready(&site);
    let mut same_engine = target.clone();
    let open = target.begin(flow, generation).unwrap();
    let locked = same_engine.begin(flow, generation).map(drop).unwrap_err();
    assert_eq!(locked.kind, Kind::Unavailable);
    drop(open);
    same_engine.begin(flow, generation).map(drop).unwrap();
}

#[test]
fn a_refusal_holds_until_it_is_lifted() {
    let site = MemoryTarget::new();
    let (mut target, flow, generation) = ready(&site);
    site.refuse(|table, row| {
        (table == "numbers" && row[1] == Value::Int(13)).then(|| "unlucky".into())
    });
    let mut write = |n| {
        let cells = [vec![Value::Int(1), Value::Int(n)]];
        let work = RowWork::Upsert(rows(&numbers().schema, &cells));
        let mut transaction = target.begin(flow, generation)?;
        transaction.write(&numbers(), &work)?;
        transaction.commit(&[])
    };
    write(12).unwrap();
    assert_eq!(write(13).unwrap_err().kind, Kind::Refused);
    site.accept();
    write(13).unwrap();
}

fn empty_group() -> GroupBody {
    GroupBody {
        kind: GroupKind::Changes,
        part: Part::WHOLE,
        after: SourcePosition::START,
        upto: SourcePosition::at(1),
        commit_time: 0,
        batches: Vec::new(),
    }
}

#[test]
fn a_crash_loses_what_is_held_and_ends_old_handles() {
    let (log, lane) = (MemoryLog::new(LogId::mint(1)), LaneId::mint(2));
    log.append(lane, empty_group()).unwrap();
    log.hold();
    log.append(lane, empty_group()).unwrap();
    log.append(lane, empty_group()).unwrap();
    let opened = log.crash();
    assert_eq!(log.append(lane, empty_group()).unwrap_err().kind, Kind::Corrupt);
    assert_eq!(log.durable(lane, Offset(3), Duration::ZERO).unwrap_err().kind, Kind::Corrupt);
    assert_eq!(opened.read(lane, Offset::START, Bounds::BATCH).unwrap().len(), 1);
    assert_eq!(opened.append(lane, empty_group()).unwrap(), Offset(2));
}

#[test]
fn a_copy_has_another_history_and_goes_its_own_way() {
    let schema = numbers().schema;
    let original = MemorySource::new("original");
    original.define("numbers", &schema);
    let insert = |id| Edit::insert("numbers", [Value::Int(id), Value::Int(0)]);
    let tables = ["numbers".to_string()];
    let mut reader = original.clone().capture(&tables, &Resume::Fresh).unwrap();
    original.commit(&[insert(1)]).unwrap();
    let position = reader.poll(Bounds::BATCH).unwrap().unwrap().upto;
    let behind = Resume::After { history: reader.history().clone(), position };
    let mut copy = MemorySource::copy_of(&original.backup(), "copy");
    let refused = copy.capture(&tables, &behind).map(drop).unwrap_err();
    assert_eq!(refused.state, Some(State::HistoryChanged));
    copy.commit(&[insert(2)]).unwrap();
    assert_eq!(reader.poll(Bounds::BATCH).unwrap(), None, "the copy's changes stay there");
    original.mint_history("original, restored");
    let noticed = reader.poll(Bounds::BATCH).unwrap_err();
    assert_eq!(noticed.state, Some(State::HistoryChanged), "a reader notices too");
}

/// Seed 24614 of the world: the reader said that a table is not captured, and gave no state.
#[test]
fn a_database_set_back_before_a_table_joined_is_another() {
    let source = MemorySource::new("set back");
    for table in ["numbers", "later"] {
        source.define(table, &numbers().schema);
    }
    let first = source.clone().capture(&["numbers".into()], &Resume::Fresh).unwrap();
    let backup = source.backup();
    let behind =
        Resume::After { history: first.history().clone(), position: SourcePosition::at(0) };
    drop(first);
    let both = ["numbers".to_string(), "later".to_string()];
    let mut reader = source.clone().capture(&both, &behind).unwrap();
    let of = |table: &str| ReadRequest::Keys { table: table.into(), keys: Vec::new() };
    assert_eq!(reader.request(of("stranger")).unwrap_err().state, None, "it was never asked for");
    source.restore(&backup);
    let later = reader.request(of("later")).unwrap_err();
    assert_eq!(later.state, Some(State::HistoryChanged));
    let changes = reader.poll(Bounds::BATCH).unwrap_err();
    assert_eq!(changes.state, Some(State::HistoryChanged), "no change of it would come");
}

/// Many threads commit; one captures: every change comes once, and the sum is right.
#[test]
fn handles_are_used_from_many_threads() {
    let source = MemorySource::new("shared");
    source.define("numbers", &numbers().schema);
    let mut reader = source.clone().capture(&["numbers".into()], &Resume::Fresh).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let source = source.clone();
            scope.spawn(move || {
                for i in 0..50 {
                    let row = [Value::Int(thread * 100 + i), Value::Int(i)];
                    source.commit(&[Edit::insert("numbers", row)]).unwrap();
                }
            });
        }
        let mut read = 0;
        while read < 200 {
            read += reader.poll(Bounds::BATCH).unwrap().map_or(0, |group| group.changes());
            std::thread::yield_now();
        }
        assert_eq!(read, 200);
    });
}
