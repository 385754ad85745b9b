//! What became of changes that were set aside: recorded with the rows of the same transaction.

use super::super::book;
use super::super::error::failed;
use change::{FlowId, LaneId, Offset};
use connect::target::{Fate, Fates, LetterPlace};
use connect::{Error, Result};
use postgres::{Client, Row};

/// What became of a flow's letters.
pub(super) fn read(client: &mut Client, flow: FlowId) -> Result<Fates> {
    if !book::exists(client)? {
        return Ok(Fates::new());
    }
    let sql = "SELECT lane, \"offset\", ordinal, fate FROM _seamount.letter WHERE flow = $1";
    let rows =
        client.query(sql, &[&flow.to_i64()]).map_err(failed("cannot read the flow's letters"))?;
    rows.iter().map(letter).collect()
}

fn letter(row: &Row) -> Result<(LetterPlace, Fate)> {
    let unknown = |found: String| {
        Error::corrupt("the target records a fate of a letter that this version does not know")
            .found(found)
            .effect("the flow stands; nothing was written")
            .fix("run the newer seamount")
    };
    let ordinal: i64 = row.get(2);
    let place = LetterPlace {
        lane: LaneId::from_i64(row.get(0)),
        offset: Offset::from_i64(row.get(1)),
        ordinal: u32::try_from(ordinal).map_err(|_| unknown(format!("ordinal {ordinal}")))?,
    };
    let word: &str = row.get(3);
    let fate = Fate::from_word(word).ok_or_else(|| unknown(word.to_string()))?;
    Ok((place, fate))
}

/// Statements that record how it stands with letters.
pub(super) fn record(flow: FlowId, fates: &[(LetterPlace, Fate)]) -> String {
    let flow = flow.to_i64();
    let statement = |(place, fate): &(LetterPlace, Fate)| {
        let (lane, offset, ordinal) = (place.lane.to_i64(), place.offset.to_i64(), place.ordinal);
        format!(
            "INSERT INTO _seamount.letter VALUES ({flow}, {lane}, {offset}, {ordinal}, '{}')
             ON CONFLICT (flow, lane, \"offset\", ordinal) DO UPDATE SET fate = excluded.fate;",
            fate.word()
        )
    };
    fates.iter().map(statement).collect()
}
