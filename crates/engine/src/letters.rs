//! Dead letters replayed: in their order by key, through the same writes as any change, then settled.
//!
//! Idempotent: a key's letters are written in order and nothing newer of the key is applied until they are settled,
//! so that a second replay after a crash writes the same rows again.

use crate::apply::Applier;
use crate::engine::Engine;
use crate::state::{Letter, LetterStatus};
use change::{Key, Op, Value};
use connect::{Error, Kind, Result, RowWork};
use flow::Flow;
use std::collections::BTreeSet;

/// What a replay of letters came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LettersReplayed {
    /// Letters applied.
    pub applied: u64,
    /// Letters refused again, with the reason of the first.
    pub refused: u64,
    /// Why, without row values.
    pub reason: Option<String>,
}

/// Replays all letters of a flow that wait, or those of the keys that `ids` belong to.
///
/// # Errors
/// `Conflict` when another engine has taken over the target.
pub fn replay_letters(
    engine: &Engine,
    flow: &Flow,
    ids: Option<&[i64]>,
    note: &str,
) -> Result<LettersReplayed> {
    let identity = engine.identify(flow)?;
    let state = &engine.assembly.state;
    let waiting = state.letters(identity.id, Some(LetterStatus::Parked))?;
    let of = |letter: &Letter| (letter.change.table.clone(), letter.change.key.clone());
    let wanted: BTreeSet<_> =
        waiting.iter().filter(|l| ids.is_none_or(|ids| ids.contains(&l.id))).map(of).collect();
    let mut applier = Applier::open(engine, flow, &identity)?;
    let mut outcome = LettersReplayed::default();
    for key in wanted {
        let letters: Vec<&Letter> = waiting.iter().filter(|letter| of(letter) == key).collect();
        match applier.write_letters(&letters) {
            Ok(()) => {
                let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
                let now = engine.assembly.environment.clock.now();
                state.settle(&ids, LetterStatus::Replayed, note, now)?;
                outcome.applied += ids.len() as u64;
            }
            Err(e) if e.kind == Kind::Refused => {
                outcome.refused += letters.len() as u64;
                outcome.reason.get_or_insert(e.to_string());
            }
            Err(e) => return Err(e),
        }
    }
    Ok(outcome)
}

/// The writes of one letter.
pub(crate) fn writes(letter: &Letter, path: &crate::path::TablePath) -> Result<RowWork> {
    let schema = &path.target().schema;
    let row: &[Value] = &letter.change.row;
    if row.len() != schema.columns().len() {
        return Err(Error::refused("the letter holds no row that fits the table")
            .fix("correct the transform or the source row, then seamount dlq discard"));
    }
    let unfit = |e| Error::refused("the letter's row does not fit the table").caused_by(e);
    if letter.change.op == Op::Delete {
        let key = Key(schema.key().iter().map(|&k| row[k].clone()).collect());
        return change::value::batch(&schema.key_schema(), &[key.0])
            .map(RowWork::Delete)
            .map_err(unfit);
    }
    change::value::batch(schema, &[row.to_vec()]).map(RowWork::Upsert).map_err(unfit)
}
