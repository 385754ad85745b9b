//! The suite that every [`Source`] passes: one function for each behaviour, and [`all`].
//!
//! A harness makes an empty database, commits transactions to it as an application would, and opens it for
//! capture. What is delivered is measured against what the database holds, read through cuts.

mod capture;
mod changes;
mod cuts;
mod replica;
mod resume;
mod snapshots;

use super::check::{Arranged, Check, Outcome, checks, fails, run_all, stops};
use super::{read, values};
use crate::memory::{Edit, OldImages};
use crate::source::Source;
use change::{Column, ColumnType, TableSchema, Value};

pub use changes::{
    a_huge_transaction_comes_in_parts, a_key_change_leaves_no_ghost, a_truncate_empties,
    changes_carry_the_shape_of_their_time, changes_carry_their_images, order_is_kept_over_tables,
    other_tables_stay_out, positions_join, transactions_are_whole, values_come_through_exactly,
    what_is_rolled_back_never_comes,
};
pub use cuts::{
    a_cut_agrees_with_the_lane, a_cut_stands_still, a_cut_within_a_group_is_told,
    a_limit_stops_in_key_order, a_scan_fails_as_promised, an_owner_gets_its_rows,
    columns_come_as_wanted, ranges_keep_key_order, ranges_together_give_what_each_gives,
};
pub use resume::{
    a_database_set_back_is_noticed, a_fresh_capture_begins_now, a_place_that_is_gone_is_lost,
    a_table_that_joins_misses_nothing, a_table_without_a_key_is_refused, acknowledging_lets_go,
    another_history_is_refused, nothing_is_given_up_before_it_is_acknowledged,
    parts_go_on_or_begin_again, reading_again_brings_the_same_changes,
};
pub use snapshots::{
    a_snapshot_goes_on_behind_a_key, a_table_that_is_not_captured_cannot_be_read,
    a_truncate_within_a_snapshot_holds, an_empty_table_is_a_complete_snapshot,
    chunks_cover_the_table, chunks_stand_at_their_exact_place, keys_are_read_again,
    keys_stand_at_their_exact_place,
};

/// One empty database of a system, and what a check needs done to it.
pub trait SourceHarness {
    /// Creates an empty table.
    fn create(&mut self, table: &str, schema: &TableSchema);

    /// Opens the site. Readers that were opened before are dropped by then.
    fn open(&mut self) -> Box<dyn Source>;

    /// Commits one transaction, as an application would. It must succeed.
    fn commit(&mut self, edits: &[Edit]);

    /// Begins a transaction, carries the edits out, and rolls it back.
    fn roll_back(&mut self, edits: &[Edit]);

    /// Keeps a copy of the whole database, as a backup tool would.
    fn back_up(&mut self) -> Arranged {
        Arranged::NotPossible
    }

    /// Puts the copy in the database's place. Nothing has it open by then.
    fn restore(&mut self) {}

    /// Adds a nullable column to a table, behind the others.
    fn add_column(&mut self, _table: &str, _column: &Column) -> Arranged {
        Arranged::NotPossible
    }

    /// Which old images come with updates and deletes.
    fn old_images(&self) -> OldImages {
        OldImages::Full
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
pub fn checks() -> Vec<Check<dyn SourceHarness>> {
    checks![
        changes::changes_carry_their_images,
        changes::a_key_change_leaves_no_ghost,
        changes::a_truncate_empties,
        changes::order_is_kept_over_tables,
        changes::transactions_are_whole,
        changes::a_huge_transaction_comes_in_parts,
        changes::what_is_rolled_back_never_comes,
        changes::positions_join,
        changes::other_tables_stay_out,
        changes::values_come_through_exactly,
        changes::changes_carry_the_shape_of_their_time,
        resume::a_fresh_capture_begins_now,
        resume::nothing_is_given_up_before_it_is_acknowledged,
        resume::reading_again_brings_the_same_changes,
        resume::parts_go_on_or_begin_again,
        resume::acknowledging_lets_go,
        resume::a_place_that_is_gone_is_lost,
        resume::another_history_is_refused,
        resume::a_database_set_back_is_noticed,
        resume::a_table_that_joins_misses_nothing,
        resume::a_table_without_a_key_is_refused,
        snapshots::chunks_stand_at_their_exact_place,
        snapshots::chunks_cover_the_table,
        snapshots::an_empty_table_is_a_complete_snapshot,
        snapshots::a_snapshot_goes_on_behind_a_key,
        snapshots::keys_are_read_again,
        snapshots::keys_stand_at_their_exact_place,
        snapshots::a_table_that_is_not_captured_cannot_be_read,
        snapshots::a_truncate_within_a_snapshot_holds,
        cuts::ranges_keep_key_order,
        cuts::ranges_together_give_what_each_gives,
        cuts::a_limit_stops_in_key_order,
        cuts::an_owner_gets_its_rows,
        cuts::columns_come_as_wanted,
        cuts::a_scan_fails_as_promised,
        cuts::a_cut_stands_still,
        cuts::a_cut_agrees_with_the_lane,
        cuts::a_cut_within_a_group_is_told,
    ]
}

/// Runs every check, each on a harness of its own.
///
/// # Panics
/// With the first promise that is broken, and when a check was not possible that the harness does not excuse.
pub fn all(make: &mut dyn FnMut() -> Box<dyn SourceHarness>) {
    run_all(&checks(), make, |harness| harness.excused());
}
