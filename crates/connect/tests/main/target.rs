//! The target in memory passes the suite, and wrong ones do not.

use super::bite::assert_bites;
use super::wrong_cut::CutDefect as C;
use super::wrong_target::{TargetDefect as D, WrongTargets};
use super::wrong_transaction::TransactionDefect as T;
use connect::Target;
use connect::conformance::Arranged;
use connect::conformance::target::{TargetHarness, all, checks};
use connect::memory::MemoryTarget;

struct Memory(MemoryTarget);

impl TargetHarness for Memory {
    fn open(&mut self) -> Box<dyn Target> {
        Box::new(self.0.open())
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        self.0.unique(table, column);
        Arranged::Done
    }
}

#[test]
fn the_target_in_memory_passes() {
    all(&mut || Box::new(Memory(MemoryTarget::new())));
}

const CAUGHT: &[(&str, D)] = &[
    ("rows_and_progress_come_together", D::Transaction(T::ForgetsProgress)),
    ("progress_is_kept_by_flow_and_lane", D::ShowsOneLane),
    ("a_dropped_transaction_leaves_nothing", D::Transaction(T::CommitsWhenDropped)),
    ("a_dropped_transaction_leaves_nothing", D::Transaction(T::WritesOutside)),
    ("readers_see_whole_transactions", D::Transaction(T::WritesOutside)),
    ("a_refused_write_leaves_the_transaction_as_it_was", D::Transaction(T::RefusedWriteLeavesHalf)),
    ("a_unique_column_refuses", D::UniqueColumnsAreNot),
    ("messages_hold_no_values", D::Transaction(T::ValuesInMessages)),
    ("an_upsert_overwrites_and_is_idempotent", D::Transaction(T::UpsertKeepsWhatIsThere)),
    ("an_insert_falls_back_to_an_upsert", D::Transaction(T::InsertRefusesWhatIsThere)),
    ("deleting_an_absent_key_is_no_error", D::Transaction(T::AbsentDeleteIsRefused)),
    ("composite_keys_come_in_key_order", D::Transaction(T::KeysInColumnOrder)),
    ("an_update_writes_what_it_has_of_rows_that_are_there", D::Transaction(T::UpdateBringsRows)),
    (
        "an_update_writes_what_it_has_of_rows_that_are_there",
        D::Transaction(T::UpdateCountsAbsentRows),
    ),
    ("clear_empties_and_counts", D::Transaction(T::ClearDoesNothing)),
    ("fates_come_and_go_with_their_transaction", D::Transaction(T::ForgetsFates)),
    ("fates_come_and_go_with_their_transaction", D::Transaction(T::FatesOutlastADrop)),
    ("fates_come_and_go_with_their_transaction", D::Transaction(T::WritesOutside)),
    ("fates_come_and_go_with_their_transaction", D::Transaction(T::FatesIgnoreOrdinals)),
    ("a_letter_that_waits_again_is_recorded_so", D::Transaction(T::FatesStay)),
    ("fates_are_kept_by_flow_over_generations", D::AdoptForgetsFates),
    ("fates_are_kept_by_flow_over_generations", D::FatesOfEveryFlow),
    ("clear_stays_with_the_owner", D::Transaction(T::ClearIgnoresOwner)),
    ("retain_stays_with_the_owner", D::Transaction(T::RetainIgnoresOwner)),
    ("retain_stays_in_its_range", D::Transaction(T::RetainIgnoresRange)),
    ("retain_stays_in_its_range", D::Transaction(T::RetainIgnoresWhatToKeep)),
    ("retain_orders_text_by_bytes", D::Transaction(T::RetainIgnoresCase)),
    ("writes_of_another_owner_are_refused", D::Transaction(T::WritesIgnoreOwner)),
    ("deletes_stay_with_the_owner", D::Transaction(T::DeletesIgnoreOwner)),
    ("updates_stay_with_the_owner", D::Transaction(T::UpdatesIgnoreOwner)),
    ("another_holder_is_fenced", D::EverybodyMayClaim),
    ("a_known_holder_is_accepted", D::KnownHoldersAreRefused),
    ("a_target_can_be_taken_over", D::TakeOverIsRefused),
    ("a_zombie_writes_nothing", D::ZombieMayBegin),
    ("a_zombie_writes_nothing", D::ZombieMayPublish),
    ("a_zombie_writes_nothing", D::ZombieMayStage),
    ("a_zombie_writes_nothing", D::ZombieMayAdopt),
    ("an_open_transaction_ends_when_another_takes_over", D::Transaction(T::ZombieCommits)),
    ("an_older_generation_does_not_begin", D::AcceptsOldGeneration),
    ("an_older_generation_does_not_publish", D::PublishesOldGeneration),
    ("old_progress_stays_until_the_first_commit", D::AdoptForgetsProgress),
    ("a_stage_is_invisible", D::StageShows),
    ("a_stage_is_invisible", D::StageIsATable),
    ("staged_rows_read_back", D::StageReplaces),
    ("staged_rows_read_back", D::ReadStagedLosesTheLast),
    ("reading_an_absent_stage_fails", D::AbsentStageIsEmpty),
    ("a_stage_refuses_bad_rows", D::StageTakesHalf),
    ("a_stage_refuses_bad_rows", D::StageIgnoresOwner),
    ("staged_runs_are_listed_until_discarded", D::DiscardKeeps),
    ("discarding_an_absent_run_is_no_error", D::AbsentDiscardFails),
    ("a_run_is_published_with_its_progress", D::PublishForgetsProgress),
    ("a_refused_run_shows_nothing", D::PublishesTablesOneByOne),
    ("a_refused_run_shows_nothing", D::RefusedPublishDropsTheStage),
    ("counts_that_do_not_agree_are_corrupt", D::TrustsTheStage),
    ("counts_that_do_not_agree_are_corrupt", D::RefusedPublishDropsTheStage),
    ("the_same_content_is_published_once", D::PublishesAgain),
    ("other_content_is_restated", D::NeverRestates),
    ("published_runs_come_newest_first", D::OldestRunFirst),
    ("replace_takes_the_place_of_all", D::ReplaceKeepsTheRest),
    ("replace_stays_in_its_interval", D::ReplaceIgnoresInterval),
    ("replace_stays_with_the_owner", D::ReplaceIgnoresOwner),
    ("merge_upserts", D::MergeReplaces),
    ("append_adds", D::AppendOverwrites),
    ("append_keeps_equal_rows_without_a_key", D::DropsEqualRows),
    ("preparing_again_is_harmless", D::PrepareEmpties),
    ("preparing_again_is_harmless", D::ShowsBookkeeping),
    ("a_nullable_column_is_added", D::PrepareDoesNotWiden),
    ("another_key_is_blocked", D::PreparePassesOverBlocks),
    ("incompatible_columns_are_blocked", D::PreparePassesOverBlocks),
    ("values_come_back_exactly", D::Transaction(T::TrimsText)),
    ("values_come_back_exactly", D::Transaction(T::NullsAreEmpty)),
    ("values_come_back_exactly", D::Transaction(T::RoundsFloats)),
    ("staged_values_come_back_exactly", D::TrimsStagedText),
    ("ranges_keep_key_order", D::Cut(C::IgnoresRange)),
    ("ranges_keep_key_order", D::Cut(C::RangesTakeTheirFirstKeyToo)),
    ("ranges_keep_key_order", D::Cut(C::ReadsBackwards)),
    ("ranges_together_give_what_each_gives", D::Cut(C::TakesTheFirstOfManyRanges)),
    ("a_limit_stops_in_key_order", D::Cut(C::IgnoresLimit)),
    ("an_owner_gets_its_rows", D::Cut(C::IgnoresOwner)),
    ("columns_come_as_wanted", D::Cut(C::TurnsColumnsRound)),
    ("a_scan_fails_as_promised", D::Cut(C::AbsentTablesAreEmpty)),
    ("a_scan_fails_as_promised", D::Cut(C::SwallowsErrorsOfTheSink)),
    ("a_scan_fails_as_promised", D::ShowsBookkeeping),
    ("a_cut_stands_still", D::Cut(C::ReadsNow)),
    ("progress_of_a_cut_is_of_its_moment", D::Cut(C::ProgressIsOfNow)),
];

#[test]
fn every_check_of_a_target_bites() {
    assert_bites(&checks(), CAUGHT, |defect| match defect {
        Some(defect) => Box::new(WrongTargets::new(defect)) as Box<dyn TargetHarness>,
        None => Box::new(Memory(MemoryTarget::new())),
    });
}
