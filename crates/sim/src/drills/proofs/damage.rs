//! What is done to a target behind the engine's back.

use super::world::{FIRST_QUIET, QUIET, World};
use crate::random::Random;

/// One kind of damage to one row, or to two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// A row is gone.
    Missing,
    /// A row is there that nobody wrote.
    Extra,
    /// A number is another.
    Changed,
    /// A text has other letters: `a` for `A`.
    CaseOnly,
    /// A text has a space more.
    Space,
    /// Null where the empty text should be, or the other way.
    NullOrEmpty,
    /// The same bytes as another class: a blob for a text.
    TypeOnly,
    /// A number as a real that no decimal of the column is.
    Inexact,
    /// Two rows have each other's values: counts and sums stay.
    Swapped,
    /// One row is gone and another is there: counts stay.
    Replaced,
}

impl Damage {
    /// All of them.
    pub(super) const ALL: &[Damage] = &[
        Damage::Missing,
        Damage::Extra,
        Damage::Changed,
        Damage::CaseOnly,
        Damage::Space,
        Damage::NullOrEmpty,
        Damage::TypeOnly,
        Damage::Inexact,
        Damage::Swapped,
        Damage::Replaced,
    ];

    /// Does it to a row nobody else touches; the key it was done to, for the record.
    pub(super) fn put(self, world: &mut World, chance: &mut Random) -> i64 {
        let key = FIRST_QUIET + 2 * quiet(chance);
        let other = FIRST_QUIET + 2 * quiet(chance);
        // Odd keys are free.
        let free = key + 1;
        let sql = match self {
            Damage::Missing => format!("DELETE FROM stock WHERE id = {key}"),
            Damage::Extra => extra(free),
            Damage::Changed => format!("UPDATE stock SET quantity = quantity + 1 WHERE id = {key}"),
            Damage::CaseOnly => format!("UPDATE stock SET name = upper(name) WHERE id = {key}"),
            Damage::Space => format!("UPDATE stock SET name = name || ' ' WHERE id = {key}"),
            Damage::NullOrEmpty => format!(
                "UPDATE stock SET note = CASE WHEN note IS NULL THEN '' ELSE NULL END WHERE id = {key}"
            ),
            Damage::TypeOnly => {
                format!("UPDATE stock SET name = CAST(name AS BLOB) WHERE id = {key}")
            }
            Damage::Inexact => format!("UPDATE stock SET price = 0.1 + 0.2 WHERE id = {key}"),
            Damage::Swapped => format!(
                "UPDATE stock SET name = (SELECT s.name FROM stock s WHERE s.id = {key} + {other} - stock.id)
                 WHERE id IN ({key}, {other})"
            ),
            Damage::Replaced => {
                format!("DELETE FROM stock WHERE id = {key}; {}", extra(free))
            }
        };
        world.tamper(&sql);
        key
    }
}

fn extra(id: i64) -> String {
    format!("INSERT OR IGNORE INTO stock VALUES ({id}, 'ghost', NULL, 1, 2)")
}

fn quiet(chance: &mut Random) -> i64 {
    i64::try_from(chance.below(QUIET)).expect("a small number")
}
