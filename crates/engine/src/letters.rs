//! Dead letters replayed: in their order by key, through the same writes as any change, then settled.
//!
//! Idempotent: a key's letters are written in order and nothing newer of the key is applied until they are settled,
//! so that a second replay after a crash writes the same rows again.

use crate::apply::Applier;
use crate::engine::Engine;
use crate::state::{Letter, LetterStatus};
use change::{Op, Value};
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
    let asked = |letter: &&Letter| ids.is_none_or(|ids| ids.contains(&letter.id));
    let mut applier = Applier::open(engine, flow, &identity)?;
    let mut outcome = LettersReplayed::default();
    for letters in chains(&waiting) {
        if !letters.iter().any(asked) {
            continue;
        }
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

/// Letters that must be replayed together and in their order: those of one key, and those that move rows between keys.
fn chains(waiting: &[Letter]) -> Vec<Vec<&Letter>> {
    let mut chains: Vec<(BTreeSet<(&str, &[u8])>, Vec<&Letter>)> = Vec::new();
    for letter in waiting {
        let keys = letter.change.keys().map(|key| (letter.change.table.as_str(), key.as_slice()));
        let (mut keys, mut letters) = (keys.collect::<BTreeSet<_>>(), vec![letter]);
        let meets = |(other, _): &mut (BTreeSet<_>, _)| !other.is_disjoint(&keys);
        let met: Vec<_> = chains.extract_if(.., meets).collect();
        for (other, others) in met {
            keys.extend(other);
            letters.extend(others);
        }
        letters.sort_by_key(|letter| letter.id);
        chains.push((keys, letters));
    }
    chains.into_iter().map(|(_, letters)| letters).collect()
}

/// The writes of one letter.
pub(crate) fn writes(letter: &Letter, path: &crate::path::TablePath) -> Result<Vec<RowWork>> {
    let schema = &path.target().schema;
    let row: &[Value] = &letter.change.row;
    if row.len() != schema.columns().len() {
        return Err(Error::refused("the letter holds no row that fits the table")
            .fix("correct the transform or the source row, then seamount dlq discard"));
    }
    let unfit = |e| Error::refused("the letter's row does not fit the table").caused_by(e);
    let gone = |row: &[Value]| {
        let key = schema.key().iter().map(|&k| row[k].clone()).collect();
        change::value::batch(&schema.key_schema(), &[key]).map(RowWork::Delete).map_err(unfit)
    };
    let mut works = Vec::new();
    if let Some(moved) = &letter.change.moved_from {
        works.push(gone(&moved.row)?);
    }
    works.push(match letter.change.op {
        Op::Delete => gone(row)?,
        _ => change::value::batch(schema, &[row.to_vec()]).map(RowWork::Upsert).map_err(unfit)?,
    });
    Ok(works)
}
