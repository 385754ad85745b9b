//! Who may write: the epoch's holder, in the flow's generation, and nobody else.

use super::writer::{Writer, article, progress, run, skus, stock, upsert};
use super::{Outcome, TargetHarness, fails, stops};
use crate::error::{Kind, State};
use crate::memory::sample::rows;
use crate::target::{Load, TargetTable};
use change::Generation;

fn two_engines(harness: &mut dyn TargetHarness) -> (Writer, Writer, TargetTable) {
    let table = stock("stock");
    let first = Writer::first(harness, std::slice::from_ref(&table));
    let second = Writer::stranger(harness, 2);
    (first, second, table)
}

/// An engine that does not know the holder is refused, and the holder writes on.
pub fn another_holder_is_fenced(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut first, mut second, table) = two_engines(harness);
    stops(second.claim(&[]), Kind::Conflict, State::Fenced, "another engine holds the target");
    let begun = second.begin().map(drop);
    stops(begun, Kind::Conflict, State::Fenced, "the target was not claimed");
    first.upsert(&table, &[article(1, "a", "nail", 1)]);
    assert_eq!(skus(&first.rows(&table)), [1]);
    Outcome::Held
}

/// An engine that knows the holder as its own earlier self takes its place.
pub fn a_known_holder_is_accepted(harness: &mut dyn TargetHarness) -> Outcome {
    let (first, mut second, table) = two_engines(harness);
    let known = [second.holder, first.holder];
    second.claim(&known).expect("the holder is known");
    second.upsert(&table, &[article(1, "a", "nail", 1)]);
    second.claim(&[]).expect("an engine may claim what it holds");
    second.upsert(&table, &[article(2, "a", "nail", 1)]);
    assert_eq!(skus(&second.rows(&table)), [1, 2]);
    Outcome::Held
}

/// The operator's word takes a target over from an engine that nobody knows.
pub fn a_target_can_be_taken_over(harness: &mut dyn TargetHarness) -> Outcome {
    let (_, mut second, table) = two_engines(harness);
    second.take_over().expect("the operator said so");
    second.upsert(&table, &[article(1, "a", "nail", 1)]);
    assert_eq!(skus(&second.rows(&table)), [1]);
    Outcome::Held
}

/// Whoever was the holder before writes nothing, whichever way it tries.
pub fn a_zombie_writes_nothing(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut zombie, mut second, table) = two_engines(harness);
    zombie.stage(run(1), &table, &[article(1, "a", "nail", 1)]);
    second.take_over().expect("the operator said so");
    let why = "another engine has taken over";
    let fenced = |result| stops(result, Kind::Conflict, State::Fenced, why);
    fenced(zombie.begin().map(drop));
    let publication = zombie.publication(run(1), Load::Merge, &[(&table, 1)]);
    fenced(zombie.target.publish(&publication).map(drop));
    let batch = rows(&table.schema, &[article(2, "a", "nail", 1)]);
    fenced(zombie.target.stage(run(2), &table, &batch));
    fails(zombie.target.adopt(zombie.flow, Generation::mint(2)), Kind::Conflict, why);
    assert_eq!(second.rows(&table), Vec::<Vec<_>>::new());
    second.upsert(&table, &[article(3, "a", "nail", 1)]);
    Outcome::Held
}

/// A transaction that was open when another engine took over does not commit.
pub fn an_open_transaction_ends_when_another_takes_over(
    harness: &mut dyn TargetHarness,
) -> Outcome {
    let (mut zombie, mut second, table) = two_engines(harness);
    let mut transaction = zombie.begin().expect("begins");
    transaction.write(&table, &upsert(&table.schema, &[article(1, "a", "nail", 1)])).expect("good");
    match second.take_over() {
        Ok(()) => {
            let late = transaction.commit(&[progress(1, 1)]);
            fails(late, Kind::Conflict, "another engine has taken over");
        }
        Err(error) => {
            assert_eq!(error.kind, Kind::Unavailable, "an open transaction locks the target");
            drop(transaction);
            second.take_over().expect("nothing locks the target any more");
        }
    }
    assert_eq!(skus(&second.rows(&table)), Vec::<i64>::new());
    assert_eq!(second.progress(), None, "progress of an ended transaction is not kept");
    second.upsert(&table, &[article(2, "a", "nail", 1)]);
    assert_eq!(skus(&second.rows(&table)), [2]);
    Outcome::Held
}

/// Once a generation is adopted, transactions of the one before are refused.
pub fn an_older_generation_does_not_begin(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, _, table) = two_engines(harness);
    writer.upsert(&table, &[article(1, "a", "nail", 1)]);
    writer.adopt(2);
    writer.generation = Generation::mint(1);
    let begun = writer.begin().map(drop);
    stops(begun, Kind::Conflict, State::Fenced, "the generation is an older one");
    writer.generation = Generation::mint(2);
    writer.upsert(&table, &[article(2, "a", "nail", 1)]);
    Outcome::Held
}

/// A run staged under an older generation is not published; its stage stays for whoever looks.
pub fn an_older_generation_does_not_publish(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, _, table) = two_engines(harness);
    writer.stage(run(1), &table, &[article(1, "a", "nail", 1)]);
    let stale = writer.publication(run(1), Load::Merge, &[(&table, 1)]);
    writer.adopt(2);
    fails(writer.target.publish(&stale), Kind::Conflict, "the generation is an older one");
    assert_eq!(skus(&writer.rows(&table)), Vec::<i64>::new());
    assert_eq!(writer.target.staged().expect("readable"), [run(1)]);
    Outcome::Held
}

/// Progress of an older generation is there until the new one commits, and then all of it is gone.
pub fn old_progress_stays_until_the_first_commit(harness: &mut dyn TargetHarness) -> Outcome {
    let (mut writer, _, _) = two_engines(harness);
    let old = [progress(1, 4), progress(2, 5)];
    writer.begin().expect("begins").commit(&old).expect("commits");
    writer.adopt(2);
    let stays = writer.progress().expect("progress stays readable");
    assert_eq!(stays.generation, Generation::mint(1), "progress names the generation it is of");
    assert_eq!(stays.lanes.into_values().collect::<Vec<_>>(), old);
    writer.begin().expect("begins").commit(&[progress(2, 9)]).expect("commits");
    let now = writer.progress().expect("it wrote");
    assert_eq!(now.generation, Generation::mint(2));
    assert_eq!(now.lanes.into_values().collect::<Vec<_>>(), [progress(2, 9)]);
    Outcome::Held
}
