//! Publishing a run: over all tables at once, once, or not at all.

use super::writer::{Writer, article, progress, run, share, skus, stock};
use super::{Outcome, TargetHarness, fails};
use crate::error::Kind;
use crate::memory::sample::{shape, target_table, text};
use crate::read::Owner;
use crate::target::{Load, Published, TargetTable};
use change::{ColumnType, Generation, Value};

fn stage_articles(writer: &mut Writer, number: u64, table: &TargetTable, skus: &[i64]) {
    let rows: Vec<_> = skus.iter().map(|&sku| article(sku, "a", "staged", sku)).collect();
    writer.stage(run(number), table, &rows);
}

/// All tables of a run and its progress become visible, and the stage is gone.
pub fn a_run_is_published_with_its_progress(harness: &mut dyn TargetHarness) -> Outcome {
    let (left, right) = (stock("left_stock"), stock("right_stock"));
    let mut writer = Writer::first(harness, &[left.clone(), right.clone()]);
    stage_articles(&mut writer, 1, &left, &[1, 2]);
    stage_articles(&mut writer, 1, &right, &[3]);
    let mut publication = writer.publication(run(1), Load::Merge, &[(&left, 2), (&right, 1)]);
    publication.progress = vec![progress(1, 44), progress(2, 55)];
    let published = writer.target.publish(&publication).expect("it is published");
    assert_eq!(published, Published::Now { rows: 3, removed: 0 });
    assert_eq!((skus(&writer.rows(&left)), skus(&writer.rows(&right))), (vec![1, 2], vec![3]));
    let now = writer.progress().expect("progress goes with it");
    assert_eq!(now.generation, Generation::mint(1));
    assert_eq!(now.lanes.into_values().collect::<Vec<_>>(), [progress(1, 44), progress(2, 55)]);
    assert_eq!(writer.target.staged().expect("readable"), [], "the stage is gone");
    Outcome::Held
}

/// When one table refuses, no table shows the run, progress stands, and the stage is as it was.
pub fn a_refused_run_shows_nothing(harness: &mut dyn TargetHarness) -> Outcome {
    let (left, right) = (stock("left_stock"), stock("right_stock"));
    let mut writer = Writer::first(harness, &[left.clone(), right.clone()]);
    writer.upsert(&left, &[article(9, "a", "old", 9)]);
    stage_articles(&mut writer, 1, &left, &[1, 2]);
    stage_articles(&mut writer, 1, &right, &[3, 3]);
    for load in [Load::Replace, Load::Append] {
        let mut publication = writer.publication(run(1), load, &[(&left, 2), (&right, 2)]);
        publication.progress = vec![progress(1, 44)];
        let refused = writer.target.publish(&publication);
        fails(refused, Kind::Refused, "a key stands twice");
        assert_eq!(skus(&writer.rows(&left)), [9], "one table of a refused run is seen");
        assert_eq!(skus(&writer.rows(&right)), Vec::<i64>::new());
        let lanes = writer.progress().map_or(0, |progress| progress.lanes.len());
        assert_eq!(lanes, 0, "progress of a refused run is seen");
        assert_eq!(writer.staged(run(1), &left).expect("the stage stays").len(), 2);
        assert_eq!(writer.staged(run(1), &right).expect("the stage stays").len(), 2);
        assert_eq!(writer.target.published(writer.flow).expect("readable"), []);
    }
    Outcome::Held
}

/// A stage that holds another number of rows than was counted is not published.
pub fn counts_that_do_not_agree_are_corrupt(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    stage_articles(&mut writer, 1, &table, &[1, 2]);
    for counted in [0, 1, 3] {
        let publication = writer.publication(run(1), Load::Merge, &[(&table, counted)]);
        let refused = writer.target.publish(&publication);
        fails(refused, Kind::Corrupt, "the stage holds another number of rows");
        assert_eq!(skus(&writer.rows(&table)), Vec::<i64>::new());
        assert_eq!(writer.staged(run(1), &table).expect("the stage stays").len(), 2);
    }
    let publication = writer.publication(run(1), Load::Merge, &[(&table, 2)]);
    writer.target.publish(&publication).expect("the right count is published");
    Outcome::Held
}

/// The same interval with the same content is published once, whatever the run is called.
pub fn the_same_content_is_published_once(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    for number in 1..=3 {
        let sku = i64::try_from(number).expect("small");
        stage_articles(&mut writer, number, &table, &[sku]);
        let mut publication = writer.publication(run(number), Load::Append, &[(&table, 1)]);
        publication.content = "the same".into();
        let published = writer.target.publish(&publication).expect("it is no error");
        match number {
            1 => assert_eq!(published, Published::Now { rows: 1, removed: 0 }),
            _ => assert_eq!(published, Published::Already(run(1)), "the first run is named"),
        }
        assert_eq!(skus(&writer.rows(&table)), [1]);
        assert_eq!(writer.target.staged().expect("readable"), [], "the stage is discarded");
    }
    assert_eq!(writer.target.published(writer.flow).expect("readable").len(), 1);
    Outcome::Held
}

/// The same interval with other content is restated.
pub fn other_content_is_restated(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    for number in 1..=2 {
        let sku = i64::try_from(number).expect("small");
        stage_articles(&mut writer, number, &table, &[sku]);
        let publication = writer.publication(run(number), Load::Replace, &[(&table, 1)]);
        let published = writer.target.publish(&publication).expect("it is published");
        assert_eq!(published, Published::Now { rows: 1, removed: number - 1 });
        assert_eq!(skus(&writer.rows(&table)), [sku]);
    }
    Outcome::Held
}

