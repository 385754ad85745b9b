//! Stages: rows that wait invisibly until their run is published or discarded.

use super::writer::{Writer, article, nameless, run, share, sink_error, skus, stock};
use super::{Outcome, TargetHarness, fails};
use crate::error::Kind;
use crate::memory::sample::rows;

/// Staged rows are not seen, neither in the table nor as another one.
pub fn a_stage_is_invisible(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    writer.stage(run(1), &table, &[article(1, "a", "screw", 9), article(2, "a", "nut", 2)]);
    assert_eq!(writer.rows(&table), [article(1, "a", "nail", 1)]);
    assert_eq!(writer.target.tables().expect("readable"), ["stock"], "bookkeeping is left out");
    Outcome::Held
}

/// What is staged reads back in full, run by run and table by table, from any engine.
pub fn staged_rows_read_back(harness: &mut dyn TargetHarness) -> Outcome {
    let (stock, spare) = (stock("stock"), stock("spare"));
    let mut writer = Writer::first(harness, &[stock.clone(), spare.clone()]);
    let many: Vec<_> = (0..2500).map(|sku| article(sku, "a", "nail", sku)).collect();
    writer.stage(run(1), &stock, &many[..1500]);
    writer.stage(run(1), &stock, &many[1500..]);
    writer.stage(run(1), &spare, &[article(7, "a", "nut", 1)]);
    writer.stage(run(2), &stock, &[article(8, "a", "bolt", 1)]);
    drop(writer);
    let mut reader = Writer::stranger(harness, 2);
    let mut staged = reader.staged(run(1), &stock).expect("it is staged");
    staged.sort_by_key(|row| skus(std::slice::from_ref(row)));
    assert!(staged == many, "every staged row reads back once");
    assert_eq!(skus(&reader.staged(run(1), &spare).expect("it is staged")), [7]);
    assert_eq!(skus(&reader.staged(run(2), &stock).expect("it is staged")), [8]);
    Outcome::Held
}

/// Reading what is not staged fails, and so does a sink that has had enough.
pub fn reading_an_absent_stage_fails(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    assert!(writer.staged(run(1), &table).is_err(), "nothing is staged under this run");
    writer.stage(run(1), &table, &[article(1, "a", "nail", 1)]);
    let stopped = writer.target.read_staged(run(1), &table, &mut |_| Err(sink_error()));
    fails(stopped, Kind::Internal, "the sink failed");
    Outcome::Held
}

/// A row that breaks the table's rules is refused on the way into the stage, with all that came with it.
pub fn a_stage_refuses_bad_rows(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let ours = share(&table, "a");
    writer.stage(run(1), &ours, &[article(1, "a", "nail", 1)]);
    for bad in [nameless(3, "a"), article(4, "b", "nut", 1)] {
        let batch = rows(&table.schema, &[article(2, "a", "bolt", 1), bad]);
        let refused = writer.target.stage(run(1), &ours, &batch);
        fails(refused, Kind::Refused, "a row breaks the rules");
        let staged = writer.staged(run(1), &ours).expect("the stage stays");
        assert_eq!(skus(&staged), [1], "a refused call stages nothing");
    }
    Outcome::Held
}

/// Staged runs are listed until they are discarded; another engine can do that too.
pub fn staged_runs_are_listed_until_discarded(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    assert_eq!(writer.target.staged().expect("readable"), []);
    writer.stage(run(1), &table, &[article(1, "a", "nail", 1)]);
    writer.stage(run(2), &table, &[article(1, "a", "nail", 1)]);
    let first = writer.holder;
    drop(writer);
    let mut heir = Writer::stranger(harness, 2);
    heir.claim(&[first]).expect("the holder is known");
    let mut runs = heir.target.staged().expect("readable");
    runs.sort_unstable();
    assert_eq!(runs, [run(1), run(2)], "what a crash left behind is found");
    heir.target.discard(run(1)).expect("it is discarded");
    assert_eq!(heir.target.staged().expect("readable"), [run(2)]);
    assert!(heir.staged(run(1), &table).is_err(), "its rows are gone");
    assert_eq!(skus(&heir.staged(run(2), &table).expect("it is staged")), [1]);
    Outcome::Held
}

/// Discarding what is not there is no error.
pub fn discarding_an_absent_run_is_no_error(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.target.discard(run(1)).expect("nothing is there");
    writer.stage(run(1), &table, &[article(1, "a", "nail", 1)]);
    for _ in 0..2 {
        writer.target.discard(run(1)).expect("once or twice");
    }
    Outcome::Held
}
