//! Places in the write-ahead log, and what proves that a place of ours is still the one we knew.
//!
//! A place is the end of a commit or of a message of ours, or lies inside a transaction: behind so many of its
//! changes. Its detail says which transactions the group holds, and what stood at its end: the commit's time or the
//! message's text. A database that was set back counts through the same numbers again, but something else stands
//! there. The newest place is never confirmed to the server, so that it comes again and can be compared.

use super::xids::ranges;
use change::SourcePosition;
use connect::{Error, State};

/// The system that histories of this kind belong to.
pub(super) const SYSTEM: &str = "postgresql";

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Nothing that could be compared: the place where the slot began.
    Begin,
    /// The end of the commit of one of these transactions, at this time.
    Commit { xids: Vec<(u32, u32)>, time: i64 },
    /// The end of a message of ours with this text.
    Message { text: String },
    /// Inside a transaction whose commit begins at the place, behind so many of its changes and parts.
    Inside { xid: u32, time: i64, parts: u32, changes: u64 },
}

/// A place to resume at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lsn: u64,
    pub(super) anchor: Anchor,
}

impl Place {
    /// Reads a position of ours; `None` where it is none.
    pub(super) fn parse(position: &SourcePosition) -> Option<Place> {
        let lsn = position.sequence;
        let detail = position.detail.as_deref().unwrap_or("");
        let field = |name: &str| detail.split(' ').find_map(|part| part.strip_prefix(name));
        let time = field("t:").map(str::parse).transpose().ok()?;
        let anchor = match (field("p:"), field("m:"), time) {
            (Some(inside), _, Some(time)) => {
                let (parts, changes) = inside.split_once('.')?;
                let (parts, changes) = (parts.parse().ok()?, changes.parse().ok()?);
                let xid = ranges(field("x:")?)?.first()?.0;
                Anchor::Inside { xid, time, parts, changes }
            }
            (None, Some(text), _) => Anchor::Message { text: text.into() },
            (None, None, Some(time)) => Anchor::Commit { xids: ranges(field("x:")?)?, time },
            (None, None, None) => Anchor::Begin,
            _ => return None,
        };
        Some(Place { lsn, anchor })
    }
}

/// The detail of a place, piece by piece.
pub(super) fn detail(xids: &str, anchor: &str) -> String {
    if xids.is_empty() { anchor.into() } else { format!("x:{xids} {anchor}") }
}

/// A position with the snapshot that rows standing there were read at.
pub(super) fn read_at(position: &SourcePosition, snapshot: &str) -> SourcePosition {
    let own = position.detail.as_deref().unwrap_or("");
    let kept: Vec<&str> =
        own.split(' ').filter(|part| !part.is_empty() && !part.starts_with("s:")).collect();
    let detail = [kept.join(" "), format!("s:{snapshot}")].join(" ").trim_start().to_string();
    SourcePosition { sequence: position.sequence, detail: Some(detail) }
}

/// A text that can stand in a detail: without blanks, and short.
pub(super) fn tag(content: &[u8]) -> String {
    let text = content.iter().take(40).map(|byte| char::from(*byte));
    text.filter(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(*letter)).collect()
}

/// A place as PostgreSQL prints it.
pub(super) fn shown(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// Reads a place as PostgreSQL prints it.
pub(super) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from_str_radix(low, 16).ok()?)
}

/// The database is not the one whose changes were captured.
pub(super) fn changed(found: impl Into<String>) -> Error {
    Error::invalid("the database's history is not the one that was captured")
        .found(found)
        .effect("it was restored, set back, copied, or another server leads now; what the log holds may never have happened here")
        .fix("if this database is to be captured from now on, forget the lane's history and take new snapshots (`seamount resync FLOW`)")
        .state(State::HistoryChanged)
}

/// The database is the one, but what we need is no longer kept for us.
pub(super) fn lost(found: impl Into<String>) -> Error {
    Error::invalid("changes that are needed are no longer kept by the server")
        .found(found)
        .effect("changes are missing between the log and the database; none was delivered")
        .fix("forget the lane's history and take new snapshots (`seamount resync FLOW`)")
        .state(State::PositionLost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back() {
        let place = |sequence, detail: &str| {
            let detail = Some(detail.to_string());
            Place::parse(&SourcePosition { sequence, detail }).map(|place| place.anchor)
        };
        let commit = Anchor::Commit { xids: vec![(743, 745)], time: -5 };
        assert_eq!(place(9, &detail("743+2", "t:-5")), Some(commit.clone()));
        assert_eq!(place(9, "m:cut"), Some(Anchor::Message { text: "cut".into() }));
        let inside = Anchor::Inside { xid: 7, time: 4, parts: 2, changes: 12 };
        assert_eq!(place(9, "x:7 p:2.12 t:4"), Some(inside));
        assert_eq!(place(9, "x:7 p:2 t:4"), None);
        assert_eq!(Place::parse(&SourcePosition::at(3)).unwrap().anchor, Anchor::Begin);
        let read =
            read_at(&SourcePosition { sequence: 9, detail: Some("x:743+2 t:-5".into()) }, "1:2:");
        assert_eq!(read.detail.as_deref(), Some("x:743+2 t:-5 s:1:2:"));
        assert_eq!(Place::parse(&read_at(&read, "3:4:")).unwrap().anchor, commit);
        assert_eq!(
            Place::parse(&read_at(&SourcePosition::at(3), "1:2:")).unwrap().anchor,
            Anchor::Begin
        );
    }

    #[test]
    fn log_places_are_written_as_postgresql_does() {
        assert_eq!(shown(0x16_B374_D848), "16/B374D848");
        assert_eq!(parse_lsn("16/B374D848"), Some(0x16_B374_D848));
    }
}