/// A run is recorded with all that is known of it; the newest comes first, and other flows have their own.
pub fn published_runs_come_newest_first(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    for number in 1..=3 {
        let sku = i64::try_from(number).expect("small");
        stage_articles(&mut writer, number, &table, &[sku, sku + 10]);
        let mut publication = writer.publication(run(number), Load::Merge, &[(&table, 2)]);
        publication.interval = format!("day {}", 9 - number);
        publication.published_at = 1_000_000 * sku;
        writer.target.publish(&publication).expect("it is published");
    }
    let runs = writer.target.published(writer.flow).expect("readable");
    assert_eq!(runs.iter().map(|run| run.run).collect::<Vec<_>>(), [run(3), run(2), run(1)]);
    let newest = &runs[0];
    assert_eq!((newest.interval.as_str(), newest.rows), ("day 6", 2));
    assert_eq!(
        (&newest.content, newest.published_at),
        (&format!("content of {}", run(3)), 3_000_000)
    );
    let other = change::FlowId::mint(0x0DD);
    assert_eq!(writer.target.published(other).expect("readable"), []);
    Outcome::Held
}

/// `Replace` takes the place of all rows, with an empty run too.
pub fn replace_takes_the_place_of_all(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "old", 1), article(2, "a", "old", 2)]);
    stage_articles(&mut writer, 1, &table, &[3, 4, 5]);
    let publication = writer.publication(run(1), Load::Replace, &[(&table, 3)]);
    let published = writer.target.publish(&publication).expect("it is published");
    assert_eq!(published, Published::Now { rows: 3, removed: 2 });
    assert_eq!(skus(&writer.rows(&table)), [3, 4, 5]);
    stage_articles(&mut writer, 2, &table, &[]);
    let publication = writer.publication(run(2), Load::Replace, &[(&table, 0)]);
    let published = writer.target.publish(&publication).expect("an empty run is a run");
    assert_eq!(published, Published::Now { rows: 0, removed: 3 });
    assert_eq!(skus(&writer.rows(&table)), Vec::<i64>::new());
    Outcome::Held
}

/// `Replace` within an interval leaves the rows of other intervals.
pub fn replace_stays_in_its_interval(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let day = |sku, amount| article(sku, "a", "sold", amount);
    writer.upsert(&table, &[day(1, 5), day(2, 5), day(3, 6)]);
    writer.stage(run(1), &table, &[day(2, 5), day(4, 5)]);
    let mut publication = writer.publication(run(1), Load::Replace, &[(&table, 2)]);
    publication.interval_rows = Some(Owner { column: "amount".into(), value: Value::Int(5) });
    writer.target.publish(&publication).expect("it is published");
    assert_eq!(writer.rows(&table), [day(2, 5), day(3, 6), day(4, 5)]);
    Outcome::Held
}

/// `Replace` leaves the rows of other owners.
pub fn replace_stays_with_the_owner(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let (ours, theirs) = (share(&table, "a"), share(&table, "b"));
    let mut writer = Writer::first(harness, std::slice::from_ref(&ours));
    writer.upsert(&ours, &[article(1, "a", "old", 1)]);
    writer.upsert(&theirs, &[article(2, "b", "old", 2)]);
    stage_articles(&mut writer, 1, &ours, &[3]);
    let publication = writer.publication(run(1), Load::Replace, &[(&ours, 1)]);
    let published = writer.target.publish(&publication).expect("it is published");
    assert_eq!(published, Published::Now { rows: 1, removed: 1 });
    assert_eq!(skus(&writer.rows(&table)), [2, 3]);
    Outcome::Held
}

/// `Merge` upserts by key and leaves the rest.
pub fn merge_upserts(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "old", 1), article(2, "a", "old", 2)]);
    stage_articles(&mut writer, 1, &table, &[2, 3]);
    let publication = writer.publication(run(1), Load::Merge, &[(&table, 2)]);
    let published = writer.target.publish(&publication).expect("it is published");
    assert_eq!(published, Published::Now { rows: 2, removed: 0 });
    let expected =
        [article(1, "a", "old", 1), article(2, "a", "staged", 2), article(3, "a", "staged", 3)];
    assert_eq!(writer.rows(&table), expected);
    Outcome::Held
}

/// `Append` adds, and refuses a key that is there.
pub fn append_adds(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    writer.upsert(&table, &[article(1, "a", "old", 1)]);
    stage_articles(&mut writer, 1, &table, &[2]);
    let publication = writer.publication(run(1), Load::Append, &[(&table, 1)]);
    writer.target.publish(&publication).expect("it is published");
    assert_eq!(skus(&writer.rows(&table)), [1, 2]);
    stage_articles(&mut writer, 2, &table, &[1]);
    let publication = writer.publication(run(2), Load::Append, &[(&table, 1)]);
    fails(writer.target.publish(&publication), Kind::Refused, "the key is there already");
    assert_eq!(writer.rows(&table)[0], article(1, "a", "old", 1));
    Outcome::Held
}

/// Equal rows are two rows in a table without a key.
pub fn append_keeps_equal_rows_without_a_key(harness: &mut dyn TargetHarness) -> Outcome {
    let columns = [("line", ColumnType::Text), ("amount", ColumnType::Int64)];
    let table = target_table("lines", &shape(&columns, &[]));
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    let row = vec![text("nail"), Value::Int(1)];
    for number in 1..=2 {
        writer.stage(run(number), &table, &[row.clone(), row.clone()]);
        let publication = writer.publication(run(number), Load::Append, &[(&table, 2)]);
        writer.target.publish(&publication).expect("it is published");
    }
    assert_eq!(writer.rows(&table), vec![row; 4]);
    Outcome::Held
}
