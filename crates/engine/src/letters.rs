//! Dead letters replayed, in their order by key, through the same writes as any change; or given up.
//!
//! Invariant: what becomes of a letter stands in the target, in the transaction that writes its rows, before the state
//! file says so. A replay whose end was lost is not done twice, whatever is set back to an older copy.

use crate::apply::Applier;
use crate::engine::Engine;
use crate::fates::Told;
use crate::path::{TablePath, narrowed};
use crate::state::{Letter, LetterStatus, NewLetter};
use change::{Op, Value};
use connect::{Error, Fate, Kind, Result, RowWork, TargetTable};
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
    let asked = |letter: &&Letter| ids.is_none_or(|ids| ids.contains(&letter.id));
    let mut applier = Applier::open(engine, flow, &identity)?;
    // The target has had its word now.
    let waiting = state.letters(identity.id, Some(LetterStatus::Parked))?;
    let mut outcome = LettersReplayed::default();
    for letters in chains(&waiting) {
        if !letters.iter().any(asked) {
            continue;
        }
        match applier.write_letters(&letters) {
            Ok(()) => {
                let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
                let now = engine.assembly.environment.clock.now();
                state.settle_at_target(&ids, LetterStatus::Replayed, note, now)?;
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

/// Gives letters up for good; returns how many waited. The target is told first: where it cannot be, nothing is done.
///
/// # Errors
/// Those of the target; the state file cannot be written.
pub fn discard_letters(engine: &Engine, flow: &Flow, ids: &[i64], note: &str) -> Result<u64> {
    let identity = engine.identify(flow)?;
    let state = &engine.assembly.state;
    let now = engine.assembly.environment.clock.now();
    let mut target = engine.open_target(&flow.target)?;
    target.adopt(identity.id, identity.generation)?;
    let told = Told::by(target.as_mut(), identity.id)?;
    // A generation that has not written here yet tells it with its first commit.
    let written = told.progress.filter(|progress| progress.generation == identity.generation);
    for lane in written.iter().flat_map(|progress| progress.lanes.values()) {
        state.heed(identity.id, (lane.lane, lane.offset), &told.letters, now)?;
    }
    let mut letters = state.letters(identity.id, Some(LetterStatus::Parked))?;
    letters.retain(|letter| ids.contains(&letter.id));
    if written.is_some() && !letters.is_empty() {
        let fates = letters.iter().map(|letter| (letter.change.place(), Fate::Discarded));
        let mut txn = target.begin(identity.id, identity.generation)?;
        txn.record_letters(&fates.collect::<Vec<_>>())?;
        txn.commit(&[])?;
    }
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    state.settle(&ids, LetterStatus::Discarded, note, now)?;
    Ok(ids.len() as u64)
}

/// Tables and canonical keys that letters of one chain touch.
type Keys<'l> = BTreeSet<(&'l str, &'l [u8])>;

/// Letters that must be replayed together and in their order: those of one key, and those that move rows between keys.
fn chains(waiting: &[Letter]) -> Vec<Vec<&Letter>> {
    let mut chains: Vec<(Keys<'_>, Vec<&Letter>)> = Vec::new();
    for letter in waiting {
        let keys = letter.change.keys().map(|key| (letter.change.table.as_str(), key.as_slice()));
        let (mut keys, mut letters) = (keys.collect::<Keys<'_>>(), vec![letter]);
        let meets = |(other, _): &mut (Keys<'_>, _)| !other.is_disjoint(&keys);
        let met: Vec<_> = chains.extract_if(.., meets).collect();
        for (other, others) in met {
            keys.extend(other);
            letters.extend(others);
        }
        letters.sort_by_key(|letter| letter.change.place());
        chains.push((keys, letters));
    }
    chains.into_iter().map(|(_, letters)| letters).collect()
}

/// The writes of one letter, and the table as far as the letter knows its columns: those that came later keep what
/// they hold.
pub(crate) fn writes(letter: &Letter, path: &TablePath) -> Result<(TargetTable, Vec<RowWork>)> {
    let (table, change) = (known_columns(letter, path)?, &letter.change);
    let schema = &table.schema;
    let unfit = |e| Error::refused("the letter's row does not fit the table").caused_by(e);
    let gone = |row: &[Value]| {
        let key = schema.key().iter().map(|&k| row[k].clone()).collect();
        change::value::batch(&schema.key_schema(), &[key]).map(RowWork::Delete).map_err(unfit)
    };
    let mut works = Vec::new();
    if let Some(moved) = &change.moved_from {
        works.push(gone(&moved.row)?);
    }
    works.push(match change.op {
        Op::Delete => gone(&change.row)?,
        _ => {
            let row = std::slice::from_ref(&change.row);
            let kind = if change.in_part { RowWork::Update } else { RowWork::Upsert };
            change::value::batch(schema, row).map(kind).map_err(unfit)?
        }
    });
    Ok((table, works))
}

/// The path's target table with the columns of a letter, in its order.
fn known_columns(letter: &Letter, path: &TablePath) -> Result<TargetTable> {
    let (target, NewLetter { columns, row, .. }) = (path.target(), &letter.change);
    let now = &target.schema;
    let unfit = || {
        Error::refused("the letter holds no row that fits the table")
            .fix("correct the transform or the source row, then seamount dlq discard")
    };
    let as_now = columns.is_empty() || columns.iter().eq(now.columns().iter().map(|c| &c.name));
    if as_now && row.len() == now.columns().len() {
        return Ok(target.clone());
    }
    let known = columns.iter().map(|name| now.index_of(name));
    let known: Vec<usize> = known.collect::<Option<_>>().ok_or_else(unfit)?;
    if known.is_empty() || row.len() != known.len() {
        return Err(unfit());
    }
    narrowed(target, &known).map_err(|_| unfit())
}
