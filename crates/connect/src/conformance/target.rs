//! The suite that every [`Target`] passes: one function for each behaviour, and [`all`].
//!
//! A harness makes an empty site and opens it as often as it is asked, as separate engines would. Nothing here
//! knows a product; what a system cannot do, its harness says.

mod fencing;
mod letters;
mod owners;
mod publishing;
mod reading;
mod rows;
mod shapes;
mod staging;
mod writer;

use super::check::{Arranged, Check, Outcome, checks, fails, run_all, stops};
use super::{read, values};
use crate::target::Target;
use change::{ColumnType, Value};

pub use fencing::{
    a_known_holder_is_accepted, a_target_can_be_taken_over, a_zombie_writes_nothing,
    an_older_generation_does_not_begin, an_older_generation_does_not_publish,
    an_open_transaction_ends_when_another_takes_over, another_holder_is_fenced,
    old_progress_stays_until_the_first_commit,
};
pub use letters::{
    a_letter_that_waits_again_is_recorded_so, fates_are_kept_by_flow_over_generations,
    fates_come_and_go_with_their_transaction,
};
pub use owners::{
    clear_stays_with_the_owner, deletes_stay_with_the_owner, retain_orders_text_by_bytes,
    retain_stays_in_its_range, retain_stays_with_the_owner, updates_stay_with_the_owner,
    writes_of_another_owner_are_refused,
};
pub use publishing::{
    a_refused_run_shows_nothing, a_run_is_published_with_its_progress, append_adds,
    append_keeps_equal_rows_without_a_key, counts_that_do_not_agree_are_corrupt, merge_upserts,
    other_content_is_restated, published_runs_come_newest_first, replace_stays_in_its_interval,
    replace_stays_with_the_owner, replace_takes_the_place_of_all,
    the_same_content_is_published_once,
};
pub use reading::{
    a_cut_stands_still, a_limit_stops_in_key_order, a_scan_fails_as_promised,
    an_owner_gets_its_rows, columns_come_as_wanted, progress_of_a_cut_is_of_its_moment,
    ranges_keep_key_order, ranges_together_give_what_each_gives,
};
pub use rows::{
    a_dropped_transaction_leaves_nothing, a_refused_write_leaves_the_transaction_as_it_was,
    a_unique_column_refuses, an_insert_falls_back_to_an_upsert,
    an_update_writes_what_it_has_of_rows_that_are_there, an_upsert_overwrites_and_is_idempotent,
    clear_empties_and_counts, composite_keys_come_in_key_order, deleting_an_absent_key_is_no_error,
    messages_hold_no_values, progress_is_kept_by_flow_and_lane, readers_see_whole_transactions,
    rows_and_progress_come_together,
};
pub use shapes::{
    a_nullable_column_is_added, another_key_is_blocked, incompatible_columns_are_blocked,
    preparing_again_is_harmless, staged_values_come_back_exactly, values_come_back_exactly,
};
pub use staging::{
    a_stage_is_invisible, a_stage_refuses_bad_rows, discarding_an_absent_run_is_no_error,
    reading_an_absent_stage_fails, staged_rows_read_back, staged_runs_are_listed_until_discarded,
};

/// One empty site of a system, and what a check needs done to it.
pub trait TargetHarness {
    /// Opens the site, as an engine that has claimed nothing. Earlier openings stay usable.
    fn open(&mut self) -> Box<dyn Target>;

    /// Makes a column of a table that is there unique.
    fn unique(&mut self, _table: &str, _column: &str) -> Arranged {
        Arranged::NotPossible
    }

    /// Kinds of columns that the system cannot hold.
    fn lacks(&self) -> Vec<ColumnType> {
        Vec::new()
    }

    /// Values of a kind it holds that the system refuses all the same, such as a float that is no number.
    fn refuses(&self, _value: &Value) -> bool {
        false
    }

    /// Names of the checks that need not be possible.
    fn excused(&self) -> &'static [&'static str] {
        &[]
    }
}

/// Every check, in the order [`all`] runs them.
pub fn checks() -> Vec<Check<dyn TargetHarness>> {
    checks![
        rows::rows_and_progress_come_together,
        rows::progress_is_kept_by_flow_and_lane,
        rows::a_dropped_transaction_leaves_nothing,
        rows::readers_see_whole_transactions,
        rows::a_refused_write_leaves_the_transaction_as_it_was,
        rows::a_unique_column_refuses,
        rows::messages_hold_no_values,
        rows::an_upsert_overwrites_and_is_idempotent,
        rows::an_insert_falls_back_to_an_upsert,
        rows::deleting_an_absent_key_is_no_error,
        rows::composite_keys_come_in_key_order,
        rows::an_update_writes_what_it_has_of_rows_that_are_there,
        rows::clear_empties_and_counts,
        letters::fates_come_and_go_with_their_transaction,
        letters::a_letter_that_waits_again_is_recorded_so,
        letters::fates_are_kept_by_flow_over_generations,
        owners::clear_stays_with_the_owner,
        owners::retain_stays_with_the_owner,
        owners::retain_stays_in_its_range,
        owners::retain_orders_text_by_bytes,
        owners::writes_of_another_owner_are_refused,
        owners::deletes_stay_with_the_owner,
        owners::updates_stay_with_the_owner,
        fencing::another_holder_is_fenced,
        fencing::a_known_holder_is_accepted,
        fencing::a_target_can_be_taken_over,
        fencing::a_zombie_writes_nothing,
        fencing::an_open_transaction_ends_when_another_takes_over,
        fencing::an_older_generation_does_not_begin,
        fencing::an_older_generation_does_not_publish,
        fencing::old_progress_stays_until_the_first_commit,
        staging::a_stage_is_invisible,
        staging::staged_rows_read_back,
        staging::reading_an_absent_stage_fails,
        staging::a_stage_refuses_bad_rows,
        staging::staged_runs_are_listed_until_discarded,
        staging::discarding_an_absent_run_is_no_error,
        publishing::a_run_is_published_with_its_progress,
        publishing::a_refused_run_shows_nothing,
        publishing::counts_that_do_not_agree_are_corrupt,
        publishing::the_same_content_is_published_once,
        publishing::other_content_is_restated,
        publishing::published_runs_come_newest_first,
        publishing::replace_takes_the_place_of_all,
        publishing::replace_stays_in_its_interval,
        publishing::replace_stays_with_the_owner,
        publishing::merge_upserts,
        publishing::append_adds,
        publishing::append_keeps_equal_rows_without_a_key,
        shapes::preparing_again_is_harmless,
        shapes::a_nullable_column_is_added,
        shapes::another_key_is_blocked,
        shapes::incompatible_columns_are_blocked,
        shapes::values_come_back_exactly,
        shapes::staged_values_come_back_exactly,
        reading::ranges_keep_key_order,
        reading::ranges_together_give_what_each_gives,
        reading::a_limit_stops_in_key_order,
        reading::an_owner_gets_its_rows,
        reading::columns_come_as_wanted,
        reading::a_scan_fails_as_promised,
        reading::a_cut_stands_still,
        reading::progress_of_a_cut_is_of_its_moment,
    ]
}

/// Runs every check, each on a harness of its own.
///
/// # Panics
/// With the first promise that is broken, and when a check was not possible that the harness does not excuse.
pub fn all(make: &mut dyn FnMut() -> Box<dyn TargetHarness>) {
    run_all(&checks(), make, |harness| harness.excused());
}
