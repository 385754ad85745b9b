//! The source in memory passes the suite, and wrong ones do not.

use super::bite::assert_bites;
use super::wrong_cut::CutDefect as C;
use super::wrong_source::{SourceDefect as D, WrongSources};
use change::{Column, TableSchema, Value};
use connect::Source;
use connect::conformance::Arranged;
use connect::conformance::source::{SourceHarness, all, checks};
use connect::memory::{Backup, Edit, MemorySource, OldImages};

/// A database in memory.
pub(super) struct Memory {
    pub(super) source: MemorySource,
    backup: Option<Backup>,
    old_images: OldImages,
}

impl Memory {
    pub(super) fn new(old_images: OldImages) -> Self {
        let source = MemorySource::new("one");
        source.send_old_images(old_images);
        Memory { source, backup: None, old_images }
    }
}

impl SourceHarness for Memory {
    fn create(&mut self, table: &str, schema: &TableSchema) {
        self.source.define(table, schema);
    }

    fn open(&mut self) -> Box<dyn Source> {
        self.source.open()
    }

    fn commit(&mut self, edits: &[Edit]) {
        self.source.commit(edits).unwrap();
    }

    /// An edit that fails takes the whole transaction with it.
    fn roll_back(&mut self, edits: &[Edit]) {
        let mut edits = edits.to_vec();
        edits.push(Edit::delete("nowhere", [Value::Int(0)]));
        self.source.commit(&edits).unwrap_err();
    }

    fn back_up(&mut self) -> Arranged {
        self.backup = Some(self.source.backup());
        Arranged::Done
    }

    fn restore(&mut self) {
        self.source.restore(self.backup.as_ref().unwrap());
    }

    fn add_column(&mut self, table: &str, column: &Column) -> Arranged {
        self.source.add_column(table, column.clone()).unwrap();
        Arranged::Done
    }

    fn old_images(&self) -> OldImages {
        self.old_images
    }
}

#[test]
fn the_source_in_memory_passes() {
    all(&mut || Box::new(Memory::new(OldImages::Full)));
}

#[test]
fn the_source_in_memory_passes_with_keys_for_old_images() {
    all(&mut || Box::new(Memory::new(OldImages::Keys)));
}

const CAUGHT: &[(&str, D)] = &[
    ("changes_carry_their_images", D::UpdatesAreInserts),
    ("a_key_change_leaves_no_ghost", D::UpdatesForgetTheirOldKey),
    ("a_truncate_empties", D::LosesTruncates),
    ("order_is_kept_over_tables", D::OrdersByTable),
    ("transactions_are_whole", D::TearsTransactions),
    ("a_huge_transaction_comes_in_parts", D::EveryPartIsLast),
    ("a_huge_transaction_comes_in_parts", D::PartsAreNotNumbered),
    ("what_is_rolled_back_never_comes", D::CommitsWhatIsRolledBack),
    ("positions_join", D::PositionsStandStill),
    ("other_tables_stay_out", D::CapturesEverything),
    ("values_come_through_exactly", D::TrimsText),
    ("changes_carry_the_shape_of_their_time", D::ForgetsNewColumns),
    ("a_fresh_capture_begins_now", D::FreshBeginsAtTheOldest),
    ("nothing_is_given_up_before_it_is_acknowledged", D::LetsGoWhenPolled),
    ("reading_again_brings_the_same_changes", D::SkipsOneWhenItGoesOn),
    ("reading_again_brings_the_same_changes", D::LetsGoWhenPolled),
    ("parts_go_on_or_begin_again", D::LosesThePartsThatFollow),
    ("acknowledging_lets_go", D::NeverLetsGo),
    ("a_place_that_is_gone_is_lost", D::PassesOverGaps),
    ("another_history_is_refused", D::AcceptsAnyHistory),
    ("a_database_set_back_is_noticed", D::TrustsNumbers),
    ("a_table_that_joins_misses_nothing", D::NewTablesAreLeftOut),
    ("a_table_without_a_key_is_refused", D::LeavesKeylessTablesOut),
    ("chunks_stand_at_their_exact_place", D::ChunksComeLate),
    ("chunks_stand_at_their_exact_place", D::ChunksComeEarly),
    ("chunks_cover_the_table", D::ChunksForgetWhereTheyBegin),
    ("an_empty_table_is_a_complete_snapshot", D::EmptyTablesAreNotTold),
    ("a_snapshot_goes_on_behind_a_key", D::SnapshotsBeginAtTheFirst),
    ("keys_are_read_again", D::AbsentKeysAreLeftOut),
    ("keys_stand_at_their_exact_place", D::KeysComeLate),
    ("keys_stand_at_their_exact_place", D::KeysComeEarly),
    ("a_table_that_is_not_captured_cannot_be_read", D::ReadsWhatIsNotCaptured),
    ("a_truncate_within_a_snapshot_holds", D::LosesTruncates),
    ("ranges_keep_key_order", D::Cut(C::IgnoresRange)),
    ("ranges_keep_key_order", D::Cut(C::ReadsBackwards)),
    ("ranges_together_give_what_each_gives", D::Cut(C::TakesTheFirstOfManyRanges)),
    ("a_limit_stops_in_key_order", D::Cut(C::IgnoresLimit)),
    ("an_owner_gets_its_rows", D::Cut(C::IgnoresOwner)),
    ("columns_come_as_wanted", D::Cut(C::TurnsColumnsRound)),
    ("a_scan_fails_as_promised", D::Cut(C::AbsentTablesAreEmpty)),
    ("a_scan_fails_as_promised", D::ShowsBookkeeping),
    ("a_cut_stands_still", D::Cut(C::ReadsNow)),
    ("a_cut_agrees_with_the_lane", D::Cut(C::SeesEverything)),
    ("a_cut_agrees_with_the_lane", D::Cut(C::ClosesAtTheBeginning)),
    ("a_cut_within_a_group_is_told", D::Cut(C::DividedGroupsAreWhole)),
];

#[test]
fn every_check_of_a_source_bites() {
    assert_bites(&checks(), CAUGHT, |defect| match defect {
        Some(defect) => Box::new(WrongSources::new(defect)) as Box<dyn SourceHarness>,
        None => Box::new(Memory::new(OldImages::Full)),
    });
}
